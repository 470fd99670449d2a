"""Joining: what an anonymous visitor said becomes a customer's, once; the visitor's id then opens nothing."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection, delete, insert, select, update

from memory.boundaries import ANONYMOUS
from memory.conversation import ConversationMemory
from memory.facts import same_value
from memory.places import PLACES
from memory.spent import is_spent, spend
from memory.tables import CUSTOMERS, FACTS, SESSIONS


def join(memory: ConversationMemory, visitor_id: str, customer_id: str, now: datetime) -> int:
    """Make everything of a visitor a customer's, in one transaction; return how many sessions that are.

    A visitor who was joined before has nothing left. The caller vouches that both are the same person.

    Raises:
        ValueError: the first id is not a visitor's.
        StoreError: the database cannot be written; nothing is joined.
    """
    if not visitor_id.startswith(ANONYMOUS) or customer_id.startswith(ANONYMOUS):
        raise ValueError(f"{visitor_id!r} must be a visitor's id and {customer_id!r} a customer's")
    with memory.store.write() as connection:
        if is_spent(connection, visitor_id):
            return 0
        spend(connection, visitor_id, now)
        if not connection.execute(select(CUSTOMERS).where(CUSTOMERS.c.id == visitor_id)).first():
            return 0
        moved = _move(connection, visitor_id, customer_id)
    memory.drop_caches(visitor_id)
    memory.drop_caches(customer_id)
    return moved


def _move(connection: Connection, visitor_id: str, customer_id: str) -> int:
    """Give the visitor's rows to the customer, in every place that says whose a row is."""
    created = select(CUSTOMERS.c.created_at).where(CUSTOMERS.c.id.in_([visitor_id, customer_id]))
    since = min(connection.scalars(created))
    mine = CUSTOMERS.c.id == customer_id
    # Another epoch: an index that was built before does not hold the visitor's turns.
    if not connection.execute(update(CUSTOMERS).where(mine).values(created_at=since, epoch=time.time_ns())).rowcount:
        connection.execute(insert(CUSTOMERS), {"id": customer_id, "created_at": since})
    told = select(FACTS.c.name).where(FACTS.c.customer_id == visitor_id).distinct()
    names = list(connection.scalars(told))
    moved = 0
    for table in (place.table for place in PLACES if "customer_id" in place.table.c):
        change = update(table).where(table.c.customer_id == visitor_id).values(customer_id=customer_id)
        count = connection.execute(change).rowcount
        moved = count if table is SESSIONS else moved
    connection.execute(delete(CUSTOMERS).where(CUSTOMERS.c.id == visitor_id))
    _order_facts(connection, customer_id, names)
    return moved


def _order_facts(connection: Connection, customer_id: str, names: list[str]) -> None:
    """Let each value end the one said before it, as if all had been said by one; a repeat is no new value."""
    query = select(FACTS).where(FACTS.c.customer_id == customer_id, FACTS.c.name.in_(names))
    rows = connection.execute(query.order_by(FACTS.c.name, FACTS.c.said_at, FACTS.c.id)).all()
    for _, values in groupby(rows, key=lambda row: row.name):
        last = None
        for row in values:
            if last is not None and same_value(last.value, row.value):
                connection.execute(delete(FACTS).where(FACTS.c.id == row.id))
                continue
            if last is not None:
                ended = update(FACTS).where(FACTS.c.id == last.id)
                connection.execute(ended.values(superseded_at=row.said_at))
            last = row
        if last is not None:
            connection.execute(update(FACTS).where(FACTS.c.id == last.id).values(superseded_at=None))
