"""What customers told: facts in the database, which value of each counts on a day, and what a newer one replaces.

Every value has two times: when it was said and when that was taken back (`said_at`, `superseded_at`), and from when
until when it holds (`Fact.valid`). On a day that value counts which began last of those that hold and were not taken
back: a value for a later day takes over by itself, and one for some days gives way again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, select, update

from memory.checksums import verify
from memory.facts import Fact, FactSpec, same_value
from memory.store import from_text, to_text
from memory.tables import FACTS, TURNS
from memory.validity import ALWAYS, Validity, corrects

_BY_CUSTOMER = FACTS.c.customer_id == bindparam("customer_id")
_OF_CUSTOMER = (
    select(FACTS, TURNS.c.session_id)
    .join(TURNS, TURNS.c.id == FACTS.c.turn_id)
    .where(_BY_CUSTOMER)
    .order_by(FACTS.c.said_at, FACTS.c.id)
)
_ADD = insert(FACTS)
_END = update(FACTS).where(FACTS.c.id.in_(bindparam("ids", expanding=True)))
_STANDING = _OF_CUSTOMER.where(FACTS.c.superseded_at.is_(None))
ANY_STANDING = exists().where(_BY_CUSTOMER, FACTS.c.superseded_at.is_(None))  # as a part of another query


def told_by(connection: Connection, customer_id: str, *, history: bool = False) -> list[Fact]:
    """Return the values that were not taken back, whether they hold now or not, or all, in the order of saying.

    Raises:
        AlteredError: one of them does not say what was written.
    """
    query = _OF_CUSTOMER if history else _STANDING
    return [_to_fact(row) for row in connection.execute(query, {"customer_id": customer_id})]


def _to_fact(row: Any) -> Fact:
    verify("facts", row)
    first, last, gone = row.valid_from, row.valid_until, row.superseded_at
    valid = Validity(first and date.fromisoformat(first), last and date.fromisoformat(last))
    superseded_at = from_text(gone) if gone else None
    said_at = from_text(row.said_at)
    return Fact(row.name, row.value, said_at, row.session_id, row.turn_id, row.id, valid, superseded_at)


def counting(facts: Iterable[Fact], today: date) -> dict[str, Fact]:
    """Return the value of each fact that counts on a day."""
    holding = [fact for fact in facts if fact.superseded_at is None and fact.valid.holds(today)]
    return {fact.name: fact for fact in sorted(holding, key=began)}


def began(fact: Fact) -> tuple[date, int]:
    """Return by what values are in order: the day from which one holds, and which was said first."""
    return fact.valid.first or fact.said_at.date(), fact.id or 0


def has_held(fact: Fact, today: date) -> bool:
    """Return whether a value ever counted: a plan that was taken back before its day did not."""
    upto = min(today, fact.superseded_at.date()) if fact.superseded_at else today
    return not fact.valid.is_later(upto)


def validity(spec: FactSpec, value: str, text: str, now: datetime, just_said: Iterable[Fact]) -> Validity:
    """Return from when until when a value holds that a message says.

    `just_said` are the facts of the message before it: "no, it's …" puts one of them right, and keeps its time.
    """
    valid = spec.validity(value, text, now)
    if valid == ALWAYS and corrects(text):
        return next((fact.valid for fact in just_said if fact.name == spec.name), ALWAYS)
    return valid


def keep_facts(
    connection: Connection,
    customer_id: str,
    turn_id: int,
    facts: Mapping[str, tuple[str, Validity]],
    known: Mapping[str, Fact],
    now: datetime,
) -> None:
    """Store what a turn's message says; an exact or near repeat of what is `known` changes nothing.

    A value that begins now ends those that hold and do not outlast it. One that begins later ends none of them. Both
    end what was said for a later day if it is the same value, or has the same time.
    """
    told = told_by(connection, customer_id) if facts else []
    for name, (value, valid) in facts.items():
        others = [fact for fact in told if fact.name == name]
        now_known = known.get(name)
        repeated = [one for one in others if one.valid.is_later(now.date()) or (now_known and one.id == now_known.id)]
        if any(same_value(one.value, value) and one.valid == valid for one in repeated):
            continue
        over = [one.id for one in others if is_over(one, value, valid, now.date())]
        if over:
            connection.execute(_END, {"ids": over, "superseded_at": to_text(now)})
        times = {"valid_from": valid.first, "valid_until": valid.last}
        row = {"customer_id": customer_id, "turn_id": turn_id, "name": name, "value": value, "said_at": to_text(now)}
        connection.execute(_ADD, {**row, **{key: day and day.isoformat() for key, day in times.items()}})


def is_over(old: Fact, value: str, valid: Validity, today: date) -> bool:
    """Return whether an older value is over once a newer one is said."""
    if old.valid.is_later(today):
        return same_value(old.value, value) or old.valid == valid
    return not valid.is_later(today) and (old.valid.last or date.max) <= (valid.last or date.max)
