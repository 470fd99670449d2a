"""Scoring turns against the log, where labels tell and where only words do."""

from __future__ import annotations

import shutil
from pathlib import Path

from bot.desk import BUNDLED
from bot.replay.causes import compare
from tests.bot.replay.conftest import Replay, conversation

_HANDOFFS = [
    conversation(
        "late",
        "gus",
        0,
        ("customer", "Can I pay with PayPal?", "payment_methods"),
        ("bot", "Yes."),
        ("customer", "Hmm, the thing with the other thing, you know", "complaint"),
        ("bot", "A colleague takes over."),
        ("agent", "Hello, Tom here."),
    ),
    conversation(
        "needless",
        "hal",
        0,
        ("customer", "I want to talk to a human"),
        ("bot", "Have you seen our help pages?"),
        ("customer", "What is your return policy?", "return_policy"),
        ("bot", "You have 45 days."),
    ),
]


def test_handing_over_late_or_needlessly_is_told_by_when_the_logs_bot_did(run_log: Replay) -> None:
    scores = {turn.key: turn.score for turn in run_log("handoffs", _HANDOFFS).turns()}
    assert scores[("late", 1)].handoff is None
    assert scores[("late", 2)].handoff == "late"
    assert scores[("needless", 1)].handoff == "needless"


def test_a_number_that_the_agent_said_and_the_bot_no_longer_says_is_harm(
    run_log: Replay, tmp_path: Path, home: Path
) -> None:
    log = [
        conversation(
            "days", "ivy", 0, ("customer", "What is your return policy?"), ("agent", "45 days, with the tags on.")
        )
    ]
    changed = tmp_path / "changed" / BUNDLED.name
    shutil.copytree(BUNDLED, changed)
    answers = (changed / "answers.yaml").read_text(encoding="utf-8")
    (changed / "answers.yaml").write_text(answers.replace("45 days", "40 days"), encoding="utf-8")
    before, after = run_log("before", log), run_log("after", log, desk=changed)
    (turn,) = before.turns()
    assert (turn.score.particulars, turn.score.kept) == (1, 1)
    comparison, (difference,) = compare(before, after, home)
    assert (difference.kind, difference.verdict, difference.causes) == ("wording", "worse", ("desk",))
    assert comparison.judged == 0 and comparison.p_value is None  # nothing was labelled


def test_a_question_for_what_was_said_before_counts(run_log: Replay) -> None:
    turns = {turn.key: turn for turn in run_log("whole", without=("facts",)).turns()}
    assert turns[("c-3", 2)].score.asked_known
    assert not turns[("c-2", 1)].score.asked_known
