"""Versions of models: how they are named, promoted, rolled back and deleted, and what an interruption leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.desk import BUNDLED
from bot.problems import RapportError
from bot.versions import Promotion, Versions
from retrieval.model_folder import ModelError, new_folder, write_manifest

ROOT = BUNDLED.parents[2]
# Runs in a process of its own: writes half a model folder, says so, and waits to be killed.
SAVE_FOR_EVER = """
import signal, sys
from pathlib import Path
from bot.versions import Versions
from retrieval.model_folder import new_folder

def save(folder):
    with new_folder(folder) as draft:
        (draft / "model.onnx").write_bytes(bytes(1000))
        print("half written", flush=True)
        signal.pause()

Versions(Path(sys.argv[1]), "shop").add("intent", save)
"""
# Runs in a process of its own, whose files may not be longer than so many bytes: as good as a full disk.
SAVE_ON_A_FULL_DISK = """
import resource, shutil, sys
from pathlib import Path
from bot.versions import Versions
from retrieval.model_folder import new_folder
from tests.bot.test_versions import tiny

def copy(folder):
    with new_folder(folder) as draft:
        shutil.copytree(sys.argv[2], draft, dirs_exist_ok=True)

versions = Versions(Path(sys.argv[1]), "shop")
for most_bytes in (0, 100, 50_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
    for save in (tiny(size=100_000), copy):
        try:
            versions.add("intent", save)
        except OSError as error:
            print(error)
"""
ADD_TEN = """
import sys
from pathlib import Path
from bot.versions import Versions
from tests.bot.test_versions import tiny

versions = Versions(Path(sys.argv[1]), "shop")
for _ in range(10):
    versions.promote(versions.add("intent", tiny()).name, sys.argv[2])
"""


def tiny(size: int = 10, **about: object) -> Callable[[Path], None]:
    """Return what saves a model of so many bytes."""

    def save(folder: Path) -> None:
        with new_folder(folder) as draft:
            (draft / "model.onnx").write_bytes(bytes(size))
            write_manifest(draft, {"kind": "intent", **about})

    return save


def run(script: str, *arguments: object) -> str:
    """Run a script to its end and return what it printed."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names(versions: Versions) -> list[str]:
    return [version.name for version in versions.all()]


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    """Three versions, of which the first and then the third were promoted."""
    versions = Versions(tmp_path, "shop")
    for number in (1, 2, 3):
        versions.add("intent", tiny(fingerprint=f"desk {number}"))
    versions.promote("intent-0001", "desk 1")
    versions.promote("intent-0003", "desk 3")
    return versions


def test_versions_are_numbered_by_kind(versions: Versions) -> None:
    versions.add("answer", tiny())
    versions.add("intent", tiny())

    assert names(versions) == ["answer-0001", "intent-0001", "intent-0002", "intent-0003", "intent-0004"]
    assert [version.name for version in versions.all("answer")] == ["answer-0001"]
    assert versions.get("intent-0002").fingerprint == "desk 2"


def test_desks_have_versions_of_their_own(versions: Versions, tmp_path: Path) -> None:
    other = Versions(tmp_path, "workshop")

    assert names(other) == []
    assert other.add("intent", tiny()).name == "intent-0001"
    assert other.promoted() == []


def test_the_number_of_a_deleted_version_is_not_given_again(versions: Versions) -> None:
    versions.promote("intent-0001", "desk 1")
    versions.delete("intent-0003")

    assert versions.add("intent", tiny()).name == "intent-0004"


def test_the_number_of_a_version_that_could_not_be_saved_is_not_given_again(versions: Versions) -> None:
    def fail(_folder: Path) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        versions.add("intent", fail)

    assert names(versions) == ["intent-0001", "intent-0002", "intent-0003"]
    assert versions.add("intent", tiny()).name == "intent-0005"


def test_the_last_promoted_version_serves(versions: Versions) -> None:
    assert versions.promoted() == ["intent-0003"]
    versions.promote("intent-0002", "desk 3")

    assert versions.promoted() == ["intent-0002"]
    assert versions.history("intent")[-1] == Promotion(name="intent-0002", fingerprint="desk 3")


def test_kinds_are_promoted_by_themselves(versions: Versions) -> None:
    versions.promote(versions.add("answer", tiny()).name, "desk 3")

    assert versions.promoted() == ["answer-0001", "intent-0003"]
    with pytest.raises(RapportError, match="No answer model was promoted before"):
        versions.previous("answer")


def test_a_rollback_goes_back_to_what_was_promoted_before(versions: Versions) -> None:
    versions.rollback("intent", "desk 3")

    assert versions.history("intent") == (Promotion(name="intent-0001", fingerprint="desk 3"),)
    with pytest.raises(RapportError, match="No intent model was promoted before the present one"):
        versions.rollback("intent", "desk 3")
    assert versions.promoted() == ["intent-0001"]


def test_a_rollback_passes_over_what_is_gone(versions: Versions) -> None:
    versions.promote("intent-0002", "desk 2")
    versions.delete("intent-0003")
    versions.rollback("intent", "desk 2")

    assert versions.promoted() == ["intent-0001"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=6))
def test_rollbacks_retrace_promotions(promoted: list[int]) -> None:
    with TemporaryDirectory() as home:
        versions = Versions(Path(home), "shop")
        for _ in range(3):
            versions.add("intent", tiny())
        for number in promoted:
            versions.promote(f"intent-{number:04d}", "desk")
        steps = [f"intent-{number:04d}" for number, _ in groupby(promoted)]
        for name in reversed(steps[:-1]):
            versions.rollback("intent", "desk")
            assert versions.promoted() == [name]
        with pytest.raises(RapportError):
            versions.rollback("intent", "desk")


def test_a_deleted_version_is_gone(versions: Versions) -> None:
    versions.delete("intent-0001")

    assert names(versions) == ["intent-0002", "intent-0003"]
    assert not (versions.folder / "intent-0001").exists()
    with pytest.raises(RapportError, match="No intent model was promoted before"):
        versions.previous("intent")


def test_a_promoted_version_is_not_deleted(versions: Versions) -> None:
    with pytest.raises(RapportError, match="intent-0003 is promoted"):
        versions.delete("intent-0003")
    assert (versions.folder / "intent-0003" / "model.onnx").is_file()


@pytest.mark.parametrize("name", ["intent-0004", "", "..", "../shop/intent-0001", "promoted.json", "intent-1", "shop"])
def test_a_name_that_is_no_version_is_refused(versions: Versions, name: str) -> None:
    for use in (versions.get, versions.delete, lambda name: versions.promote(name, "desk")):
        with pytest.raises(RapportError, match="rapport models list"):
            use(name)
    assert names(versions) == ["intent-0001", "intent-0002", "intent-0003"]


def test_a_version_without_a_readable_manifest_is_listed_and_can_be_deleted(versions: Versions) -> None:
    (versions.get("intent-0001").folder / "manifest.json").write_text("{", encoding="utf-8")

    assert versions.get("intent-0001").about == {}
    versions.delete("intent-0001")
    assert names(versions) == ["intent-0002", "intent-0003"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{\xff", b'{"intent": {"promoted": 7}}'])
def test_damaged_promotions_are_named_with_a_remedy(versions: Versions, content: bytes) -> None:
    file = versions.folder / "promoted.json"
    file.write_bytes(content)

    for use in (
        versions.promoted,
        lambda: versions.promote("intent-0002", "desk"),
        lambda: versions.previous("intent"),
    ):
        with pytest.raises(ModelError, match=r"promoted.json is damaged. Delete it, then: rapport models promote"):
            use()
    file.unlink()
    versions.promote("intent-0002", "desk")
    assert versions.promoted() == ["intent-0002"]
    assert versions.add("intent", tiny()).name == "intent-0004"


def test_a_promotion_is_noticed_by_its_stamp(versions: Versions) -> None:
    before = versions.stamp()
    assert versions.stamp() == before

    versions.promote("intent-0003", "desk 3")

    assert versions.stamp() != before


def test_a_killed_save_leaves_nothing_to_be_seen(versions: Versions, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half written\n"
        process.send_signal(signal.SIGKILL)
    left = list(versions.folder.glob(".intent-0004-*"))

    assert names(versions) == ["intent-0001", "intent-0002", "intent-0003"]
    assert versions.promoted() == ["intent-0003"]
    assert left
    assert versions.add("intent", tiny()).name == "intent-0005"
    assert not left[0].exists()


def test_a_full_disk_leaves_everything_as_it_was(versions: Versions, tmp_path: Path) -> None:
    promoted = versions.history("intent")
    tiny(size=100_000)(tmp_path / "model")

    # First not even the number can be written, at last the number can be, but not the model.
    said = run(SAVE_ON_A_FULL_DISK, tmp_path, tmp_path / "model").splitlines()

    assert len(said) == 6
    assert all("File too large" in line for line in said)
    assert said[-1].startswith("intent-0005 cannot be saved")
    assert names(versions) == ["intent-0001", "intent-0002", "intent-0003"]
    assert versions.history("intent") == promoted
    assert [path.name for path in versions.folder.iterdir() if path.name.startswith(".")] == [".lock"]


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", ADD_TEN, str(tmp_path), name] for name in ("one", "two")]
    processes = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    assert [process.wait() for process in processes] == [0, 0]

    versions = Versions(tmp_path, "shop")
    history = versions.history("intent")
    assert names(versions) == [f"intent-{number:04d}" for number in range(1, 21)]
    assert {promotion.name for promotion in history} == set(names(versions))
    assert [promotion.fingerprint for promotion in history].count("one") == 10
