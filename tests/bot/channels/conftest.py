"""The REST API on a real server over loopback, and customers who talk to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from bot.channels.caller import Callers
from bot.channels.rest import rest_api
from bot.channels.turns import TurnQueue
from bot.chatbot import Chatbot
from bot.ui.visitor import COOKIE, Visitors

Serve = Callable[[Chatbot], str]


class _Announced(uvicorn.Server):
    def __init__(self, application: FastAPI) -> None:
        super().__init__(uvicorn.Config(application, port=0, log_level="error", lifespan="off"))
        self.ready = threading.Event()

    async def startup(self, sockets: object = None) -> None:
        await super().startup(None)
        self.ready.set()


@contextmanager
def serving(application: FastAPI) -> Iterator[str]:
    """Serve an application on a free port and give its address."""
    server = _Announced(application)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert server.ready.wait(30)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(30)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve the API of a bot; `url` ends where the API begins."""
    running = []

    def start(bot: Chatbot) -> str:
        application = FastAPI()
        application.mount(
            "/api/v1", rest_api(bot, Callers(bot.settings, bot), TurnQueue(bot.settings.max_waiting_turns))
        )
        server = serving(application)
        running.append(server)
        return server.__enter__() + "/api/v1"

    yield start
    for server in reversed(running):
        server.__exit__(None, None, None)


def visitor(bot: Chatbot, url: str) -> httpx.Client:
    """A new visitor of the chat page, who uses the API."""
    return httpx.Client(base_url=url, cookies={COOKIE: Visitors(bot.settings.home).issue()}, timeout=60)


@pytest.fixture
def url(bot: Chatbot, serve: Serve) -> str:
    return serve(bot)


@pytest.fixture
def nora(bot: Chatbot, url: str) -> Iterator[httpx.Client]:
    with visitor(bot, url) as client:
        yield client


@pytest.fixture
def tom(bot: Chatbot, url: str) -> Iterator[httpx.Client]:
    with visitor(bot, url) as client:
        yield client
