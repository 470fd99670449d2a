"""Recall: a customer's past turns, found by meaning, by words and by date, each with the turns around it.

Whose memory it is comes first: every customer has an index of their own, built from their rows when somebody looks for
what they said and kept while it is among the most recently used. So the cost of one customer's turn does not grow with
other customers' data, and nobody's turns can turn up in another's memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, insert, select

from memory.buffer import COLUMNS, to_turn
from memory.checksums import verify
from memory.store import Turn, from_text
from memory.tables import TURNS, VECTORS
from retrieval.dialogue import DialogueIndex, Hit, Said
from retrieval.encoder import DIM, Encoder

MOST_TURNS = 10_000  # indexed turns kept in memory over all customers, 2.2 KB each: about 22 MB
_OWN_TURNS = 8  # what an index takes by itself, in turns: one of ten turns takes 40 KB
_ROUNDING = 1e-3  # how far the length of a sound unit vector may be from 1

_NEW = (
    select(*COLUMNS, VECTORS.c.vector, VECTORS.c.encoder)
    .join(VECTORS, VECTORS.c.turn_id == TURNS.c.id, isouter=True)
    .where(TURNS.c.customer_id == bindparam("customer_id"), TURNS.c.id > bindparam("after"))
    .order_by(TURNS.c.id)
)
_ADD_VECTORS = insert(VECTORS)
_BY_ID = select(*COLUMNS).where(TURNS.c.id.in_(bindparam("ids", expanding=True)))


@dataclass(frozen=True)
class Recalled:
    """A past turn that may matter now, with the turns before and after it in its session, where there are any.

    `similarity` is the cosine of its message's meaning to the new one's; `evidence` says how much speaks for it that
    what the new message asks about was said there (`retrieval.dialogue.Hit`).
    """

    turn: Turn
    similarity: float
    evidence: float
    before: Turn | None
    after: Turn | None


class _CustomerIndex:
    """Everything one customer ever said here, ready to be searched.

    `last` is the newest turn id it covers, `counted` what it counts towards `MOST_TURNS`.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.turns = DialogueIndex()
        self.last = 0
        self.counted = _OWN_TURNS
        self.lock = threading.Lock()


class Recall:
    """Finds past turns of one customer; safe to use from several threads."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self._indexes: OrderedDict[str, _CustomerIndex] = OrderedDict()
        self._counted = 0

    def search(
        self,
        connection: Connection,
        customer_id: str,
        text: str,
        query: NDArray[np.float32],
        now: datetime,
        k: int,
        exclude: Collection[int] = (),
        epoch: int = 0,
    ) -> list[Recalled]:
        """Return up to `k` past turns of a customer, best first, without those in `exclude`.

        `query` is the unit vector of `text`, of shape `(384,)`; dates in the text are understood as said at `now`.
        `epoch` is the customer's as the connection sees it: an index of another epoch holds what was forgotten, perhaps
        by another process, and is not used.
        """
        index = self._index(customer_id, epoch)
        with index.lock:
            self._catch_up(connection, customer_id, index)
            hits = index.turns.search(text, query, now.date(), k, exclude)
        return _with_turns(connection, hits)

    def forget(self, customer_id: str) -> None:
        """Drop what is held about a customer; the next search builds it again from the rows that are left."""
        with self._lock:
            index = self._indexes.pop(customer_id, None)
            self._counted -= index.counted if index else 0

    def _index(self, customer_id: str, epoch: int) -> _CustomerIndex:
        with self._lock:
            index = self._indexes.get(customer_id)
            if index is None or index.epoch != epoch:
                self._counted -= index.counted if index else 0
                index = self._indexes[customer_id] = _CustomerIndex(epoch)
                self._counted += index.counted
            self._indexes.move_to_end(customer_id)
            while len(self._indexes) > 1 and self._counted > MOST_TURNS:
                self._counted -= self._indexes.popitem(last=False)[1].counted
            return index

    def _count(self, customer_id: str, index: _CustomerIndex, turns: int) -> None:
        """Count what an index has grown by, unless it has been dropped meanwhile."""
        with self._lock:
            if self._indexes.get(customer_id) is index:
                index.counted += turns
                self._counted += turns

    def _catch_up(self, connection: Connection, customer_id: str, index: _CustomerIndex) -> None:
        rows = connection.execute(_NEW, {"customer_id": customer_id, "after": index.last}).all()
        if not rows:
            return
        usable = [row.encoder == self._encoder.name and len(row.vector) == 4 * DIM for row in rows]
        vectors = np.zeros((len(rows), DIM), dtype=np.float32)
        for place, good in enumerate(usable):
            if good:
                vectors[place] = np.frombuffer(rows[place].vector, dtype="<f4")
        with np.errstate(over="ignore", invalid="ignore"):
            unit = np.abs(np.linalg.norm(vectors, axis=1) - 1) < _ROUNDING
        usable = [good and bool(whole) for good, whole in zip(usable, unit, strict=True)]
        stale = [place for place, good in enumerate(usable) if not good]
        if stale:  # the vectors are missing, damaged or another encoder's: derived things are made again
            vectors[stale] = self._encoder.encode([rows[place].text or rows[place].reply for place in stale])
        index.turns.add([_said(row) for row in rows], vectors)
        index.last = rows[-1].id
        self._count(customer_id, index, len(rows))


def _said(row: Any) -> Said:
    verify("turns", row)
    return Said(row.id, row.session_id, from_text(row.at).date(), f"{row.text}\n{row.reply}")


def _with_turns(connection: Connection, hits: Sequence[Hit]) -> list[Recalled]:
    wanted = {key for hit in hits for key in (hit.id, hit.before, hit.after) if key is not None}
    if not wanted:
        return []
    turns = {row.id: to_turn(row) for row in connection.execute(_BY_ID, {"ids": sorted(wanted)})}
    return [
        Recalled(turns[hit.id], hit.similarity, hit.evidence, turns.get(hit.before or 0), turns.get(hit.after or 0))
        for hit in hits
        if hit.id in turns
    ]


def store_vectors(
    connection: Connection, encoder: Encoder, turn_ids: Sequence[int], vectors: NDArray[np.float32]
) -> None:
    """Store the vectors of turns that have none, of shape `(n, 384)`."""
    rows = [
        {"turn_id": turn_id, "encoder": encoder.name, "vector": vector.astype("<f4").tobytes()}
        for turn_id, vector in zip(turn_ids, vectors, strict=True)
    ]
    connection.execute(_ADD_VECTORS, rows)
