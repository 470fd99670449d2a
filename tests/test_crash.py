"""Shown replies survive a kill, nothing forgotten returns; `python -m tests.crash` does the same 200 times."""

from __future__ import annotations

from pathlib import Path

from tests.crash import run


def test_every_shown_reply_survives_kills_and_nothing_forgotten_returns(prepared_home: Path, tmp_path: Path) -> None:
    outcome = run(4, prepared_home, tmp_path / "home")
    assert outcome.problems == []
    assert outcome.kills == 4
    assert outcome.shown
