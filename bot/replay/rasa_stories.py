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


def unread(content: Mapping[str, Any]) -> list[str]:
    """Return what of a file whose YAML has been read is none of Rasa's stories, though it tests something."""
    return [f"{key}: only stories are run" for key in ("rules", "test_cases") if content.get(key)]


def _story(name: str, path: Path, steps: list[dict[str, Any]], desk: Desk) -> Story:
    messages: list[LogMessage] = []
    expected: dict[tuple[str, int], dict[str, Any]] = {}
    skipped: list[str] = []
    heard = False  # whether the last turn of the story is one that was read
    conversation = safe_id(f"{path.name}: {name}")
    for step in steps:
        if "user" in step:
            heard = True
            messages.append(_message(step, path, messages, skipped))
            intent = str(step.get("intent", ""))
            if intent in desk.answers:
                expected[(conversation, len(messages))] = {"understood": intent}
            elif intent:
                skipped.append(f"intent {intent}: the desk has no answer of this name")
        elif "action" in step:
            action = str(step["action"])
            wanted, known = _expected(action, desk), expected.get((conversation, len(messages)), {})
            if action in _SILENT:
                continue
            if not heard:
                skipped.append(f"action {action}: it follows no message that was read")
            elif not wanted:
                skipped.append(f"action {action}: it is none of the desk's")
            elif any(known.get(what, value) != value for what, value in wanted.items()):
                skipped.append(f"action {action}: a message gets one reply here, and another is expected already")
            else:
                expected[(conversation, len(messages))] = {**known, **wanted}
        else:
            what = next(iter(step), "step")
            heard = heard and what not in ("intent", "or")
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


def _message(step: Mapping[str, Any], path: Path, before: list[LogMessage], skipped: list[str]) -> LogMessage:
    """Return what a step says as a message a minute after those before, and note what is left of the step."""
    written = str(step["user"]).strip()
    text = unannotated(RasaProject(path.parent), written)
    if text != written:
        skipped.append(f"entities in {text!r}: not compared")
    skipped += [f"{what} of {text!r}: not read" for what in step if what not in ("user", "intent")]
    return LogMessage(role="customer", text=text, at=_BEGUN + timedelta(minutes=len(before)))


def _expected(action: str, desk: Desk) -> dict[str, Any]:
    """Return what an action of Rasa's means here: the answer of that name, the question for that fact; else nothing."""
    name = action.removeprefix("utter_")
    if name.startswith("ask_") and name.removeprefix("ask_") in desk.facts:
        return {"asks": name.removeprefix("ask_")}
    if action.startswith("utter_") and name in desk.answers:
        return {"intent": name}
    return {"action": _ACTIONS[action]} if action in _ACTIONS else {}
