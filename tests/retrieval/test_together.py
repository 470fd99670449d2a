"""Messages that wait together get the very vectors that they get alone."""

from __future__ import annotations

import gc
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pytest

from bot.desk import Desk
from bot.models import Models, encoder_folder
from retrieval import Encoder
from retrieval.onnx_model import OnnxModel
from retrieval.together import Together


def test_vectors_have_the_same_bits_alone_and_in_a_crowd(desk: Desk, models: Models) -> None:
    texts = [text for text, _ in random.Random(0).sample(list(desk.messages), 96)]  # noqa: S311
    for model in (models.encoder, models.classifier):
        alone = [model.encode([text])[0] for text in texts]
        with ThreadPoolExecutor(4) as crowd:
            for _ in range(2):
                expected = [model.expect(text) for text in texts]
                together = list(crowd.map(lambda vector: vector(), expected))
                assert all(map(np.array_equal, alone, together))


def test_a_vector_is_the_models_own(encoder: Encoder) -> None:
    texts = ["where is my parcel", "hello", "a jacket for the hills " * 90]
    assert np.array_equal([encoder.encode([text])[0] for text in texts], encoder.encode(texts))


class _Message:
    def __init__(self, length: int) -> None:
        self.ids = [0] * length


def _ones(messages: Any, batches: list[list[int]]) -> Any:
    batches.append([len(message.ids) for message in messages])
    if len(messages[0].ids) == 4:
        raise RuntimeError("no more memory")
    return np.ones((len(messages), 3, 384), dtype=np.float32)


def test_what_is_expected_goes_together_by_length_and_a_failure_is_everybodys() -> None:
    batches: list[list[int]] = []
    model = Together()
    waiting = [model.expect(_Message(length), partial(_ones, batches=batches)) for length in (3, 4, 3, 4, 3)]
    for vector, length in zip(waiting, (3, 4, 3, 4, 3), strict=True):
        if length == 4:
            with pytest.raises(RuntimeError, match="no more memory"):
                vector()
        else:
            assert np.isclose(np.linalg.norm(vector()), 1)
    assert batches == [[3, 3, 3], [4, 4]]


def test_what_somebody_else_has_begun_is_waited_for() -> None:
    begun, goes_on, batches = threading.Event(), threading.Event(), list[list[int]]()

    def states(messages: Any) -> Any:
        begun.set()
        assert goes_on.wait(30)
        return _ones(messages, batches)

    model = Together()
    with ThreadPoolExecutor(2) as crowd:
        vectors = [model.expect(_Message(3), states) for _ in range(2)]
        first = crowd.submit(vectors[0])
        assert begun.wait(30)
        other = crowd.submit(vectors[1])
        goes_on.set()
        assert np.array_equal(first.result(30), other.result(30))
    assert batches == [[3, 3]]


def test_a_message_that_nobody_comes_for_is_let_go() -> None:
    batches: list[list[int]] = []
    model, ones = Together(), partial(_ones, batches=batches)
    for _ in range(3):
        model.expect(_Message(3), ones)
    assert len(model._waiting) == 1
    model.expect(_Message(3), ones)()
    assert batches == [[3]]
    assert not model._waiting


def test_a_model_that_is_replaced_is_let_go_without_being_looked_for(prepared_home: Path) -> None:
    model = OnnxModel(encoder_folder(prepared_home))
    model.expect("where is my parcel")()
    replaced = ref(model)
    gc.disable()  # a server does not look again for what it began with
    try:
        del model
        assert replaced() is None
    finally:
        gc.enable()
