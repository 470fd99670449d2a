"""`rapport memory`: what is remembered of customers, shown, exported, forgotten, and the proof that it is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from bot.desk_reader import read_desk
from bot.forgetting import forget
from bot.models import load
from bot.problems import RapportError
from bot.settings import read_settings
from bot.terminal import DeskOption, HomeOption, JsonOption, print_json, print_line, print_table, progress_bar
from finetune.sheets import write_whole
from memory import ConversationMemory, Store
from memory.history import customers, export, facts_of
from memory.places import Scope
from memory.proof import Proof, prove
from memory.receipt import Receipt, ReceiptError, read_receipt

memory_cli = typer.Typer(help="See, export and forget what is remembered.", no_args_is_help=True)
_SHOWN = 10  # places that a failed proof lists


@memory_cli.command("show")
def memory_show(
    customer: Annotated[str | None, typer.Argument(help="One customer; all of them if not given.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is remembered: the facts of one customer, or all customers with their turns."""
    with _store(home) as store:
        if customer is None:
            rows = customers(store)
        else:
            rows = [
                {"fact": fact.name, "value": fact.value, "said_at": fact.said_at.isoformat(), "turn": fact.turn_id}
                for fact in facts_of(store, customer)
            ]
    print_json(rows) if as_json else print_table(rows, "Nothing is remembered.")


@memory_cli.command("export")
def memory_export(customer: str, home: HomeOption = None) -> None:
    """Print everything held about a customer as JSON."""
    with _store(home) as store:
        print_json(export(store, customer))


@memory_cli.command("forget")
def memory_forget(
    customer: str,
    desk: DeskOption = None,
    home: HomeOption = None,
    session: Annotated[str, typer.Option(help="Only this session.")] = "",
    turn: Annotated[int, typer.Option(help="Only this turn, by its number in the export.")] = 0,
    fact: Annotated[str, typer.Option(help="Only this fact, by name.")] = "",
    export_to: Annotated[Path | None, typer.Option("--export", help="Write what is held to this file first.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what is held about a customer: everything, one session, one turn or one fact; ends with a receipt."""
    if sum(map(bool, (session, turn, fact))) > 1:
        raise RapportError("Name one of --session, --turn and --fact, or none of them to forget everything.")
    settings = read_settings(desk=desk, home=home)
    read = read_desk(settings.desk)
    models = load(read, settings.home)
    with _store(settings.home) as store:
        if export_to is not None:
            _write_export(store, customer, export_to)
        memory = ConversationMemory(store, models.encoder, list(read.facts.values()))
        scope = Scope(customer, session, turn, fact)
        receipt = forget(memory, scope, read, settings.home, datetime.now(timezone.utc))
    print_json(receipt.to_dict()) if as_json else _print_receipt(receipt, settings.home)


@memory_cli.command("prove")
def memory_prove(receipt: Path, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Search every byte of the home for what a receipt says was forgotten; exit code 0 only if nothing is found."""
    settings = read_settings(home=home)
    try:
        given = read_receipt(receipt, settings.home)
    except ReceiptError as error:
        raise RapportError(str(error)) from None
    with _store(settings.home) as store, progress_bar() as show:
        proof = prove(given, settings.home, store, show)
    print_json({**vars(proof), "holds": proof.holds}) if as_json else _print_proof(proof)
    if not proof.holds:
        raise typer.Exit(1)


@contextmanager
def _store(home: Path | None) -> Iterator[Store]:
    store = Store(read_settings(home=home).database)
    try:
        yield store
    finally:
        store.close()


def _write_export(store: Store, customer: str, path: Path) -> None:
    """Write everything held about a customer to a file that is not there yet."""
    if path.exists():
        raise RapportError(f"{path} is already there. Name another file; nothing was forgotten.")
    held = json.dumps(export(store, customer), indent=2, ensure_ascii=False)
    try:
        write_whole(path, held.encode() + b"\n")
    except OSError as error:
        raise RapportError(f"{path} cannot be written ({error.strerror}); nothing was forgotten.") from None


def _print_receipt(receipt: Receipt, home: Path) -> None:
    gone = ", ".join(f"{count} in {place}" for place, count in receipt.removed.items() if count)
    print_line(f"Forgot {receipt.what}: {gone or 'nothing was held'}.")
    file = home / "receipts" / f"{receipt.id}.json"
    print_line(f"The receipt is {file}. To prove it: rapport memory prove {file}")


def _print_proof(proof: Proof) -> None:
    where = f"{proof.bytes:,} bytes of {proof.files} files"
    if proof.holds:
        print_line(f"Nothing is left: {proof.fingerprints} fingerprints looked for in {where}.")
    for path, offset in proof.found[:_SHOWN]:
        print_line(f"Found in {path} at byte {offset}")
    if not proof.holds:
        print_line(f"{len(proof.found)} places hold what was forgotten, of {where}.")
    if proof.others:
        print_line(f"{proof.others} fingerprints are also in what others said, or what was said since.")
