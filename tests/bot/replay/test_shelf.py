"""Which run is gone on with: one of the log that was named, that nobody else sees to."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.problems import RapportError
from bot.replay import shelf
from bot.replay.readers import read_log
from bot.replay.run_folder import ASKED, WORK
from bot.replay.staging import LOG, stage


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def begun(folder: Path, log: Path, name: str) -> Path:
    """Leave a run as one that was killed after its log had been read."""
    (folder / WORK).mkdir(parents=True)
    stage(read_log(log, mask=None), name, folder / WORK / LOG, masked=False)
    return folder


def test_the_newest_run_of_the_log_is_gone_on_with(home: Path, log: Path) -> None:
    replays = home / "replays"
    begun(replays / "2026-01-31T100000-january", log, "january.jsonl")
    newest = begun(replays / "2026-02-01T100000-january", log, "january.jsonl")
    begun(replays / "2026-02-28T100000-february", log, "february.jsonl")
    waiting = replays / "2026-03-01T100000-january"  # nothing but what the team's page was given
    (waiting / WORK / ASKED).mkdir(parents=True)
    begun(newest.with_name(f"{newest.name}{shelf.WHOLE}"), log, "january.jsonl")

    assert shelf.interrupted(home, None, "january.jsonl") == newest
    with pytest.raises(RapportError, match=r"no replay of march\.jsonl that was interrupted"):
        shelf.interrupted(home, None, "march.jsonl")


def test_a_run_that_was_killed_while_its_log_was_read_is_known_by_its_name(home: Path) -> None:
    folder = home / "replays" / "2026-01-31T100000-january"
    (folder / WORK).mkdir(parents=True)

    assert shelf.interrupted(home, None, "january.jsonl") == folder
    with pytest.raises(RapportError):
        shelf.interrupted(home, None, "february.jsonl")


def test_a_folder_that_is_named_is_gone_on_with_unless_it_is_of_another_log(home: Path, log: Path) -> None:
    out = begun(home / "mine-whole", log, "january.jsonl")

    assert shelf.interrupted(home, out, "january.jsonl") == out
    with pytest.raises(RapportError, match=r"is one of january\.jsonl"):
        shelf.interrupted(home, out, "february.jsonl")
