"""The report on a run: what it counts, what it marks, what it shows first, and that it holds a log of any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bot.cli import cli
from bot.problems import RapportError
from bot.replay.erasing import Replays
from bot.replay.report import page, transcripts
from bot.replay.report.marks import mark
from bot.replay.report.packing import unpack
from bot.replay.report.page import write_report
from bot.replay.report.tally import against_log, tally
from bot.replay.run_folder import Remembered, Run, SeenMessage, TurnRecord, TurnScore
from bot.replay.wording import compared
from tests.bot.replay.written import compare_written, turn, write_run

WRONG = TurnScore(answer=False, similarity=0.1)


def read(file: Path) -> tuple[list[Any], list[Any]]:
    """Return what a report's page holds: the rows of its list, and their transcripts."""
    rows, *blocks = [json.loads(content) for content in unpack(file)]
    return rows, [blocks[row["block"]][row["place"]] for row in rows]


def told(file: Path) -> str:
    """Return the sentences of a report."""
    return " ".join(json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["glance"]["sentences"])


@given(st.text(), st.text())
def test_marked_pieces_are_the_texts(left: str, right: str) -> None:
    ours, theirs = mark(left, right)
    assert ("".join(ours), "".join(theirs)) == (left, right)
    assert ours[::2] == theirs[::2] or not ours[0]  # what is the same is the same in both


def test_words_that_differ_are_marked_and_unrelated_texts_as_a_whole() -> None:
    assert mark("It takes 3 to 5 days.", "It takes 2 to 4 days.") == (
        ["It takes ", "3", " to ", "5", " days."],
        ["It takes ", "2", " to ", "4", " days."],
    )
    assert mark("No idea", "Yes, of course!") == (["", "No idea"], ["", "Yes, of course!"])


@pytest.mark.parametrize(
    ("record", "taken_over", "verdict"),
    [
        (turn("c", 1, "?", "a", "b"), 0, "same"),
        (turn("c", 1, "?", "a", "b"), 1, "better"),
        (turn("c", 1, "?", "a", "b", score=WRONG), 0, "worse"),
        (turn("c", 1, "?", "a", "b", score=TurnScore(answer=True, handoff="needless")), 0, "worse"),
        (turn("c", 1, "?", "a", "b", score=TurnScore(answer=True, asked_known=True)), 0, "worse"),
        (turn("c", 1, "?", "a", "b", score=TurnScore(), action="not_understood"), 0, "worse"),
        (turn("c", 1, "?", "a", "b", score=TurnScore(), action="not_understood", label=None), 0, "unknown"),
        (turn("c", 1, "?", "a", "b", score=TurnScore(similarity=0.5)), 0, "unknown"),
        (turn("c", 1, "?", "a", "a", score=TurnScore(similarity=1.0)), 0, "same"),
    ],
)
def test_a_turn_is_better_or_worse_only_where_the_log_tells(record: TurnRecord, taken_over: int, verdict: str) -> None:
    assert against_log(record, taken_over) == verdict


def test_what_is_most_worth_a_look_comes_first_and_the_rest_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = TurnScore(answer=False, handoff="late")
    fine = [turn(f"fine-{number}", 1, "how long?", "5 days", "5 days") for number in range(20)]
    run = write_run(
        tmp_path / "run",
        [*fine, turn("wrong", 1, "?", "a", "b", score=WRONG), turn("late", 1, "?", "a", "b", score=late)],
    )
    assert [one.conversation for one in tally(run, 3).worth] == ["late", "wrong", "fine-0"]
    monkeypatch.setattr(page, "MOST", 3)
    file = write_report(run)
    assert [one["id"] for one in read(file)[1]] == ["late", "wrong", "fine-0"]
    text = file.read_text(encoding="utf-8")
    assert "holds the 3 conversations most worth a look of 22" in text
    assert str(run.folder / "turns.jsonl") in text
    assert "Of 22 customer messages in 22 conversations, the bot would have answered 100" in told(file)


def test_a_comparison_says_what_becomes_worse_and_why(tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", [turn(f"c-{n}", 1, "how long?", "5 days", "5 days") for n in range(4)])
    changed = turn("c-2", 1, "how long?", "5 days", "It costs £3.95", intent="delivery_cost", score=WRONG)
    after = write_run(
        tmp_path / "after",
        [changed if n == 2 else turn(f"c-{n}", 1, "how long?", "5 days", "5 days") for n in range(4)],
        memory="off",
    )
    with pytest.raises(RapportError):
        write_report(after, before)
    compare_written(before, after)
    file = write_report(after, before)
    assert file == after.folder / "comparisons" / "before" / "report.html"
    assert told(file).startswith("1 of 4 messages (25\u00a0%) get something else than before: 1 worse, 0 better, 0")
    assert "-25.0 points" in told(file)
    assert "That may be chance." in told(file)
    figures = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert "All of the changes come from memory alone." in figures["glance"]["comparison_sentences"]
    assert figures["comparisons"]["before"]["worse"] == 1
    assert figures["glance"]["changes"] == {"answer": {"3": 1}}
    assert '<th scope="row">Answers something else</th><td class="n">1</td>' in file.read_text(encoding="utf-8")
    assert "Harm, from 3 (worst) to -3: 1 at 3." in compared(after.comparison("before"))
    first = read(file)[1][0]
    assert (first["id"], first["turns"][0]["change"]["causes"]) == ("c-2", ["memory"])


def test_the_command_compares_the_runs_as_they_are_now(tmp_path: Path) -> None:
    before = write_run(tmp_path / "one" / "before", [turn("c-1", 1, "?", "a", "b")])
    other = write_run(tmp_path / "other" / "before", [turn("c-1", 1, "?", "a", "c")])
    after = write_run(tmp_path / "after", [turn("c-1", 1, "?", "a", "c")], memory="off")
    page = tmp_path / "mine.html"

    def report(against: Run) -> str:
        options = ["--against", str(against.folder), "--out", str(page), "--home", str(tmp_path)]
        done = CliRunner().invoke(cli, ["replay", "report", str(after.folder), *options])
        assert done.exit_code == 0, done.output
        assert "mine.html" in done.stdout
        return told(page)

    assert report(before).startswith("1 of 1 messages (100\u00a0%) get something else than before")
    assert after.comparison("before").causes == {"memory": 1}
    assert report(other).startswith("Nothing would change for customers")


def test_promises_are_in_the_report(tmp_path: Path) -> None:
    promised, silent = TurnScore(promised=True), TurnScore(agent_promised=True)
    run = write_run(
        tmp_path / "run",
        [
            turn("c-1", 1, "?", "a", "b", promise="a colleague will call", score=promised),
            turn("c-1", 2, "?", "a", "b", score=silent),
        ],
    )
    file = write_report(run)
    first, second = read(file)[1][0]["turns"]
    assert (first["promise"], first["judged"]) == ("a colleague will call", ["Promises what the agent did not"])
    assert second["judged"] == ["The agent promised something, and the bot does not"]
    assert "of the messages to which an agent promised something" in file.read_text(encoding="utf-8")


def test_memory_that_was_used_is_told(tmp_path: Path) -> None:
    past = Remembered("turn", "c-1#1", "2026-09-02T10:00:00+00:00", "looked up for this reply", True)
    run = write_run(
        tmp_path / "run",
        [turn("c-1", 1, "how long?", "5 days", "5 days"), turn("c-1", 2, "again?", "5", "5", memories=(past,))],
    )
    memory = json.loads(write_report(run).with_suffix(".json").read_text(encoding="utf-8"))["glance"]["memory"]
    assert (memory["knowing"], memory["remembered"], memory["kinds"]) == (1, 1, {"turn": 1})


def test_reports_are_forgotten_with_what_is_in_them(tmp_path: Path) -> None:
    turns = [turn("c-1", 1, "my secret zebra", "a", "b"), turn("c-2", 1, "?", "a", "b")]
    before, after = (write_run(tmp_path / "replays" / name, turns, memory=name) for name in ("before", "after"))
    compare_written(before, after)
    write_report(before), write_report(after), write_report(after, before)
    assert len(list(tmp_path.rglob("report.*"))) == 6
    assert b"secret zebra" in b"".join(unpack(after.folder / "report.html"))
    assert Replays(tmp_path, "customer of c-1").erase([]) == 2
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"secret zebra" in file.read_bytes()]
    assert list(tmp_path.rglob("report.*")) == []
    assert [one["id"] for one in read(write_report(after))[1]] == ["c-2"]


def test_each_conversation_of_a_large_log_is_in_the_page(tmp_path: Path) -> None:
    seen = (SeenMessage("agent", "Standard delivery takes 3 to 5 working days. " * 4, "2026-09-02T10:00:00+00:00"),)
    turns = [
        turn(f"c-{one}", number, f"how long does {one} take " * 5, "", "Allow 3 to 5 working days. " * 6, seen=seen)
        for one in range(3000)
        for number in (1, 2)
    ]
    file = write_report(write_run(tmp_path / "run", turns))
    rows, made = read(file)
    assert [one["id"] for one in rows] == [one["id"] for one in made] == [f"c-{one}" for one in range(3000)]
    assert all(f"does {number} take" in one["turns"][1]["text"] for number, one in enumerate(made))
    assert "most worth a look of" not in file.read_text(encoding="utf-8")
    assert file.stat().st_size < 2_000_000


def test_long_conversations_leave_less_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", [turn(f"c-{number}", 1, "?", "a", "b") for number in range(9)])
    first, second, *_ = run.conversations()
    monkeypatch.setattr(transcripts, "MOST_BYTES", first.length + second.length)
    assert [one["id"] for one in read(write_report(run))[0]] == ["c-0", "c-1"]
