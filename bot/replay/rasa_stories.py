"""Rasa's end-to-end stories (`tests/test_stories.yml`), as far as a desk can tell whether they hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bot.desk import Desk
from bot.rasa.project import RasaProject, mappings, unannotated
from bot.replay.spoken import safe_id
from bot.replay.stories import Expected, Story
from finetune.logs import Conversation, LogMessage

_BEGUN = datetime(2000, 1, 1, 12, tzinfo=timezone.utc)  # stories know no times
_SILENT = frozenset({"action_listen", "action_session_start"})
# What Rasa calls its own ways out, as actions of this bot.
_ACTIONS = {"action_default_fallback": "not_understood", "utter_default": "not_understood"}


def read_rasa_stories(path: Path, content: Mapping[str, Any], desk: Desk) -> list[Story]:
    """Return the stories of a file whose YAML has been read, each with what of it was skipped."""
    stories = []
    for number, story in enumerate(mappings(content.get("stories")), 1):
        name = str(story.get("story") or f"story {number}")
        stories.append(_story(name, path, mappings(story.get("steps")), desk))
    return stories


def _story(name: str, path: Path, steps: list[dict[str, Any]], desk: Desk) -> Story:
    messages: list[LogMessage] = []
    expected: dict[tuple[str, int], dict[str, Any]] = {}
    skipped: list[str] = []
    conversation = safe_id(f"{path.name}: {name}")
    for step in steps:
        if "user" in step:
            text = unannotated(RasaProject(path.parent), str(step["user"]).strip())
            at = _BEGUN + timedelta(minutes=len(messages))
            messages.append(LogMessage(role="customer", text=text, at=at))
            intent = str(step.get("intent", ""))
            if intent in desk.answers:
                expected[(conversation, len(messages))] = {"understood": intent}
            elif intent:
                skipped.append(f"intent {intent}: the desk has no answer of this name")
        elif "action" in step and messages:
            action = str(step["action"])
            wanted = _expected(action, desk)
            if wanted:
                expected.setdefault((conversation, len(messages)), {}).update(wanted)
            elif action not in _SILENT:
                skipped.append(f"action {action}: it is none of the desk's")
        else:
            what = next(iter(step), "step")
            skipped.append("a step with an intent alone has no words" if what == "intent" else f"{what}: not read")
    spoken = {"conversation_id": conversation, "customer_id": conversation, "started_at": _BEGUN, "messages": messages}
    return Story(
        name,
        path.name,
        (Conversation.model_validate(spoken),) if messages else (),
        {key: Expected(**values) for key, values in expected.items()},
        _BEGUN,
        live=True,
        skipped=tuple(skipped),
    )


def _expected(action: str, desk: Desk) -> dict[str, Any]:
    """Return what an action of Rasa's means here: the answer of that name, the question for that fact; else nothing."""
    name = action.removeprefix("utter_")
    if name.startswith("ask_") and name.removeprefix("ask_") in desk.facts:
        return {"asks": name.removeprefix("ask_")}
    if action.startswith("utter_") and name in desk.answers:
        return {"intent": name}
    return {"action": _ACTIONS[action]} if action in _ACTIONS else {}
