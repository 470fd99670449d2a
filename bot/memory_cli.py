"""`rapport memory`: what is remembered, shown, exported, forgotten, with the proof that it is gone; and promises."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bot.desk_reader import read_desk
from bot.exporting import export
from bot.forgetting import forget
from bot.models import load
from bot.problems import RapportError
from bot.replay import shelf
from bot.replay.report.packing import unpack
from bot.settings import read_settings
from bot.terminal import DeskOption, HomeOption, JsonOption, print_json, print_line, print_table, progress_bar
from finetune.sheets import write_whole
from memory import ConversationMemory, Store
from memory.commitments import commitments, overdue, settle
from memory.facts import Fact
from memory.health import health
from memory.history import customers, facts_of
from memory.places import Scope
from memory.proof import Proof, prove
from memory.receipt import Receipt, ReceiptError, read_receipt
from memory.told import counting

memory_cli = typer.Typer(help="See, export and forget what is remembered.", no_args_is_help=True)
_MASKED = "[personal]"
_SHOWN = 10  # places that a failed proof lists


@memory_cli.command("show")
def memory_show(
    customer: Annotated[str | None, typer.Argument(help="One customer; all of them if not given.")] = None,
    desk: DeskOption = None,
    home: HomeOption = None,
    personal: Annotated[bool, typer.Option("--personal", help="Show personal facts too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is remembered: the facts of one customer with all their values, or all customers with their turns.

    Facts that facts.yaml calls personal, and those that the desk does not know, are masked.
    """
    with _store(home) as store:
        rows = customers(store) if customer is None else _facts(store, customer)
    if customer is not None and not personal:
        specs = read_desk(read_settings(desk=desk, home=home).desk).facts
        shown = {name for name, spec in specs.items() if not spec.personal}
        rows = [row if row["fact"] in shown else {**row, "value": _MASKED} for row in rows]
    print_json(rows) if as_json else print_table(rows, "Nothing is remembered.")


@memory_cli.command("export")
def memory_export(customer: str, home: HomeOption = None) -> None:
    """Print everything held about a customer as JSON."""
    settings = read_settings(home=home)
    with _store(settings.home) as store:
        print_json(export(store, customer, settings.home, datetime.now(timezone.utc)))


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
            _write_export(store, customer, export_to, settings.home)
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
        proof = prove(given, settings.home, store, show, shelf.elsewhere(settings.home), unpack)
    print_json({**vars(proof), "holds": proof.holds}) if as_json else _print_proof(proof)
    if not proof.holds:
        raise typer.Exit(1)


@memory_cli.command("promises")
def memory_promises(
    customer: Annotated[str | None, typer.Argument(help="One customer; all of them if not given.")] = None,
    home: HomeOption = None,
    only_overdue: Annotated[bool, typer.Option("--overdue", help="Only what should have been done by now.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what was promised to customers, by when it is due, and what became of it."""
    today = datetime.now(timezone.utc).date()
    with _store(home) as store:
        found = overdue(store, today) if only_overdue else commitments(store, customer)
    rows = [
        {
            "id": one.id,
            "customer": one.customer_id,
            "promise": one.text,
            "made_at": one.made_at.isoformat(timespec="minutes"),
            "due": one.due.isoformat() if one.due else None,
            "state": one.state(today),
            "turn": one.turn_id,
        }
        for one in found
        if customer in (None, one.customer_id)
    ]
    print_json(rows) if as_json else print_table(
        rows, "Nothing is overdue." if only_overdue else "Nothing was promised."
    )


@memory_cli.command("settle")
def memory_settle(
    promise: Annotated[int, typer.Argument(help="The promise's id, as `rapport memory promises` lists it.")],
    state: Annotated[Literal["kept", "cancelled", "open"], typer.Argument(help="What became of it.")],
    home: HomeOption = None,
) -> None:
    """Note that a promise was kept or cancelled, or that it is open after all."""
    with _store(home) as store:
        settle(store, promise, state, datetime.now(timezone.utc))
    print_line(f"Promise {promise} is {state}.")


@memory_cli.command("health")
def memory_health(
    customer: Annotated[str | None, typer.Argument(help="One customer; all of them if not given.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report duplicates, contradictions, facts never used, and growth by month; no value is shown."""
    with _store(home) as store:
        found = health(store, customer)
    if as_json:
        print_json(asdict(found))
        return
    current = f"{found.facts} facts, {found.superseded} earlier values"
    print_line(f"{found.turns} turns, {current}.")
    findings = {"duplicate": found.duplicates, "contradiction": found.contradictions, "never used": found.never_used}
    rows = [
        {"finding": what, "customer": one.customer_id, "fact": one.name, "turns": ", ".join(map(str, one.turns))}
        for what, ones in findings.items()
        for one in ones
    ]
    print_table(rows, "No duplicates, no contradictions, no fact that was never used.")
    months = [{"month": month, "turns": turns, "facts": facts} for month, (turns, facts) in found.growth.items()]
    print_table(months, "Nothing is remembered.")


def _facts(store: Store, customer: str) -> list[dict[str, Any]]:
    """Return every value a customer told, newest first: when it was said, from when until when it holds."""
    told, today = facts_of(store, customer, history=True), datetime.now(timezone.utc).date()
    now = counting(told, today)
    return [
        {
            "fact": fact.name,
            "value": fact.value,
            "state": "now" if fact == now.get(fact.name) else "later" if _is_later(fact, today) else "earlier",
            "said_at": fact.said_at.isoformat(),
            "from": fact.valid.first and fact.valid.first.isoformat(),
            "until": fact.valid.last and fact.valid.last.isoformat(),
            "superseded_at": fact.superseded_at and fact.superseded_at.isoformat(),
            "turn": fact.turn_id,
        }
        for fact in told
    ]


def _is_later(fact: Fact, today: date) -> bool:
    return fact.superseded_at is None and fact.valid.is_later(today)


@contextmanager
def _store(home: Path | None) -> Iterator[Store]:
    store = Store(read_settings(home=home).database)
    try:
        yield store
    finally:
        store.close()


def _write_export(store: Store, customer: str, path: Path, home: Path) -> None:
    """Write everything held about a customer to a file that is not there yet."""
    if path.exists():
        raise RapportError(f"{path} is already there. Name another file; nothing was forgotten.")
    held = json.dumps(export(store, customer, home, datetime.now(timezone.utc)), indent=2, ensure_ascii=False)
    try:
        write_whole(path, held.encode() + b"\n")
    except OSError as error:
        raise RapportError(f"{path} cannot be written ({error.strerror}); nothing was forgotten.") from None


def _print_receipt(receipt: Receipt, home: Path) -> None:
    gone = ", ".join(f"{count} in {place}" for place, count in receipt.removed.items() if count)
    print_line(f"Forgot {receipt.what}: {gone or 'nothing was held'}.")
    file = home / "receipts" / f"{receipt.id}.json"
    print_line(f"The receipt is {file}. To prove it: rapport memory prove {file}")
    for folder in shelf.missing(home):
        print_line(f"Out of reach: {folder} is not there. If it was moved, what is in it still has to be forgotten.")


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
