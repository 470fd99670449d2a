"""What may be wrong with questions and their answers, and whether more would help: all seen on held-out questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from finetune.answer_calibration import Judged, Ranked, SolvedAnswers, rank
from finetune.answer_evaluation import average_precision, first_right
from finetune.answer_teaching import TaughtAnswers
from finetune.calibration import Floats
from finetune.diagnosis import LabelledMessages, Neighbour, nearest
from finetune.pairs import Pairs
from finetune.probe import QUICK, Probe, fit_probe
from finetune.ranking import WRONG_A_QUESTION

_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
_DRAWS = 5


@dataclass(frozen=True)
class CurvePoint:
    """How well a probe puts answers in order for held-out questions, after learning from so many others."""

    questions: int
    map: float
    first_right: float


@dataclass(frozen=True)
class SuspectedAnswer:
    """A held-out question whose approved answer may be the wrong one; `right` is empty where none is approved."""

    question: str
    right: str
    probability: float
    suggested: str
    suggested_probability: float
    nearest: list[Neighbour]


@dataclass(frozen=True)
class WrongAnswer:
    """A held-out question and the answer put first for it, which does not fit; `right` is empty where none does."""

    question: str
    said: str
    probability: float
    right: str
    nearest: list[Neighbour]


def learning_curve(pairs: Pairs, taught: TaughtAnswers, judged: Judged, seed: int = 0) -> list[CurvePoint]:
    """Return how well held-out questions are served after learning from growing shares of the others.

    What learns is a quick probe: a logistic regression over the products of a question's and an answer's vectors by the
    frozen encoder, which says whether the two fit. Unlike fine-tuning it learns to the end from however few questions,
    so the points differ in their questions alone. Each is the mean of five draws; the first, for no question, is
    retrieval's own order. As in serving, answers are put in order by what is learnt and by retrieval together.
    """
    points = [CurvePoint(0, average_precision(judged, judged.found), first_right(judged, judged.found))]
    count = len(taught.quiz.questions)
    for share in _SHARES:
        size = max(round(share * count), 1)
        seen = [_served(judged, _logits(pairs, taught, size, seed + draw)) for draw in range(_DRAWS)]
        points.append(CurvePoint(size, *np.mean(seen, axis=0).tolist()))
    return points


def suspected_answers(
    pairs: Pairs, taught: TaughtAnswers, judged: Judged, solved: SolvedAnswers
) -> list[SuspectedAnswer]:
    """Return held-out questions whose approved answer is perhaps the wrong one, most suspicious first.

    An answer is suspected where the classifier, which has not learnt the question, finds it less probable than approved
    answers are on average, and another answer more probable than that. A question without an answer is suspected where
    one is as probable, and likelier than not. The rule is that of `diagnosis.suspected_label_errors`.
    """
    fits = [expit(solved.slope * one + solved.offset) for one in judged.logits]
    rivals = [np.where(right, 0.0, one) for right, one in zip(judged.right, fits, strict=True)]
    best, rival = np.array([one.argmax() for one in rivals]), np.array([one.max() for one in rivals])
    own = expit(solved.slope * judged.own + solved.offset)
    usual = own[judged.answerable].mean()
    own = np.where(judged.answerable, own, 1 - rival)
    doubted = (own < usual) | ~judged.answerable
    suspects = np.flatnonzero(doubted & (rival >= usual) & (rival > own))
    suspects = suspects[np.argsort((own - rival)[suspects], kind="stable")]
    return [
        SuspectedAnswer(
            question=pairs.questions[taught.offers[row].question],
            right=_right(pairs, taught.offers[row].question),
            probability=float(own[row]),
            suggested=pairs.answers[taught.offers[row].answers[best[row]]],
            suggested_probability=float(rival[row]),
            nearest=neighbours,
        )
        for row, neighbours in zip(suspects.tolist(), _nearest(pairs, taught, suspects), strict=True)
    ]


def hardest_mistakes(pairs: Pairs, taught: TaughtAnswers, ranked: Ranked, limit: int = 20) -> list[WrongAnswer]:
    """Return the held-out questions for which a wrong answer comes first, the surest first."""
    wrong = np.flatnonzero(~ranked.correct)
    wrong = wrong[np.argsort(-ranked.sure[wrong], kind="stable")][:limit]
    return [
        WrongAnswer(
            question=pairs.questions[taught.offers[row].question],
            said=pairs.answers[taught.offers[row].answers[ranked.first[row]]],
            probability=float(ranked.sure[row]),
            right=_right(pairs, taught.offers[row].question),
            nearest=neighbours,
        )
        for row, neighbours in zip(wrong.tolist(), _nearest(pairs, taught, wrong), strict=True)
    ]


def _logits(pairs: Pairs, taught: TaughtAnswers, size: int, seed: int) -> list[Floats]:
    """Return what a probe taught on a random `size` of the questions says of what the held-out ones are offered.

    With the same seed, the fewer questions are among the more, each with the same wrong answers.
    """
    drawn = np.random.default_rng(seed).permutation(len(taught.quiz.questions))[:size].tolist()
    shown: list[tuple[int, int, bool]] = []
    for row in drawn:
        question, wrong = taught.quiz.questions[row], taught.quiz.wrong[row]
        places = np.random.default_rng([seed, row]).permutation(len(wrong))[:WRONG_A_QUESTION]
        shown += [(question, answer, True) for answer in sorted(pairs.right[question])]
        shown += [(question, wrong[place], False) for place in places]
    questions, answers, fits = zip(*shown, strict=True) if shown else ((), (), ())
    if len(set(fits)) < 2:
        return [np.zeros(len(offer.answers)) for offer in taught.offers]
    probe = fit_probe(_products(taught, questions, answers), np.array(fits, dtype=int), QUICK)
    return [_log_odds(probe, _products(taught, offer.question, offer.answers)) for offer in taught.offers]


def _products(taught: TaughtAnswers, questions: int | Sequence[int], answers: Sequence[int]) -> Floats:
    """Return the products `(n, H)` of questions' and answers' vectors, about as long as the vectors are."""
    vectors, width = taught.vectors[np.array(questions)], taught.vectors.shape[1]
    products: Floats = vectors * taught.answer_vectors[np.array(answers)] * np.sqrt(width)
    return products


def _log_odds(probe: Probe, products: Floats) -> Floats:
    """Return the logits `(n,)` of fitting by a probe that tells 1 from 0."""
    odds: Floats = products @ (probe.weights[1] - probe.weights[0]) + probe.biases[1] - probe.biases[0]
    return odds


def _served(judged: Judged, logits: list[Floats]) -> tuple[float, float]:
    """Return mean average precision and share of right answers put first where these are the `logits`."""
    scores = rank(Judged(logits, judged.right, judged.found, judged.answerable, judged.own), 1.0, 0.0).scores
    return average_precision(judged, scores), first_right(judged, scores)


def _right(pairs: Pairs, question: int) -> str:
    return next((pairs.answers[one] for one in sorted(pairs.right[question])), "")


def _nearest(pairs: Pairs, taught: TaughtAnswers, rows: NDArray[np.integer]) -> list[list[Neighbour]]:
    """Return for rows of the held-out questions those learnt from that are most alike, with their right answers."""
    learnt = list(taught.split.kept)
    training = LabelledMessages(
        [pairs.questions[one] for one in learnt],
        [tuple(pairs.answers[answer] for answer in pairs.right[one]) for one in learnt],
        taught.vectors[learnt],
    )
    return nearest(taught.vectors[[taught.offers[row].question for row in rows.tolist()]], training)
