"""What a form says a conversation was, and the conversation of Rapport's log that is made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from finetune.logs import Conversation, LogMessage

Role = Literal["customer", "agent", "bot"]
LONGEST = 100_000  # characters of one message; what is longer was hardly written by a person
# Where a form knows no times they are made: conversation n of a log begins n hours after this, a message a minute.
MADE = datetime(2000, 1, 1, tzinfo=timezone.utc)
_TIME: TypeAdapter[datetime] = TypeAdapter(datetime)


class FormError(ValueError):
    """A record is not what its form says; the sentence goes on after a colon and ends before the full stop."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what, self.remedy = what, remedy
        super().__init__(f"{what}. {remedy}")


@dataclass(frozen=True)
class Said:
    """One message as its form has it; `at` is None where the form knows no times."""

    role: Role
    text: str
    at: datetime | None
    intent: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Draft:
    """One conversation as its form has it.

    Ids are empty where the form knows none. `names` are the names of people that the form marks as such.
    """

    conversation_id: str
    customer_id: str
    messages: tuple[Said, ...]
    started_at: datetime | None = None
    names: frozenset[str] = frozenset()

    def with_more(self, other: Draft) -> Draft:
        """Return the conversation with another part of it."""
        return replace(
            self,
            customer_id=self.customer_id or other.customer_id,
            messages=self.messages + other.messages,
            started_at=self.started_at or other.started_at,
            names=self.names | other.names,
        )

    def finished(self, number: int) -> Conversation | None:
        """Return the conversation, its messages in order of time; None where nothing was said.

        Args:
            number: the place of the conversation in its log, from 1; times are made of it where there are none.

        Raises:
            FormError: a message is too long, or only some have a time.
        """
        said = [replace(one, text=plain(one.text).strip()) for one in self.messages]
        said = [one for one in said if one.text]
        if not said:
            return None
        for place, one in enumerate(said, 1):
            if len(one.text) > LONGEST:
                what = f"message {place} has {len(one.text):,} characters; at most {LONGEST:,} are read"
                raise FormError(what, "Shorten it, or leave the conversation out")
        messages = sorted(_timed(said, number), key=lambda one: one.at)
        return Conversation(
            conversation_id=self.conversation_id,
            customer_id=self.customer_id,
            started_at=self.started_at or messages[0].at,
            messages=tuple(messages),
        )


def moment(value: Any, zone: tzinfo = timezone.utc, form: str = "") -> datetime:
    """Return a time: ISO 8601, or seconds or milliseconds since 1970, or what `form` (strptime) says.

    Without an offset it was meant in `zone`.

    Raises:
        FormError: it is no time.
    """
    try:
        at = datetime.strptime(str(value), form) if form else _TIME.validate_python(value)
    except (ValueError, ValidationError):
        remedy = "Write times as 2026-11-24T10:00:00+00:00 or in seconds since 1970"
        raise FormError("a time cannot be read" if value else "a time is missing", remedy) from None
    return at if at.tzinfo else at.replace(tzinfo=zone)


def plain(text: str) -> str:
    """Return a text with `?` for what cannot be written as UTF-8: halves of a pair of surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _timed(said: list[Said], number: int) -> list[LogMessage]:
    without = sum(one.at is None for one in said)
    if without not in (0, len(said)):
        raise FormError(f"{without} of {len(said)} messages have no time", "Give all of them one, or none")
    begun = MADE + timedelta(hours=number)
    return [
        LogMessage(
            role=one.role,
            text=one.text,
            at=one.at or begun + timedelta(minutes=place),
            intent=one.intent and plain(one.intent),
            answer=one.answer and plain(one.answer),
        )
        for place, one in enumerate(said)
    ]
