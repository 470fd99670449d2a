"""Boundaries as desk.yaml writes them, and retention that runs by itself when the bot starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.chatbot import Chatbot
from bot.desk import Desk
from bot.desk_files import DeskFile, NextSession
from memory.history import customers, transcript
from tests.conftest import Clock


def desk_with(desk: Desk, **crossing: object) -> Desk:
    file = desk.settings
    limits = file.memory.model_copy(update={"next_session": NextSession(**crossing)})  # type: ignore[arg-type]
    return replace(desk, settings=file.model_copy(update={"memory": limits}))


def test_a_desk_whose_facts_do_not_cross_asks_again(make_bot: Callable[..., Chatbot], desk: Desk) -> None:
    bot = make_bot(desk=desk_with(desk, facts=False))
    bot.respond("where is R-10234?", "s1", "nora")
    assert bot.respond("where is my order?", "s2", "nora").action == "ask"
    assert bot.respond("where is my order?", "s1", "nora").action == "look_up"


def test_a_desk_whose_summaries_do_not_cross_greets_like_the_first_time(
    make_bot: Callable[..., Chatbot], desk: Desk
) -> None:
    bot = make_bot(desk=desk_with(desk, summary=False))
    bot.respond("how long does delivery take?", "s1", "nora")
    assert bot.greet("s2", "nora").text == bot.greet("s3", "somebody-new").text


@pytest.mark.parametrize("days", [True, -1, "long"])
def test_a_boundary_that_is_none_is_refused(days: object) -> None:
    with pytest.raises(ValidationError):
        DeskFile.model_validate({"name": "D", "memory": {"next_session": {"facts": days}}})


def test_what_a_visitor_said_goes_when_the_desk_says_and_a_customers_stays(
    make_bot: Callable[..., Chatbot], desk: Desk, clock: Clock
) -> None:
    longer = desk_with(desk, recall=730)
    visitor, customer = f"web-{'0' * 32}", "customer:nora"
    first = make_bot(desk=longer)
    first.respond("where is R-10234?", "s1", visitor)
    first.respond("where is R-10234?", "s2", customer)
    first.close()
    clock.advance(days=366)
    make_bot(desk=longer).close()  # waits for retention
    store = make_bot(desk=longer).memory.store
    assert transcript(store, "s1", visitor) == []
    assert [one["id"] for one in customers(store)] == [customer]
    assert len(transcript(store, "s2", customer)) == 1


def test_retention_runs_when_the_bot_starts_and_says_what_it_removed(
    make_bot: Callable[..., Chatbot], home: Path, clock: Clock
) -> None:
    first = make_bot()
    first.respond("where is R-10234?", "s1", "nora")
    first.close()
    clock.advance(days=731)
    later = make_bot()
    later.close()  # waits for retention
    (line,) = (home / "retention.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["removed"]["turns"] == 1
    assert transcript(make_bot().memory.store, "s1", "nora") == []
