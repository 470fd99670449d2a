"""Retention by itself: once when the bot starts and then every day, told in the log and in `HOME/retention.jsonl`."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from memory import ConversationMemory, StoreError
from memory.retention import retain
from memory.store import to_text

_LOG = logging.getLogger(__name__)
_DAY_S = 24 * 3600


class Retention:
    """A thread that removes what is past its time."""

    def __init__(self, memory: ConversationMemory, home: Path, clock: Callable[[], datetime]) -> None:
        self._memory, self._home, self._clock = memory, home, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rapport-retention", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after what it is about."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._once()
            except (StoreError, OSError) as error:
                _LOG.warning("Retention is tried again tomorrow: %s", error)
            self._stop.wait(_DAY_S)

    def _once(self) -> None:
        now = self._clock()
        removed = retain(self._memory, now)
        if removed:
            _LOG.info("Retention removed %s.", ", ".join(f"{count} {table}" for table, count in removed.items()))
            with (self._home / "retention.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps({"at": to_text(now), "removed": removed}) + "\n")
