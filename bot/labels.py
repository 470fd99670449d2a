"""Labels that a person gave to logged messages, taken into a desk: checked as a whole, then written, or not at all."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bot.desk import intents_of
from bot.desk_reader import check_desk
from bot.problems import DeskError, Problem, RapportError
from finetune.labelling import OUT_OF_SCOPE, Label, read_labels
from finetune.sheets import read_sheet, write_whole

_INTENTS, _OUTSIDE = "intents.csv", "out_of_scope.csv"
_COLUMNS = ("text", "intent")
_FILES = {_INTENTS: _COLUMNS, "test.csv": _COLUMNS, _OUTSIDE: ("text",), "test_out_of_scope.csv": ("text",)}
_LISTED = 5  # wrong rows that an error lists


@dataclass(frozen=True)
class Accepted:
    """How many messages went into intents.csv and into out_of_scope.csv, and how many the desk had already."""

    intents: int
    out_of_scope: int
    there: int


def accept(sheet: Path, folder: Path) -> Accepted:
    """Append the labelled messages of a sheet to a desk; a message that the desk has already is not added again.

    The desk is checked with them before a file of it is touched. Each file is replaced whole; after an interruption
    between the two, accepting the same sheet again completes it.

    Raises:
        RapportError: an intent is unknown, a label contradicts the desk, or the desk would have mistakes.
        SheetError: the sheet or one of the desk's CSV files cannot be read.
        OSError: a file cannot be written.
    """
    labels = read_labels(sheet)
    _refuse_unknown(sheet, labels, folder)
    new, there = _new(sheet, labels, folder)
    rows: dict[str, list[tuple[str, ...]]] = {
        _INTENTS: [(one.text, one.intent) for one in new if one.intent != OUT_OF_SCOPE],
        _OUTSIDE: [(one.text,) for one in new if one.intent == OUT_OF_SCOPE],
    }
    changed = {name: _appended(folder / name, added) for name, added in rows.items() if added}
    _check_with(folder, changed)
    for name, content in changed.items():
        write_whole(folder / name, content)
    return Accepted(len(rows[_INTENTS]), len(rows[_OUTSIDE]), there)


def _refuse_unknown(sheet: Path, labels: Sequence[Label], folder: Path) -> None:
    known = _answered(folder) | {OUT_OF_SCOPE}
    unknown = [label for label in labels if not _is_known(label.intent, known)]
    if unknown:
        rows = "\n".join(f"  row {label.row}: {label.intent}" for label in unknown[:_LISTED])
        more = f"\n  and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else ""
        raise RapportError(
            f"{sheet} has intents without an answer in {folder / 'answers.yaml'}; nothing was changed:\n{rows}{more}\n"
            f"Add the answer first, or correct the name; {OUT_OF_SCOPE} is for what the desk does not handle."
        )


def _is_known(label: str, known: set[str]) -> bool:
    intents = set(intents_of(label))
    return bool(intents) and intents <= known and (len(intents) == 1 or OUT_OF_SCOPE not in intents)


def _answered(folder: Path) -> set[str]:
    """Return the intents that answers.yaml has an answer for, whether or not they have messages yet."""
    try:
        content = yaml.safe_load((folder / "answers.yaml").read_text(encoding="utf-8-sig"))
        return set(map(str, content.get("answers", content)))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError):
        problems = check_desk(folder)  # says better what is wrong with the file
        raise DeskError(str(folder), problems) from None


def _new(sheet: Path, labels: Sequence[Label], folder: Path) -> tuple[list[Label], int]:
    """Return the labels whose message is in none of the desk's files, each message once, and how many are in one."""
    held: dict[str, str] = {}
    for name, columns in _FILES.items():
        if (folder / name).is_file():
            for row in read_sheet(folder / name, columns):
                held[row["text"].casefold()] = row["intent"] if "intent" in columns else OUT_OF_SCOPE
    new = []
    for label in labels:
        present = held.setdefault(label.text.casefold(), "")
        if present and present != label.intent:
            raise RapportError(
                f"{sheet}, row {label.row}: {label.text[:60]!r} is {label.intent} here, and {present} in the desk or "
                "in a row above. Keep the one that is right; nothing was changed."
            )
        if not present:
            held[label.text.casefold()] = label.intent
            new.append(label)
    return new, len(labels) - len(new)


def _appended(path: Path, rows: Sequence[Sequence[str]]) -> bytes:
    """Return a CSV file's content with rows (text, and intent where it has one) added below, in its own columns."""
    content = path.read_bytes() if path.is_file() else ",".join(_COLUMNS[: len(rows[0])]).encode() + b"\n"
    end = "\r\n" if b"\r\n" in content else "\n"
    if not content.endswith(b"\n"):
        content += end.encode()
    columns = next(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator=end)
    writer.writerows(dict(zip(_COLUMNS, row, strict=False)) for row in rows)
    return content + text.getvalue().encode()


def _check_with(folder: Path, changed: dict[str, bytes]) -> None:
    """Refuse changed files with which the desk would have mistakes."""
    with tempfile.TemporaryDirectory(prefix="rapport-") as scratch:
        draft = Path(scratch) / folder.resolve().name
        shutil.copytree(folder, draft)
        for name, content in changed.items():
            (draft / name).write_bytes(content)
        problems: list[Problem] = check_desk(draft)
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise RapportError(f"With these labels {folder} would have mistakes; nothing was changed:\n{lines}")
