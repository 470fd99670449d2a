"""Why two runs differ: the turns that do are decided again with one part of the earlier run at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from bot.problems import RapportError
from bot.replay.comparison import differing, keep, pair, summed_up
from bot.replay.life import Life
from bot.replay.parts import State
from bot.replay.run_folder import Comparison, Difference, Part, Run, SeenMessage, TurnRecord
from finetune.logs import Conversation, LogMessage
from retrieval.model_folder import ModelError

Progress = Callable[[str, float], None]
_MOST = 5000  # turns that are decided again for each part


def compare(
    before: Run, after: Run, home: Path, progress: Progress = lambda _what, _share: None
) -> tuple[Comparison, list[Difference]]:
    """Compare two runs of a log, find out which part made each difference, and keep that in the later run's folder.

    Raises:
        RapportError: a run is damaged.
        OSError: the comparison cannot be written.
    """
    pairing = pair(before, after)
    found, notes, sought = explain(before, after, pairing.differences, home, progress)
    comparison = summed_up(pairing, found, before, after, notes, sought)
    keep(after, comparison, found)
    return comparison, found


def explain(
    before: Run, after: Run, differences: Sequence[Difference], home: Path, progress: Progress
) -> tuple[list[Difference], list[str], Collection[tuple[str, int]]]:
    """Return the differences with their causes, what could not be found out, and the turns whose cause was looked for.

    Where only one part is another one, it is the cause of all. Otherwise the later bot lives through the conversations
    again with one part of the earlier; where that alone brings the earlier decision back, the part is a cause.
    """
    notes = [_about_logs(before, after)] if before.info.log.sha256 != after.info.log.sha256 else []
    if before.info.mode != after.info.mode:
        notes.append(f"One run is {before.info.mode}, the other {after.info.mode}: that differs too.")
    parts: list[Part] = [name for name, _, _ in differing(before, after)]
    if not differences or not parts:
        return list(differences), notes, ()
    if len(parts) == 1 and not notes:
        return [replace(one, causes=(parts[0],)) for one in differences], notes, ()
    try:
        earlier, later = _state(before, home), _state(after, home)
    except (RapportError, ModelError) as error:
        return list(differences), [*notes, f"No cause could be found: {error}"], ()
    conversations, explained = _conversations(after, differences)
    if len(explained) < len(differences):
        notes.append(f"Causes were looked for in {len(explained)} of {len(differences)} differences, most harm first.")
    causes: dict[tuple[str, int], list[Part]] = {key: [] for key in explained}
    for place, part in enumerate(parts):
        progress("Finding causes", place / len(parts))
        try:
            mixed = later.exchanged(part, earlier)
        except RapportError as error:
            notes.append(f"{part.capitalize()} differs too, and could not be tried by itself: {error}.")
            continue
        for record in _lived(mixed, conversations, after):
            if (old := explained.get(record.key)) is not None and _same(record, old):
                causes[record.key].append(part)
    progress("Finding causes", 1.0)
    found = [replace(one, causes=tuple(causes.get((one.conversation, one.number), ()))) for one in differences]
    return found, notes, causes


def _about_logs(before: Run, after: Run) -> str:
    return f"The runs are of different logs ({before.info.log.name}, {after.info.log.name}): what was said differs too."


def _state(run: Run, home: Path) -> State:
    """Return what a run was decided by.

    Raises:
        RapportError: it is not there any more as it was.
    """
    state = State.of(run, home)
    now = state.parts()
    if changed := [name for name, part in run.info.parts.items() if name != "code" and part.hash != now[name].hash]:
        raise RapportError(f"of {run.name}, {', '.join(changed)} has changed since.")
    return state


def _conversations(
    run: Run, differences: Sequence[Difference]
) -> tuple[list[Conversation], dict[tuple[str, int], Difference]]:
    """Return all conversations of the customers whose turns differ most, and the differences in them."""
    customers = {one.conversation: one.customer for one in run.conversations()}
    sizes: dict[str, int] = {}
    for one in run.conversations():
        sizes[one.customer] = sizes.get(one.customer, 0) + one.turns
    chosen: dict[str, int] = {}
    for difference in differences:
        customer = customers[difference.conversation]
        if customer not in chosen and sum(chosen.values()) + sizes[customer] <= max(_MOST, sizes[customer]):
            chosen[customer] = sizes[customer]
    spoken = [logged(run.turns_of(one)) for one in run.conversations() if one.customer in chosen]
    explained = {(one.conversation, one.number): one for one in differences if customers[one.conversation] in chosen}
    return spoken, explained


def logged(turns: Sequence[TurnRecord]) -> Conversation:
    """Return the conversation of a log that turns are of."""
    messages = [_message(one) for one in turns[0].before]
    for turn in turns:
        messages.append(LogMessage(role="customer", text=turn.text, at=_time(turn.at), intent=turn.label))
        messages += [_message(one) for one in turn.seen]
    return Conversation(
        conversation_id=turns[0].conversation,
        customer_id=turns[0].customer,
        started_at=messages[0].at,
        messages=tuple(messages),
    )


def _message(seen: SeenMessage) -> LogMessage:
    return LogMessage(role=seen.role, text=seen.text, at=_time(seen.at), answer=seen.answer)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _lived(state: State, conversations: Sequence[Conversation], like: Run) -> Iterator[TurnRecord]:
    today = _time(like.info.log.last)
    with (
        tempfile.TemporaryDirectory() as scratch,
        closing(Life(state, Path(scratch), today, live=like.info.mode == "live")) as life,
    ):
        yield from (record for record, _ in life.run(conversations))


def _same(record: TurnRecord, difference: Difference) -> bool:
    """Return whether a decision is the earlier one of a difference."""
    old = difference.before
    return (record.action, record.intent, record.reply, record.hand_off) == (
        old.action,
        old.intent,
        old.reply,
        old.hand_off,
    )
