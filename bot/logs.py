"""Logs: one JSON object a line on standard error, with what is personal masked."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS, LogData
from pythonjsonlogger.json import JsonFormatter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finetune.masking import mask

_LOG = logging.getLogger("rapport.requests")
_WRITTEN_BY_US = ("time", "level", "logger")


class _Masked(JsonFormatter):
    """Masks e-mail addresses, phone, card and account numbers and passwords wherever they stand in a line."""

    def process_log_record(self, log_data: LogData) -> LogData:
        return {name: value if name in _WRITTEN_BY_US else _masked(value) for name, value in log_data.items()}


def write_logs(level: str) -> None:
    """Let everything that is logged in this process, by whichever library, be written so, from a level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Masked(
            "{asctime}{levelname}{name}{message}",
            style="{",
            datefmt="%Y-%m-%dT%H:%M:%S%z",
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            json_ensure_ascii=False,
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class RequestLog:
    """Logs every request but its address, its query and what it carries."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or not _LOG.isEnabledFor(logging.INFO):
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            spent = round((time.perf_counter() - started) * 1000, 1)
            about = {"method": scope["method"], "path": scope["path"], "status": status, "ms": spent}
            _LOG.info("request", extra=about)


def _masked(value: Any) -> Any:
    return mask(value) if isinstance(value, str) else value
