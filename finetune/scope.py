"""Is a message anything the desk handles? A score from the logits that the classifier has computed anyway."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Floats = NDArray[np.floating]


def in_scope_score(logits: Floats, classes: int) -> Floats:
    """Return scores `(n,)`, higher for what the desk handles, of logits `(n, classes)` or `(n, classes + 1)`.

    Where the last column stands for out-of-scope messages, the score is how far the best intent lies above it. Without
    examples of such messages there is no such column, and the score is the energy of the logits: Liu et al.,
    "Energy-based Out-of-distribution Detection", NeurIPS 2020.
    """
    if logits.shape[1] > classes:
        scores: Floats = logits[:, :classes].max(axis=1) - logits[:, classes]
        return scores
    energy: Floats = logsumexp(logits, axis=1)
    return energy
