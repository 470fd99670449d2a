"""Redaction: a fact's values taken out of texts that mention them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from memory.facts import FactSpec

GONE = "[…]"  # stands where a forgotten value stood


def _mentions(values: Sequence[str], form: str) -> re.Pattern[str]:
    """Return a pattern for values however they were typed: in any case and spacing, with the form's prefix or not."""
    prefix, _, suffix = form.partition("{value}")
    parts = []
    for value in values:
        core = value.removeprefix(prefix).removesuffix(suffix)
        loose = r"[\s,]*".join(re.escape(word) for word in core.split())
        parts.append(rf"(?:{re.escape(prefix.rstrip('- '))}[\s-]*)?{loose}" if prefix else loose)
    longest_first = "|".join(sorted(parts, key=len, reverse=True))
    # A value may stand in quotation marks, but the s of "it's" is no value.
    return re.compile(rf"(?<!\w)(?<!\w['’])(?:{longest_first})(?!\w)", re.IGNORECASE)


def hider(spec: FactSpec, values: Sequence[str]) -> Callable[[str], str]:
    """Return what puts `[…]` in the place of a fact's values, however they were typed.

    What it returns raises TimeoutError where one of the desk's patterns takes longer than a second.
    """
    pattern = _mentions(values, spec.form)

    def hide(text: str) -> str:
        text = pattern.sub(GONE, text)
        for start, end in reversed(spec.spans(text, values)):
            text = text[:start] + GONE + text[end:]
        return text

    return hide


def clean(value: Any, hide: Callable[[str], str]) -> Any:
    """Return a value of JSON with all its strings, but not its keys, changed by a function."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {key: clean(part, hide) for key, part in value.items()}
    if isinstance(value, list):
        return [clean(part, hide) for part in value]
    return value
