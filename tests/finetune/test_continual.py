"""A model that learns something new keeps what it knew, and says what it learnt and what it forgot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bot.desk import Desk
from finetune import IntentClassifier
from finetune.base import load_base
from finetune.continual import _recall, extend_corpus, plan, relearn, restore
from finetune.data import near_duplicates
from finetune.lesson import run_head
from finetune.methods import apply
from finetune.network import IntentNetwork, encode
from finetune.rehearsal import MOST, Rehearsal, read_rehearsal
from finetune.tokens import Tokens
from retrieval.model_folder import ModelError

LIMITS = {"max_wrong_answers": 0.04, "max_turned_away": 0.02, "interchangeable": ("greeting", "thanks")}


def split(desk: Desk, later: set[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    first = [pair for pair in desk.messages if pair[1] not in later]
    return first, [pair for pair in desk.messages if pair[1] in later]


@pytest.fixture(scope="module")
def known(starter: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that does not know the desk's last two intents."""
    first, _ = split(starter, set(sorted(starter.answers)[-2:]))
    texts, labels = zip(*first, strict=True)
    folder = tmp_path_factory.mktemp("known") / "model"
    untaught = IntentClassifier(method="lora", epochs=2, contrast=False, **LIMITS)
    untaught.fit(texts, labels, starter.out_of_scope).save(folder)
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

    assert ((vectors * classifier.encode(texts)).sum(axis=1) > 0.99).all()  # bfloat16 against 8-bit products
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


def test_where_messages_have_several_labels_no_more_of_them_are_said_afterwards(starter: Desk) -> None:
    """Each label is judged by itself, so that making up for rare ones would only say all of them more often."""
    new = set(sorted(starter.answers)[-2:])
    first, later = split(starter, new)
    pairs = list(zip(first[::5], first[::-5], strict=True))
    texts = [text for text, _ in first] + [f"{one} and {other}" for (one, _), (other, _) in pairs]
    labels = [(label,) for _, label in first] + [(one, other) for (_, one), (_, other) in pairs]
    classifier = IntentClassifier(contrast=False, epochs=4).fit(texts, labels)
    alone = [text for text, label in starter.test_messages if label not in new]
    before = np.mean([len(said) for said in classifier.predict(alone)])

    classifier.partial_fit([text for text, _ in later], [(label,) for _, label in later])

    assert np.mean([len(said) for said in classifier.predict(alone)]) < before + 0.15


def test_several_labels_cannot_be_added_to_a_model_of_one(known: Path) -> None:
    labels = [("repair_cost", "hours")] * 8

    with pytest.raises(ValueError, match="several labels"):
        IntentClassifier.load(known).partial_fit([f"what and when, number {row}" for row in range(8)], labels)


def test_a_model_that_knows_nothing_cannot_learn_more() -> None:
    with pytest.raises(ModelError, match="neither fitted nor loaded"):
        IntentClassifier().partial_fit(["hi"], ["greeting"])


MANIFEST = {"classes": ["lost", "size"], "several": False, "has_outside": False, "method": "head"}
SAMPLE = tuple(
    {"text": f"{word} number {number} {word * 2}", "labels": [label], "held_out": number == 7}
    for label, words in {"lost": "parcel van courier", "size": "boots fit narrow"}.items()
    for word in words.split()
    for number in range(8)
)
NEW = [f"money back for order {number} {'abcdefgh'[number] * 3}" for number in range(8)]


def test_a_message_that_is_labelled_anew_is_rehearsed_with_its_new_label_alone() -> None:
    corrected = SAMPLE[0]["text"]
    kept = Rehearsal(SAMPLE, frozenset()).without([corrected.upper(), SAMPLE[1]["text"]], ["lost", "size"])

    corpus, old = extend_corpus(kept.sample, MANIFEST, [corrected, *NEW], ["size"] + ["refund"] * 8, [], 0)

    assert len(old) == len(SAMPLE) - 2
    assert [corpus.labels_of(row) for row, text in enumerate(corpus.texts) if text == corrected] == [["size"]]
    assert SAMPLE[1]["text"] not in corpus.texts


def test_what_was_taken_out_of_the_sample_counts_as_never_learnt(known: Path) -> None:
    kept = read_rehearsal(known)
    first = next(one for one in kept.sample if one["labels"])

    assert kept.unseen([first["text"]], [first["labels"]]) == []
    other = kept.without([first["text"]], ["billing"])
    assert other.unseen([first["text"]], [first["labels"]]) == [0]


def test_a_message_that_is_corrected_and_corrected_back_is_new_each_time(known: Path) -> None:
    beyond = Rehearsal((), read_rehearsal(known).seen)  # learnt, and not in the sample
    [*sample], classes = read_rehearsal(known).sample, IntentClassifier.load(known).classes_
    text, labels = next((one["text"], one["labels"]) for one in sample if one["labels"])

    assert beyond.unseen([text], [labels]) == []
    assert beyond.without([text], classes).unseen([text], [labels]) == [0]


def test_a_corrected_message_is_learnt_as_it_is_labelled_now() -> None:
    targets, rehearsed = np.array([0, 1, 1]), np.array([True, True, False])
    opinions = np.array([[9.0, 0.0], [9.0, 0.0], [9.0, 0.0]])  # the old model takes all of them for the first class

    soft = _recall(targets, rehearsed, opinions, {0: 0, 1: 1}, 2).numpy()

    assert soft[1].argmax() == 0
    assert soft[2].tolist() == [0.0, 1.0]


def test_a_desk_may_lose_its_out_of_scope_messages() -> None:
    manifest = {**MANIFEST, "has_outside": True}
    network = IntentNetwork(apply(load_base(), "head"), 3)
    corpus, old = extend_corpus(SAMPLE, manifest, NEW, ["refund"] * 8, [], 0)

    taught, _ = relearn(network, corpus, old, manifest, plan(manifest, 1, 0, ""), lambda _what, _share: None, None)

    assert taught.network.head.linear.out_features == 3  # lost, size, refund


def test_a_message_is_outdated_where_the_desk_has_it_no_more_or_otherwise() -> None:
    texts, labels = [one["text"] for one in SAMPLE], [one["labels"] for one in SAMPLE]
    labels[3] = ["other"]

    assert Rehearsal(SAMPLE, frozenset()).outdated(texts[1:], labels[1:]) == [texts[0], texts[3]]


def test_new_messages_that_are_like_old_ones_do_not_leak() -> None:
    old_held = next(one["text"] for one in SAMPLE if one["held_out"])
    old_kept = next(one["text"] for one in SAMPLE if not one["held_out"])
    twins = [f"{old_held}!", *(f"{old_kept} {'?' * number}" for number in range(8))]

    corpus, _ = extend_corpus(SAMPLE, MANIFEST, [*twins, *NEW], ["lost"] * 9 + ["refund"] * 8, [], 0)

    held, kept = ([corpus.texts[row] for row in rows] for rows in (corpus.held, corpus.kept))
    assert near_duplicates(held, kept) == []
    assert old_held in kept
    assert corpus.leaks > 0


def test_out_of_scope_messages_can_be_learnt_alone(known: Path) -> None:
    classifier = IntentClassifier.load(known)
    classifier.epochs = 1
    outside = [f"sing me song number {number} about {'abcdefgh'[number] * 4}" for number in range(8)]

    classifier.partial_fit([], [], outside)

    assert read_rehearsal(classifier._folder).unseen(outside, [()] * 8) == []
    assert classifier.in_scope_score(outside).max() < classifier.in_scope_score(["how much is a new chain"])[0]


def test_the_limits_asked_for_are_kept_with_a_model(known: Path) -> None:
    loaded = IntentClassifier.load(known)

    assert {name: getattr(loaded, name) for name in LIMITS} == LIMITS


def test_a_model_of_another_base_is_refused(known: Path) -> None:
    with pytest.raises(ModelError, match="learnt on another base"):
        restore(known, {**IntentClassifier.load(known).manifest, "base_sha256": "0" * 64})


def test_messages_alone_do_not_teach_a_memory_to_be_ignored() -> None:
    manifest = {**MANIFEST, "memory": True}
    network = IntentNetwork(apply(load_base(), "head"), 2, memory=True)
    before = {name: one.detach().clone() for name, one in network.head.memory.named_parameters()}
    corpus, old = extend_corpus(SAMPLE, manifest, NEW, ["refund"] * 8, [], 0)

    taught, _ = relearn(network, corpus, old, manifest, plan(manifest, 1, 0, ""), lambda _what, _share: None, None)

    after = dict(taught.network.head.memory.named_parameters())
    assert all((after[name][: len(one)] == one).all() for name, one in before.items())
    assert all(one.requires_grad for one in after.values())  # so that it is saved with what was learnt
