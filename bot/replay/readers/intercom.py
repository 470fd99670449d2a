"""Intercom: conversations as the API retrieves them (API 2.x), one a line, in an array or in a page.

A conversation is `{"type": "conversation", "id", "created_at", "contacts", "source", "conversation_parts"}`; source and
parts have an `author` (`type`, `id`, `name`), a `body` in HTML and `attachments`, parts a `part_type` and their time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from bot.replay.readers.bodies import text_of, with_attachments
from bot.replay.readers.draft import Draft, FormError, Role, Said, moment
from bot.replay.readers.form import Form, inside, parse

_CUSTOMERS = ("user", "lead", "contact", "visitor")
_SAID = ("comment", "open", "close", "quick_reply")  # other parts are notes, assignments and events
_BY_PEOPLE = ("", "customer_initiated", "admin_initiated")  # other first messages were sent by a bot or a campaign


class _Author(BaseModel):
    type: str
    id: str | int | None = None
    name: str | None = None
    email: str | None = None
    from_ai_agent: bool | None = None

    @property
    def role(self) -> Role:
        if self.type in _CUSTOMERS:
            return "customer"
        # Bots write on behalf of a team, or of an admin called Operator.
        operator = (self.email or "").startswith("operator+")
        return "agent" if self.type == "admin" and not operator and not self.from_ai_agent else "bot"


class _Attachment(BaseModel):
    name: str | None = None


class _Source(BaseModel):
    author: _Author
    body: str | None = None
    delivered_as: str | None = None
    attachments: list[_Attachment] = []


class _Part(BaseModel):
    part_type: str
    author: _Author
    body: str | None = None
    created_at: int
    attachments: list[_Attachment] = []
    redacted: bool = False


class _Parts(BaseModel):
    conversation_parts: list[_Part]


class _Contact(BaseModel):
    id: str
    external_id: str | None = None


class _Contacts(BaseModel):
    contacts: list[_Contact] = []


class _Conversation(BaseModel):
    id: str | int
    created_at: int
    source: _Source
    contacts: _Contacts = _Contacts()
    conversation_parts: _Parts


def _recognises(value: Any) -> bool:
    one = next(iter(inside(value, "conversations", "data")), None)
    return isinstance(one, dict) and "source" in one and (one.get("type") == "conversation" or _PARTS in one)


def _read(value: Any) -> Iterator[Draft]:
    for one in inside(value, "conversations", "data"):
        if isinstance(one, dict) and _PARTS not in one:
            remedy = "Retrieve each conversation by its id; a list of conversations leaves their parts out"
            raise FormError("a conversation has no conversation_parts", remedy)
        yield _draft(parse(_Conversation, one))


def _draft(one: _Conversation) -> Draft:
    begun = moment(one.created_at)
    first = one.source.author.role
    if first == "agent" and (one.source.delivered_as or "") not in _BY_PEOPLE:
        first = "bot"
    said = [Said(first, _text(one.source), begun)]
    parts = one.conversation_parts.conversation_parts
    kept = [part for part in parts if part.part_type in _SAID and not part.redacted]
    said += [Said(part.author.role, _text(part), moment(part.created_at)) for part in kept]
    authors = [one.source.author, *(part.author for part in parts)]
    customers = [contact.external_id or contact.id for contact in one.contacts.contacts]
    customers += [str(author.id) for author in authors if author.role == "customer" and author.id is not None]
    names = frozenset(author.name for author in authors if author.name and author.role != "bot")
    return Draft(str(one.id), customers[0] if customers else "", tuple(said), begun, names)


def _text(one: _Source | _Part) -> str:
    return with_attachments(text_of(one.body or ""), (file.name for file in one.attachments))


_PARTS = "conversation_parts"
INTERCOM = Form("intercom", _recognises, _read)
