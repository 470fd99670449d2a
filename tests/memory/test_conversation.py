"""ConversationMemory: what a turn loads and what it leaves, in one transaction."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from memory import ConversationMemory, Store, StoreError
from memory.context import Budgets
from memory.conversation import WrongCustomerError
from memory.history import facts_of, transcript
from memory.tables import METADATA, TURNS
from retrieval import Encoder
from tests.conftest import Clock
from tests.memory.conftest import SPECS, Talk


def test_what_was_saved_is_loaded_again_after_a_restart(make_talk: Callable[..., Talk]) -> None:
    decision = {"topic": "parcel", "pending": {"fact": "order_number"}, "sources": [{"id": "a#1"}], "score": 0.25}
    make_talk()("Wo ist 📦 “R-10001”?\n'; DROP TABLE turns; --", "Here.", facts={"name": "Ada"}, decision=decision)
    context = make_talk().load()
    assert (context.last.text, context.last.reply) == ("Wo ist 📦 “R-10001”?\n'; DROP TABLE turns; --", "Here.")
    assert context.last.decision == decision
    assert context.pending == {"fact": "order_number"}
    assert context.facts["name"].value == "Ada"
    assert (context.is_new, context.number) == (False, 1)


def test_a_handed_over_session_says_so_until_it_is_taken_back(talk: Talk) -> None:
    talk("a person please", handed_over=True)
    assert talk.load().handed_over
    talk("thanks", handed_over=False)
    assert not talk.load().handed_over


def test_a_session_cannot_be_loaded_in_another_customers_name(talk: Talk) -> None:
    talk("my secret")
    with pytest.raises(WrongCustomerError) as refused:
        talk.load(customer="bob")
    assert "ada" not in str(refused.value)


def test_a_turn_that_cannot_be_saved_whole_is_not_saved_at_all(store: Store, talk: Talk) -> None:
    context = talk.load()
    with pytest.raises(StoreError):
        talk.memory.save(
            context,
            "hi",
            "hello",
            {},
            facts={"name": None},
            handed_over=False,  # type: ignore[dict-item]
        )
    with store.read() as connection:
        for table in METADATA.tables:
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0  # noqa: S608
    assert talk.load().is_new


def test_a_turn_that_somebody_else_saved_first_is_refused(store: Store, talk: Talk) -> None:
    talk("one")
    stale = talk.load()
    talk("two")
    with pytest.raises(StoreError, match=r"UNIQUE|unique constraint"):
        talk.memory.save(stale, "three", "no", {}, facts={}, handed_over=False)
    assert [turn.text for turn in transcript(store, "s1", "ada")] == ["one", "two"]


def test_loading_stores_nothing(store: Store, talk: Talk) -> None:
    talk.load("hello", "never begun", "nobody")
    with store.read() as connection:
        assert connection.execute(text("SELECT * FROM customers")).all() == []


def test_recalled_text_is_not_stored_again(store: Store, talk: Talk) -> None:
    talk("My tent pole snapped", session="old")
    talk("What about the tent?", session="new")
    with store.read() as connection:
        texts = connection.scalars(select(TURNS.c.text).where(TURNS.c.session_id == "new")).all()
    assert texts == ["What about the tent?"]


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder: Path = tmp_path_factory.mktemp("conversation")
    store = Store(f"sqlite:///{folder}/rapport.db")
    yield store
    store.close()


_SESSIONS = itertools.count()


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=12),
    budgets=st.lists(st.tuples(st.integers(1, 120), st.integers(1, 6)), min_size=1, max_size=12),
)
def test_digest_and_buffer_cover_every_turn_exactly_once(
    shared_store: Store, encoder: Encoder, lengths: list[int], budgets: list[tuple[int, int]]
) -> None:
    """Whatever the messages' lengths; a budget may shrink from one turn to the next, as by a restart."""
    session, now = f"session {next(_SESSIONS)}", Clock().now
    tokens, turns = 120, 6
    for number, length in enumerate(lengths, 1):
        wanted = budgets[number % len(budgets)]
        tokens, turns = min(tokens, wanted[0]), min(turns, wanted[1])
        memory = ConversationMemory(shared_store, encoder, (), Budgets(tokens, turns, 0))
        context = memory.load(session, session, "", now)
        decision = {"topic": str(number), "promise": str(number)}
        memory.save(context, "word " * length, "", decision, facts={}, handed_over=False)
        context = memory.load(session, session, "", now)
        buffered = [turn.number for turn in context.buffer]
        assert [*range(1, context.digest.covers + 1), *buffered] == list(range(1, number + 1))
        digested = [topic for topic, _ in context.digest.topics]
        assert digested == [str(covered) for covered in range(1, context.digest.covers + 1)]


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.sampled_from(["a", "b", None]), max_size=12))
def test_the_current_fact_is_the_last_one_said_and_history_holds_every_change(
    shared_store: Store, encoder: Encoder, steps: list[str | None]
) -> None:
    memory, session = ConversationMemory(shared_store, encoder, SPECS), f"session {next(_SESSIONS)}"
    now = Clock().now
    for said in steps:
        context = memory.load(session, session, "", now)
        facts = {"name": said} if said else {}
        memory.save(context, "hello", "", {}, facts=facts, handed_over=False)
    said_values = [said for said in steps if said]
    changes = [value for value, _ in itertools.groupby(said_values)]
    assert [fact.value for fact in reversed(facts_of(shared_store, session, history=True))] == changes
    assert [fact.value for fact in facts_of(shared_store, session)] == changes[-1:]
