"""A Rasa project turned into a desk: what has a place there is written, everything else is named.

nlu examples -> intents.csv        responses, rules, stories -> answers.yaml
entities, synonyms, regexes, lookup tables -> facts.yaml     session_config, language -> desk.yaml
"""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot.desk_messages import MIN_MESSAGES
from bot.desk_reader import check_desk
from bot.problems import RapportError
from bot.rasa.answers import FALLBACK, OUTSIDE, answers_of, fallback_replies
from bot.rasa.facts import facts_of
from bot.rasa.project import Note, RasaProject, read_project

_SPARE = {"pipeline": "component", "policies": "policy"}


@dataclass(frozen=True)
class Imported:
    """How much went into the desk, and what a person should know about the rest."""

    intents: int
    messages: int
    facts: int
    notes: tuple[Note, ...]


def import_rasa(source: Path, out: Path) -> Imported:
    """Write the desk that a Rasa project amounts to, whole or not at all.

    Raises:
        RapportError: the project cannot be read, nothing of it can be a desk, or `out` is there already.
        OSError: the desk cannot be written.
    """
    if out.exists():
        raise RapportError(f"{out} is already there. Name a folder that does not exist yet.")
    project = read_project(source)
    rows, outside = _messages(project)
    facts = facts_of(project)
    answers = answers_of(project, dict.fromkeys(intent for _, intent in rows), set(facts))
    if len({intent for _, intent in rows}) < 2:
        raise RapportError(f"{source} lacks two intents with {MIN_MESSAGES} examples, which is what a desk needs.")
    settings = _settings(project, answers)
    _name_the_rest(project)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        draft = Path(scratch) / out.name
        draft.mkdir()
        _write_csv(draft / "intents.csv", ("text", "intent"), rows)
        if outside:
            _write_csv(draft / "out_of_scope.csv", ("text",), [(text,) for text in outside])
        for name, content in (("answers", {"answers": answers}), ("facts", facts), ("desk", settings)):
            if content:
                (draft / f"{name}.yaml").write_text(_yaml(content), encoding="utf-8")
        if problems := check_desk(draft):
            lines = "\n".join(f"  {problem}" for problem in problems)
            raise RapportError(f"{source} would make a desk with mistakes; nothing was written:\n{lines}")
        shutil.move(draft, out)
    return Imported(len(answers), len(rows), len(facts), tuple(dict.fromkeys(project.notes)))


def _messages(project: RasaProject) -> tuple[list[tuple[str, str]], list[str]]:
    """Return labelled messages, and those that are out of scope; each message once, under the intent it had first."""
    seen: dict[str, str] = {}
    labelled: list[tuple[str, str]] = []
    for intent, texts in project.examples.items():
        for text in (" ".join(one.split()) for one in texts):
            first = seen.setdefault(text.casefold(), intent)
            if first != intent:
                project.note("example", repr(text), f"it is {first} and {intent}; kept as {first}.")
            elif text:
                labelled.append((text, intent))
    unique = dict.fromkeys(labelled)
    counts = Counter(intent for _, intent in unique)
    for intent, count in counts.items():
        if count < MIN_MESSAGES and intent not in (OUTSIDE, FALLBACK):
            what = f"{count} examples are too few to learn from; add some (at least {MIN_MESSAGES}), then import again."
            project.note("intent", intent, what)
    rows = [row for row in unique if counts[row[1]] >= MIN_MESSAGES and row[1] not in (OUTSIDE, FALLBACK)]
    return rows, [text for text, intent in unique if intent == OUTSIDE]


def _settings(project: RasaProject, answers: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return desk.yaml."""
    folder = project.folder.resolve().name.replace("_", " ").replace("-", " ").strip()
    settings: dict[str, Any] = {"name": folder.title() or "Imported desk"}
    if (language := project.config.get("language")) and language != "en":
        settings["language"] = str(language)
        what = "sentences that Rapport says for itself are English; write yours under `replies` in desk.yaml."
        project.note("language", str(language), what)
    session = project.domain.get("session_config") or {}
    memory: dict[str, Any] = {}
    if minutes := _number(session.get("session_expiration_time")):
        memory["new_session_after_hours"] = round(minutes / 60, 2) or 0.01
    elif "session_expiration_time" in session:
        project.note("session_config", "", "a session that never ends is not to be had; desk.yaml says after how long.")
    if str(session.get("carry_over_slots_to_new_session", "true")).lower() == "false":
        memory["next_session"] = {"facts": False}
    if memory:
        settings["memory"] = memory
    if starters := next((answers[name].get("suggestions") for name in ("greet", "greeting") if name in answers), None):
        settings["starters"] = starters
    if replies := fallback_replies(project):
        settings["replies"] = replies
    return settings


def _number(text: Any) -> float:
    try:
        return max(float(text), 0.0)
    except (TypeError, ValueError):
        return 0.0


def _name_the_rest(project: RasaProject) -> None:
    """Note what a desk has no place for, and what it needs that Rasa does not know."""
    project.note("desk.yaml", "hours", "Rasa knows no opening hours; without them a handoff says that nobody is there.")
    for name in project.entries("actions"):
        if not name.startswith("utter_") and not name.startswith("validate_"):
            project.note("custom action", name, "write a look-up for it in tools.py and name it in answers.yaml.")
    for name in project.entries("e2e_actions"):
        project.note("end-to-end action", repr(name), "a reply is written in answers.yaml; copy it there.")
    for name in project.entries("forms"):
        project.note("form", name, "put what it asks for under `needs` of an answer; the bot asks for facts by itself.")
    for key, kind in _SPARE.items():
        for one in project.config.get(key) or ():
            name = str(one.get("name", "") if isinstance(one, dict) else one)
            project.note(kind, name, "Rapport has its own; its settings are not carried over.")


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
