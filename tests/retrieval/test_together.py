"""Messages that wait together get the very vectors that they get alone."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from bot.desk import Desk
from bot.models import Models
from retrieval import Encoder
from retrieval.together import Together


def test_vectors_have_the_same_bits_alone_and_in_a_crowd(desk: Desk, models: Models) -> None:
    texts = [text for text, _ in random.Random(0).sample(list(desk.messages), 96)]  # noqa: S311
    for encode in (models.encoder.encode, models.classifier.encode):
        alone = [encode([text])[0] for text in texts]
        with ThreadPoolExecutor(32) as crowd:
            for _ in range(2):
                together = list(crowd.map(lambda text, encode=encode: encode([text])[0], texts))
                assert all(map(np.array_equal, alone, together))


def test_a_vector_is_the_models_own(encoder: Encoder) -> None:
    texts = ["where is my parcel", "hello", "a jacket for the hills " * 90]
    assert np.array_equal([encoder.encode([text])[0] for text in texts], encoder.encode(texts))


class _Message:
    def __init__(self, length: int) -> None:
        self.ids = [0] * length


def test_what_waits_goes_together_by_length_and_a_failure_is_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.together._CORES", 1)
    begun, goes_on, batches = threading.Event(), threading.Event(), []

    def states(messages: Any) -> Any:
        batches.append([len(message.ids) for message in messages])
        begun.set()
        assert goes_on.wait(30)
        if len(messages[0].ids) == 4:
            raise RuntimeError("no more memory")
        return np.ones((len(messages), 3, 384), dtype=np.float32)

    model = Together(states)
    with ThreadPoolExecutor(8) as crowd:
        first = crowd.submit(model.vector, _Message(3))
        assert begun.wait(30)
        rest = [crowd.submit(model.vector, _Message(length)) for length in (3, 4, 3, 4, 3)]
        while len(model._waiting) < len(rest):
            threading.Event().wait(0.01)
        goes_on.set()
        assert np.isclose(np.linalg.norm(first.result()), 1)
        failed = [isinstance(one.exception(), RuntimeError) for one in rest]
    assert failed == [False, True, False, True, False]
    assert batches[0] == [3]
    assert sorted(batches[1:]) == [[3, 3, 3], [4, 4]]
