"""From an action to text: the desk's own wordings, filled with facts, look-ups, memories and passages."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.tools import BaseTool

from bot.desk import Desk, fill, placeholders
from bot.recaps import Recaps
from bot.turn import Action, Answer, Ask, Clarify, Confirm, Forget, GoBack, LookBack, Quote, Say, ServeAll, Source
from memory import Context
from retrieval import Candidate

LOOK_UP_S = 20.0  # until a look-up is given up: one that hangs must not keep a turn, and then all of them
_PAST = frozenset({"last_chat", "still_open"})  # of the customer's last conversation
T = TypeVar("T")


class ToolError(Exception):
    """A desk's tool raised an error or returned something without an outcome."""


@dataclass(frozen=True)
class Rendered:
    """A reply in words, with what the decision record keeps about it.

    `pending` is what the bot now waits for; `about` the facts it names or looked up, with their values; `topic` what
    the turn was about, with `state` (`answered`, `open` or `handed_over`); `also` other intents that the reply answers,
    each with its topic and state; `rewritable` says whether a chat model may put the text in its own words.
    """

    text: str
    action: str
    intent: str = ""
    sources: tuple[Source, ...] = ()
    suggestions: tuple[str, ...] = ()
    pending: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    topic: str = ""
    state: str = "answered"
    promise: str = ""
    also: tuple[tuple[str, str, str], ...] = ()
    failure: bool = False
    hand_off: bool = False
    wording: str = ""
    rewritable: bool = False


class Answers:
    """Puts actions into the desk's words."""

    def __init__(self, desk: Desk, tools: Mapping[str, BaseTool], recaps: Recaps) -> None:
        self._desk = desk
        self._tools = tools
        self._recaps = recaps

    def render(self, action: Action, context: Context, candidates: Sequence[Candidate], text: str) -> Rendered:
        """Return the reply to a message, given the action decided on.

        Raises:
            ToolError: a tool of the desk failed.
        """
        if isinstance(action, Answer):
            each = len(action.listed) == 1 and self._desk.answers[action.intent].tool
            return self._all(_each(action), context, text) if each else self._answer(action, context, text)
        if isinstance(action, ServeAll):
            return self._all(action.each, context, text)
        if isinstance(action, Quote):
            return self._quote(candidates[action.candidate], context)
        if isinstance(action, Clarify):
            titles = tuple(self._desk.answers[intent].title for intent in action.intents)
            line, wording = self.say("clarify" if len(titles) > 1 else "clarify_one", context)
            pending: dict[str, Any] = {"kind": "clarify", "intents": list(action.intents)}
            if action.listed:
                pending["listed"] = {fact: list(values) for fact, values in action.listed.items()}
            return Rendered(line, "clarify", suggestions=titles, pending=pending, wording=wording, state="open")
        if isinstance(action, (Ask, Confirm)):
            return self._question(action, context, text)
        if isinstance(action, Forget):
            return self._forget(action, context)
        if isinstance(action, GoBack):
            return self._go_back(action, context, candidates, text)
        if isinstance(action, LookBack):
            return self._look_back(context, text)
        return self._say(action, context, text)

    def say(self, name: str, context: Context, values: Mapping[str, str] | None = None) -> tuple[str, str]:
        """Return one of the bot's own sentences and the id of its wording."""
        return self._word(name, self._desk.replies[name], context, values or {})

    def correction(self, fact: str, value: str, context: Context) -> Rendered:
        """Return the reply to a fact's new value; what the bot has just asked for stays asked."""
        text, wording = self.say("fact_corrected", context, {"label": self._desk.facts[fact].label, "value": value})
        asked = context.last.decision.get("suggestions", []) if context.last and context.pending else []
        return Rendered(
            text,
            "correct",
            suggestions=tuple(asked),
            pending=context.pending,
            about={fact: value},
            state="open",
            wording=wording,
        )

    def button(self, name: str) -> str:
        """Return the label of one of the bot's own buttons."""
        return self._desk.replies[name][0]

    def _all(self, actions: Sequence[Answer | Ask | Confirm], context: Context, message: str) -> Rendered:
        """Return several replies, one after the other, as one: with the record of a question, a handoff or the last."""
        parts: list[Rendered] = []
        for action in actions:
            parts.append(self.render(action, context, (), message))
            context = replace(context, handed_over=context.handed_over or parts[-1].hand_off)
        leads = parts[-1] if parts[-1].pending else next((part for part in parts if part.hand_off), parts[-1])
        sources = dict.fromkeys(source for part in parts for source in part.sources)
        look_ups_first = sorted(sources, key=lambda source: source.kind != "tool")
        return replace(
            leads,
            text="\n\n".join(part.text for part in parts),
            sources=tuple(look_ups_first),
            about={fact: value for part in parts for fact, value in part.about.items()},
            promise="; ".join(part.promise for part in parts if part.promise),
            also=(*((one.intent, one.topic, one.state) for one in parts if one.intent != leads.intent), *leads.also),
            hand_off=any(part.hand_off for part in parts),
            rewritable=all(part.rewritable for part in parts),
        )

    def _answer(self, action: Answer, context: Context, message: str) -> Rendered:
        answer = self._desk.answers[action.intent]
        values: dict[str, str] = dict(action.facts)
        sources: list[Source] = []
        about: Mapping[str, str] = {need: values[need] for need in answer.needs if need in values}
        outcome, also = None, ""
        if not answer.tool:
            values |= {fact: self._together(several, context) for fact, several in action.listed.items()}
        if answer.tool:
            values |= self._look_up(answer.tool, {need: values[need] for need in answer.needs})
            outcome = values.pop("outcome")
            if outcome not in answer.outcomes:
                raise ToolError(f"tool {answer.tool!r} returned {outcome!r}, which {action.intent!r} does not name")
            sources.append(Source("tool", answer.tool, str(values[answer.needs[0]]) if answer.needs else answer.title))
        elif answer.recap:
            recap = self._recaps.find(answer.recap, context, message)
            outcome, values, sources, about = recap.outcome, recap.values, list(recap.sources), recap.about
            also = recap.also
        hand_off = answer.hands_off(outcome)
        if hand_off:
            values["handoff"] = self._handoff(context)
        name = f"{action.intent}.{outcome}" if outcome else action.intent
        wordings = answer.outcomes[outcome] if outcome else answer.text
        text, wording, past = self._word_of_past(name, wordings, context, values, may=context.is_new)
        sources += past
        text = f"{text} {also}".strip()
        sources += self._backing(action, context, wording)
        kind = "handoff" if hand_off else "look_up" if answer.tool else "recap" if answer.recap else "answer"
        return Rendered(
            text,
            kind,
            action.intent,
            tuple(sources),
            tuple(self._desk.answers[other].title for other in answer.suggestions),
            about=about,
            topic=answer.title if answer.topic else "",
            state="handed_over" if hand_off else "answered",
            promise=fill(answer.promise, values) if hand_off and answer.promise else "",
            hand_off=hand_off,
            wording=wording,
            rewritable=not hand_off,
        )

    def _together(self, values: Sequence[str], context: Context) -> str:
        """Return several values as one sentence has them: `R-1, R-2 and R-3`."""
        return self.say("together", context, {"others": ", ".join(values[:-1]), "last": values[-1]})[0]

    def _backing(self, action: Answer, context: Context, wording: str) -> list[Source]:
        """Return the article or approved answer behind a reply, and the remembered facts it used."""
        answer = self._desk.answers[action.intent]
        sources = [
            Source("fact", name, f"{self._desk.facts[name].label}: {fact.value}", fact.said_at.isoformat())
            for name, fact in context.facts.items()
            if name in answer.needs and action.facts.get(name) == fact.value
        ]
        if answer.article and not answer.recap:
            sources.append(Source("article", answer.article, self._desk.article_title(answer.article)))
        elif not answer.tool and not answer.recap:
            sources.append(Source("answer", wording, answer.title))
        return sources

    def _quote(self, candidate: Candidate, context: Context) -> Rendered:
        passage = candidate.passage
        values = {"title": passage.title, "heading": passage.heading or passage.title}
        lead, wording = self.say("passage", context, values)
        source = Source("article", passage.id, passage.title)
        return Rendered(
            f"{lead}\n\n“{passage.text}”",
            "quote",
            sources=(source,),
            topic=passage.heading or passage.title,
            wording=wording,
            rewritable=True,
        )

    def _question(self, action: Ask | Confirm, context: Context, message: str) -> Rendered:
        spec = self._desk.facts[action.fact]
        pending: dict[str, Any] = {"intent": action.intent, "fact": action.fact}
        if action.also:
            pending["also"] = list(action.also)
        also = tuple((intent, self._desk.answers[intent].title, "open") for intent in action.also)
        topic = self._desk.answers[action.intent].title if action.intent else ""
        if isinstance(action, Ask):
            text, wording = self._word(f"ask.{action.fact}", spec.ask, context, {})
            if action.typed:
                misread = {"label": spec.label, "value": action.typed}
                text = f"{self.say('near_miss', context, misread)[0]} {text}"
            if action.noted:
                noted = {"fact": self._noted(action.noted, context, message)}
                text = f"{self.say('noted_first', context, noted)[0]} {text}"
            return Rendered(
                text,
                "ask",
                action.intent,
                pending={"kind": "ask", **pending},
                topic=topic,
                state="open",
                also=also,
                wording=wording,
            )
        fact = context.facts[action.fact]
        date = self._recaps.day(fact.said_at)
        text, wording = self._word(f"confirm.{action.fact}", spec.confirm, context, {"date": date})
        source = Source("fact", action.fact, f"{spec.label}: {fact.value}", fact.said_at.isoformat())
        return Rendered(
            text,
            "confirm",
            action.intent,
            (source,),
            (self.button("yes_button"), self.button("no_button")),
            {"kind": "confirm", **pending},
            topic=topic,
            state="open",
            also=also,
            wording=wording,
        )

    def _forget(self, action: Forget, context: Context) -> Rendered:
        labels = {"label": ", ".join(self._desk.facts[name].label for name in action.facts)}
        if action.confirmed:
            text, wording = self.say("facts_forgotten" if action.facts else "forgotten", context, labels)
            return Rendered(text, "forget", action.intent, wording=wording)
        if action.facts:
            text, wording = self.say("forget_facts", context, labels)
        else:
            text, wording = self._word(action.intent, self._desk.answers[action.intent].text, context, {})
        buttons = (self.button("yes_button"), self.button("no_button"))
        pending = {"kind": "forget", "intent": action.intent, "facts": list(action.facts)}
        return Rendered(text, "confirm", action.intent, suggestions=buttons, pending=pending, wording=wording)

    def _go_back(self, action: GoBack, context: Context, candidates: Sequence[Candidate], text: str) -> Rendered:
        fact = action.fact
        label = self._desk.facts[fact.name].label
        said = {"label": label, "value": fact.value, "date": self._recaps.day(fact.said_at)}
        line, wording = self.say("earlier_value", context, said)
        source = Source("fact", fact.name, f"{label}: {fact.value}", fact.said_at.isoformat())
        if action.then is None:
            return Rendered(line, "recap", sources=(source,), about={fact.name: fact.value}, wording=wording)
        then = self.render(action.then, context, candidates, text)
        return replace(then, text=f"{line} {then.text}", sources=(source, *then.sources))

    def _look_back(self, context: Context, text: str) -> Rendered:
        said = self._recaps.said(context, text)
        line, wording = self.say(said.outcome, context, said.values)
        return Rendered(line, "recap", sources=said.sources, wording=wording)

    def _say(self, action: Say, context: Context, message: str) -> Rendered:
        values = {"fact": self._noted(action.facts, context, message)}
        values |= {"label": ", ".join(self._desk.facts[name].label for name in action.facts)}
        if action.hand_off:
            values["handoff"] = self._handoff(context)
        text, wording, sources = self._word_of_past(action.reply, self._desk.replies[action.reply], context, values)
        starters = self._desk.settings.starters
        offered = list(dict.fromkeys((*action.near, *starters)))[: max(len(action.near), len(starters))]
        quiet = action.hand_off or action.reply in ("acknowledged", "noted", "fact_passed_on", "forget_kept")
        return Rendered(
            text,
            "handoff" if action.hand_off else action.reply,
            sources=sources,
            suggestions=() if quiet else tuple(self._desk.answers[intent].title for intent in offered),
            about=action.facts,
            state="handed_over" if action.hand_off else "open",
            failure=action.failure,
            hand_off=action.hand_off,
            wording=wording,
        )

    def _noted(self, facts: Mapping[str, str], context: Context, message: str) -> str:
        """Return facts of the present message as one sentence has them."""
        return ", ".join(self._recaps.noted(name, value, context, message) for name, value in facts.items())

    def _handoff(self, context: Context) -> str:
        """Return the sentence about who takes over; once said, it only says that the message was added."""
        if context.handed_over:
            return self.say("handoff_added", context)[0]
        if self._desk.is_open(context.now):
            return self.say("handoff_open", context)[0]
        opening = self._desk.next_opening(context.now)
        words = f"{opening:%A} {opening.hour}:{opening.minute:02d}" if opening else "–"
        return self.say("handoff_closed", context, {"opening": words})[0]

    def _look_up(self, name: str, arguments: Mapping[str, str]) -> dict[str, str]:
        try:
            result = _within(LOOK_UP_S, lambda: self._tools[name].invoke(dict(arguments)))
            found = {str(key): str(value) for key, value in result.items()}
        except FutureTimeout:
            raise ToolError(f"tool {name!r} gave no answer in time") from None
        except Exception as error:  # noqa: BLE001 - a desk's own code: whatever it raises, the turn fails honestly
            # Where, not what it said: that may repeat a customer's words, and this is logged.
            *_, last = traceback.extract_tb(error.__traceback__)
            where = f"{Path(last.filename).name}, line {last.lineno}"
            raise ToolError(f"tool {name!r} failed: {type(error).__name__} in {where}") from None
        if "outcome" not in found:
            raise ToolError(f"tool {name!r} returned no outcome")
        return {**arguments, **found}

    def _word_of_past(
        self, name: str, wordings: Sequence[str], context: Context, values: Mapping[str, str], *, may: bool = True
    ) -> tuple[str, str, tuple[Source, ...]]:
        """Return a wording that `may` speak of the customer's last conversation, its id, and that one as source."""
        if not may or not any(_PAST & placeholders(wording) for wording in wordings):
            return (*self._word(name, wordings, context, values), ())
        past = self._recaps.last_session(context)
        of_past = {"last_chat": past.values.get("date", ""), "still_open": past.values.get("still_open", "")}
        text, wording = self._word(name, wordings, context, {**values, **of_past})
        speaks = _PAST & placeholders(wordings[int(wording.rpartition("#")[2])])
        return text, wording, past.sources if speaks else ()

    def _word(self, name: str, wordings: Sequence[str], context: Context, values: Mapping[str, str]) -> tuple[str, str]:
        """Return a wording with its places filled, and its id.

        Of the wordings whose places can all be filled, the most personal ones come first; among equals the next one
        after the last that this session has seen, so that no sentence is said twice in a row.
        """
        settings = self._desk.settings
        known = {"bot_name": settings.bot_name, "desk": settings.name}
        known |= {fact: remembered.value for fact, remembered in context.facts.items()}
        known |= {key: value for key, value in values.items() if value}
        places = [placeholders(wording) for wording in wordings]
        possible = [number for number in range(len(wordings)) if places[number] <= set(known)]
        possible.sort(key=lambda number: -len(places[number]))
        if not possible:
            raise ToolError(f"no wording of {name!r} can be filled with {sorted(known)}")
        used = [turn.decision.get("wording", "") for turn in context.buffer]
        fresh = [number for number in possible if f"{name}#{number}" not in used] or possible
        if used and fresh is possible:
            last = next(use for use in reversed(used) if use in {f"{name}#{number}" for number in possible})
            fresh = [number for number in possible if f"{name}#{number}" != last] or possible
        number = fresh[0]
        return fill(wordings[number], known), f"{name}#{number}"


def _each(action: Answer) -> list[Answer]:
    """Return an answer for each of the values that a fact has in a message."""
    ((fact, values),) = action.listed.items()
    return [Answer(action.intent, {**action.facts, fact: value}) for value in values]


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return what work returns, done in a thread of its own, which may go on alone when the time is over.

    Raises:
        FutureTimeout: it takes longer.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            done.set_exception(error)

    context = copy_context()  # callbacks of LangChain travel in it
    threading.Thread(target=context.run, args=(run,), name="rapport-look-up", daemon=True).start()
    return done.result(seconds)
