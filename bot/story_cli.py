"""`rapport test`: stories run through today's bot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from bot.desk import Desk
from bot.problems import RapportError
from bot.rasa.project import read_yaml
from bot.replay.parts import State
from bot.replay.rasa_stories import read_rasa_stories, unread
from bot.replay.run_folder import to_dict
from bot.replay.stories import Story, read_story, run_stories
from bot.settings import read_settings
from bot.terminal import DeskOption, HomeOption, JsonOption, err, prepared, print_json, print_line


def test_stories(
    folder: Annotated[Path, typer.Argument(help="A folder of stories, or one file: pinned ones, or Rasa's.")],
    desk: DeskOption = None,
    home: HomeOption = None,
    model: Annotated[str, typer.Option(help="An intent classifier, as intent-0003; the promoted one if not set.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Run stories and say which do not hold; exit code 0 only where all do."""
    settings = read_settings(desk=desk, home=home)
    if not model:
        prepared(settings, promote=False)
    state = State.open(settings.desk, settings.home, model)
    stories = [story for file in _files(folder) for story in _stories(file, state.desk)]
    if not stories:
        raise RapportError(f"There is no story in {folder}. Pin one: rapport replay LOG --pin CONVERSATION")
    told = list(run_stories(stories, state))
    failed = sum(not one.passed for one in told)
    if as_json:
        print_json([{**to_dict(one), "passed": one.passed} for one in told])
    for one in told if not as_json else ():
        print_line(f"{'ok' if one.passed else 'FAILED'}  {one.file}: {one.story} ({one.checked} turns checked)")
        for what in one.broken:
            print_line(f"    {what}")
        for what in one.skipped:
            print_line(f"    skipped: {what}")
    if not as_json:
        print_line(f"{len(told)} stories, {failed} failed.")
    if failed:
        raise typer.Exit(1)


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise RapportError(f"There is no folder {folder}. Name one with stories.")
    return sorted(path for path in folder.rglob("*") if path.suffix in (".yml", ".yaml") and path.is_file())


def _stories(file: Path, desk: Desk) -> list[Story]:
    """Return the stories of a file: Rasa's where it has a list of them, one of ours where it is one, else none.

    Which other tests of Rasa's it holds is said.

    Raises:
        RapportError: it is no YAML, or a story with mistakes.
    """
    content: dict[str, Any] = read_yaml(file)
    for what in unread(content):
        err.print(f"skipped  {file.name}: {what}", highlight=False, markup=False, soft_wrap=True)
    if "stories" in content:
        return read_rasa_stories(file, content, desk)
    if "story" in content:
        return [read_story(file, yaml.safe_load(file.read_text(encoding="utf-8")))]
    return []
