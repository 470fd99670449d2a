"""The whole application on a real server over loopback, and who talks to it: visitors, and servers with keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from bot.chatbot import Chatbot
from bot.keys import Keys, KeyScope
from bot.ui.visitor import COOKIE, Visitors
from tests.bot.channels.serving import serving, whole

Serve = Callable[[Chatbot], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a bot's application and give its address."""
    with ExitStack() as running:
        yield lambda bot: str(running.enter_context(serving(whole(bot))).base_url).rstrip("/")


@pytest.fixture
def url(bot: Chatbot, serve: Serve) -> str:
    return serve(bot)


def bearer(bot: Chatbot, *scopes: KeyScope) -> dict[str, str]:
    """The headers of a server with a key of its own, for chatting if no scope is named."""
    keys = Keys(bot.settings.home, bot.clock)
    return {"Authorization": f"Bearer {keys.add(f'server {len(keys.all())}', scopes or ('chat',))}"}


def visitor(bot: Chatbot, url: str) -> httpx.Client:
    """A new visitor of the chat page, who uses the API."""
    return httpx.Client(base_url=f"{url}/api/v1", cookies={COOKIE: Visitors(bot).issue()[0]}, timeout=60)


@pytest.fixture
def nora(bot: Chatbot, url: str) -> Iterator[httpx.Client]:
    with visitor(bot, url) as client:
        yield client


@pytest.fixture
def tom(bot: Chatbot, url: str) -> Iterator[httpx.Client]:
    with visitor(bot, url) as client:
        yield client
