"""Turns asked for over HTTP: so many at once, so many waiting, and the rest refused at once rather than slowly."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

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
        # Of each session, the turn under way and those behind it. Waiting here and not for the bot's own lock, a
        # session with many messages takes one thread.
        self._lines: dict[str, deque[tuple[Callable[[], Any], asyncio.Future[Any]]]] = {}
        self._taken_in = 0
        self._most = AT_ONCE + most_waiting

    @property
    def waiting(self) -> int:
        """How many turns have been taken in and have not begun."""
        return self._taken_in - min(len(self._lines), AT_ONCE)

    def submit(self, session_id: str, work: Callable[[], T]) -> asyncio.Future[T]:
        """Take in a turn of a session and return its future result.

        Raises:
            ApiError: too many turns are waiting (503).
        """
        if self._taken_in >= self._most:
            message = "Too many messages are waiting. Send it again in a moment."
            raise ApiError(503, "busy", message, {"Retry-After": str(RETRY_AFTER_S)})
        turn: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._taken_in += 1
        line = self._lines.setdefault(session_id, deque())
        line.append((work, turn))
        if len(line) == 1:
            self._begin(session_id)
        return turn

    def _begin(self, session_id: str) -> None:
        work, _ = self._lines[session_id][0]
        done = asyncio.get_running_loop().run_in_executor(self._threads, work)
        done.add_done_callback(lambda _: self._end(session_id, done))

    def _end(self, session_id: str, done: asyncio.Future[Any]) -> None:
        line = self._lines[session_id]
        _, turn = line.popleft()
        self._taken_in -= 1
        if line:
            self._begin(session_id)
        else:
            del self._lines[session_id]
        error = done.exception()
        if turn.cancelled():  # nobody waits for it any more
            return
        if error is None:
            turn.set_result(done.result())
        else:
            turn.set_exception(error)


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
