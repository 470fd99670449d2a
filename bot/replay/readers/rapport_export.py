"""What `rapport memory export CUSTOMER` prints: everything held about a customer; each session is a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from bot.replay.readers.draft import Draft, Said, moment
from bot.replay.readers.form import Form, parse

_ANSWERED = ("answer", "look_up", "recap")  # actions that say the answer of an intent


class _Session(BaseModel):
    id: str
    started_at: str


class _Decision(BaseModel):
    action: str
    intent: str


class _Turn(BaseModel):
    session_id: str
    at: str
    text: str
    reply: str
    decision: _Decision


class _Fact(BaseModel):
    name: str
    value: str


class _Export(BaseModel):
    customer_id: str
    sessions: list[_Session]
    turns: list[_Turn]
    facts: list[_Fact]


def _recognises(value: Any) -> bool:
    return isinstance(value, dict) and {"customer_id", "sessions", "turns", "facts"} <= value.keys()


def _read(value: Any) -> Iterator[Draft]:
    export = parse(_Export, value)
    names = frozenset(fact.value for fact in export.facts if fact.name == "name")
    for session in export.sessions:
        turns = [turn for turn in export.turns if turn.session_id == session.id]
        said = tuple(one for turn in turns for one in _said(turn))
        yield Draft(session.id, export.customer_id, said, moment(session.started_at), names)


def _said(turn: _Turn) -> Iterator[Said]:
    """Yield both messages of a turn; the bot's carries the answer it came from."""
    at = moment(turn.at)
    answered = turn.decision.action in _ANSWERED
    yield Said("customer", turn.text, at)
    yield Said("bot", turn.reply, at, answer=turn.decision.intent if answered else None)


RAPPORT_EXPORT = Form("rapport-export", _recognises, _read)
