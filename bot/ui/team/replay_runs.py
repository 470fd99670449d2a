"""The runs of a home as the team's page lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.problems import RapportError
from bot.replay import shelf
from bot.replay.queue import Queue, State
from bot.replay.report.files import report_file
from bot.replay.report.words import number, percent
from bot.replay.run_folder import GATE, REPLAYS, RUN, WORK, WRONG, GateResult, Run, read_value


@dataclass(frozen=True)
class Row:
    """A run in the list: what it is, how far, and the earlier runs that there are reports against.

    `left_out` records of the log could not be read; `wrong` says so of the first of them.
    """

    name: str
    state: State
    what: str = ""
    share: float = 0.0
    resumable: bool = False
    about: str = ""
    figures: str = ""
    gate: str = ""
    problem: str = ""
    report: bool = False
    against: tuple[str, ...] = ()
    left_out: int = 0
    wrong: tuple[str, ...] = ()


def rows(home: Path, queue: Queue) -> list[Row]:
    """Return the runs under a home, the newest first."""
    return [_row(folder, queue) for folder in reversed(_folders(home))]


def states(home: Path, queue: Queue) -> list[Mapping[str, Any]]:
    """Return how far each run is, as plain values."""
    found: list[Mapping[str, Any]] = []
    for folder in reversed(_folders(home)):
        state = queue.state(folder.name)
        done = queue.progress(folder.name) if state == "running" else None
        found.append({"name": folder.name, "state": state, **(vars(done) if done else {})})
    return found


def whole_runs(home: Path) -> list[str]:
    """Return the names of all runs that are whole, the newest first."""
    return [folder.name for folder in reversed(_folders(home)) if (folder / RUN).is_file()]


def _folders(home: Path) -> list[Path]:
    return [folder for folder in shelf.folders(home) if folder.parent == home / REPLAYS]


def _row(folder: Path, queue: Queue) -> Row:
    name, state = folder.name, queue.state(folder.name)
    done = queue.progress(name) if state == "running" else None
    what, share = (done.what, done.share) if done else ("", 0.0)
    problem, resumable = queue.problem(name), (folder / WORK).is_dir()
    if not (folder / RUN).is_file():
        return Row(name, state, what, share, resumable, problem=problem)
    try:
        run = Run(folder)
        against = tuple(one for one in run.comparisons() if report_file(run, one).is_file())
        about, figures, gate = ", ".join(_about(run)), "; ".join(_figures(run)), _gate(folder)
    except RapportError as error:
        return Row(name, "failed", problem=str(error))
    report, left_out = report_file(run).is_file(), run.info.log.wrong
    wrong = tuple((folder / WRONG).read_text(encoding="utf-8").splitlines()) if (folder / WRONG).is_file() else ()
    return Row(name, state, what, share, resumable, about, figures, gate, problem, report, against, left_out, wrong)


def _about(run: Run) -> Iterator[str]:
    log = run.info.log
    yield f"{number(log.conversations)} conversations, {number(log.turns)} messages of {log.name}"
    yield run.info.parts["classifier"].name
    if run.info.without:
        yield f"without {' and '.join(run.info.without)}"
    if run.info.mode == "live":
        yield "live"
    if not log.masked:
        yield "not masked"


def _figures(run: Run) -> Iterator[str]:
    shares = run.scores().shares
    for name, words in (("answer", "did what the log says was right"), ("alone", "resolved alone")):
        if (share := shares[name].share) is not None:
            yield f"{percent(share)} {words}"


def _gate(folder: Path) -> str:
    if not (folder / GATE).is_file():
        return ""
    return "may ship" if read_value(GateResult, folder / GATE).passed else "may not ship"
