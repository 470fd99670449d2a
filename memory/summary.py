"""Summary memory: a running digest of the turns that left the buffer, and the chat model's prose where there is one.

The digest is exact and free: it folds the decision records of the turns, one at a time, so that its cost per turn does
not depend on how long the conversation is. Prose is written by a chat model from the previous prose and the turns that
are new; a failure leaves everything as it was, and the next turn tries again. Both are derived: deleted, they are made
again from the turns, which they never change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from memory.buffer import COLUMNS, to_turn
from memory.store import Store, StoreError, Turn, to_text
from memory.tables import SUMMARIES, TURNS

_LOG = logging.getLogger(__name__)
MOST_TOPICS = 12
MOST_PROMISES = 8

# Writes the new prose from the old prose and the turns it does not cover yet.
SummaryWriter = Callable[[str, Sequence[Turn]], str]


@dataclass(frozen=True)
class Digest:
    """What a stretch of conversation came to: each topic with what became of it, and what was promised when.

    `topics` maps a topic to `answered`, `open` or `handed_over`, oldest first; `promises` pairs a time (ISO 8601) with
    a promise; `covers` is the number of the last turn folded in, `first` and `last` are turn ids.
    """

    topics: tuple[tuple[str, str], ...] = ()
    promises: tuple[tuple[str, str], ...] = ()
    covers: int = 0
    first: int | None = None
    last: int | None = None

    def fold(self, turn: Turn) -> Digest:
        """Return this digest with one more turn in it."""
        topics = dict(self.topics)
        if topic := turn.decision.get("topic"):
            topics.pop(topic, None)  # a topic that comes up again moves to the end
            topics[topic] = turn.decision.get("state", "open")
        promises = dict.fromkeys(self.promises)
        if promise := turn.decision.get("promise"):
            promises[(to_text(turn.at), promise)] = None
        return replace(
            self,
            topics=tuple(topics.items())[-MOST_TOPICS:],
            promises=tuple(promises)[-MOST_PROMISES:],
            covers=turn.number,
            first=self.first or turn.id,
            last=turn.id,
        )

    def fold_all(self, turns: Iterable[Turn]) -> Digest:
        """Return this digest with more turns in it, in the order given."""
        digest = self
        for turn in turns:
            digest = digest.fold(turn)
        return digest


_READ = select(SUMMARIES).where(SUMMARIES.c.session_id == bindparam("session_id"))
_BETWEEN = (
    select(*COLUMNS)
    .where(
        TURNS.c.session_id == bindparam("session_id"),
        TURNS.c.number > bindparam("after"),
        TURNS.c.number <= bindparam("upto"),
    )
    .order_by(TURNS.c.number)
)


def load_summaries(connection: Connection, session_id: str) -> tuple[Digest, str, int]:
    """Return the digest of a session, the chat model's prose (may be empty) and the last turn number it covers."""
    digest, prose, covers = Digest(), "", 0
    for row in connection.execute(_READ, {"session_id": session_id}):
        if row.writer == "digest":
            first, last = row.turn_ids
            topics = tuple((topic, state) for topic, state in row.content["topics"])
            promises = tuple((at, promise) for at, promise in row.content["promises"])
            digest = Digest(topics, promises, row.covers, first, last)
        else:
            prose, covers = row.content["text"], row.covers
    return digest, prose, covers


def turns_between(connection: Connection, session_id: str, after: int, upto: int) -> list[Turn]:
    """Return the turns of a session with a number above `after` and at most `upto`, in order."""
    return [
        to_turn(row) for row in connection.execute(_BETWEEN, {"session_id": session_id, "after": after, "upto": upto})
    ]


def store_digest(connection: Connection, session_id: str, customer_id: str, digest: Digest) -> None:
    """Store a session's digest in place of the older one."""
    content = {"topics": digest.topics, "promises": digest.promises}
    _store(connection, session_id, customer_id, "digest", content, (digest.first, digest.last), digest.covers)


def write_prose(store: Store, session_id: str, customer_id: str, writer: SummaryWriter) -> bool:
    """Let a chat model write the prose of the turns that left the buffer; return whether there is a new one.

    A model that fails or says nothing changes nothing; what it should have covered is covered next time.
    """
    try:
        with store.read() as connection:
            digest, prose, covers = load_summaries(connection, session_id)
            turns = turns_between(connection, session_id, covers, digest.covers)
        if not turns:
            return False
        text = writer(prose, turns).strip()
        if not text:
            raise ValueError("the chat model returned an empty summary")
        with store.write() as connection:
            # Forgotten or written meanwhile: the prose may hold what must not return.
            if load_summaries(connection, session_id)[1:] != (prose, covers):
                return False
            if turns_between(connection, session_id, covers, digest.covers) != turns:
                return False
            ids = (digest.first, turns[-1].id)
            _store(connection, session_id, customer_id, "model", {"text": text}, ids, digest.covers)
    except StoreError:
        raise
    except Exception:  # noqa: BLE001 - whatever a chat model's client raises: the edge of a request
        _LOG.warning("The chat model could not summarise session %s; it is tried again later.", session_id)
        return False
    return True


def drop_summaries(connection: Connection, session_ids: Sequence[str]) -> None:
    """Delete the summaries of sessions; they are made again from the turns that are left."""
    connection.execute(delete(SUMMARIES).where(SUMMARIES.c.session_id.in_(list(session_ids))))


def _store(
    connection: Connection,
    session_id: str,
    customer_id: str,
    writer: str,
    content: dict[str, Any],
    ids: tuple[int | None, int | None],
    covers: int,
) -> None:
    key = (SUMMARIES.c.session_id == session_id) & (SUMMARIES.c.writer == writer)
    connection.execute(delete(SUMMARIES).where(key))
    connection.execute(
        SUMMARIES.insert(),
        {
            "session_id": session_id,
            "writer": writer,
            "customer_id": customer_id,
            "content": content,
            "turn_ids": list(ids),
            "covers": covers,
        },
    )
