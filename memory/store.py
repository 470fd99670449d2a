"""The database: opening it safely, and the transactions that everything kept goes through.

SQLite (WAL, full synchronisation, deleted content overwritten) by default, PostgreSQL by URL. With both, a read sees
one state of the rows and writers come one after the other.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from memory.checksums import AlteredError, verify
from memory.migrations import DamagedError, migrate
from memory.tables import COMMITMENTS, FACTS, TURNS

_LOG = logging.getLogger(__name__)
_WRITERS = 7_277_670  # names the lock that PostgreSQL's writers take, among all locks of a database
_MOST_OWED = 1_000_000  # purges counted before counting begins again
BUSY_MS = 5000  # how long a writer waits for another process before it gives up


class StoreError(Exception):
    """The database cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Turn:
    """A customer message and the reply to it, with the decision record that led from one to the other.

    A colleague's own message is a turn without a `text`.
    """

    id: int
    session_id: str
    number: int
    at: datetime
    text: str
    reply: str
    decision: dict[str, Any]
    tokens: int = 0

    @property
    def by_colleague(self) -> bool:
        """Whether a colleague wrote the reply."""
        return bool(self.decision.get("written_by") == "colleague")

    @property
    def words(self) -> str:
        """The customer's message, or the colleague's where there is none: what the turn's vector is of."""
        return self.text or self.reply


def to_text(moment: datetime) -> str:
    """Return an aware time as sortable ISO 8601 text in UTC."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")


def from_text(moment: str) -> datetime:
    """Return the aware time that `to_text` wrote."""
    return datetime.fromisoformat(moment)


class Store:
    """A database with its tables in place."""

    def __init__(self, url: str) -> None:
        """Open `url` (`sqlite:///FILE` or `postgresql+psycopg://...`), creating or migrating what is needed.

        Raises:
            StoreError: the database is locked, damaged, unreachable, out of space or from a newer version.
        """
        try:
            self.url = make_url(url).render_as_string(hide_password=True)  # as messages show it
            self.engine = _engine(url)
            # SQLite lets its writers poll for the lock: among many threads, one may never get it.
            is_sqlite = self.engine.dialect.name == "sqlite"
            self._one_writer: AbstractContextManager[object] = threading.Lock() if is_sqlite else nullcontext()
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
            raise StoreError(f"RAPPORT_DATABASE_URL is not a database address that can be used: {error}") from error
        except OSError as error:
            raise StoreError(f"The folder of the database {self.url} cannot be made: {error}") from error
        try:
            with self.write() as connection:
                migrate(connection)
        except (DamagedError, ValueError, StoreError) as error:
            self.close()
            if isinstance(error, StoreError):
                raise
            if isinstance(error, DamagedError):
                raise StoreError(_damaged(self.url, str(error))) from error
            raise StoreError(f"The database {self.url} cannot be used: {error}. Upgrade Rapport.") from error
        self._finish_purge()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection in a read transaction: one consistent view of the rows.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._transaction(immediate=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection in a write transaction: all of it is kept, or none.

        Raises:
            StoreError: the database cannot be written.
        """
        with self._one_writer, self._transaction(immediate=True) as connection:
            yield connection

    def owe_purge(self, connection: Connection) -> None:
        """Note in a transaction that deletes that `purge` must follow: if it is cut short, the next start does it."""
        if self.engine.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA user_version = {_owed(connection) % _MOST_OWED + 1}")

    def purge(self) -> None:
        """Leave no trace of rows that were deleted, where that is owed; it takes time in proportion to the files' size.

        Of several who wait for it, one does it for all. SQLite's `secure_delete` alone is not enough: rows that moved
        between pages leave copies behind, so the file is written anew, and the write-ahead log is emptied. A database
        in memory has no file.
        https://sqlite.org/lang_vacuum.html

        Raises:
            StoreError: the file is in use for too long, or there is no space for a second copy of it.
        """
        if self.engine.dialect.name != "sqlite" or not self.engine.url.database:
            return
        with self._one_writer:  # other writers of this process would keep the checkpoint waiting for too long
            busy = self._owes_purge() and self._overwrite()
        if busy:
            raise StoreError(
                f"The rows are deleted, but not yet overwritten: another program reads {self.url}. "
                "Stop that program, then forget again."
            )

    def _owes_purge(self) -> bool:
        with self.read() as connection:
            return bool(_owed(connection))

    def _overwrite(self) -> bool:
        """Write the file anew and empty the write-ahead log; return whether somebody's reading kept it from that."""
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            owed = cursor.execute("PRAGMA user_version").fetchone()
            cursor.execute("VACUUM")
            busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if not busy:  # until then the file holds the old pages: whoever is killed here has not purged
                cursor.execute("BEGIN IMMEDIATE")
                if cursor.execute("PRAGMA user_version").fetchone() == owed:  # no other process owes one meanwhile
                    cursor.execute("PRAGMA user_version = 0")
                cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"The rows are deleted, but not yet overwritten. {_explain(self.url, error)}") from error
        finally:
            connection.close()
        return bool(busy)

    def _finish_purge(self) -> None:
        try:
            self.purge()
        except StoreError as error:
            _LOG.warning("%s", error)

    def check(self) -> None:
        """Read the whole database and refuse one that is damaged; it takes time in proportion to its size.

        Raises:
            StoreError: a page, an index, a reference between rows or what a row says is damaged.
        """
        with self.read() as connection:
            if self.engine.dialect.name == "sqlite":
                self._check_pages(connection)
            for table in (TURNS, FACTS, COMMITMENTS):
                for row in connection.execute(select(table).execution_options(yield_per=1000)):
                    verify(table.name, row)

    def _check_pages(self, connection: Connection) -> None:
        found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if found != "ok" or orphans:
            reason = "rows without what they belong to" if found == "ok" else " ".join(str(found).split())
            raise StoreError(_damaged(self.url, reason))

    def files(self) -> list[Path]:
        """Return the files of a SQLite database, its write-ahead log included; none of another database."""
        path = Path(self.engine.url.database or "").resolve()
        if self.engine.dialect.name != "sqlite":
            return []
        return [file for suffix in ("", "-wal", "-shm", "-journal") if (file := Path(f"{path}{suffix}")).is_file()]

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def _begun(self, connection: Connection, immediate: bool) -> Iterator[None]:
        """Begin a transaction: one that writes waits for the writer before it, as an erasure counts on."""
        if self.engine.dialect.name == "sqlite":
            with connection.begin():
                # Asked of the driver: SQLAlchemy would make a result of it, which takes as long as a short query.
                connection.connection.cursor().execute("BEGIN IMMEDIATE" if immediate else "BEGIN")
                yield
            return
        isolation = "READ COMMITTED" if immediate else "REPEATABLE READ"
        with connection.execution_options(isolation_level=isolation).begin():
            if immediate:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
            yield

    @contextmanager
    def _transaction(self, *, immediate: bool) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection, self._begun(connection, immediate):
                yield connection
        except DBAPIError as error:
            raise StoreError(_explain(self.url, error)) from error
        except sqlite3.Error as error:
            raise StoreError(_explain(self.url, error)) from error
        except AlteredError as error:
            raise StoreError(
                f"The database {self.url} is damaged ({error}). Restore a backup, or forget that turn: "
                f"rapport memory forget {error.customer_id} --turn {error.turn_id}"
            ) from error


def _engine(url: str) -> Engine:
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(url, hide_parameters=True, json_deserializer=_read_json)
    Path(address.database or "").parent.mkdir(parents=True, exist_ok=True)
    # isolation_level None: transactions begin where we say so, not where the driver guesses.
    # hide_parameters: what customers wrote does not get into error messages, and by them into logs.
    connect_args = {"timeout": BUSY_MS / 1000, "isolation_level": None}
    engine = create_engine(url, connect_args=connect_args, hide_parameters=True, json_deserializer=_read_json)

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")
        # A text that is damaged can be read, so that its checksum can tell, and be forgotten.
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")

    return engine


def _read_json(content: str) -> Any:
    """Return what JSON says, or the text itself where it is damaged: its checksum tells."""
    try:
        return json.loads(content)
    except ValueError:
        return content


def _owed(connection: Connection) -> int:
    """Return which purge of a SQLite database is owed, by its number; 0 where none is."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def _explain(url: str, error: Exception) -> str:
    """Return one sentence for a database error: what is wrong, where, what to do."""
    cause = getattr(error, "orig", None) or error
    # PostgreSQL's details name values of rows.
    reason = str(getattr(getattr(cause, "diag", None), "message_primary", None) or cause).strip()
    if "locked" in reason:
        return f"The database {url} is locked by another program. Stop that program, then try again."
    if "malformed" in reason or "not a database" in reason:
        return _damaged(url, reason)
    if "full" in reason:
        return f"The disk that holds {url} is full. Free some space, then try again; nothing was half-written."
    if "readonly" in reason or "unable to open" in reason:
        return f"The database {url} cannot be opened for writing ({reason}). Check the folder and its permissions."
    return f"The database {url} cannot be used: {reason}"


def _damaged(url: str, reason: str) -> str:
    return (
        f"The database {url} is damaged ({reason}). Move it away and restore a backup, or start without it; "
        "nothing was changed."
    )
