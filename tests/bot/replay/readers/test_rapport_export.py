"""What `rapport memory export` prints is read back as the conversations that were held."""

from __future__ import annotations

import json

from bot.chatbot import Chatbot
from memory.history import export
from tests.bot.replay.readers.conftest import Read, said
from tests.conftest import Clock


def test_an_export_is_read_as_conversations(bot: Chatbot, clock: Clock, read: Read) -> None:
    replies = [bot.respond("how long does delivery take?", "s1", "nora").text]
    clock.advance(days=2)
    replies += [bot.respond("my name is Nora", "s2", "nora").text, bot.respond("thanks!", "s2", "nora").text]
    held = json.dumps(export(bot.memory.store, "nora"), indent=2).encode()

    first, second = read(held, "nora.json")

    assert said(first) == [("customer", "how long does delivery take?"), ("bot", replies[0])]
    assert [text for _, text in said(second)] == ["my name is Nora", replies[1], "thanks!", replies[2]]
    assert (first.conversation_id, second.customer_id) == ("s1", "nora")
    assert first.messages[1].answer == "delivery_time"
    assert first.started_at < second.started_at
