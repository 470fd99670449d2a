"""FAISS behind LangChain's VectorStore: exact search over unit vectors, derived from rows, never saved."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import faiss
import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from numpy.typing import NDArray

# Two threads on one short query cost far more in waking up than they save.
faiss.omp_set_num_threads(1)


class FaissIndex(VectorStore):
    """Documents and their vectors in memory; an id that is added again replaces its document.

    The vectors and texts live in the database: an index can be thrown away and built again at any time. Safe to use
    from several threads.
    """

    def __init__(self, embedding: Embeddings, dim: int) -> None:
        self._embedding = embedding
        self._lock = threading.Lock()
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
        self._documents: dict[int, Document] = {}
        self._number_of: dict[str, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._documents)

    @property
    def embeddings(self) -> Embeddings:
        """The encoder that queries and new texts go through."""
        return self._embedding

    def add_vectors(self, documents: Sequence[Document], vectors: NDArray[np.float32]) -> list[str]:
        """Add documents with their unit vectors of shape `(n, dim)`; return their ids.

        Raises:
            ValueError: the numbers of documents and vectors differ.
        """
        if len(documents) != len(vectors):
            raise ValueError(f"{len(documents)} documents came with {len(vectors)} vectors")
        # Of documents with one id in one call, the last one stands.
        rows = {document.id or str(uuid.uuid4()): row for row, document in enumerate(documents)}
        with self._lock:
            self._remove(rows)
            numbers = np.arange(self._next, self._next + len(rows), dtype=np.int64)
            self._next += len(rows)
            if rows:
                self._index.add_with_ids(np.ascontiguousarray(vectors[list(rows.values())]), numbers)
            for number, (key, row) in zip(numbers.tolist(), rows.items(), strict=True):
                self._number_of[key] = number
                self._documents[number] = Document(
                    id=key, page_content=documents[row].page_content, metadata=documents[row].metadata
                )
        return list(rows)

    def search_vector(self, vector: NDArray[np.float32], k: int) -> list[tuple[Document, float]]:
        """Return up to `k` documents with their cosine similarity to a unit vector of shape `(dim,)`, best first."""
        with self._lock:
            if not self._documents or k < 1:
                return []
            similarities, numbers = self._index.search(vector.reshape(1, -1), min(k, len(self._documents)))
            found = zip(numbers[0].tolist(), similarities[0].tolist(), strict=True)
            return [(self._documents[number], similarity) for number, similarity in found if number >= 0]

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Encode texts and add them; return their ids."""
        contents = list(texts)
        documents = [
            Document(
                id=ids[row] if ids and ids[row] else str(uuid.uuid4()),
                page_content=text,
                metadata=metadatas[row] if metadatas else {},
            )
            for row, text in enumerate(contents)
        ]
        if not documents:
            return []
        vectors = np.asarray(self._embedding.embed_documents(contents), dtype=np.float32)
        self.add_vectors(documents, vectors)
        return [str(document.id) for document in documents]

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Remove documents by id (all of them without ids); unknown ids are ignored."""
        with self._lock:
            self._remove(list(self._number_of) if ids is None else ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents that are there, in the order of `ids`."""
        with self._lock:
            return [self._documents[self._number_of[key]] for key in ids if key in self._number_of]

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the `k` documents closest in meaning to a text."""
        return [document for document, _ in self.similarity_search_with_score(query, k)]

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """Return the `k` closest documents with their cosine similarity, best first."""
        return self.search_vector(np.asarray(self._embedding.embed_query(query), dtype=np.float32), k)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> FaissIndex:
        """Build an index of texts."""
        index = cls(embedding, len(embedding.embed_query("width")))
        index.add_texts(texts, metadatas, ids=ids)
        return index

    def _remove(self, ids: Iterable[str]) -> None:
        numbers = [self._number_of.pop(key) for key in ids if key in self._number_of]
        for number in numbers:
            del self._documents[number]
        if numbers:
            self._index.remove_ids(faiss.IDSelectorBatch(np.asarray(numbers, dtype=np.int64)))
