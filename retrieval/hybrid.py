"""Fusion of rankings: what is found by meaning and by words, as one list."""

from __future__ import annotations

from collections.abc import Sequence


def fuse(*rankings: Sequence[str]) -> list[tuple[str, float]]:
    """Return the ids of several rankings (best first) with their fused score, best first.

    Reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009, with their constant 60. Equal scores keep the
    order of the first ranking.
    """
    scores: dict[str, float] = {}
    for ranking in rankings:
        for place, key in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + 1.0 / (60 + place)
    return sorted(scores.items(), key=lambda item: -item[1])
