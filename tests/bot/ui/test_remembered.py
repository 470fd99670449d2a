"""What *What I remember* shows, without a browser."""

from __future__ import annotations

from bot.chatbot import Chatbot
from bot.ui.remembered import remembered
from tests.conftest import Clock


def shown(bot: Chatbot, title: str) -> list[str]:
    sections = remembered(bot, "nora", "s1")
    return [entry.what for section in sections if section.title == title for entry in section.entries]


def test_facts_show_from_when_and_until_when_they_hold(bot: Chatbot, clock: Clock) -> None:
    for text in ("my email is old@example.com", "from Monday it's new@example.com", "until Friday ring 01632 960 734"):
        bot.respond(text, "s1", "nora")
    later, now = "email address: new@example.com from 30 November 2026", "email address: old@example.com"
    assert shown(bot, "Facts") == ["phone number: 01632 960 734 until 27 November 2026", later, now]
    facts = remembered(bot, "nora", "s1")[0].entries
    assert [(entry.fact, dict(entry.forget)) for entry in facts[1:]] == [
        ("", {"turn_id": 2}),
        ("email", {"fact": "email"}),
    ]
    clock.advance(days=7)
    assert shown(bot, "Facts") == [later]
