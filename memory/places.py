"""Where a customer's data lies: every table, and whose its rows are. A table that is not listed here fails a test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, delete, func, select, true

from memory.tables import COMMITMENTS, CUSTOMERS, DELIVERIES, FACTS, FEEDBACK, SESSIONS, SUMMARIES, TURNS, VECTORS

_OWNERS = {"turn": TURNS, "session": SESSIONS, "customer": CUSTOMERS}


@dataclass(frozen=True)
class Scope:
    """What is to be forgotten of a customer: everything, one session, one turn, or one fact by name."""

    customer_id: str
    session_id: str = ""
    turn_id: int = 0
    fact: str = ""

    @property
    def what(self) -> str:
        """Everything, or the kind of the part."""
        return "fact" if self.fact else "turn" if self.turn_id else "session" if self.session_id else "everything"


@dataclass(frozen=True)
class Place:
    """A table whose `column` names the turn, session or customer that a row belongs to.

    `derived` rows are made again from what is left: they go with any part of what they were made from.
    """

    table: Table
    owner: Literal["turn", "session", "customer"]
    column: str
    derived: bool = False

    def rows(self, scope: Scope) -> ColumnElement[bool] | None:
        """Return the condition for the rows of a scope that is no fact, None where there are none."""
        if self.owner == "turn":
            return self._among(_turns(scope), TURNS)
        if self.owner == "session" and scope.turn_id:
            return (
                self.table.c[self.column].in_(select(TURNS.c.session_id).where(_turns(scope))) if self.derived else None
            )
        if self.owner == "session":
            theirs = SESSIONS.c.customer_id == scope.customer_id
            return self._among(theirs & (SESSIONS.c.id == scope.session_id) if scope.session_id else theirs, SESSIONS)
        return self.table.c[self.column] == scope.customer_id if scope.what == "everything" else None

    def delete(self, connection: Connection, scope: Scope) -> int:
        """Delete the rows of a scope; return how many."""
        condition = self.rows(scope)
        return 0 if condition is None else connection.execute(delete(self.table).where(condition)).rowcount

    def read(self, connection: Connection, scope: Scope) -> list[Row[Any]]:
        """Return the rows of a scope."""
        condition = self.rows(scope)
        return [] if condition is None else list(connection.execute(select(self.table).where(condition)))

    def read_others(self, connection: Connection, scope: Scope) -> list[Row[Any]]:
        """Return the customer's rows that are not in the scope."""
        theirs, condition = self.rows(Scope(scope.customer_id)), self.rows(scope)
        query = select(self.table).where(true() if theirs is None else theirs)
        return list(connection.execute(query if condition is None else query.where(~condition)))

    def owned(self, connection: Connection) -> Iterator[tuple[Row[Any], str, int]]:
        """Yield every row that belongs to somebody, with the customer's id and the first turn it can stem from."""
        owner = _OWNERS[self.owner]
        whose = CUSTOMERS.c.id if owner is CUSTOMERS else owner.c.customer_id
        query: Select[Any] = select(self.table, whose.label("_whose"), self._first_turn().label("_first"))
        if owner is not self.table:
            query = query.join(owner, owner.c.id == self.table.c[self.column])
        for row in connection.execute(query.execution_options(yield_per=1000)):
            yield row, row._whose, row._first or 0

    def _among(self, condition: ColumnElement[bool], owner: Table) -> ColumnElement[bool]:
        if owner is self.table:
            return condition
        return self.table.c[self.column].in_(select(owner.c.id).where(condition))

    def _first_turn(self) -> ColumnElement[Any]:
        column = self.table.c[self.column]
        if self.owner == "turn":
            return column
        theirs = TURNS.c.session_id if self.owner == "session" else TURNS.c.customer_id
        return select(func.min(TURNS.c.id)).where(theirs == column).correlate(self.table).scalar_subquery()


def _turns(scope: Scope) -> ColumnElement[bool]:
    condition = TURNS.c.customer_id == scope.customer_id
    if scope.session_id:
        condition &= TURNS.c.session_id == scope.session_id
    return condition & (TURNS.c.id == scope.turn_id) if scope.turn_id else condition


# In the order in which rows are deleted: what hangs on others goes first.
PLACES = (
    Place(FEEDBACK, "turn", "turn_id"),
    Place(VECTORS, "turn", "turn_id"),
    Place(FACTS, "turn", "turn_id"),
    Place(COMMITMENTS, "turn", "turn_id"),
    Place(SUMMARIES, "session", "session_id", derived=True),
    Place(TURNS, "turn", "id"),
    Place(SESSIONS, "session", "id"),
    Place(DELIVERIES, "customer", "customer_id"),
    Place(CUSTOMERS, "customer", "id"),
)
