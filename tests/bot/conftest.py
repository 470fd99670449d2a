"""Versions of the bundled desk's intent classifier, as many as a test likes, without training any."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.desk import Desk
from bot.models import fingerprint, intent_folder
from bot.versions import Versions
from retrieval.model_folder import MANIFEST, new_folder

AddVersion = Callable[..., str]


@pytest.fixture
def bare_home(tmp_path: Path, desk: Desk, prepared_home: Path) -> Path:
    """A home of the test's own with the prepared encoder and passages, but without an intent classifier."""
    home = tmp_path / "bare"
    (home / "models").mkdir(parents=True)
    for encoder in (prepared_home / "models").glob("encoder-*"):
        (home / "models" / encoder.name).symlink_to(encoder.resolve())
    passages = Path("desks") / desk.name
    shutil.copytree(prepared_home / passages, home / passages)
    return home


@pytest.fixture
def add_version(desk: Desk, prepared_home: Path, bare_home: Path) -> AddVersion:
    """Add a version with the prepared classifier's files, and whatever else its manifest should say."""
    source = intent_folder(prepared_home, desk)

    def save(folder: Path, **about: object) -> None:
        with new_folder(folder) as draft:
            for file in source.iterdir():
                (draft / file.name).symlink_to(file.resolve())
            manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
            (draft / MANIFEST).unlink()
            (draft / MANIFEST).write_text(json.dumps({**manifest, **about}), encoding="utf-8")

    def add(**about: object) -> str:
        return Versions(bare_home, desk.name).add("intent", lambda folder: save(folder, **about)).name

    return add


@pytest.fixture
def versions(bare_home: Path, desk: Desk, add_version: AddVersion) -> Versions:
    """Two versions, of which the first is promoted."""
    versions = Versions(bare_home, desk.name)
    versions.promote(add_version(), fingerprint(desk))
    add_version()
    return versions
