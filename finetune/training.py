"""The training loop: any lesson, any method, one process or several, on the CPU or on CUDA.

Rows of like length share a batch, so that little is spent on padding; where the processor has bfloat16 arithmetic, the
forward pass uses it. What is kept is the running average of the weights (Polyak and Juditsky, 1992) after the last
epoch that was no worse on the held-out rows than the best one, but for chance: the learning rate falls to nothing, so
later weights are better than a few hundred rows can show. Each epoch seeds itself, so that an interrupted run goes on
as if it had not been.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from finetune.checkpoint import read_checkpoint, write_checkpoint
from finetune.methods import Ranks

Progress = Callable[[str, float], None]  # what is being done, and how much of it (0 to 1)


@dataclass(frozen=True)
class Settings:
    """How long and how fast a lesson is taught; `tracker` is empty, `tensorboard` or `wandb`.

    `trainings` is how many of them `finetune.soup` takes the mean of.
    """

    epochs: int
    learning_rate: float
    head_learning_rate: float = 1e-2
    memory_learning_rate: float = 1e-4
    batch_size: int = 64
    weight_decay: float = 0.01
    averaging: float = 0.99
    patience: int = 3
    seed: int = 0
    tracker: str = ""
    trainings: int = 1


class Lesson(Protocol):
    """What is taught: a model, rows to learn from, and a score on rows held out."""

    @property
    def model(self) -> nn.Module:
        """What learns; its `head_parameters()` do so at their own rate."""
        ...

    @property
    def lengths(self) -> Sequence[int]:
        """How many tokens the longest text of each row has, so that like rows share a batch."""
        ...

    @property
    def sizes(self) -> Sequence[int]:
        """How many texts each row has, so that batches are of like size."""
        ...

    def loss(self, model: nn.Module, rows: Sequence[int]) -> Tensor:
        """Return the loss of a batch of row numbers; `model` is this lesson's or its wrapper for several processes."""
        ...

    @property
    def held(self) -> int:
        """How many rows are held out, which says how far a score may be off by chance."""
        ...

    def score(self) -> float:
        """Return how good the model is on the rows held out, about 0 to 1; higher is better."""
        ...


@dataclass
class History:
    """What happened epoch by epoch: mean losses, scores on the held-out rows, seconds since the start.

    `kept` is the epoch whose weights were kept, counted from 0; -1 before the first.
    """

    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    kept: int = -1

    def add(self, loss: float, score: float, seconds: float, held: int) -> None:
        """Note an epoch, which is kept unless it is worse than the best one by more than two standard errors of it."""
        self.losses.append(loss)
        self.scores.append(score)
        self.seconds.append(round(seconds, 1))
        best = max(self.scores)
        error = math.sqrt(max(best * (1 - best), 0.0) / held)
        if score >= best - 2 * error:
            self.kept = len(self.scores) - 1


def train(
    lesson: Lesson,
    settings: Settings,
    progress: Progress = lambda _what, _share: None,
    checkpoint: Path | None = None,
    what: str = "Fine-tuning",
    *,
    last: bool = True,
) -> History:
    """Teach a lesson; afterwards its model holds the kept averages and is in evaluation mode.

    With `checkpoint`, the state is written there after each epoch, and training goes on from it where it exists; the
    caller deletes it once the model is saved. What a tracker records lies beside the checkpoint, else in this folder.
    Where several processes train together, they part after the `last` training.

    Raises:
        ValueError: the checkpoint belongs to another model or other settings.
    """
    if settings.epochs == 0 or not (learning := [one for one in lesson.model.parameters() if one.requires_grad]):
        lesson.model.eval()
        return History()
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),  # unless told, it takes no part among several processes without CUDA
        log_with=settings.tracker or None,
        project_dir=checkpoint.parent if checkpoint else ".",
    )
    run = _Run(lesson, settings, accelerator, learning)
    history, first = History(), 0
    if checkpoint is not None and checkpoint.is_file():
        history = History(**read_checkpoint(checkpoint, asdict(settings), run.tensors()))
        first = len(history.scores)
        run.resume(first)
    if settings.tracker:
        accelerator.init_trackers("rapport", config=asdict(settings))
    started = time.monotonic() - (history.seconds[-1] if history.seconds else 0.0)
    for epoch in range(first, settings.epochs):
        if epoch - 1 - history.kept >= settings.patience:
            break
        loss = run.epoch(epoch, lambda share: progress(what, share))
        with run.averaged():
            score = lesson.score()
            history.add(loss, score, time.monotonic() - started, lesson.held)
            if history.kept == epoch:
                run.keep()
        accelerator.log({"loss": loss, "score": score}, step=epoch)
        if checkpoint is not None and accelerator.is_main_process:
            write_checkpoint(checkpoint, asdict(settings), run.tensors(), asdict(history))
    progress(what, 1.0)
    run.use_kept()
    if last:
        accelerator.end_training()
    else:
        for tracker in accelerator.trackers:
            tracker.finish()
    lesson.model.to("cpu").eval()
    return history


class _Run:
    """The optimizer, its schedule and the averaged weights of one training."""

    def __init__(
        self, lesson: Lesson, settings: Settings, accelerator: Accelerator, learning: Sequence[nn.Parameter]
    ) -> None:
        self.lesson, self.settings, self.accelerator = lesson, settings, accelerator
        self.learning: list[Tensor] = list(learning)
        self.model, self.optimizer = accelerator.prepare(lesson.model, torch.optim.AdamW(self._groups()))
        self.averages = [one.detach().clone() for one in self.learning]
        self.kept = [one.detach().clone() for one in self.learning]
        self.ranks = Ranks.of(lesson.model)
        fewest = min(len(self._batches(epoch)) for epoch in range(settings.epochs))
        self.steps_an_epoch = fewest // accelerator.num_processes or 1
        self.steps_done = 0

    def _groups(self) -> list[dict[str, Any]]:
        heads = {id(one) for one in self.lesson.model.head_parameters()}  # type: ignore[operator]
        groups = []
        for name, one in self.lesson.model.named_parameters():
            if one.requires_grad:
                plain = one.ndim < 2  # biases and norms are not decayed
                rate = self.settings.learning_rate
                if id(one) in heads:
                    rate = self.settings.head_learning_rate
                elif name.startswith("head.memory."):
                    rate = self.settings.memory_learning_rate
                decay = 0.0 if plain or id(one) in heads else self.settings.weight_decay
                groups.append({"params": [one], "lr": rate, "initial_lr": rate, "weight_decay": decay, "name": name})
        return groups

    def _batches(self, epoch: int) -> list[list[int]]:
        """Return all rows once in batches of like length: shuffled, sorted by stretches of 20 batches, shuffled."""
        rng = random.Random(f"{self.settings.seed}/{epoch}")  # noqa: S311 (no secret)
        lengths, size = self.lesson.lengths, self.settings.batch_size
        order = rng.sample(range(len(lengths)), len(lengths))
        batches = []
        for start in range(0, len(order), size * 20):
            batches += self._cut(sorted(order[start : start + size * 20], key=lengths.__getitem__))
        rng.shuffle(batches)
        return batches

    def _cut(self, rows: Sequence[int]) -> list[list[int]]:
        """Return rows in batches of at most `batch_size` texts, or of one row that has more."""
        batches: list[list[int]] = [[]]
        texts = 0
        for row in rows:
            if batches[-1] and texts + self.lesson.sizes[row] > self.settings.batch_size:
                batches.append([])
                texts = 0
            batches[-1].append(row)
            texts += self.lesson.sizes[row]
        return batches

    def epoch(self, epoch: int, progress: Callable[[float], None]) -> float:
        """Take one pass over the rows and return the mean loss; `progress` is told how much of all epochs is done."""
        torch.manual_seed(self.settings.seed * 1000 + epoch)
        self.model.train()
        batches = self._batches(epoch)
        mine = batches[self.accelerator.process_index :: self.accelerator.num_processes]
        mine = mine or batches[:1]  # each takes as many steps, also where there are more processes than batches
        total = 0.0
        for done, rows in enumerate(mine[: self.steps_an_epoch], 1):
            self._set_rates()
            self.optimizer.zero_grad()
            loss = self.lesson.loss(self.model, rows)
            self.accelerator.backward(loss)
            self.accelerator.clip_grad_norm_(self.learning, 1.0)
            self.optimizer.step()
            self._average()
            total += float(loss.detach())
            progress((epoch + done / self.steps_an_epoch) / self.settings.epochs)
        return total / self.steps_an_epoch

    def _set_rates(self) -> None:
        """Warm up over a tenth of all steps, then fall linearly to nothing."""
        steps = self.settings.epochs * self.steps_an_epoch
        warm = max(steps // 10, 1)
        share = min((self.steps_done + 1) / warm, (steps - self.steps_done) / max(steps - warm, 1))
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * share
        self.steps_done += 1

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averages towards the weights, faster in the beginning."""
        decay = min(self.settings.averaging, (1 + self.steps_done) / (10 + self.steps_done))
        torch._foreach_lerp_(self.averages, self.learning, 1 - decay)
        if self.ranks is not None:
            self.ranks.move(self.steps_done)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the model hold the averaged weights inside the block."""
        self.lesson.model.eval()
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, average in zip(self.learning, self.averages, strict=True):
            kept = weight.detach().clone()
            weight.copy_(average)
            average.copy_(kept)

    @torch.no_grad()
    def keep(self) -> None:
        """Keep what the model holds now."""
        torch._foreach_copy_(self.kept, self.learning)

    @torch.no_grad()
    def use_kept(self) -> None:
        """Put the kept weights into the model."""
        torch._foreach_copy_(self.learning, self.kept)

    def tensors(self) -> dict[str, Tensor]:
        """Return everything that changes while training, by name; made on the spot where it is not there yet."""
        named: dict[str, Tensor] = {}
        for group, weight, average, kept in zip(
            self.optimizer.param_groups, self.learning, self.averages, self.kept, strict=True
        ):
            state = self.optimizer.state[weight]
            for moment in ("exp_avg", "exp_avg_sq"):
                named[f"{group['name']}/{moment}"] = state.setdefault(moment, torch.zeros_like(weight))
            named[f"{group['name']}/step"] = state.setdefault("step", torch.tensor(0.0))
            named |= {
                f"{group['name']}/{kind}": one
                for kind, one in (("weight", weight.data), ("average", average), ("kept", kept))
            }
        return named | self.ranks.tensors() if self.ranks is not None else named

    def resume(self, epochs: int) -> None:
        """Go on after so many epochs, whose `tensors` have been put back."""
        self.steps_done = epochs * self.steps_an_epoch
        if self.ranks is not None:
            self.ranks.resume()


def half_precision(device: torch.device) -> bool:
    """Return whether the forward pass gains from bfloat16: on CUDA, and on processors that compute in it."""
    return device.type == "cuda" or (device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported()))


def mixed(device: torch.device) -> torch.autocast:
    """Return the context for a forward pass: bfloat16 where that is faster, otherwise nothing."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half_precision(device))
