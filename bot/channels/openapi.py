"""What the REST API's OpenAPI document says beside its paths: who may call, and how a request is refused."""

from typing import Any

from fastapi import FastAPI

from bot.channels.schemas import Refused
from bot.ui.visitor import COOKIE

ABOUT = """Talk to the bot of a desk from another program.

A browser is known by the chat page's cookie or a visitor's token, a portal's customer by the portal's JWT, a server by
an API key, which names a customer with each request. What is refused is answered with `{"error": {"code", "message"}}`.
"""
# Documented alone: `Callers` checks them. As dependencies they would be asked at every request, for nothing.
_SCHEMES = {
    "bearer": {"type": "http", "description": "An API key, a JWT, a visitor's token.", "scheme": "bearer"},
    "cookie": {"type": "apiKey", "description": "The chat page's cookie.", "in": "cookie", "name": COOKIE},
}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}}
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refused, "description": "The body cannot be read: it is no UTF-8, or nested too deeply."},
    401: {"model": Refused, "description": "The request proves nobody."},
    403: {"model": Refused, "description": "A key without the scope, or somebody else is named."},
    404: {"model": Refused, "description": "The customer has no such thing; somebody else may have."},
    408: {"model": Refused, "description": "The request did not arrive in time."},
    413: {"model": Refused, "description": "The request is too large."},
    422: {"model": Refused, "description": "The request is not in the form that this document gives."},
    429: {"model": Refused, "description": "Too many requests.", "headers": _RETRY},
    500: {"model": Refused, "description": "A mistake in Rapport; it is in the server's log."},
    503: {"model": Refused, "description": "Too much is waiting, or nothing was kept. Try again.", "headers": _RETRY},
}


class DocumentedAPI(FastAPI):
    """An application whose document says who may call."""

    def openapi(self) -> dict[str, Any]:
        """Return the document."""
        document = super().openapi()
        document["components"]["securitySchemes"] = _SCHEMES
        for path in document["paths"].values():
            for operation in path.values():
                operation["security"] = [{name: []} for name in _SCHEMES]
        return document
