"""What a run came to, at a glance: sentences and figures that a support lead understands, as plain values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bot.replay.report import words
from bot.replay.report.tally import Tally
from bot.replay.report.words import name_of, number, percent
from bot.replay.run_folder import (
    GATE,
    Comparison,
    Difference,
    GateLine,
    GateResult,
    Run,
    Scores,
    Share,
    read_value,
    to_dict,
)
from bot.replay.scores import share

_CHANCE = 0.05  # the p value from which on a difference may be chance
_VERDICTS = ("worse", "better", "same", "unknown")


def glance(run: Run, tally: Tally, against: Run | None, before: Tally | None) -> dict[str, Any]:
    """Return the figures of a run and what they say; `against` is the earlier run that it was compared with.

    Raises:
        RapportError: a file of the run is gone or damaged, or there is no such comparison.
    """
    scores, comparison = run.scores(), run.comparison(against.name) if against else None
    return {
        "run": run.name,
        "against": against.name if against else None,
        "log": to_dict(run.info.log),
        "mode": run.info.mode,
        "without": list(run.info.without),
        "parts": {name: part.name for name, part in run.info.parts.items()},
        "made_at": run.timing().finished_at,
        "sentences": list(_sentences(run, scores, tally, comparison)),
        "outcomes": {name: _share(tally.outcomes[name], tally.turns) for name in words.OUTCOMES},
        "outcomes_before": before and {name: _share(before.outcomes[name], before.turns) for name in words.OUTCOMES},
        "against_log": {name: _share(tally.against_log[name], tally.turns) for name in _VERDICTS},
        "shares": {name: to_dict(one) for name, one in scores.shares.items()},
        "shares_before": against and {name: to_dict(one) for name, one in against.scores().shares.items()},
        "memory": {
            "knowing": tally.knowing,
            "remembered": tally.remembered,
            "kinds": dict(sorted(tally.memories.items())),
            "sentences": list(_memory(run, tally, comparison)),
        },
        "comparison": comparison and to_dict(comparison),
        "comparison_sentences": list(_causes(comparison)) if comparison else [],
        "changes": _changed(run.differences(against.name)) if against else {},
        "gate": _gate(run),
        "timing": to_dict(run.timing()),
    }


def compared_with(run: Run) -> dict[str, Any]:
    """Return all comparisons of a run, by the other run's name."""
    return {name: to_dict(run.comparison(name)) for name in run.comparisons()}


def _sentences(run: Run, scores: Scores, tally: Tally, comparison: Comparison | None) -> Iterator[str]:
    if comparison:
        yield from _changes(comparison)
    what = {name: percent(tally.outcomes[name] / max(tally.turns, 1)) for name in words.OUTCOMES}
    yield (
        f"Of {number(tally.turns)} customer messages in {number(scores.conversations)} conversations, the bot would "
        f"have answered {what['answered']}, taken note of {what['noted']} (thanks, a detail), asked back on "
        f"{what['asked']}, handed over {what['handed_over']} and not helped with {what['not_helped']}."
    )
    right, alone = scores.shares["answer"], scores.shares["alone"]
    if right.share is not None:
        yield (
            f"For {number(right.of)} of the messages the log shows what was right; the bot did that for "
            f"{percent(right.share)} of them ({_interval(right)})."
        )
    if alone.share is not None:
        count = round(alone.share * alone.of)
        yield (
            f"It could have resolved {number(count)} of {number(alone.of)} conversations without a colleague: "
            f"{percent(alone.share)} ({_interval(alone)})."
        )
    if run.info.mode == "live":
        yield (
            "The bot's own replies were taken as what the customers read. From the first reply that differs on, the "
            "customers' next messages answer something that was never said; those conversations are marked."
        )


def _changes(comparison: Comparison) -> Iterator[str]:
    if not comparison.turns:
        yield "Nothing can be compared: the earlier run has no message in common with this one."
        return
    if not comparison.changed:
        yield f"Nothing would change for customers: all {number(comparison.turns)} messages get the same as before."
        return
    changed = percent(comparison.changed / max(comparison.turns, 1))
    yield (
        f"{number(comparison.changed)} of {number(comparison.turns)} messages ({changed}) get something else than "
        f"before: {number(comparison.worse)} worse, {number(comparison.better)} better, "
        f"{number(comparison.neutral)} neither."
    )
    if comparison.difference is None or comparison.right_before is None or comparison.right_after is None:
        return
    chance = comparison.p_value is None or comparison.p_value >= _CHANCE
    between = ""
    if comparison.interval:
        low, high = (100 * value for value in comparison.interval)
        between = f"; between {low:+.1f} and {high:+.1f} points with 95 % confidence"
    yield (
        f"Where the log shows what was right, {percent(comparison.right_before)} were right before and "
        f"{percent(comparison.right_after)} are now ({100 * comparison.difference:+.1f} points{between}). "
        + ("That may be chance." if chance else "That is more than chance.")
    )


def _changed(differences: Iterable[Difference]) -> dict[str, dict[int, int]]:
    """Return how many messages became different, by kind and by harm, the commonest kind first."""
    kinds: dict[str, Counter[int]] = defaultdict(Counter)
    for one in differences:
        kinds[one.kind][one.harm] += 1
    common = sorted(kinds.items(), key=lambda item: (-item[1].total(), item[0]))
    return {kind: dict(sorted(harms.items(), reverse=True)) for kind, harms in common}


def _causes(comparison: Comparison) -> Iterator[str]:
    """Say what the changes come from."""
    for part, (earlier, later) in comparison.parts.items():
        where = f": {earlier} before, {later} now" if earlier != later else ""
        yield f"What differs between the runs is {name_of(words.PARTS, part)}{where}."
    explained = {name: count for name, count in comparison.causes.items() if name in words.PARTS and count}
    for part, count in sorted(explained.items(), key=lambda one: -one[1]):
        many = "All" if count == comparison.changed else number(count)
        yield f"{many} of the changes come from {words.PARTS[part]} alone."
    if several := comparison.causes.get("several", 0):
        yield f"{number(several)} of the changes have no single cause."
    if unknown := comparison.causes.get("unknown", 0):
        yield f"For {number(unknown)} of the changes no cause could be looked for."
    yield from comparison.notes


def _memory(run: Run, tally: Tally, comparison: Comparison | None) -> Iterator[str]:
    if not tally.turns:
        return
    known = percent(tally.knowing / tally.turns)
    yield (
        f"Before {number(tally.knowing)} messages ({known}) the bot knew something about the customer; "
        f"{number(tally.remembered)} replies are made of it."
    )
    if not run.info.without:
        return
    off = " and ".join(run.info.without)
    if comparison is None:
        yield f"This run did without {off}. Compare it with a run that has all its memory to see what {off} did."
    else:
        yield (
            f"This run did without {off}: {number(comparison.worse)} messages became worse without it and "
            f"{number(comparison.better)} better; {number(comparison.causes.get('memory', 0))} changed because of it."
        )


def _gate(run: Run) -> dict[str, Any] | None:
    file = run.folder / GATE
    if not file.is_file():
        return None
    result = read_value(GateResult, file)
    return {"passed": result.passed, "lines": [{**vars(line), "sentence": _limit(line)} for line in result.lines]}


def _limit(line: GateLine) -> str:
    """Say what was measured, and what the limit is."""
    shown = percent if line.limit.endswith("_share") else lambda value: f"{value:,.4g}"
    unknown = "the log does not tell" if line.passed else "the runs have no such messages in common"
    found = unknown if line.value is None else shown(line.value)
    bound = f"at {'least' if line.limit in words.AT_LEAST else 'most'} {shown(line.bound)}"
    return f"{name_of(words.LIMITS, line.limit)}: {found} ({bound})"


def _share(count: int, of: int) -> dict[str, Any]:
    return {"count": count, **to_dict(share(count, of))}


def _interval(one: Share) -> str:
    return f"{percent(one.low or 0)} to {percent(one.high or 0)} with 95 % confidence"


def interval(one: Mapping[str, Any]) -> str:
    """Return the interval of a share, for people."""
    return f"{percent(one['low'])} to {percent(one['high'])}" if one["low"] is not None else ""
