"""Runs written by hand, so that anything may stand in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bot.replay.comparison import keep, pair, summed_up
from bot.replay.run_folder import (
    CONVERSATIONS,
    RUN,
    SCORES,
    TIMING,
    TIMINGS,
    TURNS,
    LogInfo,
    Part,
    PartInfo,
    Run,
    RunInfo,
    RunTiming,
    SeenMessage,
    TurnRecord,
    TurnScore,
    TurnTiming,
    to_line,
    write_value,
)
from bot.replay.scores import scores_of, sum_up

_PARTS: tuple[Part, ...] = ("desk", "classifier", "thresholds", "memory", "retrieval", "code")


def turn(conversation: str, number: int, text: str, said: str, reply: str, **values: object) -> TurnRecord:
    """A turn that an agent replied to in the log and the bot answered, right unless `values` say otherwise."""
    at = f"2026-09-{1 + number:02d}T10:00:00+00:00"
    record = TurnRecord(
        conversation=conversation,
        customer=f"customer of {conversation}",
        number=number,
        at=at,
        text=text,
        seen=(SeenMessage("agent", said, at, "delivery_time"),),
        before=(),
        label="delivery_time",
        reply=reply,
        action="answer",
        intent="delivery_time",
        confidence=0.97,
        intents=(("delivery_time", 0.97), ("delivery_cost", 0.02)),
        in_scope=True,
        facts={},
        sources=({"kind": "answer", "id": "delivery_time#0", "title": "How long does delivery take?", "at": ""},),
        suggestions=(),
        pending={},
        wording="delivery_time#0",
        topic="",
        promise="",
        failure=False,
        hand_off=False,
        handed_over=False,
        score=TurnScore(intent=True, answer=True, similarity=0.7, alone=True),
    )
    return replace(record, **values)  # type: ignore[arg-type]


def write_run(folder: Path, turns: Sequence[TurnRecord], *, name: str = "log.jsonl", **parts: str) -> Run:
    """Write a run of these turns, those of a conversation together; `parts` are hashes that other runs do not have."""
    folder.mkdir(parents=True)
    conversations: dict[str, list[TurnRecord]] = {}
    for record in turns:
        conversations.setdefault(record.conversation, []).append(record)
    with (folder / TURNS).open("wb") as file, (folder / CONVERSATIONS).open("wb") as summed:
        for own in conversations.values():
            lines = b"".join(map(to_line, own))
            summed.write(to_line(replace(sum_up(own), offset=file.tell(), length=len(lines))))
            file.write(lines)
    spent = {"encode": 1.0, "memory": 2.5, "decide": 0.5, "total": 4.0}
    timings = b"".join(to_line(TurnTiming(one.conversation, one.number, spent)) for one in turns)
    (folder / TIMINGS).write_bytes(timings)
    run = Run.__new__(Run)
    run.folder = folder
    write_value(folder / SCORES, scores_of(run.turns(), run.conversations()))
    day = "2026-10-01T10:00:00+00:00"
    write_value(folder / TIMING, RunTiming(day, day, 1.0, 1, float(len(turns)), 4.0, 4.0))
    log = LogInfo(name, "0" * 64, ("rapport",), True, len(conversations), len(conversations), len(turns), day, day)
    info = {part: PartInfo(f"{part} {parts.get(part, '')}".strip(), parts.get(part, "")) for part in _PARTS}
    write_value(folder / RUN, RunInfo(log, "logged", (), day[:10], info))
    return Run(folder)


def compare_written(before: Run, after: Run) -> None:
    """Compare two runs, the memory taken as the cause of everything."""
    pairing = pair(before, after)
    found = [replace(one, causes=("memory",)) for one in pairing.differences]
    keep(after, summed_up(pairing, found, before, after), found)
