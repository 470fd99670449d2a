"""Logs: recorded conversations, read one at a time and checked as a whole; and what customers said in them.

A log is JSON Lines, one conversation a line:
`{"conversation_id", "customer_id", "started_at", "messages": [{"role", "text", "at", "intent"?, "answer"?}]}`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from finetune.names import people, without
from finetune.sheets import read_sheet

LISTED = 5  # mistakes that an error lists; a file that is wrong everywhere need not say so everywhere
Id = Annotated[str, StringConstraints(min_length=1)]


class LogError(ValueError):
    """A log or a file of messages cannot be read; the error says where and what to do."""


class LogMessage(BaseModel):
    """One message of a recorded conversation; `intent` and `answer` are there where somebody labelled it."""

    model_config = ConfigDict(frozen=True)

    role: Literal["customer", "agent", "bot"]
    text: str
    at: AwareDatetime
    intent: str | None = None
    answer: str | None = None


class Conversation(BaseModel):
    """One recorded conversation, its messages in order."""

    model_config = ConfigDict(frozen=True)

    conversation_id: Id
    customer_id: Id
    started_at: AwareDatetime
    messages: tuple[LogMessage, ...]


@dataclass(frozen=True)
class Heard:
    """Something a customer said; `customer` tells customers apart, in a file that names none it is the row.

    `bare` is the text without the names of people: "thanks Priti" and "thanks Tom" say the same. `opens` tells that no
    conversation went before it.
    """

    text: str
    customer: str
    bare: str
    opens: bool = True


def read_log(path: Path) -> Iterator[Conversation]:
    """Yield the conversations of a log, one in memory at a time, after every line of it has been checked.

    Raises:
        LogError: lines are no conversations or repeat an id (it lists the first of them), or there are none.
        OSError: the file cannot be read.
    """
    _check(path)
    for _, line in _lines(path):
        yield Conversation.model_validate_json(line)


def read_heard(path: Path, *, labelled: bool = False) -> list[Heard]:
    """Return the customers' messages in a log (`.jsonl`), a CSV file with a column `text`, or a file of lines.

    Messages that carry an `intent` are left out unless `labelled`.

    Raises:
        LogError: the file is wrong; the error lists what is.
        SheetError: a CSV file is wrong.
        OSError: the file cannot be read.
    """
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        names = people(message.text for conversation in read_log(path) for message in conversation.messages)
        return [
            one
            for conversation in read_log(path)
            for message, one in _said(conversation, names)
            if labelled or not message.intent
        ]
    if path.suffix.lower() == ".csv":
        rows = read_sheet(path, ("text",))
        return [Heard(row["text"], str(row.number), row["text"]) for row in rows if labelled or not row["intent"]]
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise LogError(f"{path}, byte {error.start}: it is not UTF-8 text. Save it with the encoding UTF-8.") from None
    return [Heard(line, str(number), line) for number, line in enumerate(lines, 1)]


def _said(conversation: Conversation, names: Collection[str]) -> Iterator[tuple[LogMessage, Heard]]:
    """Yield what the customer of a conversation said; it is open until something longer than a greeting was said."""
    opens = True
    for message in conversation.messages:
        if message.role == "customer":
            bare = without(message.text, names)
            yield message, Heard(message.text, conversation.customer_id, bare, opens)
            opens = opens and len(bare.split()) < 3


def write_log(path: Path, conversations: Iterable[Conversation]) -> None:
    """Write a log as its conversations come, whole or not at all.

    Raises:
        OSError: it cannot be written; the file is as it was, as it is after whatever `conversations` raises.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            for conversation in conversations:
                file.write(f"{conversation.model_dump_json(exclude_none=True)}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the numbered lines of a file that are not blank, without a byte order mark."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            bare = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
            if bare:
                yield number, bare


def _check(path: Path) -> None:
    mistakes: list[str] = []
    first_line: dict[str, int] = {}
    for number, line in _lines(path):
        try:
            conversation = Conversation.model_validate_json(line)
        except ValidationError as error:
            mistakes.append(f"line {number}: {explain(error)}")
            continue
        if (first := first_line.setdefault(conversation.conversation_id, number)) != number:
            what = f"the conversation_id {conversation.conversation_id!r} stands in line {first} already"
            mistakes.append(f"line {number}: {what}. Give each conversation its own")
    if mistakes:
        more = f"\n  and {len(mistakes) - LISTED} more" if len(mistakes) > LISTED else ""
        count = f"{len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
        raise LogError(f"{path} has {count}; nothing was read:\n  " + "\n  ".join(mistakes[:LISTED]) + more)
    if not first_line:
        raise LogError(f"{path} holds no conversation. Write one a line, as JSON.")


def explain(error: ValidationError) -> str:
    """Return the first thing that is wrong with a line, and what to do, without the values in it."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        reason = first["msg"].removeprefix("Invalid JSON: ")
        return f"it is not JSON in UTF-8 ({reason}). Write one whole conversation on each line"
    where = ".".join(map(str, first["loc"])) or "the line"
    remedies = {
        "missing": "Add it",
        "timezone_aware": "Write times with an offset, as 2026-11-24T10:00:00+00:00",
        "literal_error": "Write customer, agent or bot",
    }
    return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}. {remedies.get(first['type'], 'Correct it')}"
