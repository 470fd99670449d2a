"""The unmodified `openai` client talks to a desk over loopback."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from bot.chatbot import Chatbot
from bot.generation import GenerationError
from memory.history import customers, sessions, transcript
from tests.bot.channels.conftest import Serve, bearer
from tests.bot.test_generation import QUESTION, scripted
from tests.conftest import Clock


@pytest.fixture
def key(bot: Chatbot) -> str:
    return bearer(bot)["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def client(url: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        yield client


class Chat:
    """A chat client: it sends its whole history each time, as such clients do."""

    def __init__(self, client: openai.OpenAI, user: str = "nora") -> None:
        self.client, self.user, self.history = client, user, list[Any]()

    def say(self, text: str, **more: Any) -> Any:
        self.history.append({"role": "user", "content": text})
        done = self.send(**more)
        self.history.append({"role": "assistant", "content": done.choices[0].message.content})
        return done

    def send(self, **more: Any) -> Any:
        return self.client.chat.completions.create(model="x", messages=self.history, user=self.user, **more)


def _texts(bot: Chatbot, customer: str = "customer:nora") -> list[list[str]]:
    """Return what a customer said, session by session, oldest first."""
    found = sorted(sessions(bot.memory.store, customer), key=lambda session: (session.started_at, session.last_at))
    return [[turn.text for turn in transcript(bot.memory.store, one.id, customer)] for one in found]


def test_the_desk_is_the_only_model(client: openai.OpenAI, bot: Chatbot) -> None:
    assert [model.id for model in client.models.list()] == [bot.desk.name]
    assert client.models.retrieve(bot.desk.name).id == bot.desk.name
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("gpt-5-mini")
    assert refused.value.code == "model_not_found"


def test_a_completion_has_openais_shape_and_says_where_it_came_from(client: openai.OpenAI, bot: Chatbot) -> None:
    done = Chat(client).say("how long does standard delivery take?")
    assert (done.object, done.model, len(done.choices)) == ("chat.completion", bot.desk.name, 1)
    choice = done.choices[0]
    assert (choice.index, choice.finish_reason, choice.message.role) == (0, "stop", "assistant")
    turn = transcript(bot.memory.store, done.rapport["session_id"], "customer:nora")[0]
    assert choice.message.content == turn.reply
    assert done.usage.prompt_tokens > 0
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
    assert (done.rapport["turn_id"], done.rapport["action"]) == (turn.id, "answer")
    assert done.rapport["sources"][0]["kind"] == "article"
    assert done.rapport["suggestions"]


def test_a_stream_adds_up_to_the_reply_that_is_kept(client: openai.OpenAI, bot: Chatbot) -> None:
    with_usage = {"stream": True, "stream_options": {"include_usage": True}}
    chat = Chat(client)
    chat.history = [{"role": "user", "content": "how long does standard delivery take?"}]
    *pieces, last, usage = list(chat.send(**with_usage))
    text = "".join(piece.choices[0].delta.content for piece in pieces)
    assert {piece.object for piece in pieces} == {"chat.completion.chunk"}
    assert len({piece.id for piece in (*pieces, last, usage)}) == 1
    assert len(pieces) > 5
    assert pieces[0].choices[0].delta.role == "assistant"
    assert last.choices[0].finish_reason == "stop"
    assert text == transcript(bot.memory.store, last.rapport["session_id"], "customer:nora")[0].reply
    assert usage.choices == []
    assert usage.usage.completion_tokens > 0


def test_the_raw_stream_ends_with_done(url: str, key: str) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "user": "nora", "stream": True}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    assert all(line.startswith("data: {") for line in lines[:-2])


@pytest.mark.parametrize("stream", [False, True])
def test_half_a_character_is_left_out_and_the_rest_answered(url: str, key: str, stream: bool) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    body = {"messages": [{"role": "user", "content": "hello \ud800"}], "user": "nora", **options}
    answer = httpx.post(
        f"{url}/v1/chat/completions",
        content=json.dumps(body),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 200
    assert "completion_tokens" in answer.text
    assert answer.text.endswith("data: [DONE]\n\n") == stream


async def _stream(url: str, key: str) -> str:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key) as client:
        messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "where is my order R-10234?"}]}]
        stream = await client.chat.completions.create(model="x", messages=messages, user="nora", stream=True)
        return "".join([piece.choices[0].delta.content or "" async for piece in stream])


def test_the_async_client_streams_and_content_may_come_in_parts(url: str, key: str) -> None:
    assert "R-10234" in asyncio.run(_stream(url, key))


def test_a_growing_history_is_one_session_and_enters_memory_once(client: openai.OpenAI, bot: Chatbot) -> None:
    chat = Chat(client)
    first = chat.say("where is my order?")
    assert first.rapport["action"] == "ask"
    second = chat.say("R-10234")
    assert second.rapport["session_id"] == first.rapport["session_id"]
    assert "R-10234" in second.choices[0].message.content
    assert _texts(bot) == [["where is my order?", "R-10234"]]


def test_two_chats_are_two_sessions_even_with_the_same_first_words(
    client: openai.OpenAI, bot: Chatbot, clock: Clock
) -> None:
    one, other = Chat(client), Chat(client)
    one.say("hello")
    one.say("where is my order?")
    clock.advance(minutes=1)
    other.say("hello")
    other.say("do you sell gift cards?")
    clock.advance(minutes=1)
    Chat(client).say("how do I return a jacket?")
    assert _texts(bot) == [
        ["hello", "where is my order?"],
        ["hello", "do you sell gift cards?"],
        ["how do I return a jacket?"],
    ]


@pytest.mark.parametrize("text", ["where is my order R-10234?", "where is it? " * 1000])
def test_the_same_request_again_is_the_same_turn(client: openai.OpenAI, bot: Chatbot, clock: Clock, text: str) -> None:
    chat = Chat(client)
    first = chat.say(text)
    del chat.history[-1]
    again = chat.send()  # what a client does after a lost connection
    assert again.choices[0].message.content == first.choices[0].message.content
    assert again.rapport == first.rapport
    assert _texts(bot) == [[bot.kept_text(text)]]
    clock.advance(days=1)
    chat.send()  # asked anew, it is looked up anew
    assert len(_texts(bot)) == 2


def test_a_session_may_be_named_in_the_body_or_in_a_header(client: openai.OpenAI, bot: Chatbot) -> None:
    Chat(client).say("hello", metadata={"session_id": "mine"})
    Chat(client).say("do you sell gift cards?", extra_headers={"X-Rapport-Session": "mine"})
    turns = transcript(bot.memory.store, "mine", "customer:nora")
    assert [turn.text for turn in turns] == ["hello", "do you sell gift cards?"]


def test_customers_do_not_share_a_session(client: openai.OpenAI, bot: Chatbot) -> None:
    Chat(client).say("my order is R-10234", metadata={"session_id": "mine"})
    with pytest.raises(openai.PermissionDeniedError) as refused:
        Chat(client, "tom").say("what did I tell you?", metadata={"session_id": "mine"})
    assert refused.value.code == "not_yours"
    assert "R-10234" not in Chat(client, "tom").say("what do you know about me?").choices[0].message.content


@pytest.mark.parametrize(
    ("body", "error", "code"),
    [
        ({"user": ""}, openai.UnprocessableEntityError, "no_customer"),
        ({"user": "no id, this"}, openai.UnprocessableEntityError, "bad_customer"),
        ({"messages": []}, openai.BadRequestError, "invalid"),
        ({"messages": [{"role": "system", "content": "x"}]}, openai.BadRequestError, "no_message"),
        ({"messages": "hello"}, openai.BadRequestError, "invalid"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_in_openais_form(
    client: openai.OpenAI, bot: Chatbot, body: dict[str, Any], error: type[openai.APIStatusError], code: str
) -> None:
    given = {"model": "x", "messages": [{"role": "user", "content": "hello"}], "user": "nora", **body}
    with pytest.raises(error) as refused:
        client.chat.completions.create(**given)
    assert refused.value.type == "invalid_request_error"
    assert refused.value.code == code
    assert refused.value.message
    assert customers(bot.memory.store) == []


def test_what_is_not_there_or_too_large_is_refused_in_openais_form(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.embeddings.create(model="x", input="hello")
    assert (refused.value.code, refused.value.type) == ("not_found", "invalid_request_error")
    with pytest.raises(openai.APIStatusError) as large:
        Chat(client).say("a" * 1_200_000)
    assert (large.value.status_code, large.value.code, large.value.type) == (413, "too_large", "invalid_request_error")


def test_a_part_without_words_says_nothing(client: openai.OpenAI, bot: Chatbot) -> None:
    part: Any = {"type": "text", "text": None}
    done = client.chat.completions.create(model="x", messages=[{"role": "user", "content": [part]}], user="nora")

    assert done.choices[0].message.content == bot.desk.replies["empty"][0]


def test_without_a_key_nothing_is_answered(url: str, bot: Chatbot) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="guessed") as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            Chat(client).say("hello")
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    assert refused.value.type == "authentication_error"
    assert customers(bot.memory.store) == []


def test_a_key_needs_the_scope_chat(bot: Chatbot, url: str) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "user": "nora"}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=bearer(bot, "memory"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")


def test_an_answer_that_replaces_a_failed_models_words_follows_after_a_gap(
    make_bot: Callable[..., Chatbot], serve: Serve
) -> None:
    bot = make_bot(chat_model=scripted(["About a ", GenerationError("gone")], *itertools.repeat(["…"], 3)))
    body = {"messages": [{"role": "user", "content": QUESTION}], "user": "nora", "stream": True}
    answer = httpx.post(f"{serve(bot)}/v1/chat/completions", json=body, headers=bearer(bot))
    (session,) = sessions(bot.memory.store, "customer:nora")
    kept = transcript(bot.memory.store, session.id, "customer:nora")[0].reply
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line.startswith("data: {")]
    text = "".join(json.loads(one)["choices"][0]["delta"].get("content", "") for one in events)
    assert text == f"About a \n\n{kept}"


def test_a_request_with_a_key_is_one_turn_whatever_came_after_it(client: openai.OpenAI, bot: Chatbot) -> None:
    chat, key = Chat(client), {"Idempotency-Key": "r1"}
    first = chat.say("where is my order R-10234?", extra_headers=key)
    other = Chat(client)
    other.say("where is my order R-10234?", extra_headers={"Idempotency-Key": "r2"})
    other.say("do you sell gift cards?")
    del chat.history[-1]
    assert chat.send(extra_headers=key).rapport == first.rapport
    assert len(_texts(bot)) == 2
    chat.history.append({"role": "user", "content": "something else"})
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        chat.send(extra_headers=key)
    assert refused.value.code == "key_reused"


def test_a_stream_begins_while_the_reply_is_written(make_bot: Callable[..., Chatbot], serve: Serve) -> None:
    goes_on = threading.Event()

    def slow() -> Iterator[str]:
        yield "Three "
        goes_on.wait(30)
        yield "to five working days."

    bot = make_bot(chat_model=scripted(slow()))
    body = {"messages": [{"role": "user", "content": QUESTION}], "user": "nora", "stream": True}
    with httpx.stream("POST", f"{serve(bot)}/v1/chat/completions", json=body, headers=bearer(bot)) as answer:
        lines = (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: {"))
        texts = (json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines)
        assert [next(texts), next(texts)] == ["", "Three "]
        goes_on.set()
        assert "".join(texts) == "to five working days."
