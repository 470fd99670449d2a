"""Replays that the team's page asks for: one at a time, each in a process of its own, the others waiting their turn."""

from __future__ import annotations

import os
import shutil
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
from bot.replay.replaying import alone, share_done
from bot.replay.run_folder import ASKED, REPLAYS, RUN, WORK, read_value, write_value

State = Literal["waiting", "running", "whole", "interrupted", "failed"]
_ORDER, _GATE = "order.json", "gate.yaml"
_TAIL = 4000  # bytes of what it printed that are looked at for what was wrong


@dataclass(frozen=True)
class Order:
    """What somebody asked for: the replay of a log into the folder of `run`, or, without a log, a report on it.

    `log` is the name of the file that was uploaded, kept in the folder until the report is written, and so are the
    limits that it goes by, if it has a `gate`. `against` names an earlier run. The rest is what `rapport replay` takes.
    """

    run: str
    log: str = ""
    form: str = ""
    model: str = ""
    without: tuple[str, ...] = ()
    live: bool = False
    mask: bool = True
    region: str = ""
    on_error: Literal["skip", "stop"] = "skip"
    against: str = ""
    gate: bool = False

    @property
    def runs(self) -> tuple[str, ...]:
        """The run, and the one with all memory that is made beside it where it does without some."""
        beside = self.without and not self.against
        return (self.run, f"{self.run}{shelf.WHOLE}") if beside else (self.run,)


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
        asked = folder / WORK / ASKED
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
        folder = self.folder(run)
        beside = folder.with_name(run.removesuffix(shelf.WHOLE))
        file = next((one for one in (_order(folder), _order(beside)) if one.is_file()), None)
        if file is None:
            raise RapportError(f"{run} was begun on the command line. Go on there: rapport replay LOG --resume")
        self.add(read_value(Order, file))

    def add(self, order: Order) -> None:
        """Put an order at the end of the queue.

        Raises:
            RapportError: its run is under way already.
        """
        with self._changed:
            if any(map(self._is_queued, order.runs)):
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
            self._waiting = deque(one for one in self._waiting if run not in one.runs)
            if self._current and run in self._current.runs:
                self._current = None
                self._end()
                self._changed.notify_all()

    def delete(self, run: str) -> None:
        """Remove a run for good.

        Raises:
            RapportError: there is none, or it is under way.
            OSError: it cannot be removed.
        """
        with self._changed:
            if self._is_queued(run):
                raise RapportError(f"{run} is under way. Cancel it first.")
            with alone(folder := self.folder(run)):
                shutil.rmtree(folder)

    def state(self, run: str) -> State:
        """Return how far a run is; it is whole once its report is written and its gate is checked, too."""
        folder = self._home / REPLAYS / run
        with self._changed:
            if self._current and run in self._current.runs:
                return "running"
            if self._is_queued(run):
                return "waiting"
            if run in self._problems:
                return "failed"
        return "whole" if (folder / RUN).is_file() and not (folder / WORK).is_dir() else "interrupted"

    def problem(self, run: str) -> str:
        """Return why a run failed, empty where it did not."""
        return self._problems.get(run, "")

    def progress(self, run: str) -> Progress:
        """Return what is being done for a run, or for the order that it is made for."""
        current = self._current
        runs = current.runs if current and run in current.runs else (run,)
        shares = [_share(self._home / REPLAYS / one) for one in runs]
        if shares[0] == 1.0:
            return Progress("Comparing and writing the report", 1.0)
        done = sum(share or 0.0 for share in shares) / len(shares)
        return Progress("Replaying" if any(share is not None for share in shares) else "Reading the log", done)

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
        return any(run in one.runs for one in (*self._waiting, *filter(None, [self._current])))

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
            # A broken limit is no failure: what was asked for is gone once its report is written.
            done = (folder / RUN).is_file() and not (folder / WORK).exists() if order.log else code == 0
            return "" if done else _complaint(output).replace(f"{folder / WORK / ASKED}{os.sep}", "")

    def _arguments(self, order: Order) -> list[str | Path]:
        folder = self._home / REPLAYS / order.run
        values: dict[str, str | Path] = {"home": self._home, "against": order.against}
        if not order.log:
            return ["report", folder, *_options(values)]
        asked = folder / WORK / ASKED
        values |= {"out": folder, "desk": self._desk, "model": order.model, "form": order.form}
        values |= {"region": order.region, "on-error": order.on_error}
        values["gate"] = asked / _GATE if order.gate else ""
        flags = ["--mask" if order.mask else "--no-mask", *["--live"] * order.live]
        flags += [f"--without={one}" for one in order.without]
        return ["run", asked / order.log, "--resume", *flags, *_options(values)]


def _order(folder: Path) -> Path:
    return folder / WORK / ASKED / _ORDER


def _share(folder: Path) -> float | None:
    """Return how much of a run is done, 0 to 1; None while its log is being read, or before."""
    try:
        return 1.0 if (folder / RUN).is_file() else share_done(folder)
    except sqlite3.Error:  # the log was removed this very moment, since the run is whole
        return 1.0


def _options(values: Mapping[str, str | Path]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items() if value]


def _complaint(output: IO[bytes]) -> str:
    """Return the last sentence that a process printed."""
    output.seek(max(output.seek(0, 2) - _TAIL, 0))
    lines = output.read().decode("utf-8", "replace").strip().splitlines()
    return (lines[-1] if lines else "It was ended from outside.").removeprefix("rapport: ")
