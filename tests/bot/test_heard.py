"""The vectors of a conversation's turns are kept from when they were heard, and made again where they are missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest

from bot import heard
from bot.heard import Heard
from finetune import IntentClassifier
from memory import Turn

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=timezone.utc)
TURNS = [Turn(number, "s", number, NOW, f"this is message number {number}", "fine", {}, 9) for number in range(1, 13)]


@pytest.fixture(scope="module")
def classifier() -> IntentClassifier:
    """A classifier that looks back at eight turns."""
    texts = [f"{text} {number}" for number in range(16) for text in ("open the shop", "close it")]
    labels = ["open", "close"] * 16
    return IntentClassifier(method="head", epochs=1).fit(texts, labels, conversations=[row // 2 for row in range(32)])


def test_the_newest_turn_comes_first_and_no_more_than_count(classifier: IntentClassifier) -> None:
    vectors = Heard(classifier).earlier(TURNS)

    expected = classifier.encode([turn.text for turn in TURNS[:-9:-1]])
    assert vectors.shape == (8, 384)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_what_was_kept_is_not_encoded_again(classifier: IntentClassifier) -> None:
    kept = Heard(classifier)
    marked = np.full(384, 0.5, dtype=np.float32)
    kept.keep(TURNS[-1].id, marked)

    np.testing.assert_array_equal(kept.earlier(TURNS)[0], marked)
    np.testing.assert_array_equal(kept.earlier([replace(TURNS[-1], text="other words")])[0], marked)


def test_the_least_recently_used_go_first(classifier: IntentClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard, "MOST", 3)
    kept = Heard(classifier)
    for turn in TURNS[:4]:
        kept.keep(turn.id, np.full(384, float(turn.id), dtype=np.float32))

    vectors = kept.earlier(TURNS[:4])

    assert list(vectors[:3, 0]) == [4.0, 3.0, 2.0]
    np.testing.assert_allclose(vectors[3], classifier.encode([TURNS[0].text])[0], atol=1e-5)  # it was let go


def test_a_new_conversation_has_nothing_before_it(classifier: IntentClassifier) -> None:
    assert Heard(classifier).earlier([]).shape == (0, 384)
