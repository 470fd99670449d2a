"""Dates in a question: "on 3 May", "in spring", "last week", "two months ago" as periods of days (English)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

_MONTHS = "january february march april may june july august september october november december".split()
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_NUMBERS = {word: number for number, word in enumerate("a two three four five six seven eight nine ten".split(), 1)}
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" if len(name) > 3 else name for name in _MONTHS)
_NAMED = re.compile(
    rf"(?P<lead>\b(?:in|of|on|during|since|until|before|after|by|early|late|mid|last|this)\s+)?(?:the\s+)?"
    rf"(?:\b(?P<first>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?)?\b(?P<month>{_MONTH})\b\.?"
    rf"(?:\s+(?P<second>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\d))?(?:,?\s+(?:of\s+)?(?P<year>(?:19|20)\d\d)\b)?"
)
_ISO = re.compile(r"\b((?:19|20)\d\d)-(\d{2})-(\d{2})\b")
_YEAR = re.compile(r"\b(?:in|during|of|since)\s+((?:19|20)\d\d)\b")
_SEASON = re.compile(
    rf"\b(?:in|during|last|this)\s+(?:the\s+)?({'|'.join(_SEASONS)})\b(?:\s+(?:of\s+)?((?:19|20)\d\d))?"
)
_AGO = re.compile(rf"\b(\d{{1,3}}|{'|'.join(_NUMBERS)}|an|couple of)\s+(day|week|month|year)s?\s+ago\b")
_NEAR = re.compile(r"\b(today|yesterday|(?:last|this)\s+(?:week|month|year))\b")
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclass(frozen=True)
class Period:
    """Days from `first` to `last`, both included."""

    first: date
    last: date


def periods(text: str, today: date) -> list[Period]:
    """Return the periods that a question names, as seen from `today`; without a year, the latest that has begun."""
    lower = text.lower()
    named = [*_iso(lower), *_named(lower, today), *_seasons(lower, today), *_relative(lower, today)]
    years = [int(year) for year in _YEAR.findall(lower)]
    return named or [Period(date(year, 1, 1), date(year, 12, 31)) for year in years]


def _iso(text: str) -> Iterator[Period]:
    for year, month, day in _ISO.findall(text):
        yield from _span(int(year), int(month), int(day))


def _named(text: str, today: date) -> Iterator[Period]:
    for match in _NAMED.finditer(text):
        if not (match["first"] or match["second"] or match["year"] or match["lead"]):
            continue  # "may" and "march" alone are rarely months, and no month alone says that it is asked about
        month = next(number for number, name in enumerate(_MONTHS, 1) if name.startswith(match["month"][:3]))
        day = int(match["first"] or match["second"] or 0) or None
        if match["year"]:
            yield from _span(int(match["year"]), month, day)
        else:
            yield from _latest(month, day, today)


def _seasons(text: str, today: date) -> Iterator[Period]:
    for season, year in _SEASON.findall(text):
        start = date(int(year) if year else today.year, _SEASONS[season], 1)
        if not year and start > today:
            start = start.replace(year=start.year - 1)
        yield Period(start, start + timedelta(days=91))


def _relative(text: str, today: date) -> Iterator[Period]:
    for number, unit in _AGO.findall(text):
        count = int(number) if number.isdigit() else {"an": 1, "couple of": 2, **_NUMBERS}[number]
        middle, slack = today - timedelta(days=count * _DAYS[unit]), timedelta(days=_DAYS[unit] // 2)
        yield Period(middle - slack, middle + slack)
    for near in _NEAR.findall(text):
        if near in ("today", "yesterday"):
            day = today - timedelta(days=near == "yesterday")
            yield Period(day, day)
            continue
        which, unit = near.split()
        back = 2 if which == "last" else 1
        first, last = today - timedelta(days=back * _DAYS[unit]), today - timedelta(days=(back - 1) * _DAYS[unit])
        yield Period(first, last)


def _latest(month: int, day: int | None, today: date) -> Iterator[Period]:
    """Yield a month or a day in the latest year in which it has begun."""
    for year in (today.year, today.year - 1):
        span = list(_span(year, month, day))
        if span and span[0].first <= today:
            yield span[0]
            return


def _span(year: int, month: int, day: int | None) -> Iterator[Period]:
    """Yield a month or one day of it; nothing where the calendar has no such day."""
    try:
        first = date(year, month, day or 1)
    except ValueError:
        return
    following = date(year + month // 12, month % 12 + 1, 1)
    yield Period(first, first if day else following - timedelta(days=1))
