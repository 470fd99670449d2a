"""What browsers are told: which other sites may call us or show us in a frame, and what a page of ours may load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_YEAR_S = 365 * 24 * 3600
_SECURE = [(b"strict-transport-security", f"max-age={_YEAR_S}".encode())]


def cross_origin(origins: Sequence[str]) -> dict[str, Any]:
    """Return the options of Starlette's CORSMiddleware: the desk's origins may call, with tokens and no cookies."""
    return {
        "allow_origins": list(origins),
        "allow_methods": ["GET", "POST", "DELETE"],
        "allow_headers": ["*"],  # clients made for other APIs send some of their own
        "expose_headers": ["Retry-After"],
        "max_age": 3600,
    }


class SecurityHeaders:
    """Puts the headers on every response that has none of its own."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._always = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"strict-origin-when-cross-origin"),
            (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
        ]
        # Gradio's chat page has scripts in the page and evaluates its templates; no other page of ours has scripts.
        self._chat_page = _policy("'self' 'unsafe-inline' 'unsafe-eval'", origins)
        self._elsewhere = _policy("'self'", origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        policy = self._chat_page if scope.get("path") == "/" else self._elsewhere
        secure = _SECURE if scope.get("scheme") == "https" else []
        headers = [*self._always, policy, *secure]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in headers if pair[0] not in own)]
            await send(message)

        await self._app(scope, receive, with_headers)


def _policy(scripts: str, origins: Sequence[str]) -> tuple[bytes, bytes]:
    ancestors = " ".join(["'self'", *origins])
    policy = (
        f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob: https:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
        f"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {ancestors}"
    )
    return b"content-security-policy", policy.encode()
