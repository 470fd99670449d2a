"""The moving window: requests count for as long as it is, and only so many are counted at once."""

from __future__ import annotations

import pytest
from limits import parse

from bot.channels import rate_limits
from bot.channels.errors import ApiError
from bot.channels.rate_limits import RateLimits

TWO = parse("2/minute")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as the window sees it; a test sets its one element."""
    now = [1000.0]
    monkeypatch.setattr(rate_limits.time, "time", lambda: now[0])
    return now


def again_after(limits: RateLimits, whose: str = "ann") -> int | None:
    """Spend one request; return None if it was let through, else the seconds until the next one is."""
    try:
        limits.spend(TWO, "customer", whose)
    except ApiError as error:
        assert error.headers is not None
        return int(error.headers["Retry-After"])
    return None


def test_each_request_counts_for_a_minute_of_its_own(at: list[float]) -> None:
    limits, spent = RateLimits(), []
    for moment in (0, 20, 50, 61, 62, 81):
        at[0] = 1000.0 + moment
        spent.append(again_after(limits))

    assert spent == [None, None, 10, None, 18, None]


def test_a_refused_request_does_not_count(at: list[float]) -> None:
    limits = RateLimits()
    refused = [again_after(limits) for _ in range(50)][2:]
    at[0] += 61

    assert None not in refused
    assert again_after(limits) is None


def test_beyond_the_most_who_asked_longest_ago_is_forgotten(at: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_MOST", 2)
    limits = RateLimits()
    for whose in ("ann", "ann", "bob", "bob", "ann"):
        again_after(limits, whose)
    again_after(limits, "cem")  # bob has asked longest ago

    assert again_after(limits, "ann") is not None
    assert again_after(limits, "bob") is None


def test_what_costs_more_counts_as_several_and_as_no_more_than_all() -> None:
    limits, ten = RateLimits(), parse("10/minute")
    for cost in (6, 4):
        limits.spend(ten, "address", "ann", cost)
    with pytest.raises(ApiError):
        limits.spend(ten, "address", "ann")
    limits.spend(ten, "address", "bob", 30)
