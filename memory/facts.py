"""Typed facts: what a desk wants remembered, found in a message by the desk's own patterns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import regex

from memory.particulars import sentences
from memory.validity import ALWAYS, Validity, read_validity

_CLAUSE = regex.compile(r";|\band\b|\bthen\b|\bbut\b", regex.IGNORECASE)
# What stands between two values of a list.
_LISTED = regex.compile(r"\s*[,;/&+]?\s*(?:(?:and|or|und|oder|et|ou|y|o)\b)?\s*(?:(?:the|my)\s)?", regex.IGNORECASE)
_MOST_LISTED = 5
_ANY_DAY = datetime(2026, 1, 1)  # where words about time stand does not depend on the day


@dataclass(frozen=True)
class FactSpec:
    """One kind of fact, as `facts.yaml` describes it.

    `patterns` find the fact anywhere in a message; `answers` match a whole message and count only when the bot has just
    asked for the fact; `near_misses` find what is meant as one and is none, a digit short for example. All of them hold
    a group named `value`. `values` maps what customers say (lower case) to the value that
    is meant. `form` rewrites a value, `{value}` standing for the match: `R-{value}`. A match whose value fails `check`
    is none. `words` are what customers call the fact; `ask` and `confirm` are wordings of the bot's questions. What is
    `dated` may hold from a day on, or until one, that the message names: such words about time are no part of a value.
    """

    name: str
    label: str
    patterns: tuple[regex.Pattern[str], ...] = ()
    answers: tuple[regex.Pattern[str], ...] = ()
    near_misses: tuple[regex.Pattern[str], ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    form: str = "{value}"
    case: str = "keep"
    ask: tuple[str, ...] = ()
    confirm: tuple[str, ...] = ()
    personal: bool = False
    dated: bool = False
    keep_days: int = 365
    check: Callable[[str], bool] | None = None

    def find(self, text: str, *, asked: bool = False) -> str | None:
        """Return the last value of this fact in a message, or None; the last, since people correct themselves.

        Raises:
            TimeoutError: one of the desk's patterns takes longer than a second.
        """
        return next(reversed(self.find_all(text, asked=asked)), None)

    def find_all(self, text: str, *, asked: bool = False) -> tuple[str, ...]:
        """Return the values that a message lists at last, in its order: two of "R-10234 and R-10250", at most five.

        Of "R-10234, no, R-10250" it is the last one alone.

        Raises:
            TimeoutError: one of the desk's patterns takes longer than a second.
        """
        return self._find_all(_undated(text) if self.dated else text, asked)

    def _find_all(self, text: str, asked: bool) -> tuple[str, ...]:
        found = [match for pattern in self.patterns for match in pattern.finditer(text, timeout=1)]
        if not found and asked:
            matches = (pattern.fullmatch(text.strip(), timeout=1) for pattern in self.answers)
            found = [match for match in matches if match]
        found = [match for match in found if self.check is None or self.check(self._form(match["value"]))]
        found.sort(key=lambda match: match.start("value"))
        listed = found[-1:]
        for one in found[-2::-1]:
            between = text[one.end("value") : max(listed[-1].start(), one.end("value"))]
            if not _LISTED.fullmatch(between):
                break
            listed.append(one)
        values = dict.fromkeys(self._form(match["value"]) for match in listed)
        return tuple(values)[:_MOST_LISTED][::-1]

    def find_near_miss(self, text: str) -> str | None:
        """Return the last thing in a message that is meant as this fact and is none, as it was typed, or None.

        Raises:
            TimeoutError: one of the desk's patterns takes longer than a second.
        """
        found = [match for pattern in self.near_misses for match in pattern.finditer(text, timeout=1)]
        return max(found, key=lambda match: match.start("value"))["value"] if found else None

    def validity(self, value: str, text: str, said: datetime) -> Validity:
        """Return from when until when a message says that a value holds, by the clause or sentence that says the value.

        Raises:
            TimeoutError: one of the desk's patterns takes longer than a second.
        """
        for sentence in sentences(text) if self.dated else ():
            for part in (*_CLAUSE.split(sentence), sentence):
                _, valid = read_validity(part, said)
                if valid != ALWAYS and self.find(part, asked=True) == value:
                    return valid
        return ALWAYS

    def spans(self, text: str, values: Collection[str]) -> list[tuple[int, int]]:
        """Return where a text says one of some values in the words of a customer, in order, without overlaps.

        Raises:
            TimeoutError: one of the desk's patterns takes longer than a second.
        """
        found = [match for pattern in self.patterns for match in pattern.finditer(text, timeout=1)]
        first, last = len(text) - len(text.lstrip()), len(text.rstrip())
        found += [match for one in self.answers if (match := one.fullmatch(text, first, last, timeout=1))]
        spans: list[tuple[int, int]] = []
        for span in sorted(match.span("value") for match in found if self._form(match["value"]) in values):
            if not spans or span[0] >= spans[-1][1]:
                spans.append(span)
        return spans

    def _form(self, value: str) -> str:
        tidy = " ".join(value.split()).strip(" .,;:!?")
        if tidy.lower() in self.values:
            return self.values[tidy.lower()]
        shaped = {"upper": tidy.upper(), "lower": tidy.lower(), "title": tidy.title(), "keep": tidy}[self.case]
        return self.form.replace("{value}", shaped)


@dataclass(frozen=True)
class Fact:
    """A fact that a customer told us: `turn_id` is the turn it was said in, None while that turn is under way.

    `valid` says from when until when it holds, `superseded_at` when another value took its place (`memory.told`).
    """

    name: str
    value: str
    said_at: datetime
    session_id: str
    turn_id: int | None = None
    id: int | None = None
    valid: Validity = ALWAYS
    superseded_at: datetime | None = None


def find_facts(specs: Sequence[FactSpec], text: str, asked: str | None = None) -> dict[str, tuple[str, ...]]:
    """Return the facts in a message, name to values: those that it lists at last, of which the last one counts.

    `asked` names the fact that the bot has just asked for.
    """
    undated = _undated(text) if any(spec.dated for spec in specs) else text  # once for all of them
    found = {spec.name: spec._find_all(undated if spec.dated else text, spec.name == asked) for spec in specs}
    return {name: values for name, values in found.items() if values}


def _undated(text: str) -> str:
    return read_validity(text, _ANY_DAY)[0]


def same_value(one: str, other: str) -> bool:
    """Return whether two values differ in case, spaces and marks at most: `+44 7700 900123` and `+447700900123`."""
    return one == other or ((key := _letters(one)) != "" and key == _letters(other))


def _letters(value: str) -> str:
    return "".join(char for char in value.casefold() if char.isalnum())
