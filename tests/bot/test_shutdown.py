"""Ending: turns under way are finished, whether a program closes the bot or a server is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from bot.audit import Audit
from bot.chatbot import Chatbot
from memory import Store
from memory.history import transcript
from tests.bot.channels.serving import LOOPBACK
from tests.bot.conftest import RAPPORT


def test_closing_waits_for_the_turn_under_way_which_is_kept(make_bot: Callable[..., Chatbot]) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def words() -> Iterator[AIMessage]:
        begun.set()
        assert may_end.wait(30)
        yield AIMessage("It takes three days.")

    bot = make_bot(chat_model=GenericFakeChatModel(messages=words()))
    with ThreadPoolExecutor(2) as pool:
        turn = pool.submit(bot.respond, "how long does delivery take?", "s1", "nora")
        assert begun.wait(30)
        assert bot.turns_under_way == 1
        closing = pool.submit(bot.close)
        assert not closing.done()
        may_end.set()
        closing.result(30)
        assert turn.result(30).text == "It takes three days."
    store = Store(bot.settings.database)
    assert [one.reply for one in transcript(store, "s1", "nora")] == ["It takes three days."]
    store.close()


def test_a_server_that_is_told_to_stop_ends_by_itself_and_noted_its_settings(home: Path, free_port: int) -> None:
    command = [RAPPORT, "serve", "--home", str(home), "--port", str(free_port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as server:
        assert server.stderr is not None
        assert "Chat with" in server.stderr.readline()
        for _ in range(200):
            try:
                alive = httpx.get(f"http://{LOOPBACK}:{free_port}/readyz")
                break
            except httpx.TransportError:
                threading.Event().wait(0.05)
        assert alive.json()["status"] == "ready"
        server.send_signal(signal.SIGTERM)
        rest = server.stderr.read()
        assert (server.wait(30), rest) == (0, "")
    (entry,) = Audit(home).entries()
    assert (entry.event, entry.about["port"]) == ("settings", str(free_port))


@pytest.fixture
def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
