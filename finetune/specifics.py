"""Specifics: what in an agent's reply was meant for one customer, so that a person sees which replies are general."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable

from finetune.masking import EMAIL, PHONE, mask

MANY = 3  # customers who were told the same value: then it is the desk's, not theirs
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*"
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_LASTING = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        EMAIL.pattern,
        PHONE.pattern,
        r"\b[a-z]{1,3}-?\d{4,}\w*\b|\b\d{5,}\b",  # numbers of orders and parcels
        r"\b[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}\b",  # British postcodes
        r"[£$€]\s?\d[\d,.]*\d|[£$€]\s?\d|\b\d[\d,.]* ?(?:pounds|euros?|dollars)\b",
        r"\b\d{1,2}:\d\d\b",
    )
)
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}\b|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b",
        r"\b\d{4}-\d\d-\d\d\b|\b\d{1,2}/\d{1,2}(?:/\d{2,4})?\b|\bthe \d{1,2}(?:st|nd|rd|th)\b",
        rf"\b{_DAY}\b|\b(?:today|tomorrow|tonight|yesterday)\b",
    )
)
_WORD = re.compile(r"[^\W\d_]+")


def _values(text: str, patterns: Iterable[re.Pattern[str]]) -> list[str]:
    """Return what some patterns find in a text, as written, in order, each once."""
    found = {(match.start(), match[0].strip(" .,")) for pattern in patterns for match in pattern.finditer(text)}
    return list(dict.fromkeys(value for _, value in sorted(found)))


def general_values(replies: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the amounts, times, numbers and addresses that many customers were told.

    `replies` are (customer, what an agent wrote). Dates are never general: they are of the day they were said on.
    """
    told: dict[str, set[str]] = defaultdict(set)
    for customer, text in replies:
        for value in _values(text, _LASTING):
            told[value].add(customer)
    return frozenset(value for value, customers in told.items() if len(customers) >= MANY)


def specifics(text: str, general: Collection[str], names: Collection[str]) -> tuple[str, ...]:
    """Return what in a reply was for one customer, masked: dates, values that are not general, names of people."""
    found = [mask(value) for value in _values(text, (*_LASTING, *_DATES)) if value not in general]
    named = [word for word in _WORD.findall(text) if word.lower() in names and word[0].isupper()]
    return tuple(dict.fromkeys([*found, *named]))
