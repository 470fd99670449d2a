"""An upload that is too large for memory: a form whose file goes to disk as it arrives."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header
from starlette.requests import ClientDisconnect

from bot.channels.errors import ApiError

MOST_BYTES = 1024**3
_MOST_FIELD = 64 * 1024  # bytes of any other field
_PREFIX = "upload-"
_NOT_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass
class Upload:
    """A form: its fields by name, each with all its values, and its files by field, each with the name it had."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, tuple[Path, str]] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """Return the first value of a field, empty where there is none."""
        return self.fields.get(name, [""])[0].strip()


@asynccontextmanager
async def uploaded(request: Request, folder: Path) -> AsyncIterator[Upload]:
    """Give the form of a request; its files lie in the folder, and are gone afterwards unless they were moved away.

    Raises:
        ApiError: it is too large (413), or not such a form (400).
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise ApiError(400, "bad_request", "Send the log with the form on this page.")
    folder.mkdir(parents=True, exist_ok=True)
    form = Upload()

    def on_field(one: Field) -> None:
        form.fields.setdefault(_text(one.field_name), []).append(_text(one.value))

    def on_file(one: File) -> None:
        if one.in_memory:
            one.flush_to_disk()
        one.close()
        if one.size:
            form.files[_text(one.field_name)] = Path(os.fsdecode(one.actual_file_name or b"")), _safe(one.file_name)

    with tempfile.TemporaryDirectory(dir=folder, prefix=_PREFIX) as place:
        config = {"UPLOAD_DIR": place, "UPLOAD_DELETE_TMP": False, "MAX_FIELD_SIZE": _MOST_FIELD, "MAX_FIELDS": 50}
        parser = FormParser("multipart/form-data", on_field, on_file, boundary=options[b"boundary"], config=config)
        received = 0
        try:
            async for chunk in request.stream():
                received += len(chunk)
                if received > MOST_BYTES:
                    raise ApiError(413, "too_large", f"The log is too large: at most {MOST_BYTES >> 20} MiB.")
                await run_in_threadpool(parser.write, chunk)
            parser.finalize()
        except (FormParserError, ClientDisconnect):
            raise ApiError(400, "bad_request", "The upload did not arrive whole. Try again.") from None
        yield form


def remove_broken_off(folder: Path) -> None:
    """Remove uploads that were under way when a server was killed.

    Raises:
        OSError: they cannot be removed.
    """
    for place in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(place)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _safe(name: bytes | None) -> str:
    """Return the name of a file as one that is nothing but a name."""
    last = _text(name).replace("\\", "/").rpartition("/")[2]
    return _NOT_NAME.sub("_", last).lstrip(".-")[-100:] or "log"
