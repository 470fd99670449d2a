"""Comparing two runs of a log: which turns became different, whether that is better or worse, and whether by chance."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bot.replay import shelf
from bot.replay.run_folder import (
    COMPARISON,
    COMPARISONS,
    DIFFERENCES,
    Change,
    Comparison,
    Decided,
    Difference,
    Part,
    PartInfo,
    Run,
    TurnRecord,
    Verdict,
    to_line,
    write_value,
)

Floats = NDArray[np.floating]
ANSWERS = frozenset({"answer", "look_up", "quote", "recap", "forget"})
_QUESTIONS = frozenset({"ask", "confirm", "clarify"})
_WRONG_TIMES = ("late", "early", "needless")
_CLOSER = 0.1  # by how much a reply's cosine to the agent's must change to count, where no label tells
_RESAMPLES = 2000
_LOOK_AT = 50  # conversations named as worth a look


@dataclass
class Pairing:
    """The turns of two runs side by side: those that differ, and per conversation how many were right in each.

    `answered` counts the turns that the earlier run answered.
    `judged` holds `(turns, right before, right after)` of each conversation, over turns that the log can judge in both.
    """

    turns: int = 0
    answered: int = 0
    differences: list[Difference] = field(default_factory=list)
    judged: list[tuple[int, int, int]] = field(default_factory=list)
    lost: int = 0
    won: int = 0
    only_before: int = 0
    only_after: int = 0


def pair(before: Run, after: Run) -> Pairing:
    """Return the turns of two runs side by side, one conversation of each in memory at a time."""
    pairing = Pairing()
    earlier = {one.conversation: one for one in before.conversations()}
    for conversation in after.conversations():
        old = earlier.pop(conversation.conversation, None)
        if old is None:
            pairing.only_after += conversation.turns
            continue
        _add(pairing, before.turns_of(old), after.turns_of(conversation))
    pairing.only_before += sum(one.turns for one in earlier.values())
    pairing.differences.sort(key=lambda one: (-one.harm, one.conversation, one.number))
    return pairing


def _add(pairing: Pairing, before: Sequence[TurnRecord], after: Sequence[TurnRecord]) -> None:
    both = list(zip(before, after, strict=False))
    pairing.turns += len(both)
    pairing.answered += sum(old.action in ANSWERS for old, _ in both)
    pairing.only_before += len(before) - len(both)
    pairing.only_after += len(after) - len(both)
    rights = [(old.score.answer, new.score.answer) for old, new in both]
    judged = [(old, new) for old, new in rights if old is not None and new is not None]
    pairing.judged.append((len(judged), sum(old for old, _ in judged), sum(new for _, new in judged)))
    pairing.lost += sum(old and not new for old, new in judged)
    pairing.won += sum(new and not old for old, new in judged)
    pairing.differences += [one for old, new in both if (one := difference(old, new)) is not None]


def difference(before: TurnRecord, after: TurnRecord) -> Difference | None:
    """Return how a turn became different, None where it did not."""
    if decision(before) == decision(after):
        return None
    kind = _kind(before, after)
    harm = _harm(before, after, kind)
    verdict: Verdict = "worse" if harm > 0 else "better" if harm < 0 else "neutral"
    return Difference(
        after.conversation,
        after.number,
        kind,
        harm,
        verdict,
        (),
        after.text,
        after.said,
        _decided(before),
        _decided(after),
    )


def decision(record: TurnRecord) -> tuple[str, str, str, bool]:
    """Return what counts of a decision: whether a customer would notice that it is another one."""
    return record.action, record.intent, record.reply, record.hand_off


def _decided(record: TurnRecord) -> Decided:
    return Decided(record.reply, record.action, record.intent, record.confidence, record.hand_off, record.score.answer)


def _kind(before: TurnRecord, after: TurnRecord) -> Change:
    if before.hand_off and not after.hand_off and not _replaced(before, after):
        return "handoff_lost"
    if after.hand_off and not before.hand_off and not _replaced(after, before):
        return "handoff_new"
    answered = before.action in ANSWERS, after.action in ANSWERS
    if answered == (True, False):
        return "answer_lost"
    if answered == (False, True):
        return "answer_new"
    if before.action in _QUESTIONS or after.action in _QUESTIONS:
        return "question"
    if "recap" in (before.action, after.action):
        return "memory"
    if before.action == after.action == "quote":
        return "quote"
    if before.intent != after.intent:
        return "answer" if all(answered) else "other"
    outcomes = before.wording.partition("#")[0], after.wording.partition("#")[0]
    if before.action == after.action == "look_up" and outcomes[0] != outcomes[1]:
        return "look_up"
    return "wording" if before.action == after.action else "other"


def _replaced(handed_over: TurnRecord, other: TurnRecord) -> bool:
    """Return whether the other run needs no handoff here: it gives the right answer, or a colleague has taken over."""
    instead = other.score.answer is True and other.score.handoff is None and not handed_over.score.answer
    return instead or other.handed_over


def _harm(before: TurnRecord, after: TurnRecord, kind: Change) -> int:
    """Return from 3 (a handoff gone, a wrong answer for a right one) over 0 to -3 how much worse a turn became."""
    was, now = before.score.handoff, after.score.handoff
    if was == "right" and now in _WRONG_TIMES:
        return 3
    if now == "right" and was in _WRONG_TIMES:
        return -3
    old, new = before.score.answer, after.score.answer
    if old and new is False:
        return 3 if after.action in ANSWERS else 2
    if new and old is False:
        return -3 if before.action in ANSWERS else -2
    if (was in _WRONG_TIMES) != (now in _WRONG_TIMES):
        return 1 if now in _WRONG_TIMES else -1
    if kind in ("answer_lost", "answer_new") and old is None:
        return 1 if kind == "answer_lost" else -1
    if kind == "memory" and bool(before.sources) != bool(after.sources):
        return 1 if before.sources else -1
    if after.score.asked_known != before.score.asked_known:
        return 1 if after.score.asked_known else -1
    kept = after.score.kept - before.score.kept
    near = (after.score.similarity or 0.0) - (before.score.similarity or 0.0)
    known = None not in (after.score.similarity, before.score.similarity)
    if kept or (known and abs(near) >= _CLOSER):
        return -1 if (kept or near) > 0 else 1
    return 0


def summed_up(
    pairing: Pairing,
    differences: Sequence[Difference],
    before: Run,
    after: Run,
    notes: Sequence[str] = (),
    sought: Collection[tuple[str, int]] = (),
) -> Comparison:
    """Return the figures of a comparison; `sought` are the turns for which a cause was looked for."""
    judged = np.array([one for one in pairing.judged if one[0]], dtype=float).reshape(-1, 3)  # (conversations, 3)
    total = int(judged[:, 0].sum())
    right = judged[:, 1:].sum(axis=0) / total if total else None
    harm: Counter[str] = Counter()
    for one in differences:
        harm[one.conversation] += one.harm
    worst = sorted((item for item in harm.items() if item[1] > 0), key=lambda item: (-item[1], item[0]))
    verdicts = Counter(one.verdict for one in differences)
    return Comparison(
        before=before.name,
        after=after.name,
        turns=pairing.turns,
        changed=len(differences),
        worse=verdicts["worse"],
        better=verdicts["better"],
        neutral=verdicts["neutral"],
        judged=total,
        right_before=round(float(right[0]), 4) if right is not None else None,
        right_after=round(float(right[1]), 4) if right is not None else None,
        difference=round(float(right[1] - right[0]), 4) if right is not None else None,
        interval=_interval(judged) if total else None,
        p_value=_mcnemar(pairing.lost, pairing.won) if total else None,
        kinds=_counts(one.kind for one in differences),
        harms=_counts(str(one.harm) for one in differences),
        causes=_counts(cause for one in differences for cause in one.causes or (_no_cause(one, sought),)),
        parts={name: (old.name, new.name) for name, old, new in differing(before, after)},
        look_at=tuple(worst[:_LOOK_AT]),
        only_before=pairing.only_before,
        only_after=pairing.only_after,
        notes=(*notes, *_left_out(pairing, before)),
        answered=pairing.answered,
        answered_worse=sum(one.verdict == "worse" and one.before.action in ANSWERS for one in differences),
    )


def _no_cause(one: Difference, sought: Collection[tuple[str, int]]) -> str:
    return "several" if (one.conversation, one.number) in sought else "unknown"


def _left_out(pairing: Pairing, before: Run) -> Iterator[str]:
    """Say how many turns are in one of the runs alone."""
    if pairing.only_before or pairing.only_after:
        alone = f"{pairing.only_before} turns are in {before.name} alone and {pairing.only_after} in this run alone"
        yield f"{alone}: they are not compared."


def differing(before: Run, after: Run) -> Iterator[tuple[Part, PartInfo, PartInfo]]:
    """Yield the parts that are not the same in two runs, each with how it was and is."""
    for name, old in before.info.parts.items():
        if (new := after.info.parts[name]).hash != old.hash:
            yield name, old, new


def _interval(judged: Floats) -> tuple[float, float]:
    """Return the interval of 95 % of how much the share of right turns has grown.

    A paired bootstrap: conversations `(n, 3)` are drawn again and again as wholes, since their turns hang together.
    """
    draw = np.random.default_rng(0)
    grown = np.empty(_RESAMPLES)
    for place in range(_RESAMPLES):
        turns, before, after = judged[draw.integers(len(judged), size=len(judged))].sum(axis=0)
        grown[place] = (after - before) / turns
    low, high = np.percentile(grown, (2.5, 97.5))
    return round(float(low), 4), round(float(high), 4)


def _mcnemar(lost: int, won: int) -> float:
    """Return how likely it is by chance that so unequally many right turns were lost and won: McNemar's exact test."""
    from scipy.stats import binomtest  # loads for half a second, which no other command should wait for

    return round(float(binomtest(lost, lost + won).pvalue), 6) if lost + won else 1.0


def _counts(names: Iterable[str]) -> Mapping[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda one: (-one[1], one[0])))


def keep(after: Run, comparison: Comparison, differences: Sequence[Difference]) -> None:
    """Write a comparison into the folder of the later run, in the place of an older one.

    What the run does not hold any more, since it was forgotten meanwhile, is left out.

    Raises:
        OSError: it cannot be written.
    """
    folder = after.folder / COMPARISONS / comparison.before
    draft = folder.with_name(f".{folder.name}.draft")
    with shelf.lock(after.folder):
        held = {one.conversation for one in after.conversations()}
        look_at = tuple(item for item in comparison.look_at if item[0] in held)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        (draft / DIFFERENCES).write_bytes(b"".join(to_line(one) for one in differences if one.conversation in held))
        write_value(draft / COMPARISON, replace(comparison, look_at=look_at))
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
