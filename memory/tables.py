"""The tables: turns are the truth; vectors and summaries are derived from them and can be made again.

    customers 1-n sessions 1-n turns 1-1 vectors
                                 |-n facts      (each with the turn it was said in; a newer value ends the older one)
                                 |-n commitments (what was promised in the turn, by when, and what became of it)
                                 |-1 feedback
              sessions 1-1 summaries per writer (the desk's digest, or the chat model's)

Times are ISO 8601 text in UTC, so that they sort as text in every database. A `checksum` is made of what a row says
when it is written (`memory.checksums`).
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy import UniqueConstraint as Unique

from memory.checksums import checksum

METADATA = MetaData()


def _parent(column: str) -> ForeignKey:
    return ForeignKey(column, ondelete="CASCADE")


def _checksum(table: str) -> Column[Any]:
    return Column("checksum", String(16), default=lambda context: checksum(table, context.get_current_parameters()))


CUSTOMERS = Table(
    "customers",
    METADATA,
    Column("id", String(128), primary_key=True),
    Column("created_at", String(32), nullable=False),
    # Another one after every erasure: what was read before it is known to be old.
    Column("epoch", BigInteger, nullable=False, default=time.time_ns, server_default="1"),
)
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id", String(128), primary_key=True),
    Column("customer_id", String(128), _parent("customers.id"), nullable=False),
    Column("state", String(16), nullable=False),  # open | handed_over
    Column("started_at", String(32), nullable=False),
    Column("last_at", String(32), nullable=False),
    Index("sessions_of_customer", "customer_id", "last_at"),
)
TURNS = Table(
    "turns",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("session_id", String(128), _parent("sessions.id"), nullable=False),
    Column("customer_id", String(128), _parent("customers.id"), nullable=False),
    Column("number", Integer, nullable=False),  # 1, 2, ... within the session
    Column("at", String(32), nullable=False),
    Column("text", Text, nullable=False),  # what the customer wrote
    Column("reply", Text, nullable=False),
    Column("tokens", Integer, nullable=False),  # of text and reply together
    Column("decision", JSON, nullable=False),
    Column("request_key", String(64)),  # SHA-256 of the key by which a repeated request is known, in hex
    _checksum("turns"),
    Unique("session_id", "number"),
    Index("turns_of_customer", "customer_id", "id"),
    sqlite_autoincrement=True,
)
TURNS_OF_REQUESTS = Index("turns_of_requests", TURNS.c.session_id, TURNS.c.request_key, unique=True)
VECTORS = Table(
    "vectors",
    METADATA,
    Column("turn_id", Integer, _parent("turns.id"), primary_key=True),
    Column("encoder", String(64), nullable=False),
    Column("vector", LargeBinary, nullable=False),  # 384 float32, little endian, unit length
)
FACTS = Table(
    "facts",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("customer_id", String(128), _parent("customers.id"), nullable=False),
    Column("turn_id", Integer, _parent("turns.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("value", Text, nullable=False),
    Column("said_at", String(32), nullable=False),
    Column("superseded_at", String(32)),
    _checksum("facts"),
    Column("valid_from", String(10)),  # dates; none: from when it was said, and until it is superseded
    Column("valid_until", String(10)),
    Index("facts_of_customer", "customer_id", "name"),
    Index("facts_of_turn", "turn_id"),
    sqlite_autoincrement=True,
)
COMMITMENTS = Table(
    "commitments",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("customer_id", String(128), _parent("customers.id"), nullable=False),
    Column("turn_id", Integer, _parent("turns.id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("made_at", String(32), nullable=False),
    Column("due", String(10)),  # a date, none where no time was named
    Column("state", String(16), nullable=False),  # open | kept | cancelled
    Column("settled_at", String(32)),
    _checksum("commitments"),
    Index("commitments_of_customer", "customer_id", "state"),
    Index("commitments_of_turn", "turn_id"),
    Index("commitments_due", "state", "due"),
    sqlite_autoincrement=True,
)
SUMMARIES = Table(
    "summaries",
    METADATA,
    Column("session_id", String(128), _parent("sessions.id"), primary_key=True),
    Column("writer", String(16), primary_key=True),  # digest | model
    Column("customer_id", String(128), _parent("customers.id"), nullable=False),
    Column("content", JSON, nullable=False),
    Column("turn_ids", JSON, nullable=False),  # [first, last] id of the turns it covers
    Column("covers", Integer, nullable=False),  # the last turn number it covers
    _checksum("summaries"),
)
# Visitors who were joined to a customer: a hash of an id that nothing belongs to any more, so it is nobody's.
SPENT_VISITORS = Table(
    "spent_visitors",
    METADATA,
    Column("visitor", String(64), primary_key=True),
    Column("at", String(32), nullable=False),
)
FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("turn_id", Integer, _parent("turns.id"), primary_key=True),
    Column("rating", Integer, nullable=False),  # 1 or -1
    Column("at", String(32), nullable=False),
)
# What other programs deliver (memory.deliveries): without content once it is done. It may be somebody's who is not
# known yet, so that it hangs on no other row.
DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", String(128), primary_key=True),
    Column("customer_id", String(128), nullable=False),
    Column("conversation", String(128), nullable=False),  # of the program that delivered it
    Column("at", String(32), nullable=False),
    Column("content", JSON(none_as_null=True)),
    Column("outcome", String(16)),
    Column("done_at", String(32)),
    Index("deliveries_of_conversation", "conversation", "outcome"),
    Index("deliveries_of_customer", "customer_id"),
)
