"""From a trained network to a model folder: thresholds solved, weights kept, models exported, the report written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finetune.corpus import MAX_TOKENS, Corpus
from finetune.export import export_encoder, export_head
from finetune.head import to_probabilities
from finetune.rehearsal import write_rehearsal
from finetune.scope import Scope
from finetune.teaching import Taught
from finetune.training import Progress
from finetune.weights import WEIGHTS, save_weights
from retrieval.encoder import BASE_SHA256
from retrieval.model_folder import write_manifest

if TYPE_CHECKING:
    from finetune.intent import IntentClassifier

_WHAT = "Measuring and exporting"


def solve(
    corpus: Corpus, taught: Taught, scope: Scope, max_wrong_answers: float, max_turned_away: float
) -> dict[str, float]:
    """Return temperature and thresholds from the rows held out."""
    from finetune.calibration import answer_threshold, fit_temperature, in_scope_threshold

    classes = len(corpus.coding.classes)
    held = np.array([row for row in corpus.held if row < len(corpus.texts) - corpus.outside])
    logits, targets = taught.logits[held][:, :classes], corpus.targets[held]
    temperature = fit_temperature(logits, targets)
    probabilities = to_probabilities(logits, temperature, corpus.coding.several)
    correct = probabilities.argmax(axis=1) == targets
    solved = answer_threshold(probabilities.max(axis=1), correct, max_wrong_answers)
    scores = scope.score(taught.logits[held], taught.vectors[held])
    return {
        "temperature": temperature,
        "answer_threshold": solved,
        "in_scope_threshold": in_scope_threshold(scores, max_turned_away),
        "held_out_accuracy": float(correct.mean()),
    }


def publish(
    folder: Path,
    classifier: IntentClassifier,
    corpus: Corpus,
    taught: Taught,
    test: Any,
    about: dict[str, Any],
    progress: Progress,
) -> None:
    """Write everything that makes a model folder into a folder that nobody sees yet."""
    progress(_WHAT, 0.0)
    folder.mkdir(parents=True)
    classes = len(corpus.coding.classes)
    kept = np.array(corpus.kept)
    scope = Scope.of(taught.vectors[kept], _first(corpus.targets[kept]), classes, corpus.outside > 0)
    solved = solve(corpus, taught, scope, classifier.max_wrong_answers, classifier.max_turned_away)
    scope.save(folder / "scope.safetensors")
    write_rehearsal(folder, corpus)
    learnt = save_weights(taught.network, folder)
    progress(_WHAT, 0.2)
    export_head(taught.network.head, folder)
    export_encoder(taught.network.encoder, folder)
    progress(_WHAT, 0.7)
    write_manifest(
        folder,
        {
            "kind": "intent",
            "classes": list(corpus.coding.classes),
            "several": corpus.coding.several,
            "has_outside": corpus.outside > 0,
            "memory": taught.network.head.memory is not None,
            "method": classifier.method,
            "parameters_learnt": learnt,
            "settings": asdict(taught.settings),
            "max_tokens": MAX_TOKENS,
            "base_sha256": BASE_SHA256,
            **solved,
            **about,
        },
    )
    progress(_WHAT, 1.0)


def _first(targets: NDArray[Any]) -> NDArray[np.integer]:
    """Return one class a row: its own, or the first of several."""
    firsts: NDArray[np.integer] = targets.argmax(axis=1) if targets.ndim == 2 else targets
    return firsts
