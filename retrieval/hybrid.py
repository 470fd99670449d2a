"""Fusion: scores of meaning, of titles and of words, added up as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


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
