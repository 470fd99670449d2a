"""Learning something new without forgetting the old: rehearsal over the small sample that a model keeps.

Rehearsal: Robins, "Catastrophic Forgetting, Rehearsal and Pseudorehearsal", 1995. Most of what rehearsed messages teach
is the old model's own opinion of them (Li and Hoiem, "Learning without Forgetting", ECCV 2016). New labels have more
messages than the sample keeps of the old ones; the loss makes up for that (logit adjustment: Menon et al., ICLR 2021).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn

from finetune.base import load_base
from finetune.corpus import Corpus, hold_out, make_corpus
from finetune.data import Coding, Labels, leaking
from finetune.lesson import IntentLesson, outputs
from finetune.methods import LEARNING_RATES, apply
from finetune.network import IntentNetwork, encode
from finetune.teaching import Taught
from finetune.training import Progress, Settings, train
from finetune.weights import load_weights
from retrieval.encoder import BASE_SHA256
from retrieval.model_folder import ModelError

_EPOCHS = 4
_OWN_OPINION = 0.7  # of the old model, in the targets of rehearsed messages
_SLOWER = 0.25  # of a new training's learning rates


@dataclass(frozen=True)
class Lasting:
    """What was learnt and what was forgotten: accuracies, 0 to 1, on messages held out, None where there are none.

    `before` is the model that was started from, which knows no new label. Where only its head had learnt, that head has
    seen the old messages held out, so that `old_before` is too good and what was forgotten looks like more than it is.
    """

    old_before: float | None
    old_after: float | None
    new_before: float | None
    new_after: float | None


def restore(folder: Path, manifest: dict[str, Any]) -> IntentNetwork:
    """Return the network of a model folder, what it has learnt put onto the base that it was learnt on.

    Raises:
        ModelError: the base weights or the folder's are not what they were, or it was learnt on another base.
    """
    if manifest["base_sha256"] != BASE_SHA256:
        raise ModelError(f"{folder} was learnt on another base than the pinned one. Train it anew, without --from.")
    width = len(manifest["classes"]) + bool(manifest["has_outside"])
    network = IntentNetwork(apply(load_base(), manifest["method"]), width, bool(manifest["memory"]))
    load_weights(network, folder)
    network.eval()
    return network


def extend_corpus(
    sample: Sequence[dict[str, Any]],
    manifest: dict[str, Any],
    texts: Sequence[str],
    labels: Labels,
    out_of_scope: Sequence[str],
    seed: int,
) -> tuple[Corpus, frozenset[int]]:
    """Return the kept sample of a model with new messages, and the rows of the sample.

    An old message that was held out is learnt from where a new one is its near duplicate.

    Raises:
        ValueError: the new messages cannot be learnt from, or have several labels where the model knows one.
    """
    inside = [one for one in sample if one["labels"]]
    outside = [one for one in sample if not one["labels"]]
    several = bool(manifest["several"])
    old_labels = [one["labels"] if several else one["labels"][0] for one in inside]
    if Coding.of(labels).several and not several:
        raise ValueError("the new messages have several labels each, the model they are added to has one")
    whole = make_corpus(
        [*(one["text"] for one in inside), *texts],
        [*old_labels, *labels],
        [*(one["text"] for one in outside), *out_of_scope],
        classes=manifest["classes"],
        seed=seed,
    )
    first, rows = len(inside), range(len(whole.texts))
    old = [*range(first), *range(first + len(texts), first + len(texts) + len(outside))]
    new = sorted(set(rows) - set(old))
    _, new_held, leaks = hold_out([whole.texts[row] for row in new], whole.targets[new], [None] * len(new), seed)
    held = [row for row, one in zip(old, [*inside, *outside], strict=True) if one["held_out"]]
    held += [new[place] for place in new_held]
    moved = leaking(whole.texts, held, sorted(set(rows) - set(held)))
    kept = sorted(set(rows) - set(held) | moved)
    whole = replace(whole, kept=tuple(kept), held=tuple(sorted(set(held) - moved)), leaks=leaks + len(moved))
    return whole, frozenset(old)


def relearn(
    network: IntentNetwork,
    corpus: Corpus,
    old: Collection[int],
    manifest: dict[str, Any],
    settings: Settings,
    progress: Progress,
    checkpoint: Path | None,
) -> tuple[Taught, Lasting]:
    """Teach a network the rows of a corpus, rehearsing the `old` ones; return it with what lasted.

    Raises:
        ValueError: the checkpoint belongs to another training.
    """
    started = time.monotonic()
    everything = corpus.messages
    base_vectors = encode(network.encoder, everything.tokens)
    taught, held = everything.only(corpus.kept), everything.only(corpus.held)
    before, _ = outputs(network, held)
    opinions, _ = outputs(network, taught)
    places = _widen(network, corpus, len(manifest["classes"]), bool(manifest["has_outside"]), base_vectors)
    rehearsed = np.isin(corpus.kept, list(old))
    soft = None if corpus.coding.several else _recall(taught.targets.numpy(), rehearsed, opinions, places, corpus.width)
    # Labels that are each judged by themselves have no share to be made up for.
    lesson = IntentLesson(network, taught, held, soft=soft, balanced=not corpus.coding.several)
    if (memory := network.head.memory) is not None:
        memory.requires_grad_(False)  # messages alone would teach it to ignore what came before them
    history = train(lesson, settings, progress, checkpoint)
    if memory is not None:
        memory.requires_grad_(True)  # it is part of what was learnt
    after, _ = outputs(network, held)
    lasting = _lasting(corpus, old, len(manifest["classes"]), before, after)
    seconds = {"relearning": time.monotonic() - started}
    return Taught(network, settings, history, network.head, base_vectors, seconds), lasting


def plan(manifest: dict[str, Any], epochs: int | None, seed: int, tracker: str) -> Settings:
    """Return how new messages are learnt: in few epochs, slower than the first time."""
    rate = LEARNING_RATES[manifest["method"]] * _SLOWER
    return Settings(
        epochs=_EPOCHS if epochs is None else epochs,
        learning_rate=rate,
        head_learning_rate=1e-2 * _SLOWER,
        seed=seed,
        tracker=tracker,
    )


@torch.no_grad()
def _widen(
    network: IntentNetwork, corpus: Corpus, old_classes: int, had_outside: bool, vectors: np.ndarray
) -> dict[int, int]:
    """Give the head a row for each new class: its messages' mean vector, as long as the old rows are on average.

    Return the place of each old row by its new place.
    """
    old = network.head.linear
    places = {label: label for label in range(old_classes)}
    if had_outside and corpus.outside:
        places[len(corpus.coding.classes)] = old_classes
    network.head.linear = new = _moved(old, places, corpus.width)
    if (memory := network.head.memory) is not None:
        memory.out = _moved(memory.out, places, corpus.width)
    kept = np.array(corpus.kept)
    targets = corpus.targets[kept]
    centre = vectors[kept].mean(axis=0)
    for label in set(range(corpus.width)) - set(places):
        mine = targets[:, label] > 0.5 if targets.ndim == 2 else targets == label
        direction = torch.from_numpy(vectors[kept[mine]].mean(axis=0) - centre)
        new.weight[label] = direction / direction.norm() * old.weight[:old_classes].norm(dim=1).mean()
        new.bias[label] = old.bias[:old_classes].mean()
    return places


def _recall(
    targets: np.ndarray, rehearsed: np.ndarray, opinions: np.ndarray, places: dict[int, int], width: int
) -> Tensor:
    """Return targets `(n, width)`: of rehearsed rows, mostly what the old model thinks by its logits `(n, old width)`.

    A new message is learnt as it is labelled: of a corrected one the old model thinks what was wrong.
    """
    soft = np.eye(width)[targets]
    thought = np.zeros((len(targets), width))
    thought[:, list(places)] = softmax(opinions, axis=1)[:, list(places.values())]
    soft[rehearsed] = (1 - _OWN_OPINION) * soft[rehearsed] + _OWN_OPINION * thought[rehearsed]
    return torch.from_numpy(soft).float()


@torch.no_grad()
def _moved(old: nn.Linear, places: dict[int, int], width: int) -> nn.Linear:
    """Return a layer of `width` rows that holds the old rows at their new places, and zeros elsewhere."""
    new = nn.Linear(old.in_features, width)
    nn.init.zeros_(new.weight)
    nn.init.zeros_(new.bias)
    for place, source in places.items():
        new.weight[place], new.bias[place] = old.weight[source], old.bias[source]
    return new


def _lasting(corpus: Corpus, old: Collection[int], old_classes: int, before: np.ndarray, after: np.ndarray) -> Lasting:
    inside = len(corpus.texts) - corpus.outside
    classes = len(corpus.coding.classes)

    def accuracy(logits: np.ndarray, rows: list[int], width: int) -> float | None:
        if not rows:
            return None
        targets = corpus.targets[[corpus.held[row] for row in rows]]
        if targets.ndim == 2:
            said = np.zeros((len(rows), targets.shape[1]), dtype=bool)
            said[:, :width] = logits[rows][:, :width] > 0
            return float((said[:, :classes] == (targets[:, :classes] > 0.5)).all(axis=1).mean())
        return float((logits[rows][:, :width].argmax(axis=1) == targets).mean())

    olds = [place for place, row in enumerate(corpus.held) if row < inside and row in old]
    news = [place for place, row in enumerate(corpus.held) if row < inside and row not in old]
    return Lasting(
        accuracy(before, olds, old_classes),
        accuracy(after, olds, classes),
        accuracy(before, news, old_classes),
        accuracy(after, news, classes),
    )
