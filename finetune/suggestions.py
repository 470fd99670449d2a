"""Suggestions: which unlabelled customer messages would teach the intent classifier most, for a person to label.

A message teaches when the classifier is unsure of it, when it is unlike everything the desk has taught, and when many
customers say it. Nothing that is suggested trains anything until a person has filled in its intent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from finetune.grouping import IntentSpace, name_groups, nearest, new_groups
from finetune.logs import Heard
from finetune.phrasing import asks, telling
from finetune.wordings import Floats, Known, Wording, Wordings, collect, encode
from retrieval import Encoder

Progress = Callable[[str, float], None]

_SMALLEST = 4  # wordings that make a new intent
_CUSTOMERS = 3  # who must have said them
_SEARCHED = 5000  # of the messages that teach most, how many are looked through for new intents
_FAR = 0.55  # cosine with the closest taught message, below which no known intent is close
_SURE = 0.7  # probability from which the classifier has an opinion
_SCATTERED = 0.3  # share of a group with another opinion than most: then it is about a subject, not an intent
_PIECE = 256  # messages between two reports of progress
_FEW = 3  # telling words, below which a message is a fragment


class Classifier(Protocol):
    """What a classifier must be able to do here; `IntentClassifier` is one."""

    classes_: list[str]
    in_scope_threshold: float

    def assess(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Return calibrated probabilities `(n, classes)` and in-scope scores `(n,)`, higher for what is in scope."""
        ...


@dataclass(frozen=True)
class Suggestion:
    """One message worth a label: `count` near-identical ones were heard; `group` names a new intent or is empty."""

    text: str
    count: int
    suggested_intent: str
    confidence: float
    why: str
    group: str


@dataclass(frozen=True)
class Group:
    """What looks like an intent that the desk lacks: a proposed name, how many messages, their wordings."""

    name: str
    size: int
    wordings: tuple[str, ...]


@dataclass(frozen=True)
class Suggestions:
    """The messages, those that teach most first; the groups, the largest first; and what became of all that was read.

    Of the messages `read`, `known` are in the desk already and `unusable` are wordless or too long; something was
    masked in `masked` of them.
    """

    rows: tuple[Suggestion, ...]
    groups: tuple[Group, ...]
    read: int
    known: int
    unusable: int
    masked: int


@dataclass(frozen=True)
class _Opinion:
    """What the classifier and the desk's messages say of each wording; every array has `n` rows."""

    classes: Sequence[str]
    likeliest: NDArray[np.int64]  # (n, 2) classes, the likeliest first
    probabilities: Floats  # (n, 2) of these
    in_scope: Floats  # (n,) 0 to 1, 0.5 at the classifier's threshold
    near: Floats  # (n,) cosine with the closest message of the desk

    @property
    def sure(self) -> NDArray[np.bool_]:
        return (self.probabilities[:, 0] >= _SURE) & (self.in_scope >= 0.5)

    @property
    def teaches(self) -> Floats:
        """How much a label would teach, 0 to 1: half of it for being unsure, half for being new."""
        margin = self.probabilities[:, 0] - self.probabilities[:, 1]
        unsure = 1 - self.in_scope * margin
        score: Floats = (unsure + 1 - np.clip(self.near, 0, 1)) / 2
        return score


def suggest(
    heard: Sequence[Heard],
    known: Known,
    classifier: Classifier,
    encoder: Encoder,
    limit: int = 100,
    progress: Progress = lambda _what, _share: None,
) -> Suggestions:
    """Return up to `limit` messages worth a label; the same input gives the same output.

    Messages that are in the desk already, word for word or nearly, are left out; near-identical ones count as one.

    Raises:
        ValueError: the desk has no labelled message to compare with.
    """
    if not known.messages:
        raise ValueError("the desk has no labelled message to compare with; label some in intents.csv first")
    wordings = collect(heard, known, encoder, lambda share: progress("Reading messages", share))
    taught = encode(encoder, [text for text, _ in known.messages], lambda share: progress("Reading the desk", share))
    near = nearest(wordings.vectors, np.concatenate([taught, encode(encoder, known.out_of_scope)]))
    opinion = _ask(classifier, wordings, near, progress)
    alone = np.array([_stands_alone(one) for one in wordings.items], dtype=bool)
    scores = opinion.teaches * np.where(alone, 1.0, 0.5)
    searched = np.flatnonzero(alone)[np.argsort(-scores[alone], kind="stable")[:_SEARCHED]]
    groups, group_of = _new_intents(wordings, np.sort(searched), taught, known, opinion)
    asked = [
        one.count if group < 0 else groups[group].size for one, group in zip(wordings.items, group_of, strict=True)
    ]
    picked = pick(scores * (1 + np.log(np.array(asked, dtype=np.float64))), wordings.vectors, group_of, limit)
    return Suggestions(
        rows=tuple(
            _suggestion(row, wordings.items[row], opinion, groups[group_of[row]] if group_of[row] >= 0 else None)
            for row in picked
        ),
        groups=tuple(sorted(groups, key=lambda group: -group.size)),
        read=wordings.read,
        known=wordings.known,
        unusable=wordings.unusable,
        masked=wordings.masked,
    )


def pick(scores: Floats, vectors: Floats, groups: NDArray[np.int64], limit: int) -> list[int]:
    """Return up to `limit` rows, best first, varied: what is like a picked row counts for less.

    Each row's score `(n,)`, above 0, is reduced by its largest cosine with the rows picked before it; `vectors` are
    unit vectors `(n, dim)`. Source: maximal marginal relevance, Carbonell and Goldstein, SIGIR 1998, with a product for
    the sum. `groups` `(n,)` tells which group each row is in, -1 for none: while there are others, a group gets every
    third place at most.
    """
    left, likeness = np.array(scores, dtype=np.float64), np.zeros(len(scores))
    taken: Counter[int] = Counter()
    picked: list[int] = []
    for place in range(min(limit, len(left))):
        full = [group for group, count in taken.items() if group >= 0 and 3 * count > place]
        values = left * (1 - likeness)
        varied = np.where(np.isin(groups, full), -1.0, values)
        best = int(np.argmax(varied if varied.max() > 0 else values))
        picked.append(best)
        taken[int(groups[best])] += 1
        likeness = np.maximum(likeness, np.clip(vectors @ vectors[best], 0, 0.99))
        left[best] = -1.0
    return picked


def _ask(classifier: Classifier, wordings: Wordings, near: Floats, progress: Progress) -> _Opinion:
    probabilities, scores = np.zeros((0, len(classifier.classes_))), np.zeros(0)
    for start in range(0, len(wordings.items), _PIECE):
        progress("Asking the classifier", start / len(wordings.items))
        some, some_scores = classifier.assess(wordings.texts[start : start + _PIECE])
        probabilities, scores = np.concatenate([probabilities, some]), np.concatenate([scores, some_scores])
    progress("Asking the classifier", 1.0)
    likeliest = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    return _Opinion(
        classes=classifier.classes_,
        likeliest=likeliest,
        probabilities=np.take_along_axis(probabilities, likeliest, axis=1),
        in_scope=expit(scores - classifier.in_scope_threshold),
        near=near,
    )


def _new_intents(
    wordings: Wordings, searched: NDArray[np.int64], taught: Floats, known: Known, opinion: _Opinion
) -> tuple[list[Group], NDArray[np.int64]]:
    """Return the groups among some rows that look like new intents, and the group that each row is in, -1 for none."""
    space = IntentSpace(taught, [intent for _, intent in known.messages])
    found = [searched[rows] for rows in new_groups(space.turn(wordings.vectors[searched]), space, _SMALLEST)]
    members = [rows for rows in found if _is_intent(rows, wordings, opinion)]
    background = [*(text for text, _ in known.messages), *wordings.bare]
    names = name_groups([[wordings.bare[row] for row in rows] for rows in members], background, opinion.classes)
    group_of = np.full(len(wordings.items), -1, dtype=np.int64)
    groups = []
    for number, (name, rows) in enumerate(zip(names, members, strict=True)):
        group_of[rows] = number
        items = [wordings.items[row] for row in rows]
        groups.append(Group(name, sum(one.count for one in items), tuple(one.text for one in items)))
    return groups, group_of


def _is_intent(rows: NDArray[np.int64], wordings: Wordings, opinion: _Opinion) -> bool:
    """Return whether several customers said it, and the classifier is not sure that it is several different things."""
    customers = frozenset[str]().union(*(wordings.items[row].customers for row in rows))
    opinions = Counter(opinion.likeliest[rows, 0][opinion.sure[rows]].tolist())
    others = sum(opinions.values()) - max(opinions.values(), default=0)
    return len(customers) >= _CUSTOMERS and others <= _SCATTERED * len(rows)


def _suggestion(row: int, one: Wording, opinion: _Opinion, group: Group | None) -> Suggestion:
    (first, second), (likely, less) = opinion.likeliest[row], opinion.probabilities[row]
    intent = opinion.classes[first]
    if group:
        why = f"one of {len(group.wordings)} wordings of what looks like a new intent"
    elif opinion.near[row] < _FAR and not opinion.sure[row]:
        why = "no known intent is close"
    elif opinion.in_scope[row] < 0.5:
        why = "it may be nothing that the desk handles"
    elif likely < _SURE:
        why = f"between {intent} ({likely:.2f}) and {opinion.classes[second]} ({less:.2f})"
    else:
        why = f"said unlike what {intent} has been taught with"
    seen = f"seen {one.count} times, " if one.count > 1 else ""
    return Suggestion(one.text, one.count, intent, float(likely), seen + why, group.name if group else "")


def _stands_alone(one: Wording) -> bool:
    """Return whether a message can be understood without what was said before it: it opens or asks, and says enough."""
    return (one.opens or asks(one.text)) and len(telling(one.bare)) >= _FEW
