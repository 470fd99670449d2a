"""The audit log: what is noted, and what is noticed when somebody changes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bot.audit import Audit
from bot.chatbot import Chatbot
from bot.cli import cli
from memory.fingerprints import Fingerprints
from memory.receipt import receipt_key
from tests.conftest import Clock


@pytest.fixture
def audit(tmp_path: Path, clock: Clock) -> Audit:
    return Audit(tmp_path, clock)


@pytest.fixture
def log(audit: Audit, tmp_path: Path) -> Path:
    """A log of three entries."""
    for name in ("one", "two", "three"):
        audit.note("key_added", name=name)
    return tmp_path / "audit.jsonl"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(cli, ["audit", *arguments, "--home", str(tmp_path)])


def test_a_log_is_unbroken_and_says_what_happened(audit: Audit, log: Path, run: Callable[..., Result]) -> None:
    verdict = audit.verify()

    assert (verdict.entries, verdict.broken) == (3, "")
    assert audit.verify(verdict.last).broken == ""
    assert run("verify").exit_code == 0
    assert verdict.last in run("verify").stdout.replace("\n", "")
    assert [one["about"]["name"] for one in json.loads(run("show", "--json", "--last", "2").stdout)] == ["two", "three"]
    assert "key_added" in run("show").stdout


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace("one", "uno"), *lines[1:]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: [lines[0], lines[0], *lines[1:]],
        lambda lines: [*lines[:2], "no entry\n"],
        lambda lines: [*lines[:2], "[" * 100_000 + "\n"],
        lambda lines: lines[1:],
    ],
)
def test_any_change_is_noticed(
    audit: Audit, log: Path, run: Callable[..., Result], change: Callable[[list[str]], list[str]]
) -> None:
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    log.write_text("".join(change(lines)), encoding="utf-8")

    assert audit.verify().broken
    assert run("verify").exit_code == 1
    audit.note("logout")
    assert audit.verify().broken  # what is noted later does not cover it up


def test_an_end_that_was_cut_off_is_noticed_by_a_hash_noted_elsewhere(audit: Audit, log: Path) -> None:
    known = audit.verify().last
    log.write_text("".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[:2]), encoding="utf-8")

    assert audit.verify().broken == ""
    assert "the end is missing" in audit.verify(known).broken


def test_a_home_with_another_secret_cannot_have_written_it(audit: Audit, log: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0" * 64, encoding="ascii")
    assert "line 1" in Audit(tmp_path).verify().broken


def test_a_line_that_a_crash_cut_short_is_removed_by_the_next_one(audit: Audit, log: Path) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write('{"number": 4, "at": "2026-')
    assert audit.verify().broken == "line 4 is no entry"
    audit.note("logout")
    assert audit.verify().entries == 4


def test_what_several_note_at_once_is_one_chain(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: Audit(tmp_path).note("key_added", name=str(name)), range(24)))
    assert Audit(tmp_path).verify().entries == 24


def test_settings_are_noted_when_they_change(audit: Audit) -> None:
    for values in ({"port": "1"}, {"port": "1"}, {"port": "2"}, {"port": "1"}):
        audit.note_settings(values)
    assert [entry.about["port"] for entry in audit.entries()] == ["1", "2", "1"]


def test_exports_and_erasures_are_noted_and_leave_nothing_of_who_was_erased(
    bot: Chatbot, home: Path, clock: Clock
) -> None:
    customer = "customer:a-badger-keeper-of-ambleside"
    bot.respond("I live behind the old mill in Ambleside", "s1", customer)
    bot.export(customer)
    receipt = bot.forget(customer)

    audit = Audit(home, clock)
    assert [entry.event for entry in audit.entries()] == ["exported", "erased"]
    assert [entry.about["customer"] for entry in audit.entries()] == [audit.mark(customer)] * 2
    assert audit.entries()[1].about["receipt"] == receipt.id
    assert audit.verify().broken == ""
    marks = Fingerprints(receipt_key(home, receipt.salt), receipt.fingerprints)
    assert len(marks) > 20
    assert list(marks.search_file(home / "audit.jsonl")) == []
    assert b"badger" not in (home / "audit.jsonl").read_bytes()
