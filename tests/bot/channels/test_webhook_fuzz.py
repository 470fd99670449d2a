"""Bodies that no client of OpenAI's API and no channel of Rasa's would send: refused in words, never a server error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.chatbot import Chatbot
from bot.desk import Desk
from bot.models import Models
from bot.settings import Settings
from memory import Store
from tests.bot.channels.conftest import bearer
from tests.bot.channels.serving import serving, whole
from tests.schema_fuzz import UNLIMITED

FUZZED = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))

words = st.text(max_size=40) | st.sampled_from(["hello", "/delivery_time{", "\x00", "\ud800", "\u2028", ""])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
parts = st.lists(st.fixed_dictionaries({"type": st.just("text") | anything, "text": words | anything}), max_size=3)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]) | anything, "content": words | parts | anything}
)
chats = st.fixed_dictionaries(
    {"messages": st.lists(messages, max_size=4) | anything},
    optional={
        "model": anything,
        "stream": st.booleans() | anything,
        "stream_options": st.fixed_dictionaries({"include_usage": st.booleans()}) | anything,
        "user": st.just("nora") | anything,
        "metadata": st.fixed_dictionaries({"session_id": words | anything}) | anything,
    },
)
said = st.fixed_dictionaries(
    {"sender": st.just("nora") | anything, "message": words | anything}, optional={"metadata": anything}
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
@given(chats | anything)
@example({"messages": [{"role": "user", "content": "hello"}], "stream": True})
@example({"messages": [{"role": "user", "content": "hello"}], "metadata": {"session_id": "\ud800"}})
def test_whatever_a_chat_client_sends_is_answered_or_refused_in_words(client: httpx.Client, body: object) -> None:
    post(client, "/v1/chat/completions", json.dumps(body).encode())


@FUZZED
@given(said | anything)
@example({"sender": "\x00", "message": "hello"})
@example({"sender": 9**400, "message": "hello"})
def test_whatever_a_channel_of_rasas_sends_is_answered_or_refused_in_words(client: httpx.Client, body: object) -> None:
    post(client, "/webhooks/rest/webhook", json.dumps(body).encode())


@FUZZED
@given(st.binary(max_size=200), st.sampled_from(["/v1/chat/completions", "/webhooks/rest/webhook"]))
@example(b"[" * 100_000, "/v1/chat/completions")
@example(b'{"message": "\xff"}', "/webhooks/rest/webhook")
def test_bytes_that_are_no_json_are_refused(client: httpx.Client, body: bytes, path: str) -> None:
    post(client, path, body)


def test_a_genuine_body_gets_through(client: httpx.Client) -> None:
    chat = {"messages": [{"role": "user", "content": "how long does standard delivery take?"}], "user": "nora"}
    assert post(client, "/v1/chat/completions", json.dumps(chat).encode()).json()["rapport"]["action"] == "answer"
    (message,) = post(client, "/webhooks/rest/webhook", b'{"sender": "nora", "message": "hello"}').json()
    assert message["text"]
