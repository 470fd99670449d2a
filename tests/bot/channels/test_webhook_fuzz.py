"""Bodies that no client of OpenAI's API and no channel of Rasa's would send: refused in words, never a server error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.chatbot import Chatbot
from bot.desk import Desk
from bot.models import Models
from bot.settings import Settings
from memory import Store
from tests.bot.channels.conftest import bearer
from tests.bot.channels.serving import serving, whole
from tests.bot.channels.test_fuzz import FUZZED, json_values
from tests.schema_fuzz import UNLIMITED

words = st.text(max_size=40) | st.sampled_from(["hello", "/delivery_time{", "\x00", "\ud800", "\u2028", ""])


def mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What belongs in a place, or one time in eight anything: most bodies get behind the door, with little wrong."""
    return st.integers(0, 7).flatmap(lambda drawn: right if drawn else json_values | words)


parts = st.lists(st.fixed_dictionaries({"type": mostly(st.just("text")), "text": mostly(words)}), max_size=3)
messages = st.fixed_dictionaries(
    {"role": mostly(st.sampled_from(["user", "user", "assistant", "system"])), "content": mostly(words | parts)}
)
chats = st.fixed_dictionaries(
    {"messages": mostly(st.lists(messages, min_size=1, max_size=3)), "user": mostly(st.just("nora"))},
    optional={
        "model": json_values,
        "stream": mostly(st.booleans()),
        "stream_options": mostly(st.fixed_dictionaries({"include_usage": mostly(st.booleans())})),
        "metadata": mostly(st.fixed_dictionaries({"session_id": mostly(words)})),
    },
)
said = st.fixed_dictionaries(
    {"sender": mostly(st.just("nora")), "message": mostly(words)}, optional={"metadata": json_values}
)


@pytest.fixture(scope="module")
def client(desk: Desk, models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    made = Settings(home=tmp_path_factory.mktemp("home"), **UNLIMITED)
    bot = Chatbot(desk, models, Store(made.database), made)
    with serving(whole(bot)) as client:
        client.headers.update({**bearer(bot), "Content-Type": "application/json"})
        yield client
    bot.close()


def post(client: httpx.Client, path: str, body: bytes) -> httpx.Response:
    """Return an answer that is no server error and, where it refuses, says why."""
    answer = client.post(path, content=body)
    assert answer.status_code < 500, (body, answer.text)
    if answer.status_code >= 400:
        error: Any = answer.json()["error"]
        assert error["message"], (body, answer.text)
    return answer


@FUZZED
@given(mostly(chats))
@example({"messages": [{"role": "user", "content": "hello"}], "stream": True})
@example({"messages": [{"role": "user", "content": "hello"}], "metadata": {"session_id": "\ud800"}})
def test_whatever_a_chat_client_sends_is_answered_or_refused_in_words(client: httpx.Client, body: object) -> None:
    post(client, "/v1/chat/completions", json.dumps(body).encode())


@FUZZED
@given(mostly(said))
@example({"sender": "\x00", "message": "hello"})
@example({"sender": 9**400, "message": "hello"})
def test_whatever_a_channel_of_rasas_sends_is_answered_or_refused_in_words(client: httpx.Client, body: object) -> None:
    post(client, "/webhooks/rest/webhook", json.dumps(body).encode())


@FUZZED
@given(st.binary(max_size=200), st.sampled_from(["/v1/chat/completions", "/webhooks/rest/webhook"]))
@example(b"[" * 100_000, "/v1/chat/completions")
@example(b'{"message": "\xff"}', "/webhooks/rest/webhook")
def test_bytes_that_are_no_json_are_refused(client: httpx.Client, body: bytes, path: str) -> None:
    assert post(client, path, body).status_code >= 400


def test_a_genuine_body_gets_through(client: httpx.Client) -> None:
    chat = {"messages": [{"role": "user", "content": "how long does standard delivery take?"}], "user": "nora"}
    assert post(client, "/v1/chat/completions", json.dumps(chat).encode()).json()["rapport"]["action"] == "answer"
    (message,) = post(client, "/webhooks/rest/webhook", b'{"sender": "nora", "message": "hello"}').json()
    assert message["text"]
