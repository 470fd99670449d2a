"""From an answer network's logits on held-out questions to probabilities, and to the threshold for saying one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from finetune.calibration import AnswerThreshold, Bools, Floats, answer_threshold


@dataclass(frozen=True)
class Judged:
    """Held-out questions: for each the logits of the answers to choose from, `right` of them, and their cosines.

    The cosines are those of the encoder that training started from: what retrieval by meaning goes by.
    """

    logits: Sequence[Floats]
    right: Sequence[Bools]
    cosines: Sequence[Floats]

    @cached_property
    def best(self) -> list[int]:
        """The place of the answer that would be put first for each question."""
        return [int(one.argmax()) for one in self.logits]

    @cached_property
    def best_logits(self) -> Floats:
        """The logit of that answer, `(n,)`."""
        return np.array([one[place] for one, place in zip(self.logits, self.best, strict=True)])

    @cached_property
    def correct(self) -> Bools:
        """Whether that answer fits, `(n,)`; none fits where a question has no answer."""
        return np.array([own[place] for own, place in zip(self.right, self.best, strict=True)], dtype=bool)

    def only(self, rows: Sequence[int]) -> Judged:
        """Return some of the questions."""
        return Judged(
            [self.logits[row] for row in rows], [self.right[row] for row in rows], [self.cosines[row] for row in rows]
        )


@dataclass(frozen=True)
class SolvedAnswers:
    """A logit's probability is `expit(slope * logit + offset)`; an answer is said from the threshold on."""

    slope: float
    offset: float
    answer: AnswerThreshold

    def probabilities(self, logits: Floats) -> Floats:
        """Return the probabilities that answers fit, in the shape of their logits."""
        sure: Floats = expit(self.slope * logits + self.offset)
        return sure


def solve(judged: Judged, max_wrong: float) -> SolvedAnswers:
    """Return calibration and threshold for held-out questions.

    Slope and offset turn a logit into the probability that the answer fits (Platt, 1999), over all answers that
    retrieval offers. The threshold is solved on the best answer of each question: that one would be said.
    """
    slope, offset = _platt(np.concatenate(judged.logits), np.concatenate(judged.right))
    sure: Floats = expit(slope * judged.best_logits + offset)
    return SolvedAnswers(slope, offset, answer_threshold(sure, judged.correct, max_wrong))


def halves(judged: Judged, max_wrong: float) -> tuple[Floats, Bools]:
    """Judge questions by what is solved on others: on one half for the other, both ways.

    Return the probability of each question's best answer and whether it would be said, both `(n,)`. A single question
    is judged by what is solved on itself.
    """
    count = len(judged.logits)
    order = np.random.default_rng(0).permutation(count)
    sure, said = np.zeros(count), np.zeros(count, dtype=bool)
    splits = [(order[::2], order[1::2]), (order[1::2], order[::2])] if count > 1 else [(order, order)]
    for measured, other in splits:
        solved = solve(judged.only(other.tolist()), max_wrong)
        sure[measured] = solved.probabilities(judged.best_logits[measured])
        said[measured] = sure[measured] >= solved.answer.threshold
    return sure, said


def _platt(logits: Floats, fits: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and offset of the logistic regression of `fits` `(n,)` on logits `(n,)`; the slope is above 0."""
    if len(np.unique(fits)) < 2:
        return 1.0, 0.0
    regression = LogisticRegression().fit(logits[:, None], fits)
    return max(float(regression.coef_[0, 0]), 1e-3), float(regression.intercept_[0])
