"""Fusion: what is found by meaning, by title and by words, as one ranking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def fuse(*rankings: Sequence[str]) -> list[tuple[str, float]]:
    """Return the ids of several rankings (best first) with their fused score, best first.

    Reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009, with their constant 60. Equal scores keep the
    order of the first ranking.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for place, key in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + 1.0 / (60 + place)
    return sorted(scores.items(), key=lambda item: -item[1])


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
