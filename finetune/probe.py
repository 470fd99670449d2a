"""Linear probes: logistic regression over vectors, as a start, as a second opinion, and as a yardstick."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.floating]
Rows = NDArray[np.integer]

_FOLDS = 4
_ITERATIONS = 60
_INVERSE_PENALTY = 10.0


def fit_probe(vectors: Floats, targets: Rows) -> tuple[Floats, Floats, Rows]:
    """Return weights `(k, dim)`, biases `(k,)` and the k classes that occur, for vectors `(n, dim)` of at least 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped early on purpose
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few messages a label are fine
        model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=_ITERATIONS).fit(vectors, targets)
    weights, biases = model.coef_, model.intercept_
    if len(weights) == 1:  # scikit-learn keeps one row for two classes
        weights, biases = np.concatenate([-weights / 2, weights / 2]), np.concatenate([-biases / 2, biases / 2])
    return weights, biases, model.classes_


def unseen_probabilities(vectors: Floats, targets: Rows, classes: int, seed: int) -> Floats:
    """Return probabilities `(n, classes)` from probes that did not see the row; 0 for a class they did not see."""
    from scipy.special import softmax

    # Each label's messages are dealt out in turn, so that a label of two is in two folds.
    fold = np.argsort(np.lexsort((np.random.default_rng(seed).random(len(targets)), targets))) % _FOLDS
    probabilities = np.zeros((len(targets), classes))
    for one in np.unique(fold):
        inside, outside = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        weights, biases, seen = fit_probe(vectors[outside], targets[outside])
        probabilities[np.ix_(inside, seen)] = softmax(vectors[inside] @ weights.T + biases, axis=1)
    return probabilities
