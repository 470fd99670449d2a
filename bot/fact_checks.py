"""What `check` in facts.yaml means: a value that fails it is not taken for a fact."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial

import phonenumbers

from finetune.masking import EMAIL, is_iban, luhn

_DATES = ("%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%d %B %Y", "%d %b %Y", "%B %d %Y", "%b %d %Y")


def fact_check(name: str, region: str) -> Callable[[str], bool] | None:
    """Return the check of a name, None for the empty one; `region` (ISO 3166, `GB`) is for numbers without a prefix."""
    checks: dict[str, Callable[[str], bool]] = {
        "phone": partial(is_phone, region=region),
        "email": lambda value: EMAIL.fullmatch(value) is not None,
        "date": is_date,
        "iban": is_iban,
        "luhn": luhn,
    }
    return checks.get(name)


def is_phone(value: str, region: str) -> bool:
    """Return whether a number, with its area code, has a length that numbers of its country have."""
    with suppress(phonenumbers.NumberParseException):
        reason = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(value, region))
        return bool(reason == phonenumbers.ValidationResult.IS_POSSIBLE)
    return False


def is_date(value: str) -> bool:
    """Return whether a value is a day that there is: 2026-02-29 is none; a slash stands after the day."""
    bare = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b|,| of\b", "", value)
    for form in _DATES:
        with suppress(ValueError):
            datetime.strptime(bare, form)
            return True
    return False
