"""Sheets: CSV files that a person fills in with a spreadsheet, written safe to open and read back as they were meant.

A cell that a spreadsheet would take for a formula is written with an apostrophe before it
(https://owasp.org/www-community/attacks/CSV_Injection) and loses it again when it is read.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


class SheetError(ValueError):
    """A sheet cannot be read, or a person filled it in wrongly; the error says where and what to do."""


@dataclass(frozen=True)
class Row:
    """One row of a sheet: `number` is the line it ends in, `values` are its cells by column, stripped."""

    number: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """Return a cell, empty where the sheet has no such column."""
        return self.values.get(column, "")


def escape(cell: str) -> str:
    """Return a cell as it may stand in a sheet: never a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unescape(cell: str) -> str:
    """Return what `escape` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def write_sheet(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a sheet whole or not at all, in UTF-8 with a byte order mark, by which spreadsheets know the encoding.

    Raises:
        SheetError: the file is there already; somebody may have been filling it in.
        OSError: the file cannot be written.
    """
    refuse_existing(path)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([escape(str(cell)) for cell in row] for row in rows)
    write_whole(path, text.getvalue().encode("utf-8-sig"))


def refuse_existing(path: Path) -> None:
    """Refuse to write over a file that a person may have filled in.

    Raises:
        SheetError: the file is there already.
    """
    if path.exists():
        raise SheetError(f"{path} is already there, perhaps with labels in it. Name another file, or delete it.")


def read_sheet(path: Path, columns: Sequence[str]) -> list[Row]:
    """Return the rows of a sheet that has at least some columns; rows that are empty throughout are left out.

    Cells may be divided by commas, semicolons or tabs: spreadsheets save what their country is used to.

    Raises:
        SheetError: it is not UTF-8 or not CSV, or lacks a column.
        OSError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"{path}, byte {error.start}"
        raise SheetError(f"{where}: it is not UTF-8. Save it as CSV with the encoding UTF-8.") from None
    head = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True, restkey="", restval=""
    )
    rows: list[Row] = []
    try:
        if missing := [column for column in columns if column not in (reader.fieldnames or [])]:
            raise SheetError(
                f"{path}, row 1: the column {' and '.join(missing)} is missing. Begin with: {','.join(columns)}"
            )
        for cells in reader:
            if cells.pop("", None):
                what = "the row has more cells than there are columns"
                raise SheetError(f"{path}, row {reader.line_num}: {what}. Put a text with commas in quotes.")
            values = {column: unescape(cell.strip()) for column, cell in cells.items()}
            if any(values.values()):
                rows.append(Row(reader.line_num, values))
    except csv.Error as error:
        where = f"{path}, row {reader.line_num + 1}"  # of the last one that could be read
        raise SheetError(f"{where}: it is not valid CSV ({error}). Check the quotes in this row.") from None
    return rows


def write_whole(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Put content, or its pieces, in the place of a file, whole or not at all.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("wb") as file:
            file.writelines((content,) if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
