"""Messages are told apart by their words: what asks, what promises, what complains, where a greeting ends."""

from __future__ import annotations

import pytest

from finetune.names import people, without
from finetune.phrasing import asks, complains, promises, sentences, telling, without_greeting


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Hi Ann, Tom here. It left today.", "It left today."),
        ("Good morning, Mr Ferris. we offer none.", "We offer none."),
        ("Hello there! This is Priti. Yes, it does.", "Yes, it does."),
        ("Yes. It does.", "Yes. It does."),
        ("Sorry. None are left.", "Sorry. None are left."),
        ("Here is the link.", "Here is the link."),
        ("High boots need wax.", "High boots need wax."),
    ],
)
def test_only_a_greeting_is_taken_off(text: str, rest: str) -> None:
    assert without_greeting(text) == rest


@pytest.mark.parametrize("text", ["is it wool", "ok so how long then", "I'd like a refund", "where’s my order", "any?"])
def test_questions_and_requests_ask(text: str) -> None:
    assert asks(text)


@pytest.mark.parametrize("text", ["That is correct.", "yes", "thanks a lot", "R-10318", "", "the red one"])
def test_other_messages_do_not_ask(text: str) -> None:
    assert not asks(text)


def test_promises_and_complaints_are_recognised() -> None:
    assert promises("One moment, let me look.") and promises("I'll just check that for you.")
    assert not promises("It takes three days.")
    assert complains("This is ridiculous") and complains("still no refund")
    assert not complains("thanks, you were a great help")


def test_courtesies_and_numbers_tell_nothing() -> None:
    assert telling("Hello, good morning! thanks R-10318 45") <= {"r"}
    assert telling("do you repair zips") == {"repair", "zip"}


def test_sentences_end_with_their_marks() -> None:
    assert sentences("It is £4.50. Anything else? No!") == ["It is £4.50.", "Anything else?", "No!"]


def test_names_are_found_where_people_greet_and_left_out() -> None:
    names = people(["Hello Ann, Tom here.", "It's Friday", "Dear Mrs Auld", "It's PayPal", "Hi, Can I", "can I"])

    assert names == {"ann", "tom", "auld"}
    assert without("Tell Mrs Auld's friend, Tom, tomorrow", names) == "Tell friend, tomorrow"
    assert without("Tom", names) == "Tom"
