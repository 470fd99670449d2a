"""Comparing runs: something is broken on purpose, and the comparison names it as the cause."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.desk import BUNDLED, Desk
from bot.models import intent_folder
from bot.replay.causes import compare
from bot.replay.comparison import difference
from bot.replay.run_folder import Change, Difference, Run, TurnRecord, TurnScore
from retrieval.model_folder import MANIFEST
from tests.bot.replay.conftest import SMALL, Replay
from tests.bot.replay.written import turn


@pytest.fixture
def broken_desk(tmp_path: Path) -> Path:
    """The bundled desk with another way to pay."""
    folder = tmp_path / "broken" / BUNDLED.name
    shutil.copytree(BUNDLED, folder)
    answers = folder / "answers.yaml"
    text = answers.read_text(encoding="utf-8")
    assert "PayPal" in text
    answers.write_text(text.replace("PayPal", "cheques"), encoding="utf-8")
    return folder


@pytest.fixture
def swapped(desk: Desk, prepared_home: Path) -> list[str]:
    """The classifier's labels, two of them taken for each other."""
    classes: list[str] = json.loads((intent_folder(prepared_home, desk) / MANIFEST).read_text())["classes"]
    one, other = classes.index("delivery_time"), classes.index("return_policy")
    classes[one], classes[other] = classes[other], classes[one]
    return classes


def _turns(differences: list[Difference]) -> dict[tuple[str, int], tuple[str, ...]]:
    return {(one.conversation, one.number): one.causes for one in differences}


def test_an_answer_that_was_broken_is_named(run_log: Replay, broken_desk: Path, home: Path) -> None:
    before, after = run_log("before"), run_log("after", desk=broken_desk)
    comparison, found = compare(before, after, home)
    assert _turns(found) == {("c-4", 1): ("desk",)}
    assert "cheques" in found[0].after.reply
    assert comparison.parts.keys() == {"desk"}
    assert Run(after.folder).comparison("before") == comparison
    assert list(after.differences("before")) == found


def test_labels_that_were_taught_wrong_are_named_and_count_as_harm(
    run_log: Replay, add_classifier: Callable[..., str], swapped: list[str], home: Path
) -> None:
    before, after = run_log("before"), run_log("after", model=add_classifier(classes=swapped))
    comparison, found = compare(before, after, home)
    assert _turns(found) == {("c-1", 1): ("classifier",), ("c-4", 2): ("classifier",)}
    assert [one.harm for one in found] == [3, 3]
    assert (comparison.worse, comparison.better) == (2, 0)
    assert (comparison.right_before, comparison.right_after) == (1.0, round(5 / 7, 4))
    assert comparison.p_value == 0.5  # two of two: that may be chance
    assert comparison.look_at[0] == ("c-1", 3)


def test_a_threshold_that_was_moved_is_named(run_log: Replay, add_classifier: Callable[..., str], home: Path) -> None:
    before, after = run_log("before"), run_log("after", model=add_classifier(answer_threshold=0.99999))
    comparison, found = compare(before, after, home)
    assert found
    assert comparison.causes == {"thresholds": len(found)}
    assert comparison.parts.keys() == {"thresholds"}


def test_a_memory_that_is_off_is_named(run_log: Replay, home: Path) -> None:
    before, after = run_log("before"), run_log("after", without=("recall",))
    _, found = compare(before, after, home)
    assert _turns(found) == {("c-3", 1): ("memory",)}
    assert (found[0].kind, found[0].verdict) == ("memory", "worse")


def test_without_facts_the_bot_asks_for_what_it_was_told(run_log: Replay, home: Path) -> None:
    before, after = run_log("before"), run_log("after", without=("facts",))
    _, found = compare(before, after, home)
    changed = {(one.conversation, one.number): (one.before.action, one.after.action, one.harm) for one in found}
    assert changed[("c-3", 2)] == ("confirm", "ask", 1)


def test_of_several_broken_parts_each_turn_names_its_own(
    run_log: Replay, broken_desk: Path, add_classifier: Callable[..., str], swapped: list[str], home: Path
) -> None:
    name = add_classifier(classes=swapped)
    before, after = run_log("before"), run_log("after", desk=broken_desk, model=name, without=("recall",))
    comparison, found = compare(before, after, home)
    assert _turns(found) == {
        ("c-1", 1): ("classifier",),
        ("c-3", 1): ("memory",),
        ("c-4", 1): ("desk",),
        ("c-4", 2): ("classifier",),
    }
    assert not comparison.notes


def test_a_classifier_that_is_gone_cannot_be_exchanged_and_the_comparison_says_so(
    run_log: Replay, broken_desk: Path, add_classifier: Callable[..., str], swapped: list[str], home: Path
) -> None:
    name = add_classifier(classes=swapped)
    before, after = run_log("before"), run_log("after", desk=broken_desk, model=name)
    shutil.rmtree(home / "models" / BUNDLED.name / name)
    comparison, found = compare(before, after, home)
    assert [one.causes for one in found] == [()] * 3
    assert comparison.causes == {"unknown": 3}
    assert "No cause could be found" in comparison.notes[0]
    assert name in comparison.notes[0]


def test_turns_of_one_run_alone_are_counted(run_log: Replay, home: Path) -> None:
    comparison, _ = compare(run_log("before"), run_log("after", SMALL[:2]), home)
    assert comparison.turns == 4
    assert "5 turns are in before alone and 0 in this run alone: they are not compared." in comparison.notes


def test_a_run_is_the_same_as_itself_again(run_log: Replay, home: Path) -> None:
    comparison, found = compare(run_log("before"), run_log("after"), home)
    assert not found
    assert (comparison.changed, comparison.difference, comparison.interval) == (0, 0.0, (0.0, 0.0))


def _handed_over(score: TurnScore) -> TurnRecord:
    return turn("c", 1, "?", "a", "A colleague takes over.", action="handoff", intent="", hand_off=True, score=score)


_ANSWERED = turn("c", 1, "?", "a", "b", score=TurnScore(answer=True))
_SILENT = turn("c", 1, "?", "a", "Sorry?", action="not_understood", intent="", score=TurnScore(handoff="late"))
_IN_TIME, _NEEDLESS = (_handed_over(TurnScore(answer=False, handoff=name)) for name in ("right", "needless"))
_WITH_COLLEAGUE = turn("c", 1, "?", "a", "Noted.", action="noted", intent="", handed_over=True, score=TurnScore())


@pytest.mark.parametrize(
    ("before", "after", "kind", "harm"),
    [
        (_IN_TIME, _ANSWERED, "answer_new", -2),  # where the log's bot gave up, this one knows the answer now
        (_ANSWERED, _IN_TIME, "answer_lost", 2),
        (_IN_TIME, _SILENT, "handoff_lost", 3),
        (_SILENT, _IN_TIME, "handoff_new", -3),
        (_NEEDLESS, _ANSWERED, "answer_new", -2),
        (replace(_ANSWERED, score=TurnScore()), _handed_over(TurnScore(handoff="needless")), "handoff_new", 1),
        (_handed_over(TurnScore(handoff="right")), _WITH_COLLEAGUE, "other", 0),  # handed over some turns before
    ],
)
def test_a_handoff_is_lost_only_where_nothing_better_came_in_its_place(
    before: TurnRecord, after: TurnRecord, kind: Change, harm: int
) -> None:
    found = difference(before, after)
    assert found is not None
    assert (found.kind, found.harm) == (kind, harm)
