"""The health of memory: duplicates, contradictions, facts never used, and growth; names and numbers, never values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import Select, select

from memory.buffer import COLUMNS, to_turn
from memory.checksums import verify
from memory.facts import same_value
from memory.store import Store
from memory.tables import FACTS

_MONTH = len("2026-11")


@dataclass(frozen=True)
class FactFinding:
    """A fact of a customer that something is the matter with, and the turns that say it."""

    customer_id: str
    name: str
    turns: tuple[int, ...]


@dataclass(frozen=True)
class Health:
    """What the facts of one customer, or of all, look like.

    A `duplicate` is a value stored again though it was the current one; a `contradiction` a fact that went back to a
    value it had left, or that has two current values; `never_used` are current facts that no reply has drawn on.
    `growth` maps a month (`2026-11`) to the turns and the facts that it added.
    """

    turns: int
    facts: int
    superseded: int
    duplicates: tuple[FactFinding, ...]
    contradictions: tuple[FactFinding, ...]
    never_used: tuple[FactFinding, ...]
    growth: dict[str, tuple[int, int]]


def health(store: Store, customer_id: str | None = None) -> Health:
    """Return the health of one customer's memory, or of all; it reads every turn's decision record once.

    Raises:
        StoreError: the database cannot be read, or what a row says is damaged.
    """
    turns: Counter[str] = Counter()
    used: set[tuple[str, str]] = set()
    told: dict[tuple[str, str], list[Any]] = defaultdict(list)
    with store.read() as connection:
        for row in connection.execute(_of(select(*COLUMNS), customer_id)):
            turns[row.at[:_MONTH]] += 1
            used.update((row.customer_id, source["id"]) for source in _facts_cited(to_turn(row).decision))
        for row in connection.execute(_of(select(FACTS).order_by(FACTS.c.said_at, FACTS.c.id), customer_id)):
            verify("facts", row)
            told[row.customer_id, row.name].append(row)
    added = Counter(row.said_at[:_MONTH] for rows in told.values() for row in rows)
    current = {key: [row for row in rows if row.superseded_at is None] for key, rows in told.items()}
    # A value for some days stands beside another, and may be the same again.
    undated = {key: [row for row in rows if not (row.valid_from or row.valid_until)] for key, rows in told.items()}
    return Health(
        turns=turns.total(),
        facts=sum(map(len, current.values())),
        superseded=sum(map(len, told.values())) - sum(map(len, current.values())),
        duplicates=_findings((key, _repeated(rows)) for key, rows in undated.items()),
        contradictions=_findings((key, _contradicting(rows)) for key, rows in undated.items()),
        never_used=_findings((key, rows) for key, rows in current.items() if key not in used),
        growth={month: (turns[month], added[month]) for month in sorted({*turns, *added})},
    )


def _of(query: Select[Any], customer_id: str | None) -> Select[Any]:
    column = query.selected_columns["customer_id"]
    return query if customer_id is None else query.where(column == customer_id)


def _facts_cited(decision: dict[str, Any]) -> list[dict[str, Any]]:
    return [source for source in decision.get("sources", ()) if source.get("kind") == "fact"]


def _repeated(rows: list[Any]) -> list[Any]:
    """Return the rows of a fact that say what the row before them says."""
    return [row for before, row in pairwise(rows) if same_value(before.value, row.value)]


def _contradicting(rows: list[Any]) -> list[Any]:
    """Return the rows of a fact that go back to a value it had left, or all current ones where there are several."""
    current = [row for row in rows if row.superseded_at is None]
    returned = [
        row
        for place, row in enumerate(rows)
        if any(same_value(row.value, earlier.value) for earlier in rows[: max(place - 1, 0)])
        and not same_value(row.value, rows[place - 1].value)
    ]
    return returned or (current if len(current) > 1 else [])


def _findings(found: Iterable[tuple[tuple[str, str], list[Any]]]) -> tuple[FactFinding, ...]:
    return tuple(FactFinding(*key, tuple(row.turn_id for row in rows)) for key, rows in found if rows)
