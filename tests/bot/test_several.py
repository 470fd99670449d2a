"""Messages that have several intents: taught by a desk's own files, and all of them offered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bot.chatbot import Chatbot
from bot.desk import DESKS
from bot.desk_reader import check_desk
from tests.bot.conftest import Run
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
