"""The whole application on a free port of this machine, as a server runs it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from app import build
from bot.chatbot import Chatbot

LOOPBACK = "127.0.0.1"


def whole(bot: Chatbot) -> FastAPI:
    """Return the application of a bot, built where a loop runs: else gradio makes several and closes none."""

    async def built() -> FastAPI:
        return build(bot)

    return asyncio.run(built())


@contextmanager
def serving(application: ASGIApp) -> Iterator[httpx.Client]:
    """Serve an application; give a client that keeps no cookies and follows no redirects."""
    listener = socket.create_server((LOOPBACK, 0))
    address = f"http://{LOOPBACK}:{listener.getsockname()[1]}"
    ready = threading.Event()

    class _Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready.set()

    config = uvicorn.Config(application, log_level="critical", proxy_headers=False, timeout_graceful_shutdown=10)
    server = _Announced(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        with httpx.Client(base_url=address, timeout=30) as client:
            client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
        assert not thread.is_alive()
