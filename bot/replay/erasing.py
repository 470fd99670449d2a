"""Forgetting in replays: a customer's conversations leave every run, comparison and story that the home knows of."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from bot.problems import RapportError
from bot.replay import shelf
from bot.replay.readers import Mask
from bot.replay.run_folder import (
    COMPARISON,
    COMPARISONS,
    CONVERSATIONS,
    DESK,
    DIFFERENCES,
    REPLAYS,
    RUN,
    SCORES,
    TIMING,
    TIMINGS,
    TURNS,
    WORK,
    Comparison,
    ConversationRecord,
    Difference,
    RunInfo,
    TurnRecord,
    TurnTiming,
    read_lines,
    read_value,
    to_line,
    write_value,
)
from bot.replay.staging import LOG
from memory.fingerprints import windows
from memory.secret import read_secret

Value = TypeVar("Value")
_IDENTIFIED = "customer:"  # before the name that a portal gave a customer; logs have the name alone
_COUNTED_STILL = "Somebody has been forgotten since: the figures of this comparison count their turns, too."
_UNFINISHED = (RUN, TURNS, CONVERSATIONS, TIMINGS, SCORES, TIMING, DESK)  # what is made of `work`


class Replays:
    """What runs and stories hold of a customer, under their id, their portal's name, or what masking makes of either.

    Whatever of a customer is forgotten, all of their conversations leave the runs: these are made again from a log,
    which stays the user's. Reports are removed with them. A run that had not ended is begun again from the log.
    """

    name = "replays"

    def __init__(self, home: Path, customer_id: str) -> None:
        self._home = home
        mask = Mask(read_secret(home))
        names = {customer_id, customer_id.removeprefix(_IDENTIFIED)}
        self._ids = names | {mask.pseudonym(name) for name in names}
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
            with shelf.reading(folder):
                for name in (TURNS, f"{COMPARISONS}/*/{DIFFERENCES}"):
                    for file in folder.glob(name):
                        with file.open(encoding="utf-8") as lines:
                            yield from lines
        for file in self._stories():
            with suppress(FileNotFoundError):  # forgotten this very moment
                yield file.read_text(encoding="utf-8", errors="replace")

    def _folders(self) -> Iterator[Path]:
        for folder in shelf.folders(self._home):
            if (folder / RUN).is_file() or shelf.has_begun(folder):
                yield folder

    def _stories(self) -> list[Path]:
        """Return all files that may be stories, also those that were copied into runs with a desk."""
        places = (self._home / shelf.STORIES, self._home / REPLAYS, *shelf.elsewhere(self._home))
        files = (Path(folder, name) for place in places for folder, _, names in os.walk(place) for name in names)
        return sorted({file.resolve() for file in files if file.suffix in (".yml", ".yaml")})

    def _clean_story(self, file: Path, said: list[str]) -> int:
        """Remove a story that is the customer's."""
        with suppress(yaml.YAMLError, UnicodeDecodeError, FileNotFoundError):
            text = file.read_text(encoding="utf-8")
            content = yaml.load(text, yaml.CBaseLoader)  # noqa: S506 - makes strings of everything, also of no dates
            if isinstance(content, dict) and "story" in content and str(content.get("customer")) in self._ids:
                said += _said_by_customer([content.get("earlier"), content.get("steps")])
                file.unlink()
                return 1
        return 0

    def _clean_run(self, folder: Path, said: list[str]) -> int:
        """Remove the customer's conversations from a run; return how many turns they had."""
        if not self._is_in(folder):  # most are in few runs, and some runs may lie where nothing can be written
            return 0
        with shelf.lock(folder):
            if (folder / RUN).is_file():
                return self._clean_whole_run(folder, said)
            # `work` tells that there is a run, so it goes after the rest; what was made of it meanwhile, then.
            for name in (*_UNFINISHED, WORK, *_UNFINISHED):
                _remove(folder / name)
                _remove(folder / f".{name}.draft")
            return 0

    def _is_in(self, folder: Path) -> bool:
        """Return whether a run holds the customer, or may do so."""
        if (folder / RUN).is_file():
            return bool(self._own(folder))
        return shelf.has_begun(folder) and _is_in_work(folder / WORK, self._ids)

    def _own(self, folder: Path) -> set[str]:
        """Return the customer's conversations in a whole run."""
        records = read_lines(ConversationRecord, folder / CONVERSATIONS)
        return {one.conversation for one in records if one.customer in self._ids}

    def _clean_whole_run(self, folder: Path, said: list[str]) -> int:
        mine = self._own(folder)
        _remove(folder / WORK)  # the log, where its report was not written yet
        for pattern in ("*.html", "report.json", ".*.draft"):
            for path in list(folder.rglob(pattern)):
                _remove(path)
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
            notes = (*(one for one in comparison.notes if one != _COUNTED_STILL), _COUNTED_STILL)
            write_value(summary, replace(comparison, look_at=left, notes=notes))
        self._count_anew(folder, mine)
        _rewrite(folder / CONVERSATIONS, ConversationRecord, moved)  # the last: it is what tells whose a run holds
        return turns

    def _count_anew(self, folder: Path, mine: set[str]) -> None:
        """Put the figures of a run right, from whose turns some conversations are gone."""
        from bot.replay.scores import scores_of  # loads ONNX Runtime, which forgetting elsewhere does not need

        everybody = list(read_lines(ConversationRecord, folder / CONVERSATIONS))
        left = [one for one in everybody if one.conversation not in mine]
        write_value(folder / SCORES, scores_of(read_lines(TurnRecord, folder / TURNS), left))
        info, customers = read_value(RunInfo, folder / RUN), len({one.customer for one in left})
        turns = sum(one.turns for one in left)
        log = replace(info.log, conversations=len(left), customers=customers, turns=turns)
        write_value(folder / RUN, replace(info, log=log))


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


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _said_by_customer(steps: Any) -> Iterator[str]:
    """Yield what the customer says in steps of a story, or in lists of them."""
    if isinstance(steps, dict):
        for name, value in steps.items():
            yield from [value] if name == "customer" and isinstance(value, str) else _said_by_customer(value)
    elif isinstance(steps, list):
        for one in steps:
            yield from _said_by_customer(one)


def _is_in_work(work: Path, ids: Collection[str]) -> bool:
    """Return whether a run that has not ended holds a customer, or may do so: its log is still being read.

    Raises:
        RapportError: what it has read is damaged.
    """
    log = work / LOG
    if not log.is_file():
        return True
    query = "SELECT 1 FROM customers WHERE customer = ?"
    try:
        with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
            return any(connection.execute(query, (one,)).fetchone() for one in ids)
    except sqlite3.DatabaseError as error:
        raise RapportError(f"{log} is damaged ({error}). Delete {work.parent}, then forget once more.") from None
