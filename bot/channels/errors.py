"""What a caller is told when a request is refused: `{"error": {"code", "message"}}` with the fitting status."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse


class ApiError(Exception):
    """A request that is refused: `code` is for programs, the message says a person what to do."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


def answer_errors(application: FastAPI) -> None:
    """Let an application answer an `ApiError` as JSON."""

    async def answer(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)  # noqa: S101 (what the handler is registered for)
        body = {"error": {"code": error.code, "message": str(error)}}
        return JSONResponse(body, error.status, headers=error.headers)

    application.add_exception_handler(ApiError, answer)
