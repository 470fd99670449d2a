"""Probabilities that mean what they say, and thresholds solved from held-out messages."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, log_expit, log_softmax

from finetune.head import to_probabilities

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Counts = int | NDArray[np.integer]
Targets = NDArray[Any]  # class numbers (n,), or 0 and 1 for each class (n, classes) where a message may have several

# An intent is worth offering from this probability on, and the offer is made where what is offered is this likely.
CLARIFY_EACH = 0.1
CLARIFY_TOGETHER = 0.5
LEVEL = 0.9  # how sure a bound on the share of wrong answers is


@dataclass(frozen=True)
class AnswerThreshold:
    """From which confidence on an answer may be given, and what is known about the answers then given.

    `bounded` says whether, with a confidence of 90%, at most the tolerated share of them is wrong. `bound` is the upper
    bound on that share and `wrong` the share seen; `answered` is the share of the `held_out` messages that reach the
    threshold.
    """

    threshold: float
    bounded: bool
    bound: float
    wrong: float
    answered: float
    held_out: int


@dataclass(frozen=True)
class Limits:
    """What thresholds are solved for: how many answers may be wrong, and in-scope messages turned away, fractions of 1.

    Classes that are marked `(classes,)` as interchangeable may be taken for each other: that is no wrong answer.
    """

    max_wrong: float
    max_turned_away: float
    interchangeable: Bools | None = None


@dataclass(frozen=True)
class Solved:
    """What is solved on held-out messages: the temperature, and the thresholds for answering and for being in scope."""

    temperature: float
    answer: AnswerThreshold
    in_scope: float


@dataclass(frozen=True)
class CrossFitted:
    """Held-out rows, each judged by what was solved on the half it is not in.

    `probabilities` `(n, classes)` are calibrated; both thresholds have shape `(n,)`.
    """

    probabilities: Floats
    answer_threshold: Floats
    in_scope_threshold: Floats


@dataclass(frozen=True)
class Outcomes:
    """What the bot would do with each of n messages; every message has exactly one of the three."""

    answered: Bools
    clarified: Bools
    handed_over: Bools

    def shares(self) -> dict[str, float]:
        """Return the share of each, as fractions of 1; 0 where there is no message."""
        return {name: float(mask.mean()) if len(mask) else 0.0 for name, mask in vars(self).items()}


def solve(logits: Floats, targets: Targets, scores: Floats, limits: Limits) -> Solved:
    """Return temperature and thresholds for held-out in-scope messages.

    `logits` and `targets` are as for `fit_temperature`, `scores` `(n,)` are in-scope scores. The answer threshold is
    solved on the messages that count as in scope: only they are answered.
    """
    temperature = fit_temperature(logits, targets)
    probabilities = to_probabilities(logits, temperature, several=targets.ndim == 2)
    in_scope = in_scope_threshold(scores, limits.max_turned_away)
    kept = scores >= in_scope
    correct = best_is_right(probabilities, targets, limits.interchangeable)
    answer = answer_threshold(probabilities.max(axis=1)[kept], correct[kept], limits.max_wrong)
    return Solved(temperature, answer, in_scope)


def halves(logits: Floats, targets: Targets, scores: Floats, limits: Limits, seed: int = 0) -> CrossFitted:
    """Judge held-out messages by what is solved on others: on one half for the other, both ways.

    The arguments are those of `solve`. Each class is shared out evenly between the halves.

    Raises:
        ValueError: there are fewer than 2 messages.
    """
    if len(logits) < 2:
        raise ValueError(f"{len(logits)} held-out messages cannot be halved; it takes at least 2")
    classes = targets if targets.ndim == 1 else targets.argmax(axis=1)
    order = np.lexsort((np.random.default_rng(seed).random(len(classes)), classes))
    probabilities = np.zeros(logits.shape)
    thresholds = np.zeros((2, len(logits)))
    for measured, other in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        solved = solve(logits[other], targets[other], scores[other], limits)
        probabilities[measured] = to_probabilities(logits[measured], solved.temperature, several=targets.ndim == 2)
        thresholds[:, measured] = [[solved.answer.threshold], [solved.in_scope]]
    return CrossFitted(probabilities, *thresholds)


def fit_temperature(logits: Floats, targets: Targets) -> float:
    """Return the temperature that makes the targets most likely on held-out rows.

    `logits` has shape `(n, classes)`. Probabilities are a softmax for targets `(n,)`, sigmoids for targets
    `(n, classes)`. Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    from scipy.optimize import minimize_scalar  # serving takes constants from here, but never an optimiser

    rows = np.arange(len(targets))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        if targets.ndim == 2:
            return -float(np.where(targets == 1, log_expit(scaled), log_expit(-scaled)).mean())
        return -float(log_softmax(scaled, axis=1)[rows, targets].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def best_is_right(probabilities: Floats, targets: Targets, interchangeable: Bools | None = None) -> Bools:
    """Return for each row `(n,)` whether its likeliest class is the target, or one of the targets.

    Among classes that are marked `(classes,)` as interchangeable, any will do for any other.
    """
    best = probabilities.argmax(axis=1)
    right: Bools = best == targets if targets.ndim == 1 else targets[np.arange(len(best)), best] == 1
    if interchangeable is not None:
        wanted = interchangeable[targets] if targets.ndim == 1 else (targets[:, interchangeable] == 1).any(axis=1)
        right = right | (interchangeable[best] & wanted)
    return right


def answer_threshold(confidences: Floats, correct: Bools, max_wrong: float) -> AnswerThreshold:
    """Return the lowest confidence from which on at most `max_wrong` of the answers are wrong.

    Both arrays have shape `(n,)` and come from held-out messages. Thresholds are walked from the surest messages down,
    `checkpoints` by `checkpoints`, for as long as the upper bound on the share of wrong answers stays within
    `max_wrong`: fixed-sequence testing, which costs no confidence for trying many thresholds. It is exact where being
    less sure means being wrong more often. Source: Angelopoulos et al., "Learn then Test", 2021.

    Where that walk cannot take its first step, the threshold is the lowest at which at most `max_wrong` of these very
    messages would be answered wrongly, or else the highest confidence seen, and `bounded` is False.

    Raises:
        ValueError: there is no message.
    """
    if not len(confidences):
        raise ValueError("there are no held-out messages to solve the answer threshold on")
    order = np.argsort(-confidences, kind="stable")
    # Messages of equal confidence are answered together or not at all.
    counts = np.flatnonzero(np.append(np.diff(confidences[order]) != 0, True)) + 1
    wrong = np.cumsum(~correct[order], dtype=np.int64)[counts - 1]
    bounds = upper_bound(wrong, counts)
    walk = np.unique(np.searchsorted(counts, checkpoints(len(order), max_wrong)))
    passed = walk[np.cumprod(bounds[walk] <= max_wrong, dtype=bool)]
    within = passed if len(passed) else np.flatnonzero(wrong / counts <= max_wrong)
    place = within[-1] if len(within) else 0
    return AnswerThreshold(
        threshold=float(confidences[order[counts[place] - 1]]),
        bounded=len(passed) > 0,
        bound=float(bounds[place]),
        wrong=float(wrong[place] / counts[place]),
        answered=float(counts[place] / len(order)),
        held_out=len(order),
    )


def checkpoints(messages: int, max_wrong: float, level: float = LEVEL) -> list[int]:
    """Return the numbers of answers that are the first to let the bound hold with 0, 1, 2, ... of them wrong; then all.

    In between, a bound that holds is no easier to reach, and each look there could end the walk for a single mistake.
    """
    looks: list[int] = []

    def holds(answers: int) -> bool:
        return bool(upper_bound(len(looks), answers, level) <= max_wrong)

    # With so many wrong, the bound falls with every further answer.
    while (first := bisect_left(range(messages + 1), True, key=holds)) <= messages:
        looks.append(first)
    return [*looks, messages] if looks and looks[-1] < messages else looks


def upper_bound(wrong: Counts, answers: Counts, level: float = LEVEL) -> Floats:
    """Return the exact one-sided upper bound on the share of wrong answers, for counts of wrong ones and of all.

    Source: Clopper and Pearson, "The use of confidence or fiducial limits", Biometrika 1934.
    """
    bound: Floats = np.where(wrong < answers, betaincinv(wrong + 1, np.maximum(answers - wrong, 1), level), 1.0)
    return bound


def fewest_messages(max_wrong: float, level: float = LEVEL) -> int:
    """Return how many messages, all answered rightly, it takes to show that at most `max_wrong` are wrong."""
    return math.ceil(math.log(1 - level) / math.log1p(-max_wrong))


def in_scope_threshold(scores: Floats, max_turned_away: float) -> float:
    """Return a score that, with a confidence of 90%, at most `max_turned_away` of in-scope messages fall below.

    `scores` `(n,)` are of held-out in-scope messages. Where they are too few for any bound to hold, it is the score
    that at most this share of them falls below.
    """
    below = np.arange(len(scores))
    bounded = np.flatnonzero(upper_bound(below, np.full(len(scores), len(scores))) <= max_turned_away)
    if not len(bounded):
        return float(np.quantile(scores, max_turned_away, method="lower"))
    return float(np.sort(scores)[bounded[-1]])


def outcomes(probabilities: Floats, in_scope: Bools, threshold: float | Floats) -> Outcomes:
    """Return what the bot would do with messages; `probabilities` `(n, classes)`, `in_scope` and `threshold` `(n,)`.

    A message in scope is answered from the threshold on; below it, a choice is offered where up to three intents of at
    least `CLARIFY_EACH` have at least `CLARIFY_TOGETHER` together. Anything else is declined or handed over.
    """
    answered = in_scope & (probabilities.max(axis=1, initial=0.0) >= threshold)
    likeliest = -np.sort(-probabilities, axis=1)[:, :3]
    offered = np.where(likeliest >= CLARIFY_EACH, likeliest, 0.0).sum(axis=1)
    clarified = in_scope & ~answered & (offered >= CLARIFY_TOGETHER)
    return Outcomes(answered, clarified, ~answered & ~clarified)


def reliability(confidences: Floats, correct: Bools, bins: int = 15) -> list[tuple[float, float, float]]:
    """Return (mean confidence, accuracy, share of all messages) of each equal-width bin of confidence with messages."""
    bin_of = np.minimum((confidences * bins).astype(int), bins - 1)
    masks = [bin_of == one for one in np.unique(bin_of)]
    return [(float(confidences[mask].mean()), float(correct[mask].mean()), float(mask.mean())) for mask in masks]


def expected_calibration_error(confidences: Floats, correct: Bools, bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins, 0 (best) to 1; arrays `(n,)`."""
    return float(sum(abs(sure - right) * share for sure, right, share in reliability(confidences, correct, bins)))
