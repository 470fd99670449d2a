"""Model folders: written whole or not at all, and checked before use."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from retrieval.model_folder import MANIFEST, ModelError, new_folder, read_manifest, sha256, write_manifest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    with new_folder(tmp_path / "models" / "model") as draft:
        (draft / "weights").write_bytes(b"weights")
        (draft / "words").write_text("wörds", encoding="utf-8")
        write_manifest(draft, {"name": "modèle", "max_tokens": 256})
    return tmp_path / "models" / "model"


def test_a_folder_is_there_when_its_block_ended_well(model: Path) -> None:
    assert {path.name for path in model.iterdir()} == {"weights", "words", MANIFEST}
    assert [path.name for path in model.parent.iterdir()] == ["model"]


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "model") as draft:
        (draft / "weights").write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_raises_leaves_the_older_folder_as_it_was(model: Path) -> None:
    with pytest.raises(OSError, match="disk"), new_folder(model) as draft:
        (draft / "weights").write_bytes(b"half")
        raise OSError("disk")
    assert read_manifest(model)["name"] == "modèle"
    assert [path.name for path in model.parent.iterdir()] == ["model"]


def test_nobody_sees_a_folder_before_it_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "model") as draft:
        (draft / "weights").write_bytes(b"half")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model" / "weights").read_bytes() == b"half"


def test_a_newer_folder_replaces_the_older_one_whole(model: Path) -> None:
    with new_folder(model) as draft:
        (draft / "other").write_bytes(b"new")
    assert [path.name for path in model.iterdir()] == ["other"]


def test_a_process_that_ends_while_an_older_folder_is_removed_leaves_a_whole_one(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove_one_file(folder: Path, **_options: object) -> None:
        if folder.is_dir():
            next(folder.iterdir()).unlink()
            raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", remove_one_file)
    with pytest.raises(KeyboardInterrupt), new_folder(model) as draft:
        (draft / "weights").write_bytes(b"newer")
        write_manifest(draft, {"name": "newer"})

    assert read_manifest(model)["name"] == "newer"


def test_a_manifest_says_what_it_was_told_and_the_hash_of_every_file(model: Path) -> None:
    manifest = read_manifest(model)
    assert (manifest["name"], manifest["max_tokens"]) == ("modèle", 256)
    assert manifest["files"] == {
        "weights": hashlib.sha256(b"weights").hexdigest(),
        "words": hashlib.sha256("wörds".encode()).hexdigest(),
    }


def test_a_hash_is_that_of_the_whole_file_however_large(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "{}", '{"files": 3}', '{"files": ["weights"]}', "\udcff"])
def test_a_damaged_manifest_is_refused(model: Path, content: str) -> None:
    (model / MANIFEST).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=r"manifest\.json is damaged .*Delete .* and train again"):
        read_manifest(model)


def test_a_file_in_the_place_of_the_folder_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("in the way")
    with pytest.raises(ModelError, match="No model in"):
        read_manifest(tmp_path / "model")


def test_missing_and_altered_files_are_refused_by_name(model: Path) -> None:
    (model / "weights").write_bytes(b"Weights")
    with pytest.raises(ModelError, match="weights was altered"):
        read_manifest(model)
    (model / "weights").unlink()
    with pytest.raises(ModelError, match="weights is missing"):
        read_manifest(model)
