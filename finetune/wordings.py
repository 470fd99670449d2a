"""Wordings: what customers said, masked, near-identical messages counted as one, without what a desk has already."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from finetune.data import near_duplicates
from finetune.grouping import first_alike
from finetune.logs import Heard
from finetune.masking import mask, tidy
from retrieval import Encoder

Floats = NDArray[np.floating]
Report = Callable[[float], None]

LONGEST = 2000  # characters; longer messages are no examples to learn from
_PIECE = 256  # texts between two reports of progress
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\S*\d{4}\S*\s*")  # an order number says nothing about what is wanted


@dataclass(frozen=True)
class Known:
    """What a desk has already: labelled `messages` as (text, intent), out-of-scope messages, and test messages."""

    messages: tuple[tuple[str, str], ...]
    out_of_scope: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wording:
    """One way of saying something: its commonest form, how often it was heard, and from whom.

    `bare` is the text without names and order numbers; `opens` tells that a conversation was opened with it.
    """

    text: str
    bare: str
    count: int
    customers: frozenset[str]
    opens: bool


@dataclass(frozen=True)
class Wordings:
    """All wordings with their unit vectors `(n, dim)`, the most frequent first, and what became of the rest.

    Of the messages `read`, `known` are in the desk already and `unusable` are wordless or too long; something was
    masked in `masked` of them.
    """

    items: tuple[Wording, ...]
    vectors: Floats
    read: int
    known: int
    unusable: int
    masked: int

    @property
    def texts(self) -> list[str]:
        """The wordings' texts."""
        return [one.text for one in self.items]

    @property
    def bare(self) -> list[str]:
        """The wordings' texts without the names of people."""
        return [one.bare for one in self.items]


def collect(heard: Sequence[Heard], known: Known, encoder: Encoder, report: Report = lambda _share: None) -> Wordings:
    """Return the wordings in some messages, without those that a desk has already, word for word or nearly.

    Messages are the same wording if they differ in case, marks or numbers alone, or if their vectors are alike.
    """
    tidied = [tidy(one.text) for one in heard]
    masked = [mask(text) for text in tidied]
    usable = [row for row, text in enumerate(masked) if len(text) <= LONGEST and any(map(str.isalnum, text))]
    bare = [_NUMBER.sub("", mask(tidy(one.bare))).strip() or text for one, text in zip(heard, masked, strict=True)]
    same: dict[str, list[int]] = {}
    for row in usable:
        words = " ".join(_WORD.findall(bare[row].casefold())) or masked[row]
        same.setdefault(_DIGIT.sub("0", words), []).append(row)
    items = [
        Wording(
            text=masked[rows[0]],
            bare=bare[rows[0]],
            count=len(rows),
            customers=frozenset(heard[row].customer for row in rows),
            opens=any(heard[row].opens for row in rows),
        )
        for rows in same.values()
    ]
    there_already = (*(text for text, _ in known.messages), *known.out_of_scope, *known.tested)
    others = [_NUMBER.sub("", text) for text in there_already]
    there = {row for row, _, _ in near_duplicates([one.bare for one in items], others)}
    items, left_out = ([one for row, one in enumerate(items) if (row in there) is taken] for taken in (False, True))
    items, vectors = _merge(items, encoder, report)
    return Wordings(
        items=tuple(items),
        vectors=vectors,
        read=len(heard),
        known=sum(one.count for one in left_out),
        unusable=len(heard) - len(usable),
        masked=sum(text != bare for text, bare in zip(masked, tidied, strict=True)),
    )


def encode(encoder: Encoder, texts: Sequence[str], report: Report = lambda _share: None) -> Floats:
    """Return unit vectors `(n, dim)` of texts, telling `report` the share that is done."""
    parts = [encoder.encode(())]
    for start in range(0, len(texts), _PIECE):
        report(start / len(texts))
        parts.append(encoder.encode(texts[start : start + _PIECE]))
    report(1.0)
    return np.concatenate(parts)


def _merge(items: Iterable[Wording], encoder: Encoder, report: Report) -> tuple[list[Wording], Floats]:
    """Return wordings with those that are alike made one, under the text of the most frequent, and their vectors."""
    ordered = sorted(items, key=lambda one: -one.count)  # stable: equally frequent ones keep their order
    vectors = encode(encoder, [one.bare for one in ordered], report)
    members: dict[int, list[Wording]] = {}
    for row, first in enumerate(first_alike(vectors)):
        members.setdefault(int(first), []).append(ordered[row])
    merged = [
        replace(
            ones[0],
            count=sum(one.count for one in ones),
            customers=frozenset[str]().union(*(one.customers for one in ones)),
            opens=any(one.opens for one in ones),
        )
        for ones in members.values()
    ]
    return merged, vectors[list(members)]
