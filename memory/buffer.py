"""Buffer memory: the last turns of a session, verbatim, within a token budget."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, select

from memory.store import Turn, from_text
from memory.tables import TURNS

COLUMNS = (
    TURNS.c.id,
    TURNS.c.session_id,
    TURNS.c.number,
    TURNS.c.at,
    TURNS.c.text,
    TURNS.c.reply,
    TURNS.c.decision,
    TURNS.c.tokens,
)
_LAST = (
    select(*COLUMNS)
    .where(TURNS.c.session_id == bindparam("session_id"))
    .order_by(TURNS.c.number.desc())
    .limit(bindparam("most"))
)


def to_turn(row: Any) -> Turn:
    """Return a row of `COLUMNS` as a turn."""
    return Turn(row.id, row.session_id, row.number, from_text(row.at), row.text, row.reply, row.decision, row.tokens)


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
