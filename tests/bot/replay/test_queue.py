"""Replays that wait for one another, in processes of their own: cancelled, ended with the server, and resumed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.desk import BUNDLED
from bot.problems import RapportError
from bot.replay.queue import Order, Queue
from bot.replay.run_folder import Run
from finetune.logs import write_log
from tests.bot.replay.conftest import SMALL

LONG_S = 120


@pytest.fixture
def queue(home: Path) -> Iterator[Queue]:
    queue = Queue(home, BUNDLED)
    yield queue
    queue.close()


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., str]:
    """Ask a queue for the replay of a log; return the run's name."""

    def ask(queue: Queue, name: str, text: str = "", gate: str = "") -> str:
        file = tmp_path / name
        if text:
            file.write_text(text, encoding="utf-8")
        else:
            write_log(file, SMALL)
        return queue.ask(file, Order("", name), gate).run

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
    wrong, waiting, third = ask(queue, "wrong.csv", "a,b\n1,2\n"), ask(queue, "good.jsonl"), ask(queue, "third.jsonl")
    assert queue.state(waiting) == "waiting"
    with pytest.raises(RapportError, match="under way"):
        queue.resume(waiting)
    queue.cancel(third)
    assert queue.state(third) == "interrupted"
    wait(queue, lambda: queue.state(wrong) != "running" and queue.state(waiting) != "waiting")
    assert queue.state(wrong) == "failed"
    assert "wrong.csv" in queue.problem(wrong)
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
