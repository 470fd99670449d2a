"""Transcripts: the conversations of a report as plain values, with what differs marked, for its page to show.

A page holds a row for each conversation, by which it is found, and the transcripts in packed blocks, of which its
script unpacks those that are looked at: so it can hold all conversations of a large log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.replay.report import words
from bot.replay.report.marks import mark
from bot.replay.report.packing import pack, to_json
from bot.replay.report.tally import against_log, conversations, outcome
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

MOST = 50_000  # conversations of a page
MOST_BYTES = 800_000_000  # of their turns in the run; in the page they take about a sixth of that
_BLOCK = 1_000_000  # bytes from which on a block of transcripts is full, before it is packed
_FOUND_BY = ("id", "at", "alone", "handed_over", "log_handed_over", "parted_after")
_TURN_FOUND_BY = ("verdict", "action", "intent", "label")
_PREVIEW = 160  # characters of a conversation's first message in its row


@dataclass
class Transcripts:
    """Conversations of a page: `rows` in the order in which they are listed, and packed `blocks` of transcripts.

    A row says by `block` and `place` where its transcript is.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)


def fitting(worth: Iterable[ConversationRecord]) -> Iterator[ConversationRecord]:
    """Yield as many of the conversations most worth a look as a page can hold."""
    room = MOST_BYTES
    for conversation in worth:
        room -= conversation.length
        if room < 0:
            return
        yield conversation


def transcripts(run: Run, chosen: Iterable[ConversationRecord], differences: Iterable[Difference] = ()) -> Transcripts:
    """Return conversations of a run, listed in the order in which they were chosen; in blocks in that of the run."""
    order = {one.conversation: place for place, one in enumerate(chosen)}
    changes: dict[str, list[Difference]] = defaultdict(list)
    for change in differences:
        if change.conversation in order:
            changes[change.conversation].append(change)
    made = Transcripts()
    block: list[bytes] = []
    for one in _made(run, order, changes):
        made.rows.append(_row(one, len(made.blocks), len(block)))
        block.append(to_json(one))
        if sum(map(len, block)) >= _BLOCK:
            made.blocks.append(pack(block))
            block.clear()
    if block:
        made.blocks.append(pack(block))
    made.rows.sort(key=lambda row: order[row["id"]])
    return made


def _made(run: Run, chosen: Mapping[str, int], changes: Mapping[str, Sequence[Difference]]) -> Iterator[dict[str, Any]]:
    """Yield the chosen conversations in the order of the run, one in memory at a time."""
    timings = read_lines(TurnTiming, run.folder / TIMINGS)  # in the order of the turns
    for conversation, turns in conversations(run):
        spent = [next(timings).ms for _ in turns]
        if conversation.conversation in chosen:
            changed = {one.number: one for one in changes.get(conversation.conversation, ())}
            yield _conversation(conversation, turns, changed, spent)


def _row(made: Mapping[str, Any], block: int, place: int) -> dict[str, Any]:
    """Return what a conversation is listed and found by, without what was said."""
    turns = []
    for turn in made["turns"]:
        one = {name: turn[name] for name in _TURN_FOUND_BY if name in turn}
        if change := turn.get("change"):
            one["change"] = {"kind": change["kind"], "verdict": change["verdict"]}
        turns.append(one)
    own = {name: made[name] for name in _FOUND_BY if name in made}
    text = made["turns"][0].get("text", "")[:_PREVIEW]
    return {**own, "text": text, "turns": turns, "block": block, "place": place}


def _conversation(
    one: ConversationRecord,
    turns: Sequence[TurnRecord],
    changes: Mapping[int, Difference],
    spent: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    made = [_turn(turn, one, changes.get(turn.number), ms) for turn, ms in zip(turns, spent, strict=True)]
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
