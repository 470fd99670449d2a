"""The answers of an imported Rasa project: the responses that its rules and stories give an intent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from bot.desk import placeholders
from bot.rasa.facts import slots
from bot.rasa.project import RasaProject

OUTSIDE, FALLBACK = "out_of_scope", "nlu_fallback"  # what Rasa projects call what is not understood
_SILENT = {"action_listen"}
# What Rasa projects call the messages that answer a question of the bot's; with a sentence for when none was asked.
_MEANS = {
    "affirm": ("yes", "All right. What can I do for you?"),
    "deny": ("no", "All right. What can I do for you instead?"),
    "inform": ("information", "Thank you, noted. What would you like to know?"),
}
# What they call mere conversation.
_CHAT = {*_MEANS, "greet", "goodbye", "bye", "thank", "thanks", "thankyou", "thank_you", "bot_challenge"}
_HANDOFF = "A colleague will help you with that. {handoff}"
_LONGEST_TITLE = 60
_EXTRAS = ("image", "attachment", "custom", "quick_replies", "elements")


def answers_of(project: RasaProject, intents: Iterable[str], facts: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the answers of answers.yaml.

    An intent whose response is not plain gets one that hands over to a colleague, and a note: its messages are not
    lost, and nobody is told something that the team has not written.
    """
    intents = list(intents)
    answers, used = {}, {name for names in _fallbacks(project).values() for name in names}
    for intent, title in _titles(project, intents).items():
        answer: dict[str, Any] = {"title": title}
        names = _responses(project, intent)
        used |= set(names)
        wordings = _wordings(project, names, facts)
        if intent in _MEANS:
            means, sentence = _MEANS[intent]
            answer["means"] = means
            wordings = [one for one in wordings if not placeholders(one)] or [sentence]
        if intent in _CHAT or intent.startswith("chitchat/"):
            answer["topic"] = False
        if wordings:
            answer["text"] = wordings
            if needs := min((sorted(placeholders(one)) for one in wordings), key=len):
                answer["needs"] = needs
        else:
            answer |= {"text": [_HANDOFF], "handoff": True}
        if suggestions := _suggestions(project, names, intents):
            answer["suggestions"] = suggestions
        answers[intent] = answer
    _name_the_rest(project, used)
    return answers


def fallback_replies(project: RasaProject) -> dict[str, list[str]]:
    """Return the bot's own sentences for what is out of scope, and for what it did not understand."""
    replies = {reply: _wordings(project, names, ()) for reply, names in _fallbacks(project).items()}
    return {reply: wordings for reply, wordings in replies.items() if wordings}


def _fallbacks(project: RasaProject) -> dict[str, list[str]]:
    """Return the responses behind the bot's own sentences, by the sentence's name in desk.yaml."""
    return {
        "out_of_scope": _responses(project, OUTSIDE, quietly=True) or ["utter_out_of_scope"],
        "not_understood": _responses(project, FALLBACK, quietly=True) or ["utter_default"],
    }


def _titles(project: RasaProject, intents: list[str]) -> dict[str, str]:
    """Return a button label for each intent: what a button of the project says, or else its name; each once."""
    labels: dict[str, str] = {}
    for button in _buttons(project, project.entries("responses")):
        if "{" not in str(button.get("payload")):  # one that sets an entity says more than the intent
            labels.setdefault(_target(button), str(button.get("title", "")).strip())
    titles: dict[str, str] = {}
    for intent in intents:
        name = re.sub(r"[_/\s]+", " ", intent).strip().capitalize() or "Question"
        short = re.sub(r"[_\s]+", " ", intent.rpartition("/")[2]).strip().capitalize()
        label = " ".join(labels.get(intent, "").split())
        title = (label or short or name)[:_LONGEST_TITLE]
        number = 1
        while title.casefold() in {other.casefold() for other in titles.values()}:
            title = name[:_LONGEST_TITLE] if number == 1 else f"{name[: _LONGEST_TITLE - 5]} ({number})"
            number += 1
        titles[intent] = title
    return titles


def _responses(project: RasaProject, intent: str, *, quietly: bool = False) -> list[str]:
    """Return the responses that an intent is answered with, none where that is not plain.

    A rule says it, else the stories where they agree, else the response of the intent's own name.
    """
    known = project.entries("responses")
    if "/" in intent:
        return [name] if (name := f"utter_{intent}") in known else []
    choices = dict.fromkeys(project.rules.get(intent, ())) or dict.fromkeys(project.stories.get(intent, ()))
    actions = [name for name in next(iter(choices), ()) if name not in _SILENT] if len(choices) == 1 else []
    spoken = [name for name in actions if name in known]
    own = [name for name in (f"utter_{intent}",) if name in known]
    if quietly or (spoken and spoken == actions):
        return spoken
    if spoken:
        rest = ", ".join(name for name in actions if name not in spoken)
        project.note("intent", intent, f"{rest}, which runs as well, is not carried over.")
        return spoken
    why = f"{', '.join(actions)} answers it" if actions else "rules and stories answer it in several ways"
    if own:
        project.note("intent", intent, f"{why if choices else 'no rule answers it'}; {own[0]} was taken for its name.")
    elif intent not in _MEANS:
        why = why if choices else "nothing in the project answers it"
        project.note("intent", intent, f"{why}; a colleague takes over until you write an answer in answers.yaml.")
    return own


def _wordings(project: RasaProject, names: list[str], facts: Collection[str]) -> list[str]:
    """Return the wordings of responses that are said one after the other."""
    found = [texts for name in names if (texts := _texts(project, name, facts))]
    most = max(map(len, found), default=0)
    return list(dict.fromkeys("\n\n".join(texts[n % len(texts)] for texts in found) for n in range(most)))


def _texts(project: RasaProject, name: str, facts: Collection[str]) -> list[str]:
    """Return the variations of a response that a desk can say, and note the others."""
    filled = slots(project)
    texts = []
    for variation in project.entries("responses").get(name) or ():
        if not isinstance(variation, dict):
            continue
        text = _with_facts(str(variation.get("text") or ""), filled)
        reason = _not_said(variation, text, facts)
        if reason:
            project.note("response", name, f"{text[:60]!r} was left out: {reason}.")
        else:
            texts.append(text)
        if extras := [key for key in _EXTRAS if variation.get(key)]:
            project.note("response", name, f"only text and buttons are carried over, not {', '.join(extras)}.")
    return texts


def _with_facts(text: str, filled: dict[str, str]) -> str:
    """Return a text with the names of slots replaced by the names of the facts that fill them."""
    return re.sub(r"\{(\w+)\}", lambda slot: f"{{{filled.get(slot[1], slot[1])}}}", text).strip()


def _not_said(variation: dict[str, Any], text: str, facts: Collection[str]) -> str:
    if not text:
        return "it has no text"
    if variation.get("condition"):
        return "it is said only under a condition"
    if variation.get("channel"):
        return f"it is for the channel {variation['channel']} only"
    try:
        unknown = placeholders(text) - set(facts)
    except ValueError:
        return "its braces hold no name"
    return f"nothing fills in {', '.join(sorted(unknown))}" if unknown else ""


def _suggestions(project: RasaProject, names: list[str], intents: list[str]) -> list[str]:
    found = []
    for button in _buttons(project, names):
        if (target := _target(button)) in intents:
            found.append(target)
    return list(dict.fromkeys(found))


def _buttons(project: RasaProject, names: Iterable[str]) -> list[dict[str, Any]]:
    responses = project.entries("responses")
    variations = [one for name in names for one in responses.get(name) or () if isinstance(one, dict)]
    return [button for one in variations for button in one.get("buttons") or () if isinstance(button, dict)]


def _target(button: dict[str, Any]) -> str:
    """Return the intent that a button's payload (`/intent{"entity": "value"}`) names, empty where it names none."""
    payload = str(button.get("payload") or "")
    return payload[1:].partition("{")[0].strip() if payload.startswith("/") else ""


def _name_the_rest(project: RasaProject, used: Collection[str]) -> None:
    """Note buttons that cannot be suggestions, and responses that no intent is answered with."""
    for name in project.entries("responses"):
        for button in _buttons(project, [name]):
            payload, title = str(button.get("payload") or ""), str(button.get("title") or "")
            if not _target(button):
                project.note("button", title, f"in {name}: its payload {payload!r} names no intent.")
            elif "{" in payload:
                project.note("button", title, f"in {name}: what its payload sets ({payload}) is not carried over.")
        if name not in used and not name.startswith("utter_ask_"):
            project.note("response", name, "no intent is answered with it; copy it into answers.yaml where it belongs.")
