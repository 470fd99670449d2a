"""What can be wrong with a desk: every problem with its file, its place and its remedy.

RapportError          something a person can put right; the message says what, where and how
└── DeskError         a desk folder with mistakes; `problems` lists them all
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake in a desk: `place` is a row, a key or empty for the whole file."""

    file: str
    place: str
    what: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}, {self.place}" if self.place else self.file
        return f"{where}: {self.what}. {self.remedy}"


class RapportError(Exception):
    """Something a person can put right."""


class DeskError(RapportError):
    """A desk folder has mistakes."""

    def __init__(self, folder: str, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        count = f"{len(self.problems)} mistake{'s' if len(self.problems) != 1 else ''}"
        super().__init__(f"The desk {folder} has {count}:\n{lines}")
