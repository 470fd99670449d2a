"""`rapport replay report`: what a run came to, as a page for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.replay import shelf
from bot.settings import read_settings
from bot.terminal import HomeOption, JsonOption, print_json, print_line, progress_bar


def replay_report(
    run: Annotated[str, typer.Argument(help="A run: its name, or its folder.")],
    against: Annotated[str, typer.Option(help="An earlier run to compare it with.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="The page to write; report.html in the run's folder if not set.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report on a run: one page that needs nothing else, and its figures as JSON beside it."""
    from bot.replay.report.page import write_report  # loads matplotlib

    place = read_settings(home=home).home
    later, earlier = shelf.find(place, run), shelf.find(place, against) if against else None
    if earlier:  # compared again: a run of this name may have been another one when they were compared last
        from bot.replay.causes import compare  # loads the models

        with progress_bar() as show:
            compare(earlier, later, place, show)
    file = write_report(later, earlier, out)
    print_json({"report": file}) if as_json else print_line(f"The report is {file}.")
