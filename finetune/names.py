"""Names of people in a log, found where people greet and introduce themselves; no list of names is needed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable

_NAME = r"(?P<name>[A-Z][^\W\d_A-Z]+(?:-[A-Z][^\W\d_A-Z]+)?)"
_TITLES = frozenset("mr mrs ms miss mx dr".split())
_DAYS = frozenset("monday tuesday wednesday thursday friday saturday sunday".split())
_PLACES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:[Hh]i|[Hh]ello|[Hh]ey|[Hh]iya|[Dd]ear|[Mm]orning|[Aa]fternoon|[Ee]vening|[Bb]ye),? {_NAME}\b",
        rf"\b(?:[Tt]hanks|[Tt]hank you|[Cc]heers|[Tt]a),? {_NAME}\b",
        rf"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr)\.? {_NAME}\b",
        rf"\b{_NAME}(?: [A-Z][^\W\d_]+)? here\b",
        rf"\b(?:I'm|I’m|I am|[Ii]t's|[Ii]t’s|[Tt]his is|[Mm]y name is|you're through to) {_NAME}\b",
    )
)
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)?")


def people(texts: Iterable[str]) -> frozenset[str]:
    """Return the names in some texts, lower case: capitalised where people are greeted, and seldom otherwise written.

    A word that more often stands without a capital is no name: "Hello, Can you help".
    """
    named: set[str] = set()
    small: Counter[str] = Counter()
    large: Counter[str] = Counter()
    for text in texts:
        named.update(match["name"].lower() for place in _PLACES for match in place.finditer(text))
        for word in _WORD.findall(text):
            (large if word[0].isupper() else small)[word.lower()] += 1
    return frozenset(name for name in named - _TITLES - _DAYS if large[name] > small[name])


def without(text: str, names: Collection[str]) -> str:
    """Return a text without the words that are names, and without the titles before them."""
    kept = [word for word in text.split() if not _is_name(word, names)]
    return " ".join(kept) if kept else text


def _is_name(word: str, names: Collection[str]) -> bool:
    bare = word.strip(".,;:!?()\"'’").lower().removesuffix("'s").removesuffix("’s")
    return bare in names or bare in _TITLES
