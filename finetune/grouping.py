"""Grouping messages by meaning: near-identical ones into one, and those that look like a new intent together.

Vectors are unit vectors of the encoder. Nothing here is random, and no matrix grows beyond a few hundred megabytes.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.lexical import terms

Floats = NDArray[np.floating]

ALIKE = 0.92  # cosine from which two messages say the same in other words
_BLOCK = 512  # rows compared at a time
_SHRINKAGE = 1.0  # of the within-intent spread, in mean variances: few messages an intent tell little about it
_TOGETHER = 0.2  # mean cosine, in the intents' space, at which messages still belong together
_MARGIN = 0.05  # by how much a group must be closer to itself than to the closest intent


def first_alike(vectors: Floats, alike: float = ALIKE) -> NDArray[np.int64]:
    """Return for each row of unit vectors `(n, dim)` the first row that it is alike, its own number where none is.

    A row joins the first row that stands for itself, never another joined one, so that likeness does not drift.
    """
    chosen = np.full(len(vectors), -1, dtype=np.int64)
    heads: list[int] = []
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        if heads:
            similarities = block @ vectors[heads].T  # (block, heads)
            joined = similarities.max(axis=1) >= alike
            chosen[start : start + len(block)][joined] = np.array(heads)[similarities.argmax(axis=1)][joined]
        inner = block @ block.T
        for row in range(len(block)):
            if chosen[start + row] < 0:
                heads.append(start + row)
                free = (inner[row] >= alike) & (chosen[start : start + len(block)] < 0)
                chosen[start : start + len(block)][free] = start + row
                chosen[start + row] = start + row
    return chosen


def nearest(vectors: Floats, others: Floats) -> Floats:
    """Return the cosine of each unit vector `(n, dim)` with the closest of the others `(m, dim)`; -1 without others."""
    best = np.full(len(vectors), -1.0)
    for start in range(0, len(vectors) if len(others) else 0, _BLOCK):
        best[start : start + _BLOCK] = (vectors[start : start + _BLOCK] @ others.T).max(axis=1)
    return best


class IntentSpace:
    """The encoder's vectors, turned so that what differs between a desk's intents counts, and what does not fades.

    Messages of one intent differ in product, name and length; that spread is measured and divided out. Source:
    within-class covariance normalisation, Hatch, Kajarekar and Stolcke, Interspeech 2006. `centres` are the intents'
    mean directions, `(intents, dim)`.
    """

    def __init__(self, vectors: Floats, labels: Sequence[str]) -> None:
        """Measure the space on labelled unit vectors `(n, dim)`, at least one."""
        names, members = np.unique(np.asarray(labels), return_inverse=True)
        means = np.stack([vectors[members == number].mean(axis=0) for number in range(len(names))])
        inner = vectors - means[members]
        variances, directions = np.linalg.eigh(inner.T @ inner / len(vectors))
        floor = _SHRINKAGE * max(float(variances.mean()), 1e-6)
        self._middle = vectors.mean(axis=0)
        self._turn = (directions / np.sqrt(np.maximum(variances, 0) + floor)) @ directions.T
        turned = self.turn(vectors)
        self.centres = _unit(np.stack([turned[members == number].mean(axis=0) for number in range(len(names))]))

    def turn(self, vectors: Floats) -> Floats:
        """Return unit vectors `(n, dim)` as unit vectors in this space."""
        return _unit((vectors - self._middle) @ self._turn)


def new_groups(turned: Floats, space: IntentSpace, smallest: int) -> list[NDArray[np.int64]]:
    """Return groups of rows that are closer to each other than to any known intent, the most compact first.

    `turned` are `(n, dim)` vectors in the space. Groups come from average linkage; memory grows with n squared: 5,000
    rows take 100 MB.
    """
    if len(turned) < max(smallest, 2):
        return []
    from scipy.cluster.hierarchy import fcluster, linkage

    numbers = fcluster(linkage(_distances(turned), "average"), 1 - _TOGETHER, "distance")
    found = []
    for number in range(1, int(numbers.max()) + 1):
        rows = np.flatnonzero(numbers == number)
        if len(rows) >= smallest and (margin := _margin(turned[rows], space.centres)) >= _MARGIN:
            found.append((-margin, int(rows[0]), rows))
    return [rows for _, _, rows in sorted(found, key=lambda group: group[:2])]


def name_groups(groups: Sequence[Sequence[str]], others: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Return a name for each group of texts: up to three words that tell it from the other texts, joined by `_`.

    A word tells a group by how many of its texts have it, weighed down by how common it is elsewhere. Names in `taken`
    and names given before get a number.
    """
    elsewhere = Counter(word for text in others for word in set(terms(text)))
    names: list[str] = []
    for texts in groups:
        surfaces = _surfaces(texts)
        counts = Counter(word for text in texts for word in set(terms(text)) if word.isalpha() and word in surfaces)
        weights = {
            word: count / len(texts) * math.log((len(others) + 1) / (elsewhere[word] + 1))
            for word, count in counts.items()
        }
        best = sorted((word for word in weights if counts[word] > 1), key=lambda word: (-weights[word], word))[:3]
        name = "_".join(surfaces[word] for word in best if weights[word] >= weights[best[0]] / 3) or "new_intent"
        number, free = 1, name
        while free in taken or free in names:
            number += 1
            free = f"{name}_{number}"
        names.append(free)
    return names


def _surfaces(texts: Sequence[str]) -> dict[str, str]:
    """Return the stems in some texts with the word each of them is most often written as."""
    written: dict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        for word in text.lower().split():
            bare = word.strip(".,;:!?()'’\"")
            for stem in terms(bare)[:1]:
                written[stem][bare] += 1
    return {stem: min(words, key=lambda word: (-words[word], len(word), word)) for stem, words in written.items()}


def _distances(vectors: Floats) -> Floats:
    """Return the cosine distances of all pairs of unit vectors in scipy's condensed order, `(n (n - 1) / 2,)`."""
    count = len(vectors)
    condensed = np.empty(count * (count - 1) // 2, dtype=np.float64)
    place = 0
    for row in range(count - 1):
        rest = count - row - 1
        condensed[place : place + rest] = 1 - vectors[row + 1 :] @ vectors[row]
        place += rest
    return np.maximum(condensed, 0)


def _margin(members: Floats, centres: Floats) -> float:
    """Return how much closer members `(n, dim)` are to the mean of the other members than to the closest centre."""
    others = _unit(members.sum(axis=0) - members)
    return float((others * members).sum(axis=1).mean() - (members @ centres.T).max(axis=1).mean())


def _unit(vectors: Floats) -> Floats:
    units: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return units
