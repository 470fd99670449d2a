"""Who is at the page: a random visitor id, signed with the time until which it counts, in a cookie or as a token.

A claimed id opens nobody's memory. How long a visitor is known is the desk's `memory.anonymous_days`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from http.cookies import CookieError, SimpleCookie

from itsdangerous import BadSignature, Signer
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.chatbot import Chatbot
from memory.boundaries import ANONYMOUS
from memory.secret import read_secret
from memory.spent import is_spent

COOKIE = "rapport_visitor"
_MOST_CHARS = 200  # of a token; ours have 90


class Visitors:
    """Issues and checks visitors' tokens with a secret that is kept under the home folder.

    A visitor who was joined to a customer is nobody any more, however long the token would count.
    """

    def __init__(self, bot: Chatbot) -> None:
        self._signer = Signer(read_secret(bot.settings.home), salt="visitor")
        self._life = timedelta(days=bot.desk.settings.memory.anonymous_days)
        self._clock = bot.clock
        self._store = bot.memory.store

    def issue(self, visitor: str = "") -> tuple[str, datetime]:
        """Return a token and until when it counts: a new visitor's, or a fresh one of a visitor who is known."""
        expires = (self._clock() + self._life).replace(microsecond=0)
        visitor = visitor or f"{ANONYMOUS}{secrets.token_hex(16)}"
        return self._signer.sign(f"{visitor}.{int(expires.timestamp())}").decode(), expires

    def proven(self, token: str) -> str | None:
        """Return the customer id that a token proves, or None."""
        visitor, _ = self._read(token)
        return visitor

    def customer(self, cookies: Mapping[str, str]) -> str | None:
        """Return the customer id that a request's cookies prove, or None."""
        return self.proven(cookies.get(COOKIE, ""))

    def renewed(self, cookies: Mapping[str, str]) -> str | None:
        """Return the cookie that a browser should get: a new visitor's, one of which half the life is over, or None."""
        visitor, left = self._read(cookies.get(COOKIE, ""))
        if visitor is not None and left > self._life / 2:
            return None
        return f"{self.issue(visitor or '')[0]}; Max-Age={int(self._life.total_seconds())}"

    def _read(self, token: str) -> tuple[str | None, timedelta]:
        """Return the visitor that a token proves and how long it still counts."""
        try:
            if len(token) > _MOST_CHARS:
                raise ValueError
            visitor, _, expires = self._signer.unsign(token).decode("ascii").rpartition(".")
            left = datetime.fromtimestamp(int(expires), timezone.utc) - self._clock()
        except (BadSignature, ValueError):
            return None, timedelta()
        if left <= timedelta() or not visitor.startswith(ANONYMOUS):
            return None, timedelta()
        with self._store.read() as connection:
            return (None, timedelta()) if is_spent(connection, visitor) else (visitor, left)


class VisitorMiddleware:
    """Gives every page view without a valid cookie a new one, for https alone where the page came by https."""

    def __init__(self, app: ASGIApp, visitors: Visitors) -> None:
        self._app = app
        self._visitors = visitors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        fresh = self._visitors.renewed(_cookies(scope)) if scope["type"] == "http" and scope["path"] == "/" else None
        if fresh is None:
            await self._app(scope, receive, send)
            return
        secure = "; Secure" if scope["scheme"] == "https" else ""

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{COOKIE}={fresh}; Path=/; HttpOnly; SameSite=Lax{secure}"
                MutableHeaders(scope=message).append("set-cookie", cookie)
            await send(message)

        await self._app(scope, receive, with_cookie)


def _cookies(scope: Scope) -> dict[str, str]:
    header = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}
