"""Buffer memory: the last turns, within a budget."""

from __future__ import annotations

from collections.abc import Callable

from memory.buffer import load_buffer
from memory.store import Store
from tests.memory.conftest import Talk


def _numbers(talk: Talk, session: str = "s1") -> list[int]:
    return [turn.number for turn in talk.load(session=session).buffer]


def test_the_buffer_holds_the_last_turns_word_for_word_oldest_first(talk: Talk) -> None:
    talk("Where is my parcel?", "It is on its way.", decision={"topic": "parcel"})
    talk("Thanks", "You're welcome.")
    first, second = talk.load().buffer
    assert (first.text, first.reply, first.decision) == (
        "Where is my parcel?",
        "It is on its way.",
        {"topic": "parcel"},
    )
    assert (first.number, second.number) == (1, 2)
    assert first.at < second.at


def test_the_buffer_becomes_messages_in_the_order_they_were_said(talk: Talk) -> None:
    talk("one", "two")
    talk("three", "four")
    messages = talk.load().messages()
    assert [(message.type, message.content) for message in messages] == [
        ("human", "one"),
        ("ai", "two"),
        ("human", "three"),
        ("ai", "four"),
    ]


def test_no_more_turns_than_allowed_are_in_the_buffer(make_talk: Callable[..., Talk]) -> None:
    talk = make_talk(buffer_turns=3)
    for number in range(5):
        talk(f"message {number}")
    assert _numbers(talk) == [3, 4, 5]


def test_turns_beyond_the_token_budget_are_left_out(store: Store, talk: Talk) -> None:
    talk("one two three", "four")
    talk("five", "six seven eight nine")
    talk("ten", "eleven")
    tokens = [turn.tokens for turn in talk.load().buffer]
    with store.read() as connection:
        fitting = load_buffer(connection, "s1", sum(tokens[1:]), 10)
        one_token_less = load_buffer(connection, "s1", sum(tokens[1:]) - 1, 10)
    assert [turn.number for turn in fitting] == [2, 3]
    assert [turn.number for turn in one_token_less] == [3]


def test_the_last_turn_is_there_however_long_it_is(make_talk: Callable[..., Talk]) -> None:
    talk = make_talk(buffer_tokens=20)
    talk("short")
    talk("a very long story " * 50)
    assert _numbers(talk) == [2]


def test_tokens_are_those_of_message_and_reply_untruncated(talk: Talk) -> None:
    text, reply = "parcel " * 400, "order " * 300
    talk(text, reply)
    assert talk.load().last.tokens == 700


def test_a_buffer_holds_only_its_own_session(talk: Talk) -> None:
    talk("in the first session")
    talk("in the second session", session="s2")
    assert [turn.text for turn in talk.load(session="s2").buffer] == ["in the second session"]


def test_a_new_session_has_an_empty_buffer_and_no_last_turn(talk: Talk) -> None:
    context = talk.load()
    assert context.is_new
    assert (context.buffer, context.last, context.number, context.pending) == ((), None, 0, {})
