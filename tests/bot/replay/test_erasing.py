"""Forgetting a customer reaches runs, comparisons, stories and runs under way, and no more; a proof sees the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bot.chatbot import Chatbot
from bot.replay import shelf
from bot.replay.causes import compare
from bot.replay.comparison import keep, pair, summed_up
from bot.replay.erasing import Replays
from bot.replay.readers import Mask, read_log
from bot.replay.report import page
from bot.replay.report.packing import unpack
from bot.replay.report.transcripts import Transcripts, transcripts
from bot.replay.run_folder import Run
from bot.replay.scores import scores_of
from bot.replay.staging import stage
from bot.replay.stories import pin_story
from memory.fingerprints import windows
from memory.proof import prove
from memory.secret import read_secret
from tests.bot.replay.conftest import SMALL, Replay
from tests.bot.replay.written import compare_written, turn, write_run

_SAID = b"Did I ask you about delivery before?"
_STORY = """
story: c-1
today: 2026-13-45
customer: ann
earlier:
- conversation: c-0
  steps:
  - {customer: my earlier secret is a purple zebra, at: 2026-13-45}
steps:
- {agent: Hello, at: 2026-13-45}
- {customer: my secret is a striped zebra, at: 2026-13-45}
"""


@pytest.fixture
def replays(run_log: Replay, home: Path, tmp_path: Path) -> list[Path]:
    """Folders with runs, one of them compared and one elsewhere, with stories, and with a run that has not ended."""
    before, after = run_log("before"), run_log("after", without=("recall",))
    compare(before, after, home)
    shutil.copytree(before.folder, outside := tmp_path / "outside")
    shelf.note(home, outside)
    page.write_report(Run(outside))
    pin_story(before, "c-3", home / "stories" / "desk")
    shelf.note(home, home / "stories" / "desk")  # known twice
    pin_story(before, "c-3", stories := tmp_path / "stories")
    shelf.note_stories(home, stories)
    pin_story(before, "c-2", home / "stories" / "desk")
    unfinished = home / "replays" / "unfinished" / "work"
    (unfinished / "unit-000000").mkdir(parents=True)
    shutil.copy(before.folder / "turns.jsonl", unfinished / "unit-000000")
    shutil.copy(before.folder / "run.json", unfinished / "plan.json")
    return [home / "replays", home / "stories", outside, stories]


def _files(folders: list[Path]) -> dict[Path, bytes]:
    found = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in found}


def _holding(words: bytes, folders: list[Path]) -> list[Path]:
    """Return the files that hold some words, as they are or packed."""
    return [path for path, content in _files(folders).items() if words in content + b"".join(unpack(path))]


def test_nothing_of_a_customer_is_left_and_whatever_is_put_back_is_found(
    bot: Chatbot, home: Path, replays: list[Path]
) -> None:
    bot.respond("Hello there, it is me again", "s-1", "ann")
    before = _files(replays)
    held = set(_holding(_SAID, replays))
    assert len(held) == 8, sorted(held)
    receipt = bot.forget("ann")
    assert _holding(_SAID, replays) == []
    assert receipt.removed["replays"] == 5 * 3 + 2  # turns of three runs, and two stories

    (home / "models").unlink()  # a link: what is in it would only take long to search
    assert prove(receipt, home, bot.memory.store, elsewhere=shelf.elsewhere(home)).holds
    for path in held:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(before[path])
    found = prove(receipt, home, bot.memory.store, elsewhere=shelf.elsewhere(home), unpack=unpack).found
    assert {Path(path) for path, _ in found} == held


def test_what_others_said_stays_and_can_be_read(bot: Chatbot, home: Path, replays: list[Path]) -> None:
    bot.forget("ann")
    run = Run(home / "replays" / "after")
    assert {turn.customer for turn in run.turns()} == {"bob", "cem"}
    assert [len(run.turns_of(one)) for one in run.conversations()] == [2, 2]
    _, last = run.conversations()
    assert run.turns_of(last)[0].text == "Can I pay with PayPal?"
    assert run.comparison("before").look_at == ()
    assert "Somebody has been forgotten since" in run.comparison("before").notes[-1]
    assert (run.info.log.turns, run.info.log.conversations, run.info.log.customers) == (4, 2, 2)
    scores = run.scores()
    assert (scores.turns, scores.conversations) == (4, 2)
    assert scores == scores_of(run.turns(), run.conversations())
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


def _secrets(folder: Path) -> list[Path]:
    """Return the files with what Ann and Bob said."""
    return _holding(b"zebra", [folder])


def _written(folder: Path, customers: tuple[str, ...] = ("ann", "bob"), reply: str = "b") -> Run:
    """Write a run in which each of some customers has said something once."""
    turns = [turn(f"c-{one}", 1, f"zebra of {one}", "a", reply, customer=one) for one in customers]
    return write_run(folder, turns, memory=reply)


@pytest.mark.parametrize("note", [shelf.note_stories, shelf.note])  # runs and stories were once in one list
def test_a_folder_with_stories_keeps_whatever_else_is_in_it(tmp_path: Path, note: Callable[[Path, Path], None]) -> None:
    mine = tmp_path / "project"
    (mine / "work" / "drafts").mkdir(parents=True)
    (mine / "work" / "drafts" / "letter.txt").write_text("mine", encoding="utf-8")
    (mine / "conversations.jsonl").write_text('{"conversation_id": "a log"}', encoding="utf-8")
    (mine / "other.yml").write_text("story: of nobody", encoding="utf-8")
    before = _files([mine])
    (mine / "c-1.yml").write_text(_STORY, encoding="utf-8")
    note(tmp_path, mine)
    assert Replays(tmp_path, "ann").erase([]) == 1
    assert _files([mine]) == before


def test_a_folder_of_stories_is_no_run_even_if_it_looks_like_one(tmp_path: Path) -> None:
    plan = tmp_path / "project" / "work" / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.touch()
    shelf.note_stories(tmp_path, tmp_path / "project")
    Replays(tmp_path, "ann").erase([])
    assert plan.exists()
    assert shelf.runs(tmp_path) == []


def test_customers_who_are_forgotten_at_once_are_all_forgotten(tmp_path: Path) -> None:
    customers = tuple(f"customer-{number:02d}" for number in range(12))
    before, after = (_written(tmp_path / "replays" / name, customers, name) for name in ("before", "after"))
    compare_written(before, after)
    (tmp_path / "stories").mkdir()
    story = _STORY.replace("ann", customers[0]).replace("2026-13-45", "2026-09-01")
    (tmp_path / "stories" / "c-1.yml").write_text(story, encoding="utf-8")

    def forget(customer: str) -> int:
        replays = Replays(tmp_path, customer)
        removed = replays.erase([])
        assert not any(f"zebra of {customer}" in line for line in replays.said_by_others())
        return removed

    with ThreadPoolExecutor(len(customers)) as pool:
        assert list(pool.map(forget, customers)) == [3, *[2] * 11]
    assert _secrets(tmp_path) == []


def test_a_comparison_under_way_does_not_bring_back_what_is_forgotten(tmp_path: Path) -> None:
    before, after = (_written(tmp_path / "replays" / name, reply=name) for name in ("before", "after"))
    pairing = pair(before, after)
    comparison = replace(summed_up(pairing, pairing.differences, before, after), look_at=(("c-ann", 3), ("c-bob", 3)))
    assert Replays(tmp_path, "ann").erase([]) == 2
    keep(after, comparison, pairing.differences)
    assert [one.conversation for one in after.differences("before")] == ["c-bob"]
    assert after.comparison("before").look_at == (("c-bob", 3),)


def test_a_report_under_way_does_not_bring_back_what_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _written(tmp_path / "replays" / "run")
    forgetting = Thread(target=Replays(tmp_path, "ann").erase, args=([],))

    def reading(*given: Any) -> Transcripts:
        read = transcripts(*given)
        forgetting.start()
        forgetting.join(1)  # as long as it takes, were it not to wait for the report
        return read

    monkeypatch.setattr(page, "transcripts", reading)
    page.write_report(run)
    forgetting.join()
    assert _holding(b"zebra of ann", [tmp_path]) == []


def test_a_run_in_a_folder_among_the_runs_is_known(tmp_path: Path) -> None:
    folder = shelf.new_folder(tmp_path, tmp_path / "replays" / "june" / "run", "log.jsonl")
    folder.rmdir()
    _written(folder)
    shelf.note_stories(tmp_path, stories := tmp_path / "replays" / "stories")
    stories.mkdir()
    (stories / "c-1.yaml").write_text(_STORY, encoding="utf-8")
    assert [Replays(tmp_path, one).erase([]) for one in ("ann", "bob")] == [2, 1]
    assert _secrets(tmp_path) == []


@pytest.mark.parametrize("is_read", [True, False])
def test_nothing_is_left_of_a_run_killed_while_it_was_put_together(tmp_path: Path, log: Path, is_read: bool) -> None:
    folder = tmp_path / "replays" / "killed"
    written = _written(folder).folder
    (folder / "work").mkdir()
    (folder / "run.json").rename(folder / "work" / "plan.json")
    (folder / "conversations.jsonl").unlink()
    shutil.copy(written / "turns.jsonl", folder / ".timings.jsonl.draft")
    if is_read:
        stage(read_log(log, mask=None), "log.jsonl", folder / "work" / "log.sqlite", masked=False)
        assert Replays(tmp_path, "dan").erase([]) == 0
        assert len(_secrets(tmp_path)) == 2
    assert Replays(tmp_path, "ann").erase([]) == 0
    assert _secrets(tmp_path) == []
    assert shelf.new_folder(tmp_path, folder, "log.jsonl") == folder


def test_a_run_that_cannot_be_written_to_stands_in_the_way_of_nobody_else(tmp_path: Path) -> None:
    run = _written(tmp_path / "replays" / "run")
    (run.folder / ".lock").mkdir()  # no lock can be made here, as on a disk that can only be read
    others = Replays(tmp_path, "nobody")
    assert others.erase([]) == 0
    assert "".join(others.said_by_others())
    assert page.write_report(run, out=tmp_path / "report.html").is_file()
    with pytest.raises(OSError):
        Replays(tmp_path, "ann").erase([])


def test_what_a_page_asked_for_stays_with_a_run_that_does_not_hold_the_customer(tmp_path: Path) -> None:
    folder = _written(tmp_path / "replays" / "run").folder
    (folder / "work" / "asked").mkdir(parents=True)
    assert Replays(tmp_path, "nobody").erase([]) == 0
    assert (folder / "work" / "asked").is_dir()
    Replays(tmp_path, "ann").erase([])
    assert not (folder / "work").exists()


def test_a_run_of_an_export_knows_a_customer_by_the_name_that_their_portal_gave_them(tmp_path: Path) -> None:
    masked = Mask(read_secret(tmp_path)).pseudonym("42")
    run = _written(tmp_path / "replays" / "run", ("42", masked, "customer:42", "142"))
    assert Replays(tmp_path, "customer:42").erase([]) == 3
    assert [one.customer for one in run.turns()] == ["142"]


def test_a_story_with_a_day_that_there_is_not_is_forgotten_with_all_that_the_customer_says_in_it(
    tmp_path: Path,
) -> None:
    copied = tmp_path / "replays" / "run" / "desk" / "mine" / "stories"
    for folder in (copied, tmp_path / "stories"):
        folder.mkdir(parents=True)
        (folder / "c-1.yml").write_text(_STORY, encoding="utf-8")
        (folder / "c-2.yml").write_text(_STORY.replace("ann", "bob"), encoding="utf-8")
        (folder / "c-3.yml").write_text("no: [yaml", encoding="utf-8")
    replays = Replays(tmp_path, "ann")
    assert replays.erase([]) == 2
    said = (b"my earlier secret is a purple zebra", b"my secret is a striped zebra")
    assert set(replays.evidence) == {window for text in said for window in windows(text)}
    assert {path.name for path in _files([tmp_path])} >= {"c-2.yml", "c-3.yml"}
    assert "c-1.yml" not in {path.name for path in _files([tmp_path])}
