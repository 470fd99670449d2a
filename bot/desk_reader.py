"""Reading a desk folder: every file parsed, every mistake listed, nothing half-accepted."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import regex
import yaml
from pydantic import BaseModel, ValidationError

from bot.desk import DESKS, Desk, load_tool_factory, placeholders
from bot.desk_files import Answer, DeskFile, FactFile
from bot.problems import DeskError, Problem
from memory import FactSpec
from retrieval.knowledge import Passage, split_article

Model = TypeVar("Model", bound=BaseModel)
MIN_MESSAGES = 5  # labelled messages an intent needs before anything can be learnt from it
# What the bot itself knows, beside facts and what a look-up returns.
_ALWAYS_KNOWN = {"bot_name", "desk", "handoff", "memory", "date", "label", "value", "question", "reply"}


def read_desk(folder: Path) -> Desk:
    """Return the desk in a folder.

    Raises:
        DeskError: the folder has mistakes; the error lists all of them.
    """
    reader = _Reader(folder)
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


class _Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[Problem] = []

    def read(self) -> Desk | None:
        if not self.folder.is_dir():
            self._add(str(self.folder), "", "there is no such folder", "Name a desk folder, or make one: rapport desk new DIR")
            return None
        settings = self._settings()
        answers = self._entries("answers.yaml", "answers", Answer)
        facts = self._facts()
        messages = self._messages("intents.csv", required=True)
        test_messages = self._messages("test.csv", required=False)
        articles, passages = self._articles()
        replies = self._replies(settings)
        if settings is None:
            return None
        if not {"facts.yaml", "answers.yaml"} & {problem.file for problem in self.problems}:
            self._check_answers(settings, answers, facts, articles)
            self._check_messages(messages, test_messages, answers)
        return Desk(
            folder=self.folder,
            settings=settings,
            answers=answers,
            replies=replies,
            facts=facts,
            passages=tuple(passages),
            articles=articles,
            messages=tuple((text, intent) for _, text, intent in messages),
            out_of_scope=self._texts("out_of_scope.csv"),
            test_messages=tuple((text, intent) for _, text, intent in test_messages),
            test_out_of_scope=self._texts("test_out_of_scope.csv"),
        )

    def _add(self, file: str, place: str, what: str, remedy: str) -> None:
        self.problems.append(Problem(file, place, what, remedy))

    def _text(self, name: str, *, required: bool) -> str | None:
        path = self.folder / name
        if not path.is_file():
            if required:
                self._add(name, "", "the file is missing", "Add it; `rapport desk new DIR` writes one to start from")
            return None
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            self._add(name, f"byte {error.start}", "the file is not UTF-8", "Save it again with the encoding UTF-8")
            return None

    def _yaml(self, name: str, *, required: bool) -> dict[str, Any]:
        text = self._text(name, required=required)
        if text is None:
            return {}
        try:
            content = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            row = f"row {error.problem_mark.line + 1}" if error.problem_mark else ""
            self._add(name, row, f"it is not valid YAML ({error.problem})", "Check indentation, quotes and colons there")
            return {}
        if not isinstance(content, dict):
            self._add(name, "", "it does not hold `name: value` entries", "Write it as the bundled desk's file is written")
            return {}
        return content

    def _validate(self, name: str, place: str, model: type[Model], content: Any) -> Model | None:
        try:
            return model.model_validate(content)
        except ValidationError as error:
            for one in error.errors():
                where = ".".join(filter(None, [place, *map(str, one["loc"])]))
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
            self._add(name, key, "it does not hold entries by name", "Write one entry for each name")
            return {}
        checked = {str(entry): self._validate(name, str(entry), model, value) for entry, value in entries.items()}
        return {entry: value for entry, value in checked.items() if value is not None}

    def _facts(self) -> dict[str, FactSpec]:
        if not (self.folder / "facts.yaml").is_file():
            return {}
        specs = {}
        for name, entry in self._entries("facts.yaml", "", FactFile).items():
            patterns = [self._pattern(name, source) for source in entry.patterns]
            answers = [self._pattern(name, source) for source in entry.answers]
            known = {alias.lower(): value for value, aliases in entry.values.items() for alias in (*aliases, value)}
            if known:
                longest_first = "|".join(sorted(map(regex.escape, known), key=len, reverse=True))
                patterns.append(self._pattern(name, rf"(?<!\w)(?P<value>{longest_first})(?!\w)"))
            specs[name] = FactSpec(
                name=name,
                label=entry.label,
                patterns=tuple(pattern for pattern in patterns if pattern),
                answers=tuple(pattern for pattern in answers if pattern),
                values=known,
                words=tuple(word.lower() for word in entry.words),
                form=entry.form,
                case=entry.case,
                ask=entry.ask,
                confirm=entry.confirm,
                personal=entry.personal,
                keep_days=entry.keep_days,
            )
            self._check_examples(specs[name], entry)
        return specs

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
            if (found := spec.find(text)) != expected:
                what = f"in the example {text!r} the patterns find {found!r}, not {expected!r}"
                self._add("facts.yaml", f"{spec.name}.examples", what, "Correct the pattern or the example")

    def _rows(self, name: str, columns: tuple[str, ...], *, required: bool) -> list[tuple[int, dict[str, str]]]:
        text = self._text(name, required=required)
        if text is None:
            return []
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if missing := [column for column in columns if column not in (reader.fieldnames or [])]:
            what = f"the first row lacks the column {' and '.join(missing)}"
            self._add(name, "row 1", what, f"Begin the file with: {','.join(columns)}")
            return []
        rows: list[tuple[int, dict[str, str]]] = []
        try:
            for row in reader:
                values = {column: (row[column] or "").strip() for column in columns}
                for column, value in values.items():
                    if not value:
                        self._add(name, f"row {reader.line_num}", f"the {column} is empty", "Fill it in or remove the row")
                if all(values.values()):
                    rows.append((reader.line_num, values))
        except csv.Error as error:
            self._add(name, f"row {reader.line_num}", f"it is not valid CSV ({error})", "Check the quotes in this row")
        return rows

    def _messages(self, name: str, *, required: bool) -> list[tuple[int, str, str]]:
        rows = self._rows(name, ("text", "intent"), required=required)
        return [(number, row["text"], row["intent"]) for number, row in rows]

    def _texts(self, name: str) -> tuple[str, ...]:
        return tuple(row["text"] for _, row in self._rows(name, ("text",), required=False))

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
            replies[name] = wordings
        return replies

    def _check_answers(
        self,
        settings: DeskFile,
        answers: Mapping[str, Answer],
        facts: Mapping[str, FactSpec],
        articles: Mapping[str, str],
    ) -> None:
        tools = self._tool_names()
        titles = Counter(answer.title.casefold() for answer in answers.values())
        for name in settings.starters:
            if name not in answers:
                self._add("desk.yaml", "starters", f"there is no answer {name!r}", "Name an intent of answers.yaml")
        for intent, answer in answers.items():
            problems = [
                *(f"it needs {fact!r}, which facts.yaml does not have" for fact in answer.needs if fact not in facts),
                *(f"it suggests {other!r}, which has no answer" for other in answer.suggestions if other not in answers),
            ]
            if answer.tool and answer.tool not in tools:
                problems.append(f"tools.py has no tool {answer.tool!r}")
            if answer.article and answer.article not in articles:
                problems.append(f"there is no article articles/{answer.article}.md")
            if titles[answer.title.casefold()] > 1:
                problems.append(f"its title {answer.title!r} is also another answer's")
            problems += self._check_wordings(answer, facts)
            for what in problems:
                self._add("answers.yaml", intent, what, "Correct the name, or add what is missing")

    def _check_wordings(self, answer: Answer, facts: Mapping[str, FactSpec]) -> list[str]:
        problems = []
        for outcome, wordings in {"": answer.text, **answer.outcomes}.items():
            for wording in wordings:
                try:
                    names = placeholders(wording)
                except ValueError as error:
                    problems.append(f"{wording[:60]!r}: {error}")
                    continue
                if not answer.tool and (unknown := names - set(facts) - _ALWAYS_KNOWN):
                    problems.append(f"{wording[:60]!r} uses {', '.join(sorted(unknown))}, which nothing fills in")
                if answer.hands_off(outcome or None) != ("handoff" in names):
                    problems.append(f"{wording[:60]!r} must hold {{handoff}} exactly when a colleague takes over")
        return problems

    def _tool_names(self) -> set[str]:
        try:
            factory = load_tool_factory(self.folder / "tools.py")
        except Exception as error:  # the desk's own code may raise anything while it is imported
            what = f"it cannot be imported ({type(error).__name__}: {error})"
            self._add("tools.py", "", what, "It must define make_tools(home, today)")
            return set()
        source = self._text("tools.py", required=False) or ""
        return set(regex.findall(r"@tool[^\n]*\n\s*(?:async\s+)?def\s+(\w+)", source)) if factory else set()

    def _check_messages(
        self,
        messages: list[tuple[int, str, str]],
        test_messages: list[tuple[int, str, str]],
        answers: Mapping[str, Answer],
    ) -> None:
        counts = Counter(intent for _, _, intent in messages)
        for name, rows in (("intents.csv", messages), ("test.csv", test_messages)):
            seen: dict[str, tuple[int, str]] = {}
            for number, text, intent in rows:
                if intent not in answers:
                    remedy = "Add it to answers.yaml or correct its name"
                    self._add(name, f"row {number}", f"the intent {intent!r} has no answer", remedy)
                first, label = seen.setdefault(text.casefold(), (number, intent))
                if label != intent:
                    what = f"the same message stands in row {first} as {label!r}, here as {intent!r}"
                    self._add(name, f"row {number}", what, "Keep the one that is right")
        for intent in answers:
            if counts[intent] < MIN_MESSAGES:
                what = f"the intent {intent!r} has {counts[intent]} messages"
                self._add("intents.csv", "", what, f"Give at least {MIN_MESSAGES}, better 20, for each intent")
