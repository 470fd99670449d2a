"""BM25 over a growing set of texts, for finding text by its words."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from snowballstemmer import stemmer

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
# Words that say nothing about the subject of an English message.
_STOP_WORDS = frozenset(
    "a about am an and any are as at be been but by can could did do does for from had has have he her hers him his "
    "how i i'd i'll i'm i've if in into is it it's its just me my of on or our please she so some than that that's the "
    "their them then there these they this those to too u up us was we were what when where which who why will with "
    "would you your".split()
)
_stem = stemmer("english").stemWord


def terms(text: str) -> list[str]:
    """Return the stemmed words of a text (Snowball English), lower case, without stop words."""
    words = (word.replace("’", "'") for word in _WORD.findall(text.lower()))
    return [_stem(word) for word in words if word not in _STOP_WORDS]


class BM25:
    """Okapi BM25 over an inverted index that grows; to take a text out, build it again.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; `k1` and `b`
    are the usual 1.2 and 0.75.
    """

    def __init__(self, k1: float = 1.2, b: float = 0.75) -> None:
        self._k1, self._b = k1, b
        self._postings: dict[str, tuple[array[int], array[int]]] = {}  # term -> rows that hold it, how often each does
        self._lengths = array("i")  # terms in each row
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Sequence[str], texts: Iterable[str]) -> None:
        """Add texts under ids that are not there yet."""
        for key, text in zip(ids, texts, strict=True):
            counts = Counter(terms(text))
            for term, count in counts.items():
                rows, frequencies = self._postings.setdefault(term, (array("i"), array("i")))
                rows.append(len(self._ids))
                frequencies.append(count)
            self._lengths.append(sum(counts.values()))
            self._ids.append(key)

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """Return up to `k` ids that share a word with the query, best first; equal scores keep the order of adding."""
        scores = np.zeros(len(self._ids))
        lengths = np.array(self._lengths, dtype=np.float64)
        penalty = self._k1 * (1 - self._b + self._b * lengths / max(lengths.mean(), 1.0)) if self._ids else lengths
        for term in dict.fromkeys(terms(query)):
            if term in self._postings:
                rows, frequencies = (np.array(part, dtype=np.int64) for part in self._postings[term])
                idf = np.log1p((len(self._ids) - len(rows) + 0.5) / (len(rows) + 0.5))
                scores[rows] += idf * frequencies * (self._k1 + 1) / (frequencies + penalty[rows])
        best = np.argsort(-scores, kind="stable")[:k]
        return [(self._ids[row], float(scores[row])) for row in best if scores[row] > 0]
