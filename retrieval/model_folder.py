"""A model folder: files written whole or not at all, listed with their hashes, checked before use."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


class ModelError(Exception):
    """A model folder is missing, incomplete or altered; the message says what to do."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: Any) -> str:
    """Do what `hashlib.file_digest` does, for Python 3.10, which lacks it."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `target` when the block ends well, and vanishes when it does not.

    An older model in `target` is replaced: it is moved aside and goes only once the new one is in its place.

    Raises:
        ModelError: `target` is a folder with something else in it.
    """
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise ModelError(f"{target} holds something that is not a model. Name another folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield draft
        for path in draft.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        if target.exists():
            _exchange(draft, target)
        else:
            draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _exchange(draft: Path, target: Path) -> None:
    """Put a draft in the place of an older folder, which is lost at no moment."""
    older = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    target.replace(older)
    try:
        draft.replace(target)
    except OSError:
        older.replace(target)
        raise
    shutil.rmtree(older, ignore_errors=True)


def write_manifest(folder: Path, about: dict[str, Any]) -> None:
    """Write `manifest.json`: what `about` says, plus the hash of every other file in the folder."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}
    text = json.dumps({**about, "files": files}, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a model folder whose files all match their hashes.

    Raises:
        ModelError: the folder or a file of it is missing, or a file differs from its hash.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, str] = dict(manifest["files"])
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"No model in {folder}. Run `rapport train intent` to make it.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / MANIFEST} is damaged ({error}). Delete {folder} and train again.") from None
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path} is missing. Delete {folder} and run `rapport train intent` again.")
        if sha256(path) != expected:
            raise ModelError(
                f"{path} was altered: its SHA-256 is not the one in {MANIFEST}. "
                f"Delete {folder} and run `rapport train intent` again."
            )
    return manifest
