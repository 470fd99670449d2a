"""What a program meets that talks to the bot over HTTP."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from bot.channels import sse, turns
from bot.chatbot import Chatbot
from memory.history import customers, transcript
from tests.bot.channels.conftest import Serve, bearer, visitor
from tests.bot.test_generation import QUESTION, scripted
from tests.conftest import Clock

EVENTS = {"Accept": "text/event-stream"}


def begin(client: httpx.Client) -> str:
    started = client.post("/sessions", json={})
    assert started.status_code == 201, started.text
    session: str = started.json()["session_id"]
    return session


def send(client: httpx.Client, session: str, text: str, key: str = "") -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(f"/sessions/{session}/messages", json={"text": text}, headers=headers)


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Yield names and data of events as they come; a comment is an event without a name."""
    name = ""
    for line in response.iter_lines():
        if line.startswith(":"):
            yield "", line
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_a_session_greets_and_keeps_nothing_before_the_first_message(bot: Chatbot, nora: httpx.Client) -> None:
    started = nora.post("/sessions", json={}).json()
    assert "Fern" in started["greeting"]["text"]
    assert started["greeting"]["suggestions"]
    assert (started["language"], started["desk"]) == ("en", "Tarn & Thistle")
    assert customers(bot.memory.store) == []
    assert nora.get(f"/sessions/{started['session_id']}/messages").json() == {
        "messages": [],
        "handed_over": False,
        "current": True,
    }


def test_a_message_is_answered_with_its_sources_and_kept(bot: Chatbot, nora: httpx.Client) -> None:
    session = begin(nora)
    assert send(nora, session, "where is my order?").json()["action"] == "ask"
    reply = send(nora, session, "R-10234").json()
    assert (reply["action"], reply["intent"], reply["session_id"]) == ("look_up", "order_status", session)
    assert "Parcelway" in reply["text"]
    assert {"track-your-order", ""} == {source["url"].removeprefix("/help/") for source in reply["sources"]}
    first, second = nora.get(f"/sessions/{session}/messages").json()["messages"]
    assert (first["text"], second["text"]) == ("where is my order?", "R-10234")
    for name in ("message_id", "at", "sources", "suggestions"):
        assert second[name] == reply[name]
    assert (second["reply"], second["written_by"], second["rating"]) == (reply["text"], "desk", None)
    later = nora.get(f"/sessions/{session}/messages", params={"after": first["message_id"]}).json()["messages"]
    assert later == [second]


def test_events_stream_the_reply_that_json_gives(bot: Chatbot, nora: httpx.Client) -> None:
    session = begin(nora)
    path = f"/sessions/{session}/messages"
    with nora.stream("POST", path, json={"text": QUESTION}, headers=EVENTS) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        seen = list(events(response))
    assert {name for name, _ in seen[:-1]} == {"piece"}
    name, reply = seen[-1]
    assert name == "reply"
    assert "".join(piece["text"] for _, piece in seen[:-1]) == reply["text"]
    (kept,) = nora.get(path).json()["messages"]
    assert kept["reply"] == reply["text"]
    assert kept["message_id"] == reply["message_id"]


def test_a_silent_chat_model_keeps_the_stream_alive_and_what_failed_is_replaced(
    make_bot: Callable[..., Chatbot], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.05)
    goes_on = threading.Event()

    def halting() -> Iterator[str | Exception]:
        yield "Three "
        goes_on.wait(30)
        yield RuntimeError("the line is dead")

    bot = make_bot(chat_model=scripted(halting()))
    with visitor(bot, serve(bot)) as nora:
        path = f"/sessions/{begin(nora)}/messages"
        with nora.stream("POST", path, json={"text": QUESTION}, headers=EVENTS) as response:
            seen = events(response)
            assert next(event for event in seen if event[0]) == ("piece", {"text": "Three ", "replaces": False})
            assert next(seen)[0] == ""
            goes_on.set()
            rest = [event for event in seen if event[0]]
    assert rest[0] == ("piece", {"text": "", "replaces": True})
    assert "".join(piece["text"] for _, piece in rest[1:-1]) == rest[-1][1]["text"]


def test_a_turn_is_finished_when_the_client_goes_away(make_bot: Callable[..., Chatbot], serve: Serve) -> None:
    goes_on = threading.Event()

    def slow() -> Iterator[str]:
        yield "Three "
        goes_on.wait(30)
        yield "to five working days."

    bot = make_bot(chat_model=scripted(slow()))
    with visitor(bot, serve(bot)) as nora:
        path = f"/sessions/{begin(nora)}/messages"
        headers = {**EVENTS, "Idempotency-Key": "m1"}
        with nora.stream("POST", path, json={"text": QUESTION}, headers=headers) as response:
            next(events(response))
        goes_on.set()
        again = nora.post(path, json={"text": QUESTION}, headers={"Idempotency-Key": "m1"}).json()
        assert again["text"] == "Three to five working days."
        assert [message["message_id"] for message in nora.get(path).json()["messages"]] == [again["message_id"]]


def test_a_repeated_message_is_one_turn_also_after_a_restart(
    make_bot: Callable[..., Chatbot], serve: Serve, clock: Clock
) -> None:
    bot = make_bot()
    with visitor(bot, serve(bot)) as nora:
        session = begin(nora)
        with ThreadPoolExecutor(5) as crowd:
            replies = list(crowd.map(lambda _: send(nora, session, "where is my order?", "m1").json(), range(5)))
        assert all(reply == replies[0] for reply in replies)
        assert code(send(nora, session, "something else", "m1")) == (422, "key_reused")
        clock.advance(hours=1)
        other = begin(nora)
        assert send(nora, other, "where is my order?", "m1").json()["session_id"] == other
        cookies = nora.cookies
    restarted = make_bot()
    with httpx.Client(base_url=f"{serve(restarted)}/api/v1", cookies=cookies) as nora:
        assert send(nora, session, "where is my order?", "m1").json() == replies[0]
        assert len(nora.get(f"/sessions/{session}/messages").json()["messages"]) == 1
        assert [one["session_id"] for one in nora.get("/sessions").json()["sessions"]] == [other, session]


def test_a_turn_that_failed_is_503_and_the_same_key_may_try_again(
    bot: Chatbot, nora: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begin(nora)
    with monkeypatch.context() as broken:
        broken.setattr(bot, "_answers", None)
        failed = send(nora, session, QUESTION, "m1")
        assert code(failed) == (503, "failed")
        assert failed.headers["retry-after"] == "1"
        with nora.stream("POST", f"/sessions/{session}/messages", json={"text": QUESTION}, headers=EVENTS) as stream:
            assert [name for name, _ in events(stream) if name != "piece"] == ["error"]
    assert send(nora, session, QUESTION, "m1").json()["action"] == "answer"


@pytest.mark.parametrize("other", ["theirs", "unused", "nobody's", "not an id"])
def test_a_session_of_somebody_else_is_like_none(nora: httpx.Client, tom: httpx.Client, other: str) -> None:
    session = begin(tom)
    if other == "theirs":
        send(tom, session, "my name is Tom")
    session = {"nobody's": "s1", "not an id": "%22%20%00"}.get(other, session)
    refusals = [
        send(nora, session, "who am I?"),
        nora.get(f"/sessions/{session}/messages"),
        nora.post(f"/sessions/{session}/feedback", json={"message_id": 1, "rating": 1}),
        nora.post(f"/sessions/{session}/handoff", json={}),
    ]
    assert {code(refusal) for refusal in refusals} == {(404, "no_session")}
    assert len({refusal.text for refusal in refusals}) == 1
    assert nora.get("/sessions").json() == {"sessions": []}


def test_a_rating_replaces_the_one_before_and_reaches_own_messages_alone(nora: httpx.Client, tom: httpx.Client) -> None:
    session, theirs = begin(nora), begin(tom)
    message = send(nora, session, QUESTION).json()["message_id"]
    path = f"/sessions/{session}/feedback"
    for rating in (1, -1):
        assert nora.post(path, json={"message_id": message, "rating": rating}).status_code == 200
    assert nora.get(f"/sessions/{session}/messages").json()["messages"][0]["rating"] == -1
    refused = tom.post(f"/sessions/{theirs}/feedback", json={"message_id": message, "rating": 1})
    assert code(refused) == (404, "no_message")
    assert code(nora.post(path, json={"message_id": message, "rating": 5})) == (422, "invalid")


@pytest.mark.parametrize("text", ["", "it is about R-10234", "yes", "???", "a" * 5000])
def test_a_button_hands_over_whatever_the_words_are(bot: Chatbot, nora: httpx.Client, text: str) -> None:
    session = begin(nora)
    send(nora, session, "where is my order?")
    reply = nora.post(f"/sessions/{session}/handoff", json={"text": text} if text else {}).json()
    assert (reply["action"], reply["handed_over"]) == ("handoff", True)
    assert "A colleague takes over" in reply["text"]
    again = nora.post(f"/sessions/{session}/handoff", json={}).json()
    assert "A colleague already has this conversation" in again["text"]
    kept = nora.get(f"/sessions/{session}/messages").json()
    assert kept["handed_over"]
    assert kept["messages"][1]["text"] == (
        text if 0 < len(text) < 4000 else text[:4000] + "…" if text else "Talk to a person"
    )
    assert nora.get("/sessions").json()["sessions"][0]["handed_over"]


def test_more_than_may_wait_is_refused_at_once(
    make_bot: Callable[..., Chatbot], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 1)
    begun, goes_on = threading.Event(), threading.Event()

    def slow() -> Iterator[str]:
        begun.set()
        goes_on.wait(30)
        yield "Three to five working days."

    bot = make_bot(chat_model=scripted(slow()), settings={"max_waiting_turns": 1})
    url, key = serve(bot), bearer(bot)
    chat = {"messages": [{"role": "user", "content": "hello"}], "user": "tom"}
    with visitor(bot, url) as nora, ThreadPoolExecutor(2) as crowd:
        session = begin(nora)
        first = crowd.submit(send, nora, session, QUESTION)
        assert begun.wait(30)
        second = crowd.submit(send, nora, session, "do you sell gift cards?")
        while "rapport_turns_waiting 1.0" not in httpx.get(f"{url}/metrics").text:
            threading.Event().wait(0.01)
        for refused in (
            send(nora, session, QUESTION),
            httpx.post(f"{url}/v1/chat/completions", json=chat, headers=key),
            httpx.post(f"{url}/v1/chat/completions", json={**chat, "stream": True}, headers=key),
            httpx.post(f"{url}/webhooks/rest/webhook", json={"sender": "tom", "message": "hello"}, headers=key),
        ):
            assert code(refused) == (503, "busy")
            assert refused.headers["retry-after"] == "1"
        goes_on.set()
        assert (first.result().status_code, second.result().status_code) == (200, 200)
        assert "rapport_turns_waiting 0.0" in httpx.get(f"{url}/metrics").text


def test_a_conversation_with_many_messages_takes_one_thread(
    make_bot: Callable[..., Chatbot], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "AT_ONCE", 2)
    begun, goes_on = threading.Event(), threading.Event()

    def slow() -> Iterator[str]:
        begun.set()
        goes_on.wait(30)
        yield "Three to five working days."

    bot = make_bot(chat_model=scripted(slow(), *itertools.repeat(["…"], 5)))
    url, key = serve(bot), bearer(bot)

    def say(sender: str, message: str) -> httpx.Response:
        body = {"sender": sender, "message": message}
        return httpx.post(f"{url}/webhooks/rest/webhook", json=body, headers=key, timeout=60)

    with ThreadPoolExecutor(5) as crowd:
        first = crowd.submit(say, "nora", QUESTION)
        assert begun.wait(30)
        more = [crowd.submit(say, "nora", "hello") for _ in range(4)]
        while "rapport_turns_waiting 4.0" not in httpx.get(f"{url}/metrics").text:
            threading.Event().wait(0.01)
        assert say("tom", "hello").status_code == 200
        goes_on.set()
        assert {one.result().status_code for one in (first, *more)} == {200}


def test_what_is_too_large_or_not_in_form_is_refused_without_repeating_it(nora: httpx.Client) -> None:
    session = begin(nora)
    assert send(nora, session, "a" * 70_000).status_code == 413
    path = f"/sessions/{session}/messages"
    said, as_json = "badger", {"Content-Type": "application/json"}
    bodies = [f'{{"text": 5, "{said}": 1}}', f'["{said}"]', said, '{"\\ud800": 1}', '{"text": 1e999}']
    for body in bodies:
        refused = nora.post(path, content=body, headers=as_json)
        assert code(refused) == (422, "invalid"), body
        assert said not in refused.text or body is bodies[0]  # a field's name may be told
    assert nora.post(path, content='{"text": "\\ud800"}', headers=as_json).json()["action"] == "empty"
    for body in ("[" * 10_000, b'{"text": "\xff"}'):
        assert code(nora.post(path, content=body, headers=as_json)) == (400, "bad_request")
    assert nora.post(path, data={"text": "hello"}).status_code == 422
    assert code(nora.get("/nothing")) == (404, "not_found")
    assert code(nora.delete("/sessions")) == (405, "bad_method")
    assert send(nora, session, "a" * 5000).json()["action"] == "too_long"


def test_nobody_is_let_in_without_proof(bot: Chatbot, url: str) -> None:
    with httpx.Client(base_url=f"{url}/api/v1") as stranger:
        for refused in (stranger.post("/sessions", json={}), stranger.get("/sessions"), stranger.get("/me/memory")):
            assert code(refused) == (401, "unproven")


def test_memory_is_exported_and_forgotten(bot: Chatbot, nora: httpx.Client) -> None:
    assert code(nora.get("/me/memory")) == (404, "nothing_held")
    session = begin(nora)
    message = send(nora, session, "my email is nora@example.com").json()["message_id"]
    assert [turn["id"] for turn in nora.get("/me/memory").json()["turns"]] == [message]
    receipt = nora.delete("/me/memory", params={"fact": "email"}).json()
    assert (receipt["what"], receipt["removed"]["facts"]) == ("fact", 1)
    assert code(nora.delete("/me/memory", params={"fact": "email", "turn": 1})) == (422, "several")
    for slip in ({"session_id": session}, {"message_id": message}, {"session": ""}, {"turn": 0}, {"fact": ""}):
        assert nora.delete("/me/memory", params=slip).status_code == 422  # and not all is gone
    assert nora.delete("/me/memory").json()["removed"]["turns"] == 1
    assert transcript(bot.memory.store, session, bot.memory.store.url) == []
    assert nora.get(f"/sessions/{session}/messages").json()["messages"] == []


def test_a_customer_may_have_a_name_in_any_script(bot: Chatbot, url: str) -> None:
    with httpx.Client(base_url=f"{url}/api/v1", headers=bearer(bot, "chat", "memory")) as shop:
        session = shop.post("/sessions", json={"customer_id": "josé"}).json()["session_id"]
        shop.post(f"/sessions/{session}/messages", json={"text": "hello", "customer_id": "josé"})

        assert shop.delete("/me/memory", params={"customer_id": "josé"}).json()["removed"]["turns"] == 1
        refused = shop.post("/sessions", json={"customer_id": "josé & co"})
    assert "must be 1 to 128 letters, digits or _ . : @ + | -" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "content_type", "sentence"),
    [
        ('{"text": "hello"}', "application/x-www-form-urlencoded", "with `Content-Type: application/json`"),
        ('["hello"]', "application/json", "Send an object as JSON"),
        ('{"text": "hello"', "application/json", "The body is not JSON: there is a mistake at character 16"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(nora: httpx.Client, body: str, content_type: str, sentence: str) -> None:
    answer = nora.post(f"/sessions/{begin(nora)}/messages", content=body, headers={"Content-Type": content_type})

    assert answer.status_code == 422
    assert sentence in answer.json()["error"]["message"]


def test_the_document_gives_an_example_of_everything_that_is_sent_and_answered(url: str) -> None:
    document = httpx.get(f"{url}/api/v1/openapi.json").json()

    def has_example(part: Any) -> bool:
        if isinstance(part, list):
            return any(map(has_example, part))
        if not isinstance(part, dict):
            return False
        if "$ref" in part:
            return has_example(document["components"]["schemas"][part["$ref"].rpartition("/")[2]])
        return bool(part.keys() & {"example", "examples"}) or any(map(has_example, part.values()))

    missing = [
        (method, path, what)
        for path, ways in document["paths"].items()
        for method, way in ways.items()
        for what, part in (("body", way.get("requestBody")), ("answer", next(iter(way["responses"].values()))))
        if part is not None and not has_example(part)
    ]
    assert missing == []
