"""How good a classifier is on messages it was not trained on: figures from what it said about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune.calibration import (
    Bools,
    Floats,
    Outcomes,
    expected_calibration_error,
    outcomes,
    reliability,
    upper_bound,
)
from finetune.data import Labels

if TYPE_CHECKING:
    from finetune.intent import IntentClassifier

_CURVE_POINTS = 200
_HISTOGRAM_BINS = 24
_INTERVAL = 0.95


@dataclass(frozen=True)
class Outputs:
    """What a classifier said about n labelled messages, and perhaps about m out-of-scope ones.

    `classes` are its intents in the order of the columns of `probabilities` `(n, classes)`, which are calibrated; `raw`
    are those before calibration. `labels` are the true ones, one for each message or several; one that is none of the
    classes counts as a mistake. `scores` `(n,)` and `outside_scores` `(m,)` are in-scope scores. The thresholds are the
    same for all messages, or one for each `(n,)` where they were cross-fitted.
    """

    classes: Sequence[str]
    labels: Labels
    probabilities: Floats
    scores: Floats
    answer_threshold: float | Floats
    in_scope_threshold: float | Floats
    raw: Floats | None = None
    outside_scores: Floats | None = None

    @property
    def several(self) -> bool:
        """Whether a message may have several labels."""
        return any(not isinstance(label, str) for label in self.labels)

    @cached_property
    def label_sets(self) -> list[frozenset[str]]:
        """The true labels of each message."""
        return [frozenset([label] if isinstance(label, str) else label) for label in self.labels]

    @cached_property
    def predicted(self) -> list[str]:
        """The likeliest class of each message."""
        return [self.classes[best] for best in self.probabilities.argmax(axis=1)]

    @cached_property
    def confidences(self) -> Floats:
        """The probability of each message's likeliest class, `(n,)`."""
        confidences: Floats = self.probabilities.max(axis=1)
        return confidences

    @cached_property
    def correct(self) -> Bools:
        """Whether each message's likeliest class is its label, or one of its labels, `(n,)`."""
        return np.array([best in wanted for best, wanted in zip(self.predicted, self.label_sets, strict=True)], bool)

    @cached_property
    def in_scope(self) -> Bools:
        """Whether each message counts as in scope, `(n,)`."""
        return np.asarray(self.scores >= self.in_scope_threshold)

    @cached_property
    def outcomes(self) -> Outcomes:
        """What the bot would do with each message."""
        return outcomes(self.probabilities, self.in_scope, self.answer_threshold)


def evaluate(
    classifier: IntentClassifier, texts: Sequence[str], labels: Labels, out_of_scope: Sequence[str] = ()
) -> dict[str, float]:
    """Return a classifier's main figures for labelled messages, shares as fractions of 1.

    `accuracy` is over all messages; `answered` is the share whose confidence reaches the answer threshold and which
    count as in scope, `wrong_of_answered` the share of those that got the wrong intent. With out-of-scope messages,
    `out_of_scope_caught` is the share of them below the in-scope threshold, `in_scope_kept` that of the others above.
    """
    probabilities, scores = classifier.assess(texts)
    outside = classifier.assess(out_of_scope)[1] if out_of_scope else None
    thresholds = classifier.answer_threshold, classifier.in_scope_threshold
    outputs = Outputs(classifier.classes_, labels, probabilities, scores, *thresholds, outside_scores=outside)
    return _shares(outputs) | _out_of_scope(outputs)


def figures(outputs: Outputs) -> dict[str, Any]:
    """Return every figure of a classifier as plain values, shares as fractions of 1.

    What there is no data for is left out: `out_of_scope_*` without out-of-scope messages, `*_before` without `raw`.

    Raises:
        ValueError: there is no message, or the arrays differ in length.
    """
    count = len(outputs.labels)
    if not count or any(len(array) != count for array in (outputs.probabilities, outputs.scores)):
        shapes = f"{count} labels, {len(outputs.probabilities)} rows of probabilities, {len(outputs.scores)} scores"
        raise ValueError(f"there are {shapes}; each message needs one of each, and there must be a message")
    return {
        **_shares(outputs),
        **_averages(outputs),
        **_calibration(outputs),
        **_out_of_scope(outputs),
        **_score_histogram(outputs),
        "accuracy_interval": interval(outputs.correct),
        "per_intent": per_intent(outputs),
        "confusions": confusions(outputs),
        **risk_coverage(outputs.confidences, outputs.correct),
    }


def interval(correct: Bools) -> list[float]:
    """Return the exact 95% interval of a share of which n cases `(n,)` were seen: lowest and highest."""
    level = (1 + _INTERVAL) / 2
    wrong, right, count = int((~correct).sum()), int(correct.sum()), len(correct)
    return [1 - float(upper_bound(wrong, count, level)), float(upper_bound(right, count, level))]


def per_intent(outputs: Outputs) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each intent that occurs or was predicted, worst F1 first."""
    from sklearn.metrics import precision_recall_fscore_support

    names, decisions = _decisions(outputs)
    columns = precision_recall_fscore_support(**decisions)
    rows = [
        {"intent": name, "messages": int(support), "precision": float(p), "recall": float(r), "f1": float(f1)}
        for name, p, r, f1, support in zip(names, *columns, strict=True)
    ]
    return sorted(rows, key=lambda row: (row["f1"], -row["messages"], row["intent"]))


def confusions(outputs: Outputs) -> list[dict[str, Any]]:
    """Return which intent was taken for which other one, and how often, most often first; none for several labels."""
    pairs: dict[tuple[str, str], int] = {}
    for wanted, predicted in zip(outputs.labels, outputs.predicted, strict=True):
        if isinstance(wanted, str) and wanted != predicted:
            pairs[wanted, predicted] = pairs.get((wanted, predicted), 0) + 1
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return [{"intent": wanted, "taken_for": predicted, "times": times} for (wanted, predicted), times in ranked]


def risk_coverage(confidences: Floats, correct: Bools) -> dict[str, Any]:
    """Return the share wrong among the surest messages, for growing shares of all messages, and the mean over them.

    `risk_coverage` holds at most 200 points (share answered, share of those wrong); messages of equal confidence are
    answered together. Source: Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NIPS 2017.
    """
    order = np.argsort(-confidences, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(confidences[order]) != 0, True))
    risks = np.cumsum(~correct[order])[ends] / (ends + 1)
    shown = np.unique(np.linspace(0, len(ends) - 1, _CURVE_POINTS).astype(int))
    points = [[float((ends[place] + 1) / len(order)), float(risks[place])] for place in shown]
    mean = float(np.repeat(risks, np.diff(ends, prepend=-1)).mean())
    return {"risk_coverage": points, "area_under_risk_coverage": mean}


def histogram(inside: Floats, outside: Floats) -> dict[str, list[float]]:
    """Return how many messages in scope and out of it have scores between each two edges."""
    edges = np.histogram_bin_edges(np.concatenate([inside, outside]), _HISTOGRAM_BINS)
    counts = (np.histogram(scores, edges)[0].tolist() for scores in (inside, outside))
    return dict(zip(("edges", "inside", "outside"), (edges.tolist(), *counts), strict=True))


def _shares(outputs: Outputs) -> dict[str, float]:
    answered = outputs.outcomes.answered
    return {
        "messages": len(outputs.labels),
        "accuracy": float(outputs.correct.mean()),
        "expected_calibration_error": expected_calibration_error(outputs.confidences, outputs.correct),
        **outputs.outcomes.shares(),
        "wrong_of_answered": float((~outputs.correct[answered]).mean()) if answered.any() else 0.0,
        "in_scope_kept": float(outputs.in_scope.mean()),
    }


def _averages(outputs: Outputs) -> dict[str, float]:
    """Return precision, recall and F1 over intents alike (`macro`) and by their messages (`weighted`).

    Where a message may have several labels there are also F1 over all decisions (`micro`), and the share of messages
    whose labels were all found and no others.
    """
    from sklearn.metrics import precision_recall_fscore_support

    _, decisions = _decisions(outputs)
    averages: dict[str, float] = {}
    for kind in ("macro", "weighted", "micro") if outputs.several else ("macro", "weighted"):
        values = precision_recall_fscore_support(**decisions, average=kind)[:3]
        averages |= {
            f"{name}_{kind}": float(value) for name, value in zip(("precision", "recall", "f1"), values, strict=True)
        }
    if outputs.several:
        averages["exact_match"] = float((decisions["y_true"] == decisions["y_pred"]).all(axis=1).mean())
    return averages


def _decisions(outputs: Outputs) -> tuple[list[str], dict[str, Any]]:
    """Return the labels that occur or were predicted, and scikit-learn's arguments for measuring over them.

    Where a message may have several labels, those of at least 0.5 are predicted.
    """
    if outputs.several:
        chosen = [frozenset(np.asarray(outputs.classes)[row >= 0.5].tolist()) for row in outputs.probabilities]
    else:
        chosen = [frozenset([best]) for best in outputs.predicted]
    names = sorted(frozenset(outputs.classes).union(*outputs.label_sets))
    truth, predicted = (
        np.array([[name in row for name in names] for row in sets], dtype=bool) for sets in (outputs.label_sets, chosen)
    )
    occurs = (truth | predicted).any(axis=0)
    present = np.flatnonzero(occurs if occurs.any() else ~occurs)
    measured = {"y_true": truth, "y_pred": predicted, "labels": present, "zero_division": 0.0}
    return [names[place] for place in present.tolist()], measured


def _calibration(outputs: Outputs) -> dict[str, Any]:
    """Return calibration plots after and before calibration: (mean confidence, accuracy, share of messages) a bin."""
    after = {"reliability": reliability(outputs.confidences, outputs.correct)}
    if outputs.raw is None:
        return after
    before = outputs.raw.max(axis=1)
    return {
        **after,
        "reliability_before": reliability(before, outputs.correct),
        "expected_calibration_error_before": expected_calibration_error(before, outputs.correct),
    }


def _out_of_scope(outputs: Outputs) -> dict[str, float]:
    """Return how well in-scope scores tell the two kinds of messages apart; nothing without out-of-scope ones.

    `out_of_scope_false_alarms` is the share of in-scope messages that are turned away.
    """
    from sklearn.metrics import roc_auc_score

    if outputs.outside_scores is None or not len(outputs.outside_scores):
        return {}
    outside = outputs.outside_scores
    thresholds = np.unique(outputs.in_scope_threshold)  # two of them where they were cross-fitted
    kinds = np.repeat([1, 0], [len(outputs.scores), len(outside)])
    return {
        "out_of_scope_messages": len(outside),
        "out_of_scope_caught": float(np.mean([(outside < one).mean() for one in thresholds])),
        "out_of_scope_false_alarms": float(1 - outputs.in_scope.mean()),
        "out_of_scope_auroc": float(roc_auc_score(kinds, np.concatenate([outputs.scores, outside]))),
    }


def _score_histogram(outputs: Outputs) -> dict[str, Any]:
    if outputs.outside_scores is None or not len(outputs.outside_scores):
        return {}
    return {"in_scope_scores": histogram(outputs.scores, outputs.outside_scores)}
