"""From a trained network to a model folder: thresholds solved, weights kept, models exported, the report written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finetune.calibration import best_is_right, solve
from finetune.corpus import MAX_TOKENS, Corpus
from finetune.export import export_encoder, export_head
from finetune.head import ServedHead, to_probabilities
from finetune.rehearsal import write_rehearsal
from finetune.report import write_report
from finetune.reporting import Test, report_on
from finetune.scope import in_scope_score
from finetune.teaching import Taught
from finetune.training import Progress
from finetune.weights import WEIGHTS, save_weights
from retrieval.encoder import BASE_SHA256
from retrieval.model_folder import write_manifest
from retrieval.onnx_model import OnnxModel

if TYPE_CHECKING:
    from finetune.intent import IntentClassifier

_WHAT = "Measuring and exporting"


def publish(
    folder: Path,
    classifier: IntentClassifier,
    corpus: Corpus,
    taught: Taught,
    test: Test | None,
    about: dict[str, Any],
    progress: Progress,
    seen_before: frozenset[str] = frozenset(),
) -> None:
    """Write everything that makes a model folder into a folder that nobody sees yet."""
    progress(_WHAT, 0.0)
    folder.mkdir(parents=True)
    classes = len(corpus.coding.classes)
    write_rehearsal(folder, corpus, seen_before)
    learnt = save_weights(taught.network, folder)
    progress(_WHAT, 0.2)
    encoder, head, held_out = _export(folder, corpus, taught)
    progress(_WHAT, 0.5)
    inside = np.array(corpus.held) < len(corpus.texts) - corpus.outside
    logits, targets = held_out[inside], corpus.targets[np.array(corpus.held)[inside]]
    targets = targets[:, :classes] if corpus.coding.several else targets
    scores = in_scope_score(logits, classes)
    solved = solve(logits[:, :classes], targets, scores, classifier.limits(corpus.coding.classes))
    probabilities = to_probabilities(logits[:, :classes], solved.temperature, corpus.coding.several)
    report = report_on(
        classifier, corpus, taught, solved, held_out, test, lambda texts: head.run(encoder.run(texts)["vector"]), about
    )
    write_report(folder, report)
    progress(_WHAT, 0.9)
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
            "learnt_bytes": (folder / WEIGHTS).stat().st_size,
            "settings": asdict(taught.settings),
            "max_tokens": MAX_TOKENS,
            "base_sha256": BASE_SHA256,
            "temperature": solved.temperature,
            "answer_threshold": solved.answer.threshold,
            "answer_bound": vars(solved.answer),
            "in_scope_threshold": solved.in_scope,
            "contradictions": len(corpus.contradictions),
            "max_wrong_answers": classifier.max_wrong_answers,
            "max_turned_away": classifier.max_turned_away,
            "interchangeable": sorted(classifier.interchangeable),
            "held_out_accuracy": float(best_is_right(probabilities, targets).mean()),
            **about,
        },
    )
    progress(_WHAT, 1.0)


def _export(folder: Path, corpus: Corpus, taught: Taught) -> tuple[OnnxModel, ServedHead, NDArray[np.float32]]:
    """Write encoder and head, and return them with their logits `(held, labels)` of the rows held out.

    Each row is judged after what came before it in its conversation, by a head that has not learnt it.
    """
    export_encoder(taught.network.encoder, folder, corpus.messages.tokens)
    encoder = OnnxModel(folder, {"max_tokens": MAX_TOKENS})
    vectors = encoder.run([corpus.texts[row] for row in corpus.held])["vector"]
    earlier = [vectors[list(rows)] for rows in corpus.messages.only(corpus.held).earlier]
    export_head(taught.unbiased, folder)
    held_out = ServedHead(folder / "head.onnx").run(vectors, earlier)
    export_head(taught.network.head, folder)
    return encoder, ServedHead(folder / "head.onnx"), held_out
