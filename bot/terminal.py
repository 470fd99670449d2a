"""What the commands share: options, tables, JSON, and a progress bar on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bot.desk_reader import read_desk
from bot.models import are_prepared, prepare
from bot.problems import RapportError
from bot.settings import Settings

out = Console()
err = Console(stderr=True)

DeskOption = Annotated[Path | None, typer.Option(help="The desk folder (RAPPORT_DESK).")]
HomeOption = Annotated[Path | None, typer.Option(help="Where state is kept (RAPPORT_HOME).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print results as JSON.")]


def prepared(settings: Settings, *, promote: bool = True) -> None:
    """Make the desk's models where there are none, with a progress bar on stderr, and let them serve, or not.

    Raises:
        RapportError: the desk has mistakes or cannot be learnt from.
        ModelError: the base weights are missing or altered, or it is not known what was promoted.
    """
    desk = read_desk(settings.desk)
    if not are_prepared(desk, settings.home):
        err.print(f"Preparing the models of the desk {desk.settings.name}; this is done once.", highlight=False)
    with progress_bar() as show, learnable(desk.folder):
        serves = prepare(desk, settings.home, show, promote=promote)
    if serves:
        err.print(f"{serves} serves from now on: it was taught on this desk as it is.", highlight=False)


@contextmanager
def learnable(folder: Path) -> Iterator[None]:
    """Turn what teaching cannot work with into an error for people.

    Raises:
        RapportError: the desk in the folder cannot be learnt from.
    """
    try:
        yield
    except ValueError as error:
        raise RapportError(f"The desk {folder} cannot be learnt from: {error}.") from error


@contextmanager
def resumable(how: str = "The same command goes on from the last finished epoch, if there was one.") -> Iterator[None]:
    """Turn Ctrl-C into a sentence that says how to go on with a training.

    Raises:
        RapportError: the training was interrupted.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise RapportError(f"Interrupted. {how}") from None


@contextmanager
def progress_bar(prefix: str = "") -> Iterator[Callable[[str, float], None]]:
    """Give a function that is told what is being done and how much of it (0 to 1); it shows bars with the time left."""
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    helping = int(os.environ.get("RANK", "0")) > 0  # one of several processes that train together, not the first
    bar = Progress(*columns, TimeRemainingColumn(), console=err, disable=helping)
    tasks: dict[str, Any] = {}

    def show(what: str, share: float) -> None:
        bar.start()
        if what not in tasks:
            tasks[what] = bar.add_task(prefix + what, total=1.0)
        bar.update(tasks[what], completed=share)

    try:
        yield show
    finally:
        if tasks:
            bar.stop()


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def print_table(rows: Sequence[dict[str, Any]], nothing: str) -> None:
    """Print rows of the same columns, or a sentence where there are none."""
    if not rows:
        out.print(Text(nothing))
        return
    # So eight columns fit into 80 characters.
    table = Table(*rows[0], box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    out.print(table)


def print_line(sentence: str) -> None:
    """Print a sentence that may hold anything, on a line of its own."""
    out.print(Text(sentence), soft_wrap=True)
