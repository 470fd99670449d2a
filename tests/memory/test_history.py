"""Looking back: transcripts, sessions, facts, ratings and exports."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from memory import StoreError
from memory.history import around, customers, export, facts_of, rate, ratings, sessions, transcript
from memory.store import Store
from tests.memory.conftest import Talk


def test_a_transcript_holds_every_turn_in_order(store: Store, talk: Talk) -> None:
    for number in range(20):
        talk(f"message {number}")
    assert [turn.text for turn in transcript(store, "s1", "ada")] == [f"message {number}" for number in range(20)]


def test_a_transcript_is_only_for_its_owner(store: Store, talk: Talk) -> None:
    talk("my secret")
    assert transcript(store, "s1", "bob") == []
    assert transcript(store, "no such session", "ada") == []


def test_sessions_are_the_customers_own_newest_first(store: Store, talk: Talk) -> None:
    for session in ("a", "b", "c"):
        talk("hello", session=session)
    talk("hello", session="d", customer="bob")
    talk("back again", session="a")
    assert [session.id for session in sessions(store, "ada")] == ["a", "c", "b"]
    assert [session.id for session in sessions(store, "ada", most=1)] == ["a"]


def test_sessions_before_one_leave_out_that_one_and_those_begun_later(store: Store, talk: Talk) -> None:
    for session in ("a", "b", "c"):
        talk("hello", session=session)
    assert [session.id for session in sessions(store, "ada", before="b")] == ["a"]
    assert [session.id for session in sessions(store, "ada", before="not begun yet")] == ["c", "b", "a"]


def test_a_session_says_when_it_began_when_it_was_last_used_and_its_state(store: Store, talk: Talk) -> None:
    began = talk.clock.now
    talk("hello")
    last = talk.clock.now
    talk("a person please", handed_over=True)
    (session,) = sessions(store, "ada")
    assert (session.started_at, session.last_at, session.state) == (began, last, "handed_over")


def test_facts_come_newest_first_with_the_session_they_were_said_in(store: Store, talk: Talk) -> None:
    talk("R-10001", facts={"order_number": "R-10001"})
    talk("a@b.example", facts={"email": "a@b.example"}, session="s2")
    assert [(fact.name, fact.session_id) for fact in facts_of(store, "ada")] == [
        ("email", "s2"),
        ("order_number", "s1"),
    ]
    assert facts_of(store, "bob") == []


def test_a_second_rating_replaces_the_first(store: Store, talk: Talk) -> None:
    first, second = talk("one"), talk("two")
    rate(store, "ada", first, 1, talk.clock.now)
    rate(store, "ada", second, 1, talk.clock.now)
    rate(store, "ada", first, -1, talk.clock.now)
    assert ratings(store, "s1") == {first: -1, second: 1}
    assert ratings(store, "s2") == {}


@pytest.mark.parametrize("rating", [0, 2, -2])
def test_a_rating_is_up_or_down(store: Store, talk: Talk, rating: int) -> None:
    with pytest.raises(ValueError, match=f"a rating is 1 or -1, not {rating}"):
        rate(store, "ada", talk("hello"), rating, talk.clock.now)


def test_only_the_owner_rates_a_turn(store: Store, talk: Talk) -> None:
    turn_id = talk("hello")
    with pytest.raises(ValueError, match="is not a turn of this customer"):
        rate(store, "bob", turn_id, 1, talk.clock.now)
    with pytest.raises(ValueError, match="is not a turn of this customer"):
        rate(store, "ada", turn_id + 1, 1, talk.clock.now)
    assert ratings(store, "s1") == {}


def test_customers_are_listed_newest_first_with_their_turns(store: Store, talk: Talk) -> None:
    talk("hello")
    talk("hello", session="bobs", customer="bob")
    talk("hello again", session="s2")
    assert [(row["id"], row["turns"]) for row in customers(store)] == [("ada", 2), ("bob", 1)]


def test_an_export_holds_everything_and_is_json(store: Store, make_talk: Callable[..., Talk]) -> None:
    talk = make_talk(buffer_turns=1)
    first = talk("R-10001", "Noted.", facts={"order_number": "R-10001"}, decision={"topic": "order"})
    talk("R-10002", facts={"order_number": "R-10002"}, session="s1")
    talk("hello", session="s2")
    rate(store, "ada", first, -1, talk.clock.now)
    held = json.loads(json.dumps(export(store, "ada")))
    assert (held["customer_id"], held["created_at"]) == ("ada", "2026-11-24T10:00:00.000+00:00")
    assert [row["id"] for row in held["sessions"]] == ["s1", "s2"]
    assert (held["turns"][0]["text"], held["turns"][0]["reply"]) == ("R-10001", "Noted.")
    assert held["turns"][0]["decision"] == {"topic": "order"}
    assert [(row["value"], row["superseded_at"] is None) for row in held["facts"]] == [
        ("R-10001", False),
        ("R-10002", True),
    ]
    assert held["summaries"][0]["content"]["topics"] == [["order", "open"]]
    assert [(row["turn_id"], row["rating"]) for row in held["feedback"]] == [(first, -1)]


def test_an_export_holds_nothing_of_others(store: Store, talk: Talk) -> None:
    talk("my secret", facts={"name": "Ada"})
    rate(store, "ada", talk("my other secret"), 1, talk.clock.now)
    talk("hello", session="bobs", customer="bob")
    held = export(store, "bob")
    assert "secret" not in json.dumps(held)
    assert (len(held["sessions"]), len(held["turns"]), held["facts"], held["feedback"]) == (1, 1, [], [])


def test_nothing_can_be_exported_of_a_customer_nobody_knows(store: Store) -> None:
    with pytest.raises(StoreError, match="Nothing is held about a customer 'nobody'"):
        export(store, "nobody")


def test_around_a_turn_are_its_neighbours_in_its_own_session_only(store: Store, talk: Talk) -> None:
    ids = [talk(f"message {number}", session=session) for number in range(5) for session in ("a", "b")]
    talk("somebody else", session="c", customer="bob")
    assert [turn.text for turn in around(store, "ada", ids[4])] == ["message 1", "message 2", "message 3"]
    assert {turn.session_id for turn in around(store, "ada", ids[4])} == {"a"}
    assert [turn.text for turn in around(store, "ada", ids[0], reach=2)] == ["message 0", "message 1", "message 2"]
    assert around(store, "bob", ids[4]) == around(store, "ada", 10_000) == []
