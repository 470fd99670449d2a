"""`rapport suggest`: which logged messages are worth a label, and taking a person's labels into the desk."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bot.desk import Desk, intents_of
from bot.desk_reader import read_desk
from bot.labels import accept as accept_labels
from bot.models import load
from bot.problems import RapportError
from bot.settings import Settings, read_settings
from bot.terminal import DeskOption, HomeOption, JsonOption, print_json, print_line, print_table, progress_bar
from finetune.labelling import write_suggestions
from finetune.logs import LogError, read_heard
from finetune.sheets import SheetError, refuse_existing
from finetune.suggestions import Suggestions
from finetune.suggestions import suggest as rank
from finetune.wordings import Known

_SHOWN = 10


def suggest(
    file: Annotated[
        Path | None, typer.Argument(help="A log (.jsonl), a CSV file with a column text, or one message a line.")
    ] = None,
    desk: DeskOption = None,
    home: HomeOption = None,
    out: Annotated[Path | None, typer.Option(help="The sheet to write; FILE.suggestions.csv if not set.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many messages at most.")] = 100,
    everything: Annotated[bool, typer.Option("--all", help="Also messages that have an intent in FILE.")] = False,
    accept: Annotated[Path | None, typer.Option(help="Take the labels of this sheet into the desk.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Rank unlabelled messages by what a label would teach, into a sheet to fill in; --accept takes the labels in."""
    given = [path for path in (file, accept) if path is not None]
    if len(given) != 1:
        raise RapportError("Name either a file of messages, or --accept with a sheet that was filled in.")
    if not given[0].is_file():
        raise RapportError(f"There is no file {given[0]}. Check the name.")
    settings = read_settings(desk=desk, home=home)
    try:
        if file is not None:
            _suggest(settings, file, out or Path(f"{file.stem}.suggestions.csv"), limit, everything, as_json)
        else:
            _accept(settings, given[0], as_json)
    except (LogError, SheetError) as error:
        raise RapportError(str(error)) from None


def _suggest(settings: Settings, file: Path, sheet: Path, limit: int, everything: bool, as_json: bool) -> None:
    refuse_existing(sheet)
    heard = read_heard(file, labelled=everything)
    if not heard:
        hint = "" if everything else " without an intent; --all takes those that have one as well"
        raise RapportError(f"{file} holds no customer message{hint}.")
    desk = read_desk(settings.desk)
    models = load(desk, settings.home)
    with progress_bar() as show:
        found = rank(heard, _known(desk), models.classifier, models.encoder, limit, show)
    write_suggestions(sheet, found)
    if as_json:
        print_json({**asdict(found), "sheet": sheet})
    else:
        _show(found, sheet)


def _known(desk: Desk) -> Known:
    return Known(
        messages=tuple((text, intents_of(label)[0]) for text, label in desk.messages),
        out_of_scope=desk.out_of_scope,
        tested=(*(text for text, _ in desk.test_messages), *desk.test_out_of_scope),
    )


def _show(found: Suggestions, sheet: Path) -> None:
    print_table(
        [{"message": one.text, "why": one.why, "group": one.group} for one in found.rows[:_SHOWN]],
        "Nothing is left that a label would teach.",
    )
    for group in found.groups:
        print_line(f"Perhaps a new intent, {group.name}: {group.size} messages, such as {group.wordings[0]!r}")
    print_line(
        f"Of {found.read} messages {found.known} are in the desk already and {found.unusable} are empty or too long. "
        f"E-mail addresses, phone and card numbers are masked where simple patterns find them, in {found.masked}."
    )
    print_line(
        f"{len(found.rows)} messages are in {sheet}. Fill in the column intent where you are sure (out_of_scope for "
        f"what the desk does not handle), then: rapport suggest --accept {sheet}"
    )


def _accept(settings: Settings, sheet: Path, as_json: bool) -> None:
    done = accept_labels(sheet, settings.desk)
    if as_json:
        print_json(asdict(done))
        return
    print_line(
        f"Added {done.intents} messages to intents.csv and {done.out_of_scope} to out_of_scope.csv of {settings.desk}; "
        f"{done.there} were there already."
    )
    if done.intents or done.out_of_scope:
        print_line("Nothing is taught yet. Next: rapport train intent")
