"""Replays that wait for one another, in processes of their own: cancelled, ended with the server, and resumed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.desk import BUNDLED
from bot.problems import RapportError
from bot.replay.queue import Order, Queue
from bot.replay.replaying import alone
from bot.replay.run_folder import ASKED, WORK, Run, write_value
from finetune.logs import write_log
from tests.bot.replay.conftest import SMALL, Replay

LONG_S = 120


@pytest.fixture
def queue(home: Path) -> Iterator[Queue]:
    queue = Queue(home, BUNDLED)
    yield queue
    queue.close()


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., str]:
    """Ask a queue for the replay of a log; return the run's name."""

    def ask(queue: Queue, name: str, text: str = "", gate: str = "", **options: Any) -> str:
        file = tmp_path / name
        if text:
            file.write_text(text, encoding="utf-8")
        else:
            write_log(file, SMALL)
        return queue.ask(file, Order("", name, **options), gate).run

    return ask


def wait(queue: Queue, reached: Callable[[], bool]) -> None:
    """Wait until a queue has got somewhere; looks whenever it changes."""
    ended = threading.Event()
    for _ in range(LONG_S * 20):
        if reached():
            return
        ended.wait(0.05)
    pytest.fail("the queue got nowhere")


def test_one_at_a_time_and_what_fails_says_why(queue: Queue, ask: Callable[..., str]) -> None:
    wrong = ask(queue, "wrong.csv", "customer,agent\nOpen?,Yes\na,b,c\n", on_error="stop")
    waiting, third = ask(queue, "good.jsonl"), ask(queue, "third.jsonl")
    assert queue.state(waiting) == "waiting"
    with pytest.raises(RapportError, match="under way"):
        queue.resume(waiting)
    queue.cancel(third)
    assert queue.state(third) == "interrupted"
    wait(queue, lambda: queue.state(wrong) != "running" and queue.state(waiting) != "waiting")
    assert queue.state(wrong) == "failed"
    assert queue.problem(wrong).startswith("wrong.csv, line 3: it has more cells than there are columns.")
    queue.cancel(waiting)
    wait(queue, lambda: queue.state(waiting) == "interrupted")
    assert queue.problem(waiting) == ""


def test_the_process_ends_with_the_server_and_the_run_is_resumed(
    queue: Queue, ask: Callable[..., str], home: Path
) -> None:
    run = ask(queue, "good.jsonl", gate="alone_share: 1\n")
    wait(queue, lambda: queue._process is not None)
    process = queue._process
    assert process is not None
    own = os.getpriority(os.PRIO_PROCESS, os.getpid())
    wait(queue, lambda: os.getpriority(os.PRIO_PROCESS, process.pid) > own)  # customers who chat come first
    queue.close()
    assert process.poll() is not None
    assert queue.state(run) == "interrupted"

    again = Queue(home, BUNDLED)
    again.resume(run)
    wait(again, lambda: again.state(run) not in ("waiting", "running"))
    assert (again.state(run), again.problem(run)) == ("whole", "")
    folder = home / "replays" / run
    assert Run(folder).info.log.masked
    assert (folder / "report.html").is_file()
    assert not (folder / "work").exists()  # the log as it was uploaded is gone
    assert '"passed": false' in (folder / "gate.json").read_text(encoding="utf-8")
    again.close()


def test_a_run_that_ended_before_its_report_is_gone_on_with_to_report_and_gate(
    queue: Queue, run_log: Replay, log: Path, home: Path
) -> None:
    folder = run_log("cut").folder
    asked = folder / WORK / ASKED
    asked.mkdir(parents=True)
    write_value(asked / "order.json", Order("cut", log.name, mask=False, gate=True))
    (asked / "gate.yaml").write_text("alone_share: 0\n", encoding="utf-8")
    log.replace(asked / log.name)
    turns = (folder / "turns.jsonl").stat().st_mtime_ns
    assert queue.state("cut") == "interrupted"

    queue.resume("cut")
    wait(queue, lambda: queue.state("cut") not in ("waiting", "running"))
    assert (queue.state("cut"), queue.problem("cut")) == ("whole", "")
    assert '"passed": true' in (folder / "gate.json").read_text(encoding="utf-8")
    assert (folder / "report.html").is_file()
    assert (folder / "turns.jsonl").stat().st_mtime_ns == turns  # nothing was replayed a second time


def test_the_run_that_is_made_beside_another_is_under_way_with_it(
    queue: Queue, ask: Callable[..., str], home: Path
) -> None:
    queue.close()  # it begins nothing, and what waits can be looked at
    run = ask(queue, "log.jsonl", without=("recall",))
    beside = f"{run}-whole"
    (home / "replays" / beside / WORK).mkdir(parents=True)
    assert queue.state(beside) == "waiting"
    with pytest.raises(RapportError, match="under way"):
        queue.delete(beside)
    queue.cancel(beside)
    assert (queue.state(run), queue.state(beside)) == ("interrupted", "interrupted")
    queue.resume(beside)
    assert queue.state(run) == "waiting"
    queue.cancel(run)
    queue.delete(beside)
    assert not (home / "replays" / beside).exists()


def test_a_run_under_way_on_the_command_line_is_not_deleted(queue: Queue, home: Path) -> None:
    folder = home / "replays" / "2026-10-01-log"
    (folder / WORK).mkdir(parents=True)
    with alone(folder), pytest.raises(RapportError, match="Another process"):
        queue.delete(folder.name)
    queue.delete(folder.name)
    assert not folder.exists()
