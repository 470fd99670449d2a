"""Forgetting while the bot works: turns under way, what models keep, and who may ask for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from bot.channels.caller import Callers
from bot.channels.errors import answer_errors
from bot.channels.memory_api import memory_api
from bot.chatbot import Chatbot
from bot.forgetting import public_texts
from bot.training_rows import TrainingRows
from bot.ui.visitor import COOKIE, Visitors
from memory import StoreError
from memory.conversation import ForgottenError
from memory.history import export, facts_of, transcript
from memory.proof import prove
from retrieval.model_folder import read_manifest, write_manifest

SAID = "my badger lives under the third bridge in Ambleside"


@pytest.fixture
def api(bot: Chatbot) -> tuple[TestClient, Visitors]:
    visitors = Visitors(bot)
    application = FastAPI()
    application.include_router(memory_api(bot, Callers(bot.settings, bot)))
    answer_errors(application)
    return TestClient(application), visitors


def test_a_turn_under_way_does_not_bring_back_what_is_forgotten(bot: Chatbot) -> None:
    bot.respond(SAID, "s1", "nora")
    stale = bot.memory.load("s2", "nora", "hi", bot.clock())
    bot.forget("nora")
    with pytest.raises(ForgottenError):
        bot.memory.save(stale, "hi", "hello", {}, facts={}, handed_over=False)
    with pytest.raises(StoreError, match="Nothing is held"):
        export(bot.memory.store, "nora")


@pytest.mark.parametrize("what", ["session_id", "turn_id", "fact"])
def test_a_turn_that_has_read_a_forgotten_part_is_not_kept(bot: Chatbot, what: str) -> None:
    turn = bot.respond("my email is nora@example.com", "s1", "nora").turn_id
    stale = bot.memory.load("s2", "nora", "hi", bot.clock())
    bot.forget("nora", **{what: {"session_id": "s1", "turn_id": turn, "fact": "email"}[what]})  # type: ignore[arg-type]
    with pytest.raises(ForgottenError):
        bot.memory.save(stale, "hi", "nora@example.com", {}, facts={}, handed_over=False)
    assert "nora@example.com" not in json.dumps(export(bot.memory.store, "nora"))
    assert bot.respond("hello again", "s2", "nora").turn_id


def test_a_reply_that_is_written_while_everything_is_forgotten_is_not_kept(make_bot: Callable[..., Chatbot]) -> None:
    def words() -> Iterator[AIMessage]:
        bot.forget("nora")
        yield AIMessage("It is about the badger.")

    bot = make_bot()
    bot.respond(SAID, "s1", "nora")
    bot = make_bot(chat_model=GenericFakeChatModel(messages=words()))
    reply = bot.respond("how long does delivery take?", "s1", "nora")
    assert reply.action == "failed"
    assert "not kept" in reply.text
    with pytest.raises(StoreError, match="Nothing is held"):
        export(bot.memory.store, "nora")


def test_others_turns_under_way_are_kept(bot: Chatbot) -> None:
    bot.respond(SAID, "s1", "nora")
    under_way = bot.memory.load("t1", "tom", "hi", bot.clock())
    bot.forget("nora")
    assert bot.memory.save(under_way, "hi", "hello", {}, facts={}, handed_over=False)


def test_a_running_bot_drops_what_another_process_has_forgotten(make_bot: Callable[..., Chatbot]) -> None:
    serving, command = make_bot(), make_bot()
    serving.respond("my email is nora@example.com", "s1", "nora")
    assert (
        serving.memory.load("s2", "nora", "my email is nora@example.com", serving.clock()).recalled[0].similarity > 0.99
    )
    command.forget("nora", fact="email")
    (left,) = serving.memory.load("s2", "nora", "my email is nora@example.com", serving.clock()).recalled
    assert "nora@example.com" not in left.turn.text
    assert left.similarity < 0.95


def test_forgetting_in_the_chat_is_proven_by_its_receipt(bot: Chatbot, home: Path) -> None:
    bot.respond(SAID, "s1", "nora")
    bot.respond("please forget everything you know about me", "s1", "nora")
    assert bot.respond("yes", "s1", "nora").action == "forget"
    assert [turn.text for turn in transcript(bot.memory.store, "s1", "nora")] == ["yes"]
    assert facts_of(bot.memory.store, "nora") == []
    (home / "models").unlink()
    receipt = bot.forget("nora")
    assert len(list((home / "receipts").iterdir())) == 2
    assert prove(receipt, home, bot.memory.store).holds


def test_training_rows_made_from_a_forgotten_message_leave_the_models(bot: Chatbot, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "desk" / "intent-0001"
    folder.mkdir(parents=True)
    rows = [{"text": SAID, "labels": "pets"}, {"text": "where is my order?", "labels": "order_status"}]
    (folder / "rehearsal.json").write_text(json.dumps({"sample": rows, "seen": []}), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps({"mistakes": rows, "name": "desk"}), encoding="utf-8")
    (folder / "report.html").write_text(f"<td>{SAID}</td>", encoding="utf-8")
    write_manifest(folder, {"kind": "intent"})
    rows_of = TrainingRows(tmp_path, list(public_texts(bot.desk)))

    assert rows_of.erase([SAID.upper(), "where is my order?", "ok"]) == 2

    assert not [path for path in folder.iterdir() if SAID in path.read_text(encoding="utf-8")]
    assert json.loads((folder / "rehearsal.json").read_text(encoding="utf-8"))["sample"] == rows[1:]
    assert read_manifest(folder)["kind"] == "intent"


def test_only_a_proven_visitor_sees_and_forgets_their_memory(bot: Chatbot, api: tuple[TestClient, Visitors]) -> None:
    client, visitors = api
    cookie, _ = visitors.issue()
    customer = visitors.customer({COOKIE: cookie})
    bot.respond(SAID, "s1", customer)
    bot.respond(SAID, "t1", "tom")

    for claimed in ({}, {COOKIE: "tom"}, {COOKIE: cookie[:-1]}):
        client.cookies = claimed
        assert client.get("/memory").status_code == 401
        assert client.delete("/memory", params={"customer": "tom"}).status_code == 401
    client.cookies = {COOKIE: cookie}
    assert [turn["text"] for turn in client.get("/memory").json()["turns"]] == [SAID]
    assert client.delete("/memory", params={"session": "t1"}).json()["removed"]["turns"] == 0
    assert client.delete("/memory", params={"session": "s1", "fact": "email"}).status_code == 422
    assert client.delete("/memory", params={"customer": "tom"}).status_code == 422
    assert client.delete("/memory").json()["removed"]["turns"] == 1
    assert client.get("/memory").status_code == 404
    assert len(transcript(bot.memory.store, "t1", "tom")) == 1
