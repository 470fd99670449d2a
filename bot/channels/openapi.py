"""What the REST API's OpenAPI document says beside its paths: who may call, and how a request is refused."""

import logging
from typing import Any

from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.exceptions import HTTPException

from bot.channels.errors import answer_errors
from bot.channels.schemas import Refused
from bot.ui.visitor import COOKIE
from memory import StoreError

_LOG = logging.getLogger(__name__)

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
    413: {"description": "The request is larger than 64 KiB.", "content": {"text/plain": {}}},
    422: {"model": Refused, "description": "The request is not in the form that this document gives."},
    429: {"model": Refused, "description": "Too many requests.", "headers": _RETRY},
    500: {"model": Refused, "description": "A mistake in Rapport; it is in the server's log."},
    503: {"model": Refused, "description": "Too much is waiting, or nothing was kept. Try again.", "headers": _RETRY},
}
_CODES = {400: "unreadable", 404: "not_found", 405: "no_such_method", 413: "too_large"}


def refuse_as_json(api: FastAPI) -> None:
    """Let an application answer whatever goes wrong in one form, without what it was sent and without a trace."""
    answer_errors(api)

    async def refused(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 (what the handler is registered for)
        return _refusal(error.status_code, _CODES.get(error.status_code, "refused"), error.detail, error.headers)

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return _refusal(422, "invalid", "; ".join(lines)[:1000])

    async def unavailable(_request: Request, error: Exception) -> JSONResponse:
        _LOG.error("%s", error)
        return _refusal(503, "unavailable", "The database cannot be used. Try again later.", {"Retry-After": "5"})

    async def failed(_request: Request, _error: Exception) -> JSONResponse:
        return _refusal(500, "mistake", "Something went wrong on our side. It is in the server's log.")

    api.add_exception_handler(HTTPException, refused)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(StoreError, unavailable)
    api.add_exception_handler(Exception, failed)


def _refusal(status: int, code: str, message: str, headers: Any = None) -> JSONResponse:
    # A field's name may hold a lone surrogate, which no answer can.
    message = message.encode("utf-8", "replace").decode()
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=headers)
