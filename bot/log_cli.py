"""`rapport log`: logs of other products made into Rapport's, and looked over without writing anything."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bot.problems import RapportError
from bot.replay.readers import FORMS, Mask, Reading, Wrong, read_log, read_mapping, region_named, stop
from bot.settings import read_settings
from bot.terminal import HomeOption, JsonOption, err, print_json, print_line, progress_bar
from finetune.logs import Conversation, write_log
from memory.secret import read_secret

log_cli = typer.Typer(help="Read logs of other products.", no_args_is_help=True)
_QUIET_S = 1.0  # a reading that takes longer shows its progress

FileArgument = Annotated[Path, typer.Argument(help="A file, also one in .gz, or a folder of files.")]
FormOption = Annotated[str | None, typer.Option(help=f"{', '.join(FORMS)}; recognised if not set.")]
OnError = Literal["skip", "stop"]
RegionOption = Annotated[str, typer.Option(help="A country (US) whose phone numbers are masked without a prefix.")]
MappingOption = Annotated[Path | None, typer.Option(help="A mapping file, for any other form (docs/logs.md).")]


@dataclass
class _Tally:
    """What a reading met."""

    conversations: int = 0
    customers: set[str] = field(default_factory=set)
    messages: Counter[str] = field(default_factory=Counter)
    begins: datetime | None = None
    ends: datetime | None = None
    wrong: Wrong = field(default_factory=Wrong)

    def add(self, one: Conversation) -> None:
        self.conversations += 1
        self.customers.add(one.customer_id)
        self.messages.update(message.role for message in one.messages)
        times = [message.at for message in one.messages]
        self.begins = min([self.begins or times[0], *times])
        self.ends = max([self.ends or times[0], *times])


@log_cli.command("convert")
def log_convert(
    file: FileArgument,
    out: Annotated[Path, typer.Option(help="The log to write (.jsonl); it must not be there yet.")],
    form: FormOption = None,
    mapping: MappingOption = None,
    mask: Annotated[bool, typer.Option("--mask/--no-mask", help="Mask personal data.")] = True,
    region: RegionOption = "",
    on_error: Annotated[OnError, typer.Option(help="What to do where a record is wrong.")] = "stop",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a log of another product as a log of Rapport: whole, or not at all."""
    _refuse_target(out)
    tally = _Tally()
    masking = Mask(read_secret(read_settings(home=home).home), region_named(region)) if mask else None
    with progress_bar() as show:
        reading = read_log(
            file,
            form,
            read_mapping(mapping) if mapping else None,
            mask=masking,
            on_error=tally.wrong.tell if on_error == "skip" else stop,
        )
        write_log(out, _counted(reading, tally, show))
        if not tally.conversations:
            out.unlink()
    say_wrong(tally.wrong)
    if not tally.conversations:
        raise RapportError(f"{file} holds no conversation that can be read; nothing was written.")
    if as_json:
        print_json({**_figures(reading, tally), "masked": mask, "out": out})
    else:
        print_line(_sentence(reading, tally))
        print_line(f"Wrote {out}{'' if mask else ', with personal data in it'}.")


@log_cli.command("check")
def log_check(
    file: FileArgument, form: FormOption = None, mapping: MappingOption = None, as_json: JsonOption = False
) -> None:
    """Read a log and say what is in it and what is wrong with it; exit code 0 only where nothing is."""
    tally = _Tally()
    with progress_bar() as show:
        given = read_mapping(mapping) if mapping else None
        reading = read_log(file, form, given, mask=None, on_error=tally.wrong.tell)
        for _ in _counted(reading, tally, show):
            pass
    if as_json:
        print_json(_figures(reading, tally))
    else:
        say_wrong(tally.wrong)
        print_line(_sentence(reading, tally))
    if tally.wrong.count or not tally.conversations:
        raise typer.Exit(1)


def _counted(reading: Reading, tally: _Tally, show: Any) -> Iterator[Conversation]:
    """Yield the conversations, counting them, and showing how far they are once it has taken a moment."""
    begun, shown = time.monotonic(), 0.0
    for conversation in reading:
        tally.add(conversation)
        if reading.share - shown >= 0.01 and time.monotonic() - begun > _QUIET_S:
            shown = reading.share
            show("Reading the log", shown)
        yield conversation


def _figures(reading: Reading, tally: _Tally) -> dict[str, Any]:
    return {
        "forms": sorted(reading.forms),
        "conversations": tally.conversations,
        "customers": len(tally.customers),
        "messages": {role: tally.messages[role] for role in ("customer", "agent", "bot")},
        "silent": reading.silent,
        "from": tally.begins and tally.begins.isoformat(),
        "to": tally.ends and tally.ends.isoformat(),
        "wrong": tally.wrong.count,
        "problems": [vars(problem) for problem in tally.wrong.first],
    }


def _sentence(reading: Reading, tally: _Tally) -> str:
    said = ", ".join(f"{count} by {role}s" for role, count in sorted(tally.messages.items(), reverse=True))
    when = f"from {tally.begins:%Y-%m-%d} to {tally.ends:%Y-%m-%d}" if tally.begins else "no time"
    silent = f" {reading.silent} without a message were left out." if reading.silent else ""
    wrong = f" {tally.wrong.count} could not be read." if tally.wrong.count else ""
    return (
        f"Conversations: {tally.conversations}, customers: {len(tally.customers)}, {when}; "
        f"messages: {said or 'none'} (form: {', '.join(sorted(reading.forms)) or 'unknown'}).{silent}{wrong}"
    )


def say_wrong(wrong: Wrong) -> None:
    """Print the first of what could not be read, and how much more there was."""
    for problem in wrong.first:
        err.print(str(problem), highlight=False, markup=False, soft_wrap=True)
    if more := wrong.count - len(wrong.first):
        err.print(f"and {more} more", highlight=False)


def _refuse_target(out: Path) -> None:
    if out.exists():
        raise RapportError(f"{out} is already there. Name another file, or delete it.")
    if not out.parent.is_dir():
        raise RapportError(f"There is no folder {out.parent}. Make it first.")
