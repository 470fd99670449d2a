"""A course: how a new version of a desk's intent classifier is taught."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bot.desk import Desk, intents_of
from bot.models import INTENT, Progress, check_fit, encoder_folder, fingerprint, knowledge_of, prepare_encoder
from bot.problems import RapportError
from bot.versions import Version, Versions
from finetune import IntentClassifier
from finetune.logs import LogError, read_log
from retrieval import Encoder, Knowledge
from retrieval.model_folder import sha256

if TYPE_CHECKING:
    from finetune.data import Labels
    from finetune.methods import Method

_FALLBACK_PASSAGE_SIMILARITY = 0.5  # for a desk without out-of-scope messages to solve it on


@dataclass(frozen=True)
class Course:
    """How an intent classifier is taught: anew by a method, or, with `start`, from that version on.

    Without `contrast` and `epochs` the number of messages decides whether the encoder is first taught which messages
    belong together, and how often they are gone through. The model is the mean of `trainings`. `log` is the file of a
    log whose labelled messages are learnt too, each with the labelled ones before it; `tracker` is empty, `tensorboard`
    or `wandb`.
    """

    method: Method = "full"
    contrast: bool | None = None
    epochs: int | None = None
    trainings: int = 1
    seed: int = 0
    start: str = ""
    log: str = ""
    tracker: str = ""


@dataclass(frozen=True)
class Trained:
    """A version that has just been taught, and how many minutes that took."""

    version: Version
    classifier: IntentClassifier
    minutes: float


def train_intent(
    desk: Desk, home: Path, course: Course = Course(), progress: Progress = lambda _what, _share: None
) -> Trained:
    """Teach a new version of the desk's intent classifier, which is not promoted yet.

    A training that was interrupted goes on where it stopped, if desk, course and log are still the same.

    Raises:
        ModelError: the base weights, or the version to start from, are missing or altered.
        RapportError: the version to start from does not fit the desk, or has nothing to learn.
        ValueError: the desk's messages cannot be learnt from.
        OSError: the disk is full or cannot be written to.
    """
    versions = Versions(home, desk.name)
    start = versions.get(course.start) if course.start else None
    prepare_encoder(home, progress)
    encoder = Encoder(encoder_folder(home))
    about = {
        "desk": desk.name,
        "fingerprint": fingerprint(desk),
        "trained_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "passage_threshold": _passage_threshold(desk, knowledge_of(desk, home, encoder), encoder),
    }
    log = sha256(Path(course.log)) if course.log else ""
    checkpoint = checkpoint_of(versions, INTENT, fingerprint(desk), (course, log))
    started = time.monotonic()
    how = (course, progress, about, checkpoint)
    classifier = _extend(desk, start, *how) if start else _teach(desk, *how)
    leave_the_rest_to_the_first_process()
    minutes = (time.monotonic() - started) / 60
    version = versions.add(INTENT, classifier.save)
    remove_checkpoints(checkpoint)
    return Trained(version, classifier, minutes)


def leave_the_rest_to_the_first_process() -> None:
    """End this process if it is one of several that were started to train together, and not the first one.

    All of them hold the same model by now; `RANK` is what torchrun and accelerate number them by.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        raise SystemExit(0)


def _teach(desk: Desk, course: Course, progress: Progress, about: dict[str, Any], checkpoint: Path) -> IntentClassifier:
    policy = desk.settings.policy
    classifier = IntentClassifier(
        method=course.method,
        contrast=course.contrast,
        epochs=course.epochs,
        trainings=course.trainings,
        seed=course.seed,
        tracker=course.tracker,
        max_wrong_answers=policy.max_wrong_answers,
        max_turned_away=policy.max_turned_away,
        interchangeable=desk.talk,
    )
    logged = _logged(desk, Path(course.log)) if course.log else []
    messages = [*desk.messages, *((text, intent) for text, intent, _ in logged)]
    conversations = [*(None for _ in desk.messages), *(conversation for _, _, conversation in logged)]
    return classifier.fit(
        [text for text, _ in messages],
        desk.labels(messages),
        desk.out_of_scope,
        conversations=conversations if logged else None,
        test=_test(desk),
        progress=progress,
        about=about,
        checkpoint=checkpoint,
    )


def _logged(desk: Desk, log: Path) -> list[tuple[str, str, str]]:
    """Return the labelled messages of a log, each with its intent and its conversation.

    Raises:
        LogError: the log is wrong, or has no labelled message.
        RapportError: a label is no intent of the desk.
    """
    said = [
        (message.text, message.intent, conversation.conversation_id)
        for conversation in read_log(log)
        for message in conversation.messages
        if message.role == "customer" and message.intent
    ]
    if not said:
        raise LogError(f"{log} has no customer message with an intent. Leave out --log, or label some first")
    if unknown := sorted({intent for _, intent, _ in said} - set(desk.answers)):
        raise RapportError(f"{log} has intents without an answer in answers.yaml: {', '.join(unknown[:5])}.")
    return said


def _extend(
    desk: Desk, start: Version, course: Course, progress: Progress, about: dict[str, Any], checkpoint: Path
) -> IntentClassifier:
    """Return a version's classifier after it has learnt the messages of the desk that it does not know yet."""
    from finetune.rehearsal import read_rehearsal

    check_fit(desk, start)
    classifier = IntentClassifier.load(start.folder)
    policy = desk.settings.policy
    classifier.max_wrong_answers, classifier.max_turned_away = policy.max_wrong_answers, policy.max_turned_away
    classifier.interchangeable = desk.talk
    classifier.epochs, classifier.seed, classifier.tracker = course.epochs, course.seed, course.tracker
    known = read_rehearsal(start.folder)
    texts = [text for text, _ in desk.messages]
    new = known.unseen(texts, desk.labels(desk.messages))
    none: list[tuple[str, ...]] = [()] * len(desk.out_of_scope)
    outside = known.unseen(desk.out_of_scope, none)
    if not new and not outside:
        raise RapportError(f"{start.name} has learnt all messages of the desk. Add some, or leave out --from.")
    return classifier.partial_fit(
        [texts[row] for row in new],
        desk.labels([desk.messages[row] for row in new]),
        [desk.out_of_scope[row] for row in outside],
        outdated=known.outdated([*texts, *desk.out_of_scope], [*(intents_of(one) for _, one in desk.messages), *none]),
        test=_test(desk),
        progress=progress,
        about=about,
        checkpoint=checkpoint,
    )


def _test(desk: Desk) -> tuple[Sequence[str], Labels, Sequence[str]] | None:
    """Return the messages that only the report is about."""
    if not desk.test_messages:
        return None
    return [text for text, _ in desk.test_messages], desk.labels(desk.test_messages), desk.test_out_of_scope


def checkpoint_of(versions: Versions, kind: str, desk_fingerprint: str, how: object) -> Path:
    """Return where the state of a training is kept; those of a desk that has been edited since are removed.

    `how` is everything beside what the fingerprint covers that the training depends on: contents, not names of files.
    """
    folder = versions.folder / ".training"
    for path in folder.glob("*.*"):
        if not path.name.startswith(desk_fingerprint):
            path.unlink(missing_ok=True)
    settings = hashlib.sha256(repr(how).encode()).hexdigest()[:12]
    return folder / f"{desk_fingerprint}-{kind}-{settings}.safetensors"


def remove_checkpoints(checkpoint: Path) -> None:
    """Remove the state of a training whose model is saved, and those beside it where it is the mean of several."""
    for path in checkpoint.parent.glob(f"{checkpoint.stem}*"):
        path.unlink(missing_ok=True)


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
