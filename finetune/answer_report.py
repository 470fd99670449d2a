"""The report beside a trained answer classifier: what it says about questions that it has not learnt from."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from finetune.answer_calibration import Judged, SolvedAnswers, halves
from finetune.answer_diagnosis import hardest_mistakes, learning_curve, suspected_answers
from finetune.answer_evaluation import answer_figures
from finetune.answer_teaching import TaughtAnswers
from finetune.calibration import fewest_messages
from finetune.diagnosis import content_hash
from finetune.methods import Method
from finetune.pairs import Pairs
from finetune.report import epochs
from finetune.verdict import percent, promise
from retrieval.encoder import BASE_SHA256

_MISTAKES = 20
_SUSPECTS = 30


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
    started = time.perf_counter()
    ranked, said = halves(judged, max_wrong)
    suspects = suspected_answers(pairs, taught, judged, solved)
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
        "figures": answer_figures(judged, ranked, said),
        "learning_curve": [asdict(point) for point in learning_curve(pairs, taught, judged)],
        "history": epochs(asdict(taught.history)),
        "mistakes": [asdict(mistake) for mistake in hardest_mistakes(pairs, taught, ranked, _MISTAKES)],
        "suspected_label_errors": [asdict(suspect) for suspect in suspects[:_SUSPECTS]],
        "suspected_label_errors_found": len(suspects),
        "settings": {"method": method, **asdict(taught.settings)},
        "base_sha256": BASE_SHA256,
    }
    report["verdict"] = _verdict(report)
    fine_tuning = (taught.history.seconds or [0.0])[-1]
    report["seconds"] = {"Fine-tuning": fine_tuning, "Report": round(time.perf_counter() - started, 1)}
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


def _verdict(report: Mapping[str, Any]) -> list[str]:
    """Return what a support lead should know first, most important sentence first."""
    figures, count = report["figures"], report["suspected_label_errors_found"]
    said = round(100 * figures["answered"])
    wrong = f"{percent(figures['wrong_of_answered'])} of them wrongly" if said else "so none of them wrongly"
    sentences = [
        f"Of 100 questions it would answer {said} from the text that fits best, {wrong}; on the others it is silent.",
        promise(report["thresholds"], "question"),
        f"A right text came first for {percent(figures['first_right'])} of the questions that have one; by retrieval "
        f"alone for {percent(figures['first_right_by_retrieval'])}.",
        _scope(figures),
        f"This was measured on {figures['questions']} questions held out from training: thresholds were solved on one "
        "half and measured on the other, both ways.",
    ]
    if count:
        sentences.append(
            f"{count} of these questions may have the wrong text, or lack one; those to look at first are listed below."
        )
    return sentences


def _scope(figures: Mapping[str, Any]) -> str:
    if "out_of_scope_caught" not in figures:
        return (
            "How well it tells questions that a text fits from those that none fits is not known: there were only "
            "questions of one kind to measure on."
        )
    silent = round(100 * figures["out_of_scope_false_alarms"])
    return (
        f"Of 100 questions that no text found for them fits, it would rightly leave "
        f"{100 * figures['out_of_scope_caught']:.0f} unanswered; of 100 that one does fit, {silent} as well."
    )
