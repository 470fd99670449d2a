"""Days to come that a text names: "by Friday", "within 3 working days", "on 3 May"; when something promised is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import regex

from memory.particulars import MONTH, WEEKDAY

_NUMBERS = "one two three four five six seven eight nine ten".split()
_COUNT = rf"\d{{1,3}}|an?|(?:a )?couple of|{'|'.join(_NUMBERS)}"
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DAYS = "mon tue wed thu fri sat sun".split()
_FRIDAY = 4

_SPAN = regex.compile(
    rf"\b(?:(?:within|in|up to|at most|less than|no later than|the next)\s+(?:the next\s+)?"
    rf"|(?={_COUNT}\s*(?:to|[-–])\s*\d))"
    rf"(?:(?:{_COUNT})\s*(?:to|or|[-–])\s*)?(?P<count>{_COUNT})\s*(?P<working>(?:working|business)[ -])?"
    r"(?P<unit>minute|hour|day|week|month)s?\b",
    regex.IGNORECASE,
)
_NAMED = regex.compile(
    rf"\b(?P<next>next )?(?P<weekday>{WEEKDAY})\b|\b(?P<soon>today|tonight|tomorrow|next (?:week|month))\b"
    r"|\bend of (?:the |this )?(?P<end>day|week|month)\b",
    regex.IGNORECASE,
)
_DATE = regex.compile(
    rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? (?P<month>{MONTH})\b(?:,? (?P<year>\d{{4}}))?"
    rf"|\b(?P<month>{MONTH})\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<year>\d{{4}}))?"
    r"|\b(?P<iso>\d{4}-\d\d-\d\d)\b",
    regex.IGNORECASE,
)


@dataclass(frozen=True)
class Named:
    """Days that a text names, from `first` to `last`, and where: `text[start:end]`; `dated` is a day of a month."""

    start: int
    end: int
    first: date
    last: date
    dated: bool = False


def due_date(text: str, said: datetime) -> date | None:
    """Return the day on which the first time that a promise names has passed, None where it names none."""
    named = named_days(text, said)
    return named[0].last if named else None


def named_days(text: str, said: datetime) -> list[Named]:
    """Return the days to come that a text names, in its order.

    Counted from the day it was said, in that time's own zone; of "5 to 7 days" the later counts. Working days are
    Monday to Friday. A date without a year is the next such date.
    """
    found = [
        *(Named(*match.span(), day, day) for match in _SPAN.finditer(text) for day in [_after(match, said)]),
        *(Named(*match.span(), day, day, True) for match in _DATE.finditer(text) if (day := _on(match, said))),
        *(Named(*match.span(), *_named(match, said)) for match in _NAMED.finditer(text)),
    ]
    return sorted(found, key=lambda one: (one.start, one.last))


def _after(match: regex.Match[str], said: datetime) -> date:
    words, unit = match["count"].lower(), match["unit"].lower()
    count = int(words) if words.isdigit() else _NUMBERS.index(words) + 1 if words in _NUMBERS else 2
    count = 1 if words in ("a", "an") else count
    if match["working"]:
        day = said.date()
        for _ in range(count * (5 if unit == "week" else 1)):
            day += timedelta(days=7 - day.weekday() if day.weekday() >= _FRIDAY else 1)
        return day
    if unit in ("minute", "hour"):
        return (said + timedelta(**{f"{unit}s": count})).date()
    return said.date() + timedelta(days=count * {"day": 1, "week": 7, "month": 30}[unit])


def _on(match: regex.Match[str], said: datetime) -> date | None:
    try:
        if match["iso"]:
            return date.fromisoformat(match["iso"])
        month, day = _MONTHS.index(match["month"][:3].lower()) + 1, int(match["day"])
        if match["year"]:
            return date(int(match["year"]), month, day)
        this_year = date(said.year, month, day)
        return this_year if this_year >= said.date() else date(said.year + 1, month, day)
    except ValueError:  # 31 June, or 29 February of another year
        return None


def _named(match: regex.Match[str], said: datetime) -> tuple[date, date]:
    """Return the first and the last day of what is named."""
    today = said.date()
    if weekday := match["weekday"]:
        ahead = (_DAYS.index(weekday[:3].lower()) - today.weekday()) % 7
        day = today + timedelta(days=ahead + 7 if match["next"] and ahead == 0 else ahead)
        return day, day
    named = (match["soon"] or match["end"]).lower()
    next_month = (today.replace(day=28) + timedelta(days=4)).replace(day=1)
    friday = today + timedelta(days=(_FRIDAY - today.weekday()) % 7)
    next_monday = today + timedelta(days=7 - today.weekday())
    days = {
        "tomorrow": (today + timedelta(days=1),) * 2,
        "week": (friday, friday),
        "month": (next_month - timedelta(days=1),) * 2,
        "next week": (next_monday, friday + timedelta(days=7)),
        "next month": (next_month, (next_month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)),
    }
    return days.get(named, (today, today))
