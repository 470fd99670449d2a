"""Replaying a log: memory as of each moment, the same bytes however it is done, and going on after an interruption."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bot.desk import BUNDLED, Desk
from bot.models import Models
from bot.problems import RapportError
from bot.replay import life, replaying, shelf, staging
from bot.replay.life import Life
from bot.replay.parts import State
from bot.replay.readers import Wrong, read_log
from bot.replay.replaying import Plan, alone, replay
from bot.replay.run_folder import ASKED, TIMING, TIMINGS, WORK, Run, TurnRecord
from tests.bot.replay.conftest import SMALL, Replay, conversation


def _turn(run: Run, name: str, number: int) -> TurnRecord:
    return next(turn for turn in run.turns() if turn.key == (name, number))


def _content(run: Run) -> dict[str, bytes]:
    timed = (TIMING, TIMINGS, "report.html", "report.json")
    files = (path for path in run.folder.rglob("*") if path.is_file() and path.name not in timed)
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in files}


def test_earlier_conversations_of_a_customer_are_remembered_and_later_ones_are_not(run_log: Replay) -> None:
    run = run_log("whole")
    asked = _turn(run, "c-3", 1)
    assert asked.action == "recap"
    assert "How long does a delivery take?" in asked.reply
    assert ("c-1#1", True) in [(one.id, one.used) for one in asked.memories]
    assert not _turn(run, "c-1", 1).memories
    assert _turn(run, "c-3", 2).action == "confirm"  # the order number of the first conversation
    assert _turn(run, "c-2", 1).action == "ask"  # bob never told one
    assert [one.conversation for one in run.conversations()] == ["c-1", "c-3", "c-2", "c-4"]


def test_a_summary_is_named_where_the_reply_is_made_of_it(run_log: Replay) -> None:
    first = conversation(
        "first", "gus", 0, ("customer", "How long does a delivery take?", "delivery_time"), ("agent", "Three days.")
    )
    again = conversation(
        "again", "gus", 2, ("customer", "What did we talk about last time?", "last_time"), ("agent", "Delivery.")
    )
    asked = _turn(run_log("with", [first, again]), "again", 1)
    assert "delivery" in asked.reply
    assert [(one.kind, one.id) for one in asked.memories if one.used] == [("summary", "first#1")]
    off = _turn(run_log("without", [first, again], without=("summary",)), "again", 1)
    assert off.reply != asked.reply
    assert not [one for one in off.memories if one.used]


def test_a_log_in_another_order_gives_the_same_decisions(run_log: Replay) -> None:
    decided = {turn.key: turn.reply for turn in run_log("forwards").turns()}
    assert {turn.key: turn.reply for turn in run_log("backwards", SMALL[::-1]).turns()} == decided


def test_what_was_said_long_ago_is_not_known_any_more(run_log: Replay) -> None:
    old = conversation("old", "dot", 0, ("customer", "My order number is R-10192."), ("agent", "Noted."))
    later = conversation("later", "dot", 800, ("customer", "Where is my order?"), ("agent", "Which one?"))
    soon = conversation("soon", "eve", 0, ("customer", "My order number is R-10192."), ("agent", "Noted."))
    after = conversation("after", "eve", 90, ("customer", "Where is my order?"), ("agent", "Which one?"))
    run = run_log("ages", [old, soon, after, later])
    assert _turn(run, "later", 1).action == "ask"
    assert _turn(run, "after", 1).action == "confirm"


def test_the_customer_answers_what_the_agent_asked(run_log: Replay) -> None:
    run = run_log("whole")
    told = _turn(run, "c-2", 2)
    assert (told.action, told.intent) == ("look_up", "order_status")
    assert told.seen[0].text == "It waits for you at the pick-up point."


def test_a_live_run_marks_where_the_logged_customer_no_longer_answers_what_was_said(run_log: Replay) -> None:
    run = run_log("live", live=True)
    parted = {one.conversation: one.parted_after for one in run.conversations()}
    assert parted["c-2"] == 0  # the same question, and another wording of the same answer
    assert parted["c-3"] == 2  # it asks which order is meant, which the agent did not
    assert run.info.mode == "live"
    assert "answer was: “Standard delivery" in _turn(run, "c-3", 1).reply


def test_the_figures_are_against_the_log(run_log: Replay) -> None:
    run = run_log("whole")
    scores = run.scores()
    assert (scores.conversations, scores.turns) == (4, 9)
    assert (scores.shares["answer"].share, scores.shares["answer"].of) == (1.0, 7)
    assert scores.shares["alone"].share == 0.75  # one customer wanted a colleague
    assert _turn(run, "c-3", 3).score.handoff == "right"
    assert scores.shares["alone"].low is not None and scores.shares["alone"].low < 0.75
    assert scores.by_intent["order_status"] == (2, 2)


def test_two_runs_are_the_same_byte_for_byte_whatever_the_number_of_workers(
    run_log: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "LEAST_TURNS", 3)
    monkeypatch.setattr(replaying, "_ENOUGH", 1)
    one, two = run_log("one"), run_log("two", workers=2)
    assert two.timing().workers == 2
    assert _content(one) == _content(two)
    assert not (two.folder / "work").exists()


_KILLED = """
import sys
from bot.replay import staging
from app import main
staging.LEAST_TURNS = 1
sys.argv = ["rapport", "replay", *sys.argv[1:]]
main()
"""


@pytest.mark.usefixtures("run_log")
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(home: Path, log: Path, tmp_path: Path) -> None:
    def start(*arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _KILLED, log, "--home", home, "--no-mask", *arguments]
        return subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert start("--out", whole).wait(120) == 0
    process = start("--out", cut)
    while process.poll() is None and not (cut / "work" / "unit-000000").exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert not (cut / "run.json").exists(), "it was too fast to be killed"
    assert start("--out", cut, "--resume").wait(120) == 0
    assert _content(Run(whole)) == _content(Run(cut))


def test_a_run_is_not_gone_on_with_by_another_bot(run_log: Replay, home: Path, log: Path) -> None:
    run = run_log("whole")
    work = run.folder / "work"
    work.mkdir()
    (run.folder / "run.json").rename(work / "plan.json")
    with pytest.raises(RapportError, match="memory has changed"):
        run_log("whole", without=("recall",))


def test_two_processes_do_not_replay_into_one_folder(run_log: Replay, home: Path) -> None:
    folder = home / "replays" / "busy"
    (folder / WORK).mkdir(parents=True)
    with alone(folder), pytest.raises(RapportError, match="Another process is replaying"):
        run_log("busy")
    assert not (folder / "run.json").exists()


def test_what_the_page_was_given_stays_while_its_report_is_not_written(run_log: Replay, home: Path) -> None:
    asked = home / "replays" / "asked" / WORK / ASKED
    asked.mkdir(parents=True)
    (asked / "order.json").write_text("{}")
    first = _content(run_log("asked"))
    assert [path.name for path in asked.parent.rglob("*")] == [ASKED, "order.json"]
    assert _content(run_log("asked")) == first  # gone on with: it is whole


def test_the_day_of_look_ups_is_that_of_the_last_message(run_log: Replay) -> None:
    begun, *later = SMALL[1].messages
    ticket = SMALL[1].model_copy(
        update={"messages": (begun, *(one.model_copy(update={"at": one.at + timedelta(days=50)}) for one in later))}
    )
    run = run_log("ticket", [ticket])
    assert run.info.look_ups_on == "2026-10-22"
    assert run.info.log.first[:10] == "2026-09-02"


def test_of_a_log_that_cannot_be_used_nothing_is_left(home: Path, desk: Desk, models: Models, log: Path) -> None:
    whole = log.read_bytes()
    log.write_bytes(b"")
    folder = home / "replays" / "again"

    def read(file: Path) -> staging.Staging:
        return staging.stage(read_log(log, mask=None), log.name, file, masked=False)

    with pytest.raises(RapportError, match=r"holds no message of a customer|is empty"):
        replay(Plan(BUNDLED, home), State(desk, models), folder, read)
    assert shelf.runs(home) == []
    log.write_bytes(whole)
    assert replay(Plan(BUNDLED, home), State(desk, models), folder, read).info.log.turns == 9


def test_which_records_were_left_out_is_kept_with_the_run(home: Path, desk: Desk, models: Models, log: Path) -> None:
    log.write_bytes(b"nonsense\n" + log.read_bytes())
    folder, wrong = home / "replays" / "wrong", Wrong()

    def read(file: Path) -> staging.Staging:
        reading = read_log(log, mask=None, on_error=wrong.tell)
        return staging.stage(reading, log.name, file, masked=False, wrong=wrong)

    run = replay(Plan(BUNDLED, home), State(desk, models), folder, read)
    assert run.info.log.wrong == 1
    kept = (folder / "wrong.txt").read_text(encoding="utf-8")
    assert kept == "log.jsonl, line 1: it is not JSON. Write one JSON value on each line."


def test_the_live_home_is_left_alone(run_log: Replay, home: Path) -> None:
    wish = conversation(
        "wish", "fay", 0, ("customer", "Please forget everything about me", "forget_me"), ("agent", "Shall I?")
    )
    before = {path.name for path in home.iterdir()}
    run_log("wishes", [wish])
    assert {path.name for path in home.iterdir()} == before


def test_encoding_ahead_changes_no_decision(
    run_log: Replay, desk: Desk, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {turn.key: (turn.action, turn.intent, turn.reply, turn.memories) for turn in run_log("whole").turns()}
    today = datetime(2026, 11, 23, tzinfo=timezone.utc)
    monkeypatch.setattr(life, "_AHEAD", 2)  # as of a customer with more turns than are encoded at once
    by_customer = sorted(SMALL, key=lambda one: one.customer_id)
    for ahead in (True, False):
        with closing(Life(State(desk, models), tmp_path, today, ahead=ahead)) as lived:
            turns = [record for record, _ in lived.run(by_customer)]
        assert {turn.key: (turn.action, turn.intent, turn.reply, turn.memories) for turn in turns} == whole
