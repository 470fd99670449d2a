"""Labelled messages: checking them, splitting them without leaks, finding near duplicates."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

_WORD = re.compile(r"\w+")


def check(texts: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse data that nothing can be learnt from.

    Raises:
        ValueError: the lengths differ, a text or label is empty, or there are fewer than two labels or texts a label.
    """
    if len(texts) != len(labels):
        raise ValueError(f"there are {len(texts)} texts and {len(labels)} labels; each text needs one label")
    for row, (text, label) in enumerate(zip(texts, labels, strict=True)):
        if not text.strip() or not label.strip():
            raise ValueError(f"the {'text' if not text.strip() else 'label'} in row {row} is empty")
    counts = Counter(labels)
    if len(counts) < 2:
        raise ValueError(f"there are {len(counts)} different labels; a classifier needs at least 2")
    if rare := sorted(label for label, count in counts.items() if count < 2):
        raise ValueError(f"only one example for: {', '.join(rare[:5])}; give each label at least 2")


def split(labels: Sequence[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return row numbers for training and for validation: `share` of each label, at least one of 5 or more."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        rows_of[label].append(row)
    rng = random.Random(seed)  # noqa: S311 (no secret)
    held: list[int] = []
    for label in sorted(rows_of):
        rows = rows_of[label]
        count = max(round(len(rows) * share), 1 if len(rows) >= 5 else 0)
        held += rng.sample(rows, count)
    kept = set(range(len(labels))) - set(held)
    return sorted(kept), sorted(held)


def near_duplicates(texts: Sequence[str], others: Sequence[str], alike: float = 0.75) -> list[tuple[int, int, float]]:
    """Return the pairs (row in `texts`, row in `others`, likeness) whose sets of words overlap by at least `alike`.

    Likeness is the Jaccard coefficient of the lower-case words, 1 for the same set.
    """
    bags = [frozenset(_WORD.findall(text.lower())) for text in others]
    rows_with: dict[str, list[int]] = defaultdict(list)
    for row, bag in enumerate(bags):
        for word in bag:
            rows_with[word].append(row)
    pairs = []
    for row, text in enumerate(texts):
        bag = frozenset(_WORD.findall(text.lower()))
        shared = Counter(other for word in bag for other in rows_with[word])
        for other, count in shared.items():
            likeness = count / len(bag | bags[other])
            if likeness >= alike:
                pairs.append((row, other, likeness))
    return pairs
