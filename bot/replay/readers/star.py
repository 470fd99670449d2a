"""STAR (https://github.com/RasaHQ/STAR, format 7): a JSON document a dialogue, what was said among its `Events`.

Nobody can be known across dialogues: their users play another person each time. The wizard's action labels are kept as
answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, Field

from bot.replay.readers.draft import Draft, Role, Said, moment
from bot.replay.readers.form import Form, parse

_ROLES: dict[str, Role] = {"User": "customer", "Wizard": "agent"}
_SENT = ("utter", "pick_suggestion")  # a request for suggestions is a message that was not sent


class _Event(BaseModel):
    agent: str = Field(alias="Agent")
    action: str = Field(alias="Action")
    label: str | None = Field(default=None, alias="ActionLabel")
    text: str | None = Field(default=None, alias="Text")
    time: int | None = Field(default=None, alias="UnixTime")


class _Dialogue(BaseModel):
    id: int = Field(alias="DialogueID")
    events: list[_Event] = Field(alias="Events")


def _recognises(value: Any) -> bool:
    return isinstance(value, dict) and {"DialogueID", "Events"} <= value.keys()


def _read(value: Any) -> Iterator[Draft]:
    dialogue = parse(_Dialogue, value)
    sent = [one for one in dialogue.events if one.action in _SENT and one.agent in _ROLES]
    said = (Said(_ROLES[one.agent], one.text or "", moment(one.time), answer=one.label) for one in sent)
    yield Draft(f"star-{dialogue.id}", "", tuple(said))


STAR = Form("star", _recognises, _read)
