"""Forgetting in replays: a customer's conversations leave every run, comparison and story that the home knows of."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import yaml

from bot.replay import shelf
from bot.replay.readers import Mask
from bot.replay.run_folder import (
    COMPARISON,
    COMPARISONS,
    CONVERSATIONS,
    DIFFERENCES,
    TIMINGS,
    TURNS,
    WORK,
    Comparison,
    ConversationRecord,
    Difference,
    TurnRecord,
    TurnTiming,
    read_lines,
    read_value,
    to_line,
    write_value,
)
from memory.fingerprints import windows
from memory.secret import read_secret

Value = TypeVar("Value")


class Replays:
    """What runs and stories hold of a customer, under their own id or the one that masking gives them.

    Whatever of a customer is forgotten, all of their conversations leave the runs: these are made again from a log,
    which stays the user's. Reports are removed with them. A run that had not ended is begun again from the log.
    """

    name = "replays"

    def __init__(self, home: Path, customer_id: str) -> None:
        self._home = home
        self._ids = {customer_id, Mask(read_secret(home)).pseudonym(customer_id)}
        self.evidence: Sequence[bytes] = ()

    def erase(self, texts: Sequence[str]) -> int:
        """Remove the customer's conversations; return how many turns and stories that were.

        Raises:
            OSError: a file cannot be written.
            RapportError: a run is damaged.
        """
        said: list[str] = []
        removed = sum(self._clean_run(folder, said) for folder in self._folders())
        removed += sum(self._clean_story(file, said) for file in self._stories())
        written = [json.dumps(text, ensure_ascii=False)[1:-1].encode() for text in said]
        self.evidence = [window for text in written for window in windows(text)]
        return removed

    def said_by_others(self) -> Iterator[str]:
        """Yield what is left in runs and stories: it is others', who may have said the same."""
        for folder in self._folders():
            for name in (TURNS, f"{COMPARISONS}/*/{DIFFERENCES}"):
                for file in folder.glob(name):
                    with file.open(encoding="utf-8") as lines:
                        yield from lines
        for file in self._stories():
            yield file.read_text(encoding="utf-8")

    def _folders(self) -> list[Path]:
        return [folder for folder in shelf.folders(self._home) if folder.is_dir()]

    def _stories(self) -> list[Path]:
        places = [self._home / "stories", *shelf.elsewhere(self._home)]
        return [file for place in places if place.is_dir() for file in sorted(place.rglob("*.yml"))]

    def _clean_story(self, file: Path, said: list[str]) -> int:
        """Remove a story that is the customer's."""
        with suppress(yaml.YAMLError, UnicodeDecodeError):
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            if isinstance(content, dict) and "story" in content and content.get("customer") in self._ids:
                said += [str(step["customer"]) for step in content.get("steps", ()) if "customer" in step]
                file.unlink()
                return 1
        return 0

    def _clean_run(self, folder: Path, said: list[str]) -> int:
        """Remove the customer's conversations from a run; return how many turns they had."""
        if _is_in_work(folder / WORK, self._ids):
            shutil.rmtree(folder / WORK)
        if not (folder / CONVERSATIONS).is_file():
            return 0
        records = read_lines(ConversationRecord, folder / CONVERSATIONS)
        mine = {one.conversation for one in records if one.customer in self._ids}
        if not mine:
            return 0
        for report in (*folder.rglob("*.html"), *folder.rglob("report.json")):
            report.unlink()
        offset = turns = 0

        def stays(record: TurnRecord) -> bool:
            nonlocal turns
            if record.conversation not in mine:
                return True
            turns += 1
            said.append(record.text)
            return False

        def moved(one: ConversationRecord) -> ConversationRecord | None:
            nonlocal offset
            if one.conversation in mine:
                return None
            offset += one.length
            return replace(one, offset=offset - one.length)

        _rewrite(folder / TURNS, TurnRecord, lambda one: one if stays(one) else None)
        _rewrite(folder / TIMINGS, TurnTiming, lambda one: None if one.conversation in mine else one)
        for file in folder.glob(f"{COMPARISONS}/*/{DIFFERENCES}"):
            _rewrite(file, Difference, lambda one: None if one.conversation in mine else one)
            summary = file.with_name(COMPARISON)
            comparison = read_value(Comparison, summary)
            left = tuple(item for item in comparison.look_at if item[0] not in mine)
            write_value(summary, replace(comparison, look_at=left))
        _rewrite(folder / CONVERSATIONS, ConversationRecord, moved)  # the last: it is what tells whose a run holds
        return turns


def _rewrite(file: Path, kind: type[Value], change: Callable[[Value], Value | None]) -> None:
    """Put the lines of a file that `change` leaves, as it leaves them, in its place."""
    draft = file.with_name(f".{file.name}.draft")
    with draft.open("wb") as out:
        for value in read_lines(kind, file):
            if (new := change(value)) is not None:
                out.write(to_line(new))
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def _is_in_work(work: Path, ids: set[str]) -> bool:
    """Return whether a run that has not ended holds a customer, or may do so."""
    log = work / "log.sqlite"
    if not log.is_file():
        return work.is_dir()
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
        query = "SELECT COUNT(*) FROM customers WHERE customer IN (?, ?)"
        return bool(connection.execute(query, (*ids, *ids)[:2]).fetchone()[0])
