"""Correcting a fact: what a customer types into its field becomes a message that says it, to be kept as a turn."""

from __future__ import annotations

from bot.desk import Desk, fill
from bot.message import clean
from bot.problems import RapportError


class CorrectionError(RapportError):
    """What was typed is no value of the fact; the message is for the customer."""


def read_correction(desk: Desk, fact: str, typed: str, limit: int) -> tuple[str, str]:
    """Return the message that says what was typed (`My email address is …`), and the fact's new value.

    The desk's own patterns and check decide: on what was typed as if the bot had asked for it, and on the message.

    Raises:
        CorrectionError: the desk has no such fact, or what was typed is no value of it, or longer than `limit`
            characters.
    """
    if fact not in desk.facts:
        raise CorrectionError(f"I do not keep {fact!r}.")
    spec, text = desk.facts[fact], clean(typed)
    try:
        value = spec.find(text, asked=True) or spec.find(_message(desk, fact, text)) if len(text) <= limit else None
    except TimeoutError:
        value = None
    if not text or value is None:
        raise CorrectionError(f"I cannot read that as {spec.label}. Nothing was changed; please check it.")
    return _message(desk, fact, value), value


def _message(desk: Desk, fact: str, value: str) -> str:
    return fill(desk.replies["correction"][0], {"label": desk.facts[fact].label, "value": value})
