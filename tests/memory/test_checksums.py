"""A bit flipped in what was said is noticed: the truth is refused with the remedy, what is derived is made again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from memory import Store, StoreError
from memory.commitments import commitments
from memory.erasure import forget
from memory.health import health
from memory.history import facts_of, transcript
from memory.places import Scope
from tests.memory.conftest import Talk

_REFUSED = r"is damaged \(.*\)\. Restore a backup, or forget that turn: rapport memory forget ada --turn 1"


def _flip(database: Path, table: str, column: str, bit: int = 0x01) -> None:
    """Flip a bit within a stored text, in its last letter but one."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        (content,) = connection.execute(f"SELECT CAST({column} AS BLOB) FROM {table} WHERE rowid = 1").fetchone()  # noqa: S608
        place = len(content) - 2
        flipped = content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]
        connection.execute(f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE rowid = 1", (flipped,))  # noqa: S608


@pytest.fixture
def said(talk: Talk) -> Talk:
    """Somebody said an order number, was promised something, and went on in another session."""
    talk(
        "My order is R-10234", "Noted.", facts={"order_number": "R-10234"}, decision={"promise": "refund it by Friday"}
    )
    talk("hello", session="s2")
    return talk


_PARTS = [("turns", "text"), ("turns", "reply"), ("turns", "decision"), ("turns", "at"), ("facts", "value")]
_PARTS += [("commitments", "text")]


@pytest.mark.parametrize(("table", "column"), _PARTS)
@pytest.mark.parametrize("bit", [0x01, 0x80], ids=["another letter", "no letter at all"])
def test_a_flipped_bit_is_noticed_before_anything_is_said_from_it(
    database: Path, store: Store, said: Talk, table: str, column: str, bit: int
) -> None:
    _flip(database, table, column, bit)
    for session in ("s1", "s2", "a new one"):
        said.memory.drop_caches("ada")
        with pytest.raises(StoreError, match=_REFUSED):
            _ = said.load("what is my order number?", session).recalled
    with pytest.raises(StoreError, match=_REFUSED):
        store.check()


def test_a_damaged_turn_stops_no_other_session_until_it_is_looked_for(database: Path, said: Talk) -> None:
    _flip(database, "turns", "text")
    context = said.load("hello again", "a new one")
    with pytest.raises(StoreError, match=_REFUSED):
        _ = context.recalled


def test_looking_back_notices_it_too(database: Path, store: Store, said: Talk) -> None:
    looks: dict[str, Callable[[], object]] = {
        "turns": lambda: transcript(store, "s1", "ada"),
        "facts": lambda: facts_of(store, "ada"),
        "commitments": lambda: commitments(store, "ada"),
    }
    for table, column in (("turns", "text"), ("facts", "value"), ("commitments", "text")):
        looks[table]()
        _flip(database, table, column)
        with pytest.raises(StoreError, match=_REFUSED):
            looks[table]()
    with pytest.raises(StoreError, match=_REFUSED):
        health(store)


@pytest.mark.parametrize(("table", "column"), _PARTS)
@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_the_remedy_helps_and_the_rest_is_kept(
    database: Path, store: Store, said: Talk, table: str, column: str, bit: int
) -> None:
    _flip(database, table, column, bit)
    forget(said.memory, Scope("ada", turn_id=1))
    store.check()
    assert [turn.text for turn in said.load(session="s2").buffer] == ["hello"]
    assert said.load(session="s1").facts == {}


def test_other_customers_are_served_meanwhile(database: Path, said: Talk) -> None:
    _flip(database, "turns", "text")
    said("hi", session="bobs", customer="bob")
    assert said.load(session="bobs", customer="bob").last.text == "hi"


def test_a_row_moved_to_another_customer_is_noticed(database: Path, said: Talk) -> None:
    said("hi", session="bobs", customer="bob")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE turns SET customer_id = 'bob' WHERE id = 1")
    with pytest.raises(StoreError, match="is damaged"):
        _ = said.load("order", "new", "bob").recalled


def test_forgetting_a_fact_leaves_whole_rows_and_hides_no_damage(database: Path, store: Store, said: Talk) -> None:
    said("R-10234 is late", session="s3")
    forget(said.memory, Scope("ada", fact="order_number"))
    store.check()
    said("My order is R-10555", facts={"order_number": "R-10555"})
    _flip(database, "turns", "reply")
    with pytest.raises(StoreError, match=_REFUSED):
        forget(said.memory, Scope("ada", fact="order_number"))


def test_a_damaged_summary_is_made_again(database: Path, make_talk: Callable[..., Talk]) -> None:
    talk = make_talk(buffer_tokens=1)
    for topic in ("boots", "tents", "tarps"):
        talk(f"about {topic}", decision={"topic": topic})
    _flip(database, "summaries", "content")
    assert talk.load().digest.topics == ()
    talk("about mats", decision={"topic": "mats"})
    assert [topic for topic, _ in talk.load().digest.topics] == ["boots", "tents", "tarps"]


def test_rows_from_before_there_were_checksums_get_one(database: Path, store: Store, said: Talk) -> None:
    with store.write() as connection:
        for table in ("turns", "facts", "commitments", "summaries"):
            connection.execute(text(f"ALTER TABLE {table} DROP COLUMN checksum"))
        connection.execute(text("DELETE FROM schema_version WHERE version > 3"))
    store.close()
    again = Store(f"sqlite:///{database}")
    again.check()
    assert [turn.text for turn in transcript(again, "s1", "ada")] == ["My order is R-10234"]
    _flip(database, "turns", "text")
    with pytest.raises(StoreError, match=_REFUSED):
        again.check()
    again.close()
