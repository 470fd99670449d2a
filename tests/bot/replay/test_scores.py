"""Scoring turns against the log, where labels tell and where only words do."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from bot.desk import BUNDLED
from bot.replay.causes import compare
from bot.replay.wording import scored
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


def test_what_a_reply_to_several_questions_serves_counts_whichever_the_label_names(run_log: Replay) -> None:
    asked = "How do I wash the jacket? And which cards can I pay with?"
    log = [
        conversation(label, "joe", day, ("customer", asked, label))
        for day, label in enumerate(("product_care", "payment_methods"))
    ]
    for turn in run_log("several", log).turns():
        assert {turn.intent, *turn.also} == {"product_care", "payment_methods"}
        assert turn.score.answer


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


def test_promises_are_scored_beside_those_of_the_agents(run_log: Replay) -> None:
    asked = ("customer", "Can I pay with PayPal?", "payment_methods")
    broken = ("customer", "Order R-10192 arrived damaged", "damaged_item")
    by_bot = conversation("by-bot", "abe", 0, broken, ("bot", "We will refund you."))
    turns = [
        conversation("both", "ann", 0, broken, ("agent", "I am sorry. We will send you a new one tomorrow.")),
        conversation("bot", "bob", 0, broken, ("agent", "I am sorry. Could you send a photo?")),
        conversation("agent", "cem", 0, asked, ("agent", "I will call you back tomorrow.")),
        conversation("neither", "dee", 0, asked, ("agent", "Yes, you can.")),
        by_bot,  # nobody of the team promised or kept silent
    ]
    scores = run_log("promises", turns).scores()
    made, new = scores.shares["promise_made"], scores.shares["promise_new"]
    assert (made.of, made.share) == (2, 0.5)
    assert (new.of, new.share) == (2, 0.5)
    lines = scored(scores)
    assert next(line for line in lines if "to which an agent promised something" in line).startswith(" 50.0 %")
    assert [line for line in lines if "where the agent who replied promised nothing" in line]
    old = replace(scores, shares={name: one for name, one in scores.shares.items() if "promise" not in name})
    assert len(scored(old)) == len(lines) - 2  # a run from before there were such shares


def test_a_question_for_what_was_said_before_counts(run_log: Replay) -> None:
    turns = {turn.key: turn for turn in run_log("whole", without=("facts",)).turns()}
    assert turns[("c-3", 2)].score.asked_known
    assert not turns[("c-2", 1)].score.asked_known
