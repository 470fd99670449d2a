"""The intent classifier's vectors of turns, by which it looks back at a conversation."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from finetune import IntentClassifier
from memory import Turn

MOST = 4_000  # vectors kept, the least recently used go first: about 6 MB, the last messages of 500 sessions


class Heard:
    """What one classifier made of the turns it heard, kept from when it heard them; safe to use from several threads.

    It is derived: what is missing, after a restart say, is encoded again from the turn's text.
    """

    def __init__(self, classifier: IntentClassifier) -> None:
        self._classifier = classifier
        self._vectors: OrderedDict[int, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, turn_id: int, vector: NDArray[np.float32]) -> None:
        """Keep the vector `(384,)` of a turn's message, if the classifier looks back at all."""
        if not self._classifier.turns:
            return
        with self._lock:
            self._vectors[turn_id] = vector
            self._vectors.move_to_end(turn_id)
            while len(self._vectors) > MOST:
                self._vectors.popitem(last=False)

    def forget(self) -> None:
        """Drop all vectors; those that are needed are made again."""
        with self._lock:
            self._vectors.clear()

    def earlier(self, turns: Sequence[Turn]) -> NDArray[np.float32]:
        """Return the vectors `(k, 384)` that the classifier looks back at, newest first; turns come oldest first.

        What colleagues wrote is passed over.
        """
        count = self._classifier.turns
        looked_at = [turn for turn in reversed(turns) if turn.text][:count]
        with self._lock:
            known = {turn.id: self._vectors[turn.id] for turn in looked_at if turn.id in self._vectors}
        missing = [turn for turn in looked_at if turn.id not in known]
        for turn, vector in zip(missing, self._classifier.encode([turn.text for turn in missing]), strict=True):
            known[turn.id] = vector
            self.keep(turn.id, vector)
        return np.stack([known[turn.id] for turn in looked_at]) if looked_at else self._classifier.encode([])
