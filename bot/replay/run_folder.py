"""The folder of a run: which files it has, written and read. Their values are those of `bot.replay.values`.

    HOME/replays/NAME/            or the folder that --out names
      run.json                    RunInfo: which log, in which way, and by what it was decided
      turns.jsonl                 a TurnRecord a line; the turns of a conversation together and in order,
                                  the conversations of a customer together
      conversations.jsonl         a ConversationRecord a line, in the same order; `offset` and `length` are bytes of
                                  turns.jsonl, so that one conversation can be read without the others
      scores.json                 Scores: the figures of the whole run, against the log
      wrong.txt                   which records of the log could not be read, the first of them; where there were any
      desk/NAME/                  the desk as it was, without its log: what a comparison exchanges
      timings.jsonl               TurnTiming a line, in the order of turns.jsonl
      timing.json                 RunTiming
      comparisons/OTHER/          a comparison with another run, named as the other one; this run is the later one
        comparison.json             Comparison: its figures
        differences.jsonl           a Difference a line: every turn that became different, most harm first
      gate.json                   GateResult, where a gate was asked for
      report.html, report.json    what it came to, for people and for programs; beside a comparison, too
      work/                       what a run under way has done so far; gone once it is whole
        asked/                      what the team's page was given, until its report is written: the log, and the order

JSON is UTF-8. Two runs of one log by the same bot are the same byte for byte, but for `timing.json`, `timings.jsonl`,
`gate.json` and reports. Times in other files are those of the log, ISO 8601. Shares are 0 to 1, similarities cosines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from bot.problems import RapportError
from bot.replay.values import (
    Change,
    Comparison,
    ConversationRecord,
    Decided,
    Difference,
    GateLine,
    GateResult,
    Handoff,
    LogInfo,
    MemoryKind,
    Part,
    PartInfo,
    Remembered,
    Role,
    RunInfo,
    RunTiming,
    Scores,
    SeenMessage,
    Share,
    TurnRecord,
    TurnScore,
    TurnTiming,
    Verdict,
)
from finetune.sheets import write_whole

__all__ = [  # those of bot.replay.values too: whoever reads a run needs only this module
    "ASKED",
    "COMPARISON",
    "COMPARISONS",
    "CONVERSATIONS",
    "DESK",
    "DIFFERENCES",
    "GATE",
    "REPLAYS",
    "RUN",
    "SCORES",
    "TIMING",
    "TIMINGS",
    "TURNS",
    "WORK",
    "WRONG",
    "Change",
    "Comparison",
    "ConversationRecord",
    "Decided",
    "Difference",
    "GateLine",
    "GateResult",
    "Handoff",
    "LogInfo",
    "MemoryKind",
    "Part",
    "PartInfo",
    "Remembered",
    "Role",
    "Run",
    "RunInfo",
    "RunTiming",
    "Scores",
    "SeenMessage",
    "Share",
    "TurnRecord",
    "TurnScore",
    "TurnTiming",
    "Verdict",
    "from_line",
    "read_lines",
    "read_value",
    "sync",
    "to_dict",
    "to_line",
    "write_value",
]

REPLAYS = "replays"  # where a home keeps its runs
RUN, TURNS, CONVERSATIONS, SCORES = "run.json", "turns.jsonl", "conversations.jsonl", "scores.json"
TIMINGS, TIMING, GATE, WRONG = "timings.jsonl", "timing.json", "gate.json", "wrong.txt"
COMPARISONS, COMPARISON, DIFFERENCES, DESK, WORK = "comparisons", "comparison.json", "differences.jsonl", "desk", "work"
ASKED = "asked"  # in WORK

Value = TypeVar("Value")
_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def to_dict(value: Any) -> dict[str, Any]:
    """Return one of a run's values as plain values, ready for JSON."""
    return asdict(value)


def to_line(value: Any) -> bytes:
    """Return one of a run's values as a line of JSON."""
    line: bytes = _adapter(type(value)).dump_json(value)
    return line + b"\n"


def from_line(kind: type[Value], line: bytes) -> Value:
    """Return the value in a line.

    Raises:
        pydantic.ValidationError: it is none of that kind.
    """
    value: Value = _adapter(kind).validate_json(line)
    return value


def write_value(path: Path, value: Any) -> None:
    """Write one of a run's values as a file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(path, json.dumps(_adapter(type(value)).dump_python(value, mode="json"), indent=1).encode() + b"\n")


def read_value(kind: type[Value], path: Path) -> Value:
    """Return the value in a file.

    Raises:
        RapportError: there is no such file, or it does not hold one.
    """
    try:
        return from_line(kind, path.read_bytes())
    except OSError as error:
        raise RapportError(f"{path} cannot be read ({error.strerror}). Name the folder of a whole run.") from None
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise RapportError(f"{path} is damaged at {where or 'its beginning'}. Replay the log again.") from None


class Run:
    """A run that is whole, as it lies in its folder."""

    def __init__(self, folder: Path) -> None:
        """Open a run.

        Raises:
            RapportError: there is none, or it is damaged.
        """
        self.folder = folder
        self.info = read_value(RunInfo, folder / RUN)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def scores(self) -> Scores:
        """Return the figures of the run (RapportError: they are gone)."""
        return read_value(Scores, self.folder / SCORES)

    def timing(self) -> RunTiming:
        """Return when it was made and how long it took (RapportError: that is gone)."""
        return read_value(RunTiming, self.folder / TIMING)

    def turns(self) -> Iterator[TurnRecord]:
        """Yield all turns, one in memory at a time."""
        yield from read_lines(TurnRecord, self.folder / TURNS)

    def conversations(self) -> Iterator[ConversationRecord]:
        """Yield all conversations, one in memory at a time."""
        yield from read_lines(ConversationRecord, self.folder / CONVERSATIONS)

    def turns_of(self, conversation: ConversationRecord) -> list[TurnRecord]:
        """Return the turns of one conversation, without reading the others."""
        with (self.folder / TURNS).open("rb") as file:
            file.seek(conversation.offset)
            return [from_line(TurnRecord, line) for line in file.read(conversation.length).splitlines()]

    def comparisons(self) -> list[str]:
        """Return the names of the runs that this one has been compared with."""
        folder = self.folder / COMPARISONS
        return sorted(one.name for one in folder.iterdir() if (one / COMPARISON).is_file()) if folder.is_dir() else []

    def comparison(self, other: str) -> Comparison:
        """Return the figures of a comparison (RapportError: there is none)."""
        return read_value(Comparison, self.folder / COMPARISONS / other / COMPARISON)

    def differences(self, other: str) -> Iterator[Difference]:
        """Yield every turn that a comparison found to be different, most harm first."""
        yield from read_lines(Difference, self.folder / COMPARISONS / other / DIFFERENCES)


def read_lines(kind: type[Value], path: Path) -> Iterator[Value]:
    """Yield the values in a file of lines.

    Raises:
        RapportError: there is no such file, or a line is damaged.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield from_line(kind, line)
                except ValidationError:
                    raise RapportError(f"{path}, line {number} is damaged. Replay the log again.") from None
    except FileNotFoundError:
        raise RapportError(f"There is no file {path}. Name the folder of a whole run.") from None


def sync(path: Path) -> None:
    """Wait until a file that was written is on disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
