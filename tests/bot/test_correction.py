"""A fact corrected in its field: a turn of its own, checked like any other, with the old value kept as history."""

from __future__ import annotations

import json

import pytest

from bot.chatbot import Chatbot
from bot.correction import CorrectionError
from memory.conversation import WrongCustomerError
from memory.history import export, facts_of, transcript
from memory.proof import prove


def values(bot: Chatbot, name: str) -> list[str]:
    return [fact.value for fact in facts_of(bot.memory.store, "nora", history=True) if fact.name == name]


@pytest.mark.parametrize(
    ("fact", "typed", "value"),
    [
        ("order_number", "10243", "R-10243"),
        ("order_number", "it is r 10243", "R-10243"),
        ("email", "Nora.B@Example.com", "nora.b@example.com"),
        ("name", "nora", "Nora"),
        ("name", "Nora Blythe", "Nora Blythe"),
        ("phone", "01632 960 734", "01632 960 734"),
        ("product", "tarnside boots", "Tarnside Boots"),
        ("size", "xl", "XL"),
        ("address", "12 Mill Lane, Kendal LA9 5TX", "12 Mill Lane, Kendal LA9 5TX"),
    ],
)
def test_every_fact_of_the_desk_can_be_typed_bare(bot: Chatbot, fact: str, typed: str, value: str) -> None:
    reply = bot.correct(fact, typed, "s1", "nora")
    (held,) = facts_of(bot.memory.store, "nora")
    assert (held.name, held.value, held.turn_id) == (fact, value, reply.turn_id)
    assert value in reply.text


def test_a_correction_is_a_turn_whose_message_says_the_value(bot: Chatbot) -> None:
    bot.respond("my order number is R-10234", "s1", "nora")
    reply = bot.correct("order_number", "10243", "s1", "nora")
    turn = transcript(bot.memory.store, "s1", "nora")[-1]
    assert (turn.id, turn.text, turn.reply) == (reply.turn_id, "My order number is R-10243.", reply.text)
    assert turn.decision["facts"] == {"order_number": "R-10243"}
    assert values(bot, "order_number") == ["R-10243", "R-10234"]
    assert "R-10243" in bot.respond("what was my order number again?", "s2", "nora").text


@pytest.mark.parametrize(
    ("fact", "typed"),
    [
        ("email", "nora at home"),
        ("phone", "12"),
        ("order_number", ""),
        ("order_number", "<script>alert(1)</script>"),
        ("name", "?!"),
        ("email", "a" * 5000 + "@example.com"),
        ("shoe_colour", "red"),
    ],
)
def test_what_is_no_value_changes_nothing(bot: Chatbot, fact: str, typed: str) -> None:
    bot.respond("my email is nora@example.com", "s1", "nora")
    with pytest.raises(CorrectionError):
        bot.correct(fact, typed, "s1", "nora")
    assert [(one.name, one.value) for one in facts_of(bot.memory.store, "nora")] == [("email", "nora@example.com")]
    assert len(transcript(bot.memory.store, "s1", "nora")) == 1


def test_the_value_that_is_known_is_not_kept_twice(bot: Chatbot) -> None:
    bot.correct("order_number", "10243", "s1", "nora")
    with pytest.raises(CorrectionError, match="R-10243"):
        bot.correct("order_number", "R-10243", "s1", "nora")
    assert len(transcript(bot.memory.store, "s1", "nora")) == 1


def test_the_spelling_alone_can_be_corrected(bot: Chatbot) -> None:
    bot.respond("my name is Oneill", "s1", "nora")
    bot.correct("name", "O'Neill", "s1", "nora")
    assert values(bot, "name") == ["O'Neill", "Oneill"]


def test_what_the_bot_has_asked_for_stays_asked(bot: Chatbot) -> None:
    assert bot.respond("where is my order?", "s1", "nora").action == "ask"
    bot.correct("email", "nora@example.com", "s1", "nora")
    assert "R-10234" in bot.respond("10234", "s1", "nora").text


def test_nobody_corrects_in_anothers_session(bot: Chatbot) -> None:
    bot.respond("my name is Nora", "s1", "nora")
    with pytest.raises(WrongCustomerError):
        bot.correct("name", "Mallory", "s1", "mallory")
    assert values(bot, "name") == ["Nora"]


def test_a_card_number_is_masked_in_a_field_too(bot: Chatbot) -> None:
    with pytest.raises(CorrectionError):
        bot.correct("phone", "4111 1111 1111 1111", "s1", "nora")
    bot.correct("address", "12 Mill Lane 4111 1111 1111 1111 Kendal", "s1", "nora")
    assert "4111" not in json.dumps(export(bot.memory.store, "nora"))


def test_a_corrected_fact_is_forgotten_with_all_its_values(bot: Chatbot) -> None:
    bot.respond("my email is n.wren@kittle.example", "s1", "nora")
    bot.correct("email", "nora.wren@kittle.example", "s1", "nora")
    receipt = bot.forget("nora", fact="email")
    assert "kittle" not in json.dumps(export(bot.memory.store, "nora"))
    assert prove(receipt, bot.settings.home, bot.memory.store).holds
