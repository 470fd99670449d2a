"""Replays that the team's page asks for: one at a time, each in a process of its own, the others waiting their turn."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from bot.problems import RapportError
from bot.replay import shelf
from bot.replay.replaying import share_done
from bot.replay.run_folder import REPLAYS, RUN, WORK, read_value, write_value

State = Literal["waiting", "running", "whole", "interrupted", "failed"]
_ASKED, _ORDER = "asked", "order.json"
_TAIL = 4000  # bytes of what it printed that are looked at for what was wrong


@dataclass(frozen=True)
class Order:
    """What somebody asked for: the replay of a log into the folder of `run`, or, without a log, a report on it.

    `log` is the name of the file that was uploaded, kept in the folder until the run is whole. `against` names an
    earlier run. The rest is as `rapport replay` takes it.
    """

    run: str
    log: str = ""
    form: str = ""
    model: str = ""
    without: tuple[str, ...] = ()
    live: bool = False
    mask: bool = True
    against: str = ""


@dataclass(frozen=True)
class Progress:
    """What is being done for a run, and how much of it is done (0 to 1)."""

    what: str
    share: float


class Queue:
    """Carries out orders for one home, on a thread that begins with the first one."""

    def __init__(self, home: Path, desk: Path) -> None:
        self._home, self._desk = home, desk
        self._waiting: deque[Order] = deque()
        self._current: Order | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._problems: dict[str, str] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def folder(self, run: str) -> Path:
        """Return the folder of a run of this home.

        Raises:
            RapportError: there is none.
        """
        folder = self._home / REPLAYS / run
        if folder not in shelf.folders(self._home):
            raise RapportError(f"There is no run {run!r} any more.")
        return folder

    def ask(self, upload: Path, order: Order) -> Order:
        """Take a log that was uploaded, in the place of `order.run` a new run, and put it in the queue.

        Raises:
            RapportError: a run of this log was begun this very second.
            OSError: it cannot be kept.
        """
        folder = shelf.new_folder(self._home, None, order.log)
        asked = folder / WORK / _ASKED
        asked.mkdir(parents=True)
        order = Order(**{**vars(order), "run": folder.name})
        upload.replace(asked / order.log)
        write_value(asked / _ORDER, order)
        self.add(order)
        return order

    def resume(self, run: str) -> None:
        """Go on with a run that was interrupted or failed.

        Raises:
            RapportError: it was not begun on this page, or is under way.
        """
        file = self.folder(run) / WORK / _ASKED / _ORDER
        if not file.is_file():
            raise RapportError(f"{run} was begun on the command line. Go on there: rapport replay LOG --resume")
        self.add(read_value(Order, file))

    def add(self, order: Order) -> None:
        """Put an order at the end of the queue.

        Raises:
            RapportError: its run is under way already.
        """
        with self._changed:
            if self._is_queued(order.run):
                raise RapportError(f"{order.run} is under way already.")
            self._problems.pop(order.run, None)
            self._waiting.append(order)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rapport-replays", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def cancel(self, run: str) -> None:
        """Take an order out of the queue, or end its process; what was done is kept, and the run can be resumed."""
        with self._changed:
            self._waiting = deque(one for one in self._waiting if one.run != run)
            if self._current and self._current.run == run:
                self._current = None
                self._end()
                self._changed.notify_all()

    def state(self, run: str) -> State:
        """Return how far a run is."""
        with self._changed:
            if self._current and self._current.run == run:
                return "running"
            if self._is_queued(run):
                return "waiting"
            if run in self._problems:
                return "failed"
        return "whole" if (self._home / REPLAYS / run / RUN).is_file() else "interrupted"

    def problem(self, run: str) -> str:
        """Return why a run failed, empty where it did not."""
        return self._problems.get(run, "")

    def progress(self, run: str) -> Progress:
        """Return what is being done for a run."""
        folder, current = self._home / REPLAYS / run, self._current
        if (folder / RUN).is_file():
            return Progress("Writing the report", 1.0)
        share = share_done(folder)
        if current and current.without and not current.against:
            beside = folder.with_name(f"{folder.name}{shelf.WHOLE}")
            first = 1.0 if (beside / RUN).is_file() else share_done(beside) if beside.is_dir() else 0.0
            share = ((first or 0.0) + (share or 0.0)) / 2
        return Progress("Reading the log" if share is None else "Replaying", share or 0.0)

    def close(self) -> None:
        """End the process that is under way; nothing else begins."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._end()
            self._changed.notify_all()
        if self._thread:
            self._thread.join()

    def _is_queued(self, run: str) -> bool:
        return any(one.run == run for one in (*self._waiting, *filter(None, [self._current])))

    def _end(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                order = self._current = self._waiting.popleft()
            try:
                problem = self._carried_out(order)
            except (OSError, RapportError) as error:
                problem = str(error)
            with self._changed:
                if problem and self._current is order:
                    self._problems[order.run] = problem
                self._current = None

    def _carried_out(self, order: Order) -> str:
        """Carry out an order; return what went wrong, empty where nothing did."""
        for arguments in self._commands(order):
            with tempfile.TemporaryFile() as output:
                with self._changed:
                    if self._closed or self._current is not order:
                        return ""
                    command = [sys.executable, "-m", "bot.replay.child", *map(str, arguments)]
                    process = self._process = subprocess.Popen(  # noqa: S603 - every argument was checked
                        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=output
                    )
                with process:
                    code = process.wait()
                if code:
                    return _complaint(output)
        return ""

    def _commands(self, order: Order) -> Iterator[list[str | Path]]:
        folder, home = self._home / REPLAYS / order.run, ["--home", self._home]
        against = [order.against] if order.against else []
        if order.log and not (folder / RUN).exists():
            options = [f"--without={one}" for one in order.without] + ["--live"] * order.live
            options += [f"--{name}={value}" for name, value in (("model", order.model), ("form", order.form)) if value]
            options += [f"--against={one}" for one in against] + ["--mask" if order.mask else "--no-mask"]
            log = folder / WORK / _ASKED / order.log
            yield ["run", log, "--resume", "--out", folder, "--desk", self._desk, *home, *options]
        if order.log and order.without and not against:
            against = [f"{order.run}{shelf.WHOLE}"]
        if order.log or not against:
            yield ["report", folder, *home]
        for one in against:
            yield ["report", folder, "--against", one, *home]


def _complaint(output: IO[bytes]) -> str:
    """Return the last sentence that a process printed."""
    output.seek(max(output.seek(0, 2) - _TAIL, 0))
    lines = output.read().decode("utf-8", "replace").strip().splitlines()
    return (lines[-1] if lines else "It was ended from outside.").removeprefix("rapport: ")
