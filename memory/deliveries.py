"""What another program delivered and is still to be answered: taken in once, kept until that is done.

A delivery's content is gone with its answer. Its id stays for some days, so that a repetition is known as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from memory.store import Store, from_text, to_text
from memory.tables import DELIVERIES

_KNOWN_DAYS = 7


@dataclass(frozen=True)
class Delivery:
    """Something delivered: of which of the sender's conversations, for which customer, and what is to be done."""

    id: str
    customer_id: str
    conversation: str
    at: datetime
    content: dict[str, Any]


def take_in(store: Store, delivery: Delivery) -> bool:
    """Keep a delivery until it is done; return whether it is a new one.

    Raises:
        StoreError: the database cannot be written; nothing is kept.
    """
    with store.write() as connection:
        connection.execute(
            delete(DELIVERIES).where(
                DELIVERIES.c.at < to_text(delivery.at - timedelta(days=_KNOWN_DAYS)), DELIVERIES.c.content.is_(None)
            )
        )
        if connection.execute(select(DELIVERIES.c.id).where(DELIVERIES.c.id == delivery.id)).first():
            return False
        connection.execute(insert(DELIVERIES), {**vars(delivery), "at": to_text(delivery.at)})
        return True


def waiting(store: Store) -> list[Delivery]:
    """Return what is still to be done, oldest first.

    Raises:
        StoreError: the database cannot be read.
    """
    query = select(DELIVERIES).where(DELIVERIES.c.content.is_not(None)).order_by(DELIVERIES.c.at, DELIVERIES.c.id)
    with store.read() as connection:
        return [_delivery(row) for row in connection.execute(query)]


def is_waiting(store: Store, delivery_id: str) -> bool:
    """Return whether a delivery is still to be done and was not forgotten.

    Raises:
        StoreError: the database cannot be read.
    """
    query = select(DELIVERIES.c.id).where(DELIVERIES.c.id == delivery_id, DELIVERIES.c.content.is_not(None))
    with store.read() as connection:
        return connection.scalar(query) is not None


def go_on(store: Store, delivery: Delivery) -> bool:
    """Note how far a delivery has come, which its content says; return False where it was forgotten meanwhile.

    Raises:
        StoreError: the database cannot be written.
    """
    return _change(store, delivery, content=delivery.content)


def finish(store: Store, delivery: Delivery, outcome: str, now: datetime) -> None:
    """Note what became of a delivery and drop its content.

    Raises:
        StoreError: the database cannot be written.
    """
    _change(store, delivery, content=None, outcome=outcome, done_at=to_text(now))


def last_outcome(store: Store, conversation: str, outcome: str) -> datetime | None:
    """Return when a conversation last had an outcome.

    Raises:
        StoreError: the database cannot be read.
    """
    mine = (DELIVERIES.c.conversation == conversation) & (DELIVERIES.c.outcome == outcome)
    with store.read() as connection:
        found = connection.scalar(select(func.max(DELIVERIES.c.done_at)).where(mine))
    return from_text(found) if found else None


def _change(store: Store, delivery: Delivery, **values: Any) -> bool:
    with store.write() as connection:
        this = update(DELIVERIES).where(DELIVERIES.c.id == delivery.id)
        return bool(connection.execute(this.values(**values)).rowcount)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(row.id, row.customer_id, row.conversation, from_text(row.at), row.content)
