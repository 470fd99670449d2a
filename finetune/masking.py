"""Masking: what nobody may keep (card numbers, passwords), and what is personal in what a person will see and label.

The patterns are simple on purpose. They miss what is written unusually, so that a person still looks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

# At most 64 characters before the @ (RFC 5321): without a bound, a long word takes the square of its time.
EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
# 13 to 19 digits (ISO/IEC 7812), in groups or not.
_CARD = re.compile(r"(?<![\w.+])\d(?:[ -]?\d){12,18}(?!\w)")
# +44 7700 900461, 0044 7700 900461, (01632) 960118, 07700900461: 9 to 15 digits (E.164) that begin with + or 0.
PHONE = re.compile(r"(?<![\w.+-])(?:\+|\(?0)\d?(?:[ ()-]{0,2}\d){8,13}(?!\w)")


# UK GB29 NWBK 6016 1331 9268 19: country, check digits, up to 30 letters and digits in groups or not (ISO 13616).
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}(?!\w)", re.IGNORECASE)
_SAID_SECRET = re.compile(
    r"(?P<lead>\b(?:pass\s?word|pass\s?code|pass\s?phrase|pin(?:\s(?:code|number))?|cvv2?|cvc2?"
    r"|(?:card\s)?security\scode|one[- ]time\scode|otp)\b"
    r"\s*(?:(?:is|was|to|=|:)\s*){1,2}[\"'“‘]?)(?P<value>[^\s\"'”’,;]{3,64})",
    re.IGNORECASE,
)
# "My password is not working" gives no password away.
_NO_SECRET = frozenset(
    "not wrong incorrect invalid expired correct right lost forgotten still never always the that this what been being "
    "too asked reset changed login log sign get use enter access working broken safe secure and but please your our "
    "there here only also again just now locked blocked gone missing required needed my".split()
)


def mask_secrets(text: str) -> str:
    """Return a text without card numbers, account numbers, passwords, PINs and security codes.

    Numbers are masked where their check digits are right (Luhn; mod 97, ISO 13616), passwords where they are called so.
    """
    text = _IBAN.sub(_mask_iban, text)  # first: a part of one may pass for a card number
    text = _CARD.sub(lambda match: "[card number]" if luhn(match[0]) else match[0], text)
    return _SAID_SECRET.sub(_mask_secret, text)


def mask(text: str, keep: Collection[str] = (), region: str = "") -> str:
    """Return a text with e-mail addresses, card numbers and phone numbers replaced by what they are.

    So is what `mask_secrets` masks. What stands in `keep`, as it is written in the text, stays. With a region
    (ISO 3166, `US`), phone numbers as they are written there are found too: (202) 555-0143.
    """
    text = EMAIL.sub(lambda match: match[0] if match[0] in keep else "[e-mail]", text)
    text = mask_secrets(text)
    text = PHONE.sub(lambda match: match[0] if match[0] in keep else "[phone number]", text)
    return _mask_phones_of(region, text, keep) if region else text


def tidy(text: str) -> str:
    """Return a text in NFC form on one line, without control characters and lone surrogates."""
    kept = (" " if unicodedata.category(char) in ("Cc", "Cs") else char for char in text)
    return " ".join(unicodedata.normalize("NFC", "".join(kept)).split())


def luhn(number: str) -> bool:
    """Return whether the check digit of a number is right (ISO/IEC 7812-1)."""
    digits = [int(char) for char in reversed(number) if char.isdigit()]
    return sum(digits[::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0


def is_iban(number: str) -> bool:
    """Return whether the check digits of a bank account number are right (mod 97, ISO 13616)."""
    bare = re.sub(r"[ -]", "", number)
    if not re.fullmatch(r"[A-Za-z]{2}\d{2}[A-Za-z0-9]{11,30}", bare):
        return False
    return int("".join(str(int(char, 36)) for char in bare[4:] + bare[:4])) % 97 == 1


def _mask_phones_of(region: str, text: str, keep: Collection[str]) -> str:
    from phonenumbers import PhoneNumberMatcher

    for match in reversed(list(PhoneNumberMatcher(text, region))):
        if match.raw_string not in keep:
            text = f"{text[: match.start]}[phone number]{text[match.end :]}"
    return text


def _mask_iban(match: re.Match[str]) -> str:
    """Return a mask for as much of a match as is an account number; what follows it may look like more of it."""
    found = match[0]
    for end in range(len(found), 14, -1):
        bare = re.sub(r"[ -]", "", found[:end])
        if not found[end : end + 1].isalnum() and is_iban(bare):
            return "[account number]" + found[end:]
    return found


def _mask_secret(match: re.Match[str]) -> str:
    value = match["value"].rstrip(".!?)")
    return match[0] if value.lower() in _NO_SECRET else match["lead"] + "[secret]" + match["value"][len(value) :]
