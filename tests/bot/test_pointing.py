"""The order before that one, and the other product: earlier values are taken from what was told, and served."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import pytest

from bot.chatbot import Chatbot
from bot.desk import Desk
from bot.message import understand
from bot.models import Models
from bot.pointing import asks_back, chosen, points_back
from memory import Context, Fact, Turn
from memory.history import facts_of
from tests.bot.test_chatbot import say
from tests.conftest import Clock

_NOW = datetime(2026, 11, 24, 10, tzinfo=timezone.utc)


def _told(name: str, *values: str) -> list[Fact]:
    return [Fact(name, value, _NOW - timedelta(days=day), "s1", day, day) for day, value in enumerate(values, 1)]


def _earlier(desk: Desk, text: str, about: dict[str, str], told: Sequence[Fact]) -> str | None:
    turn = Turn(1, "s1", 1, _NOW, "", "", {"about": about})
    pointed = points_back(desk, text, Context("s1", "nora", _NOW, buffer=(turn,)), lambda _: told)
    return pointed and (pointed.earlier.value if pointed.earlier else "nothing")


ORDERS = _told("order_number", "R-10003", "R-10002", "R-10003", "R-10001")


@pytest.mark.parametrize(
    ("text", "about", "meant"),
    [
        ("and the one before?", "R-10003", "R-10002"),
        ("And the order before that one?", "R-10002", "R-10001"),
        ("what about the order before that", "R-10003", "R-10002"),
        ("where’s my previous order?", "R-10003", "R-10002"),
        ("what was my old order number?", "R-10003", "R-10002"),
        ("no, the one before last", "R-10003", "R-10002"),
        ("is the other order late too?", "R-10001", "R-10003"),
        ("the other one", "R-10003", "R-10002"),
        ("and the one before that?", "R-10001", "nothing"),
        ("the order before that one is broken", "R-10003", "R-10002"),
        ("can I return the one before?", "R-10003", "R-10002"),
        ("can you deliver my order before that?", "R-10003", None),
        ("I need the order before Friday", "R-10003", None),
        ("can I change my order before it ships?", "R-10003", None),
        ("the day before", "R-10003", None),
        ("I told you that before", "R-10003", None),
        ("my previous question", "R-10003", None),
        ("the other day I saw a tent", "R-10003", None),
    ],
)
def test_which_order_a_message_points_back_to(desk: Desk, text: str, about: str, meant: str | None) -> None:
    assert _earlier(desk, text, {"order_number": about}, ORDERS) == meant


def test_it_points_back_only_to_what_is_talked_about(desk: Desk) -> None:
    assert _earlier(desk, "and the one before?", {}, ORDERS) is None
    assert _earlier(desk, "and the order before that?", {"product": "Crag 3L Jacket"}, ORDERS) is None


def test_the_order_before_is_looked_up_with_the_day_it_was_mentioned(bot: Chatbot, clock: Clock) -> None:
    say(bot, "where is my order R-10120?", session="s1")
    clock.advance(days=20)
    say(bot, "where is my order R-10234?", session="s2")
    reply = bot.respond("and the order before that one?", "s2", "nora")
    assert reply.action == "look_up"
    assert "R-10120, which you mentioned on 24 November 2026" in reply.text
    assert "delivered" in reply.text
    assert [source.kind for source in reply.sources][:2] == ["fact", "tool"]
    assert "don't have another order number" in say(bot, "and the one before?", session="s2")
    assert "R-10234" in say(bot, "and the other order?", session="s2")


def test_what_is_named_from_memory_is_not_told_again(bot: Chatbot) -> None:
    say(bot, "where is my order R-10120?", "where is my order R-10234?", "and the one before?")
    assert [fact.value for fact in facts_of(bot.memory.store, "nora", history=True)] == ["R-10234", "R-10120"]


def test_the_next_question_is_about_the_order_that_is_talked_about(bot: Chatbot) -> None:
    say(bot, "where is my order R-10120?", "where is my order R-10234?", "and the one before?")
    assert "R-10120" in say(bot, "where is my order?")
    assert "R-10234" in say(bot, "where is my order R-10234?")


def test_another_order_than_the_one_that_is_to_be_confirmed(bot: Chatbot, clock: Clock) -> None:
    say(bot, "where is my order R-10120?", "where is my order R-10234?")
    clock.advance(days=20)
    assert "R-10234" in say(bot, "where is my order?", session="s2")
    assert "R-10120" in say(bot, "no, the one before", session="s2")


def test_it_works_for_products_and_for_what_nothing_looks_up(bot: Chatbot) -> None:
    say(bot, "do you have the tarnside boots in stock?", "do you have the glim in stock?")
    assert "The Tarnside Boots can be ordered" in say(bot, "and the other product?")
    say(bot, "my email is a@example.com", "my email is b@example.com", session="s2", customer="tom")
    assert "a@example.com, which you mentioned" in say(bot, "the email before that one", session="s2", customer="tom")


def test_a_forgotten_order_is_not_pointed_back_to(bot: Chatbot) -> None:
    say(bot, "where is my order R-10120?", "where is my order R-10234?", "and the one before?")
    bot.forget("nora", fact="order_number")
    assert "R-10" not in say(bot, "and the other order?")
    assert bot.respond("where is my order?", "s1", "nora").action == "ask"


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("did I tell you about my sister's wedding?", True),
        ("Have I ever mentioned a dog?", True),
        ("didn’t we talk about tents", True),
        ("do you remember my tent pole?", True),
        ("what did you say about the zip?", True),
        ("do you remember me?", False),
        ("did you send my order?", False),
        ("tell me about returns", False),
        ("I told you it is broken", False),
    ],
)
def test_which_messages_plainly_ask_about_what_was_said(text: str, asks: bool) -> None:
    assert asks_back(text) == asks


def test_asked_whether_it_was_told_something_the_bot_says_when_or_that_it_was_not(bot: Chatbot, clock: Clock) -> None:
    say(bot, "I need something warm for my sister's wedding in May", "my dog is called Bella")
    clock.advance(days=20)
    wedding = bot.respond("did I tell you about my sister's wedding?", "s2", "nora")
    assert "on 24 November 2026" in wedding.text
    assert "“I need something warm for my sister's wedding in May”" in wedding.text
    assert [source.kind for source in wedding.sources] == ["turn"]
    assert "“my dog is called Bella”" in say(bot, "did I ever mention a dog to you?", session="s2")
    boat = bot.respond("did I tell you about my brother's boat?", "s2", "nora")
    assert boat.text in bot.desk.replies["never_said"]
    assert (boat.action, boat.suggestions) == ("recap", ())


def test_having_asked_whether_it_was_told_is_not_having_told(bot: Chatbot) -> None:
    for _ in range(2):
        assert say(bot, "did I tell you about my brother's boat?") in bot.desk.replies["never_said"]
    say(bot, "my brother has a boat, a blue one")
    assert "“my brother has a boat, a blue one”" in say(bot, "did I tell you about my brother's boat?")
    assert (
        say(bot, "did I tell you about my brother's boat?", customer="tom", session="s9")
        in (bot.desk.replies["never_said"])
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        *[
            (text, 0)
            for text in ("the first one", "1", "First!", "yes, the first one please", "the former", "option one")
        ],
        *[
            (text, 1)
            for text in ("the second", "2.", "ok the 2nd one", "no. 2", "number two please", "I meant the second")
        ],
        *[(text, 2) for text in ("third", "the last one", "the latter", "3rd option")],
        *[(text, None) for text in ("4", "second hand boots", "first, where is my order?", "one", "2 pairs", "10", "")],
    ],
)
def test_a_button_is_chosen_by_its_place(text: str, place: int | None) -> None:
    offers = ("wash", "pay", "send")
    assert list(chosen(text, offers)) == ([] if place is None else [offers[place]])
    assert not chosen(text, ())


@pytest.mark.parametrize("text", ["both", "Both of them please!", "all", "all three", "yes, all of these"])
def test_all_that_was_offered_is_chosen_at_once(text: str) -> None:
    assert list(chosen(text, ["wash", "pay"])) == ["wash", "pay"]
    assert not chosen(f"{text} boots", ["wash", "pay"])


def test_what_the_bot_offered_is_chosen_by_its_place(bot: Chatbot) -> None:
    both = bot.respond("can I change the address and get a refund?", "s1", "nora")
    assert both.action == "clarify"
    reply = bot.respond("the second one", "s1", "nora")
    assert bot.desk.answers[reply.intent].title == both.suggestions[1]
    assert bot.respond("2", "s1", "nora").intent != reply.intent  # nothing is offered any more


@pytest.mark.parametrize(("action", "chooses"), [("clarify", True), ("not_understood", True), ("answer", False)])
def test_a_place_means_a_button_only_where_the_bot_asks_which(
    desk: Desk, models: Models, action: str, chooses: bool
) -> None:
    titles = [desk.answers[intent].title for intent in ("return_item", "payment_methods")]
    turn = Turn(1, "s1", 1, _NOW, "hm", "Which?", {"action": action, "suggestions": titles})
    context = Context("s1", "nora", _NOW, buffer=(turn,))
    classifier = models.classifier
    understood = understand(desk, classifier, "2", context, classifier.encode(["2"])[0], classifier.encode([]), 0.8)
    assert (understood.intents[0] == ("payment_methods", 1.0)) is chooses


def test_both_of_what_the_bot_offered_are_answered(bot: Chatbot) -> None:
    both = bot.respond("what if they dont fit", "s1", "nora")
    assert (both.action, len(both.suggestions)) == ("clarify", 2)
    assert bot.respond("both", "s1", "nora").action == "answer"
    assert all(title in say(bot, "what did we talk about?") for title in both.suggestions)
