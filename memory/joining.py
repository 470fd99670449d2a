"""Joining: what an anonymous visitor said becomes a customer's, once; the visitor's id then opens nothing."""

from __future__ import annotations

import time
from datetime import datetime

from sqlalchemy import Connection, Table, and_, delete, insert, select, update

from memory.boundaries import ANONYMOUS
from memory.checksums import COVERED, checksum, verify
from memory.conversation import ConversationMemory
from memory.facts import Fact, same_value
from memory.places import PLACES
from memory.spent import is_spent, spend
from memory.store import to_text
from memory.tables import CUSTOMERS, FACTS, SESSIONS
from memory.told import is_over, told_by


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
    names = set(connection.scalars(select(FACTS.c.name).where(FACTS.c.customer_id == visitor_id)))
    moved = 0
    for table in (place.table for place in PLACES if "customer_id" in place.table.c):
        count = _give(connection, table, visitor_id, customer_id)
        moved = count if table is SESSIONS else moved
    connection.execute(delete(CUSTOMERS).where(CUSTOMERS.c.id == visitor_id))
    for name in sorted(names):
        _order_facts(connection, [fact for fact in told_by(connection, customer_id, history=True) if fact.name == name])
    return moved


def _give(connection: Connection, table: Table, visitor_id: str, customer_id: str) -> int:
    """Make a table's rows the customer's, with checksums that say so; return how many they are."""
    theirs = table.c.customer_id == visitor_id
    if table.name not in COVERED:
        return connection.execute(update(table).where(theirs).values(customer_id=customer_id)).rowcount
    rows = connection.execute(select(table).where(theirs)).all()
    for row in rows:
        verify(table.name, row)  # a new checksum would hide that it is damaged
        values = {
            "customer_id": customer_id,
            "checksum": checksum(table.name, {**row._mapping, "customer_id": customer_id}),
        }
        this = and_(*(key == row._mapping[key.name] for key in table.primary_key))
        connection.execute(update(table).where(this).values(values))
    return len(rows)


def _order_facts(connection: Connection, values: list[Fact]) -> None:
    """Let each value of a fact end what it ends of those before it, as if one had said them all; a repeat goes."""
    said = {fact.said_at for fact in values}
    standing: list[Fact] = []
    for fact in values:
        if fact.superseded_at and fact.superseded_at not in said:
            continue  # what ended it was forgotten
        if any(same_value(one.value, fact.value) and one.valid == fact.valid for one in standing):
            connection.execute(delete(FACTS).where(FACTS.c.id == fact.id))
            continue
        over = [one.id for one in standing if is_over(one, fact.value, fact.valid, fact.said_at.date())]
        ended = update(FACTS).where(FACTS.c.id.in_(over))
        connection.execute(ended.values(superseded_at=to_text(fact.said_at)))
        connection.execute(update(FACTS).where(FACTS.c.id == fact.id).values(superseded_at=None))
        standing = [one for one in standing if one.id not in over] + [fact]
