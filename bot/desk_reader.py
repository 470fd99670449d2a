"""Reading a desk folder: every file parsed, every mistake listed, nothing half-accepted."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import regex
import yaml
from pydantic import BaseModel, ValidationError

from bot.desk import DESKS, Desk, intents_of, load_tool_factory, placeholders
from bot.desk_files import Answer, DeskFile, FactFile
from bot.desk_messages import INTENTS, TEST, check_messages
from bot.fact_checks import fact_check
from bot.problems import DeskError, Problem
from finetune.data import MOST_CHARS
from memory import FactSpec
from retrieval.knowledge import Passage, split_article

Model = TypeVar("Model", bound=BaseModel)
_LONG = f"Shorten it to {MOST_CHARS:,} characters; where it is several messages, check the quotes around them"
# What the bot itself knows, beside facts and what a look-up returns.
_OF_MEMORY = {"last_chat", "still_open", "memory", "date", "label", "value", "question", "reply"}
_ALWAYS_KNOWN = {"bot_name", "desk", "handoff", *_OF_MEMORY}


def read_desk(folder: Path, *, taught: bool = True) -> Desk:
    """Return the desk in a folder; one that is not `taught` needs no labelled messages, as it has a classifier.

    Raises:
        DeskError: the folder has mistakes; the error lists all of them.
    """
    reader = _Reader(folder, taught)
    desk = reader.read()
    if desk is None or reader.problems:
        raise DeskError(str(folder), reader.problems)
    return desk


def check_desk(folder: Path) -> list[Problem]:
    """Return every mistake in a desk folder, none when it is fine."""
    try:
        read_desk(folder)
    except DeskError as error:
        return error.problems
    return []


class _UniqueKeys(yaml.CSafeLoader):  # in C: ten times as fast
    """YAML's safe loader, which refuses a name that stands twice instead of dropping the first entry."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"{key.value!r} stands there a second time"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Reader:
    def __init__(self, folder: Path, taught: bool) -> None:
        self.folder = folder
        self.taught = taught
        self.problems: list[Problem] = []
        self.unread: set[str] = set()  # files whose content is unknown, so that nothing is concluded from them
        self.names: dict[str, set[str]] = {}  # per file the entries that are there, those with mistakes included

    def read(self) -> Desk | None:
        if not self.folder.is_dir():
            self._add(
                str(self.folder), "", "there is no such folder", "Name a desk folder, or make one: rapport desk new DIR"
            )
            return None
        settings = self._settings()
        answers = self._entries("answers.yaml", "answers", Answer)
        facts = self._facts()
        messages = {
            INTENTS: self._messages(INTENTS),
            TEST: self._messages(TEST),
            "out_of_scope.csv": self._messages("out_of_scope.csv", ("text",)),
            "test_out_of_scope.csv": self._messages("test_out_of_scope.csv", ("text",)),
        }
        articles, passages = self._articles()
        replies = self._replies(settings)
        self._check_starters(settings)
        self._check_answers(answers)
        answered = None if "answers.yaml" in self.unread else self.names.get("answers.yaml", set())
        taught = answered if self.taught and INTENTS not in self.unread else None
        self.problems += check_messages(messages, answered, taught or ())
        if settings is None:
            return None
        return Desk(
            folder=self.folder,
            settings=settings,
            answers=answers,
            replies=replies,
            facts=facts,
            passages=tuple(passages),
            articles=articles,
            messages=tuple((text, intent) for _, text, intent in messages[INTENTS]),
            out_of_scope=tuple(text for _, text, _ in messages["out_of_scope.csv"]),
            test_messages=tuple((text, intent) for _, text, intent in messages[TEST]),
            test_out_of_scope=tuple(text for _, text, _ in messages["test_out_of_scope.csv"]),
        )

    def _add(self, file: str, place: str, what: str, remedy: str) -> None:
        self.problems.append(Problem(file, place, what, remedy))

    def _text(self, name: str, *, required: bool) -> str | None:
        path = self.folder / name
        if not path.is_file():
            if required:
                self.unread.add(name)
                self._add(name, "", "the file is missing", "Add it; `rapport desk new DIR` writes one to start from")
            return None
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            self.unread.add(name)
            self._add(name, f"byte {error.start}", "the file is not UTF-8", "Save it again with the encoding UTF-8")
            return None

    def _yaml(self, name: str, *, required: bool) -> dict[str, Any]:
        text = self._text(name, required=required)
        if text is None:
            return {}
        try:
            content = yaml.load(text, _UniqueKeys)  # noqa: S506 (a safe loader that refuses repeated keys)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
            self.unread.add(name)
            row = f"row {mark.line + 1}" if mark else ""
            self._add(name, row, f"it is not valid YAML ({reason})", "Check indentation, quotes and colons there")
            return {}
        if not isinstance(content, dict) or not content:
            self.unread.add(name)
            self._add(
                name, "", "it does not hold `name: value` entries", "Write it as the bundled desk's file is written"
            )
            return {}
        return content

    def _validate(self, name: str, place: str, model: type[Model], content: Any) -> Model | None:
        try:
            return model.model_validate(content)
        except ValidationError as error:
            for one in error.errors():
                where = ".".join(part for part in (place, *map(str, one["loc"])) if part not in ("", "[key]"))
                remedy = "Remove it or correct its name" if one["type"] == "extra_forbidden" else "Correct this entry"
                self._add(name, where, one["msg"].removeprefix("Value error, "), remedy)
            return None

    def _settings(self) -> DeskFile | None:
        content = self._yaml("desk.yaml", required=True)
        settings = self._validate("desk.yaml", "", DeskFile, content) if content else None
        if settings is not None:
            try:
                ZoneInfo(settings.timezone)
            except (ZoneInfoNotFoundError, ValueError):
                what = f"there is no time zone {settings.timezone!r}"
                self._add("desk.yaml", "timezone", what, "Use a name like Europe/London or UTC")
        return settings

    def _entries(self, name: str, key: str, model: type[Model]) -> dict[str, Model]:
        content = self._yaml(name, required=True)
        entries = content.get(key, content) if key else content
        if not isinstance(entries, dict):
            self.unread.add(name)
            self._add(name, key, "it does not hold entries by name", "Write one entry for each name")
            return {}
        beside = [str(one) for one in content if one != key] if key in content else []
        for one in beside:
            self._add(
                name, one, f"it stands beside `{key}:`, where it is not read", f"Indent it like those below `{key}:`"
            )
        self.names[name] = {*map(str, entries), *beside}
        checked = {str(entry): self._validate(name, str(entry), model, value) for entry, value in entries.items()}
        return {entry: value for entry, value in checked.items() if value is not None}

    def _facts(self) -> dict[str, FactSpec]:
        if not (self.folder / "facts.yaml").is_file():
            return {}
        specs = {}
        for name, entry in self._entries("facts.yaml", "", FactFile).items():
            already = len(self.problems)
            known = {alias.lower(): value for value, aliases in entry.values.items() for alias in (*aliases, value)}
            longest_first = "|".join(sorted(map(regex.escape, known), key=len, reverse=True))
            named = [rf"(?<!\w)(?P<value>{longest_first})(?!\w)"] if known else []
            specs[name] = FactSpec(
                name=name,
                label=entry.label,
                patterns=self._patterns(name, (*entry.patterns, *named)),
                answers=self._patterns(name, entry.answers),
                near_misses=self._patterns(name, entry.near_misses),
                values=known,
                words=tuple(word.lower() for word in entry.words),
                form=entry.form,
                case=entry.case,
                ask=entry.ask,
                confirm=entry.confirm,
                personal=entry.personal,
                dated=entry.dated,
                keep_days=entry.keep_days,
                check=fact_check(entry.check, entry.region),
            )
            if len(self.problems) == already:  # else the examples only say so again
                self._check_examples(specs[name], entry)
            for wording in (*entry.ask, *entry.confirm):
                self._check_braces("facts.yaml", name, wording)
        return specs

    def _patterns(self, name: str, sources: Sequence[str]) -> tuple[regex.Pattern[str], ...]:
        return tuple(pattern for source in sources if (pattern := self._pattern(name, source)))

    def _pattern(self, name: str, source: str) -> regex.Pattern[str] | None:
        try:
            pattern: regex.Pattern[str] = regex.compile(source, regex.IGNORECASE)
        except regex.error as error:
            self._add("facts.yaml", name, f"{source!r} is not a regular expression ({error})", "Correct the pattern")
            return None
        if "value" not in pattern.groupindex:
            self._add("facts.yaml", name, f"{source!r} has no group named value", "Write (?P<value>...) around it")
            return None
        return pattern

    def _check_examples(self, spec: FactSpec, entry: FactFile) -> None:
        for text, expected in entry.examples.items():
            try:
                found = spec.find(text)
            except TimeoutError:
                what = f"in the example {text!r} a pattern takes longer than a second"
                self._add("facts.yaml", f"{spec.name}.examples", what, "Make the pattern simpler")
                continue
            if found != expected:
                what = f"in the example {text!r} the patterns find {found!r}, not {expected!r}"
                self._add("facts.yaml", f"{spec.name}.examples", what, "Correct the pattern or the example")

    def _rows(self, name: str, columns: tuple[str, ...], *, required: bool) -> list[tuple[int, dict[str, str]]]:
        text = self._text(name, required=required)
        if text is None:
            return []
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows: list[tuple[int, dict[str, str]]] = []
        sound = 0  # the last row that could be read
        try:
            if missing := [column for column in columns if column not in (reader.fieldnames or [])]:
                self.unread.add(name)
                what = f"the first row lacks the column {' and '.join(missing)}"
                remedy = f"Begin the file with: {','.join(columns)}"
                if any(mark in (reader.fieldnames or [""])[0] for mark in ";\t"):
                    what = "its columns are not separated by commas"
                    remedy = "Save it as CSV with commas, not with semicolons or tabs"
                self._add(name, "row 1", what, remedy)
                return []
            for row in reader:
                sound, place = reader.line_num, f"row {reader.line_num}"
                if None in row:
                    what = "the row has more columns than the first one"
                    self._add(name, place, what, 'Put a text with commas in quotes: "Hi, there"')
                    continue
                values = {column: (row[column] or "").strip() for column in columns}
                for column, value in values.items():
                    if not value:
                        self._add(name, place, f"the {column} is empty", "Fill it in or remove the row")
                    if len(value) > MOST_CHARS:
                        self._add(name, place, f"the {column} has {len(value):,} characters", _LONG)
                if all(0 < len(value) <= MOST_CHARS for value in values.values()):
                    rows.append((reader.line_num, values))
        except csv.Error as error:
            self.unread.add(name)
            if "field limit" in str(error):
                self._add(name, f"row {sound + 1}", f"a text has over {csv.field_size_limit():,} characters", _LONG)
            else:
                self._add(name, f"row {sound + 1}", f"it is not valid CSV ({error})", "Check the quotes in this row")
        return rows

    def _messages(self, name: str, columns: tuple[str, ...] = ("text", "intent")) -> list[tuple[int, str, str]]:
        rows = self._rows(name, columns, required=self.taught and name == INTENTS)
        found = []
        for number, row in rows:
            label = "; ".join(intents_of(row.get("intent", "")))
            if "intent" in columns and not label:
                self._add(name, f"row {number}", "the intent names none", "Fill it in or remove the row")
                continue
            found.append((number, row["text"], label))
        return found

    def _articles(self) -> tuple[dict[str, str], list[Passage]]:
        articles, passages = {}, []
        for path in sorted((self.folder / "articles").glob("*.md")):
            name = f"articles/{path.name}"
            text = self._text(name, required=True)
            if text is None:
                continue
            try:
                passages += split_article(path.stem, text)
                articles[path.stem] = text
            except ValueError as error:
                self._add(name, "row 1", str(error), "Write `# Title`, then the text with `## headings`")
        return articles, passages

    def _replies(self, settings: DeskFile | None) -> dict[str, tuple[str, ...]]:
        defaults = yaml.safe_load((DESKS / "replies.yaml").read_text(encoding="utf-8"))
        replies = {name: tuple(wordings) for name, wordings in defaults.items()}
        for name, wordings in (settings.replies if settings else {}).items():
            if name not in replies:
                remedy = f"Use one of: {', '.join(sorted(replies))}"
                self._add("desk.yaml", f"replies.{name}", "the bot has no such sentence", remedy)
            for wording in wordings:
                self._check_braces("desk.yaml", f"replies.{name}", wording)
            replies[name] = wordings
        return replies

    def _check_braces(self, file: str, place: str, wording: str) -> frozenset[str] | None:
        """Return the names in braces of a wording, or None where the braces are wrong."""
        try:
            return placeholders(wording)
        except ValueError as error:
            what = f"in {wording[:60]!r} the braces are wrong ({error})"
            self._add(file, place, what, "Write {name}, with a name between two braces")
            return None

    def _check_starters(self, settings: DeskFile | None) -> None:
        for name in settings.starters if settings else ():
            if self._lacks("answers.yaml", name):
                self._add("desk.yaml", "starters", f"there is no answer {name!r}", "Name an intent of answers.yaml")

    def _lacks(self, file: str, name: str) -> bool:
        """Return whether a file is known to have no such entry."""
        return file not in self.unread and name not in self.names.get(file, set())

    def _check_answers(self, answers: Mapping[str, Answer]) -> None:
        tools = self._tool_names()
        titles = Counter(answer.title.casefold() for answer in answers.values())
        for intent, answer in answers.items():
            problems = [
                *(
                    f"it needs {fact!r}, which facts.yaml does not have"
                    for fact in answer.needs
                    if self._lacks("facts.yaml", fact)
                ),
                *(
                    f"it suggests {other!r}, which has no answer"
                    for other in answer.suggestions
                    if self._lacks("answers.yaml", other)
                ),
            ]
            if answer.tool and tools is not None and answer.tool not in tools:
                problems.append(f"tools.py has no tool {answer.tool!r}")
            if answer.article and not (self.folder / "articles" / f"{answer.article}.md").is_file():
                problems.append(f"there is no article articles/{answer.article}.md")
            if titles[answer.title.casefold()] > 1:
                problems.append(f"its title {answer.title!r} is also another answer's")
            for what in problems:
                self._add("answers.yaml", intent, what, "Correct the name, or add what is missing")
            self._check_wordings(intent, answer)

    def _check_wordings(self, intent: str, answer: Answer) -> None:
        for outcome, wordings in {"": answer.text, **answer.outcomes}.items():
            for wording in wordings:
                names = self._check_braces("answers.yaml", intent, wording)
                if names is None:
                    continue
                self._check_names(intent, answer, wording, names)
                if answer.hands_off(outcome or None) and "handoff" not in names:
                    what = f"a colleague takes over, but {wording[:60]!r} does not say so"
                    self._add("answers.yaml", intent, what, "Add {handoff} to the wording, or remove `handoff`")
                elif "handoff" in names and not answer.hands_off(outcome or None):
                    what = f"{wording[:60]!r} says {{handoff}}, but no colleague takes over"
                    self._add("answers.yaml", intent, what, "Add `handoff: true` to the answer, or remove {handoff}")
        if answer.promise and (names := self._check_braces("answers.yaml", f"{intent}.promise", answer.promise)):
            self._check_names(intent, answer, answer.promise, names)

    def _check_names(self, intent: str, answer: Answer, wording: str, names: frozenset[str]) -> None:
        unknown = sorted(name for name in names - _ALWAYS_KNOWN if self._lacks("facts.yaml", name))
        if unknown and not answer.tool:
            what = f"{wording[:60]!r} uses {', '.join(unknown)}, which nothing fills in"
            self._add("answers.yaml", intent, what, "Correct the name, or add the fact to facts.yaml")

    def _tool_names(self) -> set[str] | None:
        """Return the names of the desk's tools, or None where they cannot be known."""
        try:
            factory = load_tool_factory(self.folder / "tools.py")
        except Exception as error:  # noqa: BLE001 (the desk's own code may raise anything while it is imported)
            what = f"it cannot be imported ({type(error).__name__}: {error})"
            self._add("tools.py", "", what, "It must define make_tools(home, today)")
            return None
        source = self._text("tools.py", required=False) or ""
        return set(regex.findall(r"@tool[^\n]*\n\s*(?:async\s+)?def\s+(\w+)", source)) if factory else set()
