"""Fusion: scores of meaning, of titles and of words, and what an answer classifier says, added up as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

Floats = NDArray[np.floating]

_RETRIEVAL = 2.0  # how much retrieval's own score counts beside the answer classifier's


def blend(*weighted: tuple[float, Floats]) -> Floats:
    """Return the weighted sum of scores `(..., n)`, each made comparable by its mean and spread over the last axis.

    Where one kind of score is far better than another, this keeps what it knows: ranks alone would count both alike.
    """
    total: Floats = np.zeros(np.shape(weighted[0][1]))
    for weight, scores in weighted:
        total = total + weight * standardised(scores)
    return total


def standardised(scores: Floats) -> Floats:
    """Return scores `(..., n)` with mean 0 and spread 1 over the last axis; 0 where all are equal."""
    if np.shape(scores)[-1] == 0:
        return scores
    centred = scores - scores.mean(axis=-1, keepdims=True)
    spread = centred.std(axis=-1, keepdims=True)
    result: Floats = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)
    return result


def fuse(fits: Floats, found: Floats) -> Floats:
    """Return scores `(n,)` of candidates, from the probability that each fits and retrieval's own score of it `(n,)`.

    Log-odds count as they are, not standardised: where the classifier is unsure of all of them, retrieval decides.
    """
    scores: Floats = logit(np.clip(fits, 1e-6, 1 - 1e-6)) + _RETRIEVAL * found
    return scores
