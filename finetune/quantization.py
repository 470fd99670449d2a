"""8-bit matrix products in an exported model, the same bits for a token whatever else is in its batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

_LARGEST = 127  # of an 8-bit integer with a sign
_ZERO = 128  # what stands for 0 where integers have no sign


def quantize(path: Path) -> None:
    """Turn the products of a model with its weights into products of 8-bit integers, in place.

    A column of the weights has one scale, and so has each row of what comes in, which is one token, found as it comes:
    per-token dynamic quantisation (Yao et al., ZeroQuant, 2022). ONNX Runtime's own takes one scale for all of the
    batch, so that a message would be understood otherwise beside others than alone.
    """
    draft = path.with_suffix(".int8")
    model = onnx.load(path)
    graph = _Graph(model.graph)
    for node in model.graph.node:
        graph.add(node)
    graph.replace()
    onnx.save(model, draft)
    draft.replace(path)


class _Graph:
    """Collects the nodes of a graph anew."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._weights = {one.name: one for one in graph.initializer}
        self._nodes: list[NodeProto] = []
        self._rounded: set[str] = set()  # what comes into products and has its integers already
        for name, value in (
            ("int8_step", np.float32(1 / _LARGEST)),
            ("int8_least", np.float32(1e-12)),
            ("int8_half", np.float32(_ZERO + 0.5)),  # a cast cuts off what follows the point
            ("int8_zero", np.uint8(_ZERO)),
        ):
            self._constant(name, np.asarray(value))

    def add(self, node: NodeProto) -> None:
        """Take a node over, or what stands for it."""
        if node.op_type != "MatMul" or node.input[1] not in self._weights:
            self._nodes.append(node)
            return
        (given, weights), (result,) = node.input, node.output
        self._round(given)
        values = numpy_helper.to_array(self._weights[weights])
        steps = np.maximum(np.abs(values).max(axis=0), 1e-12) / _LARGEST  # (columns,)
        self._constant(f"{result}_weights", np.rint(values / steps).astype(np.int8))
        self._constant(f"{result}_steps", steps.astype(np.float32))
        self._node("MatMulInteger", [f"{given}_int8", f"{result}_weights", "int8_zero"], f"{result}_int32")
        self._node("Cast", [f"{result}_int32"], f"{result}_float", to=TensorProto.FLOAT)
        self._node("Mul", [f"{result}_float", f"{given}_steps"], f"{result}_by_row")
        self._node("Mul", [f"{result}_by_row", f"{result}_steps"], result)

    def replace(self) -> None:
        """Put the nodes in the place of the old ones, without what none of them needs."""
        needed = {name for node in self._nodes for name in node.input}
        kept = [one for one in self._graph.initializer if one.name in needed]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(self._nodes)
        self._graph.initializer.extend(kept)

    def _round(self, given: str) -> None:
        """Have the integers of rows and the scale of each, once."""
        if given in self._rounded:
            return
        self._rounded.add(given)
        self._node("Abs", [given], f"{given}_size")
        self._node("ReduceMax", [f"{given}_size"], f"{given}_largest", axes=[-1], keepdims=1)
        self._node("Max", [f"{given}_largest", "int8_least"], f"{given}_positive")
        self._node("Mul", [f"{given}_positive", "int8_step"], f"{given}_steps")
        self._node("Div", [given, f"{given}_steps"], f"{given}_scaled")
        self._node("Add", [f"{given}_scaled", "int8_half"], f"{given}_shifted")
        self._node("Cast", [f"{given}_shifted"], f"{given}_int8", to=TensorProto.UINT8)

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def _constant(self, name: str, value: NDArray[np.generic]) -> None:
        self._graph.initializer.append(numpy_helper.from_array(value, name))
