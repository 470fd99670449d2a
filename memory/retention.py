"""Retention: removes the facts and sessions that no later session may know of any more, and says what it removed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, or_, select, update

from memory.boundaries import ANONYMOUS
from memory.conversation import ConversationMemory
from memory.places import PLACES, Scope
from memory.store import to_text
from memory.tables import CUSTOMERS, FACTS, SESSIONS

_BATCH = 100  # sessions removed in one transaction: turns under way wait no longer than that takes


def retain(memory: ConversationMemory, now: datetime) -> Mapping[str, int]:
    """Remove what is past its time; return how many rows of each table, empty where there was nothing.

    A session goes when its last turn is older than everything that crosses to later ones, or than an anonymous customer
    is known, a fact when its own time or that of facts is over. Whatever goes is overwritten, as after forgetting.

    Raises:
        StoreError: the database cannot be written, or another program keeps the rows from being overwritten.
    """
    removed: Counter[str] = Counter()
    while batch := _remove_sessions(memory, now):
        removed += batch
    removed += _remove_facts(memory, now)
    memory.store.purge()
    return dict(removed)


def _remove_sessions(memory: ConversationMemory, now: datetime) -> Counter[str]:
    """Remove the oldest sessions that are past their time, and customers of whom nothing is left."""
    limit = to_text(now - timedelta(days=max(memory.boundaries.longest, 1)))
    anonymous = SESSIONS.c.customer_id.startswith(ANONYMOUS, autoescape=True)
    forgotten = anonymous & (SESSIONS.c.last_at < to_text(now - timedelta(days=memory.boundaries.anonymous)))
    query = select(SESSIONS.c.id, SESSIONS.c.customer_id).where((SESSIONS.c.last_at < limit) | forgotten)
    removed: Counter[str] = Counter()
    with memory.store.read() as connection:
        old = connection.execute(query.order_by(SESSIONS.c.last_at).limit(_BATCH)).all()
    if not old:
        return removed
    with memory.store.write() as connection:
        for session in old:
            for place in PLACES:
                removed[place.table.name] += place.delete(connection, Scope(session.customer_id, session_id=session.id))
        whose = {session.customer_id for session in old}
        empty = CUSTOMERS.c.id.in_(whose) & CUSTOMERS.c.id.not_in(select(SESSIONS.c.customer_id))
        removed[CUSTOMERS.name] += connection.execute(delete(CUSTOMERS).where(empty)).rowcount
        connection.execute(update(CUSTOMERS).where(CUSTOMERS.c.id.in_(whose)).values(epoch=time.time_ns()))
        memory.store.owe_purge(connection)
    for customer_id in whose:
        memory.drop_caches(customer_id)
    return +removed


def _remove_facts(memory: ConversationMemory, now: datetime) -> Counter[str]:
    """Remove facts past their time; the messages they were said in stay for as long as their session."""
    with memory.store.read() as connection:
        due = connection.scalars(select(FACTS.c.id).where(_overdue(memory, now))).all()
    if not due:
        return Counter()
    with memory.store.write() as connection:
        count = connection.execute(delete(FACTS).where(_overdue(memory, now))).rowcount
        memory.store.owe_purge(connection)
    return Counter({FACTS.name: count})


def _overdue(memory: ConversationMemory, now: datetime) -> ColumnElement[bool]:
    """Return the condition for facts past their time; those of a session that goes on stay for a day at least."""
    most = max(memory.boundaries.facts, 1)
    own = [
        and_(FACTS.c.name == spec.name, FACTS.c.said_at < to_text(now - timedelta(days=max(spec.keep_days, 1))))
        for spec in memory.specs.values()
    ]
    return or_(FACTS.c.said_at < to_text(now - timedelta(days=most)), *own)
