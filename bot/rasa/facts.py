"""The facts of an imported Rasa project: its entities, with what its examples, tables and patterns say of them."""

from __future__ import annotations

import re
from typing import Any

import regex

from bot.rasa.project import RasaProject


def fact_name(entity: str) -> str:
    """Return an entity's name as it may stand in braces."""
    name = re.sub(r"\W+", "_", entity).strip("_")
    return f"the_{name}" if name[:1].isdigit() or name == "handoff" else name


def slots(project: RasaProject) -> dict[str, str]:
    """Return which fact fills a slot, by the slot's name: the entity it is mapped to, or the one of the same name."""
    found = {name: fact_name(name) for name in project.entries("entities")}
    for slot, content in project.entries("slots").items():
        for mapping in _mappings(content):
            if mapping.get("type") == "from_entity" and mapping.get("entity"):
                found[slot] = fact_name(str(mapping["entity"]))
    return found


def facts_of(project: RasaProject) -> dict[str, dict[str, Any]]:
    """Return facts.yaml, and note the entities, slots and patterns that have no place in it."""
    facts = {}
    for entity in dict.fromkeys([*project.entries("entities"), *project.entities]):
        patterns = _patterns(project, entity)
        values = _values(project, entity, examples=not patterns)
        if not patterns and not values:
            what = "no example, table or pattern says what it looks like; describe it in facts.yaml."
            project.note("entity", entity, what)
            continue
        if not patterns and entity not in project.lookups:
            what = f"known by its examples alone ({', '.join(values)}); add what is missing to facts.yaml."
            project.note("entity", entity, what)
        name, label = fact_name(entity), entity.replace("_", " ").strip()
        facts[name] = {
            "label": label,
            "words": [label],
            **({"patterns": patterns} if patterns else {}),
            **({"values": values} if values else {}),
            "ask": _questions(project, entity) or [f"Could you tell me the {label}?"],
            "confirm": [f"Is it still this {label}: {{{name}}}?"],
        }
    _name_the_rest(project)
    return facts


def _patterns(project: RasaProject, entity: str) -> list[str]:
    """Return the regular expressions of an entity, each with the part to keep in a group."""
    found = []
    for source in project.regexes.get(entity, ()):
        pattern = rf"(?<!\w)(?P<value>{source.removeprefix('^').removesuffix('$')})(?!\w)"
        try:
            regex.compile(pattern, regex.IGNORECASE)
        except regex.error as error:
            project.note("regex", entity, f"{source!r} cannot be used ({error}); write it anew in facts.yaml.")
            continue
        if re.search(r"\\[1-9]|\(\?P=", source):
            project.note("regex", entity, f"{source!r} refers to its own groups; write it anew in facts.yaml.")
            continue
        found.append(pattern)
    return found


def _values(project: RasaProject, entity: str, *, examples: bool) -> dict[str, list[str]]:
    """Return the values of an entity, each with what customers call it."""
    meant = {alias.casefold(): value for value, aliases in project.synonyms.items() for alias in aliases}
    said = {entry: entry for entry in project.lookups.get(entity, ())}
    if examples or said:
        said |= project.entities.get(entity, {})
    values: dict[str, list[str]] = {}
    for text, value in said.items():
        value = meant.get(value.casefold(), value)
        if not value.strip():
            continue
        aliases = values.setdefault(value, [value])
        aliases += [one for one in (text, *project.synonyms.get(value, ())) if one not in aliases]
    return values


def _questions(project: RasaProject, entity: str) -> list[str]:
    """Return what a form asks for an entity with."""
    filled = [entity, *(slot for slot, fact in slots(project).items() if fact == fact_name(entity))]
    forms = ["", *(f"{form}_" for form in project.entries("forms"))]
    names = dict.fromkeys(f"utter_ask_{form}{slot}" for slot in filled for form in forms)
    found = [one for name in names for one in project.entries("responses").get(name, ()) if isinstance(one, dict)]
    texts = [" ".join(str(one.get("text", "")).split()) for one in found]
    return [text for text in texts if text and "{" not in text and "}" not in text]


def _name_the_rest(project: RasaProject) -> None:
    entities = {*project.entries("entities"), *project.entities}
    for name, content in project.entries("slots").items():
        mappings = _mappings(content)
        if any(mapping.get("conditions") or mapping.get("role") or mapping.get("group") for mapping in mappings):
            project.note("slot", name, "conditions, roles and groups of its mapping are not carried over.")
        elif name not in entities and not any(mapping.get("type") == "from_entity" for mapping in mappings):
            project.note("slot", name, "no entity fills it; a desk remembers only facts that a message says.")
    for kind, lists in (("regex", project.regexes), ("lookup", project.lookups)):
        for name in lists:
            if name not in entities:
                project.note(kind, name, "it names no entity; it only helped Rasa's classifier.")
    used = {value for values in project.entities.values() for value in values.values()}
    used |= {entry for entries in project.lookups.values() for entry in entries}
    for value in project.synonyms:
        if value not in used and not any(alias in used for alias in project.synonyms[value]):
            project.note("synonym", value, "no example or table says which entity it belongs to.")


def _mappings(slot: Any) -> list[dict[str, Any]]:
    mappings = slot.get("mappings") if isinstance(slot, dict) else None
    return [one for one in mappings if isinstance(one, dict)] if isinstance(mappings, list) else []
