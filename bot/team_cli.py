"""`rapport team`: the password that the team's pages ask for."""

from __future__ import annotations

import sys

import typer

from bot.problems import RapportError
from bot.settings import read_settings
from bot.team import Team
from bot.terminal import HomeOption, print_line

team_cli = typer.Typer(help="The team's login.", no_args_is_help=True)


@team_cli.callback()
def _team() -> None:
    """The team's login."""


@team_cli.command("set-password")
def team_set_password(home: HomeOption = None) -> None:
    """Set the password of the team's pages, asked for twice, or read from standard input; ends all logins."""
    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise RapportError("No password was given.")
    Team(read_settings(home=home).home).set_password(password)
    print_line("The password is set; whoever was logged in has to log in again.")
