"""Typed facts: found in messages, kept with their history and their time."""

from __future__ import annotations

import pytest
import regex

from memory import FactSpec
from memory.facts import find_facts
from memory.history import facts_of
from memory.store import Store
from tests.memory.conftest import SPECS, Talk

ORDER = next(spec for spec in SPECS if spec.name == "order_number")


def _history(store: Store, customer: str = "ada") -> list[tuple[str, str]]:
    return [(fact.name, fact.value) for fact in facts_of(store, customer, history=True)]


@pytest.mark.parametrize("text", ["where is R-10234?", "where is r 10234", "R10234!", "order #10234", "order10234"])
def test_a_fact_is_found_and_formed_however_it_is_typed(text: str) -> None:
    assert ORDER.find(text) == "R-10234"


@pytest.mark.parametrize("text", ["call 07700 900123", "order 102345", "CR10234", "10234", ""])
def test_what_is_no_fact_is_not_taken_for_one(text: str) -> None:
    assert ORDER.find(text) is None


@pytest.mark.parametrize(
    ("text", "typed"),
    [("it's R-1023", "R-1023"), ("R-1023, sorry, R 102345", "R 102345"), ("R-10234", None), ("I paid 1023", None)],
)
def test_what_is_meant_as_a_fact_and_is_none_is_found_as_it_was_typed(text: str, typed: str | None) -> None:
    spec = FactSpec("order", "order", near_misses=(regex.compile(r"\b(?P<value>R[ -](?:\d{4}|\d{6}))\b"),))
    assert spec.find_near_miss(text) == typed


def test_the_last_value_in_a_message_wins() -> None:
    assert ORDER.find("order 10001, no wait, R-10002") == "R-10002"
    assert ORDER.find("R-10002, no wait, order 10001") == "R-10001"


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("where are R-10001 and R-10002??", ("R-10001", "R-10002")),
        ("R-10001, r10002 & order 10003", ("R-10001", "R-10002", "R-10003")),
        ("R-10001 and R-10001", ("R-10001",)),
        ("R-10001, no wait, R-10002", ("R-10002",)),
        ("not R-10001 and R-10002 but R-10003", ("R-10003",)),
        ("no order yet", ()),
    ],
)
def test_values_that_are_listed_are_found_together(text: str, listed: tuple[str, ...]) -> None:
    assert ORDER.find_all(text) == listed


def test_a_bare_answer_counts_only_when_the_bot_has_asked() -> None:
    assert find_facts(SPECS, "it says 10234") == {}
    assert find_facts(SPECS, "it says 10234", asked="email") == {}
    assert find_facts(SPECS, " it says 10234\n", asked="order_number") == {"order_number": ("R-10234",)}


def test_an_answer_must_be_the_whole_message() -> None:
    assert ORDER.find("10234 or maybe 10235", asked=True) is None


def test_several_facts_are_found_in_one_message_in_their_own_case() -> None:
    text = "My name is nora, mail Nora.B@Example.com, my fleece is size m"
    assert find_facts(SPECS, text) == {
        "email": ("nora.b@example.com",),
        "name": ("Nora",),
        "size": ("M",),
        "product": ("Fellside Fleece",),
    }


def test_a_pattern_that_never_ends_is_stopped() -> None:
    slow = FactSpec("slow", "slow", patterns=(regex.compile(r"(?P<value>(?:a|aa)+)$"),))
    with pytest.raises(TimeoutError):
        slow.find("a" * 60 + "b")


def test_a_fact_comes_with_the_turn_it_was_said_in(talk: Talk) -> None:
    said_at = talk.clock.now
    turn_id = talk("It's R-10001", facts={"order_number": "R-10001"})
    fact = talk.load().facts["order_number"]
    assert (fact.value, fact.turn_id, fact.session_id, fact.said_at) == ("R-10001", turn_id, "s1", said_at)


def test_a_fact_is_known_in_the_customers_next_session_and_to_nobody_else(talk: Talk) -> None:
    talk("It's R-10001", facts={"order_number": "R-10001"})
    assert talk.load(session="s2").facts["order_number"].value == "R-10001"
    assert talk.load(session="s3", customer="bob").facts == {}


def test_a_newer_value_supersedes_the_older_one_and_keeps_it_as_history(store: Store, talk: Talk) -> None:
    talk("R-10001", facts={"order_number": "R-10001"})
    talk("R-10002", facts={"order_number": "R-10002"})
    assert talk.load().facts["order_number"].value == "R-10002"
    assert [fact.value for fact in facts_of(store, "ada")] == ["R-10002"]
    assert _history(store) == [("order_number", "R-10002"), ("order_number", "R-10001")]


def test_going_back_to_an_older_value_makes_it_current_again(store: Store, talk: Talk) -> None:
    for value in ("R-10001", "R-10002", "R-10001"):
        talk(value, facts={"order_number": value})
    assert talk.load().facts["order_number"].value == "R-10001"
    assert len(_history(store)) == 3


def test_a_repeated_value_changes_nothing(store: Store, talk: Talk) -> None:
    first = talk("R-10001", facts={"order_number": "R-10001"})
    talk("R-10001 again", facts={"order_number": "R-10001"}, session="s2")
    assert len(_history(store)) == 1
    assert talk.load().facts["order_number"].turn_id == first


def test_one_fact_does_not_supersede_another_or_another_customers(talk: Talk) -> None:
    talk("R-10001", facts={"order_number": "R-10001"})
    talk("a@b.example", facts={"email": "a@b.example"})
    talk("R-10002", facts={"order_number": "R-10002"}, session="s2", customer="bob")
    assert {name: fact.value for name, fact in talk.load().facts.items()} == {
        "order_number": "R-10001",
        "email": "a@b.example",
    }


def test_a_fact_is_used_for_as_long_as_the_desk_keeps_it(talk: Talk) -> None:
    talk("a@b.example", facts={"email": "a@b.example"})
    talk.clock.advance(days=30)
    assert "email" in talk.load().facts
    talk.clock.advance(days=1)
    assert "email" not in talk.load().facts


def test_a_fact_said_again_after_its_time_is_kept_anew(store: Store, talk: Talk) -> None:
    talk("a@b.example", facts={"email": "a@b.example"})
    talk.clock.advance(days=40)
    again = talk("a@b.example", facts={"email": "a@b.example"})
    assert talk.load().facts["email"].turn_id == again
    assert [fact.turn_id for fact in facts_of(store, "ada")] == [again]


def test_a_fact_that_the_desk_no_longer_describes_is_not_used(talk: Talk) -> None:
    talk("blue", facts={"favourite_colour": "blue"})
    assert talk.load().facts == {}


def test_spans_are_where_one_of_the_values_is_said_and_nothing_else() -> None:
    text = "order10234, order 99999, R-10234"
    assert [text[slice(*span)] for span in ORDER.spans(text, ["R-10234"])] == ["10234", "10234"]
    assert ORDER.spans(" 10234 ", ["R-10234"]) == [(1, 6)]
    assert ORDER.spans(text, []) == []
