"""Forgetting: everything of a customer, one session, one turn or one fact, from every place that holds it.

    forget = evidence of what will go  ->  files made from it  ->  rows, in one transaction  ->  indexes in memory
             ->  free pages and write-ahead log overwritten

What the evidence holds never leaves this process; `receipt.issue` makes fingerprints of it. A turn that was under way
is not kept (`ForgottenError`), since it may hold what was forgotten.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import JSON, ColumnElement, Connection, Row, Table, Text, and_, delete, func, select, update

from memory.checksums import checksum, verify
from memory.conversation import ConversationMemory
from memory.facts import FactSpec
from memory.fingerprints import WIDTH, windows
from memory.places import PLACES, Place, Scope
from memory.recall import store_vectors
from memory.redaction import clean, hider
from memory.summary import drop_summaries
from memory.tables import CUSTOMERS, FACTS, TURNS, VECTORS

_BEFORE = 16  # bytes of a window over the seam of two columns that are of the first


class Files(Protocol):
    """Files that hold text made from customers' messages."""

    name: str
    evidence: Sequence[bytes]  # windows of what was removed, beside those of the messages themselves

    def erase(self, texts: Sequence[str]) -> int:
        """Remove some messages; return how many places held one."""


@dataclass(frozen=True)
class Erased:
    """What was forgotten: how many rows or entries of each place, and windows of bytes that must be nowhere now.

    `newest` is the newest turn's id of any customer at that time; `stays` are the customer's texts that stay by right.
    """

    scope: Scope
    removed: Mapping[str, int]
    newest: int = 0
    evidence: Sequence[bytes] = field(default=(), repr=False)
    stays: Sequence[bytes] = field(default=(), repr=False)


def forget(memory: ConversationMemory, scope: Scope, files: Sequence[Files] = ()) -> Erased:
    """Forget a scope everywhere.

    A forgotten fact goes with all its earlier values, also from the turns that mention them: they stay, with `[…]`
    where a value stood; their vectors and their sessions' summaries are made again.

    Raises:
        StoreError: the rows cannot be deleted, or are deleted and not yet overwritten.
        OSError: one of the files cannot be written.
    """
    with memory.store.read() as connection:
        texts = [] if scope.fact else [row.text for row in _place(TURNS).read(connection, scope)]
    removed = {one.name: one.erase(texts) for one in files}
    of_files = [window for one in files for window in one.evidence]
    with memory.store.write() as connection:
        newest = connection.scalar(select(func.max(TURNS.c.id))) or 0
        if scope.fact:
            gone, evidence, stays = _forget_fact(memory, connection, scope)
        else:
            evidence, stays = _evidence(connection, scope)
            gone = {place.table.name: place.delete(connection, scope) for place in PLACES}
        new_epoch = update(CUSTOMERS).where(CUSTOMERS.c.id == scope.customer_id).values(epoch=time.time_ns())
        connection.execute(new_epoch)
        if rows_went := any(gone.values()):
            memory.store.owe_purge(connection)
    if rows_went:
        memory.drop_caches(scope.customer_id)
    memory.store.purge()  # also one that an earlier erasure owes
    return Erased(scope, {**gone, **removed}, newest, [*evidence, *of_files], stays)


def _place(table: Any) -> Place:
    return next(place for place in PLACES if place.table is table)


def _evidence(connection: Connection, scope: Scope) -> tuple[list[bytes], list[bytes]]:
    """Return windows of all rows of a scope, and what stays of the customer beside it."""
    gone, stays = list[bytes](), list[bytes]()
    for place in PLACES:
        if not (place.derived and scope.turn_id):  # a summary that is made again may say the same of other turns
            gone += [
                window for row in place.read(connection, scope) for text in stored(row) for window in windows(text)
            ]
        stays += [text for row in place.read_others(connection, scope) for text in stored(row)]
    return gone, stays


def stored(row: Iterable[Any]) -> Iterator[bytes]:
    """Yield the stretches of text and bytes that a row is stored as: SQLite writes neighbouring columns side by side.

    Where two columns meet there is mostly what no other row has, such as a time and the words that were said then. Of
    JSON, the strings as they are escaped there: the rest is alike for everybody. https://sqlite.org/fileformat2.html
    """
    stretch = b""
    for value in row:
        if isinstance(value, str | bytes):
            content = value.encode() if isinstance(value, str) else value
            yield from (content, stretch[-_BEFORE:] + content[: WIDTH - _BEFORE])
            stretch += content
        else:
            yield stretch
            stretch = b""
        if isinstance(value, dict | list):
            yield from _leaves(value)
    yield stretch


def _leaves(value: Any) -> Iterator[bytes]:
    if isinstance(value, str):
        yield json.dumps(value)[1:-1].encode()
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)


def _forget_fact(
    memory: ConversationMemory, connection: Connection, scope: Scope
) -> tuple[dict[str, int], list[bytes], list[bytes]]:
    """Delete a fact's values and redact what mentions them; return what changed, the evidence, and what stays."""
    mine = (FACTS.c.customer_id == scope.customer_id) & (FACTS.c.name == scope.fact)
    rows = connection.execute(select(FACTS).where(mine)).all()
    evidence = [window for row in rows for text in stored(row) for window in windows(text)]
    connection.execute(FACTS.delete().where(mine))
    hide = hider(memory.specs.get(scope.fact, FactSpec(scope.fact, scope.fact)), [row.value for row in rows])
    changed, stays, turns = {FACTS.name: len(rows)}, list[bytes](), dict[int, str]()
    sessions: set[str] = set()
    for place in PLACES if rows else ():
        for row, new in _redacted(place, connection, Scope(scope.customer_id), hide):
            whole = {**row._mapping, **new}
            stays += [] if place.derived or place.table is VECTORS else stored(whole.values())
            if new == {name: row._mapping[name] for name in new}:
                continue
            evidence += _difference(row, whole)
            changed[place.table.name] = changed.get(place.table.name, 0) + 1
            if "checksum" in whole:
                new["checksum"] = checksum(place.table.name, whole)
            connection.execute(update(place.table).where(_is(place.table, row)).values(**new))
            if place.table is TURNS:
                turns[row.id] = new["text"] or new["reply"]
                sessions.add(row.session_id)
    drop_summaries(connection, sorted(sessions))
    if turns:
        vectors = connection.scalars(select(VECTORS.c.vector).where(VECTORS.c.turn_id.in_(turns))).all()
        evidence += [window for vector in vectors for window in windows(vector)]
        connection.execute(delete(VECTORS).where(VECTORS.c.turn_id.in_(turns)))
        store_vectors(connection, memory.encoder, list(turns), memory.encoder.encode(list(turns.values())))
    return {**changed, VECTORS.name: len(turns)}, evidence, stays


def _redacted(
    place: Place, connection: Connection, scope: Scope, hide: Callable[[str], str]
) -> Iterator[tuple[Row[Any], dict[str, Any]]]:
    """Yield the rows of a scope with what their free text becomes."""
    names = [column.name for column in place.table.columns if isinstance(column.type, Text | JSON)]
    for row in place.read(connection, scope):
        if place.owner == "turn" and "checksum" in place.table.c:
            verify(place.table.name, row)  # a new checksum would hide that it is damaged
        yield row, {name: clean(row._mapping[name], hide) for name in names}


def _is(table: Table, row: Row[Any]) -> ColumnElement[bool]:
    return and_(*(column == row._mapping[column.name] for column in table.primary_key))


def _difference(old: Row[Any], new: Mapping[str, Any]) -> list[bytes]:
    """Return windows of a row as it was that are not in it as it has become."""
    stays = b"\0".join(stored(new.values()))
    return [window for text in stored(old) for window in windows(text, stays)]
