"""The folder of a run: which files it has, and the values in them. Whatever reads or writes a run does it with these.

    HOME/replays/NAME/            or the folder that --out names
      run.json                    RunInfo: which log, in which way, and by what it was decided
      turns.jsonl                 a TurnRecord a line; the turns of a conversation together and in order,
                                  the conversations of a customer together
      conversations.jsonl         a ConversationRecord a line, in the same order; `offset` and `length` are bytes of
                                  turns.jsonl, so that one conversation can be read without the others
      scores.json                 Scores: the figures of the whole run, against the log
      desk/NAME/                  the desk as it was, without its log: what a comparison exchanges
      timings.jsonl               TurnTiming a line, in the order of turns.jsonl
      timing.json                 RunTiming
      comparisons/OTHER/          a comparison with another run, named as the other one; this run is the later one
        comparison.json             Comparison: its figures
        differences.jsonl           a Difference a line: every turn that became different, most harm first
      gate.json                   GateResult, where a gate was asked for
      work/                       what a run under way has done so far; gone once it is whole

JSON is UTF-8. Two runs of one log by the same bot are the same byte for byte, but for `timing.json`, `timings.jsonl`
and `gate.json`. Times in other files are those of the log, ISO 8601. Shares are 0 to 1, similarities cosines.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from bot.problems import RapportError
from finetune.sheets import write_whole

Role = Literal["customer", "agent", "bot"]
MemoryKind = Literal["turn", "fact", "promise", "summary"]
Part = Literal["desk", "classifier", "thresholds", "memory", "retrieval", "code"]
Verdict = Literal["worse", "better", "neutral"]
Change = Literal[
    "handoff_lost",  # it handed over, and now does not
    "handoff_new",
    "answer_lost",  # it answered, and now does not
    "answer_new",
    "answer",  # it answers something else
    "question",  # it asks for something else, or asks where it did not
    "look_up",  # the same look-up with another outcome
    "quote",  # another passage
    "memory",  # it says something else about what it remembers
    "wording",  # the same answer in other words
    "other",
]
Handoff = Literal["right", "early", "late", "needless"]
REPLAYS = "replays"  # where a home keeps its runs
RUN, TURNS, CONVERSATIONS, SCORES = "run.json", "turns.jsonl", "conversations.jsonl", "scores.json"
TIMINGS, TIMING, GATE = "timings.jsonl", "timing.json", "gate.json"
COMPARISONS, COMPARISON, DIFFERENCES, DESK, WORK = "comparisons", "comparison.json", "differences.jsonl", "desk", "work"


@dataclass(frozen=True)
class LogInfo:
    """The log that was read: its file's name, a hash of what was read, and what was in it; `wrong` were left out."""

    name: str
    sha256: str
    forms: tuple[str, ...]
    masked: bool
    conversations: int
    customers: int
    turns: int
    first: str
    last: str
    silent: int = 0
    wrong: int = 0


@dataclass(frozen=True)
class PartInfo:
    """One part of what decides: a `name` for people (a desk, `intent-0003`), a hash, and what else is worth knowing."""

    name: str
    hash: str
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunInfo:
    """What a run is: `mode` is whose words the customer saw, `without` the memory that was off.

    `look_ups_on` is the day that the desk's tools took for today.
    """

    log: LogInfo
    mode: Literal["logged", "live"]
    without: tuple[str, ...]
    look_ups_on: str
    parts: Mapping[Part, PartInfo]
    format: Literal[1] = 1


@dataclass(frozen=True)
class SeenMessage:
    """A message of the log that is not the customer's; `answer` is its label, where somebody gave it one."""

    role: Role
    text: str
    at: str
    answer: str | None = None


@dataclass(frozen=True)
class Remembered:
    """Something the bot knew from before, and why; `used` says that the reply is made of it.

    `id` is `CONVERSATION#NUMBER` of a turn, or a fact's name. `similarity` and `evidence` are those of recall.
    """

    kind: MemoryKind
    id: str
    at: str
    why: str
    used: bool
    similarity: float | None = None
    evidence: float | None = None


@dataclass(frozen=True)
class TurnScore:
    """A turn against its log. What the log does not tell is None, and what does not apply.

    `intent`: whether the likeliest intent is the label. `answer`: whether the bot served what the log says was right:
    the approved answer that the agent's message names, or the message's intent. `similarity`: the cosine of the two
    replies, where the agent's names no approved answer.
    `kept` of the `particulars` (numbers, dates, names, amounts) in the agent's words are in the bot's.
    `handoff`: whether handing over, or not, was right, or how it was wrong.
    `asked_known`: it asked for what the customer had said before. `unanswered`: it neither answered nor asked.
    `alone`: whether it would have served this turn without a colleague.
    """

    intent: bool | None = None
    answer: bool | None = None
    similarity: float | None = None
    particulars: int = 0
    kept: int = 0
    handoff: Handoff | None = None
    asked_known: bool = False
    promised: bool = False
    agent_promised: bool = False
    unanswered: bool = False
    alone: bool | None = None


@dataclass(frozen=True)
class TurnRecord:
    """One customer turn of the log, and what the bot decided about it.

    `before` is what was said to the customer before the conversation's first message, `seen` what was said after this
    one; `label` is the log's intent. `handed_over` is how the session stood before. `apart` (live runs): the reply is
    another one than the customer saw, so that the next logged message may answer something that was not said.
    """

    conversation: str
    customer: str
    number: int  # 1, 2, ... in the conversation
    at: str
    text: str
    seen: tuple[SeenMessage, ...]
    before: tuple[SeenMessage, ...]
    label: str | None
    reply: str
    action: str
    intent: str  # that is served; empty where none is
    confidence: float
    intents: tuple[tuple[str, float], ...]
    in_scope: bool
    facts: Mapping[str, str]
    sources: tuple[Mapping[str, str], ...]
    suggestions: tuple[str, ...]
    pending: Mapping[str, Any]
    wording: str
    topic: str
    promise: str
    failure: bool
    hand_off: bool
    handed_over: bool
    memories: tuple[Remembered, ...] = ()
    apart: bool = False
    score: TurnScore = field(default_factory=TurnScore)

    @property
    def key(self) -> tuple[str, int]:
        """By what the turn is the same in two runs."""
        return self.conversation, self.number

    @property
    def said(self) -> str:
        """What the customer saw as the reply, empty where nobody replied."""
        return "\n\n".join(one.text for one in self.seen)


@dataclass(frozen=True)
class ConversationRecord:
    """One conversation of a run, in numbers; turns are numbers from 1, 0 for none.

    `right` and `wrong` count turns whose answer the log can judge. `handed_over` is the turn at which the bot handed
    over first, `log_handed_over` the one at which an agent took over from the log's bot. `alone`: the bot would have
    served all of it without a colleague; None where the log does not tell. `parted_after` (live runs): the first turn
    that is `apart`.
    """

    conversation: str
    customer: str
    started_at: str
    turns: int
    offset: int
    length: int
    labelled: int = 0
    right: int = 0
    wrong: int = 0
    unanswered: int = 0
    handed_over: int = 0
    log_handed_over: int = 0
    alone: bool | None = None
    parted_after: int = 0


@dataclass(frozen=True)
class Share:
    """A share of `of` cases with its interval of 95 %; all None where there were none."""

    of: int
    share: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Scores:
    """A run against its log.

    `shares` are by name (docs/before-you-ship.md): intent, answer, particulars, handoff_right, handoff_late,
    handoff_early, handoff_needless, asked_known, unanswered, alone (of conversations).
    `counts` are turns by action; `by_intent` maps a label to how many turns it had and how many of them were right.
    """

    conversations: int
    turns: int
    shares: Mapping[str, Share]
    similarity: float | None  # the mean over turns that were answered in words
    counts: Mapping[str, int]
    by_intent: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class TurnTiming:
    """How long a turn took, in milliseconds by stage, `total` included; its models may have run ahead in batches."""

    conversation: str
    number: int
    ms: Mapping[str, float]


@dataclass(frozen=True)
class RunTiming:
    """When a run was made and how long it took: seconds, turns a second, milliseconds a turn."""

    started_at: str
    finished_at: str
    seconds: float
    workers: int
    turns_per_s: float
    turn_p50_ms: float
    turn_p95_ms: float


@dataclass(frozen=True)
class Decided:
    """What one of two runs decided about a turn."""

    reply: str
    action: str
    intent: str
    confidence: float
    hand_off: bool
    right: bool | None


@dataclass(frozen=True)
class Difference:
    """A turn that two runs decided differently.

    `harm` is 3 for a handoff that is gone or a wrong answer where a right one was, down to -3 for the reverse. `causes`
    are the parts of which each, taken from the earlier run alone, brings its decision back; empty where no single one
    does.
    """

    conversation: str
    number: int
    kind: Change
    harm: int
    verdict: Verdict
    causes: tuple[Part, ...]
    text: str
    seen: str
    before: Decided
    after: Decided


@dataclass(frozen=True)
class Comparison:
    """What became different from an earlier run to a later one, over the turns that both have.

    `right_before` and `right_after` are shares of the `judged` turns. `difference` is the later less the earlier share,
    with its interval (95 %, paired bootstrap over conversations); `p_value` is McNemar's exact one. `kinds`, `harms`
    and `causes` count changed turns; the cause `several` stands for those without a single one. `parts` names what
    differs between the runs, as `[earlier, later]`. `look_at` are
    conversations, most harm first, each with the sum of its harm.
    """

    before: str
    after: str
    turns: int
    changed: int
    worse: int
    better: int
    neutral: int
    judged: int
    right_before: float | None
    right_after: float | None
    difference: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    kinds: Mapping[str, int]
    harms: Mapping[str, int]
    causes: Mapping[str, int]
    parts: Mapping[str, tuple[str, str]]
    look_at: tuple[tuple[str, int], ...]
    only_before: int = 0
    only_after: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateLine:
    """One limit of a gate: its name, what was measured, and a sentence for people."""

    limit: str
    value: float | None
    bound: float
    passed: bool
    sentence: str


@dataclass(frozen=True)
class GateResult:
    """Whether a run may ship."""

    passed: bool
    lines: tuple[GateLine, ...]


Value = TypeVar("Value")


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_dict(value: Any) -> dict[str, Any]:
    """Return one of the values above as plain values, ready for JSON."""
    return asdict(value)


def to_line(value: Any) -> bytes:
    """Return one of the values above as a line of JSON."""
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
    """Write one of the values above as a file, whole or not at all.

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
