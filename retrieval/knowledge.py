"""The help centre: articles cut into passages, found by meaning and by words."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from retrieval.encoder import DIM, Encoder
from retrieval.hybrid import fuse
from retrieval.index import FaissIndex
from retrieval.lexical import BM25

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_DEPTH = 20  # candidates taken from each ranking before they are fused


@dataclass(frozen=True)
class Passage:
    """A section of an article: `article` is the file's name without its ending, `text` is plain text."""

    id: str
    article: str
    title: str
    heading: str
    text: str


@dataclass(frozen=True)
class Candidate:
    """A passage that may answer a message, with its cosine similarity to it."""

    passage: Passage
    similarity: float


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
        """Index passages; with `cache`, their vectors are kept in that file and made again when anything differs."""
        self._passages = {passage.id: passage for passage in passages}
        texts = [f"{passage.title}. {passage.heading}. {passage.text}" for passage in passages]
        self._index = FaissIndex(encoder, DIM)
        self._index.add_vectors(
            [Document(id=passage.id, page_content=text) for passage, text in zip(passages, texts, strict=True)],
            _vectors(texts, encoder, cache),
        )
        self._words = BM25()
        self._words.add([passage.id for passage in passages], texts)

    def search(self, text: str, vector: NDArray[np.float32], k: int = 5) -> list[Candidate]:
        """Return up to `k` passages for a message and its unit vector of shape `(384,)`, best first."""
        similarities = {
            str(document.id): cosine for document, cosine in self._index.search_vector(vector, len(self._index))
        }
        by_meaning = list(similarities)[:_DEPTH]
        by_words = [key for key, _ in self._words.search(text, _DEPTH)]
        best = fuse(by_meaning, by_words)[:k]
        return [Candidate(self._passages[key], similarities[key]) for key, _ in best]


def _vectors(texts: list[str], encoder: Encoder, cache: Path | None) -> NDArray[np.float32]:
    key = hashlib.sha256("\0".join([encoder.name, *texts]).encode()).hexdigest()[:16]
    if cache is None:
        return encoder.encode(texts)
    path = cache / f"passages-{key}.safetensors"
    if (kept := _kept(path, len(texts))) is not None:
        return kept
    vectors = encoder.encode(texts)
    cache.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    save_file({"vectors": vectors}, draft)
    for old in cache.glob("passages-*.safetensors"):
        old.unlink()
    draft.replace(path)
    return vectors


def _kept(path: Path, count: int) -> NDArray[np.float32] | None:
    """Return the vectors in a cache file, or None where they are missing or damaged."""
    try:
        vectors: NDArray[np.float32] = load_file(path)["vectors"]
    except (FileNotFoundError, SafetensorError, KeyError):
        return None
    return vectors if vectors.shape == (count, DIM) else None
