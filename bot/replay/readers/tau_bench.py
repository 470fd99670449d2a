"""tau-bench (https://github.com/sierra-research/tau-bench): transcripts as text (`messages_display`) or as `traj`.

The assistant plays the shop's agent and is taken for one. The customer is who the first look-up of a user found, so
that somebody who calls twice is the same; results of look-ups are no messages. There are no times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from bot.replay.readers.draft import Draft, Role, Said
from bot.replay.readers.form import Form, parse

_ROLES: dict[str, Role] = {"user": "customer", "assistant": "agent"}
_TURN = re.compile(r"^(user|assistant|tool|system): ", re.MULTILINE)
_USER_ID = re.compile(r"[a-z]+(?:_[a-z]+)+_\d+")
_END = "###STOP###"  # how the simulated user hangs up


class _Step(BaseModel):
    role: str
    content: str | None = None


class _Transcript(BaseModel):
    messages_display: str = ""
    traj: list[_Step] = []

    @property
    def steps(self) -> list[_Step]:
        """The transcript's messages; in the text form one without words is written None."""
        _, *pieces = _TURN.split(self.messages_display)
        shown = zip(pieces[::2], pieces[1::2], strict=True)
        return self.traj or [_Step(role=role, content=text.strip()) for role, text in shown if text.strip() != "None"]


def _recognises(value: Any) -> bool:
    return isinstance(value, dict) and bool({"messages_display", "traj"} & value.keys())


def _read(value: Any) -> Iterator[Draft]:
    steps = parse(_Transcript, value).steps
    results = [one.content or "" for one in steps if one.role == "tool"]
    said = (Said(_ROLES[one.role], (one.content or "").replace(_END, ""), None) for one in steps if one.role in _ROLES)
    known = (result for result in results if _USER_ID.fullmatch(result))
    names = frozenset(name for result in results for name in _names(result))
    yield Draft("", next(known, ""), tuple(said), names=names)


def _names(result: str) -> Iterator[str]:
    """Yield the customer's name from a look-up of their profile."""
    try:
        found = json.loads(result)
    except ValueError:
        return
    name = found.get("name") if isinstance(found, dict) else None
    if isinstance(name, dict):
        yield " ".join(str(name[key]) for key in ("first_name", "last_name") if key in name)


TAU_BENCH = Form("tau-bench", _recognises, _read)
