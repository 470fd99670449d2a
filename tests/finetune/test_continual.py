"""A model that learns something new keeps what it knew, and says what it learnt and what it forgot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bot.desk import DESKS, Desk
from bot.desk_reader import read_desk
from finetune import IntentClassifier
from finetune.continual import restore
from finetune.lesson import run_head
from finetune.network import encode
from finetune.rehearsal import MOST, read_rehearsal
from finetune.tokens import Tokens
from retrieval.model_folder import ModelError


@pytest.fixture(scope="module")
def starter() -> Desk:
    return read_desk(DESKS / "starter")


def split(desk: Desk, later: set[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    first = [pair for pair in desk.messages if pair[1] not in later]
    return first, [pair for pair in desk.messages if pair[1] in later]


@pytest.fixture(scope="module")
def known(starter: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that does not know the desk's last two intents."""
    first, _ = split(starter, set(sorted(starter.answers)[-2:]))
    texts, labels = zip(*first, strict=True)
    folder = tmp_path_factory.mktemp("known") / "model"
    IntentClassifier(method="lora", epochs=2, contrast=False).fit(texts, labels, starter.out_of_scope).save(folder)
    return folder


def test_new_intents_are_learnt_and_old_ones_kept(known: Path, starter: Desk) -> None:
    new = set(sorted(starter.answers)[-2:])
    _, later = split(starter, new)
    classifier = IntentClassifier.load(known)
    before = classifier.classes_
    old_test = [pair for pair in starter.test_messages if pair[1] not in new]
    new_test = [pair for pair in starter.test_messages if pair[1] in new]

    def right(rows: list[tuple[str, str]]) -> float:
        said = classifier.predict([text for text, _ in rows])
        return float(np.mean([one == label for one, (_, label) in zip(said, rows, strict=True)]))

    old_before = right(old_test)
    classifier.partial_fit(*zip(*later, strict=True))

    assert classifier.classes_ == [*before, *sorted(new)]
    assert right(old_test) >= old_before - 0.1
    assert right(new_test) >= 0.5  # it was 0: they were not known
    lasting = classifier.manifest["lasting"]
    assert lasting["new_before"] == 0
    assert lasting["new_after"] > 0
    assert 0 <= lasting["old_after"] <= 1


def test_a_single_new_intent_can_be_added(known: Path, starter: Desk) -> None:
    new = sorted(starter.answers)[-1]
    texts = [text for text, label in starter.messages if label == new]
    classifier = IntentClassifier.load(known)
    before = len(classifier.classes_)

    classifier.epochs = 2
    classifier.partial_fit(texts, [new] * len(texts))

    assert len(classifier.classes_) == before + 1
    assert classifier.predict(texts[:4]).count(new) >= 3


def test_the_network_of_a_folder_computes_what_the_exported_one_does(known: Path) -> None:
    classifier = IntentClassifier.load(known)
    texts = ["is my bike ready?", "how much is a new chain", "hello"]
    network = restore(known, classifier.manifest)

    vectors = encode(network.encoder, Tokens(96)(texts))

    np.testing.assert_allclose(vectors, classifier.encode(texts), atol=0.03)  # bfloat16 against float32
    exact = run_head(network, classifier.encode(texts), [()] * 3)
    assert list(exact[:, : len(classifier.classes_)].argmax(axis=1)) == list(
        classifier.predict_proba(texts).argmax(axis=1)
    )


def test_few_messages_of_each_label_are_kept(known: Path, starter: Desk) -> None:
    kept = read_rehearsal(known).sample

    assert {one["text"] for one in kept} <= {text for text, _ in starter.messages} | set(starter.out_of_scope)
    assert any(one["held_out"] for one in kept)
    assert any(not one["labels"] for one in kept)
    counts = [sum(one["labels"] == [label] for one in kept) for label in starter.answers]
    assert max(counts) <= 2 * MOST


def test_a_model_knows_which_messages_it_has_learnt(known: Path, starter: Desk) -> None:
    new = set(sorted(starter.answers)[-2:])
    texts, labels = zip(*starter.messages, strict=True)

    unseen = read_rehearsal(known).unseen(texts, labels)

    assert {labels[row] for row in unseen} == new
    assert len(unseen) == sum(label in new for label in labels)


def test_several_labels_cannot_be_added_to_a_model_of_one(known: Path) -> None:
    labels = [("repair_cost", "hours")] * 8

    with pytest.raises(ValueError, match="several labels"):
        IntentClassifier.load(known).partial_fit([f"what and when, number {row}" for row in range(8)], labels)


def test_a_model_that_knows_nothing_cannot_learn_more() -> None:
    with pytest.raises(ModelError, match="neither fitted nor loaded"):
        IntentClassifier().partial_fit(["hi"], ["greeting"])
