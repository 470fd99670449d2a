"""ConversationMemory: what the bot knows before a turn (`load`) and what it keeps of it (`save`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, exists, insert, literal, select, update

from memory.boundaries import Boundaries, Kind
from memory.buffer import load_buffer
from memory.commitments import ANY_OPEN, Commitment, commitments, keep_commitments, open_commitments
from memory.context import Budgets, Context
from memory.facts import Fact, FactSpec
from memory.history import Session, facts_of, hash_key, session_digest, sessions
from memory.particulars import find_promises
from memory.recall import Recall, Recalled, store_vectors
from memory.spent import is_spent
from memory.store import Store, Turn, to_text
from memory.summary import Digest, SummaryWriter, load_summaries, store_digest, turns_between, write_prose
from memory.tables import CUSTOMERS, SESSIONS, TURNS
from memory.told import ANY_STANDING, began, counting, has_held, keep_facts, told_by, validity
from memory.validity import ALWAYS, Validity
from retrieval.encoder import Encoder


class WrongCustomerError(Exception):
    """A session was asked for in the name of a customer it does not belong to."""


class ForgottenError(Exception):
    """Something of the customer was forgotten while a turn was under way, which may hold it and is not kept."""


# One row; what there is none of is then not asked for.
_KNOWN = (
    select(SESSIONS.c.customer_id, SESSIONS.c.state, CUSTOMERS.c.epoch)
    .add_columns(ANY_OPEN.label("promised"), ANY_STANDING.label("told"))
    .select_from(select(literal(1)).subquery())
    .outerjoin(SESSIONS, SESSIONS.c.id == bindparam("session_id"))
    .outerjoin(CUSTOMERS, CUSTOMERS.c.id == bindparam("customer_id"))
)
_EPOCH = select(CUSTOMERS.c.epoch).where(CUSTOMERS.c.id == bindparam("customer_id"))
_ADD_CUSTOMER, _ADD_SESSION = insert(CUSTOMERS), insert(SESSIONS)
_TOUCH = update(SESSIONS).where(
    SESSIONS.c.id == bindparam("session_id"),
    exists().where(CUSTOMERS.c.id == bindparam("whose"), CUSTOMERS.c.epoch == bindparam("as_loaded")),
)
_ADD_TURN = insert(TURNS)
_FORGOTTEN = "Something of this customer was forgotten while the turn was under way."


class ConversationMemory:
    """Buffer, summary, recall and facts of every session and customer in one database."""

    def __init__(
        self,
        store: Store,
        encoder: Encoder,
        specs: Sequence[FactSpec] = (),
        budgets: Budgets | None = None,
        boundaries: Boundaries | None = None,
        without: Collection[Kind] = (),
    ) -> None:
        """Make a memory over a database; `without` some of its kinds, nothing of them is known, though it is kept."""
        self.store = store
        self.encoder = encoder
        self.specs = {spec.name: spec for spec in specs}
        self.budgets = budgets or Budgets()
        self.boundaries = boundaries or Boundaries()
        self.without = frozenset(without)
        self.recall = Recall(encoder)
        self.when_forgotten: Callable[[], None] = lambda: None  # drops what others derived from turns

    def drop_caches(self, customer_id: str) -> None:
        """Drop what is held in memory about a customer; it is made again from the rows that are left."""
        self.recall.forget(customer_id)
        self.when_forgotten()

    def load(self, session_id: str, customer_id: str, text: str, now: datetime) -> Context:
        """Return what is remembered that bears on a new message.

        Raises:
            WrongCustomerError: the session belongs to another customer.
            StoreError: the database cannot be read.
        """
        with self.store.read() as connection:
            known = connection.execute(_KNOWN, {"session_id": session_id, "customer_id": customer_id}).one()
            is_new, epoch = known.customer_id is None, known.epoch or 0
            if not is_new and known.customer_id != customer_id:
                raise WrongCustomerError("This session belongs to another customer.")
            budget = self.budgets.buffer_tokens, self.budgets.buffer_turns
            buffer = [] if is_new else load_buffer(connection, session_id, *budget)
            digest, prose = self._summaries(connection, session_id, buffer)
            owed = open_commitments(connection, customer_id) if known.promised else ()
            promises = self._crossing(owed, session_id, now)
            standing = told_by(connection, customer_id) if known.told else ()
            told = [fact for fact in standing if self._usable(fact, session_id, now)]

            def recall() -> tuple[Recalled, ...]:
                shown = {turn.id for turn in buffer}
                found = self.search(customer_id, text, now, self.budgets.recalled_turns, shown)
                return tuple(hit for hit in found if self._recallable(hit, session_id, now))

            return Context(
                session_id=session_id,
                customer_id=customer_id,
                now=now,
                is_new=is_new,
                handed_over=known.state == "handed_over",
                number=buffer[-1].number if buffer else 0,
                buffer=tuple(buffer),
                digest=digest,
                prose=prose,
                in_words=lambda: self._words(digest, [one for one in promises if one.session_id == session_id]),
                promises=promises,
                recall=recall,
                facts=counting(told, now.date()),
                told=tuple(told),
                epoch=epoch,
            )

    def search(
        self,
        customer_id: str,
        text: str,
        now: datetime,
        k: int,
        exclude: Collection[int] = (),
    ) -> list[Recalled]:
        """Return up to `k` of a customer's turns but those in `exclude`, best first.

        Raises:
            StoreError: the database cannot be read.
        """
        if "recall" in self.without:
            return []
        query = self.encoder.encode([text])[0]
        with self.store.read() as connection:
            epoch = connection.scalar(_EPOCH, {"customer_id": customer_id}) or 0
            return self.recall.search(connection, customer_id, text, query, now, k, exclude, epoch)

    def about(self, context: Context, text: str, k: int) -> list[Recalled]:
        """Return up to `k` turns, best first, that may be known now, those of the present session included.

        Raises:
            StoreError: the database cannot be read.
        """
        found = self.search(context.customer_id, text, context.now, k)
        return [hit for hit in found if self._recallable(hit, context.session_id, context.now)]

    def save(
        self,
        context: Context,
        text: str,
        reply: str,
        decision: Mapping[str, Any],
        *,
        facts: Mapping[str, str],
        handed_over: bool,
        vector: NDArray[np.float32] | None = None,
        key: str = "",
    ) -> int:
        """Keep a turn with its vector, facts, promises and the digest in one transaction; return the turn's id.

        `vector` `(384,)` is the message's; without it, it is made when turns of the customer are first looked for.
        `key` is what a repeated request is known by (`history.turn_of_request`); a session keeps one turn of each.

        What a reply promises is what the decision says it does; only a colleague's reply is read for promises, since
        what a chat model restates comes out of memory or out of an answer that holds for everybody.

        Raises:
            ForgottenError: something of the customer was forgotten since the context was loaded.
            StoreError: the database cannot be written; nothing of the turn is kept.
        """
        tokens = self.encoder.count_tokens(text) + self.encoder.count_tokens(reply)
        with self.store.write() as connection:
            self._touch(connection, context, handed_over)
            row = {
                "session_id": context.session_id,
                "customer_id": context.customer_id,
                "number": context.number + 1,
                "at": to_text(context.now),
                "text": text,
                "reply": reply,
                "tokens": tokens,
                "decision": dict(decision),
                "request_key": hash_key(key) if key else None,
            }
            turn_id: int = connection.execute(_ADD_TURN, row).inserted_primary_key[0]  # type: ignore[index]
            if vector is not None:
                store_vectors(connection, self.encoder, [turn_id], vector.reshape(1, -1))
            told = {name: (value, self._validity(context, name, value, text)) for name, value in facts.items()}
            keep_facts(connection, context.customer_id, turn_id, told, context.facts, context.now)
            keep_commitments(connection, context.customer_id, turn_id, _promises(reply, decision), context.now)
            turn = Turn(
                turn_id, context.session_id, context.number + 1, context.now, text, reply, dict(decision), tokens
            )
            self._extend_digest(connection, context, turn)
        return turn_id

    def tell(self, session_id: str, customer_id: str, text: str, now: datetime, key: str = "") -> int:
        """Keep what a colleague wrote to a customer, with what it promises, as a turn of the session; return its id.

        It says nothing on the customer's behalf: no fact is taken from it, and what the bot had asked for is dropped.

        Raises:
            WrongCustomerError: the session belongs to another customer.
            ForgottenError: something of the customer was forgotten meanwhile; nothing is kept.
            StoreError: the database cannot be read or written; nothing is kept.
        """
        vector = self.encoder.encode([text])[0]
        context = self.load(session_id, customer_id, text, now)
        decision = {"action": "colleague", "written_by": "colleague"}
        return self.save(context, "", text, decision, facts={}, handed_over=context.handed_over, vector=vector, key=key)

    def summarise(self, session_id: str, customer_id: str, writer: SummaryWriter) -> bool:
        """Let a chat model bring the prose summary of a session up to date; return whether it did."""
        return write_prose(self.store, session_id, customer_id, writer)

    def promised(self, context: Context) -> list[Commitment]:
        """Return what a customer was promised and may be known now, with what became of it, oldest first."""
        return list(self._crossing(commitments(self.store, context.customer_id), context.session_id, context.now))

    def earlier(self, context: Context, most: int, *, own: bool = True) -> list[tuple[Session, Digest]]:
        """Return what may be known of a customer's sessions, newest first, of the present one all of it.

        Without `own`, neither the present session nor those begun after it.
        """
        if "summary" in self.without:
            return []
        found = sessions(self.store, context.customer_id, most, before=None if own else context.session_id)
        return [(one, self._known(session_digest(self.store, one.id), one, context)) for one in found]

    def values(self, context: Context, name: str) -> list[Fact]:
        """Return the values of a fact that may be known now, the one that counts first, then those before it."""
        told = facts_of(self.store, context.customer_id, history=True)
        mine = [fact for fact in told if fact.name == name and self._usable(fact, context.session_id, context.now)]
        held = [fact for fact in mine if has_held(fact, context.now.date())]
        current = context.facts.get(name)
        return sorted(held, key=lambda fact: (fact == current, *began(fact)), reverse=True)

    def _summaries(self, connection: Connection, session_id: str, buffer: Sequence[Turn]) -> tuple[Digest, str]:
        """Return the digest and the prose of a session; nothing while every turn is still in the buffer."""
        if "summary" in self.without or not buffer or buffer[0].number == 1:
            return Digest(), ""
        digest, prose, prose_covers = load_summaries(connection, session_id)
        return digest, prose if prose_covers >= digest.covers else ""

    def _crossing(self, promises: Sequence[Commitment], session_id: str, now: datetime) -> tuple[Commitment, ...]:
        return tuple(
            one
            for one in promises
            if one.session_id == session_id or self.boundaries.cross("promises", one.made_at, now)
        )

    def _known(self, digest: Digest, session: Session, context: Context) -> Digest:
        if session.id == context.session_id:
            return digest
        return self.boundaries.digest(digest, session.last_at, context.now)

    def _recallable(self, hit: Recalled, session_id: str, now: datetime) -> bool:
        return hit.turn.session_id == session_id or self.boundaries.cross("recall", hit.turn.at, now)

    def _validity(self, context: Context, name: str, value: str, text: str) -> Validity:
        spec = self.specs.get(name)
        return validity(spec, value, text, context.now, context.just_told) if spec else ALWAYS

    def _usable(self, fact: Fact, session_id: str, now: datetime) -> bool:
        """Return whether the desk still has such a fact, keeps it that long, and lets it into this session."""
        spec = self.specs.get(fact.name)
        if "facts" in self.without:
            return False
        crosses = fact.session_id == session_id or self.boundaries.cross("facts", fact.said_at, now)
        return spec is not None and crosses and (now - fact.said_at).days <= spec.keep_days

    def _words(self, digest: Digest, promises: Sequence[Commitment]) -> str:
        """Return a digest in words; nothing while every turn is still in the buffer."""
        if not digest.covers:
            return ""
        texts = [one.text for one in promises]
        return digest.text(self.budgets.summary_tokens, self.encoder.count_tokens, texts)

    def _touch(self, connection: Connection, context: Context, handed_over: bool) -> None:
        now, customer_id = to_text(context.now), context.customer_id
        session = {"state": "handed_over" if handed_over else "open", "last_at": now}
        if not context.is_new:
            loaded = {"session_id": context.session_id, "whose": customer_id, "as_loaded": context.epoch}
            if not connection.execute(_TOUCH, session | loaded).rowcount:
                raise ForgottenError(_FORGOTTEN)
            return
        epoch = connection.scalar(_EPOCH, {"customer_id": customer_id})
        if context.epoch and context.epoch != epoch:
            raise ForgottenError(_FORGOTTEN)
        if epoch is None:
            if is_spent(connection, customer_id):
                raise ForgottenError("This visitor was joined to a customer while the turn was under way.")
            connection.execute(_ADD_CUSTOMER, {"id": customer_id, "created_at": now})
        row = {"id": context.session_id, "customer_id": customer_id, "started_at": now}
        connection.execute(_ADD_SESSION, row | session)

    def _extend_digest(self, connection: Connection, context: Context, turn: Turn) -> None:
        """Fold what leaves the buffer with this turn into the digest, and anything it has not covered before."""
        spent, staying = turn.tokens, 1
        for earlier in reversed(context.buffer):
            spent += earlier.tokens
            if spent > self.budgets.buffer_tokens or staying >= self.budgets.buffer_turns:
                break
            staying += 1
        upto = (*context.buffer, turn)[-staying].number - 1
        digest = context.digest
        if upto <= digest.covers:
            return
        before = min(context.buffer[0].number - 1, upto)
        missing = turns_between(connection, context.session_id, digest.covers, before) if before > digest.covers else []
        leaving = [one for one in context.buffer if digest.covers < one.number <= upto]
        digest = replace(digest.fold_all(missing + leaving), covers=upto)
        store_digest(connection, context.session_id, context.customer_id, digest)


def _promises(reply: str, decision: Mapping[str, Any]) -> tuple[str, ...]:
    if promise := decision.get("promise"):
        return (promise,)
    return find_promises(reply) if decision.get("written_by") == "colleague" else ()
