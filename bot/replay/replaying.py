"""replay(): a log lived through into the folder of a run, by several processes where asked; interrupted, it resumes."""

from __future__ import annotations

import gc
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from bot.problems import RapportError
from bot.replay.life import Life, ordered
from bot.replay.parts import State, copy_desk
from bot.replay.run_folder import (
    ASKED,
    CONVERSATIONS,
    DESK,
    RUN,
    SCORES,
    TIMING,
    TIMINGS,
    TURNS,
    WORK,
    WRONG,
    ConversationRecord,
    Run,
    RunInfo,
    RunTiming,
    TurnRecord,
    TurnTiming,
    from_line,
    read_lines,
    read_value,
    sync,
    to_line,
    write_value,
)
from bot.replay.scores import Meaning, judge, scores_of, sum_up
from bot.replay.staging import LOG, Staging

Progress = Callable[[str, float], None]
Stage = Callable[[Path], Staging]
_PLAN, _SCRATCH, _LOCK = "plan.json", "scratch", "lock"
_ENOUGH = 10  # units for which another process pays: it has to start first, which takes as long as some hundred turns


@dataclass(frozen=True)
class Plan:
    """How a log is to be replayed: the desk, the home of its models, and what `rapport replay` takes as options."""

    desk: Path
    home: Path
    model: str = ""
    without: tuple[str, ...] = ()
    live: bool = False
    workers: int = 1


def open_state(plan: Plan) -> State:
    """Return the bot of a plan.

    Raises:
        RapportError: the desk has mistakes, or the model does not fit it or is not there.
        ModelError: a model is missing, incomplete or altered.
    """
    return State.open(plan.desk, plan.home, plan.model, plan.without)


def replay(
    plan: Plan, state: State, folder: Path, read: Stage, *, progress: Progress = lambda _what, _share: None
) -> Run:
    """Replay a log into the folder of a run, and return it.

    `state` is what `open_state` makes of the plan. `read` stages the log into a file. Where the folder holds a run that
    was interrupted, it goes on: what was done is not done again, and the result is the same.

    Raises:
        RapportError: the log cannot be used, the folder holds another run, or another process is at work in it.
        OSError: the folder cannot be written.
    """
    work = folder / WORK
    if (folder / RUN).exists() and not work.is_dir():
        raise RapportError(f"{folder} holds a run that is whole. Name another folder with --out.")
    work.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        if not (folder / RUN).exists():  # else it was interrupted right before its end
            _replay(plan, state, folder, read, progress)
        _clear(work)
    return Run(folder)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from the run that is under way in a folder; where none is, there is nothing to keep.

    Raises:
        RapportError: another process is at work in it.
    """
    if not (folder / WORK).is_dir():
        yield
        return
    lock = FileLock(folder / WORK / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RapportError(f"Another process is replaying into {folder}. Wait until it has ended.") from None
    try:
        yield
    finally:
        lock.release()


def _clear(work: Path) -> None:
    """Remove what a run was made of; what the team's page was given stays until its report is written, too."""
    for path in work.iterdir():
        if path.name != ASKED:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with suppress(OSError):
        work.rmdir()


def _replay(plan: Plan, state: State, folder: Path, read: Stage, progress: Progress) -> None:
    started, work = datetime.now(timezone.utc), folder / WORK
    staging = Staging(work / LOG) if (work / LOG).exists() else _staged(read, work)
    info = RunInfo(staging.log, "live" if plan.live else "logged", plan.without, staging.log.last[:10], state.parts())
    _keep_plan(work / _PLAN, info)
    if not (folder / DESK).exists():
        (folder / DESK).mkdir()
    if not (folder / DESK / state.desk.name).exists():
        copy_desk(state.desk, folder / DESK / state.desk.name)
    workers = _live_all(plan, state, work, staging.units, progress)
    _merge(folder, info, staging.units)
    _time(folder, started, workers)
    if wrong := staging.wrong():
        (folder / WRONG).write_text("\n".join(wrong), encoding="utf-8")
    (work / _PLAN).replace(folder / RUN)


def _staged(read: Stage, work: Path) -> Staging:
    """Read the log; of one that cannot be used nothing is left, so that it can be put right and replayed."""
    try:
        return read(work / LOG)
    except RapportError:
        _clear(work)
        raise


def _keep_plan(file: Path, info: RunInfo) -> None:
    """Write what is about to be done, or compare it with what was begun."""
    if not file.exists():
        write_value(file, info)
        return
    begun = read_value(RunInfo, file)
    other = [name for name, part in info.parts.items() if part.hash != begun.parts[name].hash]
    if other or begun != info:
        what = ", ".join(other) or "what was asked for"
        raise RapportError(
            f"This run was begun with another bot: {what} has changed since. Begin another one, without --resume."
        )


def _live_all(plan: Plan, state: State, work: Path, units: int, progress: Progress) -> int:
    """Live all units through that have not been yet, and return by how many processes."""
    todo = [number for number in range(units) if not _unit(work, number).exists()]
    shutil.rmtree(work / _SCRATCH, ignore_errors=True)
    others = min(plan.workers - 1, len(todo) // _ENOUGH)
    if not others:
        worker = _Worker(plan, state, work)
        for done, number in enumerate(todo, 1):
            worker.live(number)
            progress("Replaying", done / len(todo))
    else:
        _share_work(plan, _Worker(plan, state, work), todo, others, progress)
    shutil.rmtree(work / _SCRATCH, ignore_errors=True)
    return 1 + others


def _share_work(plan: Plan, own: _Worker, todo: list[int], others: int, progress: Progress) -> None:
    """Live units through with other processes, this one doing its part: it has loaded the models already."""
    waiting, count = deque(todo), len(todo)
    given: set[Future[None]] = set()
    with ProcessPoolExecutor(others, get_context("spawn"), _begin, (plan, own.work)) as pool:
        while waiting or given:
            while waiting and len(given) < 2 * others:
                given.add(pool.submit(_live, waiting.popleft()))
            if waiting:
                own.live(waiting.popleft())
            else:
                wait(given, return_when=FIRST_COMPLETED)
            for one in [one for one in given if one.done()]:
                one.result()
                given.remove(one)
            progress("Replaying", 1 - (len(waiting) + len(given)) / count)


class _Worker:
    """Lives units through, one after the other."""

    def __init__(self, plan: Plan, state: State, work: Path) -> None:
        self._plan, self._state, self.work = plan, state, work
        self._staging = Staging(work / LOG)
        self._meaning = Meaning(state.models.encoder)
        self._scratch = work / _SCRATCH / str(os.getpid())
        self._scratch.mkdir(parents=True, exist_ok=True)
        gc.freeze()  # the models, which no collection needs to go through

    def live(self, number: int) -> None:
        """Live a unit through and write what came of it, whole or not at all."""
        today = datetime.fromisoformat(self._staging.log.last)
        with closing(Life(self._state, self._scratch, today, live=self._plan.live)) as life:
            lived = list(life.run(self._staging.unit(number)))
        records = judge([record for record, _ in lived], self._state.desk, self._meaning, live=self._plan.live)
        lived = ordered(list(zip(records, (timing for _, timing in lived), strict=True)))
        folder = _unit(self.work, number)
        draft = folder.with_suffix(f".{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        with (draft / TURNS).open("wb") as turns, (draft / CONVERSATIONS).open("wb") as conversations:
            for conversation in _conversations([record for record, _ in lived]):
                lines = b"".join(map(to_line, conversation))
                conversations.write(to_line(replace(sum_up(conversation), offset=turns.tell(), length=len(lines))))
                turns.write(lines)
        (draft / TIMINGS).write_bytes(b"".join(to_line(timing) for _, timing in lived))
        for file in draft.iterdir():
            sync(file)
        draft.replace(folder)


_worker: _Worker


def _begin(plan: Plan, work: Path) -> None:
    """Begin a process that works; it ends when the one that began it does."""
    global _worker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = _Worker(plan, open_state(plan), work)


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _live(number: int) -> None:
    _worker.live(number)


def share_done(folder: Path) -> float | None:
    """Return how much of a run under way is done, 0 to 1; None while the log is being read."""
    log = folder / WORK / LOG
    if not log.exists():
        return None
    units = Staging(log).units
    return sum(_unit(folder / WORK, number).exists() for number in range(units)) / units


def _unit(work: Path, number: int) -> Path:
    return work / f"unit-{number:06d}"


def _conversations(records: list[TurnRecord]) -> Iterator[list[TurnRecord]]:
    """Yield the turns of each conversation; they come together."""
    start = 0
    for place in range(1, len(records) + 1):
        if place == len(records) or records[place].conversation != records[start].conversation:
            yield records[start:place]
            start = place


def _merge(folder: Path, info: RunInfo, units: int) -> None:
    """Put the units together, in order."""
    drafts = {name: (folder / f".{name}.draft").open("wb") for name in (TURNS, CONVERSATIONS, TIMINGS)}
    for number in range(units):
        unit = _unit(folder / WORK, number)
        offset = drafts[TURNS].tell()
        for one in read_lines(ConversationRecord, unit / CONVERSATIONS):
            drafts[CONVERSATIONS].write(to_line(replace(one, offset=offset + one.offset)))
        for name in (TURNS, TIMINGS):
            with (unit / name).open("rb") as part:
                shutil.copyfileobj(part, drafts[name], 1 << 20)
    for name, draft in drafts.items():
        draft.flush()
        os.fsync(draft.fileno())
        draft.close()
        Path(draft.name).replace(folder / name)
    turns = read_lines(TurnRecord, folder / TURNS)
    write_value(folder / SCORES, scores_of(turns, read_lines(ConversationRecord, folder / CONVERSATIONS)))


def _time(folder: Path, started: datetime, workers: int) -> None:
    """Write how long it took; of a run that was resumed, since then."""
    finished = datetime.now(timezone.utc)
    seconds = max((finished - started).total_seconds(), 1e-3)
    with (folder / TIMINGS).open("rb") as file:
        spent = np.array([from_line(TurnTiming, line).ms.get("total", 0.0) for line in file])
    p50, p95 = (round(float(value), 2) for value in np.percentile(spent, (50, 95)))
    timing = RunTiming(
        started.isoformat(timespec="seconds"),
        finished.isoformat(timespec="seconds"),
        round(seconds, 2),
        workers,
        round(len(spent) / seconds, 1),
        p50,
        p95,
    )
    write_value(folder / TIMING, timing)
