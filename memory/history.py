"""Looking back: transcripts, sessions, facts with their sources, and feedback, for the page, recaps and exports."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from memory.buffer import COLUMNS, to_turn
from memory.facts import Fact
from memory.places import PLACES, Scope
from memory.store import Store, StoreError, Turn, from_text, to_text
from memory.summary import Digest, load_summaries, turns_between
from memory.tables import CUSTOMERS, FEEDBACK, SESSIONS, TURNS
from memory.told import told_by


class NothingHeldError(StoreError):
    """Nothing is known of a customer who was asked about."""


@dataclass(frozen=True)
class Session:
    """One conversation of a customer: `state` is `open` or `handed_over`."""

    id: str
    customer_id: str
    state: str
    started_at: datetime
    last_at: datetime


def sessions(
    store: Store, customer_id: str, most: int = 10, before: str | None = None, prefix: str = ""
) -> list[Session]:
    """Return a customer's sessions, newest first; with `before`, without that session and those begun after it.

    With `prefix`, only those whose ids begin with it.
    """
    with store.read() as connection:
        query = select(SESSIONS).where(SESSIONS.c.customer_id == customer_id)
        query = query.where(SESSIONS.c.id.startswith(prefix, autoescape=True)) if prefix else query
        if before is not None:
            begun = connection.scalar(select(SESSIONS.c.started_at).where(SESSIONS.c.id == before))
            query = query.where(SESSIONS.c.id != before)
            query = query.where(SESSIONS.c.started_at <= begun) if begun else query
        rows = connection.execute(query.order_by(SESSIONS.c.last_at.desc(), SESSIONS.c.id).limit(most))
        return [_session(row) for row in rows]


def find_session(store: Store, session_id: str) -> Session | None:
    """Return a session, whoever's it is, or None where nothing was said in it."""
    with store.read() as connection:
        row = connection.execute(select(SESSIONS).where(SESSIONS.c.id == session_id)).one_or_none()
        return None if row is None else _session(row)


def handed_over(store: Store, most: int) -> list[Session]:
    """Return the sessions of all customers that a colleague takes over, the latest first."""
    query = select(SESSIONS).where(SESSIONS.c.state == "handed_over").order_by(SESSIONS.c.last_at.desc()).limit(most)
    with store.read() as connection:
        return [_session(row) for row in connection.execute(query)]


def latest_sessions(store: Store, most: int) -> list[Session]:
    """Return the sessions of all customers that were spoken in last, the latest first."""
    with store.read() as connection:
        rows = connection.execute(select(SESSIONS).order_by(SESSIONS.c.last_at.desc(), SESSIONS.c.id).limit(most))
        return [_session(row) for row in rows]


def transcript(store: Store, session_id: str, customer_id: str) -> list[Turn]:
    """Return all turns of a customer's session in order; empty where the session is not theirs."""
    with store.read() as connection:
        query = _turns(session_id, customer_id).order_by(TURNS.c.number)
        return [to_turn(row) for row in connection.execute(query)]


def page(store: Store, session_id: str, customer_id: str, most: int, after: int | None = None) -> list[Turn]:
    """Return up to `most` turns of a customer's session in order: the first after a turn's id, or else the last."""
    query = _turns(session_id, customer_id)
    with store.read() as connection:
        if after is None:
            newest = connection.execute(query.order_by(TURNS.c.number.desc()).limit(most)).all()
            return [to_turn(row) for row in reversed(newest)]
        rows = connection.execute(query.where(TURNS.c.id > after).order_by(TURNS.c.number).limit(most))
        return [to_turn(row) for row in rows]


def turn_of_request(store: Store, session_id: str, customer_id: str, key: str) -> Turn | None:
    """Return the turn that was kept with a request's key in a customer's session, None where there is none."""
    with store.read() as connection:
        query = _turns(session_id, customer_id).where(TURNS.c.request_key == hash_key(key))
        row = connection.execute(query).one_or_none()
        return None if row is None else to_turn(row)


def session_of_request(store: Store, customer_id: str, key: str, prefix: str) -> str:
    """Return the newest of a customer's sessions, by a prefix of their ids, with a turn of a request's key, or ""."""
    mine = (TURNS.c.customer_id == customer_id) & TURNS.c.session_id.startswith(prefix, autoescape=True)
    with store.read() as connection:
        query = select(TURNS.c.session_id).where(mine, TURNS.c.request_key == hash_key(key)).order_by(TURNS.c.id.desc())
        return connection.scalar(query.limit(1)) or ""


def hash_key(key: str) -> str:
    """Return what is kept of a request's key: what a client writes into it need not be found when it is forgotten."""
    return hashlib.sha256(key.encode()).hexdigest()


def around(store: Store, customer_id: str, turn_id: int, reach: int = 1) -> list[Turn]:
    """Return a customer's turn with up to `reach` before and after it in its session; empty where it is not theirs."""
    mine = (TURNS.c.id == turn_id) & (TURNS.c.customer_id == customer_id)
    with store.read() as connection:
        turn = connection.execute(select(TURNS.c.session_id, TURNS.c.number).where(mine)).one_or_none()
        if turn is None:
            return []
        near = TURNS.c.number.between(turn.number - reach, turn.number + reach)
        query = select(*COLUMNS).where(TURNS.c.session_id == turn.session_id, near).order_by(TURNS.c.number)
        return [to_turn(row) for row in connection.execute(query)]


def session_digest(store: Store, session_id: str) -> Digest:
    """Return the digest of a whole session, the turns still in the buffer included."""
    with store.read() as connection:
        return _whole_digest(connection, session_id)


def facts_of(store: Store, customer_id: str, *, history: bool = False) -> list[Fact]:
    """Return what a customer told us, newest first; with `history`, superseded values too."""
    with store.read() as connection:
        return told_by(connection, customer_id, history=history)[::-1]


def rate(store: Store, customer_id: str, turn_id: int, rating: int, now: datetime) -> None:
    """Store a thumb up (1) or down (-1) for a customer's turn; a second one replaces the first.

    Raises:
        ValueError: the rating is neither 1 nor -1, or the turn is not this customer's.
    """
    if rating not in (1, -1):
        raise ValueError(f"a rating is 1 or -1, not {rating}")
    with store.write() as connection:
        owner = connection.scalar(select(TURNS.c.customer_id).where(TURNS.c.id == turn_id))
        if owner != customer_id:
            raise ValueError(f"turn {turn_id} is not a turn of this customer")
        values = {"rating": rating, "at": to_text(now)}
        changed = connection.execute(update(FEEDBACK).where(FEEDBACK.c.turn_id == turn_id).values(**values))
        if not changed.rowcount:
            connection.execute(insert(FEEDBACK), {"turn_id": turn_id, **values})


def ratings(store: Store, session_id: str) -> dict[int, int]:
    """Return the ratings of a session's turns, turn id to 1 or -1."""
    query = select(FEEDBACK.c.turn_id, FEEDBACK.c.rating).join(TURNS, TURNS.c.id == FEEDBACK.c.turn_id)
    with store.read() as connection:
        rows = connection.execute(query.where(TURNS.c.session_id == session_id))
        return {row.turn_id: row.rating for row in rows}


def customers(store: Store) -> list[dict[str, Any]]:
    """Return every customer with the number of their turns and the time of the last, newest first."""
    query = (
        select(CUSTOMERS.c.id, func.count(TURNS.c.id).label("turns"), func.max(TURNS.c.at).label("last_at"))
        .join(TURNS, TURNS.c.customer_id == CUSTOMERS.c.id, isouter=True)
        .group_by(CUSTOMERS.c.id)
        .order_by(func.max(TURNS.c.at).desc())
    )
    with store.read() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def export(store: Store, customer_id: str) -> dict[str, Any]:
    """Return everything held about a customer, ready for JSON.

    Raises:
        NothingHeldError: nothing is held about such a customer.
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        held = {place.table.name: place.read(connection, Scope(customer_id)) for place in PLACES}
    if not held[CUSTOMERS.name]:
        raise NothingHeldError(f"Nothing is held about a customer {customer_id!r}.")
    return {
        "customer_id": customer_id,
        "created_at": held.pop(CUSTOMERS.name)[0].created_at,
        **{name: [_plain(row) for row in rows] for name, rows in held.items()},
    }


def _turns(session_id: str, customer_id: str) -> Select[Any]:
    return select(*COLUMNS).where(TURNS.c.session_id == session_id, TURNS.c.customer_id == customer_id)


def _session(row: Row[Any]) -> Session:
    return Session(row.id, row.customer_id, row.state, from_text(row.started_at), from_text(row.last_at))


def _plain(row: Row[Any]) -> dict[str, Any]:
    """Return a row ready for JSON: bytes in base 64."""
    return {
        name: b64encode(value).decode() if isinstance(value, bytes) else value for name, value in row._mapping.items()
    }


def _whole_digest(connection: Connection, session_id: str) -> Digest:
    digest, _, _ = load_summaries(connection, session_id)
    newest = connection.scalar(select(func.max(TURNS.c.number)).where(TURNS.c.session_id == session_id)) or 0
    return digest.fold_all(turns_between(connection, session_id, digest.covers, newest))
