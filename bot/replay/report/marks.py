"""Two texts side by side, with the words marked in which they differ."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

Marked = list[str]  # pieces that are the same and pieces that differ in turn, beginning with what is the same
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_ALIKE = 0.35  # the share of words in common from which on marking single words helps a reader
_MOST = 2_000_000  # pairs of words that are compared; a longer text is marked as a whole


def mark(left: str, right: str) -> tuple[Marked, Marked]:
    """Return both texts in pieces; texts with too little in common differ as a whole."""
    if left == right:
        return [left], [right]
    ours, theirs = _TOKEN.findall(left), _TOKEN.findall(right)
    if len(ours) * len(theirs) > _MOST:
        return ["", left], ["", right]
    common = SequenceMatcher(None, _words(ours), _words(theirs), autojunk=False)
    if common.quick_ratio() < _ALIKE or common.ratio() < _ALIKE:  # the first is never less, and found sooner
        return ["", left], ["", right]
    marked: tuple[Marked, Marked] = ([""], [""])
    for kind, a, b, c, d in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        for pieces, words in zip(marked, (ours[a:b], theirs[c:d]), strict=True):
            _append(pieces, "".join(words), same=kind == "equal")
    return marked


def _words(tokens: Sequence[str]) -> list[str]:
    return [token for token in tokens if not token.isspace()]  # which every two texts have in common


def _append(pieces: Marked, text: str, *, same: bool) -> None:
    if not text:
        return
    if (len(pieces) % 2 == 1) == same:
        pieces[-1] += text
    else:
        pieces.append(text)
