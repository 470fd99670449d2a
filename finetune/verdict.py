"""What the figures of a report mean, in sentences for whoever is answerable for the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_RISE = 0.005  # of accuracy over the last fifth of the messages, from which on more messages look worthwhile


def verdict(report: Mapping[str, Any]) -> list[str]:
    """Return what a support lead should know first about a report, most important sentence first."""
    figures, data = report["figures"], report["data"]
    if figures is None:
        return [
            f"Nothing is known yet about how good it is: {_messages(data['training_messages'])} were learnt from, and "
            "too few were left to measure on. Add messages, or a test file, and train again.",
            promise(report["thresholds"]),
        ]
    sentences = [_outcomes(figures), promise(report["thresholds"]), _scope(figures), _basis(report)]
    return [*sentences, *_advice(report)]


def of_hundred(shares: Sequence[float]) -> list[int]:
    """Return shares that sum to 1 as whole numbers that sum to 100, each next to its share."""
    whole = [math.floor(100 * share) for share in shares]
    rest = sorted(range(len(shares)), key=lambda place: whole[place] - 100 * shares[place])
    for place in rest[: 100 - sum(whole)]:
        whole[place] += 1
    return whole


def percent(share: float) -> str:
    """Return a share in per cent, below 10 with a decimal where it has one."""
    return f"{100 * share:.0f}%" if share >= 0.0995 else f"{round(100 * share, 1):g}%"


def _outcomes(figures: Mapping[str, Any]) -> str:
    answered, clarified, handed_over = of_hundred([figures[key] for key in ("answered", "clarified", "handed_over")])
    answers = f"{answered} by itself, {_wrong(figures)} wrongly" if figures["answered"] else "none by itself"
    return (
        f"Of 100 messages it would answer {answers}; for {clarified} it would offer a choice of intents, and "
        f"{handed_over} it would decline or hand over."
    )


def _wrong(figures: Mapping[str, Any]) -> str:
    wrong = 100 * figures["answered"] * figures["wrong_of_answered"]
    if wrong == 0:
        return "none of them"
    return "fewer than 1 of them" if wrong < 0.5 else f"about {wrong:.0f} of them"


def promise(thresholds: Mapping[str, Any], noun: str = "message") -> str:
    """Return what the answer threshold guarantees, or why it guarantees nothing."""
    most, count = percent(thresholds["max_wrong_answers"]), _count(thresholds["solved_on"], noun)
    if thresholds["bounded"]:
        bound = percent(thresholds["wrong_answers_bound"])
        return (
            f"The target of at most {most} wrong answers is met, with a confidence of 90%: judged by {count} held out "
            f"from training, no more than {bound} of its answers to what the desk handles are wrong{_but(thresholds)}."
        )
    why = f"it takes at least {thresholds['fewest_messages']}"
    if thresholds["solved_on"] >= thresholds["fewest_messages"]:
        why = "there were mistakes even among those it was surest of"
    seen = percent(thresholds["wrong_answers_seen"]) if thresholds["wrong_answers_seen"] else "none"
    return (
        f"The target of at most {most} wrong answers cannot be promised by the {count} held out from training: {why}. "
        f"Of those that it answers by the threshold solved on all of them, {seen} were answered wrongly."
    )


def _but(thresholds: Mapping[str, Any]) -> str:
    if not (harmless := thresholds.get("interchangeable")):
        return ""
    return f" (taking one of {', '.join(harmless)} for another of them does not count)"


def _scope(figures: Mapping[str, Any]) -> str:
    turned_away = round(100 * (1 - figures["in_scope_kept"]))
    if "out_of_scope_caught" not in figures:
        return (
            f"Of 100 messages that the desk handles it would turn away {turned_away} as out of scope. How many others "
            "it would recognise is not known: there were no out-of-scope messages to measure on."
        )
    return (
        f"Of 100 messages that the desk does not handle it would recognise {100 * figures['out_of_scope_caught']:.0f}; "
        f"of 100 that it does handle it would turn away {turned_away}."
    )


def _basis(report: Mapping[str, Any]) -> str:
    figures = report["figures"]
    low, high = figures["accuracy_interval"]
    count = _messages(figures["messages"])
    if report["figures_from"] == "test":
        twins = "some of which it learnt in the same or nearly the same words"
        met = twins if report["duplicates_found"] else "none of which it learnt from"
        basis = f"This was measured on the {count} of the test file, {met}."
    else:
        basis = (
            f"This was measured on {count} held out from training: thresholds were solved on one half and measured on "
            "the other, both ways. A test file would tell more."
        )
    return (
        f"{basis} Its likeliest intent was right for {percent(figures['accuracy'])} of them; the true share "
        f"lies between {percent(low)} and {percent(high)}, with a confidence of 95%."
    )


def _advice(report: Mapping[str, Any]) -> list[str]:
    """Return what to do next: labels to look at, messages to add, messages to take out of the test file."""
    advice = []
    curve = report["learning_curve"]
    if len(curve) > 1 and curve[-1]["accuracy"] - curve[-2]["accuracy"] >= _RISE:
        advice.append("More messages would still help: the learning curve is rising.")
    if count := report["suspected_label_errors_found"]:
        advice.append(f"{_messages(count)} may be labelled wrongly; those to look at first are listed below.")
    if count := report["contradictions_found"]:
        stand = "stands" if count == 1 else "stand"
        advice.append(f"{_messages(count)} {stand} there with different labels; keep the one that is right.")
    if count := report["duplicates_found"]:
        advice.append(
            f"{count} of the messages measured on {'has' if count == 1 else 'have'} a twin among those learnt from, "
            "which flatters the figures."
        )
    return advice


def _messages(count: float) -> str:
    return _count(count, "message")


def _count(count: float, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count:,.0f} {noun}s"
