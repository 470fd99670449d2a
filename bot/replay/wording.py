"""What a run and a comparison say, in sentences for a terminal."""

from __future__ import annotations

from bot.replay.report.words import SHARES
from bot.replay.run_folder import Comparison, Scores


def scored(scores: Scores) -> list[str]:
    """Return the figures of a run."""
    lines = [f"{scores.conversations} conversations, {scores.turns} turns."]
    for name, sentence in SHARES.items():
        one = scores.shares.get(name)  # None in runs from before there was such a share
        if one and one.share is not None and one.low is not None and one.high is not None:
            interval = f"{100 * one.low:.0f} to {100 * one.high:.0f} %"
            lines.append(f"{100 * one.share:5.1f} % {sentence} (of {one.of}; {interval}).")
    return lines


def compared(comparison: Comparison) -> list[str]:
    """Return what a comparison found, the most important first."""
    one = comparison
    if not one.turns:
        return [f"Nothing can be compared: {one.before} has no turn in common with this run.", *one.notes]
    lines = [f"Beside {one.before}: {one.changed} of {one.turns} turns are different."]
    if one.changed:
        lines.append(f"{one.worse} are worse, {one.better} better, {one.neutral} neither.")
    if one.difference is not None and one.interval is not None and one.p_value is not None:
        low, high = one.interval
        chance = "more than chance" if one.p_value < 0.05 else "perhaps chance"
        lines.append(
            f"Right: {100 * (one.right_before or 0):.1f} % before, {100 * (one.right_after or 0):.1f} % now "
            f"(difference {100 * low:+.1f} to {100 * high:+.1f} points, p = {one.p_value:.3g}: {chance})."
        )
    if one.parts:
        parts = "; ".join(f"{name}: {old} -> {new}" if old != new else name for name, (old, new) in one.parts.items())
        lines.append(f"What differs: {parts}.")
    if one.causes:
        lines.append(f"Why: {', '.join(f'{name} {count}' for name, count in one.causes.items())}.")
    if one.kinds:
        lines.append(f"How: {', '.join(f'{name} {count}' for name, count in one.kinds.items())}.")
    if one.harms:
        sizes = sorted(one.harms.items(), key=lambda item: -int(item[0]))
        lines.append(f"Harm, from 3 (worst) to -3: {', '.join(f'{count} at {harm}' for harm, count in sizes)}.")
    if one.look_at:
        lines.append(f"Look first at: {', '.join(name for name, _ in one.look_at[:8])}.")
    return [*lines, *one.notes]
