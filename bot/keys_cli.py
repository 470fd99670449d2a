"""`rapport keys`: API keys for servers that call the bot."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

import typer

from bot.audit import Audit
from bot.keys import SCOPES, Keys, KeyScope
from bot.problems import RapportError
from bot.settings import read_settings
from bot.terminal import HomeOption, JsonOption, err, print_json, print_line, print_table

keys_cli = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)
_MOST_DAYS = 36_500
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
NameArgument = Annotated[str, typer.Argument(help="The key's name, such as the server that uses it.")]


@keys_cli.command("add")
def keys_add(
    name: NameArgument,
    scope: Annotated[list[str], typer.Option(help=f"What it may do, repeatable: {', '.join(SCOPES)}.")] = ["chat"],  # noqa: B006 (typer copies it)
    days: Annotated[
        int | None, typer.Option(min=1, max=_MOST_DAYS, help="After how many days it ends; never if not given.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    if not _NAME.fullmatch(name):
        raise RapportError(f"The name {name[:80]!r} must be 1 to 64 letters, digits or . _ -")
    folder, scopes = read_settings(home=home).home, _scopes(scope)
    _show(Keys(folder).add(name, scopes, timedelta(days=days) if days else None))
    Audit(folder).note("key_added", name=name, scopes=" ".join(scopes))


@keys_cli.command("list")
def keys_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the keys that count now, with times in UTC; what they are is not kept."""
    rows = [
        {
            "name": key.name,
            "id": key.id,
            "scopes": ", ".join(key.scopes),
            "created": _minute(key.created),
            "last used": _minute(key.last_used),
            "ends": _minute(key.expires),
        }
        for key in Keys(read_settings(home=home).home).all()
    ]
    print_json(rows) if as_json else print_table(rows, "There are no keys. Make one: rapport keys add NAME")


@keys_cli.command("rotate")
def keys_rotate(
    name: NameArgument,
    grace: Annotated[
        float, typer.Option(min=0, max=24 * _MOST_DAYS, help="For how many hours the old key goes on.")
    ] = 24,
    home: HomeOption = None,
) -> None:
    """Make a new key of the same name and scopes; the old one goes on for a while, so that nothing stops."""
    folder = read_settings(home=home).home
    _show(Keys(folder).rotate(name, timedelta(hours=grace)))
    Audit(folder).note("key_rotated", name=name, grace_hours=f"{grace:g}")
    err.print(f"The old key ends in {grace:g} hours." if grace else "The old key has ended.", highlight=False)


@keys_cli.command("revoke")
def keys_revoke(name: NameArgument, home: HomeOption = None) -> None:
    """Let the keys of a name count no longer, at once."""
    folder = read_settings(home=home).home
    count = Keys(folder).revoke(name)
    Audit(folder).note("key_revoked", name=name)
    print_line(f"{count} key{'s' if count > 1 else ''} of {name} revoked.")


def _scopes(given: list[str]) -> tuple[KeyScope, ...]:
    if unknown := sorted(set(given) - set(SCOPES)):
        raise RapportError(f"There is no scope {unknown[0]!r}. The scopes are {', '.join(SCOPES)}.")
    return tuple(scope for scope in SCOPES if scope in given)


def _show(key: str) -> None:
    print_line(key)
    err.print("Keep it now: it is not shown again.", highlight=False)


def _minute(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "never"
