"""The values in the files of a run (`bot.replay.run_folder` says which are where)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["customer", "agent", "bot"]
MemoryKind = Literal["turn", "fact", "promise", "summary"]
Part = Literal["desk", "classifier", "thresholds", "memory", "retrieval", "code"]
Verdict = Literal["worse", "better", "neutral"]
Change = Literal[
    "handoff_lost",  # it handed over, and now does not, nor gives the right answer instead
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

    `id` is `CONVERSATION#NUMBER` of a turn, of a summary's last one, or a fact's name.
    """

    kind: MemoryKind
    id: str
    at: str
    why: str
    used: bool


@dataclass(frozen=True)
class TurnScore:
    """A turn against its log. What the log does not tell is None, and what does not apply.

    `intent`: whether the likeliest intent is the label. `answer`: whether the bot served what the log says was right:
    the approved answer that the agent's message names, or the message's intent. `similarity`: the cosine of the two
    replies, where the agent's names no approved answer.
    `kept` of the `particulars` (numbers, dates, names, amounts) in the agent's words are in the bot's.
    `handoff`: whether handing over, or not, was right, or how it was wrong.
    `asked_known`: it asked for what the customer had said before. `promised`, `agent_promised`: the bot's reply, the
    agent's words hold what memory keeps as a promise. `unanswered`: it neither answered nor asked.
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
    also: tuple[str, ...] = ()  # other intents that the reply serves
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
    handoff_early, handoff_needless, asked_known, promise_made, promise_new, unanswered, alone (of conversations).
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

    `harm` is 3 for a right handoff that is gone or a wrong answer where a right one was, down to -3 for the reverse.
    `causes` are the parts of which each, taken from the earlier run alone, brings its decision back; empty where no
    single one does.
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
    and `causes` count changed turns; the cause `several` stands for those without a single one, `unknown` for those
    whose cause could not be looked for. `parts` names what differs between the runs, as `[earlier, later]`. `look_at`
    are conversations, most harm first, each with the sum of its harm. `answered` counts the turns that the earlier run
    answered, `answered_worse` those of them that became worse.
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
    answered: int = 0
    answered_worse: int = 0


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
