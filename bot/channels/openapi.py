"""What the REST API's OpenAPI document says beside its paths: who may call, and how a request is refused."""

from typing import Any

from fastapi import Security
from fastapi.security import APIKeyCookie, HTTPBearer

from bot.channels.schemas import Refused
from bot.ui.visitor import COOKIE

ABOUT = """Talk to the bot of a desk from another program.

A browser is known by the chat page's cookie or a visitor's token, a portal's customer by the portal's JWT, a server by
an API key, which names a customer with each request. What is refused is answered with `{"error": {"code", "message"}}`.
"""
# Documented here and checked by `Callers`: none of these refuses anything by itself.
SECURITY = [
    Security(HTTPBearer(scheme_name="bearer", description="An API key, a JWT, a visitor's token.", auto_error=False)),
    Security(APIKeyCookie(name=COOKIE, scheme_name="cookie", description="The chat page's cookie.", auto_error=False)),
]
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
