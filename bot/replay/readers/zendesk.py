"""Zendesk Support: the JSON export of tickets (NDJSON, one ticket with its comments a line), or `{"tickets": [...]}`.

A ticket is `{"id", "created_at", "requester_id" or "requester": {"id", "name"}, "comments"}`, a comment `{"author_id",
"public", "created_at", "plain_body", "html_body", "body", "attachments", "via": {"channel"}}` (Ticketing API v2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from bot.replay.readers.bodies import text_of, with_attachments
from bot.replay.readers.draft import Draft, FormError, Role, Said, moment
from bot.replay.readers.form import Form, inside, parse

_SYSTEM = "-1"  # the author of what Zendesk itself writes


class _Person(BaseModel):
    id: int | str | None = None
    name: str | None = None
    role: str | None = None


class _Via(BaseModel):
    channel: str | int | None = None


class _Attachment(BaseModel):
    file_name: str | None = None


class _Comment(BaseModel):
    author_id: int | str | None = None
    author: _Person = _Person()
    public: bool = True
    created_at: str
    plain_body: str | None = None
    html_body: str | None = None
    body: str | None = None
    attachments: list[_Attachment] = []
    via: _Via | None = None

    @property
    def writer(self) -> str:
        return str(self.author_id if self.author_id is not None else self.author.id)


class _Ticket(BaseModel):
    id: int | str
    created_at: str
    requester_id: int | str | None = None
    requester: _Person = _Person()
    submitter: _Person = _Person()
    assignee: _Person | None = None
    comments: list[_Comment]

    @property
    def customer(self) -> str:
        return str(self.requester_id if self.requester_id is not None else self.requester.id)


def _recognises(value: Any) -> bool:
    ticket = next(iter(inside(value, "tickets")), None)
    return isinstance(ticket, dict) and "comments" in ticket and bool({"requester", "requester_id"} & ticket.keys())


def _read(value: Any) -> Iterator[Draft]:
    for one in inside(value, "tickets"):
        if isinstance(one, dict) and "comments" not in one:
            remedy = "Use the JSON export, or fetch /api/v2/tickets/ID/comments for each ticket"
            raise FormError("a ticket has no comments", remedy)
        ticket = parse(_Ticket, one)
        said = [(role, comment) for comment in ticket.comments if (role := _role(comment, ticket))]
        people = (ticket.requester, ticket.submitter, ticket.assignee, *(comment.author for comment in ticket.comments))
        yield Draft(
            conversation_id=str(ticket.id),
            customer_id=ticket.customer if ticket.customer != "None" else "",
            messages=tuple(Said(role, _text(comment), moment(comment.created_at)) for role, comment in said),
            started_at=moment(ticket.created_at),
            names=frozenset(person.name for person in people if person and person.name),
        )


def _role(comment: _Comment, ticket: _Ticket) -> Role | None:
    """Return who speaks; None for internal notes and for what Zendesk itself writes."""
    if not comment.public or comment.writer == _SYSTEM:
        return None
    channel = str(comment.via.channel) if comment.via else ""
    if channel.startswith("answer_bot") or channel == "rule":
        return "bot"
    return "customer" if comment.writer == ticket.customer or comment.author.role == "end-user" else "agent"


def _text(comment: _Comment) -> str:
    html = text_of(comment.html_body) if comment.html_body else ""
    return with_attachments(
        html or comment.plain_body or comment.body or "", (one.file_name for one in comment.attachments)
    )


ZENDESK = Form("zendesk", _recognises, _read)
