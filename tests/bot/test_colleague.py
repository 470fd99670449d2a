"""A colleague's message in a session: kept as theirs, what it promises is owed, and nothing of it is the customer's."""

from __future__ import annotations

from datetime import date

import pytest
from langchain_core.language_models import FakeListChatModel

from bot.chatbot import Chatbot
from bot.generation import Generation
from bot.ui.chat_page import show
from bot.ui.remembered import remembered, search
from memory.commitments import commitments
from memory.conversation import WrongCustomerError
from memory.history import facts_of, transcript
from tests.bot.test_chatbot import say
from tests.conftest import Clock

WROTE = "Hello, Priya here. We will refund R-10120 by Friday. My number is 01632 960 734."


@pytest.fixture
def told(bot: Chatbot) -> Chatbot:
    say(bot, "I want to talk to a person", "my zip broke")
    bot.tell(WROTE, "s1", "nora")
    return bot


def test_what_a_colleague_promised_is_owed_and_known_in_the_next_session(told: Chatbot, clock: Clock) -> None:
    (promise,) = [one for one in commitments(told.memory.store, "nora") if "refund" in one.text]
    assert (promise.text, promise.due) == ("We will refund R-10120 by Friday", date(2026, 11, 27))
    clock.advance(days=10)
    answer = say(told, "what did you promise me?", session="s2")
    assert "24 November 2026: We will refund R-10120 by Friday" in answer
    assert "overdue" in answer


def test_nothing_of_it_is_taken_for_the_customers_words(told: Chatbot) -> None:
    assert facts_of(told.memory.store, "nora") == []
    turn = transcript(told.memory.store, "s1", "nora")[-1]
    assert (turn.text, turn.reply, turn.by_colleague) == ("", WROTE, True)
    messages = told.memory.load("s1", "nora", "", told.clock()).messages()
    assert [one.type for one in messages] == ["human", "ai", "human", "ai", "ai"]
    assert [one.name for one in messages] == [None, None, None, None, "colleague"]


def test_the_conversation_goes_on_and_stays_handed_over(told: Chatbot) -> None:
    reply = told.respond("thanks", "s1", "nora")
    assert reply.handed_over
    assert [turn.number for turn in transcript(told.memory.store, "s1", "nora")] == [1, 2, 3, 4]


def test_a_yes_after_a_colleagues_question_answers_the_colleague(bot: Chatbot) -> None:
    say(bot, "please forget everything about me")
    bot.tell("Shall I send it again?", "s1", "nora")
    assert bot.respond("Yes", "s1", "nora").action != "forget"
    assert len(transcript(bot.memory.store, "s1", "nora")) == 3


def test_it_is_recalled_as_the_colleagues(told: Chatbot) -> None:
    answer = say(told, "did you tell me when Priya will refund it?", session="s2")
    assert answer == f"A colleague wrote to you on 24 November 2026: “{WROTE}”"


def test_the_panel_and_the_page_show_whose_it_is(told: Chatbot) -> None:
    shown = [entry for section in remembered(told, "nora", "s1") for entry in section.entries]
    promises = [entry for entry in shown if "refund" in entry.what]
    assert promises[0].turns[-1].by_colleague
    assert search(told, "nora", "refund by Friday").entries[0].what == f"“{WROTE}”"
    bubbles = show(told, "nora", "s1")["value"]
    assert [one["role"] for one in bubbles] == ["assistant", "user", "assistant", "user", "assistant", "assistant"]
    assert bubbles[-1]["content"].startswith("<b>A colleague</b>")


def test_a_chat_model_is_told_who_wrote(told: Chatbot) -> None:
    seen: list[str] = []

    class Model(FakeListChatModel):
        def _call(self, messages: list[object], *arguments: object, **options: object) -> str:
            seen.append(str(messages))
            return super()._call(messages, *arguments, **options)  # type: ignore[arg-type]

    turns = transcript(told.memory.store, "s1", "nora")
    Generation(Model(responses=["A summary."]), told.desk, 5).summarise("", turns)
    assert f"Colleague: {WROTE}" in seen[0]
    assert seen[0].count("Customer:") == 2


def test_it_is_forgotten_with_the_customer_and_alone(told: Chatbot) -> None:
    turn = transcript(told.memory.store, "s1", "nora")[-1]
    told.forget("nora", turn_id=turn.id)
    assert all("refund" not in one.text for one in commitments(told.memory.store, "nora"))
    told.tell(WROTE, "s1", "nora")
    told.forget("nora")
    assert transcript(told.memory.store, "s1", "nora") == []


def test_its_vector_is_made_again_from_its_own_words(told: Chatbot) -> None:
    with told.memory.store.write() as connection:
        connection.exec_driver_sql("DELETE FROM vectors")
    told.memory.drop_caches("nora")
    found = told.memory.search("nora", WROTE, told.clock(), 1)
    assert found[0].similarity == pytest.approx(1.0, abs=1e-4)


def test_what_cannot_be_kept_is_refused(told: Chatbot) -> None:
    with pytest.raises(ValueError, match="needs words"):
        told.tell(" \n", "s1", "nora")
    with pytest.raises(WrongCustomerError):
        told.tell("hello", "s1", "tom")
    with pytest.raises(ValueError, match="session id"):
        told.tell("hello", "no such id", "nora")


def test_a_card_number_is_masked_in_it_too(bot: Chatbot) -> None:
    bot.tell("your card 4111 1111 1111 1111 was charged", "s1", "nora")
    assert "4111" not in transcript(bot.memory.store, "s1", "nora")[0].reply
