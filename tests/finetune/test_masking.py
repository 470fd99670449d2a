"""What is personal is masked where simple patterns find it; what the desk needs to read stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.masking import mask, mask_secrets, tidy


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to ann.lee+shop@mail.example.co.uk please", "write to [e-mail] please"),
        ("card 4111 1111 1111 1111 was charged", "card [card number] was charged"),
        ("5500-0000-0000-0004.", "[card number]."),
        ("ring 07700 900461 or (01632) 960118", "ring [phone number] or [phone number]"),
        ("+44 7700 900461, +33612345678", "[phone number], [phone number]"),
        ("call +49 151 12345678", "call [phone number]"),  # its digits would pass for a card's
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


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("my card is 4111 1111 1111 1111, cvv: 123", "my card is [card number], cvv: [secret]"),
        ("pay to GB29 NWBK 6016 1331 9268 19 please", "pay to [account number] please"),
        ("de89370400440532013000", "[account number]"),
        ("my password is hunter2!", "my password is [secret]!"),
        ("Password: 'correct-horse'. Thanks", "Password: '[secret]'. Thanks"),
        ("the PIN is 4821 and it fails", "the PIN is [secret] and it fails"),
        ("I changed my password to Rosebud99", "I changed my password to [secret]"),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked
    assert mask_secrets(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "my password is not working",
        "How do I reset my password? I forgot it.",
        "the security code was never asked for",
        "order R-10234 for nora@example.com, ring 07700 900461",
        "GB29 NWBK 6016 1331 9268 18 is no account",
        "4111 1111 1111 1112 is no card",
    ],
)
def test_what_gives_no_secret_away_stays(text: str) -> None:
    assert mask_secrets(text) == text


def test_what_is_to_be_kept_stays() -> None:
    assert mask("help@desk.example or ann@mail.example", ["help@desk.example"]) == "help@desk.example or [e-mail]"


@given(text=st.text())
def test_a_tidy_text_is_one_line_that_can_be_written(text: str) -> None:
    tidied = tidy(text)

    tidied.encode()
    assert tidied.splitlines() in ([], [tidied])
    assert tidy(tidied) == tidied


@pytest.mark.parametrize("text", ["ann@a.com...bob@b.com", "a@x.com+c@d.com", "x@y.com..new@y.com"])
def test_addresses_that_touch_are_masked_both(text: str) -> None:
    assert "@" not in mask(text)


def test_a_very_long_word_is_read_once() -> None:
    word = "a" * 1_000_000  # looked at from each of its letters, it would take hours
    assert mask(word) == word
