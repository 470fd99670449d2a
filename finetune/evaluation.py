"""How good a classifier is on messages it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from finetune.calibration import expected_calibration_error

if TYPE_CHECKING:
    from finetune.intent import IntentClassifier


def evaluate(
    classifier: IntentClassifier, texts: Sequence[str], labels: Sequence[str], out_of_scope: Sequence[str] = ()
) -> dict[str, float]:
    """Return figures for labelled messages, shares as fractions of 1.

    `accuracy` is over all messages; `answered` is the share whose confidence reaches the answer threshold and which
    count as in scope, `wrong_of_answered` the share of those that got the wrong intent. With out-of-scope messages,
    `out_of_scope_caught` is the share of them below the in-scope threshold, `in_scope_kept` that of the others above.
    """
    probabilities, scores = classifier.assess(texts)
    best = probabilities.argmax(axis=1)
    correct = np.asarray(classifier.classes_)[best] == np.asarray(labels)
    confidences = probabilities.max(axis=1)
    in_scope = scores >= classifier.in_scope_threshold
    answered = (confidences >= classifier.answer_threshold) & in_scope
    figures = {
        "messages": float(len(texts)),
        "accuracy": float(correct.mean()),
        "expected_calibration_error": expected_calibration_error(confidences, correct),
        "answered": float(answered.mean()),
        "wrong_of_answered": float((~correct[answered]).mean()) if answered.any() else 0.0,
        "in_scope_kept": float(in_scope.mean()),
    }
    if out_of_scope:
        _, outside = classifier.assess(out_of_scope)
        figures["out_of_scope_messages"] = float(len(out_of_scope))
        figures["out_of_scope_caught"] = float((outside < classifier.in_scope_threshold).mean())
    return figures
