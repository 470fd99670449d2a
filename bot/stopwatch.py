"""How long the stages of a turn take."""

from __future__ import annotations

import time


class Stopwatch:
    """Notes how many milliseconds each stage took."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Note the time since the last lap."""
        now = time.perf_counter()
        self.laps[stage] = (now - self._last) * 1000
        self._last = now
