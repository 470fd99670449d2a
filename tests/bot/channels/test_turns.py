"""Turns asked for over HTTP, apart from any way in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

from bot.channels.turns import TurnQueue, Writing
from bot.turn import Reply


def test_a_turn_that_was_taken_in_is_finished_though_its_loop_has_ended() -> None:
    begun, may_go_on, finished = threading.Event(), threading.Event(), threading.Event()

    def pieces() -> Iterator[Reply]:
        begun.set()
        assert may_go_on.wait(30)
        yield Reply("It takes ")
        yield Reply("three days.", "answer")
        finished.set()

    async def ask() -> None:
        Writing(TurnQueue(1), "s1", pieces)
        await asyncio.to_thread(begun.wait, 30)

    asyncio.run(ask())
    may_go_on.set()
    assert finished.wait(30)
