"""Customers with long histories, written straight into the tables as the bot itself would have left them.

Not run by itself; `python -m benchmarks.turn` uses it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, insert, select

from bot import Chatbot
from memory import Store, Turn
from memory.buffer import load_buffer
from memory.store import to_text
from memory.summary import Digest, store_digest
from memory.tables import CUSTOMERS, FACTS, SESSIONS, TURNS, VECTORS

EARLIER_SESSIONS = 5
EARLIER_SESSION_TURNS = 20
_FACT_EVERY = 20  # turns between two order numbers
_BATCH = 2000  # rows inserted at once


@dataclass(frozen=True)
class Sample:
    """One realistic turn: a customer message with its vector `(384,)`, and the reply that the bot gives to it."""

    text: str
    reply: str
    decision: dict[str, Any]
    tokens: int
    vector: NDArray[np.float32]


def safe_messages(bot: Chatbot, messages: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the labelled messages without those that could make the bot forget the history that is measured."""
    answers = bot.desk.answers
    return [
        (text, intent) for text, intent in messages if not answers[intent].forget and answers[intent].means != "yes"
    ]


def make_samples(bot: Chatbot, most: int, seed: int = 0) -> list[Sample]:
    """Return up to `most` turns made of the desk's own messages; each intent's reply is one the bot gave itself."""
    messages = safe_messages(bot, bot.desk.messages)
    random.Random(seed).shuffle(messages)  # noqa: S311
    messages = messages[:most]
    replies: dict[str, Turn] = {}
    for text, intent in messages:
        if intent not in replies:
            replies[intent] = _reply(bot, text)
    vectors = bot.models.encoder.encode([text for text, _ in messages])
    count = bot.models.encoder.count_tokens
    return [
        Sample(
            text,
            replies[intent].reply,
            replies[intent].decision,
            count(text) + count(replies[intent].reply),
            vectors[row],
        )
        for row, (text, intent) in enumerate(messages)
    ]


def fill(bot: Chatbot, customer: str, turns: int, samples: Sequence[Sample]) -> str:
    """Give a customer a history of `turns` turns, most of them in one session; return that session's id.

    Up to five earlier sessions of 20 turns come first, but never more than half of the turns. Every 20th turn brings
    an order number, which ends the one before it.
    """
    started = bot.clock() - timedelta(days=60)
    sizes = [*earlier_sessions(turns), turns - sum(earlier_sessions(turns))]
    with bot.memory.store.write() as connection:
        connection.execute(insert(CUSTOMERS), {"id": customer, "created_at": to_text(started)})
        offset = 0
        for number, size in enumerate(sizes):
            session = f"{customer}.{number}"
            _fill_session(bot, connection, customer, session, size, samples, started + timedelta(minutes=offset))
            offset += size
    return session


def earlier_sessions(turns: int) -> list[int]:
    """Return the lengths of the sessions before the one under way, in a history of `turns` turns."""
    whole, rest = divmod(min(turns // 2, EARLIER_SESSIONS * EARLIER_SESSION_TURNS), EARLIER_SESSION_TURNS)
    return [EARLIER_SESSION_TURNS] * whole + [rest] * (rest > 0)


def fill_others(bot: Chatbot, turns: int, samples: Sequence[Sample]) -> None:
    """Store `turns` turns of other customers, one session of 20 each."""
    for number in range(turns // EARLIER_SESSION_TURNS):
        fill(bot, f"other{number}", EARLIER_SESSION_TURNS, samples[number % 7 :])


def settle(store: Store) -> None:
    """Write everything into the database file, so that no measured turn pays for the filling."""
    with store.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _reply(bot: Chatbot, text: str) -> Turn:
    """Return the turn that a message leads to in a session of its own."""
    reply = bot.respond(text)
    with bot.memory.store.read() as connection:
        return load_buffer(connection, reply.session_id, budget=0, most=1)[0]


def _fill_session(
    bot: Chatbot,
    connection: Connection,
    customer: str,
    session: str,
    size: int,
    samples: Sequence[Sample],
    started: datetime,
) -> None:
    times = [started + timedelta(minutes=number) for number in range(size)]
    row = {"id": session, "customer_id": customer, "state": "open", "started_at": to_text(times[0])}
    connection.execute(insert(SESSIONS), {**row, "last_at": to_text(times[-1])})
    first = (connection.scalar(select(func.max(TURNS.c.id))) or 0) + 1
    chosen = [samples[(first + number) % len(samples)] for number in range(size)]
    turns = [
        Turn(first + number, session, number + 1, times[number], one.text, one.reply, one.decision, one.tokens)
        for number, one in enumerate(chosen)
    ]
    rows = [{**vars(turn), "at": to_text(turn.at), "customer_id": customer} for turn in turns]
    name = bot.models.encoder.name
    vectors = [
        {"turn_id": turn.id, "encoder": name, "vector": one.vector.tobytes()}
        for turn, one in zip(turns, chosen, strict=True)
    ]
    for start in range(0, size, _BATCH):
        connection.execute(insert(TURNS), rows[start : start + _BATCH])
        connection.execute(insert(VECTORS), vectors[start : start + _BATCH])
    _fill_facts(connection, customer, turns)
    limits = bot.desk.settings.memory
    covers = load_buffer(connection, session, limits.buffer_tokens, limits.buffer_turns)[0].number - 1
    if covers:
        digest = replace(Digest().fold_all(turns[:covers]), covers=covers)
        store_digest(connection, session, customer, digest)


def _fill_facts(connection: Connection, customer: str, turns: Sequence[Turn]) -> None:
    saying = turns[::_FACT_EVERY]
    now = to_text(turns[-1].at)
    connection.execute(
        FACTS.update()
        .where(FACTS.c.customer_id == customer, FACTS.c.superseded_at.is_(None))
        .values(superseded_at=to_text(turns[0].at))
    )
    rows = [
        {
            "customer_id": customer,
            "turn_id": turn.id,
            "name": "order_number",
            "value": f"R-{10100 + place % 100}",
            "said_at": to_text(turn.at),
            "superseded_at": None if turn is saying[-1] else now,
        }
        for place, turn in enumerate(saying)
    ]
    connection.execute(insert(FACTS), rows)
