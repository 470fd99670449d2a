"""Transcripts: the conversations of a report as plain values, with what differs marked, for its page to show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bot.replay.report import words
from bot.replay.report.marks import mark
from bot.replay.report.tally import against_log, outcome
from bot.replay.report.words import name_of
from bot.replay.run_folder import (
    TIMINGS,
    ConversationRecord,
    Difference,
    Run,
    SeenMessage,
    TurnRecord,
    TurnTiming,
    read_lines,
)

MOST = 1000  # conversations of a page
MOST_BYTES = 24_000_000  # of all its conversations

Turns = dict[tuple[str, int], Any]


def transcripts(
    run: Run, chosen: Sequence[ConversationRecord], differences: Iterable[Difference] = ()
) -> Iterator[dict[str, Any]]:
    """Yield conversations of a run, as many of those chosen as a page can hold."""
    names = {one.conversation for one in chosen}
    changes: Turns = {(one.conversation, one.number): one for one in differences if one.conversation in names}
    timings: Turns = {
        (one.conversation, one.number): one.ms
        for one in read_lines(TurnTiming, run.folder / TIMINGS)
        if one.conversation in names
    }
    room = MOST_BYTES
    for conversation in chosen:
        made = _conversation(run, conversation, changes, timings)
        room -= len(json.dumps(made, ensure_ascii=False).encode())
        if room < 0:
            return
        yield made


def _conversation(run: Run, one: ConversationRecord, changes: Turns, timings: Turns) -> dict[str, Any]:
    turns = run.turns_of(one)
    made = [_turn(turn, one, changes.get(turn.key), timings.get(turn.key, {})) for turn in turns]
    return _filled(
        {
            "id": one.conversation,
            "customer": one.customer,
            "at": one.started_at,
            "before": [_said(message) for message in turns[0].before],
            "alone": one.alone,
            "handed_over": one.handed_over,
            "log_handed_over": one.log_handed_over,
            "parted_after": one.parted_after,
            "turns": made,
        }
    )


def _turn(
    turn: TurnRecord, conversation: ConversationRecord, change: Difference | None, timing: Mapping[str, float]
) -> dict[str, Any]:
    log, reply = mark(turn.said, turn.reply) if turn.seen else ([""], [turn.reply])
    return _filled(
        {
            "number": turn.number,
            "at": turn.at,
            "text": turn.text,
            "label": turn.label,
            "log": log,
            "by": [{"role": one.role, "answer": one.answer} for one in turn.seen],
            "reply": reply,
            "action": "handoff" if turn.hand_off else turn.action,
            "outcome": outcome(turn),
            "intent": turn.intent,
            "intents": [[name, confidence] for name, confidence in turn.intents[:3]],
            "verdict": against_log(turn, conversation.log_handed_over),
            "judged": list(_judged(turn)),
            "facts": turn.facts,
            "memories": [_filled(vars(one)) for one in turn.memories],
            "sources": [
                {"kind": one["kind"], "title": one.get("title") or one["id"], "id": one["id"]} for one in turn.sources
            ],
            "suggestions": turn.suggestions,
            "promise": turn.promise,
            "ms": timing,
            "change": change and _change(change, turn.said),
        }
    )


def _change(change: Difference, said: str) -> dict[str, Any]:
    before, after = mark(change.before.reply, change.after.reply)
    return _filled(
        {
            "kind": change.kind,
            "verdict": change.verdict,
            "harm": change.harm,
            "causes": change.causes,
            "before": before,
            "after": after,
            "log": said,
            "action": "handoff" if change.before.hand_off else change.before.action,
            "intent": change.before.intent,
            "confidence": change.before.confidence,
        }
    )


def _judged(turn: TurnRecord) -> Iterator[str]:
    """Say what the log tells about a turn."""
    score = turn.score
    if score.intent is not None:
        yield "Understood as the log's label" if score.intent else "Understood as something else than the log's label"
    if score.answer is not None:
        yield "Does what the log says was right" if score.answer else "Does not do what the log says was right"
    if score.handoff is not None:
        yield name_of(words.HANDOFFS, score.handoff)
    if score.asked_known:
        yield "Asked for what the customer had said before"
    if score.promised and any(one.role == "agent" for one in turn.seen):
        yield "Promises something, as the agent did" if score.agent_promised else "Promises what the agent did not"
    elif score.agent_promised:
        yield "The agent promised something, and the bot does not"
    if score.particulars:
        yield f"{score.kept} of the agent's {score.particulars} numbers, dates, names and amounts are the bot's too"
    if turn.apart:
        yield "From here on the customer answers what the bot did not say"


def _said(message: SeenMessage) -> dict[str, Any]:
    return {"role": message.role, "text": message.text}


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is empty: most of a page would be that."""
    return {name: value for name, value in values.items() if value not in (None, "", (), [], {})}
