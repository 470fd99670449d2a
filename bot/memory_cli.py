"""`rapport memory promises`, `settle` and `health`: what customers were promised, and what their memory looks like."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Annotated, Literal

import typer

from bot.settings import read_settings
from bot.terminal import HomeOption, JsonOption, print_json, print_line, print_table
from memory import Store
from memory.commitments import commitments, overdue, settle
from memory.health import health


def promises(
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


def settle_promise(
    promise: Annotated[int, typer.Argument(help="The promise's id, as `rapport memory promises` lists it.")],
    state: Annotated[Literal["kept", "cancelled", "open"], typer.Argument(help="What became of it.")],
    home: HomeOption = None,
) -> None:
    """Note that a promise was kept or cancelled, or that it is open after all."""
    with _store(home) as store:
        settle(store, promise, state, datetime.now(timezone.utc))
    print_line(f"Promise {promise} is {state}.")


def show_health(
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


@contextmanager
def _store(home: HomeOption) -> Iterator[Store]:
    store = Store(read_settings(home=home).database)
    try:
        yield store
    finally:
        store.close()
