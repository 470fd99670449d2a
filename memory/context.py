"""Context: everything remembered that a turn may use, and Budgets: how much of it that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from memory.commitments import Commitment
from memory.facts import Fact
from memory.recall import Recalled
from memory.redaction import GONE
from memory.store import Turn
from memory.summary import Digest


@dataclass(frozen=True)
class Budgets:
    """How much a turn looks at: tokens and turns of buffer, past turns recalled, tokens of the digest in words."""

    buffer_tokens: int = 600
    buffer_turns: int = 16
    recalled_turns: int = 4
    summary_tokens: int = 128


@dataclass(frozen=True)
class Context:
    """Everything remembered that a turn may use.

    `number` is the number of the session's last turn, 0 in a new session. `prose` is empty without a chat model;
    `in_words` puts the digest into words, `recall` finds past turns. `promises` are the open commitments, oldest first.
    `facts` holds the value of each fact that counts now, whichever session it was said in, `told` also what holds
    earlier or later. `epoch` is the customer's, 0 for one who is not known.
    """

    session_id: str
    customer_id: str
    now: datetime
    is_new: bool = True
    handed_over: bool = False
    number: int = 0
    buffer: tuple[Turn, ...] = ()
    digest: Digest = field(default_factory=Digest)
    prose: str = ""
    in_words: Callable[[], str] = field(default=lambda: "", repr=False, compare=False)
    promises: tuple[Commitment, ...] = ()
    recall: Callable[[], tuple[Recalled, ...]] = field(default=tuple, repr=False, compare=False)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    told: tuple[Fact, ...] = ()
    epoch: int = 0

    @property
    def summary(self) -> str:
        """The prose, or else the digest in words, put into words when asked for: only a chat model asks."""
        return self.prose or self.in_words()

    @cached_property
    def recalled(self) -> tuple[Recalled, ...]:
        """Past turns that bear on the message, best first, looked for when first asked for: only a chat model asks.

        Raises:
            StoreError: the database cannot be read.
        """
        return self.recall()

    @property
    def last(self) -> Turn | None:
        """The turn before this one in this session."""
        return self.buffer[-1] if self.buffer else None

    @property
    def later(self) -> list[Fact]:
        """Facts that hold from a later day on."""
        return [fact for fact in self.told if fact.valid.is_later(self.now.date())]

    @property
    def just_told(self) -> list[Fact]:
        """Facts that the last message said."""
        return [fact for fact in self.told if self.last and fact.turn_id == self.last.id]

    @property
    def pending(self) -> Mapping[str, Any]:
        """What the bot has just asked for, empty if nothing."""
        return (self.last.decision.get("pending") or {}) if self.last else {}

    @property
    def about(self) -> Mapping[str, str]:
        """The facts this session talks about, the latest last, with the value last told or named; none forgotten."""
        about: dict[str, str] = {}
        for name, value in [item for turn in self.buffer for item in (turn.decision.get("about") or {}).items()]:
            about.pop(name, None)
            about |= {} if GONE in value else {name: value}
        return about

    def messages(self) -> list[BaseMessage]:
        """Return the buffer as LangChain messages, oldest first."""
        said: list[BaseMessage] = []
        for turn in self.buffer:
            said += [HumanMessage(turn.text)] if turn.text or not turn.by_colleague else []
            said.append(AIMessage(turn.reply, name="colleague" if turn.by_colleague else None))
        return said
