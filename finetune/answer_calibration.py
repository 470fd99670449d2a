"""From an answer network's logits on held-out questions to probabilities, and to the threshold for saying one.

Answers are put in order by what the classifier and retrieval say together, by the very function that does so when
serving: the threshold is solved on the answers that would be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from finetune.calibration import AnswerThreshold, Bools, Floats, answer_threshold
from retrieval.hybrid import fuse


@dataclass(frozen=True)
class Judged:
    """Held-out questions: for each the logits of the answers that retrieval offers, which are `right`, its own scores.

    A right answer need not be among them; `answerable` `(n,)` says which questions have one at all, and `own` `(n,)` is
    the highest logit of a question's right answers, offered or not: minus infinity where it has none.
    """

    logits: Sequence[Floats]
    right: Sequence[Bools]
    found: Sequence[Floats]
    answerable: Bools
    own: Floats

    def only(self, rows: Sequence[int]) -> Judged:
        """Return some of the questions."""
        return Judged(
            [self.logits[row] for row in rows],
            [self.right[row] for row in rows],
            [self.found[row] for row in rows],
            self.answerable[list(rows)],
            self.own[list(rows)],
        )


@dataclass(frozen=True)
class Ranked:
    """Questions with their answers in order: the `scores` of each question's answers, by which the highest is first.

    Of the `first` one, by its place, it is known how probable it is that it fits, and whether it does: all `(n,)`.
    """

    scores: Sequence[Floats]
    first: Sequence[int]
    sure: Floats
    correct: Bools


@dataclass(frozen=True)
class SolvedAnswers:
    """A logit's probability is `expit(slope * logit + offset)`; an answer is said from the threshold on."""

    slope: float
    offset: float
    answer: AnswerThreshold


def rank(judged: Judged, slope: float | Floats, offset: float | Floats) -> Ranked:
    """Return answers in the order in which they are served, by a calibration for all questions or for each `(n,)`."""
    count = len(judged.logits)
    slopes, offsets = np.broadcast_to(slope, count), np.broadcast_to(offset, count)
    fits: list[Floats] = [expit(a * one + b) for a, b, one in zip(slopes, offsets, judged.logits, strict=True)]
    scores = [fuse(one, found) for one, found in zip(fits, judged.found, strict=True)]
    first = [int(one.argmax()) for one in scores]
    sure = np.array([one[place] for one, place in zip(fits, first, strict=True)])
    correct = np.array([own[place] for own, place in zip(judged.right, first, strict=True)], dtype=bool)
    return Ranked(scores, first, sure, correct)


def solve(judged: Judged, max_wrong: float) -> SolvedAnswers:
    """Return calibration and threshold for held-out questions.

    Slope and offset turn a logit into the probability that the answer fits (Platt, 1999), over all answers that
    retrieval offers. The threshold is solved on the first answer of each question: that one would be said.
    """
    slope, offset = _platt(np.concatenate(judged.logits), np.concatenate(judged.right))
    ranked = rank(judged, slope, offset)
    return SolvedAnswers(slope, offset, answer_threshold(ranked.sure, ranked.correct, max_wrong))


def halves(judged: Judged, max_wrong: float) -> tuple[Ranked, Bools]:
    """Judge questions by what is solved on others: on one half for the other, both ways.

    Return their answers in order, and whether each first one would be said `(n,)`. A single question is judged by what
    is solved on itself.
    """
    count = len(judged.logits)
    order = np.random.default_rng(0).permutation(count)
    slopes, offsets, thresholds = np.zeros((3, count))
    splits = [(order[::2], order[1::2]), (order[1::2], order[::2])] if count > 1 else [(order, order)]
    for measured, other in splits:
        solved = solve(judged.only(other.tolist()), max_wrong)
        slopes[measured], offsets[measured] = solved.slope, solved.offset
        thresholds[measured] = solved.answer.threshold
    ranked = rank(judged, slopes, offsets)
    return ranked, ranked.sure >= thresholds


def _platt(logits: Floats, fits: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and offset of the logistic regression of `fits` `(n,)` on logits `(n,)`; the slope is above 0."""
    if len(np.unique(fits)) < 2:
        return 1.0, 0.0
    regression = LogisticRegression().fit(logits[:, None], fits)
    return max(float(regression.coef_[0, 0]), 1e-3), float(regression.intercept_[0])
