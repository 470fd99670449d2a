"""The report beside a trained answer classifier: what it says about questions that it has not learnt from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

import numpy as np
from scipy.special import expit

from finetune.answer_calibration import Judged, SolvedAnswers, halves
from finetune.answer_teaching import TaughtAnswers
from finetune.calibration import Bools, Floats, expected_calibration_error, fewest_messages, reliability
from finetune.diagnosis import content_hash
from finetune.evaluation import risk_coverage
from finetune.methods import Method
from finetune.pairs import Pairs
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
    sure, said = halves(judged, max_wrong)
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
        "figures": _figures(judged, sure, said),
        "learning_curve": [],
        "history": epochs(asdict(taught.history)),
        "mistakes": _mistakes(pairs, taught, judged, sure),
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


def _figures(judged: Judged, sure: Floats, said: Bools) -> dict[str, Any]:
    raw = expit(judged.best_logits)
    return {
        "questions": len(judged.logits),
        "map": _map(judged, judged.logits),
        "map_by_retrieval": _map(judged, judged.cosines),
        "first_right": _first(judged, judged.logits),
        "first_right_by_retrieval": _first(judged, judged.cosines),
        "answered": float(said.mean()),
        "wrong_of_answered": float((~judged.correct[said]).mean()) if said.any() else 0.0,
        "reliability": reliability(sure, judged.correct),
        "reliability_before": reliability(raw, judged.correct),
        "expected_calibration_error": expected_calibration_error(sure, judged.correct),
        "expected_calibration_error_before": expected_calibration_error(raw, judged.correct),
        **risk_coverage(sure, judged.correct),
    }


def _map(judged: Judged, scores: list[Floats] | Any) -> float:
    """Return the mean average precision over the questions that have an answer."""
    return mean_average_precision([(one, own) for one, own in zip(scores, judged.right, strict=True) if own.any()])


def _first(judged: Judged, scores: list[Floats] | Any) -> float:
    """Return the share of the questions that have an answer for which a right one comes first."""
    return float(np.mean([own[one.argmax()] for one, own in zip(scores, judged.right, strict=True) if own.any()]))


def _mistakes(pairs: Pairs, taught: TaughtAnswers, judged: Judged, sure: Floats) -> list[dict[str, Any]]:
    choices = taught.held.choices(pairs)
    wrong = np.flatnonzero(~judged.correct)
    hardest = wrong[np.argsort(-sure[wrong], kind="stable")][:_MISTAKES].tolist()
    return [
        {
            "question": pairs.questions[choices[row][0]],
            "said": pairs.answers[choices[row][1][judged.best[row]]],
            "probability": float(sure[row]),
            "right": next((pairs.answers[one] for one in sorted(pairs.right[choices[row][0]])), ""),
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
