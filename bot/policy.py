"""decide(): from what is known to what the bot does; a pure function, the only place where that is decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.desk import Desk
from bot.turn import (
    Action,
    Answer,
    Ask,
    Clarify,
    Confirm,
    Forget,
    GoBack,
    LookBack,
    Quote,
    Say,
    ServeAll,
    Understood,
)
from finetune.calibration import CLARIFY_EACH, CLARIFY_TOGETHER
from memory import Context
from retrieval import Candidate

_MOST_ASKED = 3  # questions of one message that are answered in one reply
_LATELY = 4  # turns for which a question of the bot's can still be answered by the fact alone


@dataclass(frozen=True)
class Thresholds:
    """Solved on held-out messages when the desk's models were made.

    `answer` is the confidence from which an intent is answered. A help page is quoted from `fit` on, the probability
    that it answers the message, where an answer classifier gives one; else from the cosine similarity `passage` on.
    """

    answer: float
    passage: float
    fit: float = 1.0


def decide(
    desk: Desk,
    thresholds: Thresholds,
    understood: Understood,
    context: Context,
    find: Callable[[], Sequence[Candidate]],
) -> tuple[Action, Sequence[Candidate]]:
    """Return what to do about a message, and the help pages that were looked at.

    In order: a colleague who was asked for by a button; an earlier value that the message points back to; what the bot
    has just asked for; a confident intent, or several where at most one thing has to be asked; facts alone; what was
    said earlier, if that is asked; a choice between close intents; a help page that fits; a nod, where it is surely
    talk of whatever kind; and at last the admission that it was not understood, which after a few times becomes a
    handoff. `find` looks for help pages; it is called only where they may matter.
    """
    if understood.wants_colleague:
        return Say("handed_over_on_request", hand_off=True), ()
    action = (
        _pointed_back(desk, thresholds, understood, context)
        or _settle_pending(desk, understood, context)
        or _confident(desk, thresholds, understood, context)
        or _bare_facts(desk, understood, context)
        or (LookBack() if understood.asks_back else None)
        or _likely(desk, understood, context)
    )
    if action is not None:
        return action, ()
    candidates = find()
    return _next_best(desk, thresholds, understood, context, candidates), candidates


def act(desk: Desk, intent: str, context: Context, understood: Understood) -> Answer | Ask | Confirm | Forget:
    """Return how to serve an intent, given the facts of this message.

    A needed fact counts as known when it is in the message or this session talks about it; one from an earlier session
    is confirmed first, and one that is not known is asked for. So is one for which the message has what is none.
    """
    answer = desk.answers[intent]
    if answer.forget:
        return Forget(intent, confirmed=False, facts=understood.to_forget)
    known = dict(understood.facts)
    for need in answer.needs:
        if need in known:
            continue
        if need in understood.near_misses:
            return Ask(intent, need, typed=understood.near_misses[need])
        if need in context.about:
            known[need] = context.about[need]
            continue
        remembered = context.facts.get(need)
        if remembered is None:
            return Ask(intent, need)
        if remembered.session_id != context.session_id:
            return Confirm(intent, need)
        known[need] = remembered.value
    return Answer(intent, known, {need: understood.listed[need] for need in answer.needs if need in understood.listed})


def _pointed_back(desk: Desk, thresholds: Thresholds, understood: Understood, context: Context) -> Action | None:
    """Return how to serve an earlier value: as the message asks, or as the last one did, or by looking it up.

    A message that surely asks only what the value was ("what was my previous order number?") is left to its recap.
    """
    pointed = understood.pointed_at
    sure = understood.in_scope and understood.confidence >= thresholds.answer
    if pointed is None or pointed.fact in understood.facts or (sure and desk.answers[understood.intent].recap):
        return None
    if pointed.earlier is None:
        if sure and pointed.fact in desk.answers[understood.intent].needs:  # "when will the other one come?"
            return Ask(understood.intent, pointed.fact)
        return Say("nothing_earlier", facts={pointed.fact: pointed.than})
    asked = [understood.intent] if sure else []
    asked += [context.pending.get("intent", "")]
    asked += [str(turn.decision.get("intent")) for turn in reversed(context.buffer)]
    asked += [intent for intent, answer in desk.answers.items() if answer.tool]
    intents = (intent for intent in asked if intent in desk.answers and pointed.fact in desk.answers[intent].needs)
    intent = next(intents, None)
    meant = replace(understood, facts={**understood.facts, pointed.fact: pointed.earlier.value})
    return GoBack(pointed.earlier, act(desk, intent, context, meant) if intent else None)


def _settle_pending(desk: Desk, understood: Understood, context: Context) -> Action | None:
    """Return what an answer to the bot's own question leads to, or None when the message is about something else."""
    pending = context.pending
    kind, intent, fact = pending.get("kind"), pending.get("intent", ""), pending.get("fact", "")
    if not kind or understood.asked or (kind != "clarify" and intent not in desk.answers):
        return None
    means = desk.answers[understood.intent].means
    if kind in ("ask", "confirm") and (fact in understood.facts or fact in understood.near_misses):
        return _resume(desk, pending, context, understood)
    if kind == "confirm":
        if means == "yes" and fact in context.facts:
            confirmed = replace(understood, facts={fact: context.facts[fact].value})
            return _resume(desk, pending, context, confirmed)
        return _ask_again(pending) if means == "no" else None
    if kind == "forget":
        if means == "yes":
            return Forget(intent, confirmed=True, facts=tuple(pending.get("facts", ())))
        return Say("forget_kept") if means == "no" else None
    return _chosen(desk, understood, context) if kind == "clarify" else None


def _chosen(desk: Desk, understood: Understood, context: Context) -> Action | None:
    """Return how to serve the one of the offered intents that a message means, by its name, its facts or a yes."""
    offered = [name for name in context.pending.get("intents", ()) if name in desk.answers]
    means = desk.answers[understood.intent].means
    if means is None:
        likely = [(name, confidence) for name, confidence in understood.intents[:4] if name in offered]
        sure = understood.in_scope and sum(confidence for _, confidence in likely) >= CLARIFY_TOGETHER
        chosen = [name for name, _ in likely] if sure else []
    elif understood.facts:
        chosen = [name for name in offered if set(desk.answers[name].needs) & set(understood.facts)]
    else:
        chosen = offered if means == "yes" and len(offered) == 1 else []
    offered_for = context.pending.get("listed", {})
    listed = {fact: tuple(values) for fact, values in offered_for.items() if fact not in understood.facts}
    meant = replace(understood, listed={**listed, **understood.listed})
    return act(desk, chosen[0], context, meant) if chosen else None


def _confident(desk: Desk, thresholds: Thresholds, understood: Understood, context: Context) -> Action | None:
    if 1 < len(understood.asked) <= _MOST_ASKED:
        each = ((intent, {**understood.facts, **own}) for intent, own in understood.asked.items())
        acts = [act(desk, intent, context, replace(understood, facts=facts)) for intent, facts in each]
        if (together := _together(acts)) is not None:
            return together
    if not understood.in_scope or understood.confidence < thresholds.answer:
        return None
    if any(confidence == understood.confidence for _, confidence in understood.intents[1:]):
        return None  # two things are asked
    answer = desk.answers[understood.intent]
    if answer.means and (understood.told or understood.near_misses):  # "no, it's R-10234"
        return None
    if understood.asks_back and not answer.topic and not answer.recap:
        return None  # "did I ever mention a dog to you?" is no small talk
    return act(desk, understood.intent, context, understood)


def _together(acts: Sequence[Answer | Ask | Confirm | Forget]) -> Action | None:
    """Return several acts as one reply that asks for one thing at most; None where it would have to ask for more."""
    answers = [one for one in acts if isinstance(one, Answer)]
    questions = [one for one in acts if isinstance(one, (Ask, Confirm))]
    if len(answers) + len(questions) < len(acts) or len({(type(one), one.fact) for one in questions}) > 1:
        return None
    if questions:
        questions = [replace(questions[0], also=tuple(one.intent for one in questions[1:]))]
    served = (*answers, *questions)
    return ServeAll(served) if len(served) > 1 else served[0]


def _resume(desk: Desk, pending: Mapping[str, Any], context: Context, understood: Understood) -> Action | None:
    """Return how to serve what the bot has asked a fact for, now that the message has it."""
    intents = [name for name in (pending["intent"], *pending.get("also", ())) if name in desk.answers]
    acts = [act(desk, name, context, understood) for name in intents]
    return _together(acts) or acts[0]


def _ask_again(pending: Mapping[str, Any], noted: Mapping[str, str] | None = None) -> Ask:
    return Ask(pending["intent"], pending["fact"], tuple(pending.get("also", ())), noted or {})


def _bare_facts(desk: Desk, understood: Understood, context: Context) -> Action | None:
    """Return what facts alone lead to: the last question with the corrected fact, else a note that they are kept.

    They also answer a question of the bot's from a few turns ago. Where a likely intent needs them ("and R-10234?"), it
    is served or asked about, as of any message. What the bot has just asked for stays asked. What is meant as a
    fact and is none is asked for again.
    """
    informs = any(desk.answers[intent].means for intent, _ in understood.intents[:3])
    introduces = any(desk.facts[name].personal for name in understood.told)  # "call me Tom instead"
    if not informs and (understood.in_scope or understood.questions or not introduces):
        return None
    if understood.near_misses:
        fact, typed = next(iter(understood.near_misses.items()))
        close = _close(desk, understood)
        needing = [intent for intent in close.intents if fact in desk.answers[intent].needs] if close else []
        return Ask(needing[0] if needing else "", fact, noted=understood.told, typed=typed)
    if not understood.told:
        return None
    if (asked := _asked_lately(desk, understood.facts, context)).get("intent") in desk.answers:
        return _resume(desk, asked, context, understood)
    last = str(context.last.decision.get("intent")) if context.last else ""
    if last in desk.answers and set(desk.answers[last].needs) & set(understood.facts):
        return act(desk, last, context, understood)
    close = _close(desk, understood)
    if close is not None and any(set(desk.answers[intent].needs) & set(understood.facts) for intent in close.intents):
        return _likely(desk, understood, context)
    if _is_asked(desk, context):
        return _ask_again(context.pending, understood.told)
    return Say("fact_passed_on" if context.handed_over else "fact_noted", facts=understood.told)


def _is_asked(desk: Desk, context: Context) -> bool:
    """Return whether the bot has just asked for a fact that an intent needs."""
    return context.pending.get("kind") == "ask" and context.pending["intent"] in desk.answers


def _asked_lately(desk: Desk, facts: Mapping[str, str], context: Context) -> Mapping[str, Any]:
    """Return what one of some facts was last asked for; nothing where it was told since, or there was a no."""
    for turn in reversed(context.buffer[-_LATELY:]):
        pending = turn.decision.get("pending") or {}
        if pending.get("kind") == "ask" and pending.get("fact") in facts:
            return pending
        said = desk.answers.get(str(turn.decision.get("intent")))
        if facts.keys() & (turn.decision.get("facts") or {}).keys() or (said and said.means == "no"):
            return {}
    return {}


def _likely(desk: Desk, understood: Understood, context: Context) -> Action | None:
    """Return a choice between close intents; one alone is served where the message gives what a mere look-up takes."""
    close = _close(desk, understood)
    if close is not None and len(close.intents) == 1:
        answer = desk.answers[close.intents[0]]
        if answer.tool and not answer.handoff and answer.needs and set(answer.needs) <= set(understood.facts):
            return act(desk, close.intents[0], context, understood)
    return close


def _close(desk: Desk, understood: Understood) -> Clarify | None:
    near = _near(desk, understood) if understood.in_scope else ()
    together = sum(confidence for intent, confidence in understood.intents if intent in near)
    return Clarify(near, understood.listed) if together >= CLARIFY_TOGETHER else None


def _next_best(
    desk: Desk,
    thresholds: Thresholds,
    understood: Understood,
    context: Context,
    candidates: Sequence[Candidate],
) -> Action:
    if (fitting := _fitting(thresholds, candidates)) is not None:
        return Quote(fitting)
    if context.handed_over:
        return Say("noted")
    if not understood.in_scope:
        return Say("out_of_scope", near=_near(desk, understood))
    if not context.pending and _is_talk(desk, understood, thresholds.answer):
        return Say("acknowledged")
    if _is_asked(desk, context) and not _failed_before(context, 1):
        return _ask_again(context.pending)
    if _failed_before(context, desk.settings.policy.hand_over_after - 1):
        return Say("handed_over_after_failures", failure=True, hand_off=True)
    return Say("not_understood", failure=True, near=_near(desk, understood))


def _fitting(thresholds: Thresholds, candidates: Sequence[Candidate]) -> int | None:
    """Return the place of the candidate to quote, None where none fits well enough.

    With an answer classifier that is the first one, whose place it and retrieval have decided together.
    """
    if not candidates:
        return None
    if (fit := candidates[0].fit) is not None:
        return 0 if fit >= thresholds.fit else None
    best = max(range(len(candidates)), key=lambda place: candidates[place].similarity)
    return best if candidates[best].similarity >= thresholds.passage else None


def _near(desk: Desk, understood: Understood) -> tuple[str, ...]:
    """Return the intents that a message may be about, up to three, none of them mere conversation."""
    likely = understood.intents[:3]
    return tuple(name for name, confidence in likely if confidence >= CLARIFY_EACH and desk.answers[name].topic)


def _is_talk(desk: Desk, understood: Understood, sure: float) -> bool:
    """Return whether a message surely asks for nothing, though it may be thanks as well as a farewell."""
    return sum(confidence for intent, confidence in understood.intents if not desk.answers[intent].asks) >= sure


def _failed_before(context: Context, times: int) -> bool:
    """Return whether each of the last `times` turns was a failure."""
    recent = context.buffer[-times:] if times else ()
    return len(recent) == times and all(turn.decision.get("failure") for turn in recent)
