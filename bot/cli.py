"""The `rapport` command: everything but `serve`, which app.py adds."""

from __future__ import annotations

import io
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bot.answer_cli import train_answer_command
from bot.desk import DESKS
from bot.desk_reader import check_desk, read_desk
from bot.memory_cli import promises, settle_promise, show_health
from bot.models import load
from bot.problems import RapportError
from bot.settings import Settings, read_settings
from bot.suggest_cli import suggest
from bot.terminal import DeskOption, HomeOption, JsonOption, err, out, prepared, print_json, print_line, print_table
from bot.train_cli import evaluate, models_cli, train_cli
from memory import ConversationMemory, Store, StoreError
from memory.erasure import forget_customer, forget_fact, forget_session
from memory.history import customers, export, facts_of

cli = typer.Typer(
    help="Rapport: a customer-service chatbot that remembers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
desk_cli = typer.Typer(help="Make and check desks.", no_args_is_help=True)
memory_cli = typer.Typer(help="See, export and forget what is remembered.", no_args_is_help=True)
cli.add_typer(desk_cli, name="desk")
cli.add_typer(train_cli, name="train")
cli.add_typer(models_cli, name="models")
cli.add_typer(memory_cli, name="memory")
cli.command()(evaluate)
cli.command()(suggest)
train_cli.command("answer")(train_answer_command)
memory_cli.command()(promises)
memory_cli.command("settle")(settle_promise)
memory_cli.command("health")(show_health)


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


@memory_cli.command("show")
def memory_show(
    customer: Annotated[str | None, typer.Argument(help="One customer; all of them if not given.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is remembered: the facts of one customer, or all customers with their turns."""
    with _memory(read_settings(home=home)) as memory:
        if customer is None:
            rows = customers(memory.store)
        else:
            rows = [
                {"fact": fact.name, "value": fact.value, "said_at": fact.said_at.isoformat(), "turn": fact.turn_id}
                for fact in facts_of(memory.store, customer)
            ]
    print_json(rows) if as_json else print_table(rows, "Nothing is remembered.")


@memory_cli.command("export")
def memory_export(customer: str, home: HomeOption = None) -> None:
    """Print everything held about a customer as JSON."""
    with _memory(read_settings(home=home)) as memory:
        print_json(export(memory.store, customer))


@memory_cli.command("forget")
def memory_forget(
    customer: str,
    home: HomeOption = None,
    session: Annotated[str | None, typer.Option(help="Only this session.")] = None,
    fact: Annotated[str | None, typer.Option(help="Only this fact, by name.")] = None,
) -> None:
    """Remove what is held about a customer: everything, one session or one fact."""
    with _memory(read_settings(home=home)) as memory:
        if fact:
            count, what = forget_fact(memory, customer, fact), "values"
        elif session:
            count, what = forget_session(memory, customer, session), "turns"
        else:
            count, what = forget_customer(memory, customer), "turns"
    print_line(f"Forgot {count} {what}.")


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
        "database": lambda: Store(settings.database).close(),
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


@contextmanager
def _memory(settings: Settings) -> Iterator[ConversationMemory]:
    desk = read_desk(settings.desk)
    models = load(desk, settings.home)
    memory = ConversationMemory(Store(settings.database), models.encoder, list(desk.facts.values()))
    try:
        yield memory
    finally:
        memory.store.close()


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
