"""Rasa's REST channel: its request and reply shapes over a real server, and whose memory a sender may open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from bot.chatbot import Chatbot
from memory.history import customers, sessions, transcript
from tests.bot.channels.conftest import Serve, bearer
from tests.bot.channels.portal import SECRET, sign
from tests.conftest import Clock


@pytest.fixture
def rasa(bot: Chatbot, url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{url}/webhooks/rest", headers=bearer(bot), timeout=60) as client:
        yield client


def say(rasa: httpx.Client, message: Any, sender: Any = "nora", **more: Any) -> Any:
    answer = rasa.post("/webhook", json={"sender": sender, "message": message, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_channel_says_that_it_is_there(rasa: httpx.Client) -> None:
    assert rasa.get("/", headers={"Authorization": ""}).json() == {"status": "ok"}


def test_a_reply_has_rasas_shape_with_suggestions_as_buttons(rasa: httpx.Client) -> None:
    (message,) = say(rasa, "how long does standard delivery take?", metadata={"page": "/cart"})
    assert (message["recipient_id"], message["metadata"]["action"]) == ("nora", "answer")
    assert "working days" in message["text"]
    assert message["metadata"]["sources"]
    button = message["buttons"][0]
    assert set(button) == {"title", "payload"}
    (next_message,) = say(rasa, button["payload"])
    assert next_message["metadata"]["confidence"] == 1.0


@pytest.mark.parametrize("payload", ["/delivery_time", '/delivery_time{"country": "uk"}'])
def test_an_intent_with_a_slash_means_what_its_button_means(rasa: httpx.Client, bot: Chatbot, payload: str) -> None:
    (message,) = say(rasa, payload)
    assert message["metadata"]["intent"] == "delivery_time"
    (turn,) = transcript(bot.memory.store, message["metadata"]["session_id"], "customer:nora")
    assert turn.text == bot.desk.answers["delivery_time"].title


def test_a_stream_is_one_message_a_line(rasa: httpx.Client) -> None:
    answer = rasa.post("/webhook", params={"stream": "true"}, json={"sender": "nora", "message": "hello"})
    (line,) = answer.text.splitlines()
    assert answer.text.endswith("\n")
    assert json.loads(line)["recipient_id"] == "nora"


def test_a_sender_goes_on_with_the_conversation_until_it_is_too_old(
    rasa: httpx.Client, bot: Chatbot, clock: Clock
) -> None:
    say(rasa, "where is my order?")
    (message,) = say(rasa, "R-10234")
    assert "R-10234" in message["text"]
    assert len(sessions(bot.memory.store, "customer:nora")) == 1
    clock.advance(hours=bot.desk.settings.memory.new_session_after_hours + 1)
    say(rasa, "hello")
    assert len(sessions(bot.memory.store, "customer:nora")) == 2


def test_messages_sent_at_once_are_one_conversation(rasa: httpx.Client, bot: Chatbot) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: say(rasa, f"my order is R-1010{number}"), range(8)))
    (session,) = sessions(bot.memory.store, "customer:nora")
    assert len(transcript(bot.memory.store, session.id, "customer:nora")) == 8


def test_a_customers_own_token_needs_no_sender(make_bot: Callable[..., Chatbot], serve: Serve) -> None:
    url = serve(make_bot(settings={"jwt_secret": SECRET}))
    proof = {"Authorization": f"Bearer {sign('nora')}"}
    said = httpx.post(f"{url}/webhooks/rest/webhook", json={"message": "hello"}, headers=proof, timeout=60)
    assert said.json()[0]["recipient_id"] == "customer:nora"


def test_senders_do_not_know_each_other(rasa: httpx.Client) -> None:
    say(rasa, "my order is R-10234")
    (message,) = say(rasa, "what do you know about me?", "tom")
    assert "R-10234" not in message["text"]


def test_a_claimed_sender_without_a_key_opens_nothing(rasa: httpx.Client, bot: Chatbot) -> None:
    body = {"sender": "nora", "message": "what do you know about me?"}
    assert rasa.post("/webhook", json=body, headers={"Authorization": ""}).status_code == 401
    assert customers(bot.memory.store) == []


def test_a_sender_may_be_a_number_and_none_of_them_is_nobody(rasa: httpx.Client, bot: Chatbot) -> None:
    for sender in (0, 7):
        answer = rasa.post("/webhook", json={"sender": sender, "message": "hello"})
        assert answer.json()[0]["recipient_id"] == str(sender)
    assert {one["id"] for one in customers(bot.memory.store)} == {"customer:0", "customer:7"}


@pytest.mark.parametrize("sender", [None, "", "not an id", "x" * 200])
def test_a_sender_that_names_nobody_is_refused(rasa: httpx.Client, bot: Chatbot, sender: str | None) -> None:
    answer = rasa.post("/webhook", json={"sender": sender, "message": "hello"})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]
    assert customers(bot.memory.store) == []


def test_an_empty_message_is_answered_in_the_desks_words(rasa: httpx.Client) -> None:
    assert say(rasa, None)[0]["metadata"]["action"] == "empty"
