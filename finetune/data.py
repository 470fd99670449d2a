"""Labelled messages: checking them, splitting them without leaks, finding near duplicates."""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_LABELS = 1_000
MOST_CHARS = 20_000  # of one text; the encoder reads far fewer, so a longer one is a file gone wrong
_WORD = re.compile(r"\w+")

Labels = Sequence[str] | Sequence[Collection[str]]  # one label a text, or several (or none) a text


def check_rows(texts: Sequence[str], labels: Labels, out_of_scope: Sequence[str] = ()) -> None:
    """Refuse rows that are no labelled texts.

    Raises:
        ValueError: the lengths differ; a text or label is none, or empty, or too long.
    """
    if len(texts) != len(labels):
        raise ValueError(f"there are {len(texts)} texts and {len(labels)} labels; each text needs its label")
    for what, some in (("text", texts), ("out-of-scope text", out_of_scope)):
        for row, text in enumerate(some):
            if not isinstance(text, str):
                raise ValueError(f"the {what} in row {row} is {text!r}; give texts as strings")
            if not text.strip():
                raise ValueError(f"the {what} in row {row} is empty")
            if len(text) > MOST_CHARS:
                raise ValueError(f"the {what} in row {row} has {len(text):,} characters; at most {MOST_CHARS:,} fit")
    for row, label in enumerate(labels):
        for name in [label] if isinstance(label, str) or not isinstance(label, Iterable) else label:
            if not isinstance(name, str):
                raise ValueError(f"the label in row {row} is {name!r}; give labels as strings")
            if not name.strip():
                raise ValueError(f"the label in row {row} is empty")


def check(texts: Sequence[str], labels: Labels, out_of_scope: Sequence[str] = ()) -> None:
    """Refuse data that nothing can be learnt from.

    Raises:
        ValueError: a row is no labelled text; there are fewer than 2 or more than 1,000 labels, or fewer than 2 texts
            for one of them.
    """
    check_rows(texts, labels, out_of_scope)
    counts = Counter(name for label in labels for name in ([label] if isinstance(label, str) else label))
    if len(counts) < 2:
        raise ValueError(f"there are {len(counts)} different labels; a classifier needs at least 2")
    if rare := sorted(label for label, count in counts.items() if count < 2):
        raise ValueError(f"only one example for: {', '.join(rare[:5])}; give each label at least 2")
    if len(counts) > MOST_LABELS:
        raise ValueError(f"there are {len(counts):,} different labels; at most {MOST_LABELS:,} can be told apart")


def contradictions(texts: Sequence[str], labels: Sequence[Sequence[str]]) -> list[tuple[str, list[list[str]]]]:
    """Return each text that stands there with different labels, and those; case and spaces do not count."""
    found: dict[str, tuple[str, list[list[str]]]] = {}
    for text, names in zip(texts, labels, strict=True):
        _, known = found.setdefault(plain(text), (text, []))
        if (own := sorted(names)) not in known:
            known.append(own)
    return [(text, known) for text, known in found.values() if len(known) > 1]


def plain(text: str) -> str:
    """Return a text in lower case and with single spaces, as it is compared with others."""
    return " ".join(text.split()).casefold()


@dataclass(frozen=True)
class Coding:
    """Labels as numbers: `classes` in order, and whether a text may have several."""

    classes: tuple[str, ...]
    several: bool

    @classmethod
    def of(cls, labels: Labels) -> Coding:
        """Return the coding of labels: several a text as soon as one of them is no plain string."""
        several = any(not isinstance(label, str) for label in labels)
        names = {name for label in labels for name in ([label] if isinstance(label, str) else label)}
        return cls(tuple(sorted(names)), several)

    def encode(self, labels: Labels, width: int) -> NDArray[np.integer] | NDArray[np.floating]:
        """Return class numbers `(n,)`, or, where a text may have several, 0 and 1 for each of `width` columns.

        Raises:
            KeyError: a label is none of the classes.
        """
        number = {name: place for place, name in enumerate(self.classes)}
        if not self.several:
            return np.array([number[str(label)] for label in labels], dtype=np.int64)
        coded = np.zeros((len(labels), width), dtype=np.float32)
        for row, label in enumerate(labels):
            coded[row, [number[name] for name in ([label] if isinstance(label, str) else label)]] = 1
        return coded


def split(labels: Sequence[Hashable], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return row numbers for training and for validation: `share` of each label, at least one of 5 or more."""
    rows_of: dict[Hashable, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        rows_of[label].append(row)
    rng = random.Random(seed)  # noqa: S311 (no secret)
    held: list[int] = []
    for label in sorted(rows_of, key=str):
        rows = rows_of[label]
        count = max(round(len(rows) * share), 1 if len(rows) >= 5 else 0)
        held += rng.sample(rows, count)
    kept = set(range(len(labels))) - set(held)
    return sorted(kept), sorted(held)


def leaking(texts: Sequence[str], held: Sequence[int], kept: Sequence[int], dropped: Collection[int] = ()) -> set[int]:
    """Return the rows held out that have an exact or near duplicate among the rows learnt from, and so must go there.

    What is like such a row must go with it, unless it is one of `dropped`, which are neither learnt from nor held out.
    """
    found: set[int] = set()
    learnt = list(kept)
    while learnt:
        rest = [row for row in held if row not in found]
        twins = near_duplicates([texts[row] for row in rest], [texts[row] for row in learnt])
        leaks = {rest[place] for place, _, _ in twins}
        found |= leaks
        learnt = sorted(leaks - set(dropped))
    return found


def near_duplicates(texts: Sequence[str], others: Sequence[str], alike: float = 0.75) -> list[tuple[int, int, float]]:
    """Return the pairs (row in `texts`, row in `others`, likeness) whose sets of words overlap by at least `alike`.

    Likeness is the Jaccard coefficient of the lower-case words, 1 for the same set; a text without words, such as an
    emoji, counts as a word. Two sets that alike share one of the few rarest words of either, so only those are looked
    up. Source: Chaudhuri et al., "A Primitive Operator for Similarity Joins in Data Cleaning", ICDE 2006.
    """
    bags, other_bags = (
        [frozenset(_WORD.findall(text.lower()) or [text.strip()]) for text in some] for some in (texts, others)
    )
    common = Counter(word for bag in (*bags, *other_bags) for word in bag)

    def rarest(bag: frozenset[str]) -> list[str]:
        return sorted(bag, key=lambda word: (common[word], word))[: len(bag) - math.ceil(alike * len(bag) - 1e-9) + 1]

    rows_with: dict[str, list[int]] = defaultdict(list)
    for row, bag in enumerate(other_bags):
        for word in rarest(bag):
            rows_with[word].append(row)
    pairs = []
    for row, bag in enumerate(bags):
        for other in sorted({other for word in rarest(bag) for other in rows_with[word]}):
            likeness = len(bag & other_bags[other]) / len(bag | other_bags[other])
            if likeness >= alike:
                pairs.append((row, other, likeness))
    return pairs
