"""`rapport replay`: logged conversations lived through by today's bot, and what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bot.log_cli import FileArgument, FormOption, MappingOption, OnError, RegionOption, say_wrong
from bot.replay import shelf
from bot.replay.causes import compare
from bot.replay.gate import check, read_gate
from bot.replay.readers import Mapping, Mask, Wrong, read_log, read_mapping, region_named, stop
from bot.replay.replaying import Plan, open_state, replay
from bot.replay.run_folder import COMPARISONS, DIFFERENCES, WORK, Comparison, GateResult, Run, to_dict
from bot.replay.staging import Staging, stage
from bot.replay.stories import pin_story
from bot.replay.wording import compared, scored
from bot.settings import read_settings
from bot.terminal import DeskOption, HomeOption, JsonOption, prepared, print_json, print_line, progress_bar
from memory.secret import read_secret


class Memory(str, Enum):
    """A memory that a replay can do without."""

    recall = "recall"
    summary = "summary"
    facts = "facts"


class _RunByDefault(TyperGroup):
    """A group whose command `run` is meant where none is named: `rapport replay LOG`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = args and (args[0] in self.commands or args[0] in ("--help", "-h"))
        return super().parse_args(ctx, args if named or not args else ["run", *args])


replay_cli = typer.Typer(
    cls=_RunByDefault,
    help="Replay a log with today's bot (`rapport replay LOG`), and compare runs.",
    no_args_is_help=True,
)


@replay_cli.command("run")
def replay_run(
    log: FileArgument,
    desk: DeskOption = None,
    home: HomeOption = None,
    model: Annotated[str, typer.Option(help="An intent classifier, as intent-0003; the promoted one if not set.")] = "",
    out: Annotated[Path | None, typer.Option(help="The run's folder; one under HOME/replays if not set.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Let the bot's own replies be the history.")] = False,
    without: Annotated[list[Memory] | None, typer.Option(help="A memory to switch off.")] = None,
    workers: Annotated[
        int,
        typer.Option(min=1, max=64, help="Processes for a long log; the result is the same."),
    ] = 1,
    against: Annotated[str | None, typer.Option(help="An earlier run to compare with: its name or folder.")] = None,
    gate: Annotated[Path | None, typer.Option(help="A YAML file of limits; exit code 1 where one is broken.")] = None,
    pin: Annotated[str | None, typer.Option(help="A conversation to keep as a story that `rapport test` runs.")] = None,
    stories: Annotated[Path | None, typer.Option(help="Where stories are kept; HOME/stories/DESK if not set.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    form: FormOption = None,
    mapping: MappingOption = None,
    mask: Annotated[bool, typer.Option("--mask/--no-mask", help="Mask personal data.")] = True,
    region: RegionOption = "",
    on_error: Annotated[OnError, typer.Option(help="What to do where a record of the log is wrong.")] = "skip",
    as_json: JsonOption = False,
) -> None:
    """Let today's bot live through a log, with the memory it would have had at each moment.

    With --without, the log is also replayed with all memory, unless --against names a run, and the two are compared.
    """
    from bot.replay.report.page import write_report  # loads matplotlib

    settings = read_settings(desk=desk, home=home)
    limits = read_gate(gate, compared=bool(against or without)) if gate else None
    if not model:
        prepared(settings, promote=False)
    earlier = shelf.find(settings.home, against) if against else None
    masking = Mask(read_secret(settings.home), region_named(region)) if mask else None
    reader = LogReader(log, form, read_mapping(mapping) if mapping else None, masking, on_error)
    read_log(log, form, reader.mapping, mask=None)  # refused before anything is written
    off = tuple(sorted({memory.value for memory in without or ()}))
    plan = Plan(settings.desk, settings.home, model, off, live, workers)
    folder = (shelf.interrupted if resume else shelf.new_folder)(settings.home, out, log.name)
    state = open_state(plan)
    with progress_bar() as show:
        if off and earlier is None:
            (folder / WORK).mkdir(exist_ok=True)
            whole = folder.with_name(f"{folder.name}{shelf.WHOLE}")
            shelf.note(settings.home, whole)
            all_memory = replace(plan, without=()), replace(state, without=())
            earlier = shelf.whole_run(whole) or replay(*all_memory, whole, reader.staged(show), progress=show)
        run = replay(plan, state, folder, reader.staged(show), progress=show)
        comparison = compare(earlier, run, settings.home, show)[0] if earlier else None
    result = check(limits, run, comparison) if limits else None
    report = write_report(run)
    if earlier:
        report = write_report(run, earlier)
    shutil.rmtree(folder / WORK, ignore_errors=True)  # what the team's page was given, now that all of it is done
    _tell(run, comparison, result, as_json)
    if not as_json:
        print_line(f"The report is {report}.")
    if pin:  # last: a conversation that there is not must not cost the gate and the report
        story = _pin(run, pin, stories, settings.home)
        if not as_json:
            print_line(f"The story is {story}. To run it: rapport test {story.parent}")
    if result and not result.passed:
        raise typer.Exit(1)


@replay_cli.command("compare")
def replay_compare(
    before: Annotated[str, typer.Argument(help="The earlier run: its name or folder.")],
    after: Annotated[str, typer.Argument(help="The later run.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what became different from one run to another, whether it is better, and which part made it so."""
    from bot.replay.report.page import write_report  # loads matplotlib

    folder = read_settings(home=home).home
    earlier, run = shelf.find(folder, before), shelf.find(folder, after)
    with progress_bar() as show:
        comparison, _ = compare(earlier, run, folder, show)
    report = write_report(run, earlier)
    if as_json:
        print_json(to_dict(comparison))
        return
    for line in compared(comparison):
        print_line(line)
    print_line(f"Turn by turn: {run.folder / COMPARISONS / comparison.before / DIFFERENCES}")
    print_line(f"The report is {report}.")


@replay_cli.command("list")
def replay_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the runs that there are."""
    names = [str(folder) for folder in shelf.runs(read_settings(home=home).home)]
    print_json(names) if as_json else print_line("\n".join(names) or "There is no run.")


@dataclass(frozen=True)
class LogReader:
    """A log that the command was given, and how to read it."""

    log: Path
    form: str | None
    mapping: Mapping | None
    mask: Mask | None
    on_error: OnError = "skip"

    def staged(self, show: Callable[[str, float], None]) -> Callable[[Path], Staging]:
        """Return what reads the log into a file, and says what could not be read."""

        def read(file: Path) -> Staging:
            wrong = Wrong()
            told = stop if self.on_error == "stop" else wrong.tell
            reading = read_log(self.log, self.form, self.mapping, mask=self.mask, on_error=told)
            masked = self.mask is not None
            staging = stage(reading, self.log.name, file, masked=masked, wrong=wrong, progress=show)
            say_wrong(wrong)
            return staging

        return read


def _pin(run: Run, name: str, stories: Path | None, home: Path) -> Path:
    """Keep a conversation of a run as a story, in a folder that the home knows of."""
    folder = stories or home / shelf.STORIES / run.info.parts["desk"].name
    shelf.note_stories(home, folder)
    with shelf.lock(run.folder):  # nobody is forgotten between reading and writing
        return pin_story(run, name, folder)


def _tell(run: Run, comparison: Comparison | None, gate: GateResult | None, as_json: bool) -> None:
    scores, timing = run.scores(), run.timing()
    if as_json:
        print_json(
            {
                "run": run.folder,
                "info": to_dict(run.info),
                "scores": to_dict(scores),
                "timing": to_dict(timing),
                "comparison": to_dict(comparison) if comparison else None,
                "gate": to_dict(gate) if gate else None,
            }
        )
        return
    for line in scored(scores):
        print_line(line)
    speed = f"{timing.turns_per_s:.0f} turns a second; a turn takes {timing.turn_p50_ms:.1f} ms, 95 % at most"
    print_line(f"{timing.seconds:.1f} s, {speed} {timing.turn_p95_ms:.1f} ms.")
    if wrong := run.info.log.wrong:
        records = "record" if wrong == 1 else "records"
        print_line(f"{wrong} {records} of the log could not be read: rapport log check {run.info.log.name}")
    for line in compared(comparison) if comparison else ():
        print_line(line)
    for limit in gate.lines if gate else ():
        print_line(limit.sentence)
    print_line(f"The run is {run.folder}.")
