"""The help centre: articles cut into passages, found by meaning and by words."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from retrieval.encoder import DIM, Encoder
from retrieval.hybrid import blend, fuse
from retrieval.index import FaissIndex
from retrieval.lexical import BM25

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
# How much titles and words count beside the whole text: measured on held-out messages (EXPERIMENTS.md).
_TITLE, _WORDS = 0.5, 0.1
# A passage that is close to everything is close to a message by chance: what its neighbours are to it is taken off.
# Conneau et al., "Word Translation Without Parallel Data", ICLR 2018 (cross-domain similarity local scaling).
_CROWDING, _NEIGHBOURS = 0.3, 30


@dataclass(frozen=True)
class Passage:
    """A section of an article: `article` is the file's name without its ending, `text` is plain text."""

    id: str
    article: str
    title: str
    heading: str
    text: str

    @property
    def name(self) -> str:
        """Its title and heading."""
        return ". ".join(part for part in (self.title, self.heading) if part)

    @property
    def whole(self) -> str:
        """Its title, heading and text, as they are searched and as an answer classifier reads them."""
        return ". ".join(part for part in (self.title, self.heading, self.text) if part)


@dataclass(frozen=True)
class Candidate:
    """A passage that may answer a message, with its cosine similarity to it.

    `rank_score` is what `Knowledge.search` ordered it by, comparable within one search. `fit` is the calibrated
    probability that it answers the message, where an answer classifier has judged it.
    """

    passage: Passage
    similarity: float
    rank_score: float = 0.0
    fit: float | None = None


class Scorer(Protocol):
    """What re-ranking needs: an answer classifier."""

    def score(self, questions: Sequence[str], answers: Sequence[str]) -> NDArray[np.floating]:
        """Return the probability `(n,)` that each answer fits its question."""
        ...


def split_article(slug: str, markdown: str) -> list[Passage]:
    """Return the sections of an article that starts with `# Title` and is divided by `## headings`.

    Raises:
        ValueError: the article has no title or no text.
    """
    title, _, body = markdown.strip().partition("\n")
    if not re.match(r"# +\S", title):
        raise ValueError("the first line is not a title (`# Title`)")
    parts = re.split(r"^##+ +(.+)$", "\n" + body, flags=re.MULTILINE)
    sections = [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    name = title[2:].strip()
    passages = [
        Passage(id=f"{slug}#{number}", article=slug, title=name, heading=heading.strip(), text=_plain(text))
        for number, (heading, text) in enumerate(sections)
        if text.strip()
    ]
    if not passages:
        raise ValueError("there is no text under the title")
    return passages


def _plain(markdown: str) -> str:
    """Return a section as plain text: links and emphasis become their words, lists keep their lines."""
    return _LINK.sub(r"\1", markdown).replace("**", "").replace("`", "").strip()


class Knowledge:
    """All passages of a desk, ready to be searched."""

    def __init__(self, passages: Sequence[Passage], encoder: Encoder, cache: Path | None = None) -> None:
        """Index passages; with `cache`, their vectors are kept in that folder and made again when anything differs.

        Raises:
            OSError: the disk is full or cannot be written to.
        """
        self._passages = list(passages)
        self._row_of = {passage.id: row for row, passage in enumerate(passages)}
        texts = [passage.whole for passage in passages]
        vectors = _vectors([*texts, *(passage.name for passage in passages)], encoder, cache)
        self._titles = vectors[len(texts) :]  # (n, 384)
        self._index = FaissIndex(encoder, DIM)
        self._index.add_vectors(
            [Document(id=passage.id, page_content=text) for passage, text in zip(passages, texts, strict=True)],
            vectors[: len(texts)],
        )
        self._crowding = _crowding(self._index, vectors[: len(texts)])  # (n,)
        self._words = BM25()
        self._words.add([passage.id for passage in passages], texts)

    def search(self, text: str, vector: NDArray[np.float32], k: int = 5) -> list[Candidate]:
        """Return up to `k` passages for a message and its unit vector of shape `(384,)`, best first.

        A passage's cosine (less what any text would have), its title's and its BM25 score are added up, each
        standardised over all passages.
        """
        similarities, words = np.zeros(len(self._passages)), np.zeros(len(self._passages))
        for document, cosine in self._index.search_vector(vector, len(self._passages)):
            similarities[self._row_of[str(document.id)]] = cosine
        for key, score in self._words.search(text, len(self._passages)):
            words[self._row_of[key]] = score
        close = similarities - _CROWDING * self._crowding
        scores = blend((1.0, close), (_TITLE, self._titles @ vector), (_WORDS, words))
        best = np.argsort(-scores, kind="stable")[:k]
        return [Candidate(self._passages[row], float(similarities[row]), float(scores[row])) for row in best]


def _crowding(index: FaissIndex, vectors: NDArray[np.float32]) -> NDArray[np.floating]:
    """Return for each of the indexed unit vectors `(n, 384)` its mean cosine to its nearest neighbours `(n,)`."""
    nearest = [[cosine for _, cosine in index.search_vector(vector, _NEIGHBOURS + 1)][1:] for vector in vectors]
    return np.array([np.mean(own) if own else 0.0 for own in nearest])


def rerank(text: str, candidates: Sequence[Candidate], scorer: Scorer) -> list[Candidate]:
    """Return candidates with how well each fits the message, best first, by that and by what retrieval says."""
    if not candidates:
        return []
    fits = scorer.score([text] * len(candidates), [candidate.passage.whole for candidate in candidates])
    scores = fuse(fits, np.array([one.rank_score for one in candidates]))
    best = np.argsort(-scores, kind="stable")
    return [replace(candidates[place], fit=float(fits[place]), rank_score=float(scores[place])) for place in best]


def _vectors(texts: list[str], encoder: Encoder, cache: Path | None) -> NDArray[np.float32]:
    key = hashlib.sha256("\0".join([encoder.name, *texts]).encode()).hexdigest()[:16]
    if cache is None:
        return encoder.encode(texts)
    path = cache / f"passages-{key}.safetensors"
    if (kept := _kept(path, len(texts))) is not None:
        return kept
    vectors = encoder.encode(texts)
    cache.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{uuid.uuid4().hex}.draft")  # several processes may start at once
    try:
        save_file({"vectors": vectors}, draft)
        draft.replace(path)
    except SafetensorError as error:  # what it raises in place of an OSError
        raise OSError(f"{path} cannot be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    for old in cache.glob("passages-*.safetensors"):
        if old != path:
            old.unlink(missing_ok=True)
    return vectors


def _kept(path: Path, count: int) -> NDArray[np.float32] | None:
    """Return the vectors in a cache file, or None where they are missing or damaged."""
    try:
        vectors: NDArray[np.float32] = load_file(path)["vectors"]
    except (FileNotFoundError, SafetensorError, KeyError):
        return None
    return vectors if vectors.shape == (count, DIM) else None
