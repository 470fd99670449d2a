"""The exported head of an intent classifier: vectors in, logits out, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from retrieval.onnx_model import session

Vectors = NDArray[np.float32]


class ServedHead:
    """Runs `head.onnx` of a model folder; `turns` is how many earlier messages it looks back at, 0 for none."""

    def __init__(self, file: Path) -> None:
        self._session = session(file)
        shapes = {one.name: one.shape for one in self._session.get_inputs()}
        self.turns: int = shapes["memory"][1] if "memory" in shapes else 0

    def run(self, vectors: Vectors, earlier: Sequence[Vectors] | None = None) -> Vectors:
        """Return logits `(n, labels)` of vectors `(n, H)`; `earlier` holds the vectors before each, newest first."""
        inputs = {"vector": vectors}
        if self.turns:
            inputs["memory"], inputs["known"] = remembered(earlier or [()] * len(vectors), self.turns, vectors.shape[1])
        logits: Vectors = self._session.run(["logits"], inputs)[0]
        return logits


def remembered(earlier: Sequence[Sequence[Vectors] | Vectors], turns: int, width: int) -> tuple[Vectors, Vectors]:
    """Return memories of different lengths as one array `(n, turns, width)`, and what of it is known `(n, turns)`."""
    memory = np.zeros((len(earlier), turns, width), dtype=np.float32)
    known = np.zeros((len(earlier), turns), dtype=np.float32)
    for row, before in enumerate(earlier):
        count = min(len(before), turns)
        memory[row, :count] = before[:count] if count else 0
        known[row, :count] = 1
    return memory, known


def to_probabilities(logits: NDArray[np.floating], temperature: float, several: bool) -> NDArray[np.floating]:
    """Return calibrated probabilities `(n, classes)` of logits: shares of 1, or each by itself where `several` fit."""
    probabilities: NDArray[np.floating] = expit(logits / temperature) if several else softmax(logits / temperature, 1)
    return probabilities
