"""Whether 8-bit products overflow on this processor: without VNNI, x86 adds up two of them in 16 bits."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnxruntime


@cache
def products_overflow() -> bool:
    """Return whether ONNX Runtime's fast 8-bit products are wrong here, found out with the largest ones.

    What it holds against that (`session.x64quantprecision`) is several times slower, also where nothing overflows.
    """
    from onnx import TensorProto, helper, numpy_helper

    given, weights = np.full((2, 64), 255, np.uint8), np.full((64, 64), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["given", "weights"], ["product"])],
        "largest products",
        [helper.make_tensor_value_info("given", TensorProto.UINT8, given.shape)],
        [helper.make_tensor_value_info("product", TensorProto.INT32, None)],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"given": given})
    return not np.array_equal(product, given.astype(np.int32) @ weights.astype(np.int32))
