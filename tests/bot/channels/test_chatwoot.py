"""The bot in somebody's Chatwoot: signed webhooks in, messages through its API out, over loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.calls import make_ids
from bot.channels import chatwoot_agent, chatwoot_api
from bot.channels.chatwoot_events import read_event
from bot.chatbot import Chatbot
from bot.problems import RapportError
from bot.settings import Settings, read_settings
from memory import StoreError
from memory.deliveries import waiting
from memory.history import customers, sessions, transcript
from tests.bot.channels.help_desk import ANNA, BOT, NORA, SECRET, TOKEN, HelpDesk, signed
from tests.bot.channels.serving import serving, whole
from tests.conftest import Clock

AT = datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc)
WHO = "web-chatwoot-1-105"  # an unproven contact in conversation 5
SURVEY = {  # a customer's rating, which stands in what Chatwoot asked
    "content_attributes": {"submitted_values": {"csat_survey_response": {"rating": 5, "feedback_message": "quick"}}},
    "content_type": "input_csat",
    "message_type": "template",
    "sender": None,
}
FORM = {
    "content_attributes": {
        "items": [{"type": "checkbox", "name": "gift", "label": "A gift?"}],
        "submitted_values": [{"name": "gift", "value": True}],
    },
    "content_type": "form",
    "message_type": "outgoing",
    "sender": BOT,
}
Serves = Callable[[Chatbot], None]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def desk_of(clock: Clock) -> HelpDesk:
    return HelpDesk(clock)


@pytest.fixture
def options(desk_of: HelpDesk, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings of a bot in that Chatwoot."""
    monkeypatch.setattr(chatwoot_api, "FIRST_WAIT_S", 0.01)
    url = str(stack.enter_context(serving(desk_of.application())).base_url)
    return {"chatwoot_url": url, "chatwoot_token": TOKEN, "chatwoot_secret": SECRET}


@pytest.fixture
def bot(make_bot: Callable[..., Chatbot], options: dict[str, Any]) -> Chatbot:
    return make_bot(settings=options)


@pytest.fixture
def chatwoot(desk_of: HelpDesk, bot: Chatbot, stack: ExitStack) -> HelpDesk:
    """A Chatwoot whose agent bot is this one."""
    desk_of.bot = stack.enter_context(serving(whole(bot)))
    return desk_of


def said_to(bot: Chatbot, customer: str = WHO) -> list[list[str]]:
    """What a customer said, session by session, oldest first."""
    found = sorted(sessions(bot.memory.store, customer), key=lambda one: one.started_at)
    return [[turn.text for turn in transcript(bot.memory.store, one.id, customer)] for one in found]


def test_a_message_is_answered_with_suggestions_as_buttons(chatwoot: HelpDesk, bot: Chatbot) -> None:
    chatwoot.says("how long does standard delivery take?")
    (text,) = chatwoot.said(1)
    (path, body) = chatwoot.calls[0]
    assert "working days" in text
    assert (path, body["content_type"], body["private"]) == ("5/messages", "input_select", False)
    choice = body["content_attributes"]["items"][0]
    assert set(choice) == {"title", "value"}
    attributes = {"items": [choice], "submitted_values": [choice]}
    pressed = {"message_type": "outgoing", "content_type": "input_select", "content_attributes": attributes}
    chatwoot.says(text, event="message_updated", sender=BOT, **pressed)
    chatwoot.said(2)
    assert said_to(bot) == [["how long does standard delivery take?", choice["title"]]]


def test_messages_of_a_conversation_are_answered_in_order(chatwoot: HelpDesk, bot: Chatbot) -> None:
    texts = [f"my order is R-1010{number}" for number in range(6)]
    for text in texts:
        chatwoot.says(text)
    assert [f"R-1010{number}" in text for number, text in enumerate(chatwoot.said(6))] == [True] * 6
    assert said_to(bot) == [texts]


def test_a_delivery_is_answered_once_also_after_a_restart(
    chatwoot: HelpDesk, bot: Chatbot, make_bot: Callable[..., Chatbot], options: dict[str, Any], stack: ExitStack
) -> None:
    event = chatwoot.message("where is my order R-10234?")
    assert [chatwoot.deliver(event, "d1").json()["status"] for _ in range(3)] == ["taken", "known", "known"]
    chatwoot.said(1)
    chatwoot.wait(lambda: not waiting(bot.memory.store))
    chatwoot.bot = stack.enter_context(serving(whole(make_bot(settings=options))))
    assert chatwoot.deliver(event, "d1").json() == {"status": "known"}
    chatwoot.says("do you sell gift cards?")
    assert len(chatwoot.said(2)) == 2
    assert said_to(bot) == [["where is my order R-10234?", "do you sell gift cards?"]]


@pytest.mark.parametrize("cut", ["before the turn", "before the answer", "before the call"])
def test_what_was_under_way_when_a_server_ended_is_finished_by_the_next(
    desk_of: HelpDesk, make_bot: Callable[..., Chatbot], options: dict[str, Any], cut: str, monkeypatch: Any
) -> None:
    bot, text = make_bot(settings=options), "I want to talk to a person"
    broken = {"before the turn": (bot, "respond"), "before the answer": (chatwoot_api.ChatwootApi, "say")}
    with monkeypatch.context() as ended:
        ended.setattr(*broken.get(cut, (chatwoot_api.ChatwootApi, "open")), None)
        with serving(whole(bot)) as desk_of.bot:
            desk_of.says(text)
            if cut == "before the call":
                desk_of.wait(lambda: len(desk_of.calls) == 2)
    assert len(waiting(bot.memory.store)) == 1
    with serving(whole(make_bot(settings=options))):
        desk_of.wait(lambda: desk_of.status.get(5) == "open")
    assert [path for path, _ in desk_of.calls] == ["5/messages", "5/messages", "5/toggle_status"]
    assert said_to(bot) == [[text]]
    assert waiting(bot.memory.store) == []


@pytest.mark.parametrize("refusals", [[429, 503, 500], [404]])
def test_a_busy_chatwoot_is_asked_again_and_a_refusal_is_taken(
    chatwoot: HelpDesk, bot: Chatbot, refusals: list[int]
) -> None:
    chatwoot.refusals.extend(refusals)
    chatwoot.says("hello")
    chatwoot.says("do you sell gift cards?")
    assert len(chatwoot.said(2 if len(refusals) > 1 else 1)) == (2 if len(refusals) > 1 else 1)
    assert said_to(bot) == [["hello", "do you sell gift cards?"]]


def test_what_failed_is_tried_again_without_a_restart(
    chatwoot: HelpDesk, bot: Chatbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chatwoot_agent, "AGAIN_S", 0.5)
    chatwoot.refusals.append(401)
    chatwoot.says("where is my order R-10234?")
    chatwoot.wait(lambda: not chatwoot.refusals)
    chatwoot.says("do you sell gift cards?")  # while the first one waits for another try
    first, second = chatwoot.said(2)
    assert "R-10234" in first and "gift card" in second
    chatwoot.wait(lambda: not waiting(bot.memory.store))
    assert said_to(bot) == [["where is my order R-10234?", "do you sell gift cards?"]]


def test_a_handoff_calls_the_team_with_a_summary_and_the_bot_is_silent(chatwoot: HelpDesk, bot: Chatbot) -> None:
    chatwoot.says("my order is R-10234")
    chatwoot.says("I want to talk to a person")
    chatwoot.wait(lambda: chatwoot.status.get(5) == "open")
    note = chatwoot.calls[-2][1]
    assert note["private"]
    assert "R-10234" in note["content"]
    assert chatwoot.calls[-1] == ("5/toggle_status", {"status": "open"})
    assert chatwoot.deliver(chatwoot.message("hello?")).json() == {"status": "ignored"}
    assert said_to(bot) == [["my order is R-10234", "I want to talk to a person"]]


def test_what_came_while_a_colleague_was_called_is_theirs(chatwoot: HelpDesk, bot: Chatbot) -> None:
    late = chatwoot.message("are you there?")  # written before Chatwoot knew that the conversation is open
    chatwoot.says("I want to talk to a person")
    chatwoot.deliver(late)
    chatwoot.wait(lambda: chatwoot.status.get(5) == "open" and not waiting(bot.memory.store))
    assert len(chatwoot.calls) == 3
    assert said_to(bot) == [["I want to talk to a person"]]


def test_after_a_colleague_a_new_session_begins_and_the_old_handoff_is_over(
    chatwoot: HelpDesk, bot: Chatbot, clock: Clock
) -> None:
    chatwoot.says("I want to talk to a person")
    chatwoot.wait(lambda: chatwoot.status.get(5) == "open")
    clock.advance(minutes=1)
    promise = chatwoot.message("We will send a new tent by Friday.", message_type="outgoing", sender=ANNA)
    assert [chatwoot.deliver(promise).json()["status"] for _ in range(2)] == ["taken", "known"]
    chatwoot.wait(lambda: not waiting(bot.memory.store))
    clock.advance(minutes=1)
    chatwoot.deliver(chatwoot.resolved(), "d9")
    clock.advance(minutes=1)
    chatwoot.status[5] = "pending"
    chatwoot.says("what did you promise me?")
    assert "a new tent by Friday" in chatwoot.said(2)[1]
    assert chatwoot.status[5] == "pending"
    assert said_to(bot) == [["I want to talk to a person", ""], ["what did you promise me?"]]


def test_a_resolved_conversation_that_comes_back_is_a_new_session(
    chatwoot: HelpDesk, bot: Chatbot, clock: Clock
) -> None:
    chatwoot.says("where is my order?")
    chatwoot.said(1)
    clock.advance(minutes=1)
    assert chatwoot.deliver(chatwoot.resolved(), "d1").json() == {"status": "taken"}
    clock.advance(minutes=1)
    chatwoot.status[5] = "pending"
    chatwoot.says("hello")
    chatwoot.said(2)
    assert said_to(bot) == [["where is my order?"], ["hello"]]


def test_an_older_chatwoot_names_the_account_in_the_last_message(chatwoot: HelpDesk) -> None:
    event = chatwoot.resolved()
    del event["account"]
    assert chatwoot.deliver(event).json() == {"status": "taken"}


def test_only_a_proven_contact_is_a_customer(chatwoot: HelpDesk, bot: Chatbot) -> None:
    bot.respond("my order is R-10234", "s1", "customer:nora")
    chatwoot.says("what do you know about me?", number=5)
    chatwoot.says("what do you know about me?", number=6, contact={**NORA, "identifier": None}, verified=True)
    chatwoot.says(
        "what do you know about me?", number=7, contact={**NORA, "identifier": "no name, this"}, verified=True
    )
    assert not any("R-10234" in text for text in chatwoot.said(3))
    chatwoot.says("what do you know about me?", number=8, verified=True)
    assert "R-10234" in chatwoot.said(4)[3]
    known = {"customer:nora", WHO, "web-chatwoot-1-106", "web-chatwoot-1-107"}
    assert {one["id"] for one in customers(bot.memory.store)} == known


def test_a_contact_who_is_proven_in_mid_conversation_goes_on_with_it(chatwoot: HelpDesk, bot: Chatbot) -> None:
    chatwoot.says("where is my order?")
    chatwoot.said(1)
    chatwoot.says("R-10234", verified=True)
    assert "Parcelway" in chatwoot.said(2)[1]
    assert said_to(bot, "customer:nora") == [["where is my order?", "R-10234"]]
    assert [one["id"] for one in customers(bot.memory.store)] == ["customer:nora"]


@pytest.mark.parametrize(
    "changed",
    [
        {"private": True},
        {"message_type": "outgoing", "sender": BOT},
        {"message_type": "activity", "sender": None},
        {"message_type": "template", "sender": None},
        {"message_type": "outgoing", "sender": ANNA, "content": "  "},
        {"message_type": "outgoing", "sender": ANNA, "private": True},
        {"content_attributes": {"deleted": True}},
        {"event": "message_updated"},
        {"event": "message_updated", **SURVEY},
        {"event": "message_updated", **FORM},
        {"event": "conversation_typing_on"},
    ],
)
def test_what_no_customer_says_is_ignored(chatwoot: HelpDesk, bot: Chatbot, changed: dict[str, Any]) -> None:
    assert chatwoot.deliver(chatwoot.message("hello", **changed)).json() == {"status": "ignored"}
    assert customers(bot.memory.store) == []


def test_a_message_without_words_is_answered_in_the_desks_words(chatwoot: HelpDesk) -> None:
    picture = {"id": 4, "message_id": 1, "file_type": "image", "account_id": 1, "extension": None}
    url = "https://chat.example/x.png"
    sizes = {"file_size": 812, "width": 20, "height": 10}
    chatwoot.says(None, attachments=[{**picture, "data_url": url, "thumb_url": url, **sizes}])
    assert chatwoot.said(1)


def test_what_cannot_be_taken_now_is_answered_so_that_chatwoot_delivers_it_again(
    chatwoot: HelpDesk, bot: Chatbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = chatwoot.message("where is my order R-10234?")
    with monkeypatch.context() as locked:
        locked.setattr(chatwoot_agent, "take_in", Mock(side_effect=StoreError("It is locked.")))
        refused = chatwoot.deliver(event)
    assert (refused.status_code, refused.json()["error"]["code"]) == (500, "unavailable")
    with monkeypatch.context() as full:
        full.setattr(chatwoot_agent.Agent, "under_way", 32 + bot.settings.max_waiting_turns)
        refused = chatwoot.deliver(event)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "busy")
    assert chatwoot.deliver(event).json() == {"status": "taken"}


def test_what_chatwoot_did_not_sign_just_now_is_refused(chatwoot: HelpDesk, bot: Chatbot, clock: Clock) -> None:
    assert chatwoot.bot
    body = json.dumps(chatwoot.message("hello")).encode()
    now = int(clock().timestamp())
    wrong = [
        {},
        signed(body, str(now), "guessed"),
        signed(body + b" ", str(now)),
        {**signed(body, str(now)), "X-Chatwoot-Timestamp": str(now + 1)},
        signed(body, str(now - 301)),
        signed(body, str(now + 301)),
        signed(body, ""),
        signed(body, "soon"),
        signed(body, "9" * 400),
    ]
    for headers in wrong:
        assert chatwoot.bot.post("/webhooks/chatwoot", content=body, headers=headers).status_code == 401, headers
    for other in (b"", b"[]", b"{}", b'{"event": "message_created"}', b"\xff", b"[" * 10_000):
        answer = chatwoot.bot.post("/webhooks/chatwoot", content=other, headers=signed(other, str(now)))
        assert answer.status_code == 422, other
    assert customers(bot.memory.store) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_an_event_with_anything_changed_is_read_or_refused(data: st.DataObject) -> None:
    desk = HelpDesk(lambda: AT)
    event = data.draw(
        st.sampled_from([desk.message("hello"), desk.message("hi", event="message_updated"), desk.resolved()])
    )
    inner = data.draw(
        st.sampled_from(
            [event, event.get("conversation", event), event["messages"][0] if "messages" in event else event]
        )
    )
    inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(json_values)
    try:
        read = read_event(json.dumps(event).encode(), data.draw(st.text(max_size=80)), AT)
    except ValidationError:
        return
    if read is not None:
        assert make_ids(f"{read.conversation}:{'0' * 32}", read.customer_id)
        assert len(read.id) <= 128


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_event_are_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        read_event(body, "d1", AT)


def test_who_is_forgotten_gets_no_late_answer(chatwoot: HelpDesk, bot: Chatbot) -> None:
    chatwoot.refusals.extend([500] * 3)
    chatwoot.says("where is my order R-10234?")
    chatwoot.wait(lambda: len(chatwoot.refusals) < 3)
    receipt = bot.forget(WHO)
    assert receipt.removed["deliveries"] == 1
    assert waiting(bot.memory.store) == []


@pytest.mark.parametrize("left_out", ["chatwoot_url", "chatwoot_token", "chatwoot_secret"])
def test_half_a_chatwoot_is_refused_without_showing_secrets(left_out: str) -> None:
    whole = {"chatwoot_url": "https://chat.example", "chatwoot_token": TOKEN, "chatwoot_secret": SECRET}
    del whole[left_out]
    with pytest.raises(RapportError) as refused:
        read_settings(**whole)
    assert "must be set together" in str(refused.value)
    assert TOKEN not in str(refused.value)
    assert SECRET not in str(refused.value)


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        Settings(chatwoot_url="chat.example", chatwoot_token=TOKEN, chatwoot_secret=SECRET)  # type: ignore[arg-type]
