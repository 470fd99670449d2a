"""A replay of the bundled desk's log in two halves: one looked at while messages were written, and one that measures.

    rapport replay bot/desks/tarn_and_thistle/conversations.jsonl --out RUN
    python -m benchmarks.log_halves RUN --json OUT

Customers, in the order of their first conversation, are shared out in turn: the first, third, fifth … are the
development half, the others the test half. All conversations of a customer are on one side. Each figure is explained in
docs/before-you-ship.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from benchmarks.report import write
from bot.replay.run_folder import ConversationRecord, Run, Scores, Share
from bot.replay.scores import scores_of

HALVES = ("development", "test")


def main() -> None:
    """Print the figures of both halves and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", type=Path, required=True)
    given = parser.parse_args()
    run = Run(given.run)
    side = sides(run.conversations())
    results = {}
    for half in HALVES:
        turns = [turn for turn in run.turns() if side[turn.customer] == half]
        own = [one for one in run.conversations() if side[one.customer] == half]
        results[f"rapport, {half} half"] = _figures(scores_of(turns, own))
    info = run.info
    data = f"{info.log.name}, {info.log.conversations} conversations, by {info.parts['classifier'].name}"
    write(given.json, "log_halves", data, results)
    print(json.dumps(results, indent=2))


def sides(conversations: Iterable[ConversationRecord]) -> dict[str, str]:
    """Return for each customer the half that they belong to."""
    first: dict[str, str] = {}
    for one in conversations:
        first[one.customer] = min(one.started_at, first.get(one.customer, one.started_at))
    order = sorted(first, key=lambda customer: (first[customer], customer))
    return {customer: HALVES[place % 2] for place, customer in enumerate(order)}


def _figures(scores: Scores) -> dict[str, float]:
    figures: dict[str, float] = {"conversations": scores.conversations, "turns": scores.turns}
    for name, one in scores.shares.items():
        figures |= _share(name, one)
    return figures


def _share(name: str, one: Share) -> dict[str, float]:
    if one.share is None or one.low is None or one.high is None:
        return {}
    return {name: one.share, f"{name}_of": one.of, f"{name}_low": one.low, f"{name}_high": one.high}


if __name__ == "__main__":
    main()
