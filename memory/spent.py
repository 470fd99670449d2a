"""Visitors who were joined to a customer: their ids are spent, and nothing is kept for one again."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select

from memory.store import to_text
from memory.tables import SPENT_VISITORS

_SPENT = select(SPENT_VISITORS.c.at).where(SPENT_VISITORS.c.visitor == bindparam("mark"))


def spend(connection: Connection, visitor_id: str, now: datetime) -> None:
    """Note in a transaction that a visitor's id is spent."""
    connection.execute(insert(SPENT_VISITORS), {"visitor": _mark(visitor_id), "at": to_text(now)})


def is_spent(connection: Connection, visitor_id: str) -> bool:
    """Return whether a visitor has been joined to a customer."""
    return connection.scalar(_SPENT, {"mark": _mark(visitor_id)}) is not None


def _mark(visitor_id: str) -> str:
    """Return what is kept of a spent id: it was random, so that its hash names nobody."""
    return hashlib.sha256(visitor_id.encode()).hexdigest()
