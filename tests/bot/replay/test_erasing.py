"""Forgetting a customer reaches runs, comparisons, stories and runs under way; the proof sees whatever is left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.chatbot import Chatbot
from bot.replay import shelf
from bot.replay.causes import compare
from bot.replay.readers import Mask
from bot.replay.run_folder import Run
from bot.replay.stories import pin_story
from memory.proof import prove
from memory.secret import read_secret
from tests.bot.replay.conftest import SMALL, Replay

_SAID = b"Did I ask you about delivery before?"


@pytest.fixture
def replays(run_log: Replay, home: Path, tmp_path: Path) -> list[Path]:
    """Folders with runs, one of them compared and one elsewhere, with stories, and with a run that has not ended."""
    before, after = run_log("before"), run_log("after", without=("recall",))
    compare(before, after, home)
    shutil.copytree(before.folder, outside := tmp_path / "outside")
    shelf.note(home, outside)
    (outside / "report.html").write_bytes(b"<p>" + _SAID)
    pin_story(before, "c-3", home / "stories" / "desk")
    pin_story(before, "c-3", stories := tmp_path / "stories")
    shelf.note(home, stories)
    pin_story(before, "c-2", home / "stories" / "desk")
    unfinished = home / "replays" / "unfinished" / "work"
    (unfinished / "unit-000000").mkdir(parents=True)
    shutil.copy(before.folder / "turns.jsonl", unfinished / "unit-000000")
    return [home / "replays", home / "stories", outside, stories]


def _files(folders: list[Path]) -> dict[Path, bytes]:
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in found}


def test_nothing_of_a_customer_is_left_and_whatever_is_put_back_is_found(
    bot: Chatbot, home: Path, replays: list[Path]
) -> None:
    bot.respond("Hello there, it is me again", "s-1", "ann")
    before = _files(replays)
    held = {path for path, content in before.items() if _SAID in content}
    assert len(held) == 8, sorted(held)
    receipt = bot.forget("ann")
    after = _files(replays)
    assert not [path for path, content in after.items() if _SAID in content]
    assert receipt.removed["replays"] == 5 * 3 + 2  # turns of three runs, and two stories

    (home / "models").unlink()  # a link: what is in it would only take long to search
    assert prove(receipt, home, bot.memory.store, elsewhere=shelf.elsewhere(home)).holds
    for path in held:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(before[path])
    found = prove(receipt, home, bot.memory.store, elsewhere=shelf.elsewhere(home)).found
    assert {Path(path) for path, _ in found} == held


def test_what_others_said_stays_and_can_be_read(bot: Chatbot, home: Path, replays: list[Path]) -> None:
    bot.forget("ann")
    run = Run(home / "replays" / "after")
    assert {turn.customer for turn in run.turns()} == {"bob", "cem"}
    assert [len(run.turns_of(one)) for one in run.conversations()] == [2, 2]
    _, last = run.conversations()
    assert run.turns_of(last)[0].text == "Can I pay with PayPal?"
    assert run.comparison("before").look_at == ()
    assert (home / "stories" / "desk" / "c-2.yml").is_file()


def test_a_customer_is_found_under_the_id_that_masking_gave_them(run_log: Replay, bot: Chatbot, home: Path) -> None:
    masked = Mask(read_secret(home)).pseudonym("ann")
    run = run_log(
        "masked", [one.model_copy(update={"customer_id": masked}) for one in SMALL if one.customer_id == "ann"]
    )
    assert bot.forget("ann").removed["replays"] == 5
    assert list(run.turns()) == []


def test_a_folder_that_is_gone_is_named(home: Path, tmp_path: Path, rapport: Callable[..., object]) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    shelf.note(home, gone)
    gone.rmdir()
    assert shelf.missing(home) == [gone]
    done = rapport("memory", "forget", "ann")
    assert f"Out of reach: {gone} is not there." in done.stdout  # type: ignore[attr-defined]
