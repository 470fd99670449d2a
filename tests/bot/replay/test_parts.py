"""What a run keeps of a desk: what decides, and nothing of customers."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from bot.desk import BUNDLED, Desk
from bot.desk_reader import read_desk
from bot.models import Models
from bot.replay.parts import State, copy_desk


def test_a_copy_of_a_desk_has_what_decides_and_no_stories_or_logs(desk: Desk, models: Models, tmp_path: Path) -> None:
    shutil.copytree(BUNDLED, mine := tmp_path / desk.name)
    own = replace(desk, folder=mine)
    decides = State(own, models).parts()["desk"]
    (mine / "stories").mkdir()
    (mine / "exports").mkdir()
    for name in ("stories/c-1.yml", "stories/c-2.yaml", "c-3.yml", "exports/october.json"):
        (mine / name).write_text("story: my secret zebra", encoding="utf-8")
    copy_desk(own, copy := tmp_path / "copy")
    assert not [path for path in copy.rglob("*") if path.is_file() and b"zebra" in path.read_bytes()]
    assert State(own, models).parts()["desk"] == decides
    again = read_desk(copy, taught=False)
    assert (again.settings, again.answers, again.articles) == (desk.settings, desk.answers, desk.articles)
    assert {path.name for path in copy.iterdir()} >= {"tools.py", "orders.csv", "products.csv"}
