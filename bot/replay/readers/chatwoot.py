"""Chatwoot: conversations with their messages, pages of the messages API, or messages one a line (API v1, Chatwoot 4).

A conversation is `{"id", "meta": {"sender"}, "messages"}`, a page `{"meta": {"contact"}, "payload": [messages]}`, a
message `{"conversation_id", "content", "message_type", "created_at", "private", "sender", "attachments"}`. A button
that was pressed stands with the message that offered it, without a time of its own: it was said right after.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from bot.replay.readers.bodies import text_of, with_attachments
from bot.replay.readers.draft import Draft, Role, Said, moment
from bot.replay.readers.form import Form, inside, parse

_TYPES = {"incoming": 0, "outgoing": 1, "activity": 2, "template": 3}  # the API writes numbers, webhooks the words
_BOTS = ("agent_bot", "captain_assistant")


class _Person(BaseModel):
    id: int | str | None = None
    name: str | None = None
    type: str | None = None


class _Attachment(BaseModel):
    data_url: str | None = None


class _Message(BaseModel):
    conversation_id: int | None = None
    content: str | None = None
    message_type: int | str
    created_at: int | str
    private: bool = False
    sender: _Person | None = None
    attachments: list[_Attachment | None] = []  # None: of no known type
    content_type: str | None = None
    content_attributes: dict[str, Any] | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        return self.content_attributes or {}

    @property
    def kind(self) -> int:
        """0 incoming, 1 outgoing, 2 an event, 3 what Chatwoot itself writes (greeting, survey)."""
        return _TYPES.get(str(self.message_type), -1) if isinstance(self.message_type, str) else self.message_type


class _Meta(BaseModel):
    sender: _Person | None = None
    contact: _Person | None = None


class _Conversation(BaseModel):
    id: int
    messages: list[_Message]
    meta: _Meta = _Meta()


class _Page(BaseModel):
    payload: list[_Message]
    meta: _Meta = _Meta()


def _recognises(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("data"), dict):
        return "payload" in value["data"]
    if "payload" in value or {"conversation_id", "message_type"} <= value.keys():
        return True
    messages = value.get("messages")
    return isinstance(messages, list) and ("meta" in value or any(map(_is_message, messages[:1])))


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and "message_type" in value


def _read(value: Any) -> Iterator[Draft]:
    value = value["data"] if isinstance(value, dict) and isinstance(value.get("data"), dict) else value
    found = inside(value, "payload")
    if found and all(map(_is_message, found)):
        page = parse(_Page, value if "payload" in value else {"payload": found})
        yield from _parts(page.payload, page.meta.contact)
        return
    for one in found:
        conversation = parse(_Conversation, one)
        messages = [each.model_copy(update={"conversation_id": conversation.id}) for each in conversation.messages]
        yield from _parts(messages, conversation.meta.sender or conversation.meta.contact)


def _parts(messages: list[_Message], contact: _Person | None) -> Iterator[Draft]:
    for one in messages:
        customer = contact or (one.sender if one.kind == _TYPES["incoming"] else None)
        role = _role(one)
        people = [customer, one.sender if role == "agent" else None]
        yield Draft(
            conversation_id=str(one.conversation_id or ""),
            customer_id=str(customer.id) if customer and customer.id is not None else "",
            messages=tuple(_said(one, role)) if role else (),
            names=frozenset(person.name for person in people if person and person.name),
        )


def _role(message: _Message) -> Role | None:
    """Return who speaks; None for notes, events, what was deleted, and what Chatwoot itself writes."""
    if message.private or message.attributes.get("deleted") or message.kind not in (0, 1):
        return None
    if message.kind == _TYPES["incoming"]:
        return "customer"
    by_rule = message.attributes.get("automation_rule_id") is not None
    return "bot" if by_rule or message.sender is None or message.sender.type in _BOTS else "agent"


def _said(message: _Message, role: Role) -> Iterator[Said]:
    at = moment(message.created_at)
    yield Said(role, _text(message), at)
    for title in _chosen(message):
        yield Said("customer", title, at)


def _chosen(message: _Message) -> list[str]:
    """Return the titles of the buttons that the customer pressed under a message."""
    chosen = message.attributes.get("submitted_values")
    if message.content_type != "input_select" or not isinstance(chosen, list):
        return []
    titles = (one.get("title") or one.get("value") for one in chosen if isinstance(one, dict))
    return [title for title in titles if isinstance(title, str)]


def _text(message: _Message) -> str:
    content = message.content or ""
    text = text_of(content) if "</" in content or "<br" in content else content
    return with_attachments(text, (_file_name(one.data_url) for one in message.attachments if one))


def _file_name(url: str | None) -> str:
    return PurePosixPath(unquote(urlsplit(url or "").path)).name


CHATWOOT = Form("chatwoot", _recognises, _read, in_parts=True)
