"""Probabilities that mean what they say, and thresholds solved from held-out messages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Floats = NDArray[np.floating]


def fit_temperature(logits: Floats, targets: NDArray[np.integer]) -> float:
    """Return the temperature that makes softmax(logits / temperature) most likely on held-out rows.

    `logits` has shape `(n, labels)`. Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    rows = np.arange(len(targets))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, targets].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def answer_threshold(confidences: Floats, correct: NDArray[np.bool_], max_wrong: float) -> float:
    """Return the lowest confidence at which at most `max_wrong` of the messages answered are answered wrongly.

    Both arrays have shape `(n,)` and come from held-out messages. Where no threshold reaches the target, the highest
    confidence seen is returned: the desk then answers next to nothing by itself, and says so in its report.
    """
    order = np.argsort(-confidences, kind="stable")
    wrong = np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)
    # Messages of equal confidence are answered together or not at all.
    last_of_equals = np.append(np.diff(confidences[order]) != 0, True)
    good = np.flatnonzero((wrong <= max_wrong) & last_of_equals)
    return float(confidences[order[good[-1]]]) if len(good) else float(confidences.max())


def in_scope_threshold(scores: Floats, max_turned_away: float) -> float:
    """Return the score that at most `max_turned_away` of the held-out in-scope messages fall below; `(n,)`."""
    return float(np.quantile(scores, max_turned_away, method="lower"))


def expected_calibration_error(confidences: Floats, correct: NDArray[np.bool_], bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins, 0 (best) to 1; arrays `(n,)`."""
    bin_of = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = [
        abs(confidences[bin_of == one].mean() - correct[bin_of == one].mean()) * (bin_of == one).mean()
        for one in np.unique(bin_of)
    ]
    return float(np.sum(gaps))
