"""The commands around training: `rapport train`, `rapport evaluate` and `rapport models`."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.course import Course, Trained, train_intent
from bot.desk import Desk
from bot.desk_reader import read_desk
from bot.models import INTENT, check_fit, fingerprint, load
from bot.problems import RapportError
from bot.settings import read_settings
from bot.terminal import (
    DeskOption,
    HomeOption,
    JsonOption,
    learnable,
    print_json,
    print_line,
    print_table,
    progress_bar,
    resumable,
)
from bot.versions import Version, Versions
from finetune import IntentClassifier
from retrieval.model_folder import read_manifest

if TYPE_CHECKING:
    from finetune.methods import Method

train_cli = typer.Typer(help="Teach the desk's models.", no_args_is_help=True)
models_cli = typer.Typer(help="See, promote, roll back and delete the desk's models.", no_args_is_help=True)

_MB = 1_000_000


class Kind(str, Enum):
    """What a model decides."""

    intent = "intent"
    answer = "answer"


@train_cli.command("intent")
def train_intent_command(
    method: Annotated[
        list[str] | None,
        typer.Option(help="full, lora, adalora, prefix, adapter or head; several (or with commas) are compared."),
    ] = None,
    contrast: Annotated[
        bool | None,
        typer.Option(
            help="First teach the encoder (not with head) what belongs together; if not set, where labels are few."
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="How often the messages are gone through; as their number asks if not set."),
    ] = None,
    trainings: Annotated[
        int, typer.Option(min=1, help="Teach it so often and take the mean: two understand a little more.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    start: Annotated[
        str, typer.Option("--from", help="Go on from this version: only messages that are new to it are learnt.")
    ] = "",
    log: Annotated[
        Path | None,
        typer.Option(help="A log with labelled messages: what they mean after those before them."),
    ] = None,
    promote: Annotated[bool, typer.Option(help="Put the best one into service.")] = True,
    desk: DeskOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Teach a new version of the intent classifier on the desk's messages, and say how good it is."""
    _check_options(start, method, contrast, trainings, log)
    methods = _methods(method)
    if trainings > 1 and "adalora" in methods:
        raise RapportError("Trainings with adalora have no mean. Leave out adalora or --trainings.")
    settings = read_settings(desk=desk, home=home)
    read = read_desk(settings.desk)
    courses = [
        Course(one, contrast, epochs, trainings, seed, start, str(log or ""), settings.tracker) for one in methods
    ]
    trained = _train(read, settings.home, courses)
    best = max(trained, key=lambda one: float(one.classifier.manifest["held_out_accuracy"])).version.name
    if promote:
        Versions(settings.home, read.name).promote(best, fingerprint(read))
    rows = [_row(read, one) for one in trained]
    if as_json:
        print_json({"models": rows, "promoted": best if promote else None})
        return
    print_table([_compared(row) for row in rows], "")
    for row in rows:
        if "old_after" in row:
            print_table([_lasted(row, age) for age in ("old", "new")], "")
        print_line(f"The report on {row['name']}: {row['report']}")
    how = f"To do so: rapport models promote {best}. A start does it too, where nothing was promoted for this desk."
    print_line(f"{best} is promoted." if promote else f"Nothing is promoted. {how}")


def evaluate(desk: DeskOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Measure the desk's models on its own test files."""
    settings = read_settings(desk=desk, home=home)
    read = read_desk(settings.desk)
    if not read.test_messages:
        raise RapportError(f"{settings.desk} has no test.csv (columns text,intent) to measure on.")
    models = load(read, settings.home)
    figures = _figures(read, models.classifier)
    if as_json:
        print_json({"model": models.version, **figures})
    else:
        print_line(f"{models.version}, on the test files of {settings.desk}:")
        print_table([{"figure": name, "value": f"{value:.4g}"} for name, value in figures.items()], "")


@models_cli.command("list")
def models_list(desk: DeskOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the versions of the desk's models, and which of them are promoted."""
    settings = read_settings(desk=desk, home=home)
    read = read_desk(settings.desk)
    versions, present = Versions(settings.home, read.name), fingerprint(read)
    promoted = versions.promoted()
    rows = [version.listed(promoted, present) for version in versions.all()]
    if as_json:
        print_json(rows)
    else:
        print_table([_shown(row) for row in rows], "There are no models yet. Make one: rapport train intent")


@models_cli.command("promote")
def models_promote(name: str, desk: DeskOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Put a version into service; a running server takes it up within seconds."""
    settings = read_settings(desk=desk, home=home)
    read = read_desk(settings.desk)
    versions = Versions(settings.home, read.name)
    _check(read, versions.get(name))
    versions.promote(name, fingerprint(read))
    print_json({"promoted": name}) if as_json else print_line(f"{name} is promoted.")


@models_cli.command("rollback")
def models_rollback(
    kind: Annotated[Kind, typer.Argument(help="What to roll back.")],
    desk: DeskOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go back to the version that was promoted before the present one."""
    settings = read_settings(desk=desk, home=home)
    read = read_desk(settings.desk)
    versions = Versions(settings.home, read.name)
    version = versions.previous(kind.value)
    _check(read, version)
    versions.rollback(kind.value, fingerprint(read))
    print_json({"promoted": version.name}) if as_json else print_line(f"{version.name} is promoted again.")


@models_cli.command("delete")
def models_delete(name: str, desk: DeskOption = None, home: HomeOption = None) -> None:
    """Remove a version that is not promoted."""
    settings = read_settings(desk=desk, home=home)
    Versions(settings.home, read_desk(settings.desk).name).delete(name)
    print_line(f"{name} is deleted.")


def _check_options(
    start: str, method: list[str] | None, contrast: bool | None, trainings: int, log: Path | None
) -> None:
    """Refuse what does not go together.

    Raises:
        RapportError: an option is for a whole training where one goes on from a version, or there is no such log.
    """
    if start and method:
        raise RapportError(f"With --from, the method is that of {start}. Leave out --method.")
    if start and log:
        raise RapportError("A log is learnt in a whole training. Leave out --from or --log.")
    if start and contrast is not None:
        raise RapportError("Which messages belong together is taught in a whole training. Leave out --from.")
    if start and trainings > 1:
        raise RapportError("The mean of several is taken of whole trainings. Leave out --from or --trainings.")
    if log is not None and not log.is_file():
        raise RapportError(f"There is no log {log}. Check the name.")


def _methods(given: list[str] | None) -> list[Method]:
    """Return the methods that were named, each once, in their usual order.

    Raises:
        RapportError: one of them does not exist.
    """
    if not given:
        return [Course.method]
    from finetune.methods import METHODS  # with torch, which most commands do without

    named = [name.strip() for one in given for name in one.split(",")]
    if unknown := [name for name in named if name not in METHODS]:
        raise RapportError(f"There is no method {unknown[0]!r}. Use one or several of {', '.join(METHODS)}.")
    return [method for method in METHODS if method in named]


def _train(desk: Desk, home: Path, courses: list[Course]) -> list[Trained]:
    """Return what was taught by one course after the other.

    Raises:
        RapportError: there are several courses as well as several processes, or the training was interrupted.
    """
    if len(courses) > 1 and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RapportError("Several processes teach one method together. Name one with --method, or start one process.")
    trained: list[Trained] = []
    for course in courses:
        with progress_bar(f"{course.method}: " if len(courses) > 1 else "") as show, learnable(desk.folder):
            how = f"The rest goes on with --method {','.join(one.method for one in courses[len(trained) :])}."
            finished = ", ".join(one.version.name for one in trained)
            with resumable(f"What is finished stays: {finished}. {how}") if trained else resumable():
                trained.append(train_intent(desk, home, course, show))
    return trained


def _check(desk: Desk, version: Version) -> None:
    """Refuse to promote what could not be served.

    Raises:
        ModelError: the version is incomplete or altered.
        RapportError: it knows intents that the desk has no answer for.
    """
    read_manifest(version.folder)
    if version.kind == INTENT:
        check_fit(desk, version)


def _figures(desk: Desk, classifier: IntentClassifier) -> dict[str, float]:
    """Return the accuracy on held-out messages, and what is measured on the desk's test files where it has some."""
    from finetune.evaluation import evaluate as measure

    figures: dict[str, float] = {"held_out_accuracy": classifier.manifest["held_out_accuracy"]}
    if desk.test_messages:
        texts = [text for text, _ in desk.test_messages]
        figures |= measure(classifier, texts, desk.labels(desk.test_messages), desk.test_out_of_scope)
    return figures


def _row(desk: Desk, trained: Trained) -> dict[str, Any]:
    about, folder = trained.classifier.manifest, trained.version.folder
    figures = _figures(desk, trained.classifier)
    return {
        "name": trained.version.name,
        "method": about["method"],
        "parameters": about["parameters_learnt"],
        "minutes": round(trained.minutes, 2),
        "accuracy": figures.get("accuracy"),
        "held_out_accuracy": about["held_out_accuracy"],
        "learnt_mb": _size(folder, "weights.safetensors"),
        "served_mb": _size(folder, "*.onnx"),
        **about.get("lasting", {}),
        "report": str(folder / "report.html"),
    }


def _size(folder: Path, pattern: str) -> float:
    return round(sum(path.stat().st_size for path in folder.glob(pattern)) / _MB, 3)


def _compared(row: dict[str, Any]) -> dict[str, str]:
    """Return a row of the comparison for people: how many are right of the test file, and of the messages held out."""
    return {
        "model": row["name"],
        "method": row["method"],
        "parameters": f"{row['parameters']:,}",
        "min": f"{row['minutes']:.1f}",
        "accuracy": _share(row["accuracy"]) or "no test.csv",
        "held out": _share(row["held_out_accuracy"]),
        "on disk": f"{row['learnt_mb']:.1f} MB",
        "served": f"{row['served_mb']:.1f} MB",
    }


def _lasted(row: dict[str, Any], age: str) -> dict[str, str]:
    """Return how well a model that went on from another does on messages that were old or new to it."""
    before, after = (_share(row[f"{age}_{when}"]) for when in ("before", "after"))
    return {"messages": age, "accuracy before": before, "accuracy after": after}


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """Return a row of the list for people."""
    return {
        "model": row["name"],
        "promoted": "yes" if row["promoted"] else "",
        "trained": "damaged" if row["damaged"] else str(row["trained_at"])[:16].replace("T", " "),
        "method": row["method"] or "",
        "held out": _share(row["held_out_accuracy"]),
        "on this desk": "yes" if row["for_this_desk"] else "edited since",
    }


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
