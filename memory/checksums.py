"""Checksums: whether a row still says what was written; SQLite notices damaged pages, not a bit flipped in a text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from operator import attrgetter
from typing import Any

# What is written once, and changed by nothing but an erasure.
COVERED = {
    "turns": ("customer_id", "session_id", "number", "at", "text", "reply", "decision"),
    "facts": ("customer_id", "turn_id", "name", "value", "said_at", "valid_from", "valid_until"),
    "commitments": ("customer_id", "turn_id", "text", "made_at", "due"),
    "summaries": ("customer_id", "content", "turn_ids", "covers"),
}

_COVERED_OF = {table: attrgetter(*names) for table, names in COVERED.items()}  # of a row

_to_json = json.JSONEncoder(default=str).encode  # `json.dumps` would make one of these for every value


class AlteredError(Exception):
    """A row does not say what was written; `turn_id` is the turn it goes with."""

    def __init__(self, table: str, customer_id: str, turn_id: int) -> None:
        super().__init__(f"a row of {table}, of turn {turn_id}, is not what was written")
        self.customer_id, self.turn_id = customer_id, turn_id


def checksum(table: str, values: Mapping[str, Any]) -> str:
    """Return 16 hex digits that change with what a row says; JSON may be given as it is stored, or read.

    Columns that are empty make no difference, so that one may be added to what is covered.
    """
    return _digest(table, [values.get(name) for name in COVERED[table]])


def is_whole(table: str, row: Any) -> bool:
    """Return whether a row, with all that is covered and `checksum`, says what was written."""
    return bool(row.checksum == _digest(table, _COVERED_OF[table](row)))


def _digest(table: str, values: Iterable[Any]) -> str:
    said = [(name, value) for name, value in zip(COVERED[table], values, strict=True) if value is not None]
    texts = [f"{name} {value if isinstance(value, (str, int)) else _to_json(value)}" for name, value in said]
    return blake2b("\0".join(texts).encode(), digest_size=8).hexdigest()


def verify(table: str, row: Any) -> None:
    """Refuse a row of the truth that does not say what was written.

    Raises:
        AlteredError: it was altered behind the program's back; `Store` says the remedy.
    """
    if not is_whole(table, row):
        raise AlteredError(table, row.customer_id, row.id if table == "turns" else row.turn_id)
