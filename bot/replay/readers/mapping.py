"""A mapping file: how to read JSON or CSV of any other form; docs/logs.md explains its keys.

OpenAI's fine-tuning JSONL and a CSV of two columns are mappings that are built in.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from bot.problems import RapportError
from bot.replay.readers.bodies import text_of
from bot.replay.readers.draft import Draft, FormError, Role, Said, moment
from bot.replay.readers.form import Form
from finetune.logs import explain

_LONGEST_ROLE = 20  # characters


class Mapping(BaseModel):
    """Where things stand in a record; values are paths, as `author.type` or `contacts.0.id`, or columns of a CSV."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    messages: str = ""  # the list of messages in a record; without it a record is a message
    conversation: str = ""
    customer: str = ""
    role: str = ""
    roles: dict[Role | Literal["ignore"], list[str]] = {}
    text: str = ""
    says: dict[Role, str] = {}  # instead of role and text: one path for each who speaks
    time: str = ""
    time_form: str = ""
    timezone: str = "UTC"
    intent: str = ""
    answer: str = ""
    names: list[str] = []
    leave_out: dict[str, list[str | bool | int]] = {}
    html: bool = False

    @field_validator("timezone")
    @classmethod
    def _there_is(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no timezone {value!r}") from None
        return value

    @model_validator(mode="after")
    def _says_who_speaks(self) -> Mapping:
        if bool(self.says) == bool(self.text):
            raise ValueError("give either text, role and roles, or says")
        if self.text and not (self.role and self.roles):
            raise ValueError("text needs role and roles: who speaks, and what they are called")
        return self

    def form(self) -> Form:
        """Return the form of logs that is read so."""
        return Form("mapping", lambda value: isinstance(value, dict), self._read, in_parts=not self.messages)

    def _read(self, record: Any) -> Iterator[Draft]:
        messages = at(record, self.messages) if self.messages else [record]
        if not isinstance(messages, list):
            raise FormError(f"there is no list {self.messages}", "Correct messages in the mapping, or the record")
        said = [one for message in messages if not self._is_left_out(message) for one in self._said(message)]
        marked = [at(one, path) for path in self.names for one in (record, *messages)]
        yield Draft(
            conversation_id=_id(at(record, self.conversation)),
            customer_id=_id(at(record, self.customer)),
            messages=tuple(said),
            names=frozenset(name for name in marked if isinstance(name, str)),
        )

    def _said(self, message: Any) -> Iterator[Said]:
        time = moment(at(message, self.time), ZoneInfo(self.timezone), self.time_form) if self.time else None
        spoken = self.says or ({role: self.text} if (role := self._role(message)) else {})
        for role, path in spoken.items():
            text = _text(at(message, path))
            labels = {label: _id(at(message, getattr(self, label))) or None for label in ("intent", "answer")}
            labels["intent" if role != "customer" else "answer"] = None
            yield Said(role, text_of(text) if self.html else text, time, **labels)

    def _role(self, message: Any) -> Role | None:
        value = at(message, self.role)
        for role, called in self.roles.items():
            if str(value) in called:
                return None if role == "ignore" else role
        shown = str(value)[:_LONGEST_ROLE]  # what is longer is what somebody said, and the mapping is wrong
        raise FormError(f"{self.role} is {shown!r}, which roles does not name", "Add it there, or under ignore")

    def _is_left_out(self, message: Any) -> bool:
        return any(at(message, path) in values for path, values in self.leave_out.items())


def read_mapping(path: Path) -> Mapping:
    """Return a mapping file.

    Raises:
        RapportError: there is none, or it is wrong; the error says where and what to do.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        return Mapping.model_validate(content if isinstance(content, dict) else {})
    except OSError as error:
        raise RapportError(f"The mapping {path} cannot be read ({error.strerror}). Check the name.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RapportError(f"The mapping {path} is not YAML in UTF-8: {' '.join(str(error).split())}.") from None
    except ValidationError as error:
        raise RapportError(f"The mapping {path}, {explain(error)}. docs/logs.md lists its keys.") from None


def at(value: Any, path: str) -> Any:
    """Return what stands at a path in a value of JSON, or in a column; None where there is nothing."""
    if not path or (isinstance(value, dict) and path in value):
        return value[path] if path else None
    for key in path.split("."):
        if isinstance(value, list) and key.isdigit():
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _id(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _text(value: Any) -> str:
    """Return a text, or the texts of a list of parts: `[{"type": "text", "text": ...}]`."""
    if isinstance(value, list):
        return "\n".join(_text(part.get("text") if isinstance(part, dict) else part) for part in value)
    return "" if value is None else str(value)


def _is_openai(value: Any) -> bool:
    first = at(value, "messages.0")
    return isinstance(first, dict) and {"role", "content"} <= first.keys()


_OPENAI = Mapping(
    messages="messages",
    role="role",
    roles={"customer": ["user"], "agent": ["assistant"], "ignore": ["system", "developer", "tool", "function"]},
    text="content",
)
_PAIRS = Mapping(says={"customer": "customer", "agent": "agent"})
OPENAI = Form("openai", _is_openai, _OPENAI._read)
PAIRS = Form("csv", lambda value: isinstance(value, dict) and value.keys() == {"customer", "agent"}, _PAIRS._read)
