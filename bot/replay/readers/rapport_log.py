"""Rapport's own log: JSON Lines, one conversation a line (finetune/logs.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bot.replay.readers.draft import Draft, Said
from bot.replay.readers.form import Form, parse
from finetune.logs import Conversation


def _recognises(value: Any) -> bool:
    return isinstance(value, dict) and {"conversation_id", "messages"} <= value.keys()


def _read(value: Any) -> Iterator[Draft]:
    one = parse(Conversation, value)
    said = tuple(Said(each.role, each.text, each.at, each.intent, each.answer) for each in one.messages)
    yield Draft(one.conversation_id, one.customer_id, said, one.started_at)


RAPPORT_LOG = Form("rapport", _recognises, _read)
