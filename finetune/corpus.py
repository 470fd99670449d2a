"""The messages of one training: with numbers for labels, in their conversations, some of them held out."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from finetune.data import Coding, Labels, check, contradictions, leaking, split
from finetune.lesson import Messages, Targets, in_conversations
from finetune.tokens import Tokens

MAX_TOKENS = 96
_HELD_OUT = 1 / 8
_MOST_HELD_OUT = 600  # enough to bound 5% of wrong answers; what is held out is not learnt from


@dataclass(frozen=True)
class Corpus:
    """Messages as rows: the desk's own first, then `outside` ones that it does not handle, as a class after the others.

    `conversations` names each row's conversation, None for a message alone; the rows of a conversation are in order.
    `leaks` counts the rows that were to be held out but have a near duplicate that is learnt from.
    """

    texts: tuple[str, ...]
    targets: Targets
    coding: Coding
    conversations: tuple[Hashable | None, ...]
    outside: int
    kept: tuple[int, ...]
    held: tuple[int, ...]
    leaks: int

    def __post_init__(self) -> None:
        if not any(row < len(self.texts) - self.outside for row in self.held):
            raise ValueError("no label has the 5 different texts it takes to hold one out; give each label more")

    @property
    def width(self) -> int:
        """How many columns logits have: the classes, and one more where there are out-of-scope messages."""
        return len(self.coding.classes) + (self.outside > 0)

    @property
    def has_conversations(self) -> bool:
        """Whether any message has another one before it."""
        return any(name is not None for name in self.conversations)

    def labels_of(self, row: int) -> list[str]:
        """Return the labels of a row, none where it is out of scope."""
        target, classes = self.targets[row], self.coding.classes
        if self.coding.several:
            return [name for name, wanted in zip(classes, target, strict=False) if wanted]
        return [classes[target]] if target < len(classes) else []

    @cached_property
    def contradictions(self) -> list[tuple[str, list[list[str]]]]:
        """Messages alone that stand there with different labels, and those labels, none for out of scope."""
        alone = [row for row, name in enumerate(self.conversations) if name is None]
        return contradictions([self.texts[row] for row in alone], [self.labels_of(row) for row in alone])

    @cached_property
    def messages(self) -> Messages:
        """All rows, tokenized."""
        return in_conversations(Tokens(MAX_TOKENS)(self.texts), self.targets, self.conversations)


def make_corpus(
    texts: Sequence[str],
    labels: Labels,
    out_of_scope: Sequence[str] = (),
    conversations: Sequence[Hashable | None] | None = None,
    seed: int = 0,
    classes: Sequence[str] = (),
) -> Corpus:
    """Return the corpus of labelled messages; an eighth of each label, or of the conversations, is held out.

    `classes` are labels that come first, in this order, whether or not there are messages for them.

    Raises:
        ValueError: the data cannot be learnt from.
    """
    texts, labels, out_of_scope = list(texts), list(labels), list(out_of_scope)
    check(texts, labels, out_of_scope)
    if conversations is not None and len(conversations) != len(texts):
        raise ValueError(f"there are {len(texts)} texts and {len(conversations)} conversations; give each text one")
    own = Coding.of(labels)
    coding = Coding((*classes, *(name for name in own.classes if name not in set(classes))), own.several)
    width = len(coding.classes) + bool(out_of_scope)
    targets = coding.encode(labels, width)
    if out_of_scope:
        outside = np.zeros((len(out_of_scope), width), dtype=np.float32) if own.several else np.zeros(0)
        if own.several:
            outside[:, -1] = 1
        else:
            outside = np.full(len(out_of_scope), width - 1)
        targets = np.concatenate([targets, outside]).astype(targets.dtype)
    names = (*([None] * len(texts) if conversations is None else conversations), *([None] * len(out_of_scope)))
    everything = (*texts, *out_of_scope)
    kept, held, leaks = hold_out(everything, targets, names, seed)
    return Corpus(everything, targets, coding, names, len(out_of_scope), tuple(kept), tuple(held), leaks)


def hold_out(
    texts: Sequence[str], targets: Targets, conversations: Sequence[Hashable | None], seed: int
) -> tuple[list[int], list[int], int]:
    """Return the rows to learn from, the rows held out, and how many had to stay with the former.

    Conversations are held out whole. Messages alone are held out label by label (those with several by the rarest of
    them), but for those with an exact or near duplicate among the ones learnt from.
    """
    rows_of: dict[Hashable, list[int]] = {}
    for row, name in enumerate(conversations):
        if name is not None:
            rows_of.setdefault(name, []).append(row)
    alone = [row for row, name in enumerate(conversations) if name is None]
    share = min(_HELD_OUT, _MOST_HELD_OUT / max(len(texts), 1))
    held_names = random.Random(seed).sample(sorted(rows_of, key=str), round(len(rows_of) * share))  # noqa: S311
    in_conversations = {row for name in held_names for row in rows_of[name]}
    strata = _rarest(targets) if targets.ndim == 2 else targets.tolist()
    _, places = split([str(strata[row]) for row in alone], share, seed)
    held_alone = [alone[place] for place in places]
    kept = set(range(len(texts))) - in_conversations - set(held_alone)
    moved = leaking(texts, held_alone, sorted(kept))
    return sorted(kept | moved), sorted(in_conversations | set(held_alone) - moved), len(moved)


def _rarest(targets: Targets) -> list[int]:
    """Return for each row of 0 and 1 `(n, classes)` the rarest class that it has, -1 for none."""
    rarity = np.where(targets > 0.5, targets.sum(axis=0), np.inf)
    return [int(row.argmin()) if row.min() < np.inf else -1 for row in rarity]
