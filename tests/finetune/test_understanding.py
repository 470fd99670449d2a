"""Messages that mean something only after others, messages that want several things, and few messages to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from finetune import IntentClassifier

TOPICS = {
    "cancel_order": [
        "please cancel my order",
        "I want to call the order off",
        "stop the order I made",
        "cancel it all",
    ],
    "change_address": ["I have moved house", "send it to my new flat", "wrong address on it", "my street has changed"],
    "opening_hours": ["when do you open", "are you there on sundays", "what time do you close", "open on friday?"],
}
YES = ["yes please", "yes", "ok do that", "sure", "go ahead", "yep", "alright", "please do"]


@pytest.fixture(scope="module")
def looking_back() -> IntentClassifier:
    """A classifier that has learnt what "yes" means after two different subjects."""
    texts, labels, names = [], [], []
    for number in range(96):
        topic = ["cancel_order", "change_address"][number % 2]
        texts += [TOPICS[topic][number // 2 % 4], YES[number // 2 % 8]]
        labels += [topic, f"{topic}_confirmed"]
        names += [str(number)] * 2
    return IntentClassifier(method="head", epochs=20).fit(texts, labels, conversations=names)


def test_yes_means_what_was_spoken_of(looking_back: IntentClassifier, tmp_path: Path) -> None:
    looking_back.save(tmp_path / "model")
    loaded = IntentClassifier.load(tmp_path / "model")
    orders, houses = loaded.encode(["please cancel order 7", "I have moved house again"])

    said = loaded.predict(["yes, please", "yes, please"], [orders[None, :], houses[None, :]])

    assert loaded.turns == 8
    assert said == ["cancel_order_confirmed", "change_address_confirmed"]


def test_a_turn_is_encoded_once_and_judged_with_what_came_before(looking_back: IntentClassifier) -> None:
    vectors = looking_back.encode(["please cancel my order", "yes"])

    together = looking_back.judge(vectors[1:], [vectors[:1]])
    again = looking_back.assess(["yes"], [vectors[:1]])

    np.testing.assert_allclose(together[0], again[0], atol=1e-5)


def test_more_turns_than_it_looks_back_at_change_nothing(looking_back: IntentClassifier) -> None:
    long = looking_back.encode([f"message number {number}" for number in range(30)])

    with_all = looking_back.predict_proba(["yes"], [long])
    with_last = looking_back.predict_proba(["yes"], [long[:8]])

    np.testing.assert_array_equal(with_all, with_last)


def test_without_conversations_there_is_no_memory() -> None:
    more = ["I need to call off what I bought", "new postcode since monday", "bank holiday hours?"]
    pairs = [(text, topic) for topic, texts in TOPICS.items() for text in texts]
    texts, labels = zip(*pairs, *zip(more, TOPICS, strict=True), strict=True)

    classifier = IntentClassifier(method="head").fit(texts, labels)

    assert classifier.turns == 0
    assert classifier.predict(["cancel the order", "what are your opening times"]) == ["cancel_order", "opening_hours"]


def test_a_message_may_want_several_things(tmp_path: Path) -> None:
    texts, labels = [], []
    for topic, wordings in TOPICS.items():
        for other, more in TOPICS.items():
            for one in wordings:
                texts.append(one if topic == other else f"{one}, and {more[len(one) % 4]}")
                labels.append(sorted({topic, other}))
    IntentClassifier(method="head").fit(texts, labels).save(tmp_path / "model")
    classifier = IntentClassifier.load(tmp_path / "model")

    said = classifier.predict(["please cancel my order, and when do you open", "are you there on saturdays"])
    probabilities = classifier.predict_proba(["please cancel my order, and when do you open"])

    assert said == [("cancel_order", "opening_hours"), ("opening_hours",)]
    assert classifier.several
    assert probabilities.sum() > 1.2  # each intent by itself, not shares of one
