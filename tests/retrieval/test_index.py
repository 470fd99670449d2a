"""FaissIndex: LangChain's own specification of a vector store, and what ours adds to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from retrieval import Encoder, FaissIndex
from retrieval.encoder import DIM


@pytest.mark.anyio
class TestAsLangChainSpecifiesIt(VectorStoreIntegrationTests):
    """The specification that every LangChain vector store is held to."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def vectorstore(self) -> Iterator[VectorStore]:
        embeddings = self.get_embeddings()
        yield FaissIndex(embeddings, len(embeddings.embed_query("width")))


def _index(encoder: Encoder, *keys: str) -> FaissIndex:
    """Return an index in which document n lies along axis n."""
    index = FaissIndex(encoder, DIM)
    index.add_vectors([Document(id=key, page_content=key) for key in keys], _axes(len(keys)))
    return index


def _axes(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.eye(count, DIM, dtype=np.float32)


def _found(index: FaissIndex, axis: int, k: int = 10) -> list[str]:
    return [document.page_content for document, _ in index.search_vector(_axes(axis + 1)[axis], k)]


def test_texts_are_found_by_meaning_with_their_metadata_and_cosine(encoder: Encoder) -> None:
    texts = ["The parcel is late", "A tent for two", "Wash it by hand"]
    index = FaissIndex.from_texts(texts, encoder, [{"n": n} for n in range(3)], ids=["a", "b", "c"])
    document, similarity = index.similarity_search_with_score("My delivery has not come", k=1)[0]
    assert (document.id, document.page_content, document.metadata) == ("a", "The parcel is late", {"n": 0})
    expected = encoder.encode(["My delivery has not come"])[0] @ encoder.encode(texts)[0]
    assert similarity == pytest.approx(float(expected), abs=1e-5)


def test_documents_come_best_first_and_no_more_than_asked_for(encoder: Encoder) -> None:
    index = _index(encoder, "x", "y", "z")
    query = np.zeros(DIM, dtype=np.float32)
    query[:3] = 0.6, 0.0, 0.8
    assert [(document.id, round(cosine, 5)) for document, cosine in index.search_vector(query, 2)] == [
        ("z", 0.8),
        ("x", 0.6),
    ]
    assert len(index.search_vector(query, 100)) == 3
    assert index.search_vector(query, 0) == []


def test_an_empty_index_finds_nothing(encoder: Encoder) -> None:
    index = FaissIndex(encoder, DIM)
    assert (_found(index, 0), index.add_texts([]), len(index)) == ([], [], 0)


def test_an_id_that_is_added_again_replaces_document_and_vector(encoder: Encoder) -> None:
    index = _index(encoder, "x", "y")
    index.add_vectors([Document(id="x", page_content="new x")], _axes(3)[2:])
    assert len(index) == 2
    assert _found(index, 2, k=1) == ["new x"]
    assert index.search_vector(_axes(1)[0], 10)[0][1] == pytest.approx(0.0)


def test_of_one_id_twice_in_one_call_the_last_stands(encoder: Encoder) -> None:
    index = FaissIndex(encoder, DIM)
    documents = [Document(id="x", page_content="first"), Document(id="x", page_content="last")]
    assert index.add_vectors(documents, _axes(2)) == ["x"]
    assert (_found(index, 1), len(index)) == (["last"], 1)


def test_a_removed_document_is_not_found_and_the_others_are(encoder: Encoder) -> None:
    index = _index(encoder, "x", "y", "z")
    index.delete(["y", "never there"])
    assert set(_found(index, 1)) == {"x", "z"}
    assert [document.id for document in index.get_by_ids(["z", "y", "x"])] == ["z", "x"]
    index.delete([])
    assert len(index) == 2


def test_deleting_without_ids_empties_the_index_which_can_be_filled_again(encoder: Encoder) -> None:
    index = _index(encoder, "x", "y")
    index.delete()
    assert (_found(index, 0), len(index)) == ([], 0)
    index.add_vectors([Document(id="x", page_content="again")], _axes(1))
    assert _found(index, 0) == ["again"]


def test_documents_and_vectors_must_be_as_many(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="1 documents came with 2 vectors"):
        FaissIndex(encoder, DIM).add_vectors([Document(page_content="x")], _axes(2))


_CHANGES = st.lists(st.tuples(st.sampled_from(["add", "delete"]), st.integers(0, 5), st.integers(0, 20)), max_size=30)


@given(changes=_CHANGES)
def test_an_index_finds_what_a_dictionary_with_the_same_changes_holds(
    encoder: Encoder, changes: list[tuple[str, int, int]]
) -> None:
    index, expected = FaissIndex(encoder, DIM), dict[str, str]()
    for change, key, axis in changes:
        if change == "add":
            index.add_vectors([Document(id=str(key), page_content=str(axis))], _axes(axis + 1)[axis:])
            expected[str(key)] = str(axis)
        else:
            index.delete([str(key)])
            expected.pop(str(key), None)
    held = {document.id: document.page_content for document, _ in index.search_vector(_axes(1)[0], 10)}
    assert held == expected
    for axis in expected.values():
        assert _found(index, int(axis), k=1) == [axis]


def test_several_threads_write_and_search_at_once_without_loss(encoder: Encoder) -> None:
    index, vectors, start = FaissIndex(encoder, DIM), _axes(200), threading.Barrier(8)

    def write(writer: int) -> None:
        start.wait()
        for n in range(200):
            index.add_vectors([Document(id=f"{writer}-{n % 50}", page_content=str(n))], vectors[n : n + 1])
            if n % 10 == 9:
                index.delete([f"{writer}-{n % 50}"])

    def search(searcher: int) -> int:
        start.wait()
        found = [index.search_vector(vectors[n], 5) for n in range(200)]
        return sum(document.page_content == "" for one in found for document, _ in one)

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(write, n) for n in range(4)] + [pool.submit(search, n) for n in range(4)]
        assert [job.result() for job in jobs] == [None] * 4 + [0] * 4
    expected = {f"{writer}-{n}" for writer in range(4) for n in range(50) if n % 10 != 9}
    assert len(index) == len(expected)
    assert {document.id: document.page_content for document, _ in index.search_vector(vectors[0], 1000)} == {
        key: str(150 + int(key.split("-")[1])) for key in expected
    }
