"""A desk's models: taught on its messages, found again by the desk's fingerprint, loaded for serving."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.desk import BUNDLED, Desk
from bot.heard import Heard
from bot.policy import Thresholds
from bot.problems import RapportError
from bot.versions import Promotion, Version, Versions
from finetune import AnswerClassifier, IntentClassifier
from retrieval import Candidate, Encoder, Knowledge
from retrieval.encoder import BASE_SHA256
from retrieval.knowledge import rerank
from retrieval.model_folder import MANIFEST, ModelError

# Raised whenever training or export changes in a way that makes older models stale.
RECIPE = 9
INTENT, ANSWER = "intent", "answer"
_RERANKED = 10  # passages that an answer classifier judges

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Models:
    """What serving loads: the encoder, the classifiers, the help centre's index, and what counts as sure.

    `version` names the intent classifier, as `intent-0003`, `answer_version` the answer classifier, empty where there
    is none; `stamp` is that of the promotions they were chosen by. `heard` holds what the intent classifier makes of a
    conversation's turns.
    """

    encoder: Encoder
    classifier: IntentClassifier
    knowledge: Knowledge
    thresholds: Thresholds
    version: str
    stamp: tuple[int, int]
    heard: Heard
    answers: AnswerClassifier | None = None
    answer_version: str = ""

    @property
    def names(self) -> str:
        """The versions that serve, as a person reads them."""
        return ", ".join(name for name in (self.version, self.answer_version) if name)

    def find(self, text: str, vector: NDArray[np.float32]) -> Sequence[Candidate]:
        """Return the passages for a message and its unit vector `(384,)`, best first."""
        if self.answers is None:
            return self.knowledge.search(text, vector)
        return rerank(text, self.knowledge.search(text, vector, _RERANKED), self.answers)


def encoder_folder(home: Path) -> Path:
    """Return where the encoder lies as it is exported now; one of an older recipe is passed over."""
    return home / "models" / f"encoder-{BASE_SHA256[:12]}-{RECIPE}"


def fingerprint(desk: Desk) -> str:
    """Return 12 hex digits that change with whatever an intent classifier of the desk is made from."""
    policy = desk.settings.policy
    limits = [policy.max_wrong_answers, policy.max_turned_away, desk.talk]
    taught = [desk.messages, desk.out_of_scope, *limits, BASE_SHA256, RECIPE]
    return hashlib.sha256(json.dumps(taught).encode()).hexdigest()[:12]


def intent_version(home: Path, desk: Desk) -> Version | None:
    """Return the intent classifier that serves the desk as it is now, or None where one has yet to be taught.

    That is the one that was last promoted for exactly this desk, else the newest that was taught on exactly it.

    Raises:
        ModelError: it is not known what was promoted.
    """
    versions, present = Versions(home, desk.name), fingerprint(desk)
    there = {version.name: version for version in versions.all(INTENT)}
    taught = [name for name, version in there.items() if version.fingerprint == present]
    promoted = [one.name for one in versions.history(INTENT) if one.fingerprint == present and one.name in there]
    names = [*taught, *promoted]
    return there[names[-1]] if names else None


def intent_folder(home: Path, desk: Desk) -> Path:
    """Return where the intent classifier lies that serves the desk as it is now.

    Raises:
        ModelError: there is none.
    """
    return _present(home, desk).folder


def are_prepared(desk: Desk, home: Path) -> bool:
    """Return whether the models for the desk as it is now are there.

    Raises:
        ModelError: it is not known what was promoted.
    """
    return (encoder_folder(home) / MANIFEST).is_file() and intent_version(home, desk) is not None


def prepare(desk: Desk, home: Path, progress: Progress = lambda _what, _share: None, *, promote: bool = True) -> str:
    """Make the models that are missing and promote them; `progress` is told what is done and how much of it.

    Returns the name of the intent classifier that serves from now on, empty where that is the one that did before.
    Without `promote` what serves stays as it is: the models are for trying the desk.

    Raises:
        ModelError: the base weights are missing or altered, or it is not known what was promoted.
        ValueError: the desk's messages cannot be learnt from.
    """
    from bot.course import train_intent

    prepare_encoder(home, progress)
    version = intent_version(home, desk) or train_intent(desk, home, progress=progress).version
    versions, present = Versions(home, desk.name), Promotion(name=version.name, fingerprint=fingerprint(desk))
    if not promote or versions.history(INTENT)[-1:] == (present,):
        return ""
    versions.promote(present.name, present.fingerprint)
    return present.name


def load(desk: Desk, home: Path, name: str = "", passages: Path | None = None) -> Models:
    """Return a desk's models, with the intent classifier of a `name` where one is given.

    The vectors of passages are kept in a folder of the desk's under the home, or in `passages`.

    Raises:
        ModelError: a model is missing, incomplete or altered.
        RapportError: the intent classifier is not there, or knows intents that the desk has no answer for.
    """
    stamp = Versions(home, desk.name).stamp()
    version = Versions(home, desk.name).get(name) if name else _present(home, desk)
    with ThreadPoolExecutor(1) as other:
        loading = other.submit(_load_intent, desk, version)
        encoder = Encoder(encoder_folder(home))
        classifier, thresholds = loading.result()
    knowledge = Knowledge(desk.passages, encoder, passages) if passages else knowledge_of(desk, home, encoder)
    models = Models(encoder, classifier, knowledge, thresholds, version.name, stamp, Heard(classifier))
    return _with_answers(models, Versions(home, desk.name))


def load_promoted(models: Models, desk: Desk, home: Path) -> Models:
    """Return the models with what is promoted now; the same ones where nothing else was promoted.

    Raises:
        ModelError: the promoted model is incomplete or altered.
        RapportError: it is gone, or knows intents that the desk has no answer for.
    """
    versions = Versions(home, desk.name)
    promoted = versions.history(INTENT)
    if promoted and promoted[-1].name != models.version:
        version = versions.get(promoted[-1].name)
        classifier, thresholds = _load_intent(desk, version)
        thresholds = replace(thresholds, fit=models.thresholds.fit)
        heard = Heard(classifier)
        models = replace(models, classifier=classifier, thresholds=thresholds, version=version.name, heard=heard)
    return _with_answers(models, versions)


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


def with_answers_of(models: Models, desk: Desk, home: Path, name: str) -> Models:
    """Return the models with the answer classifier of a name, or with none where that is empty.

    Raises:
        ModelError: it is incomplete or altered.
        RapportError: there is none of that name.
    """
    if name == models.answer_version:
        return models
    answers = AnswerClassifier.load(Versions(home, desk.name).get(name).folder) if name else None
    thresholds = replace(models.thresholds, fit=answers.threshold if answers else Thresholds.fit)
    return replace(models, answers=answers, thresholds=thresholds, answer_version=name)


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


def _with_answers(models: Models, versions: Versions) -> Models:
    """Return the models with the promoted answer classifier, where one is promoted that they do not have yet."""
    there = {version.name: version for version in versions.all(ANSWER)}
    promoted = [one.name for one in versions.history(ANSWER) if one.name in there]
    if not promoted or promoted[-1] == models.answer_version:
        return models
    version = there[promoted[-1]]
    answers = AnswerClassifier.load(version.folder)
    thresholds = replace(models.thresholds, fit=answers.threshold)
    return replace(models, answers=answers, thresholds=thresholds, answer_version=version.name)


def prepare_encoder(home: Path, progress: Progress) -> None:
    """Export the encoder where that has not been done; of processes that start together, one does it.

    Raises:
        ModelError: the base weights are missing or altered.
        OSError: the disk is full or cannot be written to.
    """
    folder = encoder_folder(home)
    if (folder / MANIFEST).is_file():
        return
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(".encoder.lock")):
        if (folder / MANIFEST).is_file():
            return
        for left_behind in folder.parent.glob(f".{folder.name}-*"):  # an export that was killed
            shutil.rmtree(left_behind, ignore_errors=True)
        from bot.desk_reader import read_desk
        from finetune.export import export_base

        progress("Exporting the encoder", 0.0)
        export_base(folder, [text for text, _ in read_desk(BUNDLED).messages])
        progress("Exporting the encoder", 1.0)


def knowledge_of(desk: Desk, home: Path, encoder: Encoder) -> Knowledge:
    """Return the index of the desk's help articles."""
    return Knowledge(desk.passages, encoder, home / "desks" / desk.name)
