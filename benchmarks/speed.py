"""Training beside a naive loop, and serving beside PyTorch: the parts `training` and `serving` of `benchmarks.intents`.

Not run by itself. The naive loop is what a first tutorial shows: every message padded to 64 tokens, 32-bit arithmetic,
batches in random order, a fresh head. Both learn the same rows for the same number of epochs in batches of 64.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.labelled import Labelled
from finetune import IntentClassifier
from finetune.base import load_base
from finetune.continual import restore
from finetune.export import write_encoder
from finetune.network import IntentNetwork
from finetune.tokens import Tokens, pad

EPOCHS = 3
_BATCH = 64
_PADDED = 64
_SINGLE = 300  # messages served one at a time

Figures = dict[str, dict[str, float]]


def training(data: Labelled, seeds: Sequence[int]) -> Figures:
    """Return how long training takes and what it comes to, beside the naive loop."""
    started = time.monotonic()
    classifier = IntentClassifier(epochs=EPOCHS, seed=seeds[0]).fit(data.texts, data.labels)
    ours = time.monotonic() - started
    right = _serving(classifier.encode, classifier.judge, data, classifier.classes_, single=0)["accuracy"]
    print(f"rapport: {ours:.0f} s, {right:.2%}; now the naive loop, for many minutes", flush=True)
    started = time.monotonic()
    naive = _naive(data, seeds[0])
    theirs = time.monotonic() - started
    return _rounded(
        {
            "rapport": {"training_s": ours, "accuracy": right},
            "naive loop": {
                "training_s": theirs,
                "accuracy": _torch_serving(naive, data, sorted(set(data.labels)), single=0)["accuracy"],
            },
            "ratios": {"naive_training_to_rapport": theirs / ours},
        }
    )


def serving(data: Labelled, seeds: Sequence[int]) -> Figures:
    """Return latencies, throughputs and accuracies of one model as it is exported, in 32 bits, and by PyTorch."""
    with tempfile.TemporaryDirectory() as scratch:
        classifier = IntentClassifier(epochs=EPOCHS, seed=seeds[0]).fit(data.texts, data.labels)
        folder, exact = Path(scratch) / "model", Path(scratch) / "exact"
        classifier.save(folder)
        network = restore(folder, classifier.manifest)
        shutil.copytree(folder, exact)
        write_encoder(network.encoder, exact / "model.onnx")
        found = {
            "rapport": _serving(classifier.encode, classifier.judge, data, classifier.classes_),
            "rapport, 32-bit": _exact(exact, data),
            "pytorch": _torch_serving(network, data, classifier.classes_),
        }
    found["ratios"] = {
        "throughput_to_pytorch": found["rapport"]["messages_per_s"] / found["pytorch"]["messages_per_s"],
        "32_bit_throughput_to_pytorch": found["rapport, 32-bit"]["messages_per_s"] / found["pytorch"]["messages_per_s"],
        "pytorch_p50_to_rapport": found["pytorch"]["message_p50_ms"] / found["rapport"]["message_p50_ms"],
    }
    return _rounded(found)


def _rounded(figures: Figures) -> Figures:
    return {system: {name: round(value, 4) for name, value in own.items()} for system, own in figures.items()}


def _naive(data: Labelled, seed: int) -> IntentNetwork:
    torch.manual_seed(seed)
    classes = sorted(set(data.labels))
    targets = torch.tensor([classes.index(label) for label in data.labels])
    tokens = [nn.functional.pad(row, (0, _PADDED - len(row))) for row in Tokens(_PADDED)(data.texts)]
    ids = torch.stack(tokens)
    model = IntentNetwork(load_base(), len(classes))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model.train()
    for epoch in range(EPOCHS):
        print(f"naive loop, epoch {epoch + 1} of {EPOCHS}", flush=True)
        for rows in torch.randperm(len(ids)).split(_BATCH):  # type: ignore[no-untyped-call]
            logits, _ = model(ids[rows], (ids[rows] > 0).long())
            loss = nn.functional.cross_entropy(logits * 10, targets[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model.eval()


def _serving(
    encode: Callable[[Sequence[str]], np.ndarray],
    judge: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    data: Labelled,
    classes: Sequence[str],
    single: int = _SINGLE,
) -> dict[str, float]:
    times = []
    for text in data.test_texts[:single]:
        started = time.perf_counter()
        judge(encode([text]))
        times.append((time.perf_counter() - started) * 1000)
    started = time.perf_counter()
    best = judge(encode(data.test_texts))[0].argmax(axis=1)
    seconds = time.perf_counter() - started
    right = [classes[place] == label for place, label in zip(best, data.test_labels, strict=True)]
    found = {"accuracy": float(np.mean(right)), "messages_per_s": len(data.test_texts) / seconds}
    return found | ({"message_p50_ms": statistics.median(times)} if times else {})


@torch.no_grad()
def _torch_serving(
    network: IntentNetwork, data: Labelled, classes: Sequence[str], single: int = _SINGLE
) -> dict[str, float]:
    """Serve by PyTorch as it is usually done: batches of 64 in the order given, padded to their longest message."""
    tokenize = Tokens(96)

    def encode(texts: Sequence[str]) -> np.ndarray:
        parts = [pad(tokenize(texts[start : start + _BATCH])) for start in range(0, len(texts), _BATCH)]
        return np.concatenate([network.encoder(*part).numpy() for part in parts])

    def judge(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return network.head(torch.from_numpy(vectors)).numpy(), vectors

    return _serving(encode, judge, data, classes, single)


def _exact(folder: Path, data: Labelled) -> dict[str, float]:
    """Serve a model whose matrix products are in 32 bits; its folder's hashes no longer fit."""
    import json

    from retrieval.model_folder import MANIFEST, write_manifest

    about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    write_manifest(folder, {name: value for name, value in about.items() if name != "files"})
    classifier = IntentClassifier.load(folder)
    return _serving(classifier.encode, classifier.judge, data, classifier.classes_)
