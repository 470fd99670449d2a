"""Wrong labels, leaks and mistakes are found in messages whose vectors say plainly what they are about."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.diagnosis import (
    LabelledMessages,
    content_hash,
    duplicates,
    hardest_mistakes,
    learning_curve,
    suspected_label_errors,
)
from finetune.evaluation import Outputs

TOPICS = ["delivery", "payment", "refund"]
ROWS = st.lists(st.tuples(st.text(min_size=1), st.sampled_from(TOPICS)), min_size=1, max_size=20)


def messages(counts: list[int], noise: float = 0.15, seed: int = 0) -> LabelledMessages:
    """Return so many messages of each topic; vectors of a topic lie around an axis of their own."""
    rng = np.random.default_rng(seed)
    labels = [topic for topic, count in zip(TOPICS, counts, strict=True) for _ in range(count)]
    vectors = np.eye(8)[[TOPICS.index(label) for label in labels]] + rng.normal(size=(len(labels), 8)) * noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return LabelledMessages([f"{label} {row}" for row, label in enumerate(labels)], labels, vectors)


def test_wrong_labels_are_suspected_first_and_the_right_one_suggested() -> None:
    clean = messages([30, 30, 30])
    labels = list(clean.labels)
    labels[3], labels[40], labels[77] = "refund", "delivery", "payment"

    suspects = suspected_label_errors(replace(clean, labels=labels))

    assert {suspect.text for suspect in suspects[:3]} == {"delivery 3", "payment 40", "refund 77"}
    for suspect in suspects[:3]:
        assert suspect.suggested == suspect.text.split()[0]
        assert suspect.label != suspect.suggested
        assert suspect.probability < suspect.suggested_probability
        assert len(suspect.nearest) == 3
        assert suspect.text not in {neighbour.text for neighbour in suspect.nearest}


def test_labels_that_all_fit_are_not_suspected() -> None:
    assert suspected_label_errors(messages([20, 20, 20])) == []


@pytest.mark.parametrize("counts", [[2, 2, 2], [20, 2, 4], [20, 1, 3], [20, 0, 0], [1, 1, 1], [0, 0, 0]])
def test_labels_of_few_messages_are_looked_at_all_the_same(counts: list[int]) -> None:
    training = messages(counts)

    assert suspected_label_errors(training) == []
    assert [point.messages for point in learning_curve(training, training)][-1:] == (
        [sum(counts)] if any(counts) else []
    )


def test_wrong_labels_are_not_looked_for_where_a_message_may_have_several() -> None:
    training = messages([5, 5, 5])

    assert suspected_label_errors(replace(training, labels=[("delivery", "refund")] * 15)) == []


def test_more_messages_are_learnt_from_until_all_are() -> None:
    training, measured = messages([10, 20, 5], noise=0.4), messages([20, 20, 20], noise=0.4, seed=1)

    points = learning_curve(training, measured)

    assert [point.messages for point in points] == [7, 14, 21, 28, 35]
    assert all(1 / 3 < point.accuracy <= 1 for point in points)
    assert points == learning_curve(training, measured)


def test_a_rare_label_is_learnt_from_the_start() -> None:
    training = messages([40, 40, 2], noise=0.05)

    points = learning_curve(training, messages([0, 0, 10], noise=0.05, seed=1))

    assert points[0].messages == 8 + 8 + 1
    assert points[-1].accuracy == 1


def test_the_learning_curve_of_messages_with_several_labels_wants_one_of_them() -> None:
    training = messages([10, 10, 10])
    several = replace(training, labels=[(label, "complaint") for label in training.labels])
    measured = replace(training, labels=[(label,) for label in training.labels])

    assert learning_curve(several, replace(measured, labels=several.labels))[-1].accuracy == 1
    assert learning_curve(replace(measured, labels=[()] * 30), measured) == []


def test_without_messages_to_measure_on_there_is_no_curve() -> None:
    assert learning_curve(messages([5, 5, 5]), messages([0, 0, 0])) == []


def test_the_surest_mistakes_come_first_with_what_is_most_alike() -> None:
    training, measured = messages([4, 4, 4]), messages([1, 1, 1], seed=1)
    probabilities = np.array([[0.2, 0.7, 0.1], [0.1, 0.9, 0.0], [0.8, 0.1, 0.1]])
    outputs = Outputs(TOPICS, measured.labels, probabilities, np.ones(3), 0.5, 0.5)

    mistakes = hardest_mistakes(training, measured, outputs)

    assert [(one.text, one.predicted, one.confidence) for one in mistakes] == [
        ("refund 2", "delivery", 0.8),
        ("delivery 0", "payment", 0.7),
    ]
    assert mistakes[0].labels == ("refund",)
    assert [neighbour.labels for neighbour in mistakes[0].nearest] == [("refund",)] * 3
    similarities = [neighbour.similarity for neighbour in mistakes[0].nearest]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] == pytest.approx(max(training.vectors @ measured.vectors[2]))
    assert [one.text for one in hardest_mistakes(training, measured, outputs, limit=1)] == ["refund 2"]


def test_twins_across_splits_are_named_once_the_closest_first() -> None:
    training = LabelledMessages(
        ["where is my order now", "Where is my order?", "refund please"], ["status", "status", "refund"], np.eye(3)
    )
    measured = LabelledMessages(["where is my lovely order", "WHERE IS MY ORDER", "hello"], ["status"] * 3, np.eye(3))

    twins = duplicates(measured, training)

    assert [(twin.text, twin.other_text, twin.likeness) for twin in twins] == [
        ("WHERE IS MY ORDER", "Where is my order?", 1.0),
        ("where is my lovely order", "Where is my order?", 0.8),
    ]


@given(rows=ROWS, seed=st.integers(0, 99))
def test_the_hash_does_not_depend_on_the_order_of_messages(rows: list[tuple[str, str]], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    texts, labels = zip(*rows, strict=True)

    assert content_hash([texts[row] for row in order], [labels[row] for row in order]) == content_hash(texts, labels)


def test_the_hash_tells_texts_and_labels_apart() -> None:
    first = content_hash(["a", "b"], ["x", "y"])

    assert len(first) == 64
    assert first == hashlib.sha256(b'[["a", ["x"]], ["b", ["y"]]]').hexdigest()
    assert len({first, content_hash(["a", "b"], ["y", "x"]), content_hash(["a", "x"], ["b", "y"])}) == 3
    assert content_hash(["a"], [("x", "y")]) == content_hash(["a"], [("y", "x")])


def test_messages_without_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="1 texts, 1 labels and 0 vectors"):
        LabelledMessages(["hello"], ["greeting"], np.zeros((0, 8)))
