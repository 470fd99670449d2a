"""A web application on a free port of this machine, for clients that want a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import APIRouter, FastAPI, Request

from bot.channels.caller import Caller, Callers
from bot.channels.errors import ApiError, answer_errors
from bot.chatbot import Chatbot

KEY = "a-key"


class OneKey(Callers):
    """Lets in who has the one key; for tests of a way in, whatever kinds of proof there are."""

    def __init__(self, bot: Chatbot, scopes: frozenset[str] = frozenset({"chat"})) -> None:
        super().__init__(bot.settings, bot)
        self._scopes = scopes

    def caller(self, request: Request) -> Caller:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise ApiError(401, "unproven", "Send the key.")
        return Caller(scopes=self._scopes)


def application(*routers: APIRouter) -> FastAPI:
    made = FastAPI()
    answer_errors(made)
    for router in routers:
        made.include_router(router)
    return made


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application; give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ready = threading.Event()

    class _Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready.set()

    server = _Announced(uvicorn.Config(app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
