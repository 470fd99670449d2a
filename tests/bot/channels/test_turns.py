"""Turns asked for over HTTP, apart from any way in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

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


def test_a_sessions_turns_follow_one_another_whatever_became_of_those_before() -> None:
    may_go_on, done = threading.Event(), []

    def first() -> None:
        assert may_go_on.wait(30)
        done.append("first")

    def second() -> None:
        done.append("second")
        raise ValueError("no reply")

    async def ask() -> None:
        turns = TurnQueue(9)
        asked = [
            turns.submit("s1", first),
            turns.submit("s1", second),
            turns.submit("s1", lambda: done.append("third")),
        ]
        other = turns.submit("s2", lambda: done.append("other"))
        await other
        assert turns.waiting == 2
        asked[0].cancel()  # who asked has gone: both are finished all the same
        asked[1].cancel()
        may_go_on.set()
        await asked[2]
        with pytest.raises(ValueError, match="no reply"):
            await turns.submit("s1", second)
        assert turns.waiting == 0

    asyncio.run(ask())
    assert done == ["other", "first", "second", "third", "second"]
