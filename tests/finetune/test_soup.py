"""A model may be the mean of several trainings, which begin alike and survive interruptions as one does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from finetune import IntentClassifier
from finetune.lesson import IntentLesson, in_conversations
from finetune.methods import apply
from finetune.network import IntentNetwork
from finetune.soup import train_several
from finetune.training import train
from tests.finetune.conftest import make_messages
from tests.finetune.test_training import LABELS, SETTINGS, PulledPlugError, TinyBert, interrupt_after, same, weights

TWICE = replace(SETTINGS, trainings=2)


@pytest.fixture
def new_lesson(tiny_bert: TinyBert) -> Callable[[], IntentLesson]:
    def build() -> IntentLesson:
        torch.manual_seed(1)
        messages = in_conversations(make_messages(LABELS), np.array(LABELS), None)
        return IntentLesson(IntentNetwork(apply(tiny_bert(), "full"), labels=4), messages, messages)

    return build


def test_one_training_is_what_it_is_without_a_mean(new_lesson: Callable[[], IntentLesson]) -> None:
    once, alone = new_lesson(), new_lesson()

    assert train_several(once, SETTINGS).scores == train(alone, SETTINGS).scores
    assert same(weights(once), weights(alone))


def test_the_model_is_the_mean_of_trainings_that_begin_alike(new_lesson: Callable[[], IntentLesson]) -> None:
    twice, first, second = new_lesson(), new_lesson(), new_lesson()
    history = train_several(twice, TWICE)
    train(first, SETTINGS)
    train(second, replace(SETTINGS, seed=10_000))

    assert not same(weights(first), weights(second))
    for mean, one, other in zip(weights(twice), weights(first), weights(second), strict=True):
        assert torch.allclose(mean, (one + other) / 2, atol=1e-6)
    assert len(history.scores) == SETTINGS.epochs


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_trainings_that_were_interrupted_end_as_if_they_had_not_been(
    share: float, new_lesson: Callable[[], IntentLesson], tmp_path: Path
) -> None:
    whole, broken, resumed = new_lesson(), new_lesson(), new_lesson()
    train_several(whole, TWICE)
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(PulledPlugError):
        train_several(broken, TWICE, interrupt_after(share), checkpoint)
    reported: list[float] = []

    train_several(resumed, TWICE, lambda _what, done: reported.append(done), checkpoint)

    assert same(weights(resumed), weights(whole))
    again = [done for done in reported if done < int(share * 8) / 8]
    assert again in ([], [0.5])  # what was done before is not done again; at most it is told that the first is over
    assert reported == sorted(reported)
    assert reported[-1] == 1


@pytest.mark.parametrize(
    ("classifier", "problem"),
    [
        (IntentClassifier(trainings=0), "trainings is 0; it must be at least 1"),
        (IntentClassifier(trainings=2, method="adalora"), "adalora end in different ranks"),
    ],
)
def test_trainings_without_a_mean_are_refused(classifier: IntentClassifier, problem: str) -> None:
    texts = [f"{what} number {row}" for what in ("red", "blue") for row in range(12)]

    with pytest.raises(ValueError, match=problem):
        classifier.fit(texts, ["red"] * 12 + ["blue"] * 12)
