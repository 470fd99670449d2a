"""8-bit products: near to what was taught, and the same for a token whatever else is in its batch."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from transformers import BertModel

from bot.desk import Desk
from finetune.base import load_base
from finetune.export import write_onnx
from finetune.network import Encoder
from finetune.quantization import quantize
from finetune.tokens import Tokens, pad

ROWS = np.array([[0.5, -1.0, 0.25], [100.0, 1.0, -3.0], [0.0, 0.0, 0.0]], dtype=np.float32)
WEIGHTS = np.array([[0.1, 10.0], [0.2, -20.0], [-0.3, 5.0]], dtype=np.float32)  # one column far larger


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """A model that multiplies rows with weights."""
    given, result = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", size])
        for name, size in (("given", 3), ("result", 2))
    )
    node = helper.make_node("MatMul", ["given", "weights"], ["result"])
    graph = helper.make_graph([node], "product", [given], [result], [numpy_helper.from_array(WEIGHTS, "weights")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "p.onnx")
    return tmp_path / "p.onnx"


def _run(path: Path, rows: np.ndarray) -> np.ndarray:
    result: np.ndarray = onnxruntime.InferenceSession(path).run(None, {"given": rows})[0]
    return result


def test_rows_and_columns_have_a_scale_of_their_own(product: Path) -> None:
    quantize(product)
    np.testing.assert_allclose(_run(product, ROWS), ROWS @ WEIGHTS, rtol=0.02, atol=0.005)


def test_a_row_is_the_same_whatever_is_beside_it(product: Path) -> None:
    quantize(product)
    together = _run(product, ROWS)
    for place in range(len(ROWS)):
        np.testing.assert_array_equal(_run(product, ROWS[place : place + 1])[0], together[place])


def test_every_product_with_weights_is_one_of_integers(tiny_bert: Callable[[], BertModel], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    ids = torch.tensor([[101, 5, 17, 102]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    axes = {name: {0: "batch", 1: "tokens"} for name in inputs}
    write_onnx(Encoder(tiny_bert()), inputs, ("vector",), path, axes)
    quantize(path)
    graph = onnx.load(path).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("MatMulInteger") == 2 * 6  # two layers: query, key, value, output and two of feed-forward
    assert kinds.count("MatMul") == 2 * 2  # attention multiplies what came in with itself
    onnx.checker.check_model(onnx.load(path))


def test_messages_keep_their_meaning(desk: Desk, tmp_path: Path) -> None:
    texts = [text for text, _ in random.Random(0).sample(list(desk.messages), 50)]  # noqa: S311 (no secret)
    ids, mask = pad(Tokens(96)(texts))
    network, path = Encoder(load_base()), tmp_path / "model.onnx"
    inputs = {"input_ids": ids, "attention_mask": mask}
    axes = {name: {0: "batch", 1: "tokens"} for name in inputs}
    write_onnx(network, inputs, ("vector",), path, axes)
    size = path.stat().st_size
    with torch.no_grad():
        exact = network(ids, mask).numpy()
    quantize(path)
    got = onnxruntime.InferenceSession(path).run(None, {name: one.numpy() for name, one in inputs.items()})[0]
    cosines = (got * exact).sum(axis=1)
    assert cosines.mean() > 0.995
    assert cosines.min() > 0.97
    assert path.stat().st_size < 0.7 * size
