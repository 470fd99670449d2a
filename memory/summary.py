"""Summary memory: a running digest of the turns that left the buffer, and the chat model's prose where there is one.

The digest is exact and free: it folds the turns in one at a time, so that its cost per turn does not depend on how long
the conversation is. Prose is written by a chat model from the previous prose and the turns that are new, and is not
taken at its word: what it drops of the digest is added from the originals. A model that fails leaves everything as it
was, and the next turn tries again. Both are derived: deleted, they are made again from the turns, which they never
change.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from memory.buffer import COLUMNS, to_turn
from memory.checksums import checksum, is_whole
from memory.particulars import Particular, find_particulars, find_questions, missing, plain, sentences, states
from memory.store import Store, StoreError, Turn
from memory.tables import FACTS, SUMMARIES, TURNS

_LOG = logging.getLogger(__name__)
MOST_TOPICS = 12
MOST_PARTICULARS = 48
MOST_QUESTIONS = 3
MOST_QUOTES = 32

# Writes the new prose from the old prose and the turns it does not cover yet.
SummaryWriter = Callable[[str, Sequence[Turn]], str]


@dataclass(frozen=True)
class Digest:
    """What a stretch of conversation came to: its topics, its particulars, and what was asked and not answered.

    `topics` maps a topic to `answered`, `open` or `handed_over`, oldest first; `particulars` are in the order in which
    they were last said; `questions` are the customer's that no reply has answered, `asked` are ours in the last reply,
    `quotes` the latest sentences of both sides.
    `covers` is the number of the last turn folded in, `first` and `last` are turn ids.
    """

    topics: tuple[tuple[str, str], ...] = ()
    particulars: tuple[Particular, ...] = ()
    questions: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    covers: int = 0
    first: int | None = None
    last: int | None = None

    def fold(self, turn: Turn) -> Digest:
        """Return this digest with one more turn in it."""
        topics = dict(self.topics)
        state = turn.decision.get("state")
        also = [(topic, own) for _, topic, own in turn.decision.get("also") or ()]  # of a reply to several questions
        for topic, own in [*also, (turn.decision.get("topic"), state or "open")]:
            if topic:
                topics.pop(topic, None)  # a topic that comes up again moves to the end
                topics[topic] = own
        said = (*find_particulars(turn.text, asked=" ".join(self.asked)), *find_particulars(turn.reply))
        questions = dict.fromkeys((*self.questions, *find_questions(turn.text)))
        answered = state == "answered" if state else states(turn.reply)
        return replace(
            self,
            topics=tuple(topics.items())[-MOST_TOPICS:],
            particulars=_merge(self.particulars, said),
            questions=() if answered else tuple(questions)[-MOST_QUESTIONS:],
            asked=find_questions(turn.reply)[-MOST_QUESTIONS:],
            quotes=(*self.quotes, *sentences(turn.text), *sentences(turn.reply))[-MOST_QUOTES:],
            covers=turn.number,
            first=self.first or turn.id,
            last=turn.id,
        )

    def fold_all(self, turns: Iterable[Turn]) -> Digest:
        """Return this digest with more turns in it, in the order given."""
        digest = self
        for turn in turns:
            digest = digest.fold(turn)
        return digest

    def text(self, budget: int, count_tokens: Callable[[str], int], promises: Sequence[str] = ()) -> str:
        """Return the digest in words, in at most `budget` tokens, with what was promised meanwhile.

        What matters most goes in first: what is open, then whom and what it is about, then dates and amounts; of each
        kind the newest first. What room is left goes to the latest sentences as they were said.
        """
        taken: dict[str, list[str]] = {}
        left = budget
        said: set[str] = set()
        for label, values in self._parts(promises):
            heading = count_tokens(f"{label}: .")
            for value in reversed(values):
                if value in said:
                    continue
                cost = count_tokens(f"{value};") + (0 if label in taken else heading)
                if cost <= left:
                    taken.setdefault(label, []).insert(0, value)
                    said.add(value)
                    left -= cost
        return " ".join(f"{label}: {'; '.join(values)}." for label, values in taken.items())

    def _parts(self, promises: Sequence[str]) -> list[tuple[str, list[str]]]:
        """Return what there is to say by its label, the most important first, each oldest first."""

        def of(kind: str) -> list[str]:
            return [one.text for one in self.particulars if one.kind == kind]

        return [
            ("Open", [topic for topic, state in self.topics if state != "answered"]),
            ("Names", of("name")),
            ("Numbers", of("number")),
            ("Contact", of("contact")),
            ("Unanswered", list(self.questions)),
            ("Dates", of("date")),
            ("Amounts", of("amount")),
            ("We asked", list(self.asked)),
            ("Promised", list(promises)),
            ("Answered", [topic for topic, state in self.topics if state == "answered"]),
            ("Mentioned", of("proper")),
            ("Said", list(self.quotes)),
        ]


def _merge(known: tuple[Particular, ...], said: Iterable[Particular]) -> tuple[Particular, ...]:
    """Return particulars with what was said last at the end, and none that another one says too."""
    kept = list(known)
    for one in said:
        holding = [other for other in kept if one.stands_in(other.key)] or [one]
        kept = [other for other in kept if other not in holding and not other.stands_in(one.key)] + holding
    return tuple(kept)[-MOST_PARTICULARS:]


def mend(prose: str, digest: Digest, held: str = "") -> str:
    """Return prose with what it drops of the turns that a digest covers added at its end, as it was written.

    `held` is what facts hold, and need not be said again. Commitments hold the promises.
    """
    wanted = [one for one in digest.particulars if one.kind != "proper"]
    lost = [one.text for one in missing(wanted, f"{prose}\n{held}")]
    said = set(plain(prose).split())
    unasked = [one for one in digest.questions if not _says(one, said)]
    mended = [f"Also: {'; '.join(lost)}."] if lost else []
    mended += [f"Unanswered: {' '.join(unasked)}"] if unasked else []
    return " ".join([prose, *mended])


def _says(sentence: str, words: set[str]) -> bool:
    """Return whether most of the longer words of a sentence are among some words."""
    longer = {word for word in plain(sentence).split() if len(word) > 3}
    return 2 * len(longer & words) > len(longer)


_ADD = insert(SUMMARIES)
_REPLACE = update(SUMMARIES).where(
    SUMMARIES.c.session_id == bindparam("of_session"), SUMMARIES.c.writer == bindparam("by")
)
_READ = select(SUMMARIES).where(SUMMARIES.c.session_id == bindparam("session_id"))
_FACTS = select(FACTS.c.value).where(FACTS.c.customer_id == bindparam("customer_id"), FACTS.c.superseded_at.is_(None))
_BETWEEN = (
    select(*COLUMNS)
    .where(
        TURNS.c.session_id == bindparam("session_id"),
        TURNS.c.number > bindparam("after"),
        TURNS.c.number <= bindparam("upto"),
    )
    .order_by(TURNS.c.number)
)


def load_summaries(connection: Connection, session_id: str) -> tuple[Digest, str, int]:
    """Return the digest of a session, the chat model's prose (may be empty) and the last turn number it covers.

    What is damaged counts as not there: it is made again.
    """
    digest, prose, covers = Digest(), "", 0
    for row in connection.execute(_READ, {"session_id": session_id}):
        if not is_whole("summaries", row):
            continue
        if row.writer == "digest":
            first, last = row.turn_ids
            topics = tuple((topic, state) for topic, state in row.content["topics"])
            particulars = tuple(Particular(kind, text) for kind, text in row.content["particulars"])
            questions, asked, quotes = (tuple(row.content[name]) for name in ("questions", "asked", "quotes"))
            digest = Digest(topics, particulars, questions, asked, quotes, row.covers, first, last)
        else:
            prose, covers = row.content["text"], row.covers
    return digest, prose, covers


def turns_between(connection: Connection, session_id: str, after: int, upto: int) -> list[Turn]:
    """Return the turns of a session with a number above `after` and at most `upto`, in order."""
    return [
        to_turn(row) for row in connection.execute(_BETWEEN, {"session_id": session_id, "after": after, "upto": upto})
    ]


def store_digest(connection: Connection, session_id: str, customer_id: str, digest: Digest) -> None:
    """Store a session's digest in place of the older one."""
    content = {
        "topics": digest.topics,
        "particulars": [(one.kind, one.text) for one in digest.particulars],
        "questions": digest.questions,
        "asked": digest.asked,
        "quotes": digest.quotes,
    }
    _store(connection, session_id, customer_id, "digest", content, (digest.first, digest.last), digest.covers)


def write_prose(store: Store, session_id: str, customer_id: str, writer: SummaryWriter) -> bool:
    """Let a chat model write the prose of the turns that left the buffer; return whether there is a new one.

    A model that fails or says nothing changes nothing; what it should have covered is covered next time. Prose that
    drops particulars of the turns it covers is mended before it is stored.
    """
    try:
        with store.read() as connection:
            digest, prose, covers = load_summaries(connection, session_id)
            turns = turns_between(connection, session_id, covers, digest.covers)
            held = " \n".join(connection.scalars(_FACTS, {"customer_id": customer_id}))
        if not turns:
            return False
        text = writer(prose, turns).strip()
        if not text:
            raise ValueError("the chat model returned an empty summary")
        text = mend(text, digest, held)
        with store.write() as connection:
            # Forgotten or written meanwhile: the prose may hold what must not return.
            if load_summaries(connection, session_id)[1:] != (prose, covers):
                return False
            if turns_between(connection, session_id, covers, digest.covers) != turns:
                return False
            ids = (digest.first, turns[-1].id)
            _store(connection, session_id, customer_id, "model", {"text": text}, ids, digest.covers)
    except StoreError:
        raise
    except Exception:  # noqa: BLE001 - whatever a chat model's client raises: the edge of a request
        _LOG.warning("The chat model could not summarise session %s; it is tried again later.", session_id)
        return False
    return True


def drop_summaries(connection: Connection, session_ids: Sequence[str]) -> None:
    """Delete the summaries of sessions; they are made again from the turns that are left."""
    connection.execute(delete(SUMMARIES).where(SUMMARIES.c.session_id.in_(list(session_ids))))


def _store(
    connection: Connection,
    session_id: str,
    customer_id: str,
    writer: str,
    content: dict[str, Any],
    ids: tuple[int | None, int | None],
    covers: int,
) -> None:
    row = {"customer_id": customer_id, "content": content, "turn_ids": list(ids), "covers": covers}
    row["checksum"] = checksum("summaries", row)
    if not connection.execute(_REPLACE, {**row, "of_session": session_id, "by": writer}).rowcount:
        connection.execute(_ADD, {**row, "session_id": session_id, "writer": writer})
