"""Pinned stories and Rasa's: what is expected in them, run through the bot."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from bot.desk import Desk
from bot.models import Models
from bot.problems import RapportError
from bot.replay.parts import State
from bot.replay.rasa_stories import read_rasa_stories, unread
from bot.replay.stories import pin_story, read_story, run_stories
from finetune.logs import LogMessage
from tests.bot.conftest import Run as Command
from tests.bot.replay.conftest import Replay, conversation

_RASA = """
stories:
- story: paying, and a person
  steps:
  - user: |
      Can I pay with [PayPal]{"entity": "means"}?
    intent: payment_methods
  - action: utter_payment_methods
  - slot_was_set:
    - means: PayPal
  - intent: goodbye
  - user: |
      I want to talk to a human
    intent: talk_to_human
  - action: action_hand_over
- story: an order
  steps:
  - user: Where is my order?
    intent: order_status
  - action: utter_ask_order_number
  - user: R-10199
    intent: small_talk
  - action: utter_order_status
"""


def test_a_pinned_conversation_holds_as_long_as_the_bot_decides_the_same(
    run_log: Replay, desk: Desk, models: Models, tmp_path: Path
) -> None:
    file = pin_story(run_log("whole"), "c-3", tmp_path / "stories")
    story = read_story(file, yaml.safe_load(file.read_text(encoding="utf-8")))
    assert [one.conversation_id for one in story.conversations] == ["c-1", "c-3"]
    (told,) = run_stories([story], State(desk, models))
    assert (told.passed, told.checked) == (True, 3)
    (told,) = run_stories([story], State(desk, models, ("facts",)))
    assert told.broken == ("'Where is my order?': action is 'ask', not 'confirm'",)


def test_a_conversation_that_began_while_the_pinned_one_ran_is_part_of_its_story(
    run_log: Replay, desk: Desk, models: Models, tmp_path: Path
) -> None:
    order = ("customer", "Where is my order?", "order_status")
    long = conversation("long", "dee", 0, ("customer", "Can I pay with PayPal?"), ("agent", "Yes."), order)
    long = long.model_copy(update={"messages": (*long.messages[:2], moved(long.messages[2], hours=2))})
    beside = conversation("beside", "dee", 0, ("customer", "My order number is R-10192."), ("agent", "Thank you."))
    beside = beside.model_copy(update={"messages": tuple(moved(one, hours=1) for one in beside.messages)})
    after = conversation("after", "dee", 1, ("customer", "My order number is R-10199."))
    run = run_log("overlapping", [long, beside, after])
    assert {turn.key: turn.action for turn in run.turns()}[("long", 2)] == "confirm"  # it knows the number
    file = pin_story(run, "long", tmp_path / "stories")
    story = read_story(file, yaml.safe_load(file.read_text(encoding="utf-8")))
    assert [one.conversation_id for one in story.conversations] == ["beside", "long"]
    (told,) = run_stories([story], State(desk, models))
    assert told.broken == ()


def moved(message: LogMessage, hours: int) -> LogMessage:
    """Return a message as if it had been written later."""
    return message.model_copy(update={"at": message.at + timedelta(hours=hours)})


def test_there_is_nothing_to_pin_of_a_conversation_that_was_not_logged(run_log: Replay, tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="no conversation 'c-9'"):
        pin_story(run_log("whole"), "c-9", tmp_path)


def test_a_story_that_was_edited_wrongly_is_refused_with_the_place(run_log: Replay, tmp_path: Path) -> None:
    file = pin_story(run_log("whole"), "c-1", tmp_path)
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    del content["steps"][0]["customer"]
    with pytest.raises(RapportError, match=r"steps\.0: .*a step is what one of"):
        read_story(file, content)


_TWO_REPLIES = """
rules:
- rule: say goodbye
  steps:
  - intent: goodbye
  - action: utter_goodbye
stories:
- story: two replies
  steps:
  - user: Can I pay with [PayPal](means)?
    intent: payment_methods
    entities:
    - means: PayPal
  - action: utter_payment_methods
  - action: utter_delivery_time
  - action: action_listen
  - intent: return_policy
  - action: utter_return_policy
"""


def test_what_cannot_be_told_of_a_story_of_rasas_is_said_and_not_expected(
    desk: Desk, models: Models, tmp_path: Path
) -> None:
    content = yaml.safe_load(_TWO_REPLIES)
    (story,) = read_rasa_stories(tmp_path / "test_stories.yml", content, desk)
    assert story.skipped == (
        "entities in 'Can I pay with PayPal?': not compared",
        "entities of 'Can I pay with PayPal?': not read",
        "action utter_delivery_time: a message gets one reply here, and another is expected already",
        "a step with an intent alone has no words",
        "action utter_return_policy: it follows no message that was read",
    )
    (told,) = run_stories([story], State(desk, models))
    assert told.broken == ()
    assert unread(content) == ["rules: only stories are run"]


def test_the_command_runs_stories_of_both_kinds_and_says_what_it_skipped(
    run_log: Replay, rapport: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "stories"
    pin_story(run_log("whole"), "c-4", folder)
    (folder / "test_stories.yml").write_text(_RASA, encoding="utf-8")
    (folder / "rules.yml").write_text("rules:\n- rule: say goodbye\n", encoding="utf-8")
    (folder / "notes.yml").write_text("todo: [more]\n", encoding="utf-8")
    done = rapport("test", folder)
    assert done.returncode == 1, done.stderr
    assert "ok  c-4.yml: c-4 (2 turns checked)" in done.stdout
    assert "ok  test_stories.yml: paying, and a person (2 turns checked)" in done.stdout
    assert "skipped: action action_hand_over: it is none of the desk's" in done.stdout
    assert "skipped: a step with an intent alone has no words" in done.stdout
    assert "skipped: slot_was_set: not read" in done.stdout
    assert "FAILED  test_stories.yml: an order (2 turns checked)" in done.stdout
    assert "'R-10199': understood is 'give_information', not 'small_talk'" in done.stdout
    assert "3 stories, 1 failed." in done.stdout
    assert "skipped  rules.yml: rules: only stories are run" in done.stderr
    assert "skipped: entities in 'Can I pay with PayPal?': not compared" in done.stdout
