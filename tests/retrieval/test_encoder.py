"""The encoder: texts to unit vectors."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.models import encoder_folder
from retrieval import Encoder
from retrieval.encoder import DIM, MAX_TOKENS
from retrieval.model_folder import ModelError
from retrieval.onnx_model import OnnxModel

TEXTS = ["parcel", "", "Where is my order R-10234? " * 20, "日本語 📦", "a b c", "The tent is torn."]


@pytest.fixture
def folder(prepared_home: Path, tmp_path: Path) -> Path:
    """A copy of the encoder's folder that a test may damage."""
    return Path(shutil.copytree(encoder_folder(prepared_home), tmp_path / "encoder"))


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_every_text_becomes_a_unit_vector(encoder: Encoder, texts: list[str]) -> None:
    vectors = encoder.encode(texts)
    assert (vectors.shape, vectors.dtype) == ((len(texts), DIM), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_a_text_gets_the_same_vector_alone_and_in_a_batch_in_the_order_given(encoder: Encoder) -> None:
    texts = TEXTS + [f"message number {n}" for n in range(130)]  # three batches
    together = encoder.encode(texts)
    np.testing.assert_array_equal(together, np.concatenate([encoder.encode([text]) for text in texts]))


def test_the_same_text_gets_exactly_the_same_vector(encoder: Encoder, folder: Path) -> None:
    np.testing.assert_array_equal(encoder.encode(["My tent is torn"]), Encoder(folder).encode(["My tent is torn"]))


@pytest.mark.parametrize("apostrophe", ["’", "‘", "ʼ"])
def test_a_phones_apostrophe_is_read_as_the_plain_one(encoder: Encoder, apostrophe: str) -> None:
    plain, curly = encoder.encode(
        ["Where's my parcel? It isn't here.", f"Where{apostrophe}s my parcel? It isn{apostrophe}t here."]
    )
    np.testing.assert_array_equal(plain, curly)


def test_no_texts_become_no_vectors(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, DIM)


def test_texts_that_mean_the_same_are_closer_than_others(encoder: Encoder) -> None:
    question, same, other = encoder.encode(["Where is my parcel?", "My package has not arrived", "Do you sell socks?"])
    assert question @ same > question @ other + 0.2


def test_the_vectors_are_those_of_the_pinned_model(encoder: Encoder) -> None:
    """The cosine of the example on the model's card, https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2."""
    happy, sad = encoder.encode(["That is a happy person", "That is a very happy person"])
    assert happy @ sad == pytest.approx(0.94, abs=0.02)


def test_text_beyond_the_limit_is_not_seen_but_counted(encoder: Encoder) -> None:
    full = "parcel " * (MAX_TOKENS - 2)
    np.testing.assert_allclose(encoder.encode([full]), encoder.encode([full + "tent tent"]), atol=1e-5)
    assert encoder.count_tokens(full + "tent tent") == MAX_TOKENS
    assert encoder.count_tokens("") == 0


def test_langchains_methods_give_the_same_vectors(encoder: Encoder) -> None:
    vector = encoder.embed_query("parcel")
    assert isinstance(vector[0], float)
    np.testing.assert_allclose(vector, encoder.encode(["parcel"])[0], atol=1e-6)
    np.testing.assert_allclose(encoder.embed_documents(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    assert encoder.embed_documents([]) == []


def test_several_threads_get_the_vectors_of_their_own_texts(encoder: Encoder) -> None:
    texts = [f"message number {n}" for n in range(16)]
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(lambda text: encoder.encode([text])[0], texts))
    np.testing.assert_allclose(vectors, encoder.encode(texts), atol=1e-5)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"No model in .*nowhere\. Run `rapport train intent`"):
        Encoder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        Encoder(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_an_altered_file_is_refused(folder: Path, name: str) -> None:
    with (folder / name).open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(ModelError, match=f"{name} was altered"):
        Encoder(folder)


def test_vectors_are_near_those_of_sentence_transformers(encoder: Encoder) -> None:
    from sentence_transformers import SentenceTransformer

    from finetune.base import base_folder

    texts = ["where is my parcel?", "Das Zelt ist undicht.", "I ordered two pairs of boots last week and got only one."]
    expected = SentenceTransformer(str(base_folder()), device="cpu").encode(texts, normalize_embeddings=True)
    assert ((encoder.encode(texts) * expected).sum(axis=1) > 0.99).all()  # products are in 8 bits


def test_what_was_run_ahead_is_what_a_message_has_by_itself(folder: Path) -> None:
    model = OnnxModel(folder)
    texts = ["Where is my order?", "thanks", "I would like to send back the boots that I bought in June", "thanks"]
    alone = np.stack([model.run([text])["vector"][0] for text in texts])
    model.run_ahead(texts)
    ahead = np.stack([model.run([text])["vector"][0] for text in texts])
    np.testing.assert_array_equal(model.run(texts)["vector"], ahead)
    np.testing.assert_array_equal(ahead, alone)
    model.run_ahead([*texts, "and a tent"])
    np.testing.assert_array_equal(model.run(texts)["vector"], ahead)
    model.run_ahead([])
    np.testing.assert_array_equal(model.run([texts[0]])["vector"][0], alone[0])
