"""What a customer of the bundled desk meets, turn by turn."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableLambda

from bot.chatbot import Chatbot
from memory.commitments import commitments, settle
from memory.conversation import WrongCustomerError
from memory.facts import Fact
from memory.history import facts_of, session_digest, transcript
from tests.conftest import Clock


def say(bot: Chatbot, *texts: str, session: str = "s1", customer: str = "nora") -> str:
    """Send messages and return the last reply's text."""
    return [bot.respond(text, session, customer) for text in texts][-1].text


def known(bot: Chatbot, customer: str = "nora") -> dict[str, Fact]:
    return {fact.name: fact for fact in facts_of(bot.memory.store, customer)}


def test_order_status_is_asked_for_looked_up_and_sourced(bot: Chatbot) -> None:
    asked = bot.respond("where is my order?", "s1", "nora")
    assert asked.action == "ask"
    assert "order number" in asked.text
    told = bot.respond("R-10234", "s1", "nora")
    assert told.action == "look_up"
    assert "R-10234" in told.text
    assert "Parcelway" in told.text
    assert {source.kind for source in told.sources} == {"tool", "article"}


def test_a_mistyped_order_number_is_named_and_asked_for_again(bot: Chatbot) -> None:
    say(bot, "where is my order R-10234?")
    mistyped = bot.respond("and where is R-1025?", "s1", "nora")
    alone = bot.respond("R-1023", "s2", "ada")

    assert (mistyped.action, alone.action) == ("ask", "ask")
    assert "“R-1025” isn't a valid order number" in mistyped.text
    assert "“R-1023” isn't a valid order number" in alone.text
    assert known(bot, "ada") == {}
    assert bot.respond("sorry, R-10250", "s1", "nora").action == "look_up"
    assert bot.respond("10234", "s2", "ada").action == "fact_noted"


def test_number_from_last_week_is_confirmed_not_asked_for_again(bot: Chatbot, clock: Clock) -> None:
    say(bot, "where is my order?", "10234")
    clock.advance(days=7)
    again = bot.respond("where is my order", "s2", "nora")
    assert again.action == "confirm"
    assert "R-10234" in again.text
    assert again.suggestions == ("Yes", "No")
    assert bot.respond("yes", "s2", "nora").action == "look_up"


def test_denied_number_leads_to_the_question(bot: Chatbot, clock: Clock) -> None:
    say(bot, "where is my order?", "10234")
    clock.advance(days=7)
    say(bot, "where is my order", session="s2")
    assert bot.respond("no", "s2", "nora").action == "ask"
    assert "R-10120" in say(bot, "it's 10120", session="s2")


def test_corrected_number_answers_the_same_question_again(bot: Chatbot) -> None:
    say(bot, "where is my order?", "10235")
    corrected = bot.respond("no, it's 10234", "s1", "nora")
    assert corrected.action == "look_up"
    assert "R-10234" in corrected.text
    assert known(bot)["order_number"].value == "R-10234"


def test_two_orders_in_one_message_are_both_looked_up(bot: Chatbot) -> None:
    reply = bot.respond("where are R-10234 and R-10250??", "s1", "nora")
    assert reply.action == "look_up"
    assert "R-10234" in reply.text
    assert "R-10250" in reply.text
    assert [source.title for source in reply.sources if source.kind == "tool"] == ["R-10234", "R-10250"]


def test_two_orders_of_which_nothing_is_looked_up_are_both_named(bot: Chatbot) -> None:
    reply = bot.respond("R-10234 and R-10250 arrived damaged", "s1", "nora")
    promised = [one.text for one in commitments(bot.memory.store, "nora")]
    assert reply.action == "handoff"
    assert "R-10234 and R-10250" in reply.text
    assert ["R-10234 and R-10250" in what for what in promised] == [True]


def test_answer_shows_its_help_page(bot: Chatbot) -> None:
    reply = bot.respond("how many days do I have to return something?", "s1", "nora")
    assert (reply.action, reply.intent) == ("answer", "return_policy")
    assert "45 days" in reply.text
    assert ("article", "returns") in {(source.kind, source.id) for source in reply.sources}


def test_same_question_twice_is_worded_differently(bot: Chatbot) -> None:
    assert say(bot, "how long does delivery take?") != say(bot, "how long does delivery take?")


def test_handoff_is_said_once_and_does_not_loop(bot: Chatbot) -> None:
    first = bot.respond("I want to talk to a human", "s1", "nora")
    assert first.action == "handoff"
    assert first.handed_over
    second = bot.respond("can I speak to a person please", "s1", "nora")
    assert "A colleague takes over" in first.text
    assert "A colleague takes over" not in second.text
    assert second.handed_over
    assert "45 days" in say(bot, "what is your return policy?")


def test_handoff_carries_a_summary_for_the_human(bot: Chatbot) -> None:
    say(bot, "where is my order", "R-10234", "my parcel arrived damaged")
    decision = transcript(bot.memory.store, "s1", "nora")[-1].decision
    assert decision["action"] == "handoff"
    assert "R-10234" in decision["handoff_summary"]
    assert "damaged" in decision["handoff_summary"]


def test_handoff_outside_team_hours_says_when_someone_is_back(bot: Chatbot, clock: Clock) -> None:
    clock.advance(hours=12)  # Tuesday 22:00
    assert "Wednesday 9:00" in say(bot, "I want to talk to a human")


def test_new_session_after_a_handoff_starts_with_the_bot(bot: Chatbot) -> None:
    say(bot, "I want to talk to a human")
    assert not bot.respond("hello", "s2", "nora").handed_over


def test_two_failures_in_a_row_lead_to_a_colleague(bot: Chatbot) -> None:
    replies = [bot.respond("wo ist denn bitte meine Bestellung geblieben", "s1", "nora") for _ in range(2)]
    if replies[0].action == "not_understood":
        assert replies[1].action == "handoff"
    else:
        assert {reply.action for reply in replies} <= {"out_of_scope", "clarify"}


def test_out_of_scope_is_declined(bot: Chatbot) -> None:
    reply = bot.respond("who won the world cup in 1966", "s1", "nora")
    assert reply.action == "out_of_scope"
    assert reply.suggestions


def test_talk_around_a_question_does_not_hide_it(bot: Chatbot) -> None:
    reply = bot.respond("that's a relief, she'll be over the moon. which cards can I pay with", "s1", "nora")
    assert (reply.action, reply.intent) == ("answer", "payment_methods")


def test_thanks_do_not_hide_that_a_person_is_asked_for(bot: Chatbot) -> None:
    reply = bot.respond("Thanks! You've been great. I'd like to speak to a person though.", "s1", "nora")
    assert (reply.action, reply.intent) == ("handoff", "talk_to_human")


def test_help_page_is_quoted_where_no_intent_is_sure(bot: Chatbot) -> None:
    passage = bot.desk.passages[40]
    found = bot.models.knowledge.search(passage.heading, bot.models.encoder.encode([passage.heading])[0])
    assert passage.article in {candidate.passage.article for candidate in found}


def test_memory_answers_what_it_holds(bot: Chatbot, clock: Clock) -> None:
    say(bot, "where is my order", "R-10234", "my name is Nora", "are the boots in stock?", "my parcel arrived damaged")
    clock.advance(days=1)
    assert "R-10234" in say(bot, "what was my order number again?", session="s2")
    assert "24 November 2026" in say(bot, "what did we talk about last time?", session="s2")
    assert "damage" in say(bot, "what did you promise me?", session="s2")
    assert "Nora" in say(bot, "what do you know about me?", session="s2")
    topic = bot.respond("what did you tell me about the boots earlier?", "s2", "nora")
    assert "are the boots in stock" in topic.text
    assert topic.sources[0].kind == "turn"


@pytest.mark.parametrize("asked", ["what was my previous order number?", "what was my order number before that?"])
def test_the_value_before_the_last_is_known_with_its_date(bot: Chatbot, clock: Clock, asked: str) -> None:
    say(bot, "my order number is R-10234")
    assert "earlier order number" in say(bot, asked)  # it has only one
    clock.advance(days=2)
    say(bot, "my order number is R-10120")
    clock.advance(days=1)
    reply = bot.respond(asked, "s2", "nora")
    assert "earlier order number" in reply.text
    assert "R-10234" in reply.text
    assert "24 November 2026" in reply.text
    assert [(source.kind, source.title) for source in reply.sources][:1] == [("fact", "earlier order number: R-10234")]
    assert "R-10120" in say(bot, "what was the order number I told you before?", session="s2")
    assert "R-10234" not in bot.respond(asked, "s3", "tom").text


def test_a_card_number_and_a_password_are_neither_stored_nor_embedded(bot: Chatbot, home: Path) -> None:
    say(bot, "my card 4111 1111 1111 1111 was charged twice, my password is hunter2", "why?")
    assert [turn.text for turn in transcript(bot.memory.store, "s1", "nora")] == [
        "my card [card number] was charged twice, my password is [secret]",
        "why?",
    ]
    held = b"".join(file.read_bytes() for file in home.glob("rapport.sqlite*"))
    assert b"charged twice" in held
    assert b"4111" not in held
    assert b"hunter2" not in held


def test_a_promise_is_owed_in_the_next_session_until_it_is_kept(bot: Chatbot, clock: Clock) -> None:
    say(bot, "I want to make a complaint")
    clock.advance(days=1)
    assert "Still to come, as promised: the team will acknowledge your complaint" in bot.greet("s2", "nora").text
    assert "(by 26 November 2026)" in say(bot, "what did you promise me?", session="s2")
    clock.advance(days=7)
    assert "overdue" in say(bot, "what did you promise me?", session="s3")
    settle(bot.memory.store, commitments(bot.memory.store, "nora")[0].id, "kept", clock.now)
    assert "(done)" in say(bot, "what did you promise me?", session="s4")
    assert "Still to come" not in bot.greet("s5", "nora").text


def test_asked_about_what_was_said_the_bot_says_what_and_when(bot: Chatbot, clock: Clock) -> None:
    say(bot, "how do I wash my down jacket?", "are the boots in stock?")
    clock.advance(days=30)
    reply = bot.respond("what did you tell me about the down jacket before?", "s2", "nora")
    assert "how do I wash my down jacket?" in reply.text
    assert "24 November 2026" in reply.text
    assert reply.sources[0].kind == "turn"


def test_asked_about_what_was_never_said_the_bot_says_so(bot: Chatbot, clock: Clock) -> None:
    say(bot, "how do I wash my down jacket?", "are the boots in stock?")
    clock.advance(days=30)
    reply = bot.respond("what did you tell me about the stove earlier?", "s2", "nora")
    assert reply.action == "recap"
    assert reply.text in bot.desk.answers["earlier_topic"].outcomes["nothing"]
    assert not reply.sources


def test_memory_admits_what_it_does_not_hold(bot: Chatbot) -> None:
    reply = bot.respond("what was my order number again?", "s1", "nora")
    assert reply.action == "recap"
    assert "order number" in reply.text


def test_returning_customer_is_greeted_by_name_with_the_last_topic(bot: Chatbot, clock: Clock) -> None:
    assert "Welcome back" not in bot.greet("s1", "nora").text
    say(bot, "my name is Nora", "how long does delivery take?")
    clock.advance(days=1)
    greeting = bot.greet("s2", "nora").text
    assert "Welcome back, Nora" in greeting
    assert "How long does delivery take?" in greeting


def test_asked_what_was_talked_about_this_chat_counts_too(bot: Chatbot, clock: Clock) -> None:
    asked = "what have we talked about?"
    assert "this chat" not in say(bot, asked)
    say(bot, "how long does delivery take?", "my name is Nora")
    first = bot.respond(asked, "s1", "nora")
    assert "In this chat you asked about “How long does delivery take?”." in first.text
    assert [source.title for source in first.sources] == ["How long does delivery take?"]

    clock.advance(days=1)
    say(bot, "are the tarnside boots in stock?", session="s2")
    later = say(bot, asked, session="s2")
    assert "24 November 2026" in later
    assert later.index("How long does delivery take?") < later.index("In this chat you asked about “Is it in stock?”.")


def test_what_the_last_chat_left_open_is_named_to_who_comes_back(bot: Chatbot, clock: Clock) -> None:
    bot.respond("a pole is missing from my parcel, order R-10250", "s1", "nora")
    clock.advance(days=1)
    greeted = bot.respond("hello", "s2", "nora")
    unclear = bot.respond("who won the world cup in 1966", "s2", "nora")
    answered = bot.respond("which cards can I pay with", "s2", "nora")

    for reply in (greeted, unclear):
        assert "“Something is missing from my parcel”" in reply.text
        assert [source.title for source in reply.sources if source.kind == "turn"] == [
            "Something is missing from my parcel"
        ]
    assert unclear.action == "out_of_scope"
    assert "Still open" not in answered.text
    assert "Still open" not in say(bot, "who won the world cup in 1966", session="s3", customer="ada")


def test_a_customer_who_comes_back_is_greeted_as_one(bot: Chatbot, clock: Clock) -> None:
    assert "again" not in say(bot, "hello")
    say(bot, "how long does delivery take?")
    clock.advance(days=1)
    greeted = bot.respond("hello", "s2", "nora")
    assert "Hello again! We last talked on 24 November 2026." in greeted.text
    assert (greeted.sources[0].kind, greeted.sources[0].title) == ("turn", "How long does delivery take?")
    assert "again" not in say(bot, "hello", session="s2")  # they have been greeted
    assert "again" not in say(bot, "hello", session="s3", customer="tom")


@pytest.mark.parametrize(
    "text", ["can you gift wrap", "do you sell crampons", "no idea", "how long does delivery take"]
)
def test_a_question_is_no_name_of_the_product_that_was_asked_for(bot: Chatbot, text: str) -> None:
    assert bot.respond("how much is it", "s1", "nora").action == "ask"
    assert bot.respond(text, "s1", "nora").action != "look_up"
    assert "product" not in known(bot)


def test_a_name_that_the_shop_does_not_have_is_looked_up(bot: Chatbot) -> None:
    say(bot, "how much is it")
    assert "“ridge runner jacket”" in say(bot, "the ridge runner jacket")


def test_another_customer_sees_nothing(bot: Chatbot) -> None:
    say(bot, "my name is Nora", "where is my order", "R-10234")
    other = [
        bot.respond(text, "s9", "tom").text
        for text in ("what do you know about me?", "what was my order number?", "what did we talk about last time?")
    ]
    assert not any("10234" in text or "Nora" in text for text in other)
    with pytest.raises(WrongCustomerError):
        bot.respond("hello", "s1", "tom")


def test_forget_me_asks_first_and_then_forgets(bot: Chatbot) -> None:
    say(bot, "my name is Nora", "where is my order", "R-10234")
    assert bot.respond("please forget everything about me", "s1", "nora").action == "confirm"
    say(bot, "no")
    assert "order_number" in known(bot)
    say(bot, "please forget everything about me")
    assert bot.respond("Yes", "s1", "nora").action == "forget"
    assert known(bot) == {}
    assert [turn.number for turn in transcript(bot.memory.store, "s1", "nora")] == [1]


def test_a_fact_that_is_named_is_forgotten_alone(bot: Chatbot) -> None:
    say(bot, "my name is Nora, my email is nora@example.com", "where is my order", "R-10234")
    asked = bot.respond("forget my email please", "s1", "nora")
    assert (asked.action, "email address" in asked.text) == ("confirm", True)
    assert "email" in known(bot)
    assert bot.respond("Yes", "s1", "nora").action == "forget"
    assert set(known(bot)) == {"name", "order_number"}
    assert not any("nora@example.com" in turn.text for turn in transcript(bot.memory.store, "s1", "nora"))


def test_forgetting_a_fact_that_is_not_known_does_not_offer_to_forget_everything(bot: Chatbot) -> None:
    say(bot, "my name is Nora")
    assert "phone number" in bot.respond("forget my phone number please", "s1", "nora").text
    say(bot, "Yes")
    assert set(known(bot)) == {"name"}


def test_asking_for_a_detail_is_no_choice_of_what_the_bot_has_offered(bot: Chatbot) -> None:
    say(bot, "I'm Nora")
    assert bot.respond("can I change the address and get a refund?", "s1", "nora").action == "clarify"
    reply = bot.respond("what's my name?", "s1", "nora")
    assert reply.action == "recap"
    assert "Nora" in reply.text


@pytest.mark.parametrize("text", ["what's my name", "Hi! whats my name?", "do you know my email address"])
def test_a_fact_is_told_to_whoever_plainly_asks_for_it(bot: Chatbot, text: str) -> None:
    say(bot, "my name is Nora, my email is nora@example.com")
    reply = bot.respond(text, "s2", "nora")
    assert reply.action == "recap"
    assert ("nora@example.com" if "email" in text else "Nora") in reply.text


def test_turn_survives_a_restart(make_bot: Callable[..., Chatbot]) -> None:
    first = make_bot()
    reply = first.respond("how long does delivery take?", "s1", "nora")
    first.close()
    turns = transcript(make_bot().memory.store, "s1", "nora")
    assert [(turn.id, turn.reply) for turn in turns] == [(reply.turn_id, reply.text)]


def test_same_conversation_gives_the_same_replies(make_bot: Callable[..., Chatbot]) -> None:
    texts = ["hi", "where is my order", "10234", "asdf", "can I return socks?", "what do you know about me?"]
    bot = make_bot()
    first, second = ([bot.respond(text, session, session).text for text in texts] for session in ("one", "two"))
    assert first == second


def test_runnable_methods_give_the_same_reply(bot: Chatbot) -> None:
    text = "how long does delivery take?"

    def ids(name: str) -> dict[str, str]:
        return {"session_id": name, "customer_id": name}

    async def collect() -> str:
        pieces = [piece async for piece in bot.astream(text, **ids("c"))]
        total = pieces[0]
        for piece in pieces[1:]:
            total = total + piece
        return total.text

    streamed = list(bot.stream(text, **ids("b")))
    total = streamed[0]
    for piece in streamed[1:]:
        total = total + piece
    replies = {
        bot.respond(text, **ids("a")).text,
        total.text,
        asyncio.run(collect()),
        bot.invoke(text, **ids("d")).text,
        bot.invoke({"text": text, **ids("e")}).text,
        bot.invoke(text, {"configurable": ids("f")}).text,
        asyncio.run(bot.ainvoke(text, **ids("g"))).text,
        bot.batch([{"text": text, **ids("h")}])[0].text,
        (bot | RunnableLambda(lambda reply: reply.text)).invoke({"text": text, **ids("i")}),
    }
    assert len(replies) == 1
    assert len(streamed) > 3
    assert total.turn_id


def test_messages_sent_at_once_to_one_session_are_answered_in_order(bot: Chatbot) -> None:
    started = threading.Barrier(9)

    def send(session: str) -> None:
        started.wait()
        for number in range(6):
            bot.respond(f"message number {number}", session, session)

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(send, ["a", "b", "c"] * 3))
    for session in "abc":
        turns = transcript(bot.memory.store, session, session)
        assert [turn.number for turn in turns] == list(range(1, 19))


def test_digest_takes_over_what_leaves_the_buffer(bot: Chatbot) -> None:
    say(bot, "where is my order", "R-10234", *["how long does delivery take?"] * 20)
    context = bot.memory.load("s1", "nora", "hi", bot.clock())
    assert context.digest.covers == context.buffer[0].number - 1
    assert "Where is my order?" in dict(context.digest.topics)
    assert "Where is my order?" in dict(session_digest(bot.memory.store, "s1").topics)


@pytest.mark.parametrize("session", ["a/b", "x" * 129, "a b", "../../etc", "s\x00"])
def test_strange_ids_are_refused(bot: Chatbot, session: str) -> None:
    with pytest.raises(ValueError, match="session id"):
        bot.respond("hello", session, "nora")


def test_runnable_refuses_what_is_not_a_message(bot: Chatbot) -> None:
    with pytest.raises(TypeError, match="a message is a text"):
        bot.invoke({"session_id": "s1"})


def test_a_fact_for_a_later_day_is_kept_for_that_day_and_not_used_before(bot: Chatbot, clock: Clock) -> None:
    say(bot, "my email is old@example.com")
    noted = say(bot, "I'm moving to Lindenweg 4 on 1 December", "from Monday reach me at new@example.com")
    assert "new@example.com" not in noted or "from 30 November 2026" in noted
    about = say(bot, "what do you know about me?")
    assert "old@example.com (you told me on 24 November 2026)" in about
    assert "new@example.com from 30 November 2026 (you told me on 24 November 2026)" in about
    assert "Lindenweg 4 from 1 December 2026" in about
    clock.advance(days=7)
    about = say(bot, "what do you know about me?", session="s2")
    assert "old@example.com" not in about
    assert "new@example.com" in about
    assert "Lindenweg 4" in about


def test_a_day_is_the_desks_own(bot: Chatbot, clock: Clock) -> None:
    clock.now = clock.now.replace(month=6, day=30, hour=23, minute=30)  # in London, 1 July has begun
    say(bot, "from tomorrow my email is new@example.com")
    (fact,) = facts_of(bot.memory.store, "nora")
    assert fact.valid.first == date(2026, 7, 2)
