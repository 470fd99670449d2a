"""Packed values of a report's page: JSON, compressed (zlib) and in base64, unpacked by its script and by proofs."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PACKED = "packed"  # the class of the elements that hold them
_ELEMENT = re.compile(rb'<script type="text/plain" class="%b"[^>]*>([^<]*)</script>' % PACKED.encode())


def to_json(value: Any) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def pack(values: Iterable[bytes]) -> str:
    """Return an array of values, each of them JSON."""
    return base64.b64encode(zlib.compress(b"[" + b",".join(values) + b"]")).decode()


def unpack(page: Path) -> Iterator[bytes]:
    """Yield the JSON that is packed in a page, one array after the other; nothing where the file is no page of ours.

    Raises:
        OSError: the file cannot be read.
    """
    if page.suffix != ".html":
        return
    for found in _ELEMENT.finditer(page.read_bytes()):
        try:
            yield zlib.decompress(base64.b64decode(found[1], validate=True))
        except (ValueError, zlib.error):
            continue  # somebody else's element
