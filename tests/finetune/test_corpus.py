"""What is held out never leaks into what is learnt from, and labels become numbers and back."""

from __future__ import annotations

import numpy as np
import pytest

from finetune.corpus import make_corpus
from finetune.data import near_duplicates
from finetune.teaching import plan

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


def test_the_same_emoji_is_never_both_held_out_and_learnt() -> None:
    corpus = make_corpus([*TEXTS, *["👍"] * 20], [*LABELS, *["thanks"] * 20])

    assert {corpus.texts[row] for row in corpus.held}.isdisjoint({"👍"})
    assert corpus.leaks == 2


def test_twins_of_what_is_not_held_out_after_all_are_not_either() -> None:
    chains = [" ".join(f"{chain}w{number}" for number in range(size)) for chain in range(200) for size in (6, 8, 10)]

    corpus = make_corpus([*TEXTS, *chains], [*LABELS, *["chain"] * 600])  # each of a chain is like the next one

    held, kept = ([corpus.texts[row] for row in rows] for rows in (corpus.held, corpus.kept))
    assert near_duplicates(held, kept) == []


def test_of_messages_with_several_labels_some_of_each_label_are_held_out() -> None:
    labels = [(f"a{row % 30}", f"b{row // 3 % 29}", f"c{row // 7 % 23}") for row in range(600)]
    texts = [f"message {row} about {row * 7} and {row * 13} or {row * 17}" for row in range(600)]

    corpus = make_corpus(texts, labels)

    assert len(corpus.held) == pytest.approx(75, abs=10)
    assert len({label for row in corpus.held for label in corpus.labels_of(row)}) > 60  # of 82


def test_messages_that_stand_there_with_different_labels_are_found_unless_they_are_turns() -> None:
    texts, labels = [*TEXTS, TEXTS[0].upper()], [*LABELS, "size"]

    assert make_corpus(texts, labels).contradictions == [(TEXTS[0], [["parcel"], ["size"]])]
    assert make_corpus(texts, labels, [TEXTS[1]]).contradictions[1] == (TEXTS[1], [["parcel"], []])
    assert make_corpus(texts, labels, conversations=[row // 6 for row in range(len(texts))]).contradictions == []


def test_arrays_are_taken_as_lists_are() -> None:
    several = np.array(TEXTS), np.array(LABELS), np.array(["sing me a song"]), np.array([1] * 9 + [None] * 87)

    assert make_corpus(*several).held == make_corpus(*(one.tolist() for one in several)).held


@pytest.mark.parametrize(
    ("contrast", "epochs", "copies", "planned"),
    [
        (None, None, 1, 20),  # 84 messages of 3 labels
        (True, None, 1, 20),
        (True, 3, 1, 3),
        (None, None, 3, 0),  # the same ones of 9 labels: so few that the encoder sorts them, and that is all
        (True, None, 3, 0),
        (False, None, 3, 20),
        (None, 3, 3, 3),
    ],
)
def test_how_often_messages_are_gone_through_is_up_to_who_says_so(
    contrast: bool | None, epochs: int | None, copies: int, planned: int
) -> None:
    corpus = make_corpus(TEXTS, [f"{label}{row % copies}" for row, label in enumerate(LABELS)])

    assert plan(corpus, "full", False, contrast, epochs, 0, "").epochs == planned


def test_known_classes_come_first() -> None:
    corpus = make_corpus(TEXTS, LABELS, classes=["size", "warranty"])

    assert corpus.coding.classes == ("size", "warranty", "parcel", "refund")


def test_conversations_must_be_named_for_each_text() -> None:
    with pytest.raises(ValueError, match="96 texts and 1 conversations"):
        make_corpus(TEXTS, LABELS, conversations=["a"])
