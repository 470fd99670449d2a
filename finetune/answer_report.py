"""The report beside a trained answer classifier: what it says about questions that it has not learnt from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import numpy as np
from scipy.special import expit

from finetune.answer_calibration import Judged, Ranked, SolvedAnswers, halves
from finetune.answer_teaching import TaughtAnswers
from finetune.calibration import Bools, Floats, expected_calibration_error, fewest_messages, reliability
from finetune.diagnosis import content_hash
from finetune.evaluation import risk_coverage
from finetune.methods import Method
from finetune.pairs import Offer, Pairs
from finetune.ranking import mean_average_precision
from finetune.report import epochs
from finetune.verdict import percent, promise
from retrieval.encoder import BASE_SHA256

_MISTAKES = 20


def make_answer_report(
    pairs: Pairs,
    taught: TaughtAnswers,
    judged: Judged,
    solved: SolvedAnswers,
    max_wrong: float,
    method: Method,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything worth knowing about a trained answer classifier, as plain values that JSON can hold.

    Figures are of the held-out questions, each half judged by what was solved on the other one.
    """
    ranked, said = halves(judged, max_wrong)
    fitting = [[pairs.answers[one] for one in sorted(right)] for right in pairs.right]
    report: dict[str, Any] = {
        "name": str(about.get("desk", "an answer classifier")),
        "made_at": str(about.get("trained_at", datetime.now(timezone.utc).isoformat(timespec="seconds"))),
        "figures_from": "held_out",
        "data": {
            "questions": len(pairs.questions),
            "answers": len(pairs.answers),
            "held_out_questions": len(taught.split.held),
            "leaks": taught.split.leaks,
            "sha256": content_hash(pairs.questions, fitting),
        },
        "thresholds": _thresholds(solved, max_wrong),
        "figures": _figures(judged, ranked, said),
        "learning_curve": [],
        "history": epochs(asdict(taught.history)),
        "mistakes": _mistakes(pairs, taught.offers, ranked),
        "settings": {"method": method, **asdict(taught.settings)},
        "base_sha256": BASE_SHA256,
        "seconds": {"Fine-tuning": (taught.history.seconds or [0.0])[-1]},
    }
    report["verdict"] = _verdict(report)
    plain: dict[str, Any] = json.loads(json.dumps(report, allow_nan=False))
    return plain


def _thresholds(solved: SolvedAnswers, max_wrong: float) -> dict[str, Any]:
    answer = solved.answer
    return {
        "slope": solved.slope,
        "offset": solved.offset,
        "answer": answer.threshold,
        "bounded": answer.bounded,
        "wrong_answers_bound": answer.bound,
        "wrong_answers_seen": answer.wrong,
        "solved_on": answer.held_out,
        "fewest_messages": fewest_messages(max_wrong),
        "max_wrong_answers": max_wrong,
    }


def _figures(judged: Judged, ranked: Ranked, said: Bools) -> dict[str, Any]:
    sure, correct = ranked.sure, ranked.correct
    raw = expit([one[place] for one, place in zip(judged.logits, ranked.first, strict=True)])
    return {
        "questions": len(judged.logits),
        "map": _map(judged, ranked.scores),
        "map_by_retrieval": _map(judged, judged.found),
        "first_right": _first(judged, ranked.scores),
        "first_right_by_retrieval": _first(judged, judged.found),
        "answered": float(said.mean()),
        "wrong_of_answered": float((~correct[said]).mean()) if said.any() else 0.0,
        "reliability": reliability(sure, correct),
        "reliability_before": reliability(raw, correct),
        "expected_calibration_error": expected_calibration_error(sure, correct),
        "expected_calibration_error_before": expected_calibration_error(raw, correct),
        **risk_coverage(sure, correct),
    }


def _map(judged: Judged, scores: Sequence[Floats]) -> float:
    """Return the mean average precision over the questions that have an answer, 0 for one where none is offered."""
    return mean_average_precision(
        [(scores[row], judged.right[row]) for row in np.flatnonzero(judged.answerable).tolist()]
    )


def _first(judged: Judged, scores: Sequence[Floats]) -> float:
    """Return the share of the questions that have an answer for which a right one comes first."""
    rows = np.flatnonzero(judged.answerable).tolist()
    return float(np.mean([judged.right[row][scores[row].argmax()] for row in rows]))


def _mistakes(pairs: Pairs, offers: Sequence[Offer], ranked: Ranked) -> list[dict[str, Any]]:
    wrong = np.flatnonzero(~ranked.correct)
    hardest = wrong[np.argsort(-ranked.sure[wrong], kind="stable")][:_MISTAKES].tolist()
    return [
        {
            "question": pairs.questions[offers[row].question],
            "said": pairs.answers[offers[row].answers[ranked.first[row]]],
            "probability": float(ranked.sure[row]),
            "right": next((pairs.answers[one] for one in sorted(pairs.right[offers[row].question])), ""),
        }
        for row in hardest
    ]


def _verdict(report: Mapping[str, Any]) -> list[str]:
    """Return what a support lead should know first, most important sentence first."""
    figures = report["figures"]
    said = round(100 * figures["answered"])
    wrong = f"{percent(figures['wrong_of_answered'])} of them wrongly" if said else "so none of them wrongly"
    return [
        f"Of 100 questions it would answer {said} from the text that fits best, {wrong}; on the others it is silent.",
        promise(report["thresholds"], "question"),
        f"A right text came first for {percent(figures['first_right'])} of the questions that have one; by retrieval "
        f"alone for {percent(figures['first_right_by_retrieval'])}.",
        f"This was measured on {figures['questions']} questions held out from training: thresholds were solved on one "
        "half and measured on the other, both ways.",
    ]
