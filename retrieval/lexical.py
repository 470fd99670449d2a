"""BM25 over a growing set of texts, for finding text by its words, in any script."""

from __future__ import annotations

import sys
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import regex
from numpy.typing import NDArray
from snowballstemmer import stemmer

Floats = NDArray[np.floating]

# Scripts that put no space between words are cut into characters and pairs of characters, as search engines do.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[\p{{L}}\p{{M}}\p{{N}}--[{_UNSPACED}]]"
_WORD = regex.compile(rf"(?V1)(?P<run>[{_UNSPACED}]+)|{_LETTER}+(?:['’]{_LETTER}+)?")
# Words that say nothing about the subject of an English message.
_STOP_WORDS = frozenset(
    "a about am an and any are as at be been but by can could did do does for from had has have he her hers him his "
    "how i i'd i'll i'm i've if in into is it it's its just me my of on or our please she so some than that that's the "
    "their them then there these they this those to too u up us was we were what when where which who why will with "
    "would you your".split()
)
# Forms that a stemmer cannot lead back to their word.
_IRREGULAR = {
    form: word
    for word, *forms in map(
        str.split,
        "become became|begin began begun|break broke broken|bring brought|build built|buy bought|catch caught|"
        "child children|choose chose chosen|come came|draw drew drawn|drink drank drunk|drive drove driven|"
        "eat ate eaten|fall fell fallen|feel felt|find found|fly flew flown|foot feet|forget forgot forgotten|"
        "freeze froze frozen|"
        "get got gotten|give gave given|go went gone|grow grew grown|hear heard|hold held|keep kept|know knew known|"
        "lead led|leave left|lend lent|lose lost|make made|man men|meet met|pay paid|person people|ride rode ridden|"
        "rise rose risen|run ran|say said|see saw seen|sell sold|send sent|sing sang sung|sleep slept|"
        "speak spoke spoken|spend spent|steal stole stolen|swim swam swum|take took taken|teach taught|tear tore torn|"
        "tell told|think thought|throw threw thrown|understand understood|wake woke woken|wear wore worn|win won|"
        "woman women|write wrote written".split("|"),
    )
    for form in forms
}
_stem = stemmer("english").stemWord


def terms(text: str) -> list[str]:
    """Return the words of a text as they are compared, lower case, without stop words.

    Words are stemmed (Snowball English, irregular forms looked up). Text in a script without spaces between words
    (Chinese, Japanese, Thai, ...) gives its characters and its pairs of neighbouring characters.
    """
    found: list[str] = []
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).lower()):
        if run := match["run"]:
            found += [*run, *(run[at : at + 2] for at in range(len(run) - 1))]
        elif (word := match[0].replace("’", "'")) not in _STOP_WORDS:
            found.append(_stem(_IRREGULAR.get(word, word)))
    return found


class BM25:
    """Okapi BM25 over an inverted index that grows; to take a text out, build it again.

    Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; `k1` and `b`
    are the usual 1.2 and 0.75.
    """

    def __init__(self, k1: float = 1.2, b: float = 0.75) -> None:
        self._k1, self._b = k1, b
        self._postings: dict[str, array[int]] = {}  # term -> row that holds it, how often, next row, how often, ...
        self._lengths = array("i")
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def lengths(self) -> NDArray[np.float64]:
        """How many terms each text has `(n,)`, in the order of adding."""
        return np.array(self._lengths, dtype=np.float64)

    def add(self, ids: Sequence[str], texts: Iterable[str]) -> None:
        """Add texts under ids that are not there yet."""
        for key, text in zip(ids, texts, strict=True):
            counts = Counter(terms(text))
            for term, count in counts.items():
                self._postings.setdefault(sys.intern(term), array("i")).extend((len(self._ids), count))
            self._lengths.append(sum(counts.values()))
            self._ids.append(key)

    def search(self, query: str, k: int) -> list[tuple[str, float]]:
        """Return up to `k` ids that share a word with the query, best first; equal scores keep the order of adding."""
        scores, _ = self.match(terms(query))
        best = np.argsort(-scores, kind="stable")[:k]
        return [(self._ids[row], float(scores[row])) for row in best if scores[row] > 0]

    def match(self, asked: Sequence[str], spread: Callable[[Floats], Floats] | None = None) -> tuple[Floats, Floats]:
        """Return every text's score for terms and how many of them it covers, both `(n,)`, in the order of adding.

        The cover is the share, 0 to 1, of the different terms, each counted by how rare it is; of no terms it is all.
        `spread` lets a text
        count for others: it is given numbers of shape `(..., n)` and returns them with the share of others in them.
        """
        count = len(self._ids)
        asked = list(dict.fromkeys(asked))
        frequencies: Floats = np.zeros((len(asked), count))
        holders = np.zeros(len(asked))  # how many texts hold each term
        for place, term in enumerate(asked):
            if posting := self._postings.get(term):
                rows, counts = np.array(posting).reshape(-1, 2).T
                frequencies[place, rows] = counts
                holders[place] = len(rows)
        if not asked or not count:
            return np.zeros(count), np.ones(count)
        lengths: Floats = self.lengths
        if spread is not None:
            frequencies, lengths = spread(frequencies), spread(lengths)
        rarity = np.log1p((count - holders + 0.5) / (holders + 0.5))
        penalty = self._k1 * (1 - self._b + self._b * lengths / max(lengths.mean(), 1.0))
        scores = rarity @ (frequencies * (self._k1 + 1) / (frequencies + penalty))
        return scores, rarity @ np.minimum(frequencies, 1.0) / rarity.sum()
