"""What a caller is told when a request is refused: `{"error": {"code", "message"}}` with the fitting status.

Under `/v1/`, where clients made for OpenAI's API call, an error also has what it has there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory import StoreError

_LOG = logging.getLogger(__name__)
_OPENAI = "/v1/"
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {400: "bad_request", 401: "unproven", 403: "forbidden", 404: "not_found", 405: "bad_method", 413: "too_large"}


class ApiError(Exception):
    """A request that is refused: `code` is for programs, the message says a person what to do."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers

    def response(self, path: str) -> JSONResponse:
        """Return the refusal of a request for a path as JSON."""
        error: dict[str, str | None] = {"code": self.code, "message": str(self)}
        if path.startswith(_OPENAI):
            kind = _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
            error |= {"type": kind, "param": None}
        return JSONResponse({"error": error}, self.status, headers=self.headers)


def answer_errors(application: FastAPI) -> None:
    """Let an application answer what goes wrong as JSON: refusals, wrong input, and a database that is busy."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        return _refusal(error, request.url.path).response(request.url.path)

    for kind in (ApiError, HTTPException, RequestValidationError, StoreError):
        application.add_exception_handler(kind, answer)


def _refusal(error: Exception, path: str) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):
        code = _CODES.get(error.status_code, "refused")
        return ApiError(error.status_code, code, str(error.detail), error.headers)
    if isinstance(error, RequestValidationError):
        lines = "; ".join(sorted(set(map(_wrong, error.errors()))))[:1000]
        lines = lines.encode("utf-8", "replace").decode()  # a name may hold a lone surrogate
        return ApiError(400 if path.startswith(_OPENAI) else 422, "invalid", f"The request cannot be used. {lines}.")
    _LOG.error("The database cannot be used: %s", error)
    message = "The database cannot be used just now. Nothing was kept; try again in a moment."
    return ApiError(503, "unavailable", message, {"Retry-After": "5"})


def _wrong(one: Mapping[str, Any]) -> str:
    """Return what is wrong with a request, without what was sent: that may be personal."""
    if one["type"] == "json_invalid":
        return f"The body is not JSON: there is a mistake at character {one['loc'][-1]}"
    if one["loc"] == ("body",) and one["type"] in ("model_attributes_type", "missing"):
        return "Send an object as JSON, with `Content-Type: application/json`"
    return f"{'.'.join(map(str, one['loc'][1:])) or 'the body'}: {str(one['msg']).removeprefix('Value error, ')}"


class LastResort:
    """Answers whatever nobody has caught with a plain 500; what it was stands in the log alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:  # noqa: BLE001 - the edge of a request: whatever failed, nobody outside sees how
            _LOG.exception("A request failed: %s %s", scope["method"], scope["path"])
            if not begun:
                error = ApiError(500, "failed", "Something went wrong on our side. Try again in a moment.")
                await error.response(scope["path"])(scope, receive, send)
