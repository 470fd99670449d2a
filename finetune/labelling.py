"""Labelling: the sheet of suggested messages that a person fills in, written and read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from finetune.sheets import SheetError, read_sheet, write_sheet
from finetune.suggestions import Suggestions

COLUMNS = ("text", "count", "suggested_intent", "confidence", "why", "group", "intent")
OUT_OF_SCOPE = "out_of_scope"  # the intent that a person gives a message which the desk does not handle


@dataclass(frozen=True)
class Label:
    """A message that a person has given an intent, and the row of the sheet it stands in."""

    row: int
    text: str
    intent: str


def write_suggestions(path: Path, suggestions: Suggestions) -> None:
    """Write the sheet with an empty column `intent`; `group` holds a group's name and how many messages are in it.

    Raises:
        SheetError: the file is there already.
        OSError: the file cannot be written.
    """
    sizes = {group.name: group.size for group in suggestions.groups}
    rows = (
        (
            *(one.text, one.count, one.suggested_intent, f"{one.confidence:.2f}", one.why),
            *(f"{one.group} ({sizes[one.group]})" if one.group else "", ""),
        )
        for one in suggestions.rows
    )
    write_sheet(path, COLUMNS, rows)


def read_labels(path: Path) -> list[Label]:
    """Return the rows of a sheet whose column `intent` a person has filled in.

    Raises:
        SheetError: the file is no sheet, no intent is filled in, or one stands beside an empty text.
        OSError: the file cannot be read.
    """
    rows = [row for row in read_sheet(path, ("text", "intent")) if row["intent"]]
    if not rows:
        raise SheetError(f"{path}: no intent is filled in. Write one into the column intent of the rows to keep.")
    if empty := [row.number for row in rows if not row["text"]]:
        raise SheetError(f"{path}, row {empty[0]}: there is an intent but no text. Fill it in or remove the row.")
    return [Label(row.number, row["text"], row["intent"]) for row in rows]
