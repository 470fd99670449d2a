"""Every method learns what it says and nothing else, and what it has learnt is kept small, put back and exported."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import BertModel

from finetune.export import export_encoder, export_head
from finetune.lesson import IntentLesson, in_conversations
from finetune.methods import LEARNING_RATES, METHODS, Method, apply
from finetune.network import IntentNetwork, encode
from finetune.training import Settings, train
from finetune.weights import WEIGHTS, load_weights, save_weights
from retrieval.model_folder import ModelError
from tests.finetune.conftest import make_messages

TinyBert = Callable[[], BertModel]
Taught = Callable[[Method], IntentNetwork]
LABELS = [row % 4 for row in range(80)]


@pytest.fixture(scope="module")
def taught(tiny_bert: TinyBert) -> Taught:
    """Return a network that a method has taught to tell four labels apart: each method teaches once."""

    @cache
    def teach(method: Method) -> IntentNetwork:
        network = IntentNetwork(apply(tiny_bert(), method, steps=40), labels=4)
        messages = in_conversations(make_messages(LABELS), np.array(LABELS), None)
        settings = Settings(epochs=8, learning_rate=LEARNING_RATES[method] * 2, batch_size=16, patience=9)
        train(IntentLesson(network, messages, messages), settings)
        return network

    return teach


@pytest.mark.parametrize("method", METHODS)
def test_what_was_learnt_is_kept_and_put_back(
    method: Method, taught: Taught, tiny_bert: TinyBert, tmp_path: Path
) -> None:
    network = taught(method)
    tokens = make_messages(LABELS, seed=1)
    before = encode(network.encoder, tokens)

    learnt = save_weights(network, tmp_path)
    again = IntentNetwork(apply(tiny_bert(), method, steps=40), labels=4)
    load_weights(again, tmp_path)

    np.testing.assert_array_equal(encode(again.encoder, tokens), before)
    assert learnt == sum(one.numel() for one in network.parameters() if one.requires_grad)


@pytest.mark.parametrize("method", [one for one in METHODS if one != "head"])
def test_the_encoder_learns(method: Method, taught: Taught, tiny_bert: TinyBert) -> None:
    tokens = make_messages(LABELS, seed=1)
    before = encode(IntentNetwork(apply(tiny_bert(), method), labels=4).encoder, tokens)

    assert np.abs(encode(taught(method).encoder, tokens) - before).max() > 1e-3


@pytest.mark.parametrize("method", [one for one in METHODS if one != "full"])
def test_the_base_itself_stays_as_it_is(method: Method, taught: Taught, tiny_bert: TinyBert) -> None:
    original = tiny_bert().state_dict()
    kept = {
        name.removeprefix("base_model.model.")
        .removeprefix("base_model.")
        .replace(".base_layer", "")
        .replace(".dense.dense", ".dense"): one
        for name, one in taught(method).encoder.bert.state_dict().items()
    }
    frozen = [name for name in original if method != "adapter" or "LayerNorm" not in name]

    assert all(torch.equal(kept[name], original[name]) for name in frozen)


def test_adapters_are_a_small_part_of_the_base(tiny_bert: TinyBert) -> None:
    from finetune.base import load_base

    def share(method: Method) -> float:
        bert = apply(load_base(), method)
        return sum(one.numel() for one in bert.parameters() if one.requires_grad) / 22.7e6

    assert share("head") == 0
    assert 0 < share("lora") < 0.05
    assert 0 < share("adalora") < 0.05
    assert 0 < share("prefix") < 0.05
    assert 0 < share("adapter") < 0.05
    assert share("full") > 0.4


@pytest.mark.parametrize("method", METHODS)
def test_the_exported_model_computes_what_was_taught(method: Method, taught: Taught, tmp_path: Path) -> None:
    network = taught(method)
    ids = torch.tensor([[101, 5, 17, 121, 102], [101, 9, 123, 102, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    with torch.no_grad():
        logits, vectors = network(ids, mask)

    export_head(network.head, tmp_path)
    export_encoder(network.encoder, tmp_path, [ids[0], ids[1, :4]])
    encoder = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    head = onnxruntime.InferenceSession(tmp_path / "head.onnx")
    got = encoder.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]

    assert ((got * vectors.numpy()).sum(axis=1) > 0.999).all()  # the encoder's products are in 8 bits
    np.testing.assert_allclose(head.run(None, {"vector": vectors.numpy()})[0], logits.numpy(), atol=1e-4)


def test_what_another_method_learnt_is_refused(tiny_bert: TinyBert, tmp_path: Path) -> None:
    save_weights(IntentNetwork(apply(tiny_bert(), "lora"), labels=4), tmp_path)

    with pytest.raises(ModelError, match=f"{WEIGHTS} was learnt by another kind of model"):
        load_weights(IntentNetwork(apply(tiny_bert(), "adapter"), labels=4), tmp_path)


def test_an_unknown_method_is_refused(tiny_bert: TinyBert) -> None:
    with pytest.raises(ValueError, match="no method 'magic'; use one of full, lora"):
        apply(tiny_bert(), "magic")  # type: ignore[arg-type]
