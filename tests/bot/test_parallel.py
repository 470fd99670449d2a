"""Many conversations at once: each in its order, nothing lost, nothing in another's memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from bot.chatbot import Chatbot
from bot.turn import Reply
from memory.history import export, transcript

SESSIONS = 50
IN_FLIGHT = 2
EACH = 2  # messages that each of a session's senders sends, one after the other


def order(session: int, sender: int, number: int) -> str:
    return f"R-{10_000 + session * IN_FLIGHT * EACH + sender * EACH + number}"


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_fifty_sessions_with_two_messages_in_flight_each(
    make_bot: Callable[..., Chatbot], database: str, request: pytest.FixtureRequest
) -> None:
    url = "" if database == "sqlite" else request.getfixturevalue(database)
    bot = make_bot(settings={"database_url": url})
    start = threading.Barrier(SESSIONS * IN_FLIGHT)

    def send(place: int) -> list[Reply]:
        session, sender = divmod(place, IN_FLIGHT)
        start.wait()
        return [
            bot.respond(f"Where is my order {order(session, sender, number)}?", f"s{session}", f"c{session}")
            for number in range(EACH)
        ]

    with ThreadPoolExecutor(SESSIONS * IN_FLIGHT) as pool:
        replies = list(pool.map(send, range(SESSIONS * IN_FLIGHT)))

    assert {reply.action for sent in replies for reply in sent} == {"look_up"}
    for session in range(SESSIONS):
        turns = transcript(bot.memory.store, f"s{session}", f"c{session}")
        assert [turn.number for turn in turns] == [1, 2, 3, 4]
        shown = {reply.turn_id: reply.text for sent in replies[session * 2 : session * 2 + 2] for reply in sent}
        assert {turn.id: turn.reply for turn in turns} == shown
        for sender in range(IN_FLIGHT):
            ids = [reply.turn_id for reply in replies[session * IN_FLIGHT + sender]]
            assert ids == sorted(ids)
            texts = {turn.id: turn.text for turn in turns}
            for number, turn_id in enumerate(ids):
                assert order(session, sender, number) in texts[turn_id]
        theirs = {order(session, sender, number) for sender in range(IN_FLIGHT) for number in range(EACH)}
        held = export(bot.memory.store, f"c{session}")
        assert {fact["value"] for fact in held["facts"]} == theirs
        everything = json.dumps([held["turns"], held["facts"], held["summaries"]])
        others = {f"R-{10_000 + n}" for n in range(SESSIONS * IN_FLIGHT * EACH)} - theirs
        assert not [number for number in others if number in everything]
