"""`rapport audit`: the audit log, shown and verified."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from bot.audit import Audit
from bot.settings import read_settings
from bot.terminal import HomeOption, JsonOption, print_json, print_line, print_table

audit_cli = typer.Typer(help="Show and verify the audit log.", no_args_is_help=True)


@audit_cli.command("show")
def audit_show(
    customer: Annotated[str, typer.Option(help="Only what concerns this customer, by their id.")] = "",
    last: Annotated[int, typer.Option(min=1, help="How many of the latest entries.")] = 50,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show logins, keys, erasures, exports and changes of settings; customers stand in it as keyed hashes."""
    audit = Audit(read_settings(home=home).home)
    found = [one for one in audit.entries() if not customer or one.about.get("customer") == audit.mark(customer)][
        -last:
    ]
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [
        {
            "number": one.number,
            "at": one.at,
            "event": one.event,
            "about": ", ".join(f"{name} {value}" for name, value in one.about.items()),
        }
        for one in found
    ]
    print_table(rows, "Nothing has been noted.")


@audit_cli.command("verify")
def audit_verify(
    known: Annotated[str, typer.Option("--last", help="A hash noted down earlier, which must still be there.")] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that no line of the log was altered, removed or put in; exit code 0 only if so."""
    verdict = Audit(read_settings(home=home).home).verify(known)
    if as_json:
        print_json(asdict(verdict))
    elif verdict.broken:
        print_line(f"The log is broken after {verdict.entries} entries: {verdict.broken}.")
    else:
        print_line(
            f"{verdict.entries} entries, unbroken. The last hash is {verdict.last or 'none'}; keep it elsewhere."
        )
    if verdict.broken:
        raise typer.Exit(1)
