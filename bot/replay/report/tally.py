"""Tally: what the turns of a run came to, counted in one pass, and which conversations are most worth a look."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bot.replay.comparison import ANSWERS
from bot.replay.run_folder import ConversationRecord, Run, TurnRecord

Outcome = Literal["answered", "noted", "asked", "handed_over", "not_helped"]
Against = Literal["better", "same", "worse", "unknown"]
_ASKS = frozenset({"ask", "confirm", "clarify"})
_HELPLESS = frozenset({"not_understood", "out_of_scope", "failed", "too_long", "empty", "not_text"})
_SAME = 0.95  # the cosine of two replies from which on they say the same
_WEIGHTS: Mapping[str, int] = {"late": 3, "early": 1, "needless": 1}


@dataclass
class Tally:
    """Counts of a run's turns: by outcome, by action, against the log, and by the kind of memory that replies used.

    `remembered` counts turns whose reply is made of memory, `knowing` those before which anything was known. `worth`
    are the conversations most worth a look, the first one most.
    """

    turns: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    against_log: Counter[str] = field(default_factory=Counter)
    memories: Counter[str] = field(default_factory=Counter)
    remembered: int = 0
    knowing: int = 0
    worth: list[ConversationRecord] = field(default_factory=list)

    def add(self, turn: TurnRecord, log_handed_over: int) -> None:
        """Count a turn; `log_handed_over` is that of its conversation."""
        self.turns += 1
        self.outcomes[outcome(turn)] += 1
        self.actions["handoff" if turn.hand_off else turn.action] += 1
        self.against_log[against_log(turn, log_handed_over)] += 1
        used = {one.kind for one in turn.memories if one.used}
        self.memories.update(used)
        self.remembered += bool(used)
        self.knowing += bool(turn.memories)


def tally(run: Run, most: int = 0, harms: Mapping[str, int] | None = None) -> Tally:
    """Count the turns of a run, keeping the `most` conversations that are most worth a look.

    `harms` are those of a comparison: conversations with the harm done in them; they come first.
    """
    found = Tally()
    heap: list[tuple[tuple[bool, int, int, int], ConversationRecord]] = []
    for place, (conversation, turns) in enumerate(conversations(run)):
        worth = 0
        for turn in turns:
            found.add(turn, conversation.log_handed_over)
            worth += _worth(turn, conversation.log_handed_over)
        changed = (harms or {}).get(conversation.conversation)
        entry = ((changed is not None, changed or 0, worth, -place), conversation)
        if len(heap) < most:
            heapq.heappush(heap, entry)
        elif most:
            heapq.heappushpop(heap, entry)
    found.worth = [conversation for _, conversation in sorted(heap, key=lambda one: one[0], reverse=True)]
    return found


def conversations(run: Run) -> Iterator[tuple[ConversationRecord, list[TurnRecord]]]:
    """Yield each conversation of a run with its turns; both files have them in the same order."""
    turns = run.turns()
    for conversation in run.conversations():
        yield conversation, [next(turns) for _ in range(conversation.turns)]


def outcome(turn: TurnRecord) -> Outcome:
    """Return what a turn came to for the customer."""
    if turn.hand_off:
        return "handed_over"
    if turn.action in _ASKS:
        return "asked"
    if turn.failure or turn.action in _HELPLESS:
        return "not_helped"
    return "answered" if turn.action in ANSWERS else "noted"


def against_log(turn: TurnRecord, log_handed_over: int) -> Against:
    """Return whether a turn served its customer better or worse than the log, as far as the log can tell.

    Worse: something else than what the log says was right, a handoff at the wrong time, a question for what the
    customer had said, or no help with a message that somebody labelled. Better: what was right, where the
    log's bot gave up.
    """
    score = turn.score
    helpless = outcome(turn) == "not_helped" and turn.label is not None and bool(turn.seen)
    if score.answer is False or score.handoff in _WEIGHTS or score.asked_known or helpless:
        return "worse"
    if score.answer and not turn.hand_off and turn.number == log_handed_over:
        return "better"
    alike = score.similarity is not None and score.similarity >= _SAME
    return "same" if score.answer or score.handoff == "right" or alike else "unknown"


def _worth(turn: TurnRecord, log_handed_over: int) -> int:
    if against_log(turn, log_handed_over) != "worse":
        return 0
    return 1 + (outcome(turn) == "not_helped") + _WEIGHTS.get(turn.score.handoff or "", 0)
