"""Questions are paired with the answers that settled them; a person accepts each pair before it is used."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bot.models import Models
from finetune.logs import Conversation, LogMessage, read_log
from finetune.mining import COLUMNS, Mined, accepted_pairs, mine, write_pairs
from finetune.sheets import SheetError, read_sheet

COURSES = Path(__file__).parent / "courses.jsonl"
START = datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc)


def talk(*said: str, customer: str = "ann", name: str = "c-1") -> Conversation:
    """Return a conversation of lines that begin with who says them: `c`, `a` or `b`."""
    roles = {"c": "customer", "a": "agent", "b": "bot"}
    messages = tuple(
        LogMessage.model_validate(
            {"role": roles[line[0]], "text": line[2:].strip(), "at": START + timedelta(minutes=at)}
        )
        for at, line in enumerate(said)
    )
    return Conversation(conversation_id=name, customer_id=customer, started_at=START, messages=messages)


def pairs_of(models: Models, *conversations: Conversation) -> list[tuple[str, str]]:
    return [(pair.question, pair.answer) for pair in mine(conversations, models.encoder).pairs]


@pytest.fixture(scope="session")
def mined(models: Models) -> Mined:
    return mine(read_log(COURSES), models.encoder)


def test_the_answer_that_most_customers_were_given_comes_first(mined: Mined) -> None:
    first = mined.pairs[:3]

    assert [pair.times_given for pair in first] == [3, 3, 3]
    assert all("invoice" in pair.question and "PDF" in pair.answer for pair in first)
    assert [pair.times_given for pair in mined.pairs] == sorted(
        (pair.times_given for pair in mined.pairs), reverse=True
    )


def test_a_promise_to_look_and_a_question_back_answer_nothing(mined: Mined) -> None:
    answer_to = {pair.question: pair.answer for pair in mined.pairs}

    assert answer_to["My Fellside fleece was meant to be here on Thursday, any sign of it? R-10301"].startswith(
        "It is with"
    )
    assert answer_to["i put the wrong house number on my order, can you change it to 41"].startswith("Done, R-10318")


def test_greetings_and_thanks_are_no_questions_and_greetings_no_part_of_an_answer(models: Models) -> None:
    conversation = talk(
        "c Hello there",
        "a Good morning Ann, Tom here. What can I do for you today then?",
        "c Do you deliver to Ireland?",
        "a Hi Ann, Tom here. Yes, to Ireland and the whole EU. Anything else I can help with?",
        "c lovely, thank you so much",
        "a You are very welcome, enjoy the hills and come again.",
    )

    assert pairs_of(models, conversation) == [("Do you deliver to Ireland?", "Yes, to Ireland and the whole EU.")]


def test_messages_in_a_row_belong_together(models: Models) -> None:
    conversation = talk("c my boots leak", "c what can i do?", "a Dry them first.", "a Then wax the seams all round.")

    assert pairs_of(models, conversation) == [
        ("my boots leak what can i do?", "Dry them first. Then wax the seams all round.")
    ]


@pytest.mark.parametrize(
    "end",
    [
        ["c this is ridiculous, nobody ever helps"],
        ["c thanks", "a Any time.", "c so how long do I have to return these boots?", "a As I said, it depends."],
        ["c and where do I send them?"],
        ["b Was that helpful?"],
    ],
    ids=["a complaint", "the question again", "no reply", "a bot"],
)
def test_a_conversation_that_no_human_closed_well_gives_no_pairs(models: Models, end: list[str]) -> None:
    start = ["c How long do I have to return boots?", "a You have 45 days from the day they arrived."]
    good, bad = talk(*start, "c thanks", name="good"), talk(*start, *end, name="bad")

    found = mine([good, bad], models.encoder)

    assert [pair.conversation for pair in found.pairs] == ["good"]
    assert (found.read, found.not_closed) == (2, 1)


def test_a_bots_replies_answer_nothing(models: Models) -> None:
    conversation = talk(
        "c Can I pay by cheque?",
        "b I did not get that, could you say it another way?",
        "a No, only by card and PayPal.",
    )

    assert pairs_of(models, conversation) == [("Can I pay by cheque?", "No, only by card and PayPal.")]


def test_what_was_meant_for_one_customer_is_marked(models: Models) -> None:
    answer = "It left on 3 May, Ann, for LA9 4XX, and £12.50 went back to ann@mail.example on Monday."
    conversation = talk("c Hello, it's Ann. Has R-10301 left?", f"a Hi Ann. {answer}", "c thanks")

    (pair,) = mine([conversation], models.encoder).pairs

    assert pair.specific == ("3 May", "LA9 4XX", "£12.50", "[e-mail]", "Monday", "Ann")
    assert "ann@mail.example" not in pair.answer


def test_what_many_customers_were_told_is_general(models: Models) -> None:
    answer = "Write to help@desk.example, postage is £4.50 on every order."
    conversations = [
        talk("c what is the postage?", f"a {answer}", customer=name, name=name) for name in ("ann", "bob", "cat")
    ]

    (pair,) = mine(conversations, models.encoder).pairs  # the same pair from three customers is one row

    assert (pair.answer, pair.times_given, pair.specific) == (answer, 3, ())


def test_a_customer_who_asks_often_counts_once(models: Models) -> None:
    conversations = [
        talk("c is the shop open on Sundays?", "a It is, from half past ten.", customer="ann", name=f"c-{number}")
        for number in range(3)
    ]

    assert [pair.times_given for pair in mine(conversations, models.encoder).pairs] == [1]


def test_personal_numbers_in_questions_are_masked(mined: Mined) -> None:
    (question,) = [pair.question for pair in mined.pairs if "socks" in pair.question]

    assert question == "You charged my card [card number] twice for one pair of socks"


def test_nothing_is_mined_from_nothing(models: Models) -> None:
    assert mine([], models.encoder) == Mined((), 0, 0)
    assert mine([talk("c hello?"), talk("a hello?")], models.encoder).pairs == ()


def test_only_accepted_pairs_are_read_back(tmp_path: Path, mined: Mined) -> None:
    path = tmp_path / "pairs.csv"
    write_pairs(path, mined)
    rows = read_sheet(path, COLUMNS)
    assert {row["accept"] for row in rows} == {""}
    assert [row["times_given"] for row in rows[:3]] == ["3", "3", "3"]
    with pytest.raises(SheetError, match="no pair is accepted"):
        accepted_pairs(path)

    lines = path.read_text(encoding="utf-8-sig").splitlines()
    for number, word in ((1, "Yes"), (2, "no"), (4, "x")):
        lines[number] = word + lines[number]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    expected = [(mined.pairs[place].question, mined.pairs[place].answer) for place in (0, 3)]
    assert accepted_pairs(path) == expected


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("maybe,q,a", "row 2: the column accept says 'maybe'. Write yes to accept the pair, nothing to leave it out"),
        ("yes,,a", "row 2: the question is empty"),
        ("yes,q,", "row 2: the answer is empty"),
    ],
)
def test_a_pair_that_cannot_be_used_is_refused_with_its_row(tmp_path: Path, row: str, what: str) -> None:
    (tmp_path / "pairs.csv").write_text(f"accept,question,answer\n{row}\n")

    with pytest.raises(SheetError, match=what):
        accepted_pairs(tmp_path / "pairs.csv")
