"""Forgetting: one fact, one turn, one session or a whole customer, from every table and index that holds it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from memory.conversation import ConversationMemory
from memory.facts import FactSpec
from memory.recall import store_vectors
from memory.summary import drop_summaries
from memory.tables import COMMITMENTS, CUSTOMERS, FACTS, SESSIONS, TURNS

GONE = "[…]"  # stands where a forgotten value stood


def forget_customer(memory: ConversationMemory, customer_id: str) -> int:
    """Remove everything held about a customer; return how many turns that was."""
    with memory.store.write() as connection:
        turns = _delete_turns(connection, TURNS.c.customer_id == customer_id)
        connection.execute(delete(SESSIONS).where(SESSIONS.c.customer_id == customer_id))
        connection.execute(delete(CUSTOMERS).where(CUSTOMERS.c.id == customer_id))
    _settle(memory, customer_id)
    return turns


def forget_session(memory: ConversationMemory, customer_id: str, session_id: str) -> int:
    """Remove one session of a customer; return how many turns that was, 0 where the session is not theirs."""
    theirs = (SESSIONS.c.id == session_id) & (SESSIONS.c.customer_id == customer_id)
    with memory.store.write() as connection:
        condition = (TURNS.c.session_id == session_id) & (TURNS.c.customer_id == customer_id)
        turns = _delete_turns(connection, condition)
        connection.execute(delete(SESSIONS).where(theirs))
    _settle(memory, customer_id)
    return turns


def forget_turn(memory: ConversationMemory, customer_id: str, turn_id: int) -> int:
    """Remove one turn of a customer; return 1, or 0 where the turn is not theirs."""
    with memory.store.write() as connection:
        condition = (TURNS.c.id == turn_id) & (TURNS.c.customer_id == customer_id)
        session_id = connection.scalar(select(TURNS.c.session_id).where(condition))
        turns = _delete_turns(connection, condition)
        if session_id is not None:
            drop_summaries(connection, [session_id])
    _settle(memory, customer_id)
    return turns


def forget_fact(memory: ConversationMemory, customer_id: str, name: str) -> int:
    """Remove a fact with all its earlier values, also from the turns that mention them; return how many values.

    The turns stay, with `[…]` where a value stood; their vectors and their sessions' summaries are made again.
    """
    with memory.store.write() as connection:
        mine = (FACTS.c.customer_id == customer_id) & (FACTS.c.name == name)
        values = list(connection.scalars(select(FACTS.c.value).where(mine)))
        if values:
            connection.execute(delete(FACTS).where(mine))
            _redact(memory, connection, customer_id, memory.specs.get(name, FactSpec(name, name)), values)
    _settle(memory, customer_id)
    return len(values)


def _mentions(values: Sequence[str], form: str) -> re.Pattern[str]:
    """Return a pattern for values however they were typed: in any case and spacing, with the form's prefix or not."""
    prefix, _, suffix = form.partition("{value}")
    parts = []
    for value in values:
        core = value.removeprefix(prefix).removesuffix(suffix)
        loose = r"[\s,]*".join(re.escape(word) for word in core.split())
        parts.append(rf"(?:{re.escape(prefix.rstrip('- '))}[\s-]*)?{loose}" if prefix else loose)
    longest_first = "|".join(sorted(parts, key=len, reverse=True))
    # A value may stand in quotation marks, but the s of "it's" is no value.
    return re.compile(rf"(?<!\w)(?<!\w['’])(?:{longest_first})(?!\w)", re.IGNORECASE)


def _redact(
    memory: ConversationMemory, connection: Connection, customer_id: str, spec: FactSpec, values: Sequence[str]
) -> None:
    pattern = _mentions(values, spec.form)

    def hide(text: str) -> str:
        text = pattern.sub(GONE, text)
        for start, end in reversed(spec.spans(text, values)):
            text = text[:start] + GONE + text[end:]
        return text

    rows = connection.execute(
        select(TURNS.c.id, TURNS.c.session_id, TURNS.c.text, TURNS.c.reply, TURNS.c.decision).where(
            TURNS.c.customer_id == customer_id
        )
    ).all()
    touched, sessions = [], set()
    for row in rows:
        new = {"text": row.text, "reply": row.reply, "decision": row.decision}
        clean = _clean(new, hide)
        if clean != new:
            connection.execute(update(TURNS).where(TURNS.c.id == row.id).values(**clean))
            touched.append((row.id, clean["text"]))
            sessions.add(row.session_id)
    mine = COMMITMENTS.c.customer_id == customer_id
    for promise in connection.execute(select(COMMITMENTS.c.id, COMMITMENTS.c.text).where(mine)).all():
        connection.execute(update(COMMITMENTS).where(COMMITMENTS.c.id == promise.id).values(text=hide(promise.text)))
    if touched:
        vectors = memory.encoder.encode([text for _, text in touched])
        store_vectors(connection, memory.encoder, [turn_id for turn_id, _ in touched], vectors)
        drop_summaries(connection, sorted(sessions))


def _clean(value: Any, hide: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {key: _clean(part, hide) for key, part in value.items()}
    if isinstance(value, list):
        return [_clean(part, hide) for part in value]
    return value


def _delete_turns(connection: Connection, condition: Any) -> int:
    """Delete turns; their vectors, facts and feedback go with them by the tables' own rules."""
    return connection.execute(delete(TURNS).where(condition)).rowcount


def _settle(memory: ConversationMemory, customer_id: str) -> None:
    """Drop the customer's index and wipe what was deleted from the database's files."""
    memory.recall.forget(customer_id)
    memory.store.purge()
