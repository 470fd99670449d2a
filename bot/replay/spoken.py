"""A logged conversation as turns: what a customer said, what they saw as the reply, and what was kept of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.calls import ID
from bot.desk import Desk
from bot.replay.reliving import Lived
from bot.replay.run_folder import SeenMessage
from bot.turn import Kept
from finetune.logs import Conversation, LogMessage
from memory.particulars import find_questions, states


@dataclass(frozen=True)
class Spoken:
    """One customer turn of a log; `number` counts from 1.

    `handed_over`: a colleague has taken over from the log's bot with what was said after this message, or before.
    `takes_over`: the first such turn.
    """

    conversation: str
    customer: str
    number: int
    at: datetime
    text: str
    label: str | None
    seen: tuple[SeenMessage, ...]
    before: tuple[SeenMessage, ...] = ()
    handed_over: bool = False
    takes_over: bool = False

    @property
    def said(self) -> str:
        """What the customer saw as the reply, empty where nobody replied."""
        return "\n\n".join(one.text for one in self.seen)

    @property
    def by_agent(self) -> bool:
        """Whether a person replied."""
        return any(one.role == "agent" for one in self.seen)


def turns_of(conversation: Conversation) -> list[Spoken]:
    """Return the customer turns of a logged conversation; what is said to nobody's message goes with the first one."""
    before: list[SeenMessage] = []
    turns: list[tuple[LogMessage, list[SeenMessage]]] = []
    for message in conversation.messages:
        if message.role == "customer":
            turns.append((message, []))
        else:
            one = SeenMessage(message.role, message.text, message.at.isoformat(), message.answer)
            (turns[-1][1] if turns else before).append(one)
    spoken: list[Spoken] = []
    bot = any(one.role == "bot" for one in before)
    handed_over = False
    for number, (message, seen) in enumerate(turns, 1):
        bot = bot or any(one.role == "bot" for one in seen)
        takes_over = not handed_over and bot and any(one.role == "agent" for one in seen)
        handed_over = handed_over or takes_over
        spoken.append(
            Spoken(
                conversation.conversation_id,
                conversation.customer_id,
                number,
                message.at,
                message.text,
                message.intent,
                tuple(seen),
                tuple(before) if number == 1 else (),
                handed_over,
                takes_over,
            )
        )
    return spoken


def safe_id(name: str) -> str:
    """Return an id as the bot takes it: the log's own, or a hash where it has other characters or is too long."""
    return name if ID.fullmatch(name) else f"log-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def as_seen(lived: Lived, spoken: Spoken, desk: Desk) -> Kept:
    """Return what is kept of a turn whose customer saw the log's reply: these words, and a record that fits them.

    Where the bot would have said the same, its own record stands. Otherwise the customer's facts stay, and of what the
    bot would have done next only that a fact was asked for, where the log's reply asks something too.
    """
    decision, said = lived.decision, spoken.said
    if _flat(said) == _flat(lived.reply):
        return Kept(said, {**decision, "handed_over": spoken.handed_over}, spoken.handed_over)
    label = next((one.answer for one in reversed(spoken.seen) if one.answer in desk.answers), None)
    topic = desk.answers[label].title if label and desk.answers[label].topic else decision["topic"]
    asks = decision["pending"].get("kind") == "ask" and bool(find_questions(said))
    record: Mapping[str, Any] = {
        **decision,
        "action": "logged",
        "intent": label or (decision["intent"] if asks else ""),
        "sources": [],
        "suggestions": [],
        "pending": decision["pending"] if asks else {},
        "about": {name: value for name, value in decision["about"].items() if decision["facts"].get(name) == value},
        "topic": topic,
        "also": [] if label else decision["also"],
        "state": "handed_over" if spoken.takes_over else "answered" if states(said) and not asks else "open",
        "promise": "",
        "failure": False,
        "wording": "",
        "written_by": "colleague" if spoken.by_agent else "log",
        "handed_over": spoken.handed_over,
    }
    return Kept(said, {key: value for key, value in record.items() if key != "handoff_summary"}, spoken.handed_over)


def _flat(text: str) -> str:
    return " ".join(text.split()).casefold()
