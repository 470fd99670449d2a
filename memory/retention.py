"""Retention: removes the facts and sessions that no later session may know of any more, and says what it removed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import ColumnElement, and_, bindparam, delete, or_, select, update

from memory.boundaries import ANONYMOUS
from memory.conversation import ConversationMemory
from memory.places import PLACES, Scope
from memory.store import to_text
from memory.tables import CUSTOMERS, FACTS, SESSIONS

_BATCH = 100  # sessions removed in one transaction: turns under way wait no longer than that takes
_FORGOTTEN = SESSIONS.c.customer_id.startswith(ANONYMOUS, autoescape=True) & (
    SESSIONS.c.last_at < bindparam("last_of_anonymous")
)
_OLD = (
    select(SESSIONS.c.id, SESSIONS.c.customer_id)
    .where((SESSIONS.c.last_at < bindparam("last")) | _FORGOTTEN)
    .order_by(SESSIONS.c.last_at)
    .limit(_BATCH)
)


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
    days = {"last": max(memory.boundaries.longest, 1), "last_of_anonymous": memory.boundaries.anonymous}
    limits = {name: to_text(now - timedelta(days=most)) for name, most in days.items()}
    removed: Counter[str] = Counter()
    with memory.store.read() as connection:
        old = connection.execute(_OLD, limits).all()
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
    days = {name: max(spec.keep_days, 1) for name, spec in memory.specs.items()}
    days[""] = max(memory.boundaries.facts, 1)  # of all facts; those of a session that goes on stay for a day at least
    limits = {_limit_of(name): to_text(now - timedelta(days=most)) for name, most in days.items()}
    overdue = _overdue(tuple(memory.specs))
    with memory.store.read() as connection:
        if connection.scalar(select(FACTS.c.id).where(overdue).limit(1), limits) is None:
            return Counter()
    with memory.store.write() as connection:
        count = connection.execute(delete(FACTS).where(overdue), limits).rowcount
        memory.store.owe_purge(connection)
    return Counter({FACTS.name: count})


@lru_cache(maxsize=16)
def _overdue(names: tuple[str, ...]) -> ColumnElement[bool]:
    """Return the condition for facts past their time, which `_limit_of` each of the names says, and of all facts."""
    own = [and_(FACTS.c.name == name, FACTS.c.said_at < bindparam(_limit_of(name))) for name in names]
    return or_(FACTS.c.said_at < bindparam(_limit_of("")), *own)


def _limit_of(name: str) -> str:
    return f"limit_{name}"
