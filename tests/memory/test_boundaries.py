"""What crosses from one session to the next, for how long, and what retention removes when nothing may cross."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memory import ConversationMemory, Store
from memory.boundaries import Boundaries
from memory.context import Budgets
from memory.erasure import forget
from memory.history import facts_of, transcript
from memory.places import Scope
from memory.retention import retain
from retrieval import Encoder
from tests.conftest import Clock
from tests.memory.conftest import SPECS, Talk

KINDS = ("facts", "promises", "summary", "recall")


@pytest.fixture
def make(store: Store, encoder: Encoder, clock: Clock) -> Callable[..., Talk]:
    return lambda **days: Talk(ConversationMemory(store, encoder, SPECS, Budgets(), Boundaries(**days)), clock)


def _say(talk: Talk, session: str = "old", customer: str = "ada") -> int:
    decision = {"topic": "The tent", "promise": "We look for the tent"}
    return talk("My tent pole snapped", session=session, customer=customer, facts={"name": "Ada"}, decision=decision)


def _known(talk: Talk, session: str = "new") -> dict[str, Any]:
    context = talk.load("My tent pole snapped", session)
    digests = [digest for _, digest in talk.memory.earlier(context, 8)]
    return {
        "facts": [fact.value for fact in context.facts.values()],
        "promises": [promise.text for promise in talk.memory.promised(context)],
        "summary": [topic for digest in digests for topic, _ in digest.topics],
        "recall": [hit.turn.text for hit in context.recalled],
    }


@pytest.mark.parametrize("off", KINDS)
def test_what_is_off_does_not_cross_and_the_rest_does(make: Callable[..., Talk], off: str) -> None:
    talk = make(**{off: 0})
    _say(talk)
    assert {kind for kind, known in _known(talk).items() if known} == set(KINDS) - {off}
    assert all(_known(talk, "old")[kind] for kind in KINDS if kind != "recall")  # the session itself knows it all


@pytest.mark.parametrize("kind", KINDS)
def test_each_crosses_for_its_own_time(make: Callable[..., Talk], clock: Clock, kind: str) -> None:
    talk = make(**{kind: 10})
    _say(talk)
    clock.advance(days=9)
    assert _known(talk)[kind]
    clock.advance(days=1)
    assert not _known(talk)[kind]
    assert all(_known(talk)[other] for other in KINDS if other != kind)


def test_retention_removes_sessions_of_which_nothing_may_cross(make: Callable[..., Talk], clock: Clock) -> None:
    talk = make(facts=5, promises=5, summary=10, recall=5)
    _say(talk)
    _say(talk, "tom's", "tom")
    assert retain(talk.memory, clock.now) == {}
    clock.advance(days=8)
    talk("still here", session="new")
    assert retain(talk.memory, clock.now) == {"facts": 2}
    clock.advance(days=3)
    assert retain(talk.memory, clock.now) == {"vectors": 2, "commitments": 2, "turns": 2, "sessions": 2, "customers": 1}
    assert transcript(talk.memory.store, "old", "ada") == []
    assert [turn.text for turn in transcript(talk.memory.store, "new", "ada")] == ["still here"]
    assert retain(talk.memory, clock.now) == {}


def test_retention_leaves_no_bytes_of_what_it_removes(make: Callable[..., Talk], clock: Clock) -> None:
    talk = make(facts=1, promises=1, summary=1, recall=1)
    _say(talk)
    clock.advance(days=3)
    retain(talk.memory, clock.now)
    assert b"tent pole" not in b"".join(path.read_bytes() for path in talk.memory.store.files())


def test_a_fact_goes_after_its_own_time_where_that_is_shorter(make: Callable[..., Talk], clock: Clock) -> None:
    talk = make()
    talk("ada@example.com", facts={"email": "ada@example.com", "name": "Ada"})  # kept for 30 days, and for a year
    clock.advance(days=31)
    assert retain(talk.memory, clock.now) == {"facts": 1}
    assert [fact.name for fact in facts_of(talk.memory.store, "ada")] == ["name"]


def test_retention_does_not_bring_back_what_was_forgotten(make: Callable[..., Talk], clock: Clock) -> None:
    talk = make(facts=1, promises=1, summary=1, recall=1)
    _say(talk)
    forget(talk.memory, Scope("ada"))
    clock.advance(days=3)
    assert retain(talk.memory, clock.now) == {}
