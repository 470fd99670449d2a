"""The `rapport` command: everything but `serve`, which app.py adds."""

from __future__ import annotations

import io
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bot.answer_cli import train_answer_command
from bot.audit_cli import audit_cli
from bot.desk import DESKS
from bot.desk_reader import check_desk, read_desk
from bot.keys_cli import keys_cli
from bot.log_cli import log_cli
from bot.memory_cli import memory_cli
from bot.models import load
from bot.problems import RapportError
from bot.replay_cli import replay_cli
from bot.report_cli import replay_report
from bot.settings import read_settings
from bot.story_cli import test_stories
from bot.suggest_cli import suggest
from bot.team_cli import team_cli
from bot.terminal import DeskOption, HomeOption, JsonOption, err, out, prepared, print_json, print_line
from bot.train_cli import evaluate, models_cli, train_cli
from memory import Store, StoreError

cli = typer.Typer(
    help="Rapport: a customer-service chatbot that remembers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
desk_cli = typer.Typer(help="Make and check desks.", no_args_is_help=True)
cli.add_typer(desk_cli, name="desk")
cli.add_typer(train_cli, name="train")
cli.add_typer(models_cli, name="models")
cli.add_typer(memory_cli, name="memory")
cli.add_typer(keys_cli, name="keys")
cli.add_typer(log_cli, name="log")
cli.add_typer(replay_cli, name="replay")
cli.add_typer(team_cli, name="team")
cli.add_typer(audit_cli, name="audit")
cli.command()(evaluate)
cli.command()(suggest)
cli.command("test")(test_stories)
train_cli.command("answer")(train_answer_command)
replay_cli.command("report")(replay_report)


@cli.command()
def chat(
    desk: DeskOption = None,
    home: HomeOption = None,
    customer: Annotated[str, typer.Option(help="Whose memory to use.")] = "terminal",
) -> None:
    """Chat in the terminal; an empty line or Ctrl-D ends it."""
    from bot.chatbot import Chatbot

    settings = read_settings(desk=desk, home=home)
    prepared(settings)
    bot = Chatbot.open(settings=settings)
    session = uuid.uuid4().hex
    try:
        try:
            greeting = bot.greet(session, customer)
        except ValueError as error:
            raise RapportError(f"--customer cannot be used: {error}") from error
        _print_reply(bot.desk.settings.bot_name, greeting.text, greeting.suggestions, ())
        for text in _lines():
            last = bot.respond(text, session, customer)
            titles = [f"{source.title}{f', {source.at[:10]}' if source.at else ''}" for source in last.sources]
            _print_reply(bot.desk.settings.bot_name, last.text, last.suggestions, titles)
    finally:
        bot.close()


@desk_cli.command("check")
def desk_check(folder: Path, as_json: JsonOption = False) -> None:
    """List every mistake of a desk with its file, its place and the remedy."""
    problems = check_desk(folder)
    if as_json:
        print_json([vars(problem) for problem in problems])
    for problem in problems if not as_json else []:
        print_line(str(problem))
    if problems:
        err.print(f"{len(problems)} mistake{'s' if len(problems) > 1 else ''} in {folder}", highlight=False)
        raise typer.Exit(1)
    if not as_json:
        print_line(f"{folder} is fine.")


@desk_cli.command("new")
def desk_new(folder: Path) -> None:
    """Write a small working desk to start from."""
    if folder.exists():
        raise RapportError(f"{folder} is already there. Name a folder that does not exist yet.")
    shutil.copytree(DESKS / "starter", folder)
    print_line(f"Wrote {folder}. Edit its files, then: rapport desk check {folder}")


@desk_cli.command("import-rasa")
def desk_import_rasa(
    folder: Annotated[Path, typer.Argument(help="The folder of a Rasa project.")],
    out: Annotated[
        Path | None, typer.Option(help="The desk to write, a folder that does not exist yet; else DIR-desk.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a Rasa project into a desk and name what could not be carried over."""
    from bot.rasa.importing import import_rasa

    out = out or Path(f"{folder.resolve().name}-desk")
    done = import_rasa(folder, out)
    if as_json:
        print_json({**vars(done), "notes": [vars(note) for note in done.notes]})
        return
    print_line(f"Wrote {out}: {done.intents} intents, {done.messages} messages, {done.facts} facts.")
    if done.notes:
        print_line("Not carried over, or to be looked at:")
    for note in done.notes:
        print_line(f"  {note}")
    print_line(f"Next: rapport desk check {out}, then: rapport chat --desk {out}")


@cli.command()
def ingest(files: list[Path], desk: DeskOption = None) -> None:
    """Turn help-centre files (.html, .txt, .md) into articles of a desk."""
    from retrieval.loaders import load_article

    folder = read_settings(desk=desk).desk / "articles"
    if not folder.parent.is_dir():
        raise RapportError(f"There is no desk {folder.parent}. Name a desk folder, or make one: rapport desk new DIR")
    articles = [(file, *load_article(file)) for file in files]  # all of them are read before one is written
    folder.mkdir(exist_ok=True)
    for file, slug, markdown in articles:
        (folder / f"{slug}.md").write_text(markdown, encoding="utf-8")
        print_line(f"{file} -> {folder / slug}.md")


@cli.command()
def doctor(desk: DeskOption = None, home: HomeOption = None) -> None:
    """Check settings, desk, models and database, and say what is wrong with each."""
    from retrieval.model_folder import ModelError

    settings = read_settings(desk=desk, home=home)
    sound = True
    checks: dict[str, Callable[[], str | None]] = {
        "desk": lambda: read_desk(settings.desk).name,
        "models": lambda: load(read_desk(settings.desk), settings.home).names,
        "database": lambda: _check_database(settings.database),
    }
    for name, check in checks.items():
        try:
            found = check()
            print_line(f"{name}: fine{f' ({found})' if found else ''}")
        except (RapportError, ModelError, StoreError) as error:
            sound = False
            print_line(f"{name}: {error}")
    if not sound:
        raise typer.Exit(1)


def _check_database(url: str) -> None:
    store = Store(url)
    try:
        store.check()
    finally:
        store.close()


def _lines() -> Iterator[str]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # bytes that are no text are not the customer's fault
    while True:
        try:
            text = input("You: ") if sys.stdin.isatty() else input()
        except EOFError:
            return
        if not text.strip() and sys.stdin.isatty():
            return
        yield text


def _print_reply(name: str, text: str, suggestions: tuple[str, ...], titles: list[str] | tuple[str, ...]) -> None:
    out.print(Text(f"{name}: ", style="bold").append(text, style="not bold"), soft_wrap=True)
    if titles:
        out.print(Text(f"  Source: {'; '.join(titles)}", style="dim"), soft_wrap=True)
    if suggestions:
        out.print(Text(f"  You can ask: {' · '.join(suggestions)}", style="dim"), soft_wrap=True)
