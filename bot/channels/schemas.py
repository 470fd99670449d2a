"""What travels over the REST API, as pydantic models; the OpenAPI document is made from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Header
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema

from bot.calls import ID
from bot.turn import Reply, Source, SourceKind, sources_of
from memory import Turn
from memory.history import Session as KeptSession


def _customer_id(text: str) -> str:
    if not ID.fullmatch(text):
        raise ValueError("must be 1 to 128 letters, digits or _ . : @ + | -")
    return text


# Not a pattern of pydantic's, whose `\w` has marks that are no letters here.
CustomerId = Annotated[
    str, AfterValidator(_customer_id), WithJsonSchema({"type": "string", "pattern": f"^{ID.pattern}$"})
]
MessageId = Annotated[int, Field(ge=0, le=2**31 - 1)]
RequestKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="A name of the client's own for this message: sent again with it, it is the same turn.",
    ),
]

Json = dict[str, JsonValue]
_SESSION_ID = "5f0c1e9a7b3d4c628e1f90ab12cd34ef.Yb0WkzQXv1n2s3t4u5v6w7x8y9A"
_SOURCE: Json = {
    "kind": "article",
    "id": "track-your-order",
    "title": "Track your order",
    "url": "/help/track-your-order",
}
_REPLY: Json = {
    "message_id": 17,
    "session_id": _SESSION_ID,
    "text": "Which order is it about? The order number is R- and five digits.",
    "action": "ask",
    "intent": "order_status",
    "confidence": 0.9871,
    "sources": [],
    "suggestions": [],
    "handed_over": False,
    "at": "2026-11-24T10:00:00.000+00:00",
}


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    customer_id: CustomerId | None = Field(None, description="For keys: the customer it is for.", examples=[None])


class SessionRequest(_Asked):
    """Asks for a new session."""


class MessageRequest(_Asked):
    """A customer's message; one that is empty or too long is answered in the desk's words."""

    text: str = Field(examples=["where is my order?"])


class HandoffRequest(_Asked):
    """Asks for a colleague, with a message for them if there is one."""

    text: str = Field("", examples=["It is about my refund."])


class FeedbackRequest(_Asked):
    """A thumb up (1) or down (-1) for a reply; a second one replaces the first."""

    message_id: MessageId = Field(examples=[17])
    rating: Literal[1, -1]


class SourceShown(BaseModel):
    """Where a reply came from; `url` is an article's page on this server, `at` the time of a past turn or fact."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SOURCE]})

    kind: SourceKind
    id: str
    title: str
    url: str = ""
    at: str = ""

    @classmethod
    def of(cls, source: Source) -> SourceShown:
        """Return a source as it is shown."""
        return cls(kind=source.kind, id=source.id, title=source.title, url=source.url, at=source.at)


class DeskShown(BaseModel):
    """What a page may say about the desk before anybody has spoken."""

    name: str = Field(examples=["Tarn & Thistle"])
    bot_name: str = Field(examples=["Fern"])
    colleague: str = Field(description="What a colleague's messages are headed with.", examples=["A colleague"])
    language: str = Field(examples=["en"])


class Greeting(BaseModel):
    """What the bot says before the first message; it is not kept."""

    text: str
    sources: list[SourceShown]
    suggestions: list[str] = Field(description="Labels of buttons; one that is sent as a message means what it says.")


class NewSession(BaseModel):
    """A session that may be spoken in; nothing is kept of it before the first message."""

    session_id: str = Field(examples=[_SESSION_ID])
    greeting: Greeting
    language: str = Field(examples=["en"])
    desk: str = Field(description="The desk's name for people.", examples=["Tarn & Thistle"])


class MessageReply(BaseModel):
    """The reply to a message, which is on disk."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REPLY]})

    message_id: int
    session_id: str
    text: str
    action: str = Field(description="What the bot did, e.g. answer, look_up, ask, confirm, clarify, quote, handoff.")
    intent: str
    confidence: float = Field(ge=0, le=1)
    sources: list[SourceShown]
    suggestions: list[str]
    handed_over: bool = Field(description="Whether a colleague has this session.")
    at: datetime

    @classmethod
    def of(cls, reply: Reply) -> MessageReply:
        """Return a reply that has been kept."""
        return cls(
            message_id=reply.turn_id,
            session_id=reply.session_id,
            text=reply.text,
            action=reply.action,
            intent=reply.intent,
            confidence=round(reply.confidence, 4),
            sources=[SourceShown.of(source) for source in reply.sources],
            suggestions=list(reply.suggestions),
            handed_over=reply.handed_over,
            at=datetime.fromisoformat(reply.at),
        )


class Message(BaseModel):
    """A customer's message with the reply to it; `rating` is a thumb up or down, null without one."""

    message_id: int
    at: datetime
    text: str
    reply: str
    sources: list[SourceShown]
    suggestions: list[str]
    written_by: str = Field(description="Who wrote the reply: desk, chat_model or colleague.")
    rating: int | None = Field(ge=-1, le=1)

    @classmethod
    def of(cls, turn: Turn, rating: int | None) -> Message:
        """Return a turn with its rating."""
        return cls(
            message_id=turn.id,
            at=turn.at,
            text=turn.text,
            reply=turn.reply,
            sources=[SourceShown.of(source) for source in sources_of(turn)],
            suggestions=turn.decision.get("suggestions", []),
            written_by=turn.decision.get("written_by", "desk"),
            rating=rating,
        )


_Current = Annotated[bool, Field(description="Whether the session may go on; the desk says after which pause it ends.")]


class Messages(BaseModel):
    """Messages of a session, oldest first."""

    messages: list[Message]
    handed_over: bool
    current: _Current


class Session(BaseModel):
    """A conversation that has begun."""

    session_id: str = Field(examples=[_SESSION_ID])
    started_at: datetime
    last_at: datetime
    handed_over: bool
    current: _Current

    @classmethod
    def of(cls, session: KeptSession, current: bool) -> Session:
        """Return a session as it is listed."""
        return cls(
            session_id=session.id,
            started_at=session.started_at,
            last_at=session.last_at,
            handed_over=session.state == "handed_over",
            current=current,
        )


class Sessions(BaseModel):
    """A customer's sessions, newest first."""

    sessions: list[Session]


class Piece(BaseModel):
    """A part of a reply while it is written; one that `replaces` takes the place of all text before it."""

    text: str
    replaces: bool


class ErrorDetail(BaseModel):
    """`code` is for programs, `message` says a person what to do."""

    code: str
    message: str


class Refused(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": {"code": "no_session", "message": "You have no such session."}}]}
    )

    error: ErrorDetail
