"""One turn at a time in a session, in the order in which they came; other sessions do not wait."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class SessionLocks:
    """A queue for each session that has a turn under way."""

    def __init__(self) -> None:
        self._guard = threading.Condition()
        self._queues: dict[str, deque[threading.Event]] = {}

    @property
    def under_way(self) -> int:
        """How many turns hold their session or wait for it."""
        with self._guard:
            return sum(map(len, self._queues.values()))

    def wait(self, most_s: float) -> bool:
        """Wait until no session is held; return whether that was within some seconds."""
        with self._guard:
            return self._guard.wait_for(lambda: not self._queues, most_s)

    @contextmanager
    def hold(self, session_id: str) -> Iterator[None]:
        """Wait for this session's turn and hold it; it may be given up from another thread than it was taken in."""
        ticket = threading.Event()
        with self._guard:
            queue = self._queues.setdefault(session_id, deque())
            queue.append(ticket)
            queue[0].set()
        ticket.wait()
        try:
            yield
        finally:
            with self._guard:
                queue.popleft()
                if queue:
                    queue[0].set()
                else:
                    del self._queues[session_id]
                    self._guard.notify_all()
