"""Who is at the page: a random visitor id in a signed cookie, so that a claimed id opens nobody's memory."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from http.cookies import SimpleCookie
from pathlib import Path

from itsdangerous import BadSignature, Signer
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory.secret import read_secret

COOKIE = "rapport_visitor"
_YEAR_S = 365 * 24 * 3600


class Visitors:
    """Issues and checks visitor cookies with a secret that is kept under the home folder."""

    def __init__(self, home: Path) -> None:
        self._signer = Signer(read_secret(home), salt="visitor")

    def issue(self) -> str:
        """Return the cookie of a new visitor."""
        return self._signer.sign(f"web-{secrets.token_hex(16)}").decode()

    def customer(self, cookies: Mapping[str, str]) -> str | None:
        """Return the customer id that a request's cookies prove, or None."""
        try:
            return self._signer.unsign(cookies.get(COOKIE, "")).decode()
        except BadSignature:
            return None


class VisitorMiddleware:
    """Gives every page view without a valid cookie a new one."""

    def __init__(self, app: ASGIApp, visitors: Visitors) -> None:
        self._app = app
        self._visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        header = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
        cookies = {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        if self._visitors.customer(cookies) is not None:
            await self._app(scope, receive, send)
            return
        cookie = f"{COOKIE}={self._visitors.issue()}; Max-Age={_YEAR_S}; Path=/; HttpOnly; SameSite=Lax"

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        await self._app(scope, receive, with_cookie)
