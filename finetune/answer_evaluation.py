"""How good an answer classifier is on questions it was not trained on: figures from what it said about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from finetune.answer_calibration import Judged, Ranked
from finetune.calibration import Bools, Floats, expected_calibration_error, reliability
from finetune.evaluation import histogram, risk_coverage
from finetune.ranking import mean_average_precision


def answer_figures(judged: Judged, ranked: Ranked, said: Bools) -> dict[str, Any]:
    """Return every figure as plain values, shares as fractions of 1; `said` `(n,)` are the questions answered.

    What there is no data for is left out: `out_of_scope_*` where all questions are offered a text that fits,
    or none is.
    """
    sure, correct = ranked.sure, ranked.correct
    raw = expit([one[place] for one, place in zip(judged.logits, ranked.first, strict=True)])
    return {
        "questions": len(judged.logits),
        "answerable": int(judged.answerable.sum()),
        "map": average_precision(judged, ranked.scores),
        "map_by_retrieval": average_precision(judged, judged.found),
        "first_right": first_right(judged, ranked.scores),
        "first_right_by_retrieval": first_right(judged, judged.found),
        "answered": float(said.mean()),
        "wrong_of_answered": float((~correct[said]).mean()) if said.any() else 0.0,
        "reliability": reliability(sure, correct),
        "reliability_before": reliability(raw, correct),
        "expected_calibration_error": expected_calibration_error(sure, correct),
        "expected_calibration_error_before": expected_calibration_error(raw, correct),
        **_out_of_scope(judged, ranked, said),
        **risk_coverage(sure, correct),
    }


def average_precision(judged: Judged, scores: Sequence[Floats]) -> float:
    """Return the mean average precision over the questions that have an answer, 0 for one where none is offered."""
    return mean_average_precision(
        [(scores[row], judged.right[row]) for row in np.flatnonzero(judged.answerable).tolist()]
    )


def first_right(judged: Judged, scores: Sequence[Floats]) -> float:
    """Return the share of the questions that have an answer for which a right one comes first."""
    rows = np.flatnonzero(judged.answerable).tolist()
    return float(np.mean([judged.right[row][scores[row].argmax()] for row in rows]))


def _out_of_scope(judged: Judged, ranked: Ranked, said: Bools) -> dict[str, Any]:
    """Return what becomes of questions that nothing offered fits, beside those that something does fit.

    `out_of_scope_questions` are the former, of which `out_of_scope_without_answer` have no answer at all; the others
    have one that retrieval does not offer. `out_of_scope_caught` is the share of them that are left unanswered,
    `out_of_scope_false_alarms` that of the others, `out_of_scope_auroc` the chance that one of the others has the more
    probable first answer.
    """
    fits = np.array([right.any() for right in judged.right], dtype=bool)
    if fits.all() or not fits.any():
        return {}
    return {
        "out_of_scope_questions": int((~fits).sum()),
        "out_of_scope_without_answer": int((~judged.answerable).sum()),
        "out_of_scope_caught": float((~said[~fits]).mean()),
        "out_of_scope_false_alarms": float((~said[fits]).mean()),
        "out_of_scope_auroc": float(roc_auc_score(fits, ranked.sure)),
        "in_scope_scores": histogram(ranked.sure[fits], ranked.sure[~fits]),
    }
