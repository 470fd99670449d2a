"""Commitments: what the bot or a colleague promised a customer, by when, and what became of it.

A commitment is kept with the turn it was made in and goes with it. Whether it is overdue is not stored: it is open, and
its day has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, Select, bindparam, exists, insert, select, update

from memory.checksums import verify
from memory.due import due_date
from memory.store import Store, StoreError, from_text, to_text
from memory.tables import COMMITMENTS, TURNS

State = Literal["open", "overdue", "kept", "cancelled"]
_MOST_OPEN = 20  # promises to one customer that a turn looks at


@dataclass(frozen=True)
class Commitment:
    """One promise to a customer; `due` is None where no time was named. `settled` is empty while it is open."""

    id: int
    customer_id: str
    session_id: str
    turn_id: int
    text: str
    made_at: datetime
    due: date | None
    settled: str = ""

    def state(self, today: date) -> State:
        """Return what has become of it; it is overdue once the day it was due has passed."""
        if self.settled:
            return "kept" if self.settled == "kept" else "cancelled"
        return "overdue" if self.due is not None and self.due < today else "open"


_ALL = select(COMMITMENTS, TURNS.c.session_id).join(TURNS, TURNS.c.id == COMMITMENTS.c.turn_id)
_IS_OPEN = (COMMITMENTS.c.customer_id == bindparam("customer_id"), COMMITMENTS.c.state == "open")
_OPEN_OF_CUSTOMER = _ALL.where(*_IS_OPEN).order_by(COMMITMENTS.c.id.desc()).limit(_MOST_OPEN)
_ADD = insert(COMMITMENTS)
ANY_OPEN = exists().where(*_IS_OPEN)  # as a part of another query, of a `customer_id`


def open_commitments(connection: Connection, customer_id: str) -> tuple[Commitment, ...]:
    """Return what a customer is still owed, overdue or not, oldest first: at most the newest twenty."""
    rows = connection.execute(_OPEN_OF_CUSTOMER, {"customer_id": customer_id}).all()
    return tuple(_to_commitment(row) for row in reversed(rows))


def keep_commitments(
    connection: Connection, customer_id: str, turn_id: int, promises: Sequence[str], now: datetime
) -> None:
    """Store what was promised in a turn; what is promised already and still open is not stored again."""
    if not promises:
        return
    known = {one.text.casefold() for one in open_commitments(connection, customer_id)}
    for text in dict.fromkeys(promises):
        if text.casefold() in known:
            continue
        due = due_date(text, now)
        row = {"customer_id": customer_id, "turn_id": turn_id, "text": text, "made_at": to_text(now)}
        connection.execute(_ADD, {**row, "due": due.isoformat() if due else None, "state": "open"})


def commitments(store: Store, customer_id: str | None = None) -> list[Commitment]:
    """Return the promises to one customer, or to all, with what became of them, oldest first."""
    query: Select[Any] = _ALL.order_by(COMMITMENTS.c.id)
    if customer_id is not None:
        query = query.where(COMMITMENTS.c.customer_id == customer_id)
    with store.read() as connection:
        return [_to_commitment(row) for row in connection.execute(query)]


def overdue(store: Store, today: date) -> list[Commitment]:
    """Return what should have been done by now and is still open, of all customers, the longest overdue first."""
    query = _ALL.where(COMMITMENTS.c.state == "open", COMMITMENTS.c.due < today.isoformat())
    with store.read() as connection:
        return [_to_commitment(row) for row in connection.execute(query.order_by(COMMITMENTS.c.due, COMMITMENTS.c.id))]


def settle(store: Store, commitment_id: int, state: Literal["open", "kept", "cancelled"], now: datetime) -> None:
    """Note that a promise was kept or cancelled, or that it is open after all.

    Raises:
        StoreError: there is no such promise, or the database cannot be written.
    """
    settled_at = None if state == "open" else to_text(now)
    change = update(COMMITMENTS).where(COMMITMENTS.c.id == commitment_id)
    with store.write() as connection:
        if not connection.execute(change.values(state=state, settled_at=settled_at)).rowcount:
            raise StoreError(f"There is no promise {commitment_id}. List them: rapport memory promises")


def _to_commitment(row: Any) -> Commitment:
    verify("commitments", row)
    due = date.fromisoformat(row.due) if row.due else None
    settled = "" if row.state == "open" else row.state
    return Commitment(
        row.id, row.customer_id, row.session_id, row.turn_id, row.text, from_text(row.made_at), due, settled
    )
