"""What is personal is masked where simple patterns find it; what the desk needs to read stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.masking import mask, tidy


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ann.lee+shop@mail.example.co.uk please", "write to [e-mail] please"),
        ("card 4111 1111 1111 1111 was charged", "card [card number] was charged"),
        ("5500-0000-0000-0004.", "[card number]."),
        ("ring 07700 900461 or (01632) 960118", "ring [phone number] or [phone number]"),
        ("+44 7700 900461, +33612345678", "[phone number], [phone number]"),
    ],
)
def test_addresses_cards_and_phones_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "order R-10318 and PW701584920",
        "4111 1111 1111 1112 is no card",
        "on 2026-11-24 at 10:30 for £226.95",
        "I take a 34 in 12 of 15 shops, size 0 to 5",
        "LA9 4XX, flat 2/1",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert mask(text) == text


def test_what_is_to_be_kept_stays() -> None:
    assert mask("help@desk.example or ann@mail.example", ["help@desk.example"]) == "help@desk.example or [e-mail]"


@given(text=st.text())
def test_a_tidy_text_is_one_line_that_can_be_written(text: str) -> None:
    tidied = tidy(text)

    tidied.encode()
    assert tidied.splitlines() in ([], [tidied])
    assert tidy(tidied) == tidied
