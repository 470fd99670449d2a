"""Dates in questions."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.dates import Period, periods

TODAY = date(2026, 11, 24)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("what did I say on 3 May?", date(2026, 5, 3), date(2026, 5, 3)),
        ("on May 3rd, 2025", date(2025, 5, 3), date(2025, 5, 3)),
        ("the 3rd of May 2025", date(2025, 5, 3), date(2025, 5, 3)),
        ("on 2026-05-03", date(2026, 5, 3), date(2026, 5, 3)),
        ("on 24 dec", date(2025, 12, 24), date(2025, 12, 24)),
        ("what I ordered in March", date(2026, 3, 1), date(2026, 3, 31)),
        ("in early December", date(2025, 12, 1), date(2025, 12, 31)),
        ("September 2025 please", date(2025, 9, 1), date(2025, 9, 30)),
        ("in 2025", date(2025, 1, 1), date(2025, 12, 31)),
        ("the thing I asked in spring", date(2026, 3, 1), date(2026, 5, 31)),
        ("last winter", date(2025, 12, 1), date(2026, 3, 2)),
        ("yesterday", date(2026, 11, 23), date(2026, 11, 23)),
        ("today", TODAY, TODAY),
        ("last week", date(2026, 11, 10), date(2026, 11, 17)),
        ("two months ago", date(2026, 9, 10), date(2026, 10, 10)),
        ("3 days ago", date(2026, 11, 21), date(2026, 11, 21)),
    ],
)
def test_a_date_in_a_question_is_a_period(text: str, first: date, last: date) -> None:
    assert periods(text, TODAY) == [Period(first, last)]


@pytest.mark.parametrize(
    "text",
    [
        "may I march in?",
        "order R-20250",
        "31 February",
        "on 2025-02-31",
        "the marching band",
        "I fall asleep",
        "",
        "12",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert periods(text, TODAY) == []


def test_several_dates_are_several_periods() -> None:
    assert len(periods("on 3 May or on 4 June 2025", TODAY)) == 2


@given(day=st.dates(date(1990, 1, 1), date(2090, 12, 31)))
def test_every_day_is_understood_however_it_is_written(day: date) -> None:
    for text in (f"on {day:%d %B %Y}", f"on {day:%B %d, %Y}", day.isoformat()):
        assert periods(text, day + timedelta(days=400)) == [Period(day, day)]


@given(text=st.text(max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    assert all(period.first <= period.last for period in periods(text, TODAY))
