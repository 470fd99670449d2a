"""A log in order: read once, put by customer and time into a file of its own, and given back in units of work.

A unit holds whole customers, so that one can be lived through without the others; which they are depends on the log
alone.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.problems import RapportError
from bot.replay.readers import Reading, Wrong
from bot.replay.run_folder import LogInfo, from_line, to_line
from finetune.logs import Conversation
from memory.store import to_text

LOG = "log.sqlite"  # what the file is called, in a run's work/
UNITS = 60  # into how many a log is shared out, as far as they are then of a size that works well
LEAST_TURNS, MOST_TURNS = 100, 500  # customer turns from which on a unit is full: what is done again once interrupted
_ROWS = 10_000  # customers written at once
_TABLES = """
CREATE TABLE conversations (id INTEGER PRIMARY KEY, customer TEXT, at TEXT, until TEXT, turns INTEGER, content TEXT);
CREATE TABLE customers (customer TEXT PRIMARY KEY, first INTEGER, unit INTEGER) WITHOUT ROWID;
CREATE TABLE info (content TEXT);
CREATE TABLE wrong (sentence TEXT);
"""


class Staging:
    """A log that has been staged."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._open() as connection:
            self.log = from_line(LogInfo, connection.execute("SELECT content FROM info").fetchone()[0].encode())
            self.units: int = connection.execute("SELECT COALESCE(MAX(unit), -1) + 1 FROM customers").fetchone()[0]

    def unit(self, number: int) -> Iterator[Conversation]:
        """Yield the conversations of a unit, those of a customer together and in order of time."""
        query = (
            "SELECT content FROM customers JOIN conversations USING (customer) WHERE unit = ? "
            "ORDER BY first, at, conversations.id"
        )
        with self._open() as connection:
            for (content,) in connection.execute(query, (number,)):
                yield Conversation.model_validate_json(content)

    def wrong(self) -> list[str]:
        """Return a sentence for each of the first records that could not be read."""
        with self._open() as connection:
            return [sentence for (sentence,) in connection.execute("SELECT sentence FROM wrong ORDER BY rowid")]

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)


def stage(
    reading: Reading,
    name: str,
    file: Path,
    *,
    masked: bool,
    wrong: Wrong | None = None,
    progress: Callable[[str, float], None] = lambda _what, _share: None,
) -> Staging:
    """Put a log into a file, whole or not at all; conversations without a customer's word are left out.

    `wrong` is what the reading tells of records that cannot be read.

    Raises:
        RapportError: nothing in the log can be replayed, or the reading ends.
        OSError: the file cannot be written.
    """
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    connection = sqlite3.connect(draft)
    connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _TABLES)
    try:
        digest = hashlib.sha256()
        insert = "INSERT INTO conversations (customer, at, until, turns, content) VALUES (?, ?, ?, ?, ?)"
        connection.executemany(insert, _rows(reading, digest, progress))
        connection.execute("CREATE INDEX of_customer ON conversations (customer, at)")
        turns, conversations, first, last = connection.execute(
            "SELECT COALESCE(SUM(turns), 0), COUNT(*), MIN(at), MAX(until) FROM conversations"
        ).fetchone()
        if not turns:
            raise RapportError(f"{name} holds no message of a customer; there is nothing to replay.")
        info = LogInfo(
            name=name,
            sha256=digest.hexdigest(),
            forms=tuple(sorted(reading.forms)),
            masked=masked,
            conversations=conversations,
            customers=_share_out(connection, min(max(turns // UNITS, LEAST_TURNS), MOST_TURNS)),
            turns=turns,
            first=first,
            last=last,
            silent=reading.silent,
            wrong=wrong.count if wrong else 0,
        )
        connection.execute("INSERT INTO info VALUES (?)", (to_line(info).decode(),))
        told = [replace(one, file=Path(one.file).name) for one in wrong.first] if wrong else []
        connection.executemany("INSERT INTO wrong VALUES (?)", [(f"{one}.",) for one in told])
        connection.commit()
    finally:
        connection.close()
    draft.replace(file)
    return Staging(file)


def _rows(
    reading: Reading, digest: Any, progress: Callable[[str, float], None]
) -> Iterator[tuple[str, str, str, int, str]]:
    """Yield the conversations of a log as rows, hashing all of them."""
    begun, shown = time.monotonic(), 0.0
    for conversation in reading:
        content = conversation.model_dump_json(exclude_none=True)
        digest.update(content.encode() + b"\n")
        if reading.share - shown >= 0.01 and time.monotonic() - begun > 1:
            shown = reading.share
            progress("Reading the log", shown)
        said = [message.at for message in conversation.messages if message.role == "customer"]
        if said:
            yield conversation.customer_id, to_text(said[0]), to_text(max(said)), len(said), content


def _share_out(connection: sqlite3.Connection, full: int) -> int:
    """Give every customer a unit, `full` with so many turns, in the order of the log; return how many customers."""
    query = "SELECT customer, MIN(id), SUM(turns) FROM conversations GROUP BY customer ORDER BY MIN(id)"
    unit = turns = count = 0
    rows: list[tuple[str, int, int]] = []
    for customer, first, own in connection.execute(query):
        if turns >= full:
            unit, turns = unit + 1, 0
        turns += own
        count += 1
        rows.append((customer, first, unit))
        if len(rows) == _ROWS:
            connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", rows)
            rows.clear()
    connection.executemany("INSERT INTO customers VALUES (?, ?, ?)", rows)
    return count
