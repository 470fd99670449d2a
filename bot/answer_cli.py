"""`rapport train answer`: teaching which answers fit which messages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bot.answer_course import train_answer
from bot.course import Course
from bot.desk_reader import read_desk
from bot.models import encoder_folder, fingerprint, prepare_encoder
from bot.problems import RapportError
from bot.settings import Settings, read_settings
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
from bot.versions import Versions
from finetune.logs import LogError, read_log
from finetune.mining import accepted_pairs, mine, write_pairs
from finetune.sheets import SheetError, refuse_existing
from retrieval import Encoder


def train_answer_command(
    from_log: Annotated[
        Path | None, typer.Option(help="Look for question-answer pairs in this log, write them to a sheet, and stop.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="With --from-log: the sheet to write; LOG.pairs.csv if not set.")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="A sheet of pairs; those whose column accept says yes are learnt as well.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="How often the questions are gone through.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    promote: Annotated[bool, typer.Option(help="Put it into service.")] = True,
    desk: DeskOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Teach a new version of the answer classifier, which decides whether a help page may be quoted."""
    settings = read_settings(desk=desk, home=home)
    if missing := [path for path in (from_log, pairs) if path is not None and not path.is_file()]:
        raise RapportError(f"There is no file {missing[0]}. Check the name.")
    try:
        if from_log is not None:
            _mine(settings, from_log, out or Path(f"{from_log.stem}.pairs.csv"), as_json)
        else:
            _train(settings, accepted_pairs(pairs) if pairs else [], epochs, seed, promote, as_json)
    except (LogError, SheetError) as error:
        raise RapportError(str(error)) from None


def _mine(settings: Settings, log: Path, sheet: Path, as_json: bool) -> None:
    refuse_existing(sheet)
    with progress_bar() as show:
        prepare_encoder(settings.home, show)
        mined = mine(read_log(log), Encoder(encoder_folder(settings.home)), show)
    write_pairs(sheet, mined)
    if as_json:
        print_json({"sheet": str(sheet), "pairs": len(mined.pairs), "read": mined.read, "not_closed": mined.not_closed})
        return
    print_line(f"{mined.read} conversations were read; {mined.not_closed} did not end well and were left out.")
    print_line(
        f"{len(mined.pairs)} pairs stand in {sheet}. Write yes in the column accept of those that are right for every "
        f"customer, then: rapport train answer --pairs {sheet}"
    )


def _train(
    settings: Settings, pairs: list[tuple[str, str]], epochs: int | None, seed: int, promote: bool, as_json: bool
) -> None:
    desk = read_desk(settings.desk)
    course = Course(epochs=epochs, seed=seed, tracker=settings.tracker)
    with progress_bar() as show, learnable(desk.folder), resumable():
        version, classifier, minutes = train_answer(desk, settings.home, course, pairs, show)
    if promote:
        Versions(settings.home, desk.name).promote(version.name, fingerprint(desk))
    figures: dict[str, Any] = {"minutes": round(minutes, 2), "threshold": round(classifier.threshold, 4)}
    figures |= {name: value for name, value in classifier.manifest.items() if name.startswith("held_out")}
    report = str(version.folder / "report.html")
    if as_json:
        print_json(
            {"name": version.name, "promoted": promote, "accepted_pairs": len(pairs), **figures, "report": report}
        )
        return
    print_table([{"figure": name.replace("_", " "), "value": str(value)} for name, value in figures.items()], "")
    print_line(f"The report on {version.name}: {report}")
    print_line(
        f"{version.name} is promoted."
        if promote
        else f"Nothing is promoted. To do so: rapport models promote {version.name}"
    )
