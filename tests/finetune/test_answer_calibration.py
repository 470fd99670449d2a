"""The threshold of an answer classifier is solved on what would be said: the first of classifier and retrieval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from finetune.answer_calibration import Judged, halves, rank, solve
from retrieval.knowledge import Candidate, Passage, rerank

NUMBERS = st.floats(-6, 6, allow_nan=False).map(lambda number: round(number, 2))
OFFERED = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=10)


def judged(questions: Sequence[tuple[list[float], list[bool], list[float]]]) -> Judged:
    """Return questions of logits, of which answers are right, and of retrieval's scores; each has a right answer."""
    logits, right, found = zip(*questions, strict=True)
    return Judged(
        [np.array(one) for one in logits],
        [np.array(one) for one in right],
        [np.array(one) for one in found],
        np.ones(len(questions), dtype=bool),
        np.zeros(len(questions)),
    )


@given(OFFERED)
def test_held_out_answers_are_put_in_the_order_in_which_they_are_served(offered: list[tuple[float, float]]) -> None:
    logits, found = ([*one] for one in zip(*offered, strict=True))

    class Calibrated:
        def score(self, questions: Sequence[str], answers: Sequence[str]) -> np.ndarray:
            return expit(1.5 * np.array(logits) - 0.5)

    passages = [Passage(str(place), "", "", "", str(place)) for place in range(len(offered))]
    served = rerank("?", [Candidate(one, 0.0, score) for one, score in zip(passages, found, strict=True)], Calibrated())
    ranked = rank(judged([(logits, [False] * len(offered), found)]), 1.5, -0.5)

    assert int(served[0].passage.id) == ranked.first[0]
    assert served[0].fit == ranked.sure[0]


def test_an_answer_that_retrieval_puts_first_in_spite_of_the_classifier_is_the_one_that_counts() -> None:
    """The classifier would always be right; what retrieval says beside it puts the wrong answer first."""
    overruled = ([2.0, 1.0], [True, False], [0.0, 3.0])
    alone = judged([([2.0, 1.0], [True, False], [0.0, 0.0])] * 40)

    assert solve(alone, 0.1).answer.wrong == 0
    assert solve(judged([overruled] * 40), 0.1).answer.wrong == 1
    assert not halves(judged([overruled] * 40), 0.1)[0].correct.any()


def test_a_question_whose_right_answer_retrieval_does_not_offer_is_answered_wrongly() -> None:
    offered, missed = ([4.0, -4.0], [True, False], [1.0, 0.0]), ([4.0, -4.0], [False, False], [1.0, 0.0])

    assert solve(judged([offered] * 60), 0.05).answer.bounded
    assert not solve(judged([*[offered] * 50, *[missed] * 10]), 0.05).answer.bounded
