"""Replaying one customer who comes back again and again, beside the same conversations as those of many customers.

    python -m benchmarks.replay_growth [--data LOG] [--form FORM] [--home HOME] [--turns 3000] --json OUT

The conversations are those of the bundled desk's own log, unless `--data` names another, without those in which a
customer asks to be forgotten; they are repeated with later dates, three every other day. Both replays take turns, so
that a busy machine slows both. Each figure is explained in benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import timedelta
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.replay import prepared_home
from benchmarks.report import write
from bot.desk import BUNDLED
from bot.desk_reader import read_desk
from bot.replay.life import Life
from bot.replay.parts import State
from bot.replay.readers import Mask, read_log
from finetune.logs import Conversation
from memory.history import customers
from memory.secret import read_secret

_SOON, _LATER = timedelta(hours=2), timedelta(hours=30)  # until the next conversation: two follow soon, one later


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=BUNDLED / "conversations.jsonl")
    parser.add_argument("--form")
    parser.add_argument("--home", type=Path, help="a home whose models are used; they are made if not given")
    parser.add_argument("--turns", type=int, default=3000)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        home = prepared_home(scratch / "home", given.home)
        own = _remembered(list(read_log(given.data, given.form, mask=Mask(read_secret(home)))))
        again = list(_again(own, given.turns))
        results = _measure(again, home, scratch)
    days = (again[-1].started_at - again[0].started_at).days
    log = f"{given.data.name}, {len(own)} conversations, personal data masked"
    rounded = {system: {key: round(value, 4) for key, value in each.items()} for system, each in results.items()}
    write(given.json, "replay_growth", f"{log}; repeated to {len(again)} within {days} days", rounded)
    print(json.dumps(rounded, indent=2))


def _remembered(conversations: Sequence[Conversation]) -> list[Conversation]:
    """Return the conversations by time in which a customer says something, but never that all be forgotten."""
    forgets = {intent for intent, answer in read_desk(BUNDLED).answers.items() if answer.forget}
    spoken = [one for one in conversations if any(message.role == "customer" for message in one.messages)]
    kept = [one for one in spoken if not any(message.intent in forgets for message in one.messages)]
    return sorted(kept, key=lambda one: one.started_at)


def _again(conversations: Sequence[Conversation], turns: int) -> Iterator[Conversation]:
    """Yield conversations again and again until there are so many turns, each after the one before."""
    at, done = conversations[0].messages[0].at, 0
    for number in count():
        one = conversations[number % len(conversations)]
        later = at - one.messages[0].at
        said = tuple(message.model_copy(update={"at": message.at + later}) for message in one.messages)
        named = {"conversation_id": f"{one.conversation_id}-{number}", "started_at": said[0].at, "messages": said}
        yield one.model_copy(update=named)
        done += sum(message.role == "customer" for message in said)
        if done >= turns:
            return
        at = said[-1].at + (_LATER if number % 3 == 2 else _SOON)


def _measure(conversations: Sequence[Conversation], home: Path, scratch: Path) -> dict[str, dict[str, float]]:
    """Return what turns cost in the first and in the last tenth of a log, of one customer and of many."""
    today = conversations[-1].messages[-1].at
    logs = {
        "one customer": [one.model_copy(update={"customer_id": "one"}) for one in conversations],
        "many customers": [one.model_copy(update={"customer_id": one.conversation_id}) for one in conversations],
    }
    results: dict[str, dict[str, float]] = {}
    spent: dict[str, list[float]] = {name: [] for name in logs}
    with ExitStack() as stack:
        lives = {}
        for name in logs:
            (scratch / name).mkdir()
            lives[name] = stack.enter_context(closing(Life(State.open(BUNDLED, home), scratch / name, today)))
        for pair in zip(*(lives[name].run(log) for name, log in logs.items()), strict=True):
            for name, (_, timing) in zip(logs, pair, strict=True):
                spent[name].append(timing.ms["total"])
        for name, life in lives.items():
            most = max(row["turns"] for row in customers(life.memory.store))
            results[name] = {"turns_in_memory": most, **_tenths(spent[name])}
    one, many = map(np.array, spent.values())
    first, last = _ends(one / many)  # of the same turn, measured in the same moment
    return {**results, "ratios": {"one_to_many_first_tenth": first, "one_to_many_last_tenth": last}}


def _ends(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Return the medians of the first and of the last tenth of some values."""
    tenth = len(values) // 10
    return float(np.median(values[:tenth])), float(np.median(values[-tenth:]))


def _tenths(spent: Sequence[float]) -> dict[str, float]:
    first, last = _ends(spent)
    return {
        "turns": len(spent),
        "first_tenth_p50_ms": first,
        "last_tenth_p50_ms": last,
        "last_tenth_to_first": last / first,
    }


if __name__ == "__main__":
    main()
