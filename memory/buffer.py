"""Buffer memory: the last turns of a session, verbatim, within a token budget."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Text, bindparam, cast, select

from memory.checksums import verify
from memory.store import Turn, from_text
from memory.tables import TURNS

COLUMNS = (
    TURNS.c.id,
    TURNS.c.customer_id,
    TURNS.c.session_id,
    TURNS.c.number,
    TURNS.c.at,
    TURNS.c.text,
    TURNS.c.reply,
    cast(TURNS.c.decision, Text).label("decision"),  # as it is stored: its checksum comes first
    TURNS.c.tokens,
    TURNS.c.checksum,
)
_LAST = (
    select(*COLUMNS)
    .where(TURNS.c.session_id == bindparam("session_id"))
    .order_by(TURNS.c.number.desc())
    .limit(bindparam("most"))
)


def to_turn(row: Any) -> Turn:
    """Return a row of `COLUMNS` as a turn.

    Raises:
        AlteredError: it does not say what was written.
    """
    verify("turns", row)
    decision = json.loads(row.decision)
    return Turn(row.id, row.session_id, row.number, from_text(row.at), row.text, row.reply, decision, row.tokens)


def load_buffer(connection: Connection, session_id: str, budget: int, most: int) -> list[Turn]:
    """Return the last turns of a session, oldest first: at most `most` of them and `budget` tokens in all.

    The very last turn is always there, however long it is: the bot must know what it has just said.
    """
    kept: list[Turn] = []
    spent = 0
    for row in connection.execute(_LAST, {"session_id": session_id, "most": most}):
        spent += row.tokens
        if kept and spent > budget:
            break
        kept.append(to_turn(row))
    return kept[::-1]
