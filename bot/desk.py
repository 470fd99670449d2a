"""A desk: the folder that describes one support team, read and checked as a whole."""

from __future__ import annotations

import importlib.util
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from langchain_core.tools import BaseTool

from bot.desk_files import Answer, Day, DeskFile
from memory import FactSpec
from retrieval import Passage

DESKS = Path(__file__).parent / "desks"
BUNDLED = DESKS / "tarn_and_thistle"
_NAME = re.compile(r"\{(\w+)\}")
_DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

ToolFactory = Callable[[Path, date], list[BaseTool]]


def intents_of(label: str) -> tuple[str, ...]:
    """Return the intents that a label names, each once: one, or several with a semicolon between them."""
    return tuple(dict.fromkeys(name for part in label.split(";") if (name := part.strip())))


@dataclass(frozen=True)
class Desk:
    """Everything a bot needs to know about one support team.

    `messages` pairs texts with their labels (`intents_of`); `test_messages`, `out_of_scope` and `test_out_of_scope` may
    be empty. `replies` holds the bot's own sentences by name, `answers` the approved answers by intent.
    """

    folder: Path
    settings: DeskFile
    answers: Mapping[str, Answer]
    replies: Mapping[str, tuple[str, ...]]
    facts: Mapping[str, FactSpec]
    passages: tuple[Passage, ...]
    articles: Mapping[str, str]
    messages: tuple[tuple[str, str], ...]
    out_of_scope: tuple[str, ...]
    test_messages: tuple[tuple[str, str], ...]
    test_out_of_scope: tuple[str, ...]

    @property
    def name(self) -> str:
        """The desk's folder name, which names its models and its data."""
        return self.folder.resolve().name

    @cached_property
    def titles(self) -> dict[str, str]:
        """Button labels, lower case, to the intents they stand for."""
        return {answer.title.casefold(): intent for intent, answer in self.answers.items()}

    @cached_property
    def talk(self) -> tuple[str, ...]:
        """Intents that ask for nothing and answer no question of the bot's: a greeting, thanks, a remark."""
        return tuple(sorted(name for name, answer in self.answers.items() if not (answer.asks or answer.means)))

    def labels(self, messages: Sequence[tuple[str, str]]) -> list[str] | list[tuple[str, ...]]:
        """Return the labels of messages as a classifier learns them: all of their intents where any message has two."""
        wanted = [intents_of(label) for _, label in messages]
        several = any(len(intents_of(label)) > 1 for _, label in self.messages)
        return wanted if several else [intents[0] for intents in wanted]

    def article_title(self, slug: str) -> str:
        """Return the title of an article."""
        return self.articles[slug].partition("\n")[0].removeprefix("# ").strip()

    def make_tools(self, home: Path, today: date) -> dict[str, BaseTool]:
        """Return the desk's look-ups by name; their data lies under `home`."""
        factory = load_tool_factory(self.folder / "tools.py")
        return {tool.name: tool for tool in factory(home, today)} if factory else {}

    def is_open(self, now: datetime) -> bool:
        """Return whether the team answers at a time."""
        local = now.astimezone(ZoneInfo(self.settings.timezone))
        hours = self.settings.hours.get(_DAYS[local.weekday()])
        return hours is not None and hours[0] <= local.time() < hours[1]

    def next_opening(self, now: datetime) -> datetime | None:
        """Return when the team is back, or None when it has no hours at all."""
        local = now.astimezone(ZoneInfo(self.settings.timezone))
        for ahead in range(8):
            day = local + timedelta(days=ahead)
            hours = self.settings.hours.get(_DAYS[day.weekday()])
            if hours is not None:
                opening = datetime.combine(day.date(), hours[0], tzinfo=local.tzinfo)
                if opening > local:
                    return opening
        return None


def load_tool_factory(file: Path) -> ToolFactory | None:
    """Return `make_tools` of a desk's `tools.py`, or None where there is no such file.

    Raises:
        AttributeError: the file defines no `make_tools(home, today)`.
        Exception: whatever the desk's own code raises while it is imported.
    """
    if not file.is_file():
        return None
    spec = importlib.util.spec_from_file_location(f"rapport_desk_{file.parent.name}", file)
    if spec is None or spec.loader is None:
        raise AttributeError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    factory: ToolFactory = module.make_tools
    return factory


@lru_cache(maxsize=10_000)  # a desk's wordings, looked at with every reply
def placeholders(text: str) -> frozenset[str]:
    """Return the names in braces of a wording.

    Raises:
        ValueError: the braces do not match, or hold more than a name.
    """
    parts = [part for part in string.Formatter().parse(text) if part[1] is not None]
    for _, name, form, conversion in parts:
        if not str(name).isidentifier() or form or conversion:
            raise ValueError(f"{{{name}}} is not a name in braces")
    return frozenset(str(name) for _, name, _, _ in parts)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return a wording with its names in braces filled in one pass: what is filled in is never looked at again."""
    return _NAME.sub(lambda match: values.get(match[1], match[0]), text)
