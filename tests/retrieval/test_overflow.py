"""8-bit products that do not fit 16 bits are right on every processor, as sessions are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from retrieval.onnx_model import session
from retrieval.overflow import PRODUCT


def test_the_largest_products_are_right(tmp_path: Path) -> None:
    given, weights = np.full((3, 384), 255, np.uint8), np.full((384, 384), -127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["given", "weights"], ["product"])],
        "product",
        [helper.make_tensor_value_info("given", TensorProto.UINT8, ["rows", 384])],
        [helper.make_tensor_value_info("product", TensorProto.INT32, ["rows", 384])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    for rows in (1, 3):
        (product,) = session(tmp_path / "model.onnx").run(None, {"given": given[:rows]})
        np.testing.assert_array_equal(product, given[:rows].astype(np.int32) @ weights.astype(np.int32))


def test_what_is_tried_are_the_largest_products() -> None:
    graph = onnx.load_from_string(PRODUCT).graph
    (node,), (weights,) = graph.node, graph.initializer
    assert (node.op_type, list(node.input)) == ("MatMulInteger", ["a", "b"])
    np.testing.assert_array_equal(numpy_helper.to_array(weights), np.full((4, 16), 127, np.int8))
