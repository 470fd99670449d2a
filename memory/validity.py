"""From when and until when something said holds: "from Monday", "until Friday", "moving there on 1 December"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import regex

from memory.due import Named, named_days

_FROM = regex.compile(r"\b(?:(?:as )?from|as of|(?:starting|beginning|effective)(?: from| on)?)(?: the)?\s*$", regex.I)
_UNTIL = regex.compile(r"\b(?:until|till|through)(?: the)?\s*$", regex.I)
_FOR = regex.compile(r"\bfor\s*$", regex.I)  # "for the next two weeks"
_TO = regex.compile(r"(?:\bto(?: the)?|[-–])\s*$", regex.I)  # the second of two days: "from Monday to Friday"
_ON = regex.compile(r"\bon(?: the)?\s*$", regex.I)
_ELSEWHEN = regex.compile(r"\b(?:at|by|for|of|to|than|before|since|last|past|after|every|each)(?: the)?\s*$", regex.I)
# With these a day alone says from when on: "I'm moving to … tomorrow", "on 3 May my number changes to …".
_CHANGES = regex.compile(
    r"\b(?:moving|move|relocating|chang(?:es|ing)|switch(?:es|ing)?|will (?:be|change|have))\b|['’]ll (?:be|have)\b",
    regex.I,
)
_CHANGED = regex.compile(r"\b(?:moved|relocated|changed|switched)\b", regex.I)  # on whatever day: it holds now
_GOES_ON = regex.compile(r"\s*(?:is\b|will\b|to\b|['’]|[:,.;]|$)", regex.I)  # "my address from Monday is …"
_CORRECTS = regex.compile(r"\W*(?:no|nope|sorry|oops|wait|actually|correction)\b|.*\bi (?:mean|meant)\b", regex.I)
_END = regex.compile(r"$")
_LONG_DAYS = 183  # a day without a year that lies further ahead was meant to be a past one: "from 1 November"


@dataclass(frozen=True)
class Validity:
    """The first and the last day on which a value holds; None: from when it was said, and until it is replaced."""

    first: date | None = None
    last: date | None = None

    def holds(self, today: date) -> bool:
        """Return whether a day is within it."""
        return not self.is_later(today) and (self.last is None or today <= self.last)

    def is_later(self, today: date) -> bool:
        """Return whether it begins after a day."""
        return self.first is not None and self.first > today


ALWAYS = Validity()


def read_validity(text: str, said: datetime) -> tuple[str, Validity]:
    """Return a text without what it says about time, and from when until when what it says holds.

    Days are counted from when it was said, in that time's own zone. A past day is as good as none: it holds already.
    """
    first = last = None
    spans: list[tuple[int, int]] = []
    changes = (_CHANGES.search(text) or _CHANGED.search(text)) is not None
    for one in named_days(text, said):
        before, words = text[: one.start], text[one.start : one.end]
        if lead := _until(before, words, bounded=first is not None):
            last = one.last
            if first is not None and last < first and not one.dated:
                last += timedelta(days=7)  # "from Monday to Friday", said on a Tuesday
        elif lead := _FROM.search(before) or (_starting(before, one) if changes else None):
            ahead = one.first - said.date()
            past = ahead > timedelta(days=_LONG_DAYS) and not regex.search(r"\d{4}", words)
            first = said.date() if past else one.first
        else:
            continue
        spans.append((lead.start(), one.end))
    if first is not None and last is not None and last < first:
        last = None  # it was said of something else
    if first is not None and (first <= said.date() or _CHANGED.search(text)):
        first = None
    return _without(text, spans), Validity(first, last)


def corrects(text: str) -> bool:
    """Return whether a message takes back what was said just before it: "no, it's …", "sorry, I meant …"."""
    return _CORRECTS.match(text) is not None


def _until(before: str, words: str, *, bounded: bool) -> regex.Match[str] | None:
    """Return the words before a day that make it the last one, if there are any."""
    if words.lower().startswith("the next"):
        return _FOR.search(before)
    return _UNTIL.search(before) or (_TO.search(before) if bounded else None)


def _starting(before: str, one: Named) -> regex.Match[str] | None:
    """Return the end of the words before a day on which something changes: "on 3 May", or nothing with "tomorrow"."""
    if one.dated:
        return _ON.search(before)
    return None if _ELSEWHEN.search(before) else _ON.search(before) or _END.search(before)


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """Return a text without some spans; a semicolon keeps apart what did not belong together."""
    for start, end in reversed(spans):
        text = text[:start] + ("" if _GOES_ON.match(text, end) else ";") + text[end:]
    return text
