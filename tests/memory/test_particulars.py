"""Names, numbers, amounts and dates are found in what people write, and so are promises and questions."""

from __future__ import annotations

import pytest

from memory.particulars import find_particulars, find_promises, find_questions, missing, plain


def _found(text: str, asked: str = "") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in find_particulars(text, asked=asked):
        found.setdefault(one.kind, []).append(one.text)
    return found


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("Where is order R-10234, or #W4923227?", "number", ["R-10234", "#W4923227"]),
        ("It was $1,250.00 plus 12 euros", "amount", ["$1,250.00", "12 euros"]),
        ("Come on Friday at 4pm or on the 6th of May", "date", ["6th of May", "Friday", "4pm"]),
        ("Write to nora.b@example.com or ring 01632 960 734", "contact", ["nora.b@example.com", "01632 960 734"]),
        ("my name is nora and I need help", "name", ["nora"]),
        ("Thank you, Daiki. Dr. Okafor will see you", "name", ["Dr. Okafor", "Daiki"]),
    ],
)
def test_particulars_are_found_by_their_form(text: str, kind: str, values: list[str]) -> None:
    assert _found(text)[kind] == values


def test_a_bare_word_is_a_name_where_the_name_was_asked_for() -> None:
    assert _found("priya", asked="Could I have your name, please?") == {"name": ["priya"]}
    assert _found("priya") == {}


def test_an_amount_is_not_taken_for_a_number_and_an_address_not_for_a_name() -> None:
    assert _found("$1234 for Nora99123@example.com") == {
        "amount": ["$1234"],
        "contact": ["Nora99123@example.com"],
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("6th of May", "may 6"),
        ("May 6th", "may 6"),
        ("$1,250.00", "1250"),
        ("4 p.m.", "4 pm"),
        ("4PM", "4 pm"),
        ("#W4923227", "w4923227"),
    ],
)
def test_two_ways_of_writing_a_particular_read_the_same(written: str, read: str) -> None:
    assert plain(written) == read


def test_what_a_text_drops_is_noticed() -> None:
    wanted = find_particulars("Order R-10234 cost $50 and comes on May 6th")
    assert [one.text for one in missing(wanted, "R-10234 is due on 6 May; it cost $508.")] == ["$50"]


@pytest.mark.parametrize(
    "reply",
    [
        "We'll refund you by Friday",
        "You will receive an email with a label",
        "A colleague will ring you tomorrow",
        "The money will be refunded in 5 to 7 business days",
        "A member of the service team will knock at nine",
    ],
)
def test_a_promise_is_found(reply: str) -> None:
    assert find_promises(f"Sorry about that. {reply}. Anything else?") == (reply,)


@pytest.mark.parametrize(
    "reply",
    [
        "I'll just check that for you.",
        "I will need your order number first.",
        "When will you be leaving again?",
        "If you like, I'll send you the size chart.",
        "Please confirm, and I'll proceed.",
        "Refunds take three days.",
    ],
)
def test_what_is_done_at_once_or_only_offered_is_no_promise(reply: str) -> None:
    assert find_promises(reply) == ()


def test_questions_and_requests_wait_for_an_answer_and_courtesies_do_not() -> None:
    reply = "Your order is open. Which size do you take? Please confirm the address. Is there anything else I can do?"
    assert find_questions(reply) == ("Which size do you take?", "Please confirm the address.")
