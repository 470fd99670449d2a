"""Summary memory: the digest of the turns that left the buffer, and a chat model's prose."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, update

from memory.history import session_digest, transcript
from memory.migrations import m006_checksums
from memory.particulars import Particular
from memory.store import Store, Turn
from memory.summary import MOST_PARTICULARS, MOST_TOPICS, Digest, load_summaries
from memory.tables import SUMMARIES, TURNS
from retrieval import Encoder
from tests.memory.conftest import Talk


@pytest.fixture
def talk(make_talk: Callable[..., Talk]) -> Talk:
    """A memory whose buffer holds two turns."""
    return make_talk(buffer_turns=2)


def _discuss(talk: Talk, *topics: str) -> list[int]:
    return [talk(f"about {topic}", decision={"topic": topic, "state": "answered"}) for topic in topics]


def _topics(digest: Digest) -> list[str]:
    return [topic for topic, _ in digest.topics]


def _write(prose: str, turns: Sequence[Turn]) -> str:
    return f"{prose} {' '.join(turn.text for turn in turns)}".strip()


def test_a_short_session_has_no_digest(talk: Talk) -> None:
    _discuss(talk, "returns", "sizes")
    assert talk.load().digest == Digest()


def test_turns_that_leave_the_buffer_are_in_the_digest(talk: Talk) -> None:
    ids = _discuss(talk, "returns", "sizes", "delivery", "payment")
    digest = talk.load().digest
    assert digest.topics == (("returns", "answered"), ("sizes", "answered"))
    assert (digest.first, digest.last, digest.covers) == (ids[0], ids[1], 2)


def test_all_topics_of_a_turn_that_answered_several_questions_are_in_the_digest(talk: Talk) -> None:
    also = [["return_item", "returns", "answered"], ["thanks", "", "answered"]]
    decision = {"topic": "sizes", "also": also, "state": "open"}
    talk("how do returns work? and which size?", decision=decision)
    _discuss(talk, "delivery", "payment")
    assert talk.load().digest.topics == (("returns", "answered"), ("sizes", "open"))


def test_turns_that_leave_for_want_of_tokens_are_in_the_digest(make_talk: Callable[..., Talk]) -> None:
    talk = make_talk(buffer_tokens=12)
    _discuss(talk, "returns", "sizes")
    talk("a long message that fills the whole of the buffer by itself")
    assert _topics(talk.load().digest) == ["returns", "sizes"]


def test_the_originals_stay_as_they_were(store: Store, talk: Talk) -> None:
    _discuss(talk, "returns", "sizes", "delivery", "payment")
    turns = transcript(store, "s1", "ada")
    assert [turn.text for turn in turns] == ["about returns", "about sizes", "about delivery", "about payment"]


def test_a_topic_that_comes_up_again_moves_to_the_end_with_its_new_state(talk: Talk) -> None:
    talk("returns?", decision={"topic": "returns", "state": "open"})
    _discuss(talk, "sizes")
    talk("returns!", decision={"topic": "returns", "state": "handed_over"})
    _discuss(talk, "a", "b")
    assert talk.load().digest.topics == (("sizes", "answered"), ("returns", "handed_over"))


def test_a_digest_does_not_grow_without_end(talk: Talk) -> None:
    _discuss(talk, *(f"topic {number}" for number in range(MOST_TOPICS + 6)))
    assert _topics(talk.load().digest) == [f"topic {number}" for number in range(4, MOST_TOPICS + 4)]


def test_particulars_do_not_grow_without_end_and_the_newest_stay(talk: Talk) -> None:
    for number in range(0, MOST_PARTICULARS + 10, 2):
        talk(f"orders {1000 + number} and {1001 + number}")
    particulars = talk.load().digest.particulars
    assert len(particulars) == MOST_PARTICULARS
    assert particulars[-1].text == str(1000 + MOST_PARTICULARS + 10 - 5)


def test_a_particular_said_twice_is_kept_once_and_a_full_name_takes_the_place_of_a_first_name(talk: Talk) -> None:
    talk("my name is Daiki, order 10234", reply="Thank you, Daiki.")
    talk("my name is Daiki Johnson, and order 10234 is late")
    _discuss(talk, "a", "b")
    assert [(one.kind, one.text) for one in talk.load().digest.particulars] == [
        ("number", "10234"),
        ("name", "Daiki Johnson"),
    ]


def test_the_summary_names_what_left_the_buffer(talk: Talk) -> None:
    talk("my name is nora, where is order 10234?", reply="It cost $50 and comes on Friday. Which address is it?")
    _discuss(talk, "a", "b")
    assert talk.load().summary == (
        "Names: nora. Numbers: 10234. Dates: Friday. Amounts: $50. We asked: Which address is it?. "
        "Said: my name is nora, where is order 10234?; It cost $50 and comes on Friday.."
    )


def test_a_question_stays_open_until_a_reply_says_something(talk: Talk) -> None:
    talk("where is my order?", reply="Which order is it?")
    _discuss(talk, "a")
    talk("b")
    assert talk.load().digest.questions == ("where is my order?",)
    talk("c")
    assert talk.load().digest.questions == ()


def test_what_was_promised_in_the_session_is_in_its_summary(talk: Talk) -> None:
    talk("torn", reply="We'll refund you by Friday.", decision={"written_by": "colleague"})
    _discuss(talk, "a", "b")
    assert "Promised: We'll refund you by Friday." in talk.load().summary


@settings(max_examples=60, deadline=None)
@given(
    budget=st.integers(0, 80),
    values=st.lists(st.text(min_size=1, max_size=30), max_size=20),
    topics=st.lists(st.sampled_from(["returns", "where is it?", "a longer topic, with a comma"]), max_size=3),
)
def test_a_digest_in_words_never_exceeds_its_budget(
    encoder: Encoder, budget: int, values: list[str], topics: list[str]
) -> None:
    digest = Digest(
        topics=tuple((topic, "open") for topic in topics),
        particulars=tuple(Particular("number", value) for value in values),
        asked=tuple(values[:2]),
    )
    text = digest.text(budget, encoder.count_tokens)
    assert not text or encoder.count_tokens(text) <= budget


def test_the_newest_of_a_kind_stay_where_the_budget_is_short(encoder: Encoder) -> None:
    digest = Digest(particulars=tuple(Particular("number", f"{number}") for number in range(1001, 1011)))
    assert digest.text(10, encoder.count_tokens) == "Numbers: 1009; 1010."


def test_prose_that_drops_particulars_is_mended_from_the_turns(talk: Talk) -> None:
    talk("my name is nora, order 10234 is late", reply="It cost $50.00 and comes on 6 May.")
    talk("will it be here by Friday?", reply="Which postcode is it?")
    _discuss(talk, "a")
    talk("b")
    talk.memory.summarise("s1", "ada", lambda prose, turns: "Nora's order is due on May 6th, for $50.")
    assert talk.load().prose == (
        "Nora's order is due on May 6th, for $50. Also: 10234; nora; Friday. Unanswered: will it be here by Friday?"
    )


def test_prose_need_not_repeat_what_facts_hold(talk: Talk) -> None:
    talk("order 10234 is late", facts={"order_number": "R-10234 10234"})
    _discuss(talk, "a", "b")
    talk.memory.summarise("s1", "ada", lambda prose, turns: "An order is late.")
    assert talk.load().prose == "An order is late."


def test_particulars_of_turns_covered_long_ago_survive_every_new_prose(talk: Talk) -> None:
    talk("order 10234 is late")
    for topic in "abcde":
        _discuss(talk, topic)
        talk.memory.summarise("s1", "ada", lambda prose, turns: "They talked.")
    assert talk.load().prose == "They talked. Also: 10234."


def test_a_deleted_digest_is_made_again_from_the_turns(store: Store, talk: Talk) -> None:
    _discuss(talk, "returns", "sizes", "delivery", "payment")
    with store.write() as connection:
        connection.execute(delete(SUMMARIES))
    _discuss(talk, "tents")
    digest = talk.load().digest
    assert (_topics(digest), digest.covers) == (["returns", "sizes", "delivery"], 3)


def test_a_smaller_buffer_after_a_restart_leaves_no_gap(make_talk: Callable[..., Talk]) -> None:
    _discuss(make_talk(buffer_turns=6), *"abcdef")
    small = make_talk(buffer_turns=2)
    _discuss(small, "g")
    context = small.load()
    assert (context.digest.covers, context.buffer[0].number) == (5, 6)
    assert _topics(context.digest) == list("abcde")


def test_the_digest_of_a_whole_session_includes_the_buffer(store: Store, talk: Talk) -> None:
    _discuss(talk, "returns", "sizes", "delivery", "payment")
    assert _topics(session_digest(store, "s1")) == ["returns", "sizes", "delivery", "payment"]


def test_a_turn_asks_the_database_no_more_in_a_long_session_than_in_a_short_one(store: Store, talk: Talk) -> None:
    statements: list[str] = []

    def note(*args: Any) -> None:
        # How many turns are recalled, each with its neighbours, has a limit of its own.
        statements.append(re.sub(r"IN \((?:[^()]|\([^()]*\))*\)", "IN (?)", args[2]))

    event.listen(store.engine, "before_cursor_execute", note)
    _discuss(talk, *"abcdef")
    statements.clear()
    _discuss(talk, "early")
    early = list(statements)
    _discuss(talk, *(f"topic {number}" for number in range(30)))
    statements.clear()
    _discuss(talk, "late")
    assert statements == early


def test_the_digest_extends_what_is_stored_and_does_not_read_old_turns_again(store: Store, talk: Talk) -> None:
    _discuss(talk, *"abcd")
    with store.write() as connection:
        connection.execute(update(TURNS).where(TURNS.c.number <= 2).values(decision={"topic": "changed"}))
        m006_checksums(connection)
    _discuss(talk, "e")
    assert _topics(talk.load().digest) == ["a", "b", "c"]


def test_prose_is_written_from_the_turns_that_left_the_buffer(talk: Talk) -> None:
    _discuss(talk, *"abcd")
    assert talk.memory.summarise("s1", "ada", _write)
    assert talk.load().prose == "about a about b"


def test_the_writer_is_given_the_old_prose_and_only_the_new_turns(talk: Talk) -> None:
    given: list[tuple[str, list[int]]] = []

    def write(prose: str, turns: Sequence[Turn]) -> str:
        given.append((prose, [turn.number for turn in turns]))
        return f"prose {len(given)}"

    for topic in "abcde":
        _discuss(talk, topic)
        talk.memory.summarise("s1", "ada", write)
    assert given == [("", [1]), ("prose 1", [2]), ("prose 2", [3])]
    assert talk.load().prose == "prose 3"


def test_the_writer_is_not_asked_when_nothing_is_new(talk: Talk) -> None:
    _discuss(talk, *"abc")
    assert talk.memory.summarise("s1", "ada", _write)
    assert not talk.memory.summarise("s1", "ada", _write)


def _fail(prose: str, turns: Sequence[Turn]) -> str:
    raise ConnectionError("no model today")


@pytest.mark.parametrize("writer", [_fail, lambda prose, turns: "", lambda prose, turns: " \n"])
def test_a_writer_that_fails_changes_nothing_and_its_turns_are_covered_later(
    store: Store, talk: Talk, writer: Callable[[str, Sequence[Turn]], str]
) -> None:
    _discuss(talk, *"abc")
    talk.memory.summarise("s1", "ada", _write)
    _discuss(talk, "d")
    with store.read() as connection:
        before = load_summaries(connection, "s1")
    assert not talk.memory.summarise("s1", "ada", writer)
    with store.read() as connection:
        assert load_summaries(connection, "s1") == before
    _discuss(talk, "e")
    assert talk.memory.summarise("s1", "ada", _write)
    assert talk.load().prose == "about a about b about c"


def test_prose_that_is_behind_the_digest_is_not_shown(talk: Talk) -> None:
    _discuss(talk, *"abc")
    talk.memory.summarise("s1", "ada", _write)
    _discuss(talk, "d")
    assert talk.load().prose == ""


def test_prose_of_turns_forgotten_while_it_was_written_is_thrown_away(store: Store, talk: Talk) -> None:
    ids = _discuss(talk, *"abcde")

    def write(prose: str, turns: Sequence[Turn]) -> str:
        with store.write() as connection:  # forget the first turn, then carry on talking
            connection.execute(delete(TURNS).where(TURNS.c.id == ids[0]))
            connection.execute(delete(SUMMARIES))
        _discuss(talk, "f", "g")
        return _write(prose, turns)

    assert not talk.memory.summarise("s1", "ada", write)
    assert talk.memory.summarise("s1", "ada", _write)
    assert "about a" not in talk.load().prose


def test_of_two_writers_at_once_the_first_one_stands(talk: Talk) -> None:
    _discuss(talk, *"abc")

    def write(prose: str, turns: Sequence[Turn]) -> str:
        talk.memory.summarise("s1", "ada", lambda prose, turns: "first")
        return "second"

    assert not talk.memory.summarise("s1", "ada", write)
    assert talk.load().prose == "first"
