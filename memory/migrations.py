"""Numbered changes to the database: each runs once, in order, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, and_, delete, insert, inspect, select, text, update

from memory import tables
from memory.checksums import COVERED, checksum
from memory.due import due_date


class DamagedError(Exception):
    """The database holds what cannot have been written there."""


def m001_first_tables(connection: Connection) -> None:
    """Create the tables of version 1."""
    tables.METADATA.create_all(connection)


def m002_commitments(connection: Connection) -> None:
    """Keep what was promised in a table of its own, and let digests be made again, with particulars."""
    tables.COMMITMENTS.create(connection, checkfirst=True)
    turns = tables.TURNS.c
    for row in connection.execute(select(turns.id, turns.customer_id, turns.at, turns.decision)).all():
        if promise := row.decision.get("promise"):
            due = due_date(promise, datetime.fromisoformat(row.at))
            kept = {"customer_id": row.customer_id, "turn_id": row.id, "text": promise, "made_at": row.at}
            values = {**kept, "due": due.isoformat() if due else None, "state": "open"}
            connection.execute(insert(tables.COMMITMENTS), values)
    connection.execute(delete(tables.SUMMARIES).where(tables.SUMMARIES.c.writer == "digest"))


def m003_epochs(connection: Connection) -> None:
    """Let every customer have an epoch, which an erasure changes."""
    if "epoch" not in {column["name"] for column in inspect(connection).get_columns("customers")}:
        connection.execute(text("ALTER TABLE customers ADD COLUMN epoch BIGINT NOT NULL DEFAULT 1"))


def m004_request_keys(connection: Connection) -> None:
    """Let a turn know the request it came from, so that one that is repeated is not a second turn."""
    if "request_key" not in {column["name"] for column in inspect(connection).get_columns("turns")}:
        connection.execute(text("ALTER TABLE turns ADD COLUMN request_key VARCHAR(64)"))
        tables.TURNS_OF_REQUESTS.create(connection)


def m005_spent_visitors(connection: Connection) -> None:
    """Know the visitors who were joined to a customer."""
    tables.SPENT_VISITORS.create(connection, checkfirst=True)


def m006_checksums(connection: Connection) -> None:
    """Note of every row what it says now, so that an alteration is noticed from now on."""
    for name, covered in COVERED.items():
        table = tables.METADATA.tables[name]
        there = {column["name"] for column in inspect(connection).get_columns(name)}
        if "checksum" not in there:
            connection.execute(text(f"ALTER TABLE {name} ADD COLUMN checksum VARCHAR(16)"))
        keys = list(table.primary_key)
        said = [table.c[column] for column in covered if column in there and table.c[column] not in keys]
        for rows in connection.execute(select(*keys, *said)).partitions(1000):
            for row in rows:
                this = and_(*(key == row._mapping[key.name] for key in keys))
                connection.execute(update(table).where(this).values(checksum=checksum(name, row._asdict())))


def m007_validity(connection: Connection) -> None:
    """Let facts hold from a day on, or until one."""
    there = {column["name"] for column in inspect(connection).get_columns("facts")}
    for name in ("valid_from", "valid_until"):
        if name not in there:
            connection.execute(text(f"ALTER TABLE facts ADD COLUMN {name} VARCHAR(10)"))


def m008_deliveries(connection: Connection) -> None:
    """Keep what other programs deliver until it is answered."""
    tables.DELIVERIES.create(connection, checkfirst=True)


MIGRATIONS: list[Callable[[Connection], None]] = [
    m001_first_tables,
    m002_commitments,
    m003_epochs,
    m004_request_keys,
    m005_spent_visitors,
    m006_checksums,
    m007_validity,
    m008_deliveries,
]


def migrate(connection: Connection) -> None:
    """Bring a database to the version of this code.

    Raises:
        ValueError: the database was written by a newer version.
        DamagedError: its version is no number.
    """
    connection.execute(text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"))
    version = connection.execute(text("SELECT max(version) FROM schema_version")).scalar() or 0
    if not isinstance(version, int):
        raise DamagedError("its version is no number")
    if version > len(MIGRATIONS):
        raise ValueError(f"it has version {version}, this program knows versions up to {len(MIGRATIONS)}")
    for number, change in enumerate(MIGRATIONS[version:], version + 1):
        change(connection)
        connection.execute(text("INSERT INTO schema_version (version) VALUES (:number)"), {"number": number})
