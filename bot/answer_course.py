"""How a new version of a desk's answer classifier is taught: on its messages, its answers and its help pages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bot.course import Course, checkpoint_of, leave_the_rest_to_the_first_process, remove_checkpoints
from bot.desk import Desk, fill, intents_of, placeholders
from bot.desk_files import Answer
from bot.models import ANSWER, Progress, fingerprint
from bot.versions import Version, Versions
from finetune import AnswerClassifier
from finetune.pairs import desk_pairs


def train_answer(
    desk: Desk,
    home: Path,
    course: Course,
    pairs: Sequence[tuple[str, str]] = (),
    progress: Progress = lambda _what, _share: None,
) -> tuple[Version, AnswerClassifier, float]:
    """Teach a new version of the desk's answer classifier, which is not promoted yet; return it and the minutes.

    `pairs` are questions with answers that a person has accepted. A training that was interrupted goes on where it
    stopped, if desk (its answers and help pages, too), pairs and course are still the same.

    Raises:
        ModelError: the base weights are missing or altered.
        ValueError: the desk's messages and answers cannot be learnt from.
        OSError: the disk is full or cannot be written to.
    """
    questions, answers, labels = desk_pairs(
        [(text, label) for text, label in desk.messages if len(intents_of(label)) == 1],  # else it is about two pages
        {intent: _said(answer) for intent, answer in desk.answers.items()},
        {intent: answer.article for intent, answer in desk.answers.items() if answer.article},
        [(passage.article, passage.whole) for passage in desk.passages],
        seed=course.seed,
    )
    questions += [question for question, _ in pairs]
    answers += [answer for _, answer in pairs]
    labels += [1] * len(pairs)
    about: dict[str, Any] = {
        "desk": desk.name,
        "fingerprint": fingerprint(desk),
        "trained_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "accepted_pairs": len(pairs),
    }
    versions = Versions(home, desk.name)
    checkpoint = checkpoint_of(versions, ANSWER, fingerprint(desk), (course, questions, answers, labels))
    classifier = AnswerClassifier(
        method=course.method,
        epochs=course.epochs,
        seed=course.seed,
        tracker=course.tracker,
        max_wrong=desk.settings.policy.max_wrong_answers,
    )
    started = time.monotonic()
    classifier.fit(
        questions,
        answers,
        labels,
        out_of_scope=desk.out_of_scope,
        progress=progress,
        about=about,
        checkpoint=checkpoint,
    )
    leave_the_rest_to_the_first_process()
    version = versions.add(ANSWER, classifier.save)
    remove_checkpoints(checkpoint)
    return version, classifier, (time.monotonic() - started) / 60


def _said(answer: Answer) -> str:
    """Return an approved answer with its title in front, and with words where it has names in braces."""
    wordings = answer.text or next(iter(answer.outcomes.values()))
    text = fill(wordings[0], {name: name.replace("_", " ") for name in placeholders(wordings[0])})
    return f"{answer.title}. {text}"
