"""A desk's models: taught on its messages, found again by the desk's fingerprint, loaded for serving."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from bot.desk import Desk
from bot.policy import Thresholds
from bot.problems import RapportError
from bot.versions import Version, Versions
from finetune import IntentClassifier
from retrieval import Encoder, Knowledge
from retrieval.encoder import BASE_SHA256
from retrieval.model_folder import MANIFEST, ModelError

# Raised whenever training or export changes in a way that makes older models stale.
RECIPE = 2
INTENT = "intent"

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Models:
    """What serving loads: the encoder, the intent classifier, the help centre's index, and what counts as sure.

    `version` names the intent classifier, as `intent-0003`.
    """

    encoder: Encoder
    classifier: IntentClassifier
    knowledge: Knowledge
    thresholds: Thresholds
    version: str


def encoder_folder(home: Path) -> Path:
    """Return where the exported encoder lies."""
    return home / "models" / f"encoder-{BASE_SHA256[:12]}"


def fingerprint(desk: Desk) -> str:
    """Return 12 hex digits that change with whatever an intent classifier of the desk is made from."""
    policy = desk.settings.policy
    taught = [desk.messages, desk.out_of_scope, policy.max_wrong_answers, policy.max_turned_away, BASE_SHA256, RECIPE]
    return hashlib.sha256(json.dumps(taught).encode()).hexdigest()[:12]


def intent_version(home: Path, desk: Desk) -> Version | None:
    """Return the intent classifier that serves the desk as it is now, or None where one has yet to be taught.

    That is the promoted one if it was promoted for exactly this desk, else the newest that was taught on exactly it.

    Raises:
        ModelError: it is not known which one is promoted.
    """
    versions, present = Versions(home, desk.name), fingerprint(desk)
    promotion = versions.promotion(INTENT)
    there = versions.all(INTENT)
    taught = [one for one in there if one.fingerprint == present]
    promoted = [one for one in there if one.name == promotion.promoted and promotion.fingerprint == present]
    return [None, *taught, *promoted][-1]


def intent_folder(home: Path, desk: Desk) -> Path:
    """Return where the intent classifier lies that serves the desk as it is now.

    Raises:
        ModelError: there is none.
    """
    return _present(home, desk).folder


def are_prepared(desk: Desk, home: Path) -> bool:
    """Return whether the models for the desk as it is now are there.

    Raises:
        ModelError: it is not known which ones are promoted.
    """
    return (encoder_folder(home) / MANIFEST).is_file() and intent_version(home, desk) is not None


def prepare(desk: Desk, home: Path, progress: Progress = lambda _what, _share: None) -> None:
    """Make the models that are missing and promote them; `progress` is told what is done and how much of it.

    Raises:
        ModelError: the base weights are missing or altered, or it is not known which models are promoted.
        ValueError: the desk's messages cannot be learnt from.
    """
    from bot.course import train_intent

    prepare_encoder(home, progress)
    version = intent_version(home, desk) or train_intent(desk, home, progress=progress).version
    versions, present = Versions(home, desk.name), fingerprint(desk)
    promotion = versions.promotion(INTENT)
    if (promotion.promoted, promotion.fingerprint) != (version.name, present):
        versions.promote(version.name, present)


def load(desk: Desk, home: Path) -> Models:
    """Return a desk's models.

    Raises:
        ModelError: a model is missing, incomplete or altered.
        RapportError: the promoted model knows intents that the desk has no answer for.
    """
    version = _present(home, desk)
    with ThreadPoolExecutor(1) as other:
        loading = other.submit(_load_intent, desk, version)
        encoder = Encoder(encoder_folder(home))
        classifier, thresholds = loading.result()
    return Models(encoder, classifier, knowledge_of(desk, home, encoder), thresholds, version.name)


def load_promoted(models: Models, desk: Desk, home: Path) -> Models:
    """Return the models with what is promoted now; the same ones where nothing else was promoted.

    Raises:
        ModelError: the promoted model is incomplete or altered.
        RapportError: it is gone, or knows intents that the desk has no answer for.
    """
    versions = Versions(home, desk.name)
    name = versions.promotion(INTENT).promoted
    if name in ("", models.version):
        return models
    classifier, thresholds = _load_intent(desk, versions.get(name))
    return replace(models, classifier=classifier, thresholds=thresholds, version=name)


def check_fit(desk: Desk, version: Version) -> None:
    """Refuse a version that cannot serve the desk.

    Raises:
        RapportError: the desk has no answer for some of the intents that the version knows.
    """
    if unknown := sorted(set(version.about.get("classes", ())) - set(desk.answers)):
        raise RapportError(
            f"{version.name} does not fit the desk {desk.name}, which has no answer for {', '.join(unknown[:5])}. "
            "Add what is missing to answers.yaml, or promote another: rapport models list"
        )


def _present(home: Path, desk: Desk) -> Version:
    version = intent_version(home, desk)
    if version is None:
        raise ModelError(
            f"There is no intent classifier for the desk {desk.name} as it is now. Run `rapport train intent`."
        )
    return version


def _load_intent(desk: Desk, version: Version) -> tuple[IntentClassifier, Thresholds]:
    check_fit(desk, version)
    try:
        classifier = IntentClassifier.load(version.folder)
        return classifier, Thresholds(classifier.answer_threshold, float(classifier.manifest["passage_threshold"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{version.folder / MANIFEST} is damaged ({error!r}). Delete {version.folder} and train again."
        ) from None


def prepare_encoder(home: Path, progress: Progress) -> None:
    """Export the encoder where that has not been done.

    Raises:
        ModelError: the base weights are missing or altered.
    """
    if (encoder_folder(home) / MANIFEST).is_file():
        return
    from finetune.export import export_base

    progress("Exporting the encoder", 0.0)
    export_base(encoder_folder(home))
    progress("Exporting the encoder", 1.0)


def knowledge_of(desk: Desk, home: Path, encoder: Encoder) -> Knowledge:
    """Return the index of the desk's help articles."""
    return Knowledge(desk.passages, encoder, home / "desks" / desk.name)
