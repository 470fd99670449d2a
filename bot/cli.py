"""The `rapport` command: everything but `serve`, which app.py adds."""

from __future__ import annotations

import io
import json
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bot.desk import DESKS
from bot.desk_reader import check_desk, read_desk
from bot.models import are_prepared, load, prepare
from bot.problems import RapportError
from bot.settings import Settings, read_settings
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
train_cli = typer.Typer(help="Teach the desk's models.", no_args_is_help=True)
memory_cli = typer.Typer(help="See, export and forget what is remembered.", no_args_is_help=True)
cli.add_typer(desk_cli, name="desk")
cli.add_typer(train_cli, name="train")
cli.add_typer(memory_cli, name="memory")

out = Console()
err = Console(stderr=True)

DeskOption = Annotated[Path | None, typer.Option(help="The desk folder (RAPPORT_DESK).")]
HomeOption = Annotated[Path | None, typer.Option(help="Where state is kept (RAPPORT_HOME).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print results as JSON.")]


def prepared(settings: Settings) -> None:
    """Make the desk's models where there are none, with a progress bar on stderr.

    Raises:
        RapportError: the desk has mistakes or cannot be learnt from.
        ModelError: the base weights are missing or altered.
    """
    desk = read_desk(settings.desk)
    if are_prepared(desk, settings.home):
        return
    err.print(f"Preparing the models of the desk {desk.settings.name}; this is done once.", highlight=False)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=err) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=1.0)
            bar.update(tasks[what], completed=share)

        try:
            prepare(desk, settings.home, show)
        except ValueError as error:
            raise RapportError(f"The desk {desk.folder} cannot be learnt from: {error}.") from error


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
        _print_json([vars(problem) for problem in problems])
    for problem in problems if not as_json else []:
        out.print(Text(str(problem)), soft_wrap=True)
    if problems:
        err.print(f"{len(problems)} mistake{'s' if len(problems) > 1 else ''} in {folder}", highlight=False)
        raise typer.Exit(1)
    if not as_json:
        out.print(Text(f"{folder} is fine."))


@desk_cli.command("new")
def desk_new(folder: Path) -> None:
    """Write a small working desk to start from."""
    if folder.exists():
        raise RapportError(f"{folder} is already there. Name a folder that does not exist yet.")
    shutil.copytree(DESKS / "starter", folder)
    out.print(Text(f"Wrote {folder}. Edit its files, then: rapport desk check {folder}"), soft_wrap=True)


@train_cli.command("intent")
def train_intent(desk: DeskOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Fine-tune the intent classifier on the desk's messages, and say how good it is."""
    settings = read_settings(desk=desk, home=home)
    prepared(settings)
    _report(settings, as_json)


@cli.command()
def evaluate(desk: DeskOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Measure the desk's models on its own test files."""
    settings = read_settings(desk=desk, home=home)
    if not read_desk(settings.desk).test_messages:
        raise RapportError(f"{settings.desk} has no test.csv (columns text,intent) to measure on.")
    _report(settings, as_json)


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
    _print_json(rows) if as_json else _print_table(rows)


@memory_cli.command("export")
def memory_export(customer: str, home: HomeOption = None) -> None:
    """Print everything held about a customer as JSON."""
    with _memory(read_settings(home=home)) as memory:
        _print_json(export(memory.store, customer))


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
    out.print(Text(f"Forgot {count} {what}."))


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
        out.print(Text(f"{file} -> {folder / slug}.md"), soft_wrap=True)


@cli.command()
def doctor(desk: DeskOption = None, home: HomeOption = None) -> None:
    """Check settings, desk, models and database, and say what is wrong with each."""
    from retrieval.model_folder import ModelError

    settings = read_settings(desk=desk, home=home)
    sound = True
    checks: dict[str, Callable[[], object]] = {
        "desk": lambda: read_desk(settings.desk),
        "models": lambda: load(read_desk(settings.desk), settings.home),
        "database": lambda: Store(settings.database).close(),
    }
    for name, check in checks.items():
        try:
            check()
            out.print(Text(f"{name}: fine"))
        except (RapportError, ModelError, StoreError) as error:
            sound = False
            out.print(Text(f"{name}: {error}"), soft_wrap=True)
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


def _report(settings: Settings, as_json: bool) -> None:
    from finetune.evaluation import evaluate as measure

    desk = read_desk(settings.desk)
    classifier = load(desk, settings.home).classifier
    figures: dict[str, float] = {"held_out_accuracy": classifier.manifest["held_out_accuracy"]}
    if desk.test_messages:
        texts, intents = zip(*desk.test_messages, strict=True)
        figures |= measure(classifier, texts, intents, desk.test_out_of_scope)
    if as_json:
        _print_json(figures)
    else:
        _print_table([{"figure": name, "value": f"{value:.4g}"} for name, value in figures.items()])


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


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def _print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        out.print(Text("Nothing is remembered."))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row.values()))
    out.print(table)
