"""Teaching an intent network: pre-fitting where labels are few, the probe, fine-tuning where they are not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from finetune.base import load_base
from finetune.contrast import prefit
from finetune.corpus import Corpus
from finetune.lesson import IntentLesson, probe, soften
from finetune.methods import LEARNING_RATES, Method, apply
from finetune.network import Head, IntentNetwork, encode
from finetune.soup import train_several
from finetune.training import History, Progress, Settings

_FEW = 12  # examples a label up to which the encoder is first taught which messages belong together


@dataclass(frozen=True)
class Taught:
    """A trained network and what is needed to solve its thresholds and to report on it.

    `unbiased` is its head as it was before it learnt the messages held out, where it did, else the same one.
    `base_vectors` `(n, H)` are of all messages, by the encoder that was started from.
    """

    network: IntentNetwork
    settings: Settings
    history: History
    unbiased: Head
    base_vectors: NDArray[np.float32]
    seconds: Mapping[str, float]  # how long each part took


def plan(
    corpus: Corpus,
    method: Method,
    memory: bool,
    contrast: bool | None,
    epochs: int | None,
    seed: int,
    tracker: str,
    trainings: int = 1,
) -> Settings:
    """Return how a corpus is taught: in 20 epochs where messages are few, down to 7 where they are many.

    Where the encoder is taught first which of very few messages belong together, and nothing has a memory to learn, it
    takes none: from so few, anything more is learnt by heart (EXPERIMENTS.md).

    Raises:
        ValueError: there are to be no trainings, or several whose weights have no mean.
    """
    if trainings < 1:
        raise ValueError(f"trainings is {trainings}; it must be at least 1")
    if trainings > 1 and method == "adalora":
        raise ValueError("trainings of adalora end in different ranks, which have no mean; use another method, or one")
    if epochs is None:
        enough = _are_few(corpus) and contrast is not False and not memory
        epochs = 0 if enough else min(round(6.5 + 5000 / len(corpus.kept)), 20)
    if method == "head" and not memory:
        epochs = 0  # the probe is all there is to it
    return Settings(
        epochs=epochs,
        learning_rate=LEARNING_RATES[method],
        patience=max(3, epochs // 3),
        seed=seed,
        tracker=tracker,
        trainings=trainings,
    )


def teach(
    corpus: Corpus,
    method: Method,
    settings: Settings,
    *,
    memory: bool,
    contrast: bool | None,
    progress: Progress,
    checkpoint: Path | None,
) -> Taught:
    """Return a network taught on the kept rows of a corpus, best as judged by the rows held out.

    Raises:
        ModelError: the base weights are missing or altered.
        ValueError: the checkpoint belongs to another training.
    """
    started = time.monotonic()
    torch.manual_seed(settings.seed)
    everything = corpus.messages
    taught, held = everything.only(corpus.kept), everything.only(corpus.held)
    steps = settings.epochs * -(-len(taught.tokens) // settings.batch_size)
    network = IntentNetwork(apply(load_base(), method, steps), corpus.width, memory)
    network.encoder.to("cuda" if torch.cuda.is_available() else "cpu")
    progress("Reading messages", 0.0)
    base_vectors = encode(network.encoder, everything.tokens)
    progress("Reading messages", 1.0)
    vectors = base_vectors[list(corpus.kept)]
    sort_first = _are_few(corpus) if contrast is None else contrast
    if sort_first and method != "head":
        prefit(network.encoder, taught, settings, progress)
        vectors = encode(network.encoder, taught.tokens)
    network.to("cpu")  # from here on, `train` says where
    probe(network, vectors, corpus.targets[list(corpus.kept)])
    ready = time.monotonic()
    plain = sort_first or taught.targets.ndim == 2  # an encoder that has been told the labels gives no second opinion
    soft = None if plain else soften(taught, vectors, corpus.width, settings.seed)
    history = train_several(IntentLesson(network, taught, held, soft=soft), settings, progress, checkpoint)
    unbiased = network.head
    if settings.epochs == 0:  # the head can learn the held-out messages as well: another one says how good it is
        unbiased = deepcopy(network.head)
        probe(network, encode(network.encoder, everything.tokens), corpus.targets)
    seconds = {"preparing": ready - started, "fine-tuning": time.monotonic() - ready}
    return Taught(network, settings, history, unbiased, base_vectors, seconds)


def _are_few(corpus: Corpus) -> bool:
    return len(corpus.kept) <= _FEW * corpus.width
