"""Labelled messages are checked before anything is learnt from them, and split without leaks."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.data import check, contradictions, leaking, near_duplicates, split

LABELS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=120)


@pytest.mark.parametrize(
    ("texts", "labels", "what"),
    [
        (["hi", "bye"], ["a"], "2 texts and 1 labels"),
        (["hi", "x" * 2_000_000], ["a", "a"], "the text in row 1 has 2,000,000 characters; at most 20,000"),
        (["hi", "hey"], [["a"], ["a", " "]], "the label in row 1 is empty"),
        (["hi", None], ["a", "b"], "the text in row 1 is None; give texts as strings"),
        (["hi", "hey"], [0, 1], "the label in row 0 is 0; give labels as strings"),
        (["hi", "hey"], [["a"], [2]], "the label in row 1 is 2; give labels as strings"),
        ([f"hello {n}" for n in range(20_000)], [f"i{n // 2}" for n in range(20_000)], "10,000 different labels"),
        (["hi", " ", "bye"], ["a", "a", "b"], "the text in row 1 is empty"),
        (["hi", "hey", "bye"], ["a", "a", ""], "the label in row 2 is empty"),
        ([], [], "0 different labels"),
        (["hi", "hey"], ["a", "a"], "1 different labels"),
        (["hi", "hey", "bye"], ["a", "a", "b"], "only one example for: b"),
    ],
)
def test_data_that_nothing_can_be_learnt_from_is_refused(texts: list[str], labels: list[str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        check(texts, labels)


def test_data_that_can_be_learnt_from_is_accepted() -> None:
    check(["hi", "hey", "bye", "see you"], ["a", "a", "b", "b"])


@given(labels=LABELS, share=st.floats(0.05, 0.5), seed=st.integers(0, 99))
def test_every_row_is_either_kept_or_held_out(labels: list[str], share: float, seed: int) -> None:
    kept, held = split(labels, share, seed)

    assert sorted(kept + held) == list(range(len(labels)))


@given(labels=LABELS, share=st.floats(0.05, 0.5), seed=st.integers(0, 99))
def test_each_label_gives_its_share_and_keeps_the_rest(labels: list[str], share: float, seed: int) -> None:
    kept, held = split(labels, share, seed)
    out = Counter(labels[row] for row in held)

    for label, count in Counter(labels).items():
        assert abs(out[label] - count * share) <= 1
        assert out[label] >= 1 or count < 5
    assert {labels[row] for row in kept} == set(labels)


def test_a_split_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    labels = ["a"] * 40 + ["b"] * 40

    assert split(labels, 0.25, 1) == split(labels, 0.25, 1)
    assert split(labels, 0.25, 1) != split(labels, 0.25, 2)


def test_near_duplicates_share_most_of_their_words() -> None:
    texts = ["Where is my order?", "how do I return a jacket", "???"]
    others = ["my order, where is it", "where IS my order", "can I pay by card", "!"]

    assert near_duplicates(texts, others) == [(0, 0, 0.8), (0, 1, 1.0)]
    assert near_duplicates(texts, others, alike=0.9) == [(0, 1, 1.0)]


def test_what_is_like_a_leak_leaks_as_well() -> None:
    texts = ["one two three four", "one two three four five", "one two three four five six", "seven"]

    assert near_duplicates(texts[2:3], texts[:1]) == []
    assert leaking(texts, [1, 2, 3], [0]) == {1, 2}
    assert leaking(texts, [1, 2, 3], [0], dropped=[1]) == {1}


def test_texts_that_stand_there_with_different_labels_are_found() -> None:
    texts = ["Where is it?", "where  is it?", "hello", "hello", "sing"]

    found = contradictions(texts, [("order",), (), ("hi",), ("hi",), ()])

    assert found == [("Where is it?", [["order"], []])]


@pytest.mark.parametrize("text", ["👍", "?", " !"])
def test_a_text_without_words_is_its_own_near_duplicate(text: str) -> None:
    assert near_duplicates([text, "hello"], ["hello there", text]) == [(0, 1, 1.0)]


@given(text=st.text(st.characters(categories=["Ll", "Nd"]), min_size=1))
def test_a_text_is_its_own_near_duplicate(text: str) -> None:
    assert near_duplicates([text], [text]) == [(0, 0, 1.0)]
