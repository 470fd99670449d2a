"""What decides (desk, classifier, thresholds, memory, retrieval, code): loaded, hashed, and exchanged one at a time."""

from __future__ import annotations

import hashlib
import json
import shutil
from copy import copy
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bot.desk import DESKS, Desk
from bot.desk_reader import read_desk
from bot.heard import Heard
from bot.models import Models, load, with_answers_of
from bot.problems import RapportError
from bot.replay.run_folder import DESK, REPLAYS, Part, PartInfo, Run
from finetune import IntentClassifier

# What does not decide: what only teaching reads, logs and stories. Customers' words may be in it.
_UNUSED = ("intents.csv", "test.csv", "out_of_scope.csv", "test_out_of_scope.csv", "*.jsonl", "*.yml", ".*")
_PACKAGES = ("bot", "memory", "retrieval", "finetune")


@dataclass(frozen=True)
class State:
    """A bot that can be replayed: its desk, its models, and the kinds of memory it does without."""

    desk: Desk
    models: Models
    without: tuple[str, ...] = ()

    @classmethod
    def open(cls, desk: Path, home: Path, model: str = "", without: tuple[str, ...] = ()) -> State:
        """Open a desk with the models of a home; `model` names another intent classifier than the promoted one.

        Raises:
            RapportError: the desk has mistakes, or the model does not fit it or is not there.
            ModelError: a model is missing, incomplete or altered.
        """
        read = read_desk(desk)
        return cls(read, load(read, home, model, passages_folder(read, home)), without)

    @classmethod
    def of(cls, run: Run, home: Path) -> State:
        """Open what a run was decided by, as far as it is still there; `parts` then tells whether it is the same.

        Raises:
            RapportError: the run's desk or one of its models is gone, or they do not fit.
            ModelError: a model is incomplete or altered.
        """
        parts = run.info.parts
        desk = read_desk(run.folder / DESK / parts["desk"].name, taught=False)
        models = load(desk, home, parts["classifier"].name, passages_folder(desk, home))
        models = with_answers_of(models, desk, home, str(parts["retrieval"].about.get("answer_version", "")))
        return cls(desk, models, run.info.without)

    def exchanged(self, part: Part, other: State) -> State:
        """Return this state with one part of another.

        Raises:
            RapportError: the part cannot be taken out, or does not fit the others.
        """
        desk, models = self.desk, self.models
        if part == "code":
            raise RapportError("code cannot be exchanged")
        if part == "desk":
            settings = other.desk.settings.model_copy(update={"memory": desk.settings.memory})
            desk = replace(other.desk, settings=settings, articles=desk.articles, passages=desk.passages)
        elif part == "memory":
            settings = desk.settings.model_copy(update={"memory": other.desk.settings.memory})
            return replace(self, desk=replace(desk, settings=settings), without=other.without)
        elif part == "retrieval":
            theirs = other.models
            desk = replace(desk, articles=other.desk.articles, passages=other.desk.passages)
            models = replace(
                models, knowledge=theirs.knowledge, answers=theirs.answers, answer_version=theirs.answer_version
            )
        else:
            models = _exchanged(part, models, other.models)
        if unknown := sorted(set(models.classifier.classes_) - set(desk.answers)):
            raise RapportError(f"the other run's {part} knows nothing of {', '.join(unknown[:3])}")
        return replace(self, desk=desk, models=models)

    def parts(self) -> dict[Part, PartInfo]:
        """Return what the state consists of, each part with its hash."""
        desk, models, limits = self.desk, self.models, self.desk.settings.memory
        thresholds = {**asdict(models.thresholds), "in_scope": models.classifier.in_scope_threshold}
        answers = models.answers.manifest["files"] if models.answers else {}
        off = ", ".join(self.without)
        return {
            "desk": PartInfo(desk.name, _hash(_desk(desk))),
            "classifier": PartInfo(models.version, _hash(_classifier(models.classifier))),
            "thresholds": PartInfo(f"answers from {thresholds['answer']:.3f}", _hash(thresholds), thresholds),
            "memory": PartInfo(f"without {off}" if off else "whole", _hash([limits.model_dump(), self.without])),
            "retrieval": PartInfo(
                f"{len(desk.articles)} articles{f', {models.answer_version}' if models.answers else ''}",
                _hash([dict(desk.articles), answers, models.encoder.name]),
                {"answer_version": models.answer_version},
            ),
            "code": PartInfo(version("rapport"), code_hash()),
        }


def _exchanged(part: Part, models: Models, other: Models) -> Models:
    """Return models with the classifier or the thresholds of others: a classifier carries one of the thresholds."""
    taken, kept = (other, models) if part == "classifier" else (models, other)
    classifier = copy(taken.classifier)
    classifier.in_scope_threshold = kept.classifier.in_scope_threshold
    return replace(
        models, classifier=classifier, version=taken.version, heard=Heard(classifier), thresholds=kept.thresholds
    )


def passages_folder(desk: Desk, home: Path) -> Path:
    """Return where the vectors of a desk's passages are kept: not where those of the desk that serves are."""
    return home / REPLAYS / "passages" / _hash(dict(desk.articles))


def copy_desk(desk: Desk, folder: Path) -> None:
    """Copy what decides of a desk into a folder that is not there yet, whole or not at all."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    (draft / "articles").mkdir(parents=True)
    for file in (*_files(desk), *(desk.folder / "articles").glob("*.md")):
        shutil.copy(file, draft / file.relative_to(desk.folder))
    draft.replace(folder)


@cache
def code_hash() -> str:
    """Return a hash of the code that decides, and of the bot's own sentences."""
    root = Path(__file__).parent.parent.parent
    files = sorted(file for package in _PACKAGES for file in (root / package).rglob("*.py"))
    return _hash([[str(file.relative_to(root)), file.read_text(encoding="utf-8")] for file in files])


def _files(desk: Desk) -> list[Path]:
    """Return the files that a desk decides by: its own, and what lies beside its tools. Folders may hold anything."""
    names = sorted(path.name for path in desk.folder.iterdir())
    unused = shutil.ignore_patterns(*_UNUSED)("", names)
    return [path for name in names if name not in unused and (path := desk.folder / name).is_file()]


def _desk(desk: Desk) -> list[Any]:
    """Return what a desk decides by itself: not its articles, which are retrieval's, nor how much is remembered."""
    sentences = (DESKS / "replies.yaml").read_bytes()
    files = [path for path in _files(desk) if path.name != "desk.yaml"]
    contents = [[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in files]
    return [desk.settings.model_dump(mode="json", exclude={"memory"}), contents, hashlib.sha256(sentences).hexdigest()]


def _classifier(classifier: IntentClassifier) -> list[Any]:
    manifest = classifier.manifest
    files = {name: digest for name, digest in manifest["files"].items() if name.endswith(("onnx", "tokenizer.json"))}
    return [files, manifest["classes"], manifest["temperature"], manifest["several"]]


def _hash(value: Any) -> str:
    content = json.dumps(value, sort_keys=True, default=str).encode()
    return hashlib.sha256(content).hexdigest()[:16]
