"""The database: migrations, transactions, and what is said when it cannot be used."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, inspect, select, text

from memory import Store, StoreError, migrations
from memory import store as store_module
from memory.store import from_text, to_text
from memory.tables import CUSTOMERS, TURNS

_VERSION = len(migrations.MIGRATIONS)


def _add(connection: Connection, customer_id: str) -> None:
    connection.execute(insert(CUSTOMERS), {"id": customer_id, "created_at": "2026-11-24T10:00:00.000+00:00"})


def _customers(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.scalars(select(CUSTOMERS.c.id)))


def _version(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(text("SELECT max(version) FROM schema_version")).scalar_one()


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_new_database_gets_its_folder_and_its_tables(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/deep/down/rapport.db")
    assert _customers(store) == []
    store.close()


def test_migrations_run_once_and_rows_survive_reopening(database: Path, store: Store) -> None:
    with store.write() as connection:
        _add(connection, "ada")
    again = Store(store.url)
    assert _customers(again) == ["ada"]
    assert _version(again) == len(migrations.MIGRATIONS)
    again.close()


def test_a_newer_migration_runs_on_an_older_database(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def added(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE extra (id INTEGER)"))

    monkeypatch.setattr(migrations, "MIGRATIONS", [*migrations.MIGRATIONS, added])
    again = Store(store.url)
    with again.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM extra")).scalar() == 0
        assert connection.execute(text("SELECT max(version) FROM schema_version")).scalar() == len(
            migrations.MIGRATIONS
        )
    again.close()


def test_a_migration_that_fails_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def added(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE extra (id INTEGER)"))
        connection.execute(text("CREATE TABLE extra (id INTEGER)"))

    monkeypatch.setattr(migrations, "MIGRATIONS", [*migrations.MIGRATIONS, added])
    with pytest.raises(StoreError, match=r'extra"? already exists'):
        Store(store.url)
    with store.read() as connection:
        assert (
            connection.execute(text("SELECT max(version) FROM schema_version")).scalar()
            == len(migrations.MIGRATIONS) - 1
        )
        assert "extra" not in inspect(connection).get_table_names()
    assert _version(store) == len(migrations.MIGRATIONS) - 1


def test_a_database_of_a_newer_version_is_refused(store: Store) -> None:
    with store.write() as connection:
        connection.execute(text("INSERT INTO schema_version (version) VALUES (99)"))
    with pytest.raises(StoreError, match=r"has version 99.*knows versions up to \d+\. Upgrade Rapport\."):
        Store(store.url)


@pytest.mark.parametrize("content", [b"not a database at all\n" * 400, b"\0garbage" * 1000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(database: Path, content: bytes) -> None:
    database.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged.*restore a backup"):
        Store(f"sqlite:///{database}")
    assert database.read_bytes() == content


def test_a_page_damaged_later_is_reported_when_it_is_read(database: Path, store: Store) -> None:
    with store.write() as connection:
        for number in range(500):
            _add(connection, f"customer-{number}")
    store.close()
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(StoreError, match="is damaged"):
        _customers(store)


def _truncate(content: bytearray) -> None:
    del content[len(content) // 2 // 4096 * 4096 :]


def _cut_within_a_page(content: bytearray) -> None:
    del content[-1000:]


def _swap_pages(content: bytearray) -> None:
    second, last = content[4096:8192], content[-4096:]
    content[4096:8192], content[-4096:] = last, second


def _flip_a_bit_of_every_page_header(content: bytearray) -> None:
    for start in range(4096, len(content), 4096):
        content[start] ^= 0x10


@pytest.mark.parametrize(
    "damage",
    [_truncate, _cut_within_a_page, _swap_pages, _flip_a_bit_of_every_page_header],
    ids=lambda one: one.__name__,
)
def test_a_damaged_database_is_noticed_and_refused_with_the_remedy(
    database: Path, store: Store, damage: Callable[[bytearray], None]
) -> None:
    with store.write() as connection:
        for number in range(500):
            _add(connection, f"customer-{number}")
    store.check()
    store.close()
    content = bytearray(database.read_bytes())
    damage(content)
    database.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged .*restore a backup"):
        Store(store.url).check()
    assert database.read_bytes() == content


def test_a_database_locked_by_another_program_says_so(
    database: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "BUSY_MS", 50)
    impatient = Store(store.url)
    refused = pytest.raises(StoreError, match=r"is locked by another program\. Stop that program")
    with _locked(database), refused, impatient.write() as connection:
        _add(connection, "ada")
    with impatient.write() as connection:
        _add(connection, "ada")
    assert _customers(impatient) == ["ada"]
    impatient.close()


def test_opening_a_locked_database_says_so(database: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUSY_MS", 50)
    with _locked(database), pytest.raises(StoreError, match="is locked by another program"):
        Store(store.url)


def test_readers_do_not_wait_for_a_writer(database: Path, store: Store) -> None:
    with _locked(database):
        assert _customers(store) == []


def test_a_full_disk_says_so_and_keeps_what_was_there(database: Path, store: Store) -> None:
    with store.write() as connection:
        _add(connection, "ada")
    with pytest.raises(StoreError, match=r"is full\. Free some space"), store.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        for number in range(2000):
            _add(connection, f"customer-{number}")
    assert _customers(store) == ["ada"]


def test_a_failing_transaction_leaves_nothing(store: Store) -> None:
    with pytest.raises(StoreError, match=r"UNIQUE|unique constraint"), store.write() as connection:
        _add(connection, "ada")
        _add(connection, "ada")
    with pytest.raises(KeyError), store.write() as connection:
        _add(connection, "bob")
        raise KeyError
    assert _customers(store) == []


def test_a_turn_of_a_session_that_is_not_there_is_refused(store: Store) -> None:
    turn = {"session_id": "s", "customer_id": "c", "number": 1, "at": "", "text": "", "reply": "", "tokens": 0}
    with pytest.raises(StoreError, match=r"FOREIGN KEY|foreign key"), store.write() as connection:
        connection.execute(insert(TURNS), {**turn, "decision": {}})


def test_a_read_sees_one_state_of_the_rows(store: Store) -> None:
    with store.read() as connection:
        before = connection.scalars(select(CUSTOMERS.c.id)).all()
        with store.write() as other:
            _add(other, "ada")
        assert connection.scalars(select(CUSTOMERS.c.id)).all() == before


@pytest.mark.parametrize("url", ["", "rapport.db", "nosuch://here/db", "postgresql://host:port/db"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="RAPPORT_DATABASE_URL is not a database address"):
        Store(url)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"The folder of the database .* cannot be made"):
        Store(f"sqlite:///{tmp_path}/file/rapport.db")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be opened for writing.*Check the folder"):
        Store(f"sqlite:///{tmp_path}")


def test_the_driver_may_be_named_in_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store(f"sqlite+pysqlite:///{tmp_path}/home/rapport.db").close()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_purging_leaves_no_bytes_of_rows_that_moved_between_pages(database: Path, store: Store) -> None:
    """SQLite's `secure_delete` misses the copies that page splits leave: many rows of many sizes show them."""
    dice = random.Random(7)  # noqa: S311
    for _ in range(20):
        with store.write() as connection:
            for _ in range(100):
                word = dice.choice(["secret", "kept"])
                _add(connection, f"{dice.random()} {word} {'x' * dice.randrange(90)}")
    with store.write() as connection:
        connection.execute(delete(CUSTOMERS).where(CUSTOMERS.c.id.contains("secret")))
        store.owe_purge(connection)
    store.purge()
    left = b"".join(path.read_bytes() for path in database.parent.iterdir())
    assert b"secret" not in left
    assert left.count(b"kept") >= len(_customers(store)) > 500


def test_purging_while_another_program_reads_says_what_is_left(
    database: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "BUSY_MS", 50)
    impatient = Store(store.url)
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM customers").fetchall()
        with impatient.write() as connection:
            _add(connection, "ada")
            impatient.owe_purge(connection)
        with pytest.raises(StoreError, match="not yet overwritten: another program reads"):
            impatient.purge()
    impatient.purge()
    impatient.close()


def test_each_purge_that_is_owed_has_a_number_so_that_no_other_programs_is_struck_off(
    database: Path, store: Store
) -> None:
    other, numbers = Store(store.url), list[int]()
    for one in (store, other, store):
        with one.write() as connection:
            one.owe_purge(connection)
        with closing(sqlite3.connect(database)) as reader:
            numbers += reader.execute("PRAGMA user_version").fetchone()
    assert len({0, *numbers}) == 4
    other.purge()
    with closing(sqlite3.connect(database)) as reader:
        assert reader.execute("PRAGMA user_version").fetchone() == (0,)
    other.close()


def test_purging_waits_for_its_turn_among_the_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "BUSY_MS", 50)
    impatient = Store(f"sqlite:///{tmp_path}/one.sqlite")
    with ThreadPoolExecutor(1) as other:
        with impatient.write() as connection:
            _add(connection, "ada")
            purging = other.submit(impatient.purge)
            with pytest.raises(FutureTimeout):  # far longer than SQLite would wait for the lock
                purging.result(timeout=0.5)
        purging.result()
    impatient.close()


def test_a_purge_that_was_cut_short_is_done_at_the_next_start(
    database: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file holds the old pages until the write-ahead log is taken over: only then is the purge done."""
    monkeypatch.setattr(store_module, "BUSY_MS", 50)
    impatient = Store(store.url)
    with impatient.write() as connection:
        _add(connection, "ada-lovelace")
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM customers").fetchall()
        with impatient.write() as connection:
            connection.execute(delete(CUSTOMERS))
            impatient.owe_purge(connection)
        with pytest.raises(StoreError, match="not yet overwritten"):
            impatient.purge()
        again = Store(store.url)
        assert b"ada-lovelace" in b"".join(path.read_bytes() for path in database.parent.iterdir())
    again.close()
    Store(store.url).close()
    assert b"ada-lovelace" not in b"".join(path.read_bytes() for path in database.parent.iterdir())
    impatient.close()


def test_times_survive_and_sort_as_text_whatever_their_offset() -> None:
    early = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=5)))
    late = datetime(2026, 3, 1, 9, 30, tzinfo=timezone.utc)
    assert to_text(early) < to_text(late)
    assert from_text(to_text(early)) == early
