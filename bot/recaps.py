"""What memory says when the customer asks it: everything known, last time, one detail, promises, an earlier topic."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from bot.desk import Desk, fill
from bot.pointing import asks_back, named_facts
from bot.turn import Source
from memory import Context, ConversationMemory, Turn
from memory.commitments import Commitment
from memory.history import Session
from memory.store import to_text
from memory.summary import Digest
from memory.told import validity
from memory.validity import Validity

_MOST_SESSIONS = 8
_MOST_PROMISES = 12
_MOST_LOOKED_AT = 8
_MOST_TOPICS = 4  # topics of one conversation that are named, the latest ones
# The evidence from which on a turn counts as what was asked about. Nine times in ten it was, on questions about the
# products that the bundled desk's logged customers did and did not talk of, when its log was shorter. On today's log 89
# in 100 are; 90 in 100 begin at 1.05 (`evidence_at_90_precision` of `python -m benchmarks.memory_use`).
_SAID = 1.02
# Asks for the value before the present one. "Before" alone does not: "what did I tell you before?"
_EARLIER = re.compile(r"\bprevious\b|\bbefore (?:that|this|the last|my last)\b|\bone before\b|\blast but one\b")
_QUOTED = 280  # characters of a past message or reply that are quoted back


@dataclass(frozen=True)
class Recap:
    """What memory holds: `outcome` is `found` or `nothing`, `values` fill the desk's wording, `about` is its fact.

    `also` is a sentence that comes after the desk's wording.
    """

    outcome: str
    values: dict[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)
    also: str = ""


class Recaps:
    """Answers questions about memory from the rows, in the desk's words."""

    def __init__(self, desk: Desk, memory: ConversationMemory) -> None:
        self._desk = desk
        self._memory = memory

    def find(self, kind: str, context: Context, text: str) -> Recap:
        """Return what memory holds for one of the recaps that `answers.yaml` names."""
        if kind == "everything":
            return self._everything(context)
        if kind == "last_session":
            return self._with_this_chat(self.last_session(context), context)
        if kind == "promises":
            return self._promises(context)
        return self._topic(context, text) if kind == "topic" else self._detail(context, text)

    def day(self, moment: datetime) -> str:
        """Return a date as people say it: `3 May 2026`."""
        return _day(moment.astimezone(ZoneInfo(self._desk.settings.timezone)))

    def worded(self, value: str, valid: Validity) -> str:
        """Return a value with the days from which and until which it holds, where it has any."""
        if valid.first is not None:
            value = self._line("value_from", value=value, date=_day(valid.first))
        return self._line("value_until", value=value, date=_day(valid.last)) if valid.last is not None else value

    def noted(self, name: str, value: str, context: Context, message: str) -> str:
        """Return a fact of the present message with its label and its days."""
        spec = self._desk.facts[name]
        return f"{spec.label}: {self.worded(value, validity(spec, value, message, context.now, context.just_told))}"

    def last_session(self, context: Context) -> Recap:
        """Return what the last earlier conversation was about."""
        for session, digest in self._memory.earlier(context, _MOST_SESSIONS, own=False):
            if not digest.topics:
                continue
            memory = self._line("asked_about", topics=self._topics(digest))
            unsettled = [topic for topic, state in digest.topics if state != "answered"]
            still_open = self._joined(unsettled[-_MOST_TOPICS:]) if unsettled else ""
            if still_open:
                memory += " " + self._line("still_open", topics=still_open)
            source = Source("turn", str(digest.last), digest.topics[-1][0], to_text(session.last_at))
            values = {"date": self.day(session.last_at), "memory": memory, "still_open": still_open}
            return Recap("found", values, (source,))
        return _NOTHING

    def _with_this_chat(self, past: Recap, context: Context) -> Recap:
        """Return what is known of the last conversation, and what this one has been about, if anything."""
        digest = self._so_far(context)
        if not digest.topics:
            return past
        here = self._line("this_chat", topics=self._topics(digest))
        source = Source("turn", str(digest.last), digest.topics[-1][0], to_text(context.now))
        return replace(past, sources=(*past.sources, source), also=here)

    def _so_far(self, context: Context) -> Digest:
        """Return the digest of the present conversation, with the turns that are still in the buffer."""
        return context.digest.fold_all([one for one in context.buffer if one.number > context.digest.covers])

    def handoff_summary(self, context: Context, turn: Turn) -> str:
        """Return what a colleague who takes over should know, the present turn included."""
        digest = self._so_far(context).fold(turn)
        known = [*context.facts.values(), *context.later]
        facts = [f"{self._desk.facts[fact.name].label} {self.worded(fact.value, fact.valid)}" for fact in known]
        unsettled = [topic for topic, state in digest.topics if state != "answered"]
        promises = [one.text for one in context.promises]
        promises += [promise] if (promise := turn.decision["promise"]) else []
        parts = {
            "summary_topics": ("topics", ", ".join(topic for topic, _ in digest.topics)),
            "summary_open": ("topics", ", ".join(unsettled)),
            "summary_facts": ("facts", ", ".join(facts)),
            "summary_promises": ("promises", "; ".join(dict.fromkeys(promises))),
            "summary_last": ("text", turn.text[:_QUOTED]),
        }
        return "\n".join(self._line(name, **{key: value}) for name, (key, value) in parts.items() if value)

    def _everything(self, context: Context) -> Recap:
        lines, sources = [], []
        for fact in [*context.facts.values(), *context.later]:
            label, value = self._desk.facts[fact.name].label, self.worded(fact.value, fact.valid)
            lines.append(self._line("fact_line", label=label, value=value, date=self.day(fact.said_at)))
            sources.append(Source("fact", fact.name, f"{label}: {value}", to_text(fact.said_at)))
        for session, digest in self._digests(context):
            if digest.topics:
                date = self.day(session.started_at)
                lines.append(self._line("session_line", date=date, topics=self._topics(digest)))
                sources.append(Source("turn", str(digest.last), digest.topics[-1][0], to_text(session.started_at)))
        return (
            Recap("found", {"memory": "\n".join(f"- {line}" for line in lines)}, tuple(sources)) if lines else _NOTHING
        )

    def _promises(self, context: Context) -> Recap:
        """Return what was promised, newest first, each with what became of it."""
        newest = self._memory.promised(context)[: -_MOST_PROMISES - 1 : -1]
        if not newest:
            return _NOTHING
        lines = [self._promise_line(one, context.now) for one in newest]
        sources = tuple(Source("turn", str(one.turn_id), one.text, to_text(one.made_at)) for one in newest)
        return Recap("found", {"memory": "\n".join(f"- {line}" for line in lines)}, sources)

    def owed(self, context: Context) -> str:
        """Return the newest thing a customer is still owed as a sentence, empty where there is none."""
        if not context.promises:
            return ""
        return self._line("still_promised", promise=context.promises[-1].text)

    def _promise_line(self, one: Commitment, now: datetime) -> str:
        state = one.state(now.astimezone(ZoneInfo(self._desk.settings.timezone)).date())
        values = {"date": self.day(one.made_at), "promise": one.text}
        if one.due is not None and state in ("open", "overdue"):
            return self._line(f"promised_{state}", due=_day(one.due), **values)
        return self._line("promised_line" if state == "open" else f"promised_{state}", **values)

    def _detail(self, context: Context, text: str) -> Recap:
        """Return the fact that the customer names, or the newest one where they name none; or the value before it."""
        lower = text.lower()
        named = named_facts(self._desk, text)
        newest = max(context.facts.values(), key=lambda fact: fact.said_at, default=None)
        name = named[0] if named else newest.name if newest else next(iter(self._desk.facts), "")
        label = self._desk.facts[name].label if name else ""
        fact, later = context.facts.get(name), [one for one in context.later if one.name == name]
        if _EARLIER.search(lower):
            fact = next(iter(self._memory.values(context, name)[1:]), None)
            label, later = self._line("earlier_label", label=label), []
        fact = fact or next(iter(later), None)
        if fact is None:
            return Recap("nothing", {"label": label})
        value = self.worded(fact.value, fact.valid)
        if coming := "; ".join(self.worded(one.value, one.valid) for one in later if one != fact):
            value = self._line("value_then", value=value, then=coming)
        source = Source("fact", name, f"{label}: {value}", to_text(fact.said_at))
        values = {"label": label, "value": value, "date": self.day(fact.said_at)}
        return Recap("found", values, (source,), {name: fact.value})

    def said(self, context: Context, text: str) -> Recap:
        """Return the turn in which something that a message asks about was said, and the bot's sentence for it."""
        said = self._said(context, text)
        if not said:
            return Recap("never_said")
        if not said[0].text:
            return self._quoting("colleague_wrote", said[0])
        answered = said[0].decision.get("topic") and said[0].decision.get("state") == "answered"
        return self._quoting("asked_earlier" if answered else "said_earlier", said[0])

    def _topic(self, context: Context, text: str) -> Recap:
        """Return the turn that was about what is asked, best one that the desk has an answer to."""
        said = [turn for turn in self._said(context, text) if turn.text]
        said.sort(key=lambda turn: not turn.decision.get("topic"))
        return self._quoting("found", said[0]) if said else _NOTHING

    def _said(self, context: Context, text: str) -> list[Turn]:
        """Return turns with enough evidence that they say what is asked, the most first; such questions say nothing."""
        hits = [hit for hit in self._memory.about(context, text, _MOST_LOOKED_AT) if hit.evidence >= _SAID]
        found = [hit.turn for hit in sorted(hits, key=lambda hit: -hit.evidence)]
        return [turn for turn in found if turn.decision.get("action") != "recap" and not asks_back(turn.text)]

    def _quoting(self, outcome: str, turn: Turn) -> Recap:
        values = {"date": self.day(turn.at), "question": _shorten(turn.text), "reply": _shorten(turn.reply)}
        return Recap(outcome, values, (Source("turn", str(turn.id), turn.words[:80], to_text(turn.at)),))

    def _digests(self, context: Context) -> list[tuple[Session, Digest]]:
        return self._memory.earlier(context, _MOST_SESSIONS)

    def _topics(self, digest: Digest) -> str:
        return self._joined([topic for topic, _ in digest.topics[-_MOST_TOPICS:]])

    def _joined(self, topics: Sequence[str]) -> str:
        """Return topics as a sentence has them between quotation marks: `A”, “B” and “C`."""
        *others, last = topics
        return self._line("topic_joint").join([*filter(None, [self._line("topic_comma").join(others)]), last])

    def _line(self, name: str, **values: str) -> str:
        return fill(self._desk.replies[name][0], values)


_NOTHING = Recap("nothing")


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _shorten(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _QUOTED else flat[: _QUOTED - 1].rsplit(" ", 1)[0] + "…"
