"""Messages that ask for several things: read apart and answered in one reply, or taught as such and offered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bot.chatbot import Chatbot
from bot.desk import DESKS
from bot.desk_reader import check_desk
from memory.history import transcript
from tests.bot.conftest import Run
from tests.bot.test_chatbot import say
from tests.bot.test_train_cli import write_rows

OPENINGS = ("When are you open", "What are your hours", "Until when are you there today", "Do you open on Saturdays")
PRICES = ("what does a puncture cost", "how much is a full service", "what do you charge for brakes", "what is a chain")
JOINTS = (" and ", ", and ", "? And ", " - also ")
BOTH = "opening_hours; repair_cost"


@pytest.fixture
def workshop(tmp_path: Path) -> Path:
    """The starter desk, in which some messages ask for two things."""
    folder = Path(shutil.copytree(DESKS / "starter", tmp_path / "workshop"))
    both = [
        (f"{opening}{joint}{price}?", BOTH) for opening in OPENINGS for price, joint in zip(PRICES, JOINTS, strict=True)
    ]
    with (folder / "intents.csv").open("a", encoding="utf-8") as file:
        file.writelines(f'"{text}",{label}\n' for text, label in both)
    return folder


def test_a_message_that_wants_two_things_is_offered_both(rapport: Run, workshop: Path, bare_home: Path) -> None:
    surroundings = {"RAPPORT_HOME": bare_home, "RAPPORT_DESK": workshop}
    trained = rapport("train", "intent", "--method", "head", "--no-contrast", "--json", **surroundings)
    assert trained.returncode == 0, trained.stderr
    assert "accuracy" in json.loads(rapport("evaluate", "--json", **surroundings).stdout)
    bot = Chatbot.open(workshop, bare_home)
    try:
        both = bot.respond("what are your hours - also how much is a puncture?")
        one = bot.respond("When do you open?")
    finally:
        bot.close()

    assert both.action == "clarify"
    assert set(both.suggestions[:2]) == {"When are you open?", "What does a repair cost?"}
    assert one.intent == "opening_hours"


def test_what_is_wrong_with_the_intents_of_a_message_is_said(workshop: Path) -> None:
    assert check_desk(workshop) == []
    write_rows(workshop / "out_of_scope.csv", ("text",), [("what is the capital of France",)])
    with (workshop / "intents.csv").open("a", encoding="utf-8") as file:
        file.write("is it open and is it warm,opening_hours; weather\nwhat now, ;\n")

    first, second = (str(problem) for problem in check_desk(workshop))
    assert "the intent names none" in first
    assert "the intent 'weather' has no answer" in second


def test_test_messages_with_several_intents_need_such_messages_to_learn_from(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DESKS / "starter", tmp_path / "workshop"))
    with (folder / "test.csv").open("a", encoding="utf-8") as file:
        file.write(f"are you open and what does a service cost,{BOTH}\n")

    (problem,) = check_desk(folder)
    assert "messages have several intents here, and none has in intents.csv" in str(problem)


@pytest.mark.parametrize("joint", ["? and ", " and ", ", n also ", ". "])
def test_of_two_questions_in_one_message_neither_is_passed_over(bot: Chatbot, joint: str) -> None:
    reply = bot.respond(f"how do I wash the jacket{joint}which cards can I pay with", "s1", "nora")
    assert reply.action == "answer"
    assert "tumble low" in reply.text
    assert "PayPal" in reply.text
    assert [source.id for source in reply.sources] == ["care", "payment-methods"]
    say(bot, "do you price match?")
    told = say(bot, "what did we talk about?")
    assert "“How do I wash and care for it?”, “How can I pay?” and “Do you match prices?”." in told


@pytest.mark.parametrize("joint", ["? ", ", and "])
def test_a_question_that_speaks_of_the_one_before_it_is_no_other_one(bot: Chatbot, joint: str) -> None:
    reply = bot.respond(f"Can my boots be resoled{joint}what does it cost?", "s1", "nora")
    assert (reply.action, reply.intent) == ("answer", "repair_service")
    assert "£150" not in reply.text  # what new boots cost


def test_of_two_questions_one_is_answered_and_what_the_other_needs_is_asked_for(bot: Chatbot) -> None:
    reply = bot.respond("how do I wash the jacket? and where is my order?", "s1", "nora")
    assert (reply.action, reply.intent) == ("ask", "order_status")
    assert "tumble low" in reply.text
    assert bot.respond("R-10234", "s1", "nora").action == "look_up"


def test_what_two_questions_need_is_asked_for_once(bot: Chatbot) -> None:
    asked = bot.respond("Where's my order and can I change the delivery address?", "s1", "nora")
    told = bot.respond("R-10250", "s1", "nora")
    about = say(bot, "what did we talk about?")

    assert (asked.action, told.action) == ("ask", "look_up")
    assert asked.text.count("?") == 1
    assert "left us on" in told.text
    assert "can be redirected" in told.text
    assert "“Where is my order?” and “Change my delivery address”" in about


def test_each_of_two_questions_is_about_what_it_names(bot: Chatbot) -> None:
    reply = say(bot, "is the fleece in stock and how much is the beanie")
    assert "Fellside Fleece" in reply
    assert "Cairn Beanie for £22" in reply


def test_a_question_does_not_hide_that_a_person_is_asked_for(bot: Chatbot) -> None:
    reply = bot.respond("Do you price match? I want to talk to a human!", "s1", "nora")
    assert reply.action == "handoff"
    assert "We match prices" in reply.text
    assert bot.memory.load("s1", "nora", "", bot.clock()).handed_over


def test_each_of_two_orders_gets_what_is_asked_of_it(bot: Chatbot) -> None:
    bot.respond("cancel R-10234 n where is R-10250", "s1", "nora")
    (turn,) = transcript(bot.memory.store, "s1", "nora")
    cancelled, found = turn.reply.split("\n\n")
    assert "R-10234" in cancelled
    assert "R-10250" not in cancelled
    assert "R-10250 left us" in found
