"""The graph that serves: near to what was taught, and the same for a message whatever is beside it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import BertModel

from bot.desk import Desk
from finetune.base import load_base
from finetune.export import export_answers, export_encoder, write_encoder
from finetune.methods import METHODS, Method, apply
from finetune.network import Encoder
from finetune.ranking import AnswerNetwork
from finetune.tokens import Tokens, pad
from retrieval.onnx_model import session

TinyBert = Callable[[], BertModel]
ROWS = [torch.tensor(row) for row in ([101, 5, 17, 121, 102], [101, 9, 102], [101, 88, 3, 40, 7, 102])]


def _run(folder: Path, rows: Sequence[Tensor], *, precise: bool = False) -> list[NDArray[np.float32]]:
    if precise:
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.x64quantprecision", "1")
        model = onnxruntime.InferenceSession(folder / "model.onnx", options)
    else:
        model = session(folder / "model.onnx")
    tokens, mask = pad(rows)
    tokens, segments = (tokens[:, 0], tokens[:, 1]) if tokens.ndim == 3 else (tokens, None)
    inputs = {"input_ids": tokens.numpy(), "attention_mask": mask.numpy()}
    if segments is not None:
        inputs["token_type_ids"] = segments.numpy()
    found: list[NDArray[np.float32]] = model.run(None, inputs)
    return found


def test_every_product_with_weights_is_one_of_integers(tiny_bert: TinyBert, tmp_path: Path) -> None:
    export_encoder(Encoder(tiny_bert()), tmp_path, ROWS)
    model = onnx.load(tmp_path / "model.onnx")
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QAttention") == 2  # a layer each
    assert kinds.count("MatMulIntegerToFloat") == 2 * 3
    assert "MatMul" not in kinds
    onnx.checker.check_model(model)


@pytest.mark.parametrize("method", METHODS)
def test_pairs_get_the_logits_that_were_taught(method: Method, tiny_bert: TinyBert, tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = AnswerNetwork(apply(tiny_bert(), method, steps=10)).eval()
    for name, weights in network.named_parameters():
        if weights.requires_grad and ("lora" in name or ".up." in name):  # what begins as nothing
            torch.nn.init.normal_(weights, std=0.1)
    segments = [torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1]), torch.tensor([0, 0, 1, 1, 1, 1])]
    pairs = [torch.stack(pair) for pair in zip(ROWS, segments, strict=True)]
    tokens, mask = pad(pairs)
    with torch.no_grad():
        taught = network(tokens[:, 0], mask, tokens[:, 1]).numpy()

    export_answers(network, tmp_path, pairs)

    np.testing.assert_allclose(_run(tmp_path, pairs)[0], taught, atol=0.1)


def test_a_message_has_the_same_bits_alone_and_in_a_batch(tmp_path: Path) -> None:
    rng = random.Random(0)  # noqa: S311 (no secret)
    rows = [torch.tensor([101, *rng.choices(range(1000, 20000), k=9), 102]) for _ in range(9)]
    export_encoder(Encoder(load_base()), tmp_path, rows)
    together = _run(tmp_path, rows)[1]
    for place, row in enumerate(rows):
        np.testing.assert_array_equal(_run(tmp_path, [row])[1][0], together[place])


def test_where_products_overflow_the_slower_ones_give_the_same(tmp_path: Path) -> None:
    rows = Tokens(96)(["where is my parcel?", "i'd like to send these boots back", "do you ship to Ireland"])
    export_encoder(Encoder(load_base()), tmp_path, rows)
    np.testing.assert_array_equal(_run(tmp_path, rows)[0], _run(tmp_path, rows, precise=True)[0])


def test_messages_keep_their_meaning(desk: Desk, tmp_path: Path) -> None:
    texts = [text for text, _ in random.Random(0).sample(list(desk.messages), 100)]  # noqa: S311 (no secret)
    rows = Tokens(96)(texts)
    encoder = Encoder(load_base())
    with torch.no_grad():
        exact = encoder(*pad(rows)).numpy()
    write_encoder(encoder, tmp_path / "model.onnx")
    size = (tmp_path / "model.onnx").stat().st_size
    np.testing.assert_allclose(_run(tmp_path, rows)[0], exact, atol=1e-5)

    export_encoder(encoder, tmp_path, rows[:50])  # the ranges are those of others

    cosines = (_run(tmp_path, rows[50:])[0] * exact[50:]).sum(axis=1)
    assert cosines.mean() > 0.995
    assert cosines.min() > 0.97
    assert (tmp_path / "model.onnx").stat().st_size < 0.7 * size


def test_a_graph_that_computes_something_else_is_refused(tiny_bert: TinyBert, tmp_path: Path) -> None:
    bert = tiny_bert()
    bert.encoder.layer[0].output.LayerNorm.register_forward_hook(lambda _layer, _given, found: found.flip(-1))
    with pytest.raises(RuntimeError, match="differs from the trained one by"):
        export_encoder(Encoder(bert), tmp_path, ROWS)
