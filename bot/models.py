"""A desk's models: made once for its messages, found again by their fingerprint, checked by their hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bot.desk import Desk
from bot.policy import Thresholds
from finetune import IntentClassifier
from retrieval import Encoder, Knowledge
from retrieval.encoder import BASE_SHA256
from retrieval.model_folder import MANIFEST

# Raised whenever training or export changes in a way that makes older models stale.
RECIPE = 1
_FALLBACK_PASSAGE_SIMILARITY = 0.5  # for a desk without out-of-scope messages to solve it on

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Models:
    """What serving loads: the encoder, the intent classifier, the help centre's index, and what counts as sure."""

    encoder: Encoder
    classifier: IntentClassifier
    knowledge: Knowledge
    thresholds: Thresholds


def encoder_folder(home: Path) -> Path:
    """Return where the exported encoder lies."""
    return home / "models" / f"encoder-{BASE_SHA256[:12]}"


def intent_folder(home: Path, desk: Desk) -> Path:
    """Return where the classifier for exactly this desk's messages lies."""
    policy = desk.settings.policy
    taught = [desk.messages, desk.out_of_scope, policy.max_wrong_answers, policy.max_turned_away, BASE_SHA256, RECIPE]
    fingerprint = hashlib.sha256(json.dumps(taught).encode()).hexdigest()[:12]
    return home / "models" / f"intent-{desk.name}-{fingerprint}"


def are_prepared(desk: Desk, home: Path) -> bool:
    """Return whether the models for this desk are there."""
    return all((folder / MANIFEST).is_file() for folder in (encoder_folder(home), intent_folder(home, desk)))


def prepare(desk: Desk, home: Path, progress: Progress = lambda _what, _share: None) -> None:
    """Make the models that are missing; `progress` is told what is being done and how much of it.

    Raises:
        ModelError: the base weights are missing or altered.
        ValueError: the desk's messages cannot be learnt from.
    """
    if not (encoder_folder(home) / MANIFEST).is_file():
        from finetune.export import export_encoder

        progress("Exporting the encoder", 0.0)
        export_encoder(encoder_folder(home))
        progress("Exporting the encoder", 1.0)
    target = intent_folder(home, desk)
    if (target / MANIFEST).is_file():
        return
    encoder = Encoder(encoder_folder(home))
    about = {"desk": desk.name, "passage_threshold": _passage_threshold(desk, _knowledge(desk, home, encoder), encoder)}
    policy = desk.settings.policy
    classifier = IntentClassifier(max_wrong_answers=policy.max_wrong_answers, max_turned_away=policy.max_turned_away)
    texts, intents = zip(*desk.messages, strict=True)
    classifier.fit(texts, intents, desk.out_of_scope, progress, about)
    classifier.save(target)


def load(desk: Desk, home: Path) -> Models:
    """Return a desk's models.

    Raises:
        ModelError: a model is missing, incomplete or altered.
    """
    with ThreadPoolExecutor(1) as other:
        loading = other.submit(IntentClassifier.load, intent_folder(home, desk))
        encoder = Encoder(encoder_folder(home))
        classifier = loading.result()
    thresholds = Thresholds(classifier.answer_threshold, float(classifier.manifest["passage_threshold"]))
    return Models(encoder, classifier, _knowledge(desk, home, encoder), thresholds)


def _knowledge(desk: Desk, home: Path, encoder: Encoder) -> Knowledge:
    return Knowledge(desk.passages, encoder, home / "desks" / desk.name)


def _passage_threshold(desk: Desk, knowledge: Knowledge, encoder: Encoder) -> float:
    """Return the similarity that 19 of 20 out-of-scope messages do not reach with any passage."""
    if not desk.out_of_scope or not desk.passages:
        return _FALLBACK_PASSAGE_SIMILARITY
    vectors = encoder.encode(desk.out_of_scope)
    best = [
        max(candidate.similarity for candidate in knowledge.search(text, vector))
        for text, vector in zip(desk.out_of_scope, vectors, strict=True)
    ]
    return float(np.quantile(best, 0.95))
