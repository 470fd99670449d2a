"""The `rapport` command, and versions of the bundled desk's intent classifier without training any."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import app
from bot import terminal
from bot.desk import Desk
from bot.models import fingerprint, intent_folder
from bot.versions import Versions
from retrieval.model_folder import MANIFEST, new_folder

RAPPORT = Path(sys.executable).parent / "rapport"
AddVersion = Callable[..., str]
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


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


@pytest.fixture
def surroundings(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command runs: a folder of its own, on a home with prepared models."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in [name for name in os.environ if name.startswith("RAPPORT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAPPORT_HOME", str(home))
    for console in (terminal.out, terminal.err):
        monkeypatch.setattr(console, "width", 200)


@pytest.fixture
def rapport(surroundings: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, which spares the seconds in which one starts."""

    def run(*arguments: object, stdin: str = "", **environment: object) -> Done:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, str(value))
            patch.setattr("sys.argv", ["rapport", *map(str, arguments)])
            patch.setattr("sys.stdin", io.StringIO(stdin))
            with pytest.raises(SystemExit) as ended:
                app.main()
        return Done(arguments, int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def started(surroundings: None) -> Run:
    """Run the command in a process of its own, as a person does."""

    def run(*arguments: object, stdin: bytes = b"") -> Done:
        done = subprocess.run([RAPPORT, *map(str, arguments)], input=stdin, capture_output=True, check=False)
        return Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def refusal(done: Done) -> str:
    """Return the one sentence (it may be followed by a remedy) that a command was refused with."""
    assert done.returncode == 1, done
    assert done.stderr.startswith("rapport: "), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("rapport: ").strip()
