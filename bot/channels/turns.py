"""Turns asked for over HTTP: so many at once, so many waiting, and the rest refused at once rather than slowly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar
from weakref import WeakValueDictionary

from bot.channels.errors import ApiError
from bot.turn import Reply, whole

AT_ONCE = 32  # turns; most of their time is spent waiting for a batch, the disk or a chat model
RETRY_AFTER_S = 1

T = TypeVar("T")


class TurnQueue:
    """Runs turns on a bounded number of threads, those of one session one after the other.

    Where another program has conversations of its own, what stands for one takes the session's place. A turn that was
    taken in is finished, also when the one who asked for it has gone.
    """

    def __init__(self, most_waiting: int) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rapport-turn")
        self._free = asyncio.Semaphore(AT_ONCE)
        self._begun = 0
        self._sessions: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._turns: set[asyncio.Task[object]] = set()
        self._most = AT_ONCE + most_waiting

    @property
    def waiting(self) -> int:
        """How many turns have been taken in and have not begun."""
        return len(self._turns) - self._begun

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
        async with lock, self._free:
            self._begun += 1
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
            finally:
                self._begun -= 1


class Writing:
    """A turn that may be listened to while it is written; it is finished also when nobody does.

    `reply` is its future result.
    """

    def __init__(self, turns: TurnQueue, session_id: str, pieces: Callable[[], Iterator[Reply]]) -> None:
        """Take in a turn.

        Raises:
            ApiError: too many turns are waiting (503).
        """
        loop = asyncio.get_running_loop()
        self._written: asyncio.Queue[Reply | None] = asyncio.Queue()

        def hand_on() -> Iterator[Reply]:
            for piece in pieces():
                with suppress(RuntimeError):  # the loop has ended, and with it whoever listened
                    loop.call_soon_threadsafe(self._written.put_nowait, piece)
                yield piece

        self.reply = turns.submit(session_id, lambda: whole(hand_on()))
        self.reply.add_done_callback(lambda _reply: self._written.put_nowait(None))

    async def pieces(self, pause_s: float) -> AsyncIterator[Reply | None]:
        """Yield the pieces as they are written, and None whenever there was none for some seconds; raise nothing."""
        while True:
            try:
                piece = await asyncio.wait_for(self._written.get(), pause_s)
            except asyncio.TimeoutError:
                yield None
                continue
            if piece is None:
                return
            yield piece
