"""A Rasa project, read: its examples, entities, responses and what its rules and stories answer with.

Files are found anywhere under the folder and told apart by their keys, as Rasa does it.
https://legacy-docs-oss.rasa.com/docs/rasa/training-data-format
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bot.problems import RapportError

# [thai](cuisine), [thai](cuisine:Thai), [thai]{"entity": "cuisine", "value": "Thai"}, [thai][{"entity": ...}, ...]
_ANNOTATION = re.compile(
    r"\[(?P<text>[^\]]+)\]"
    r"(?:\((?P<entity>[^:()]+)(?::(?P<value>[^()]+))?\)|(?P<one>\{[^{}]*\})|\[(?P<several>\{[^\]]*\})\])"
)
_LISTS = ("synonym", "regex", "lookup")
_SKIPPED = {"tests", "models", "node_modules", "venv", "results"}


@dataclass(frozen=True)
class Note:
    """Something of the project that a desk has no place for, or that a person should look at, and what to do."""

    kind: str
    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.what}" if self.name else f"{self.kind}: {self.what}"


@dataclass
class RasaProject:
    """What was found; lists are in the order of the files.

    `examples` are messages by intent, without annotations. `entities` holds, per entity, what examples call a value,
    with the value meant. `answered` says for every intent which actions follow it: in unconditional rules, and in
    stories. `domain` is the whole domain, merged; `config` the pipeline, policies and language.
    """

    folder: Path
    examples: dict[str, list[str]] = field(default_factory=dict)
    entities: dict[str, dict[str, str]] = field(default_factory=dict)
    synonyms: dict[str, list[str]] = field(default_factory=dict)
    regexes: dict[str, list[str]] = field(default_factory=dict)
    lookups: dict[str, list[str]] = field(default_factory=dict)
    rules: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    stories: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    domain: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)

    def note(self, kind: str, name: str, what: str) -> None:
        """Add a note."""
        self.notes.append(Note(kind, name, what))

    def entries(self, key: str) -> dict[str, Any]:
        """Return what the domain lists under a key, by name; a plain name has nothing to it."""
        listed = self.domain.get(key) or {}
        if isinstance(listed, Mapping):
            return {str(name): content or {} for name, content in listed.items()}
        named = [entry if isinstance(entry, Mapping) else {str(entry): {}} for entry in listed]
        return {str(name): content or {} for entry in named for name, content in entry.items()}


def read_project(folder: Path) -> RasaProject:
    """Return the Rasa project in a folder.

    Raises:
        RapportError: there is no such folder, a file is no YAML, or no file of it has training examples.
    """
    if not folder.is_dir():
        raise RapportError(f"There is no folder {folder}. Name the folder of a Rasa project.")
    project = RasaProject(folder)
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or any(
            part.startswith(".") or part in _SKIPPED for part in path.relative_to(folder).parts
        ):
            continue
        name = str(path.relative_to(folder))
        if path.name in ("endpoints.yml", "credentials.yml"):
            project.note("file", name, "connections and secrets are settings here (RAPPORT_*); it was not read.")
        elif path.suffix in (".yml", ".yaml"):
            _take(project, name, read_yaml(path))
        elif path.suffix == ".py" and path.name != "__init__.py":
            project.note("file", name, "its code is not carried over; look-ups go into the desk's tools.py.")
        elif path.suffix == ".md" and re.search(r"^## *(intent|synonym|lookup|regex):", _text(path), re.MULTILINE):
            project.note("file", name, "it has the format of Rasa 1; turn it into YAML with Rasa 2: rasa data convert.")
    if not project.examples:
        raise RapportError(f"{folder} has no Rasa training data: no YAML file in it has `nlu:` with intents.")
    return project


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RapportError(f"{path} is not UTF-8 (byte {error.start}). Save it again with that encoding.") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a YAML file with every scalar as the text that stands there: to Rasa's YAML 1.2, `yes` is a word."""
    try:
        content = yaml.load(_text(path), yaml.BaseLoader)  # noqa: S506 (it makes strings, lists and mappings, no objects)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        row = f", row {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "it cannot be read"
        raise RapportError(f"{path}{row} is not valid YAML ({reason}). Correct it, then import again.") from None
    return content if isinstance(content, dict) else {}


def _take(project: RasaProject, name: str, content: dict[str, Any]) -> None:
    """Add one file's content to the project."""
    for entry in mappings(content.pop("nlu", None)):
        _take_nlu(project, name, entry)
    for kind, answered in (("rules", project.rules), ("stories", project.stories)):
        for story in mappings(content.pop(kind, None)):
            _take_story(project, kind, story, answered)
    for key, value in content.items():
        if key in ("pipeline", "policies", "language"):
            project.config[key] = value
        elif key in ("intents", "entities", "actions", "e2e_actions"):
            project.domain[key] = [*project.domain.get(key, []), *(value if isinstance(value, list) else [])]
        elif key in ("responses", "templates", "slots", "forms", "session_config") and isinstance(value, dict):
            known = project.domain.setdefault("responses" if key == "templates" else key, {})
            known.update(value)
        elif key == "flows":
            project.note("file", name, "flows are for a language model to follow; they are not carried over.")


def _take_nlu(project: RasaProject, name: str, entry: dict[str, Any]) -> None:
    lines = list(_lines(entry.get("examples")))
    if intent := entry.get("intent"):
        project.examples.setdefault(str(intent), []).extend(unannotated(project, line) for line in lines)
        return
    for kind in _LISTS:
        if entry.get(kind):
            lists = {"synonym": project.synonyms, "regex": project.regexes, "lookup": project.lookups}
            lists[kind].setdefault(str(entry[kind]), []).extend(lines)
            return
    project.note("file", name, f"an entry under nlu is of no known kind ({', '.join(map(str, entry))}).")


def _lines(examples: Any) -> Iterator[str]:
    """Yield the examples of an entry: lines of a block that begin with a dash, or a list of texts."""
    if isinstance(examples, list):
        for example in examples:
            text = example.get("text", "") if isinstance(example, dict) else example
            yield from _lines(text if str(text).lstrip().startswith("-") else f"- {text}")
    elif isinstance(examples, str):
        found = (line.strip().removeprefix("-").strip() for line in examples.splitlines() if line.strip()[:1] == "-")
        yield from filter(None, found)


def unannotated(project: RasaProject, line: str) -> str:
    """Return an example as a customer would write it, and keep what it says of entities."""

    def plain(match: re.Match[str]) -> str:
        entity, value = match["entity"], match["value"]
        if braces := match["one"] or match["several"]:
            try:
                first = json.loads(f"[{braces}]")[0]
            except ValueError:
                return match[0]
            entity, value = first.get("entity"), first.get("value")
            if "role" in first or "group" in first:
                project.note("entity", f"{entity}", f"roles and groups are not told apart (in {line!r}).")
        if entity:
            project.entities.setdefault(str(entity).strip(), {})[match["text"]] = str(value or match["text"])
        return match["text"]

    return _ANNOTATION.sub(plain, line)


def _take_story(
    project: RasaProject, kind: str, story: dict[str, Any], answered: dict[str, list[tuple[str, ...]]]
) -> None:
    """Note which actions follow which intent; a rule that holds only under a condition says nothing about others."""
    title = str(story.get("rule" if kind == "rules" else "story", ""))
    start, *turns = _turns(mappings(story.get("steps")))
    if kind == "rules" and (story.get("condition") or start.conditional):
        project.note("rule", title, "it holds only under a condition, which a desk has no place for.")
        return
    for turn in turns:
        for intent in turn.intents if turn.actions and not turn.conditional else ():
            answered.setdefault(intent, []).append(tuple(turn.actions))
    if kind == "stories" and len(turns) > 1:
        what = f"of its {len(turns)} turns only what each intent is answered with was taken, not their order."
        project.note("story", title, what)


@dataclass
class _Turn:
    """What stands between two messages of a story; `conditional`: slots, forms or checkpoints come before an action."""

    intents: list[str]
    actions: list[str] = field(default_factory=list)
    conditional: bool = False


def _turns(steps: list[dict[str, Any]]) -> list[_Turn]:
    """Return what comes before the first message, and then every message with the actions that follow it."""
    turns = [_Turn([])]
    for step in steps:
        asked = [str(one["intent"]) for one in (step, *mappings(step.get("or"))) if one.get("intent")]
        if asked or "user" in step:
            turns.append(_Turn(asked))
        elif step.get("action"):
            turns[-1].actions.append(str(step["action"]))
        elif not turns[-1].actions:
            turns[-1].conditional = True
    return turns


def mappings(value: Any) -> list[dict[str, Any]]:
    """Return the mappings in a list, none of anything else."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
