"""Is a message anything the desk handles? A score from what the classifier has computed anyway.

With out-of-scope examples they are a class of their own, and the score is how far the best intent's logit lies above
that class's. Without any, it is how close the message's vector comes to the messages of its intent: the largest cosine
to an intent's mean, weighed together with the energy of the logits (Liu et al., "Energy-based Out-of-distribution
Detection", NeurIPS 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.special import expit, logsumexp

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Scope:
    """What a message is compared with: the unit mean vector of each intent `(classes, H)`, and whether there is a class
    for what is out of scope."""

    means: NDArray[np.float32]
    has_outside: bool

    @classmethod
    def of(cls, vectors: Floats, targets: NDArray[np.integer], classes: int, has_outside: bool) -> Scope:
        """Return the scope of messages `(n, H)` with their classes `(n,)`; those beyond `classes` are out of scope."""
        sums = np.zeros((classes, vectors.shape[1]), dtype=np.float32)
        inside = targets < classes
        np.add.at(sums, targets[inside], vectors[inside])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return cls(sums / np.maximum(lengths, 1e-9), has_outside)

    def score(self, logits: Floats, vectors: Floats) -> Floats:
        """Return scores `(n,)`, 0 to 1, higher for what the desk handles, of logits `(n, classes [+ 1])` and vectors."""
        classes = len(self.means)
        if self.has_outside:
            scores: Floats = expit(logits[:, :classes].max(axis=1) - logits[:, classes])
            return scores
        closeness = (vectors @ self.means.T).max(axis=1)
        return expit(10 * (closeness - 0.5) + 0.1 * logsumexp(logits, axis=1))

    def save(self, file: Path) -> None:
        """Write it as safetensors."""
        save_file({"means": self.means, "has_outside": np.array([self.has_outside], dtype=np.uint8)}, file)

    @classmethod
    def load(cls, file: Path) -> Scope:
        """Return what `save` wrote."""
        kept = load_file(file)
        return cls(kept["means"], bool(kept["has_outside"][0]))
