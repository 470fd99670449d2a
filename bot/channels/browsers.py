"""What browsers are told: which other sites may call us or show us in a frame, and what a page of ours may load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_YEAR_S = 365 * 24 * 3600


def cross_origin(origins: Sequence[str]) -> dict[str, Any]:
    """Return the options of Starlette's CORSMiddleware: the desk's origins may call, with tokens and no cookies."""
    return {
        "allow_origins": list(origins),
        "allow_methods": ["GET", "POST", "DELETE"],
        "allow_headers": ["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Rapport-Visitor"],
        "expose_headers": ["Retry-After"],
        "max_age": 3600,
    }


class SecurityHeaders:
    """Puts the headers on every response that has none of its own."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._ancestors = " ".join(["'self'", *origins])
        self._headers = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        secure = {"Strict-Transport-Security": f"max-age={_YEAR_S}"} if scope.get("scheme") == "https" else {}
        policy = {"Content-Security-Policy": self._policy(scope.get("path", ""))}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**self._headers, **policy, **secure}.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)

    def _policy(self, path: str) -> str:
        # Gradio's chat page has scripts in the page and evaluates its templates; no other page of ours has scripts.
        scripts = "'self' 'unsafe-inline' 'unsafe-eval'" if path == "/" else "'self'"
        return (
            f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data: blob: https:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
            f"object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {self._ancestors}"
        )
