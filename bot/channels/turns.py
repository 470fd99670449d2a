"""Turns asked for over HTTP: so many at once, so many waiting, and the rest refused at once rather than slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

from bot.channels.errors import ApiError

AT_ONCE = 32  # turns; most of their time is spent waiting for a batch, the disk or a chat model
RETRY_AFTER_S = 1

T = TypeVar("T")


class TurnQueue:
    """Runs turns on a bounded number of threads, those of one session one after the other.

    A turn that was taken in is finished, also when the one who asked for it has gone.
    """

    def __init__(self, most_waiting: int) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rapport-turn")
        self._sessions: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._turns: set[asyncio.Task[object]] = set()
        self._most = AT_ONCE + most_waiting

    @property
    def waiting(self) -> int:
        """How many turns have been taken in and are not finished."""
        return len(self._turns)

    def submit(self, session_id: str, work: Callable[[], T]) -> asyncio.Future[T]:
        """Take in a turn of a session and return its future result.

        Raises:
            ApiError: too many turns are waiting (503).
        """
        if len(self._turns) >= self._most:
            message = "Too many messages are waiting. Send it again in a moment."
            raise ApiError(503, "busy", message, {"Retry-After": str(RETRY_AFTER_S)})
        turn = asyncio.ensure_future(self._run(session_id, work))
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)
        return asyncio.shield(turn)

    async def _run(self, session_id: str, work: Callable[[], T]) -> T:
        # Waiting here and not for the bot's own lock, a session with many messages takes one thread.
        lock = self._sessions.setdefault(session_id, asyncio.Lock())
        async with lock:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
