"""Replays that the team's page asks for: one at a time, each in a process of its own, the others waiting their turn."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

from bot.problems import RapportError
from bot.replay import shelf
from bot.replay.replaying import share_done
from bot.replay.run_folder import GATE, REPLAYS, RUN, WORK, read_value, write_value

State = Literal["waiting", "running", "whole", "interrupted", "failed"]
_ASKED, _ORDER, _GATE = "asked", "order.json", "gate.yaml"
_TAIL = 4000  # bytes of what it printed that are looked at for what was wrong


@dataclass(frozen=True)
class Order:
    """What somebody asked for: the replay of a log into the folder of `run`, or, without a log, a report on it.

    `log` is the name of the file that was uploaded, kept in the folder until the run is whole, and so are the limits
    that it goes by, if it has a `gate`. `against` names an earlier run. The rest is as `rapport replay` takes it.
    """

    run: str
    log: str = ""
    form: str = ""
    model: str = ""
    without: tuple[str, ...] = ()
    live: bool = False
    mask: bool = True
    against: str = ""
    gate: bool = False


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

    def ask(self, upload: Path, order: Order, gate: str = "") -> Order:
        """Take a log that was uploaded, and the limits to go by, and put its replay into a new run in the queue.

        Raises:
            RapportError: a run of this log was begun this very second.
            OSError: it cannot be kept.
        """
        folder = shelf.new_folder(self._home, None, order.log)
        asked = folder / WORK / _ASKED
        asked.mkdir(parents=True)
        order = replace(order, run=folder.name, gate=bool(gate))
        upload.replace(asked / order.log)
        if gate:
            (asked / _GATE).write_text(gate, encoding="utf-8")
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
        try:
            share = 1.0 if (folder / RUN).is_file() else share_done(folder)
        except sqlite3.Error:  # the log was removed this very moment, since the run is whole
            share = 1.0
        if share == 1.0:
            return Progress("Comparing and writing the report", 1.0)
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
                if problem and self._current is order and not self._closed:
                    self._problems[order.run] = problem
                self._current = None

    def _carried_out(self, order: Order) -> str:
        """Carry out an order; return what went wrong, empty where nothing did."""
        with tempfile.TemporaryFile() as output:
            with self._changed:
                if self._closed or self._current is not order:
                    return ""
                command = [sys.executable, "-m", "bot.replay.child", *map(str, self._arguments(order))]
                process = self._process = subprocess.Popen(  # noqa: S603 - every argument was checked
                    command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=output
                )
            with process:
                code = process.wait()
            folder = self._home / REPLAYS / order.run
            broke_a_limit = order.gate and (folder / RUN).is_file() and (folder / GATE).is_file()
            return _complaint(output) if code and not broke_a_limit else ""

    def _arguments(self, order: Order) -> list[str | Path]:
        folder = self._home / REPLAYS / order.run
        values: dict[str, str | Path] = {"home": self._home, "against": order.against}
        if not order.log or (folder / RUN).exists():
            return ["report", folder, *_options(values)]
        asked = folder / WORK / _ASKED
        values |= {"out": folder, "desk": self._desk, "model": order.model, "form": order.form}
        values["gate"] = asked / _GATE if order.gate else ""
        flags = ["--mask" if order.mask else "--no-mask", *["--live"] * order.live]
        flags += [f"--without={one}" for one in order.without]
        return ["run", asked / order.log, "--resume", *flags, *_options(values)]


def _options(values: Mapping[str, str | Path]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items() if value]


def _complaint(output: IO[bytes]) -> str:
    """Return the last sentence that a process printed."""
    output.seek(max(output.seek(0, 2) - _TAIL, 0))
    lines = output.read().decode("utf-8", "replace").strip().splitlines()
    return (lines[-1] if lines else "It was ended from outside.").removeprefix("rapport: ")
