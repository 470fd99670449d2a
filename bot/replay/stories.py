"""Stories: conversations with what the bot should decide in them, kept as YAML; `rapport test` runs them.

A pinned story holds a logged conversation, those that the customer began before its end, and what was decided at each
turn:

    story: c-0042
    mode: logged                 # whose words are the history: the log's, or the bot's own (live)
    today: 2026-11-23            # the day that look-ups take for today
    customer: masked-0a1b2c
    earlier:
    - conversation: c-0017
      steps: [...]
    steps:
    - customer: where is it?
      at: 2026-11-20T10:00:00+00:00
      expect: {action: look_up, intent: order_status}
    - agent: It should come tomorrow.
      at: 2026-11-20T10:01:00+00:00
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, time, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bot.problems import RapportError
from bot.replay.life import Life
from bot.replay.parts import State
from bot.replay.run_folder import ConversationRecord, Run, SeenMessage, TurnRecord
from bot.replay.spoken import safe_id
from finetune.logs import Conversation, LogMessage
from finetune.sheets import write_whole

_ROLES: tuple[Literal["customer", "agent", "bot"], ...] = ("customer", "agent", "bot")


class Expected(BaseModel):
    """What should be decided about a message; only what is named is compared.

    `understood` is the likeliest intent, `intent` the one that is served, `asks` the fact that is asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str | None = None
    intent: str | None = None
    understood: str | None = None
    asks: str | None = None
    hands_over: bool | None = None
    reply: str | None = None

    def broken(self, record: TurnRecord) -> list[str]:
        """Return a sentence for each thing that is not as expected."""
        found = {
            "action": record.action,
            "intent": record.intent,
            "understood": record.intents[0][0] if record.intents else "",
            "asks": str(record.pending.get("fact", "")) if record.action == "ask" else "",
            "hands_over": record.hand_off,
            "reply": record.reply,
        }
        wanted = self.model_dump(exclude_none=True)
        return [
            f"{name} is {found[name] or 'none'!r}, not {want!r}" for name, want in wanted.items() if found[name] != want
        ]


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    customer: str | None = None
    agent: str | None = None
    bot: str | None = None
    at: AwareDatetime
    label: str | None = None
    answer: str | None = None
    expect: Expected | None = None

    @model_validator(mode="after")
    def _one_speaks(self) -> _Step:
        if sum(getattr(self, role) is not None for role in _ROLES) != 1:
            raise ValueError("a step is what one of customer, agent and bot says")
        return self

    def message(self) -> LogMessage:
        role = next(role for role in _ROLES if getattr(self, role) is not None)
        return LogMessage(role=role, text=getattr(self, role), at=self.at, intent=self.label, answer=self.answer)


Steps = Annotated[tuple[_Step, ...], Field(min_length=1)]


class _Earlier(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    conversation: str
    steps: Steps


class _StoryFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    story: str
    mode: Literal["logged", "live"] = "logged"
    today: date
    customer: str
    earlier: tuple[_Earlier, ...] = ()
    steps: Steps


@dataclass(frozen=True)
class Story:
    """Conversations of one customer, and what is expected of turns by conversation and number.

    `skipped` says what of the file was not taken over.
    """

    name: str
    file: str
    conversations: tuple[Conversation, ...]
    expected: Mapping[tuple[str, int], Expected]
    today: datetime
    live: bool = False
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class Told:
    """How a story went: what was not as expected, with the message that it was about."""

    story: str
    file: str
    checked: int
    broken: tuple[str, ...] = field(default=())
    skipped: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all was as expected."""
        return not self.broken


def pin_story(run: Run, name: str, folder: Path) -> Path:
    """Write a conversation of a run as a story that expects what was decided, and return its file.

    Raises:
        RapportError: the run has no such conversation.
        OSError: the file cannot be written.
    """
    pinned = next((one for one in run.conversations() if one.conversation == name), None)
    if pinned is None:
        raise RapportError(f"The run {run.name} has no conversation {name!r}.")
    turns = run.turns_of(pinned)
    earlier = [
        {"conversation": one.conversation, "steps": _steps(run.turns_of(one))}
        for one in _begun_before(run, pinned, datetime.fromisoformat(turns[-1].at))
    ]
    content = {
        "story": name,
        "mode": run.info.mode,
        "today": date.fromisoformat(run.info.look_ups_on),
        "customer": pinned.customer,
        **({"earlier": earlier} if earlier else {}),
        "steps": _steps(turns, expect=True),
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{safe_id(name).replace(':', '-')}.yml"
    write_whole(file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120).encode())
    return file


def _begun_before(run: Run, pinned: ConversationRecord, last: datetime) -> list[ConversationRecord]:
    """Return the customer's other conversations that memory may know of at the pinned one's last turn."""
    own = [one for one in run.conversations() if one.customer == pinned.customer]
    place = own.index(pinned)
    return own[:place] + [one for one in own[place + 1 :] if datetime.fromisoformat(one.started_at) < last]


def _steps(turns: Sequence[TurnRecord], *, expect: bool = False) -> list[dict[str, Any]]:
    steps = [_seen(one) for one in turns[0].before]
    for turn in turns:
        step: dict[str, Any] = {"customer": turn.text, "at": turn.at}
        step |= {"label": turn.label} if turn.label else {}
        if expect:
            step["expect"] = {"action": turn.action} | ({"intent": turn.intent} if turn.intent else {})
            step["expect"] |= {"asks": turn.pending["fact"]} if turn.action == "ask" else {}
            step["expect"] |= {"hands_over": True} if turn.hand_off else {}
        steps += [step, *map(_seen, turn.seen)]
    return steps


def _seen(message: SeenMessage) -> dict[str, Any]:
    return {message.role: message.text, "at": message.at} | ({"answer": message.answer} if message.answer else {})


def read_story(path: Path, content: Any) -> Story:
    """Return the story in a file, whose YAML has been read.

    Raises:
        RapportError: it is none.
    """
    try:
        given = _StoryFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RapportError(f"{path}: {where}: {first['msg']}. Pin the conversation again, or correct it.") from None
    own = _conversation(given.story, given.customer, given.steps)
    earlier = [_conversation(one.conversation, given.customer, one.steps) for one in given.earlier]
    asked = [step for step in given.steps if step.customer is not None]
    expected = {(given.story, number): step.expect for number, step in enumerate(asked, 1) if step.expect}
    today = datetime.combine(given.today, time(), tzinfo=timezone.utc)
    return Story(given.story, path.name, (*earlier, own), expected, today, given.mode == "live")


def _conversation(name: str, customer: str, steps: Sequence[_Step]) -> Conversation:
    messages = tuple(step.message() for step in steps)
    return Conversation(conversation_id=name, customer_id=customer, started_at=messages[0].at, messages=messages)


def run_stories(stories: Iterable[Story], state: State) -> Iterator[Told]:
    """Yield how each story went with a bot."""
    with tempfile.TemporaryDirectory() as scratch:
        for story in stories:
            place = Path(scratch) / str(story.today.date())  # tables of look-ups are made for a day
            place.mkdir(exist_ok=True)
            broken = []
            with closing(Life(state, place, story.today, live=story.live)) as life:
                for record, _ in life.run(story.conversations):
                    if (expected := story.expected.get(record.key)) is not None:
                        broken += [f"{record.text[:60]!r}: {what}" for what in expected.broken(record)]
            yield Told(story.name, story.file, len(story.expected), tuple(broken), story.skipped)
