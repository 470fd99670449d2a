"""What a visitor said becomes a customer's: all of it, once, and nothing is left under the visitor's id."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from memory import Store, StoreError
from memory.commitments import open_commitments
from memory.conversation import ForgottenError
from memory.erasure import forget
from memory.health import health
from memory.history import export, facts_of, rate, ratings, sessions, transcript
from memory.joining import join
from memory.places import PLACES, Scope
from memory.proof import prove
from memory.receipt import issue
from memory.tables import CUSTOMERS
from tests.memory.conftest import Talk

VISITOR = "web-0123456789abcdef0123456789abcdef"
NORA = "customer:nora"


@pytest.fixture
def visited(talk: Talk) -> Talk:
    """A visitor who said and was promised things, whose conversation outgrew its buffer, beside a customer who did."""
    talk("I am Nora", facts={"name": "Nora"}, session="n1", customer=NORA)
    talk("my badger is ill", session="v1", customer=VISITOR, decision={"promise": "We will call you back."})
    for number in range(20):
        talk(f"and another thing, number {number}", session="v1", customer=VISITOR)
    talk("size m", facts={"size": "M"}, session="v2", customer=VISITOR)
    talk("Nora said nothing of badgers", session="n2", customer=NORA)
    return talk


def test_everything_of_the_visitor_is_the_customers_in_every_table(visited: Talk, store: Store) -> None:
    before, own = export(store, VISITOR), export(store, NORA)
    turn = before["turns"][0]["id"]
    rate(store, VISITOR, turn, 1, visited.clock.now)

    assert join(visited.memory, VISITOR, NORA, visited.clock.now) == 2

    after = export(store, NORA)
    for place in PLACES:
        if (name := place.table.name) not in ("customers", "feedback"):
            assert len(after[name]) == len(before[name]) + len(own[name]), name
    assert len(before["summaries"]) == 1
    assert ratings(store, "v1") == {turn: 1}
    with store.read() as connection:
        assert [one.text for one in open_commitments(connection, NORA)] == ["We will call you back."]
    assert VISITOR not in str(after)
    with pytest.raises(StoreError):
        export(store, VISITOR)


def test_the_customer_recalls_what_the_visitor_said_also_where_an_index_was_there(visited: Talk) -> None:
    assert not any("badger is ill" in hit.turn.text for hit in visited.load("badger ill", "new", NORA).recalled)
    join(visited.memory, VISITOR, NORA, visited.clock.now)
    assert any("badger is ill" in hit.turn.text for hit in visited.load("badger ill", "new", NORA).recalled)
    assert visited.load("hello", "v1", NORA).number == 21


def test_another_process_does_not_go_on_with_an_index_of_before(
    visited: Talk, make_talk: type[Talk], store: Store
) -> None:
    other = make_talk()
    other.load("badger ill", "new", NORA)
    join(visited.memory, VISITOR, NORA, visited.clock.now)
    assert any("badger is ill" in hit.turn.text for hit in other.load("badger ill", "new", NORA).recalled)


def test_a_spent_visitor_opens_nothing_and_gets_nothing_kept(visited: Talk, store: Store) -> None:
    under_way = visited.load("one more", "v1", VISITOR)
    begun = visited.load("first", "v9", "web-" + "9" * 32)
    join(visited.memory, VISITOR, NORA, visited.clock.now)
    join(visited.memory, "web-" + "9" * 32, NORA, visited.clock.now)

    for context in (under_way, begun, visited.load("again", "v3", VISITOR)):
        with pytest.raises(ForgottenError):
            visited.memory.save(context, "one more", "no", {}, facts={}, handed_over=False)
    assert join(visited.memory, VISITOR, "customer:tom", visited.clock.now) == 0
    assert sessions(store, VISITOR) == sessions(store, "customer:tom") == []
    assert len(transcript(store, "v1", NORA)) == 21


def test_a_later_value_ends_the_earlier_one_whoever_said_it_and_a_repeat_is_none(talk: Talk, store: Store) -> None:
    talk("size s", facts={"size": "S"}, session="n1", customer=NORA)
    talk("size m", facts={"size": "M"}, session="v1", customer=VISITOR)
    talk("my name is nora", facts={"name": "Nora"}, session="v1", customer=VISITOR)
    talk("size l", facts={"size": "L"}, session="n2", customer=NORA)
    talk("my name is Nora", facts={"name": "nora"}, session="n2", customer=NORA)
    talk("I am nora@example.com", facts={"email": "nora@example.com"}, session="v1", customer=VISITOR)

    join(talk.memory, VISITOR, NORA, talk.clock.now)

    told = facts_of(store, NORA, history=True)
    assert [(fact.name, fact.value) for fact in told] == [
        ("email", "nora@example.com"),
        ("size", "L"),
        ("name", "Nora"),
        ("size", "M"),
        ("size", "S"),
    ]
    assert {fact.name: fact.value for fact in facts_of(store, NORA)} == {
        "email": "nora@example.com",
        "size": "L",
        "name": "Nora",
    }
    found = health(store, NORA)
    assert (found.duplicates, found.contradictions) == ((), ())


def test_somebody_new_to_us_is_a_customer_since_the_visitor_came(talk: Talk, store: Store) -> None:
    talk("hello", session="v1", customer=VISITOR)
    with store.read() as connection:
        since = connection.scalar(select(CUSTOMERS.c.created_at))
    talk.clock.advance(days=3)
    assert join(talk.memory, VISITOR, NORA, talk.clock.now) == 1
    with store.read() as connection:
        assert connection.execute(select(CUSTOMERS.c.id, CUSTOMERS.c.created_at)).all() == [(NORA, since)]


@pytest.mark.parametrize("pair", [(NORA, "customer:tom"), (VISITOR, "web-" + "1" * 32), ("", NORA)])
def test_only_a_visitor_is_joined_and_only_to_a_customer(talk: Talk, pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="must be a visitor's id"):
        join(talk.memory, *pair, talk.clock.now)


def test_what_was_joined_is_forgotten_with_the_customer_and_proven_so(
    visited: Talk, store: Store, tmp_path: Path
) -> None:
    join(visited.memory, VISITOR, NORA, visited.clock.now)

    receipt = issue(forget(visited.memory, Scope(NORA)), tmp_path, visited.clock.now)

    assert receipt.removed["turns"] == 24
    proof = prove(receipt, tmp_path, store)
    assert proof.holds
    assert proof.fingerprints > 20
    assert "badger" not in "".join(path.read_bytes().decode("latin-1") for path in store.files())


def test_a_visitor_who_forgot_everything_leaves_no_trace_when_joined(
    visited: Talk, store: Store, tmp_path: Path
) -> None:
    receipt = issue(forget(visited.memory, Scope(VISITOR)), tmp_path, visited.clock.now)
    assert join(visited.memory, VISITOR, NORA, visited.clock.now) == 0
    assert prove(receipt, tmp_path, store).holds
