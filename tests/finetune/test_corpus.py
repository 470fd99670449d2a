"""What is held out never leaks into what is learnt from, and labels become numbers and back."""

from __future__ import annotations

import numpy as np
import pytest

from finetune.corpus import make_corpus
from finetune.data import near_duplicates

TOPICS = {
    "parcel": "parcel van courier doorstep",
    "refund": "money refund bank return",
    "size": "boots size fit narrow",
}
TEXTS = [
    f"{word} {verb} number {place} please {word * 2}"
    for words in TOPICS.values()
    for word in words.split()
    for place, verb in enumerate("where when why how lost late broken wrong".split())
]
LABELS = [label for label in TOPICS for _ in range(len(TEXTS) // 3)]


def test_an_eighth_of_each_label_is_held_out() -> None:
    corpus = make_corpus(TEXTS, LABELS)

    assert sorted(corpus.kept + corpus.held) == list(range(len(TEXTS)))
    assert [sum(LABELS[row] == label for row in corpus.held) for label in TOPICS] == [4, 4, 4]


def test_what_is_held_out_has_no_near_duplicate_among_what_is_learnt_from() -> None:
    texts = [*TEXTS, *(text.upper() + "!" for text in TEXTS[:20])]
    labels = [*LABELS, *LABELS[:20]]

    corpus = make_corpus(texts, labels)
    held, kept = ([texts[row] for row in rows] for rows in (corpus.held, corpus.kept))

    assert corpus.leaks > 0
    assert corpus.held
    assert near_duplicates(held, kept) == []


def test_conversations_are_held_out_whole() -> None:
    names = [row // 6 for row in range(len(TEXTS))]

    corpus = make_corpus(TEXTS, LABELS, conversations=names)

    assert corpus.has_conversations
    assert {names[row] for row in corpus.held}.isdisjoint(names[row] for row in corpus.kept)
    assert len({names[row] for row in corpus.held}) == 2


def test_each_message_knows_the_ones_before_it_newest_first() -> None:
    names = [None] * 90 + ["a", "b", "a", "a", "b", None]

    messages = make_corpus(TEXTS, LABELS, conversations=names).messages

    assert [list(before) for before in messages.earlier[90:]] == [[], [], [90], [92, 90], [91], []]


def test_messages_that_are_left_out_are_left_out_of_what_came_before() -> None:
    messages = make_corpus(TEXTS, LABELS, conversations=["a"] * 10 + [None] * (len(TEXTS) - 10)).messages

    part = messages.only([0, 2, 3, 20])

    assert [list(before) for before in part.earlier] == [[], [0], [1, 0], []]
    assert sorted(map(list, part.conversations)) == [[0, 1, 2], [3]]


def test_out_of_scope_messages_are_a_class_after_the_others() -> None:
    corpus = make_corpus(TEXTS, LABELS, ["what is the capital of peru", "sing me a song"])

    assert corpus.width == 4
    assert list(corpus.targets[-2:]) == [3, 3]
    assert [corpus.labels_of(row) for row in (0, len(TEXTS))] == [["parcel"], []]


def test_a_message_may_have_several_labels() -> None:
    several = [(label, "urgent") if row % 5 == 0 else (label,) for row, label in enumerate(LABELS)]

    corpus = make_corpus(TEXTS, several, ["sing me a song"])

    assert corpus.coding.classes == ("parcel", "refund", "size", "urgent")
    np.testing.assert_array_equal(corpus.targets[[0, 1, -1]], [[1, 0, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]])
    assert corpus.labels_of(0) == ["parcel", "urgent"]


def test_known_classes_come_first() -> None:
    corpus = make_corpus(TEXTS, LABELS, classes=["size", "warranty"])

    assert corpus.coding.classes == ("size", "warranty", "parcel", "refund")


def test_conversations_must_be_named_for_each_text() -> None:
    with pytest.raises(ValueError, match="96 texts and 1 conversations"):
        make_corpus(TEXTS, LABELS, conversations=["a"])
