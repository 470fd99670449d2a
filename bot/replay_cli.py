"""`rapport replay`: logged conversations lived through by today's bot, and what came of it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bot.log_cli import FileArgument, FormOption, MappingOption
from bot.problems import Problem
from bot.replay import shelf
from bot.replay.readers import Mask, read_log, read_mapping
from bot.replay.replaying import Plan, replay
from bot.replay.run_folder import Run, Scores, to_dict
from bot.replay.staging import Staging, stage
from bot.settings import read_settings
from bot.terminal import DeskOption, HomeOption, JsonOption, err, prepared, print_json, print_line, progress_bar
from memory.secret import read_secret

_SHOWN = 5  # problems of a log that are printed; all are counted


class Memory(StrEnum):
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
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that replay; the result is the same.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    form: FormOption = None,
    mapping: MappingOption = None,
    mask: Annotated[bool, typer.Option("--mask/--no-mask", help="Mask personal data.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Let today's bot live through a log, with the memory it would have had at each moment."""
    settings = read_settings(desk=desk, home=home)
    prepared(settings)
    plan = Plan(
        settings.desk, settings.home, model, tuple(sorted({memory.value for memory in without or ()})), live, workers
    )
    folder = shelf.interrupted(settings.home, out) if resume else shelf.new_folder(settings.home, out, log.name)
    with progress_bar() as show:

        def read(file: Path) -> Staging:
            wrong: list[Problem] = []
            key = Mask(read_secret(settings.home)) if mask else None
            given = read_mapping(mapping) if mapping else None
            reading = read_log(log, form, given, mask=key, on_error=wrong.append)
            staging = stage(reading, log.name, file, masked=mask, wrong=lambda: len(wrong), progress=show)
            for problem in wrong[:_SHOWN]:
                err.print(str(problem), highlight=False, markup=False, soft_wrap=True)
            return staging

        run = replay(plan, folder, read, progress=show)
    _tell(run, as_json)


@replay_cli.command("list")
def replay_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the runs that there are."""
    names = [str(folder) for folder in shelf.folders(read_settings(home=home).home)]
    print_json(names) if as_json else print_line("\n".join(names) or "There is no run.")


def _tell(run: Run, as_json: bool) -> None:
    scores, timing = run.scores(), run.timing()
    if as_json:
        print_json({"run": run.folder, "info": to_dict(run.info), "scores": to_dict(scores), "timing": to_dict(timing)})
        return
    for line in _lines(scores):
        print_line(line)
    speed = f"{timing.turns_per_s:.0f} turns a second; a turn takes {timing.turn_p50_ms:.1f} ms, 95 % at most"
    print_line(f"{timing.seconds:.1f} s, {speed} {timing.turn_p95_ms:.1f} ms.")
    if run.info.log.wrong:
        print_line(f"{run.info.log.wrong} records of the log could not be read: rapport log check {run.info.log.name}")
    print_line(f"The run is {run.folder}.")


_SENTENCES = {
    "intent": "of the labelled messages were understood as their label",
    "answer": "of the messages that the log can judge got what was right",
    "particulars": "of the numbers, dates, names and amounts in the agents' words are in the bot's",
    "handoff_late": "of the handoffs that the log can judge came too late or not at all",
    "handoff_early": "of them came too early",
    "handoff_needless": "of them were needless",
    "asked_known": "of the questions asked for what the customer had said before",
    "unanswered": "of the turns were left unanswered",
    "alone": "of the conversations the bot could have resolved alone",
}


def _lines(scores: Scores) -> list[str]:
    lines = [f"{scores.conversations} conversations, {scores.turns} turns."]
    for name, sentence in _SENTENCES.items():
        one = scores.shares[name]
        if one.share is not None and one.low is not None and one.high is not None:
            interval = f"{100 * one.low:.0f} to {100 * one.high:.0f} %"
            lines.append(f"{100 * one.share:5.1f} % {sentence} (of {one.of}; {interval}).")
    return lines
