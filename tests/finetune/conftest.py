"""A tiny BERT made on the spot, so that what training does can be seen in a second, and a small desk to learn."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from bot.desk import DESKS, Desk
from bot.desk_reader import read_desk

VOCABULARY = 200


@pytest.fixture(scope="session")
def starter() -> Desk:
    return read_desk(DESKS / "starter")


@pytest.fixture(scope="session")
def tiny_bert() -> Callable[[], BertModel]:
    """Return a maker of BERTs of 2 layers x 32, always with the same weights."""

    def make() -> BertModel:
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
        )
        return BertModel(config, add_pooling_layer=False).eval()

    return make


def make_messages(labels: Sequence[int], seed: int = 0) -> list[Tensor]:
    """Return made-up messages: each of a few random words, and one that gives its label away."""
    rng = random.Random(seed)  # noqa: S311 (no secret)
    return [torch.tensor([101, *rng.choices(range(100), k=rng.randint(2, 9)), 120 + label, 102]) for label in labels]
