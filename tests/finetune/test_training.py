"""The training loop learns, reproduces itself, survives interruptions, and works on several processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertModel

from finetune.contrast import prefit
from finetune.lesson import IntentLesson, Messages, in_conversations
from finetune.methods import Method, apply
from finetune.network import IntentNetwork
from finetune.training import History, Settings, half_precision, train
from tests.finetune.conftest import make_messages

ROOT = Path(__file__).resolve().parents[2]
TinyBert = Callable[[], BertModel]
LABELS = [row % 4 for row in range(96)]
SETTINGS = Settings(epochs=4, learning_rate=1e-3, batch_size=16, patience=9)


@pytest.fixture(scope="module")
def messages() -> Messages:
    return in_conversations(make_messages(LABELS), np.array(LABELS), None)


@pytest.fixture
def lesson(tiny_bert: TinyBert, messages: Messages) -> IntentLesson:
    torch.manual_seed(1)
    return IntentLesson(IntentNetwork(apply(tiny_bert(), "full"), labels=4), messages, messages)


def weights(lesson: IntentLesson) -> list[torch.Tensor]:
    return [one.detach().clone() for one in lesson.model.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


class PulledPlugError(Exception):
    """Somebody pulled the plug."""


def interrupt_after(share: float) -> Callable[[str, float], None]:
    def progress(_what: str, done: float) -> None:
        if done > share:
            raise PulledPlugError

    return progress


def test_a_lesson_is_learnt(lesson: IntentLesson) -> None:
    history = train(lesson, replace(SETTINGS, epochs=20))

    assert history.losses[-1] < history.losses[0]
    assert max(history.scores) > 0.9  # chance is 0.25


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tiny_bert: TinyBert, messages: Messages) -> None:
    def taught(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(1)
        lesson = IntentLesson(IntentNetwork(apply(tiny_bert(), "full"), labels=4), messages, messages)
        train(lesson, replace(SETTINGS, seed=seed))
        return weights(lesson)

    assert same(taught(0), taught(0))
    assert not same(taught(0), taught(1))


@pytest.mark.parametrize("method", ["full", "adalora"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_training_that_was_interrupted_ends_as_if_it_had_not_been(
    share: float, method: Method, tiny_bert: TinyBert, messages: Messages, tmp_path: Path
) -> None:
    def new_lesson() -> IntentLesson:
        torch.manual_seed(1)
        return IntentLesson(IntentNetwork(apply(tiny_bert(), method, steps=24), labels=4), messages, messages)

    whole, broken, resumed = new_lesson(), new_lesson(), new_lesson()
    expected = train(whole, SETTINGS)
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(PulledPlugError):
        train(broken, SETTINGS, interrupt_after(share), checkpoint)
    reported: list[float] = []

    history = train(resumed, SETTINGS, lambda _what, done: reported.append(done), checkpoint)

    assert same(weights(resumed), weights(whole))
    assert history.scores == expected.scores
    assert min(reported) >= int(share * 4) / 4  # what was done before is not done again


def test_the_checkpoint_of_another_training_is_refused(lesson: IntentLesson, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    train(lesson, SETTINGS, checkpoint=checkpoint)

    with pytest.raises(ValueError, match=r"another training\. Delete .* to start anew"):
        train(lesson, replace(SETTINGS, learning_rate=0.5), checkpoint=checkpoint)


def test_a_damaged_checkpoint_is_refused(lesson: IntentLesson, tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{not json}")

    with pytest.raises(ValueError, match=r"damaged .* Delete"):
        train(lesson, SETTINGS, checkpoint=checkpoint)


class Scripted(IntentLesson):
    """A lesson whose scores are known beforehand."""

    scores = (0.1, 0.5, 0.1, 0.48, 0.1, 0.1, 0.1, 0.9)

    def __init__(self, bert: BertModel, messages: Messages) -> None:
        torch.manual_seed(1)
        super().__init__(IntentNetwork(apply(bert, "full"), labels=4), messages, messages)
        self.seen: list[list[torch.Tensor]] = []

    def score(self) -> float:
        self.seen.append(weights(self))
        return self.scores[len(self.seen) - 1]


def test_training_stops_when_it_gets_worse_and_keeps_the_last_epoch_that_was_not_worse(
    tiny_bert: TinyBert, messages: Messages
) -> None:
    lesson = Scripted(tiny_bert(), messages)
    history = train(lesson, replace(SETTINGS, epochs=8, patience=3))

    assert history.scores == [0.1, 0.5, 0.1, 0.48, 0.1, 0.1, 0.1]
    assert history.kept == 3
    assert same(weights(lesson), lesson.seen[3])


def test_a_training_that_had_stopped_is_not_gone_on_with(
    tiny_bert: TinyBert, messages: Messages, tmp_path: Path
) -> None:
    settings, checkpoint = replace(SETTINGS, epochs=8, patience=3), tmp_path / "checkpoint.safetensors"
    stopped, again = Scripted(tiny_bert(), messages), Scripted(tiny_bert(), messages)
    expected = train(stopped, settings, checkpoint=checkpoint)

    assert train(again, settings, checkpoint=checkpoint) == expected
    assert again.seen == []
    assert same(weights(again), weights(stopped))


def test_nothing_to_learn_is_no_training(tiny_bert: TinyBert, messages: Messages) -> None:
    lesson = IntentLesson(IntentNetwork(apply(tiny_bert(), "head"), labels=4), messages, messages)
    before = weights(lesson)

    assert train(lesson, replace(SETTINGS, epochs=0)) == History()
    assert same(weights(lesson), before)


def test_what_a_turn_means_is_learnt_from_the_turn_before(tiny_bert: TinyBert) -> None:
    """The second message is the same in all conversations; what it means depends on the first one."""
    texts, labels, names = [], [], []
    for number in range(60):
        topic = number % 2
        texts += [torch.tensor([101, 30 + number % 7, 120 + topic, 102]), torch.tensor([101, 50, 102])]
        labels += [topic, 2 + topic]
        names += [number, number]
    messages = in_conversations(texts, np.array(labels), names)

    def score(memory: bool) -> float:
        torch.manual_seed(1)
        lesson = IntentLesson(IntentNetwork(apply(tiny_bert(), "full"), 4, memory), messages, messages)
        return max(train(lesson, Settings(epochs=25, learning_rate=2e-3, batch_size=8, patience=25)).scores)

    assert score(memory=True) > 0.99
    assert score(memory=False) < 0.76  # half of the second messages can only be guessed


def test_messages_of_which_no_two_belong_together_do_no_harm_before_training(tiny_bert: TinyBert) -> None:
    labels = np.eye(3, dtype=np.float32)  # each message with labels of its own
    messages = in_conversations(make_messages([0, 1, 2]), labels, None)
    encoder = IntentNetwork(apply(tiny_bert(), "full"), labels=3).encoder

    prefit(encoder, messages, SETTINGS, lambda _what, _share: None)

    assert all(bool(one.isfinite().all()) for one in encoder.parameters())


def test_a_processor_without_bfloat16_does_without_it_beside_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)

    assert not half_precision(torch.device("cpu"))
    assert half_precision(torch.device("cuda"))


def test_several_processes_learn_together(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    done = subprocess.run(
        [*command, "-m", "tests.finetune.two_processes", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]

    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["processes"] == 2
    assert first["score"] > 0.9
    assert same(first["weights"], second["weights"])
