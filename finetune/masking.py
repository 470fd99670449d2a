"""Masking: e-mail addresses, card numbers and phone numbers taken out of what a person will see and label.

The patterns are simple on purpose. They miss what is written unusually, so that a person still looks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# 13 to 19 digits (ISO/IEC 7812), in groups or not.
_CARD = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?!\w)")
# +44 7700 900461, 0044 7700 900461, (01632) 960118, 07700900461: 9 to 15 digits (E.164) that begin with + or 0.
PHONE = re.compile(r"(?<![\w.+-])(?:\+|\(?0)\d?(?:[ ()-]{0,2}\d){8,13}(?!\w)")


def mask(text: str, keep: Collection[str] = ()) -> str:
    """Return a text with e-mail addresses, card numbers and phone numbers replaced by what they are.

    A card number is masked where its check digit is right (Luhn, ISO/IEC 7812-1), so that order numbers stay. What
    stands in `keep`, as it is written in the text, stays.
    """
    text = EMAIL.sub(lambda match: match[0] if match[0] in keep else "[e-mail]", text)
    text = _CARD.sub(lambda match: "[card number]" if _luhn(match[0]) else match[0], text)
    return PHONE.sub(lambda match: match[0] if match[0] in keep else "[phone number]", text)


def tidy(text: str) -> str:
    """Return a text in NFC form on one line, without control characters and lone surrogates."""
    kept = (" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in text)
    return " ".join(unicodedata.normalize("NFC", "".join(kept)).split())


def _luhn(number: str) -> bool:
    digits = [int(char) for char in reversed(number) if char.isdigit()]
    return sum(digits[::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0
