"""Every reply that was shown survives a kill; `python -m tests.crash` does the same a hundred times."""

from __future__ import annotations

from pathlib import Path

from tests.crash import run


def test_every_shown_reply_survives_kills_at_random_moments(prepared_home: Path, tmp_path: Path) -> None:
    outcome = run(3, prepared_home, tmp_path / "home")
    assert outcome.problems == []
    assert outcome.kills == 3
    assert outcome.shown
