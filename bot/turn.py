"""The values that travel through a turn: what was understood, what was decided, what was replied."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from langchain_core.messages import AIMessageChunk

from memory import Fact, Turn
from memory.store import to_text

_NO_SLUG = re.compile(r"[^\w-]")
_WORD = re.compile(r"\s*\S+\s*")

SourceKind = Literal["answer", "article", "tool", "turn", "fact"]


@dataclass(frozen=True)
class Source:
    """Where a reply came from: an approved answer, a help article, a look-up, a past turn or a remembered fact.

    `id` names it within its kind; `at` is the time of a past turn or fact (ISO 8601), empty otherwise.
    """

    kind: SourceKind
    id: str
    title: str
    at: str = ""

    @property
    def url(self) -> str:
        """The path of an article's page, empty for other sources."""
        return f"/help/{_NO_SLUG.sub('', self.id.partition('#')[0])}" if self.kind == "article" else ""


@dataclass(frozen=True)
class PointedAt:
    """An earlier value of a fact that a message means, earlier `than` which; None where none is held."""

    fact: str
    than: str
    earlier: Fact | None


@dataclass(frozen=True)
class Understood:
    """What a message says: `intents` with calibrated confidence, most likely first; `facts` name to value.

    Facts that hold only from a later day on are not among them but in `later`: they are kept, and no reply uses them.
    `near_misses` are what is meant as a fact and is none, as typed: "R-1023" for `order_number`.
    `listed` are those of which the message lists several values, the one in `facts` last: "R-10234 and R-10250".
    `asked` are the intents that it surely asks for, in its order, where there are several of them, each with the facts
    of its own sentence.
    `questions` is whether a sentence of it is a question or a wish by its form.
    `asks_back` is whether it plainly asks about what was said earlier; `to_forget` are the facts that it names, should
    it want something forgotten.
    `wants_colleague` says that a colleague was asked for by a button, whatever the words are.
    """

    intents: tuple[tuple[str, float], ...]
    in_scope: bool
    facts: Mapping[str, str] = field(default_factory=dict)
    later: Mapping[str, str] = field(default_factory=dict)
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    near_misses: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    questions: bool = False
    to_forget: tuple[str, ...] = ()
    wants_colleague: bool = False
    pointed_at: PointedAt | None = None
    asks_back: bool = False

    @property
    def told(self) -> Mapping[str, str]:
        """All facts of the message."""
        return {**self.facts, **self.later}

    @property
    def intent(self) -> str:
        """The most likely intent."""
        return self.intents[0][0]

    @property
    def confidence(self) -> float:
        """The confidence in the most likely intent, 0 to 1."""
        return self.intents[0][1]


@dataclass(frozen=True)
class Answer:
    """Say the approved answer of an intent, looking things up first where it calls a tool.

    `listed` are the facts of several values, the one in `facts` last.
    """

    intent: str
    facts: Mapping[str, str] = field(default_factory=dict)
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ask:
    """Ask for a fact that an intent's answer needs; `noted` are others that the message told instead.

    `also` are other intents that need it, too. `typed` is what the message has in its place and is none; where it is
    all of the message, `intent` may be empty.
    """

    intent: str
    fact: str
    also: tuple[str, ...] = ()
    noted: Mapping[str, str] = field(default_factory=dict)
    typed: str = ""


@dataclass(frozen=True)
class Confirm:
    """Ask whether a fact from an earlier conversation is meant, which `also` other intents need."""

    intent: str
    fact: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServeAll:
    """Serve several intents one after the other in one reply; at most the last of them asks for something."""

    each: tuple[Answer | Ask | Confirm, ...]


@dataclass(frozen=True)
class Clarify:
    """Offer intents that are equally likely as buttons; `listed` is kept for the one that is chosen."""

    intents: tuple[str, ...]
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Quote:
    """Quote a help-centre passage, by its place among the candidates."""

    candidate: int


@dataclass(frozen=True)
class Forget:
    """Ask whether some facts should be forgotten, or everything where none are named; once confirmed, forget them."""

    intent: str
    confirmed: bool
    facts: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoBack:
    """Name an earlier value of a fact with the day it was said, and do with it what `then` says, if anything."""

    fact: Fact
    then: Answer | Ask | Confirm | Forget | None


@dataclass(frozen=True)
class LookBack:
    """Say whether something was said earlier, and when: recall's evidence decides."""


@dataclass(frozen=True)
class Say:
    """Say one of the bot's own sentences; `failure` counts towards handing over, `near` are intents offered with it."""

    reply: str
    failure: bool = False
    hand_off: bool = False
    near: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


Action = Answer | Ask | ServeAll | Confirm | Clarify | Quote | Forget | GoBack | LookBack | Say


@dataclass(frozen=True)
class Reply:
    """What the customer gets, and why.

    `action` names what the bot did (`answer`, `look_up`, `ask`, `confirm`, `clarify`, `quote`, `recap`, `forget`,
    `correct`, `handoff`, or the name of the bot's own sentence). `suggestions` are button labels; `at` is the time of
    the turn (ISO 8601); `timings` are milliseconds by stage. Replies of one stream add up: the sum of its chunks is the
    reply that `respond` gives. A chunk that `replaces` takes the place of the text before it.
    """

    text: str
    action: str = ""
    intent: str = ""
    confidence: float = 0.0
    sources: tuple[Source, ...] = ()
    suggestions: tuple[str, ...] = ()
    session_id: str = ""
    turn_id: int = 0
    handed_over: bool = False
    at: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    replaces: bool = False

    def __add__(self, other: Reply) -> Reply:
        text = other.text if other.replaces else self.text + other.text
        return replace(other if other.action else self, text=text, replaces=self.replaces or other.replaces)

    def to_message(self) -> AIMessageChunk:
        """Return the reply as a LangChain message."""
        return AIMessageChunk(content=self.text)

    def to_dict(self) -> dict[str, Any]:
        """Return the reply as plain values, ready for JSON."""
        values = {name: value for name, value in vars(self).items() if name != "replaces"}
        return {**values, "sources": [vars(source) for source in self.sources], "timings": dict(self.timings)}


@dataclass(frozen=True)
class Kept:
    """What is kept as the reply to a message: its text, the decision record, and whether the session is handed over."""

    text: str
    decision: Mapping[str, Any]
    handed_over: bool


def whole(pieces: Iterable[Reply]) -> Reply:
    """Return the sum of a stream of replies; added up at once, since a sum for each word takes longer than a search."""
    texts: list[str] = []
    last, replaces = Reply(""), False
    for piece in pieces:
        if piece.replaces:
            texts.clear()
        texts.append(piece.text)
        last, replaces = piece if piece.action else last, replaces or piece.replaces
    return replace(last, text="".join(texts), replaces=replaces)


def word_by_word(pieces: Iterable[Reply]) -> Iterator[Reply]:
    """Yield a stream of replies with the bot's own words one by one; the sum stays the same."""
    for piece in pieces:
        if piece.replaces or not piece.action:  # an apology, or what a chat model writes as it comes
            yield piece
        else:
            yield from (Reply(word) for word in _WORD.findall(piece.text))
            yield replace(piece, text="")


def kept_reply(turn: Turn) -> Reply:
    """Return the reply of a turn that was kept with its request's key, as it was given then, without its timings."""
    decision = turn.decision
    intent, confidence = decision["intents"][0]
    return Reply(
        turn.reply,
        decision["action"],
        decision["intent"] or intent,
        confidence,
        tuple(sources_of(turn)),
        tuple(decision["suggestions"]),
        turn.session_id,
        turn.id,
        decision["handed_over"],
        to_text(turn.at),
    )


def sources_of(turn: Turn) -> list[Source]:
    """Return the sources that a turn's decision record names."""
    return [Source(**source) for source in turn.decision.get("sources", [])]
