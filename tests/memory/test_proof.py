"""The proof of an erasure: it finds nothing after forgetting, and finds whatever any one place still holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, event, inspect, text

from memory import Store
from memory.deliveries import Delivery, take_in
from memory.erasure import forget
from memory.fingerprints import WIDTH, Fingerprints, windows
from memory.history import rate
from memory.places import PLACES, Place, Scope
from memory.proof import Proof, prove
from memory.receipt import ReceiptError, issue, read_receipt
from tests.memory.conftest import Talk

KNOWN = {"schema_version", "spent_visitors"}  # tables that hold nothing of a customer
WHO = "web-6f1c0ffee6f1c0ffee"


@pytest.fixture
def talk(make_talk: Callable[..., Talk]) -> Talk:
    """A talk in which every place holds something of two customers; the other one says some of the same."""
    talk = make_talk(buffer_turns=2)
    for who, mark in ((WHO, "Zanzibar"), ("somebody-else", "Timbuktu")):
        for number in range(4):
            said = f"My parcel to {mark} number {number} is R-1000{number}, and it never came to my house"
            decision = {"topic": f"The parcel that I sent to {mark}", "facts": {"name": mark}}
            turn = talk(said, f"I see, {said}.", f"{who}.1", who, {"name": mark + str(number)}, decision)
            talk.clock.advance(milliseconds=17)
            rate(talk.memory.store, who, turn, 1, talk.clock.now)
        promised = {"promise": f"We look for the parcel to {mark} by Friday"}
        talk("I would like to talk to somebody about it", "Of course you can do that.", f"{who}.2", who, {}, promised)
        content = {"text": f"and where is my parcel to {mark} now, please?"}
        take_in(talk.memory.store, Delivery(f"chat.{who}", who, "chat:1", talk.clock.now, content))
        talk.memory.summarise(f"{who}.1", who, lambda prose, turns, mark=mark: f"They wrote about {mark} many times.")
    return talk


@pytest.fixture
def check(talk: Talk, tmp_path: Path) -> Callable[[Scope], Proof]:
    """Forget a scope and prove it."""

    def run(scope: Scope) -> Proof:
        receipt = issue(forget(talk.memory, scope), tmp_path, talk.clock.now)
        return prove(receipt, tmp_path, talk.memory.store)

    return run


def _scopes(talk: Talk) -> dict[str, Scope]:
    with talk.memory.store.read() as connection:
        turn = connection.scalar(text("SELECT max(id) FROM turns WHERE customer_id = :who"), {"who": WHO})
    return {
        "everything": Scope(WHO),
        "session": Scope(WHO, session_id=f"{WHO}.1"),
        "turn": Scope(WHO, turn_id=turn),
        "fact": Scope(WHO, fact="name"),
    }


@pytest.mark.parametrize("what", ["everything", "session", "turn", "fact"])
def test_nothing_is_found_of_what_was_forgotten(talk: Talk, check: Callable[[Scope], Proof], what: str) -> None:
    proof = check(_scopes(talk)[what])
    assert proof.found == ()
    assert proof.fingerprints > 3
    assert proof.bytes > 40_000 or not talk.memory.store.files()


def test_every_table_of_the_database_is_a_place(store: Store) -> None:
    """Whoever adds a table says in memory/places.py whose its rows are."""
    with store.read() as connection:
        tables = set(inspect(connection).get_table_names())
    assert tables - KNOWN == {place.table.name for place in PLACES}


@pytest.mark.parametrize("left_out", [place.table.name for place in PLACES])
def test_the_proof_fails_when_a_table_is_left_out(
    talk: Talk, check: Callable[[Scope], Proof], left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite = talk.memory.store.engine.dialect.name == "sqlite"

    @event.listens_for(talk.memory.store.engine, "connect")
    def _alone(connection: Any, _: object) -> None:
        # Else the tables' own rules would delete what hangs on others.
        connection.execute("PRAGMA foreign_keys=OFF" if sqlite else "SET session_replication_role = replica")
        connection.commit()

    talk.memory.store.engine.dispose()
    delete = Place.delete

    def delete_others(place: Place, connection: Connection, scope: Scope) -> int:
        return 0 if place.table.name == left_out else delete(place, connection, scope)

    monkeypatch.setattr(Place, "delete", delete_others)
    assert not check(Scope(WHO)).holds


@pytest.mark.parametrize("what", ["everything", "session", "turn", "fact"])
def test_the_proof_fails_when_the_write_ahead_log_is_left_out(
    talk: Talk, check: Callable[[Scope], Proof], database: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "purge", lambda store: None)
    proof = check(_scopes(talk)[what])
    assert f"{database}-wal" in {path for path, _ in proof.found}


def test_the_proof_fails_when_free_pages_are_left_out(
    talk: Talk, check: Callable[[Scope], Proof], database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def checkpoint(store: Store) -> None:
        with store.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    @event.listens_for(talk.memory.store.engine, "connect")
    def _careless(connection: Any, _: object) -> None:
        connection.execute("PRAGMA secure_delete=OFF")

    talk.memory.store.engine.dispose()
    monkeypatch.setattr(Store, "purge", checkpoint)
    assert {path for path, _ in check(Scope(WHO)).found} == {str(database)}


def test_the_proof_fails_when_files_made_from_messages_are_left_out(talk: Talk, tmp_path: Path) -> None:
    class Kept:
        name = "training rows"
        evidence = ()

        evidence = ()

        def erase(self, texts: list[str]) -> int:
            (tmp_path / "deep").mkdir()
            (tmp_path / "deep" / "rehearsal.json").write_text(json.dumps({"text": texts[0]}), encoding="utf-8")
            return 0

    receipt = issue(forget(talk.memory, Scope(WHO), [Kept()]), tmp_path, talk.clock.now)
    assert [Path(path).name for path, _ in prove(receipt, tmp_path, talk.memory.store).found] == ["rehearsal.json"] * 4


def test_a_vector_that_is_left_in_a_file_is_found(talk: Talk, tmp_path: Path) -> None:
    with talk.memory.store.read() as connection:
        vector = connection.scalar(text("SELECT vector FROM vectors WHERE turn_id = 2"))
    receipt = issue(forget(talk.memory, Scope(WHO)), tmp_path, talk.clock.now)
    (tmp_path / "index.faiss").write_bytes(bytes((1 << 20) - 300) + vector)  # across the blocks that files are read in
    assert not prove(receipt, tmp_path, talk.memory.store).holds


def test_what_others_say_and_what_is_said_again_is_not_held_against_the_erasure(talk: Talk, tmp_path: Path) -> None:
    said = "I would like to talk to somebody about it"  # both customers have said so
    receipt = issue(forget(talk.memory, Scope(WHO)), tmp_path, talk.clock.now)
    talk("My parcel to Zanzibar number 1 is R-10001, and it never came to my house", session="new", customer=WHO)
    talk(said, session="new", customer=WHO)
    proof = prove(receipt, tmp_path, talk.memory.store)
    assert proof.holds
    assert proof.others >= 4


def test_what_everybody_gets_to_see_is_no_evidence(talk: Talk, tmp_path: Path) -> None:
    erased = forget(talk.memory, Scope(WHO))
    some = issue(erased, tmp_path, talk.clock.now, ["Of course you can do that."])
    assert len(some.fingerprints) < len(issue(erased, tmp_path, talk.clock.now).fingerprints)


def test_a_receipt_says_what_where_how_many_and_when_and_nothing_of_the_content(talk: Talk, tmp_path: Path) -> None:
    receipt = issue(forget(talk.memory, Scope(WHO)), tmp_path, talk.clock.now)
    (file,) = (tmp_path / "receipts").iterdir()
    content = file.read_text(encoding="utf-8")
    assert read_receipt(file, tmp_path) == receipt
    assert dict(receipt.removed) == {
        "feedback": 4, "vectors": 5, "facts": 4, "commitments": 1, "summaries": 2, "turns": 5, "sessions": 2,
            "deliveries": 1, "customers": 1,
    }  # fmt: skip
    assert receipt.at == talk.clock.now.isoformat(timespec="seconds")
    assert not [word for word in (WHO, "Zanzibar", "10001", "parcel") if word in content]


def test_two_receipts_of_the_same_have_no_fingerprint_in_common(talk: Talk, tmp_path: Path) -> None:
    erased = forget(talk.memory, Scope(WHO))
    one, two = (issue(erased, tmp_path, talk.clock.now + timedelta(days=n)) for n in (0, 1))
    assert not set(one.fingerprints) & set(two.fingerprints)
    assert one.customer != two.customer


def test_a_receipt_of_another_home_is_refused(talk: Talk, tmp_path: Path) -> None:
    receipt = issue(forget(talk.memory, Scope(WHO)), tmp_path, talk.clock.now)
    with pytest.raises(ReceiptError, match="issued by another home"):
        read_receipt(tmp_path / "receipts" / f"{receipt.id}.json", tmp_path / "other")


def _texts() -> Iterator[st.SearchStrategy[bytes]]:
    yield st.binary(max_size=200)
    yield st.text(max_size=100).map(str.encode)


@given(before=st.one_of(*_texts()), head=st.one_of(*_texts()), tail=st.one_of(*_texts()))
def test_fingerprints_find_their_windows_wherever_they_stand(before: bytes, head: bytes, tail: bytes) -> None:
    marks = Fingerprints.of(b"key", windows(before))
    assert marks.search(head + before + tail).keys() == marks.known
    assert bool(marks) == (len(before) >= WIDTH)


@given(data=st.binary(min_size=WIDTH, max_size=300), place=st.integers(0, 299))
def test_one_changed_byte_hides_every_window_over_it(data: bytes, place: int) -> None:
    place %= len(data)
    marks = Fingerprints.of(b"key", windows(data[max(0, place - WIDTH + 1) : place + WIDTH][:WIDTH]))
    changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    found = marks.search(changed)
    again = {mark for mark in marks.known if mark in Fingerprints.of(b"key", _all(changed)).known}
    assert found.keys() == again


def _all(data: bytes) -> list[bytes]:
    return [data[start : start + WIDTH] for start in range(len(data) - WIDTH + 1)]
