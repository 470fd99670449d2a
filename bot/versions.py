"""Versions of a desk's models: numbered, promoted and rolled back by name.

HOME/models/DESK/
  intent-0001/        a model folder, named by its kind and a number that is never given twice
  promoted.json       for each kind what was promoted, the latest last, and the last number that was given
  .training/          checkpoints of trainings under way

`promoted.json` is replaced as a whole: whoever reads it, reads the old one or the new one. Changing it takes the lock.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from bot.problems import RapportError
from retrieval.model_folder import MANIFEST, ModelError

_NAME = re.compile(r"([a-z]+)-(\d{4,})")
_PROMOTED = "promoted.json"


@dataclass(frozen=True)
class Version:
    """One trained model; `about` is its manifest, empty where that is damaged or gone."""

    name: str
    folder: Path
    about: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What it is a version of: `intent` and the like."""
        return self.name.rpartition("-")[0]

    @property
    def number(self) -> int:
        """Its place among the versions of its kind, from 1."""
        return int(self.name.rpartition("-")[2])

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the desk it was taught on."""
        return str(self.about.get("fingerprint", ""))

    def listed(self, promoted: Collection[str], fingerprint: str) -> dict[str, Any]:
        """Return what a list says of it, given the names of promoted versions and the desk's present fingerprint."""
        return {
            "name": self.name,
            "kind": self.kind,
            "promoted": self.name in promoted,
            "trained_at": self.about.get("trained_at"),
            "method": self.about.get("method"),
            "held_out_accuracy": self.about.get("held_out_accuracy"),
            "for_this_desk": self.fingerprint == fingerprint,
            "damaged": not self.about,
        }


class Promotion(BaseModel):
    """That a version was promoted, and the fingerprint that the desk had then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fingerprint: str


class _Shelf(BaseModel):
    """What `promoted.json` holds of one kind: the last of `promoted` serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    promoted: tuple[Promotion, ...] = ()
    last_number: int = 0


_Shelves = TypeAdapter(dict[str, _Shelf])


class Versions:
    """The versions of one desk's models in a home. Safe to use from several threads and processes."""

    def __init__(self, home: Path, desk_name: str) -> None:
        self.folder = home / "models" / desk_name

    def all(self, kind: str = "") -> list[Version]:
        """Return the versions there are, of one kind or of all, in the order in which they were made."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        found = [
            Version(name, self.folder / name, _about(self.folder / name)) for name in names if _NAME.fullmatch(name)
        ]
        return sorted((one for one in found if kind in ("", one.kind)), key=lambda one: (one.kind, one.number))

    def get(self, name: str) -> Version:
        """Return the version of a name.

        Raises:
            RapportError: there is none.
        """
        for version in self.all():
            if version.name == name:
                return version
        raise RapportError(f"There is no model {name!r}. `rapport models list` shows those there are.")

    def history(self, kind: str) -> tuple[Promotion, ...]:
        """Return what was promoted of a kind and not rolled back; the last one serves.

        Raises:
            ModelError: `promoted.json` is damaged.
        """
        return self._shelf(kind).promoted

    def promoted(self) -> list[str]:
        """Return the names of the promoted versions, one of each kind.

        Raises:
            ModelError: `promoted.json` is damaged.
        """
        return [shelf.promoted[-1].name for _, shelf in sorted(self._shelves().items()) if shelf.promoted]

    def stamp(self) -> tuple[int, int]:
        """Return what changes whenever something is promoted; cheap enough to be asked for every second."""
        try:
            status = (self.folder / _PROMOTED).stat()
        except OSError:
            return (0, 0)
        return (status.st_ino, status.st_mtime_ns)

    def add(self, kind: str, save: Callable[[Path], None]) -> Version:
        """Let `save` write a model folder, whole or not at all, and return it as the newest version of its kind.

        A number is used up even where saving fails. What an interrupted `add` or `delete` left behind is removed.

        Raises:
            ModelError: `promoted.json` is damaged.
            OSError: the disk is full or cannot be written to.
        """
        with self._locked():
            for left_behind in self.folder.glob(f".{kind}-*"):
                shutil.rmtree(left_behind, ignore_errors=True)
            taken = [self._shelf(kind).last_number, *(version.number for version in self.all(kind))]
            number = max(taken) + 1
            self._change(kind, last_number=number)
            name = f"{kind}-{number:04d}"
            try:
                save(self.folder / name)
            except shutil.Error as error:  # a list of files that could not be copied, each with its reason
                raise OSError(f"{name} cannot be saved: {error.args[0][0][2]}") from error
        return self.get(name)

    def promote(self, name: str, fingerprint: str) -> None:
        """Promote a version for the desk of a fingerprint.

        Raises:
            RapportError: there is no such version.
            ModelError: `promoted.json` is damaged.
            OSError: the disk is full or cannot be written to.
        """
        kind = self.get(name).kind
        with self._locked():
            before = self.history(kind)
            if before and before[-1].name == name:
                before = before[:-1]
            self._change(kind, promoted=(*before, Promotion(name=name, fingerprint=fingerprint)))

    def previous(self, kind: str) -> Version:
        """Return the version that was promoted before the present one.

        Raises:
            RapportError: there is none.
            ModelError: `promoted.json` is damaged.
        """
        there = {version.name: version for version in self.all(kind)}
        earlier = [one.name for one in self.history(kind)[:-1] if one.name in there]
        if not earlier:
            raise RapportError(
                f"No {kind} model was promoted before the present one. Name one of `rapport models list` to promote."
            )
        return there[earlier[-1]]

    def rollback(self, kind: str, fingerprint: str) -> None:
        """Promote the version before the present one again, for the desk of a fingerprint.

        A second rollback goes one further back.

        Raises:
            RapportError: there is none.
            ModelError: `promoted.json` is damaged.
            OSError: the disk is full or cannot be written to.
        """
        with self._locked():
            name = self.previous(kind).name
            earlier = list(self.history(kind)[:-1])
            while earlier.pop().name != name:
                pass  # its folder has been removed by hand
            self._change(kind, promoted=(*earlier, Promotion(name=name, fingerprint=fingerprint)))

    def delete(self, name: str) -> None:
        """Remove a version that is not promoted.

        Raises:
            RapportError: there is no such version, or it is promoted.
            ModelError: `promoted.json` is damaged.
            OSError: the disk cannot be written to.
        """
        version = self.get(name)
        with self._locked():
            if name in self.promoted():
                raise RapportError(f"{name} is promoted. Promote another one first: rapport models promote NAME")
            shelf = self._shelf(version.kind)
            kept = tuple(one for one in shelf.promoted if one.name != name)
            self._change(version.kind, promoted=kept, last_number=max(shelf.last_number, version.number))
            gone = self.folder / f".{name}-deleted"
            version.folder.replace(gone)  # at once, so that nobody meets half a version
            shutil.rmtree(gone, ignore_errors=True)

    def _shelf(self, kind: str) -> _Shelf:
        return self._shelves().get(kind, _Shelf())

    def _shelves(self) -> dict[str, _Shelf]:
        path = self.folder / _PROMOTED
        try:
            return _Shelves.validate_json(path.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError:
            raise ModelError(f"{path} is damaged. Delete it, then: rapport models promote NAME") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            yield

    def _change(self, kind: str, **changes: Any) -> None:
        shelves = self._shelves()
        shelves[kind] = shelves.get(kind, _Shelf()).model_copy(update=changes)
        draft = self.folder / f".{_PROMOTED}"
        try:
            with draft.open("wb") as file:
                file.write(_Shelves.dump_json(shelves, indent=2) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.folder / _PROMOTED)
        finally:
            draft.unlink(missing_ok=True)


def _about(folder: Path) -> dict[str, Any]:
    """Return a model folder's manifest without checking the files against their hashes, which takes longer."""
    try:
        about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}
