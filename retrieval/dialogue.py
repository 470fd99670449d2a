"""Finding what was said in a dialogue: by meaning, by words, by date, and with what was said around it.

What answers a question about a conversation seldom repeats its words: they stand in the turn before, which asked. So a
turn is scored together with its neighbours in its session, each counting the less the farther it is away. The scores
are linear in the turns, so that a new turn is added without touching the others and no text is encoded twice.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.dates import Period, periods
from retrieval.encoder import DIM
from retrieval.hybrid import blend
from retrieval.lexical import BM25, Floats, terms

# How much a turn counts for the one after it and for the one before it; for the next but one, that share of the share.
_FOR_LATER, _FOR_EARLIER, _REACH = 0.6, 0.4, 4
# What counts how much, beside the words of a turn and its neighbours (EXPERIMENTS.md): standardised over the dialogue,
_MEANING, _MEANING_AROUND, _LENGTH = 0.35, 0.35, 0.4
# and as it is.
_SPEAKER, _DATE = 0.9, 3.5
_TOLD_LATER = 6  # days after an event within which people tell of it
_LEAD = 5.0  # the most that one speaker can be ahead of the others
# Words that ask about a conversation and say nothing about its subject.
_ASKING = frozenset(
    terms(
        "again answer ask before chat conversation discuss earlier ever explain last mention previous remember remind "
        "say speak talk tell thing time"
    )
)


@dataclass(frozen=True)
class Said:
    """A turn of a dialogue as it is indexed: `speaker` where there are several, empty otherwise."""

    id: int
    session: str
    day: date
    text: str
    speaker: str = ""


@dataclass(frozen=True)
class Hit:
    """A turn that was found.

    `score` orders the hits of one search. `similarity` is the cosine of its meaning to the question's, `cover` the
    share (0 to 1) of the question's words that it and its neighbours hold. `lead` is the same for all hits: where the
    question names a speaker, how far that speaker's best turn is ahead of everybody else's, -5 to 5, else 0. `before`
    and `after` are its neighbours in its session, where there are any.
    """

    id: int
    score: float
    similarity: float
    cover: float
    lead: float
    before: int | None
    after: int | None

    @property
    def evidence(self) -> float:
        """How much speaks for it that what is asked about was said: comparable between questions and dialogues."""
        return self.similarity + self.cover + self.lead


class DialogueIndex:
    """One dialogue that grows turn by turn; to take a turn out, build it again. Not safe between threads."""

    def __init__(self) -> None:
        self._meaning = faiss.IndexFlatIP(DIM)
        self._words = BM25()
        self._ids = array("q")
        self._days = array("q")
        self._before = array("q")  # the row of the turn before in the same session, -1 for none
        self._after = array("q")
        self._speakers: list[frozenset[str]] = []
        self._any_speaker = False
        self._last: dict[str, int] = {}  # session -> its last row

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, turns: Sequence[Said], vectors: NDArray[np.float32]) -> None:
        """Add turns, those of a session in order, with their unit vectors of shape `(n, 384)`."""
        for turn in turns:
            row, before = len(self._ids), self._last.get(turn.session, -1)
            if before >= 0:
                self._after[before] = row
            self._last[turn.session] = row
            self._ids.append(turn.id)
            self._days.append(turn.day.toordinal())
            self._before.append(before)
            self._after.append(-1)
            self._speakers.append(frozenset(terms(turn.speaker)))
            self._any_speaker |= bool(self._speakers[-1])
        self._words.add([str(turn.id) for turn in turns], [f"{turn.speaker}\n{turn.text}" for turn in turns])
        self._meaning.add(np.ascontiguousarray(vectors, dtype=np.float32))

    def search(
        self, text: str, query: NDArray[np.float32], today: date, k: int, exclude: Collection[int] = ()
    ) -> list[Hit]:
        """Return up to `k` turns for a question and its unit vector `(384,)`, best first, none from `exclude`."""
        if not len(self) or k < 1:
            return []
        asked = [term for term in terms(text) if term not in _ASKING]
        words, cover = self._words.match(asked, self._spread)
        close = self._cosines(query)
        scores = blend(
            (1.0, words),
            (_MEANING, close),
            (_MEANING_AROUND, self._spread(close)),
            (_LENGTH, np.log(3 + self._words.lengths)),
        )
        scores = scores + _DATE * self._dated(periods(text, today))
        named = self._named(asked)
        lead = _lead(scores, named)
        scores = scores + _SPEAKER * named
        ranked = _best(scores, k + len(exclude))
        best = islice((row for row in ranked if self._ids[row] not in exclude), k)
        return [self._hit(row, scores, close, cover, lead) for row in best]

    def _cosines(self, query: NDArray[np.float32]) -> Floats:
        """Return the cosine of every turn to a unit vector `(384,)`: not in order, which a search would pay for."""
        close = np.empty(len(self), dtype=np.float32)
        asked = np.ascontiguousarray(query, dtype=np.float32)
        faiss.fvec_inner_products_ny(  # type: ignore[attr-defined]
            faiss.swig_ptr(close), faiss.swig_ptr(asked), self._meaning.get_xb(), DIM, len(self)
        )
        return close.astype(np.float64)

    def _spread(self, numbers: Floats) -> Floats:
        """Return numbers `(..., n)` of turns with their neighbours' share added."""
        nothing = np.zeros((*numbers.shape[:-1], 1))
        earlier = later = np.concatenate([numbers, nothing], axis=-1)  # row -1 stands for no neighbour
        before, after = np.append(self._before, -1), np.append(self._after, -1)
        total = numbers.copy()
        for _ in range(_REACH):
            earlier = _FOR_LATER * earlier.take(before, axis=-1)
            later = _FOR_EARLIER * later.take(after, axis=-1)
            total += (earlier + later)[..., :-1]
        return total

    def _named(self, asked: Sequence[str]) -> NDArray[np.bool_]:
        """Return which turns are by a speaker whom the question names."""
        if not self._any_speaker:
            return np.zeros(len(self), dtype=bool)
        return np.array([not speaker.isdisjoint(asked) for speaker in self._speakers])

    def _dated(self, asked: Sequence[Period]) -> Floats:
        """Return 1 for the turns of a period that the question names, 0.6 for those that may tell of it afterwards."""
        days = np.array(self._days)
        dated = np.zeros(len(self))
        for period in asked:
            since, until = days - period.first.toordinal(), days - period.last.toordinal()
            dated = np.maximum(dated, np.where((since >= -1) & (until <= _TOLD_LATER), 0.6, 0.0))
            dated = np.maximum(dated, np.where((since >= -1) & (until <= 1), 1.0, 0.0))
        return dated

    def _hit(self, row: int, scores: Floats, close: Floats, cover: Floats, lead: float) -> Hit:
        before, after = (self._ids[near] if near >= 0 else None for near in (self._before[row], self._after[row]))
        return Hit(self._ids[row], float(scores[row]), float(close[row]), float(cover[row]), lead, before, after)


def _best(scores: Floats, most: int) -> list[int]:
    """Return the rows of the `most` best scores, best first, and of those equal to the last; equal ones in order."""
    least = np.partition(scores, -most)[-most] if most < len(scores) else -np.inf
    rows = np.flatnonzero(scores >= least)
    best: list[int] = rows[np.argsort(-scores[rows], kind="stable")].tolist()
    return best


def _lead(scores: Floats, named: NDArray[np.bool_]) -> float:
    """Return how far the best of the named turns is ahead of all others; 0 where none are named, most where all are."""
    if named.all() or not named.any():
        return _LEAD * float(named.any())
    return float(np.clip(scores[named].max() - scores[~named].max(), -_LEAD, _LEAD))
