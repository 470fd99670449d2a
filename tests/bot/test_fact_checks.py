"""A value that cannot be right is not taken for a fact."""

from __future__ import annotations

import pytest

from bot.desk import Desk
from bot.fact_checks import fact_check


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ("phone", "01632 960 734", "0163"),
        ("phone", "+49 30 901820", "+999 1234567"),
        ("email", "nora.b@example.co.uk", "nora@example"),
        ("date", "29 February 2028", "29 February 2027"),
        ("date", "2026-12-31", "2026-13-01"),
        ("date", "3rd of May, 2026", "31/06/2026"),
        ("iban", "GB29 NWBK 6016 1331 9268 19", "GB29 NWBK 6016 1331 9268 18"),
        ("luhn", "490154203237518", "490154203237517"),
    ],
)
def test_a_check_tells_right_values_from_wrong_ones(check: str, right: str, wrong: str) -> None:
    passes = fact_check(check, "GB")
    assert passes is not None
    assert passes(right)
    assert not passes(wrong)


def test_the_bundled_desk_takes_no_number_of_a_country_that_there_is_not(desk: Desk) -> None:
    phone = desk.facts["phone"]
    assert phone.find("ring me on 01632 960 734") == "01632 960 734"
    assert phone.find("ring me on +999 7700 900123") is None
    assert phone.find("01632 960 734 or +999 7700 900123") == "01632 960 734"
