"""The graph that serves a BERT, written operator by operator, its matrix products in 8-bit integers.

Whatever comes into a product has one scale, found beforehand on messages, and each column of the weights has one. Of
what comes in, some channels are far larger than others: they are divided beforehand, and their weights multiplied
(Xiao et al., SmoothQuant, ICML 2023, https://arxiv.org/abs/2211.10438). Sums of integers are exact, so a message has
the same bits alone and beside others that are as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from finetune.methods import Adapter

Floats = NDArray[np.float32]
Ranges = Mapping[nn.Module, Floats]  # by linear layer, the least and the largest that each channel gets, `(2, in)`

IDS, MASK, SEGMENTS = "input_ids", "attention_mask", "token_type_ids"
_LARGEST = 127  # of an 8-bit integer with a sign
_STEPS = 255  # from the least to the largest without one
_EVENED = 0.8  # how much of a channel's size is left to its weights: 1 is all of it
_LEAST = 1e-3  # the least size that is told apart from nothing
_OPSET, _IR = 17, 8
_MICROSOFT = "com.microsoft"
_OF_MICROSOFT = ("Attention", "QAttention", "MatMulIntegerToFloat", "Gelu")


class Graph:
    """Operators and constants, to be written as a model."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[np.generic] | np.generic) -> str:
        """Take in a constant and return its name."""
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def node(self, kind: str, *inputs: str, output: str = "", unused: Sequence[str] = (), **attributes: Any) -> str:
        """Take in an operator and return the name of its first output; an empty input is left out."""
        name = output or f"{kind}{len(self._nodes)}"
        domain = _MICROSOFT if kind in _OF_MICROSOFT else ""
        outputs = [name, *unused]
        self._nodes.append(helper.make_node(kind, list(inputs), outputs, name=name, domain=domain, **attributes))
        return name

    def write(self, path: Path, inputs: Sequence[str], outputs: Mapping[str, Sequence[str | int]]) -> None:
        """Write the model; inputs are integers `(B, T)`, outputs are given with their shapes.

        Raises:
            OSError: it cannot be written.
        """
        given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs]
        found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        graph = helper.make_graph(self._nodes, "bert", given, found, self._constants)
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=_IR), path)


@contextmanager
def measured(bert: nn.Module) -> Iterator[Ranges]:
    """Note between what the numbers that come into each linear layer lie, while the BERT is run on messages."""
    ranges: dict[nn.Module, Floats] = defaultdict(lambda: np.zeros((2, 1), dtype=np.float32))

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        values = given[0].detach().flatten(0, -2)
        low, high = values.amin(0).cpu().numpy(), values.amax(0).cpu().numpy()
        ranges[layer] = np.stack([np.minimum(ranges[layer][0], low), np.maximum(ranges[layer][1], high)])

    hooks = [one.register_forward_pre_hook(note) for one in bert.modules() if isinstance(one, nn.Linear)]
    try:
        yield ranges
    finally:
        for hook in hooks:
            hook.remove()


def add_bert(graph: Graph, bert: nn.Module, ranges: Ranges | None = None, *, segments: bool = False) -> str:
    """Add a BERT, of any method, and return the name of its tokens' states `(B, T, H)`.

    Its products are of 8-bit integers where ranges are given, else in 32 bits.
    """
    return _Bert(graph, bert, ranges).states(segments)


class _Bert:
    def __init__(self, graph: Graph, bert: nn.Module, ranges: Ranges | None) -> None:
        self._graph, self._ranges = graph, ranges
        self._prefix = _prefix_of(bert)
        model: Any = bert
        self._bert = model.get_base_model() if self._prefix else model
        self._heads = int(self._bert.config.num_attention_heads)

    def states(self, segments: bool) -> str:
        node, constant, embeddings = self._graph.node, self._graph.constant, self._bert.embeddings
        ahead = self._prefix[0].shape[3] if self._prefix else 0  # learnt tokens, which stand before the message's
        places = _array(embeddings.position_embeddings.weight)[ahead:]
        kinds = _array(embeddings.token_type_embeddings.weight)
        words = node("Gather", constant(_array(embeddings.word_embeddings.weight)), IDS)
        place = node("Slice", constant(places), constant(np.array([0])), node("Shape", IDS, start=1))
        kind = node("Gather", constant(kinds), SEGMENTS) if segments else constant(kinds[0])
        states = self._normal(node("Add", node("Add", words, place), kind), embeddings.LayerNorm)
        mask = node("Cast", MASK, to=TensorProto.INT32)
        if ahead:
            size = node("Concat", node("Shape", IDS, end=1), constant(np.array([ahead])), axis=0)
            mask = node("Concat", node("Expand", constant(np.ones((1, 1), np.int32)), size), mask, axis=1)
        for number, layer in enumerate(self._bert.encoder.layer):
            states = self._layer(layer, states, mask, self._prefix[number] if self._prefix else None)
        return states

    def _layer(self, layer: Any, given: str, mask: str, prefix: Floats | None) -> str:
        node, out = self._graph.node, layer.attention.output
        found = self._attention(layer.attention.self, given, mask, prefix, self._evened(out.dense))
        states = self._normal(node("Add", self._dense(found, out.dense, is_even=True), given), out.LayerNorm)
        wide = node("Gelu", self._dense(states, layer.intermediate.dense))
        return self._normal(node("Add", self._dense(wide, layer.output.dense), states), layer.output.LayerNorm)

    def _attention(self, own: Any, given: str, mask: str, prefix: Floats | None, by: Floats) -> str:
        """Add attention; the channels of what it gives are divided `by` what the next layer wants, in its values."""
        node, constant = self._graph.node, self._graph.constant
        parts = (own.query, own.key, own.value)
        weights = np.concatenate([_array(one.weight) for one in parts]).T  # (H, 3H)
        bias = np.concatenate([_array(one.bias) for one in parts])
        weights[:, -len(by) :] /= by
        bias[-len(by) :] /= by
        past: tuple[str, ...] = ()
        unused: tuple[str, ...] = ()
        if prefix is not None:
            prefix = np.stack([prefix[0], prefix[1] / by.reshape(self._heads, 1, -1)])
            sizes = [constant(np.array([2])), node("Shape", IDS, end=1), constant(np.array(prefix.shape[2:]))]
            past = (node("Expand", constant(prefix), node("Concat", *sizes, axis=0)),)
            unused = (f"{past[0]}_longer",)  # what a model that writes would go on with
        if self._ranges is None:
            inputs = [given, constant(weights), constant(bias), mask, *past]
            return node("Attention", *inputs, num_heads=self._heads, unused=unused)
        evened = self._evened(*parts)
        rounded, step, zero = self._rounded(self._divided(given, evened), self._ranges[own.query] / evened)
        whole, steps = self._whole(weights * evened[:, None])
        middle = constant(np.int8(0))  # its own: ONNX Runtime may have to give it another type
        inputs = [rounded, whole, constant(bias), step, steps, mask, zero, middle, *past]
        return node("QAttention", *inputs, num_heads=self._heads, unused=unused)

    def _dense(self, given: str, layer: nn.Module, *, is_even: bool = False) -> str:
        """Add a linear layer, with its adapter; `is_even` says that the channels have been divided already."""
        node, constant, linear = self._graph.node, self._graph.constant, _linear(layer)
        weights, bias = _array(linear.weight).T, constant(_array(linear.bias))
        if self._ranges is None:
            found = node("Add", node("MatMul", given, constant(weights)), bias)
        else:
            evened = self._evened(linear)
            given = given if is_even else self._divided(given, evened)
            rounded, step, zero = self._rounded(given, self._ranges[linear] / evened)
            whole, steps = self._whole(weights * evened[:, None])
            found = node("MatMulIntegerToFloat", rounded, whole, step, steps, zero, "", bias)
        return self._bottleneck(found, layer) if isinstance(layer, Adapter) else found

    def _bottleneck(self, given: str, adapter: Adapter) -> str:
        node, constant = self._graph.node, self._graph.constant

        def product(given: str, linear: nn.Linear) -> str:
            weights, bias = constant(_array(linear.weight).T), constant(_array(linear.bias))
            return node("Add", node("MatMul", given, weights), bias)

        return node("Add", given, product(node("Gelu", product(given, adapter.down)), adapter.up))

    def _evened(self, *layers: nn.Module) -> Floats:
        """Return by what the channels that come into linear layers are divided before they are rounded, `(in,)`."""
        linears: list[Any] = [_linear(one) for one in layers]
        if self._ranges is None:
            return np.ones(linears[0].in_features, dtype=np.float32)
        sizes = np.maximum(np.abs(self._ranges[linears[0]]).max(axis=0), _LEAST)
        weights = np.maximum(np.abs([_array(one.weight) for one in linears]).max(axis=(0, 1)), _LEAST)
        evened = sizes**_EVENED / weights ** (1 - _EVENED)
        even: Floats = (evened / np.exp(np.log(evened).mean())).astype(np.float32)
        return even

    def _divided(self, given: str, by: Floats) -> str:
        return self._graph.node("Mul", given, self._graph.constant(1 / by))

    def _rounded(self, given: str, between: Floats) -> tuple[str, str, str]:
        """Return what comes in as integers, their scale, and which of them is 0; it lies `between` `(2, in)`."""
        low, high = float(between[0].min()), float(between[1].max())
        size = max(high - low, _LEAST) / _STEPS
        step, zero = self._graph.constant(np.float32(size)), self._graph.constant(np.uint8(round(-low / size)))
        return self._graph.node("QuantizeLinear", given, step, zero), step, zero

    def _whole(self, weights: Floats) -> tuple[str, str]:
        """Return weights `(in, out)` as integers, and the scale of each column."""
        steps = np.maximum(np.abs(weights).max(axis=0), 1e-12) / _LARGEST
        whole = np.rint(weights / steps).astype(np.int8)
        return self._graph.constant(whole), self._graph.constant(steps.astype(np.float32))

    def _normal(self, given: str, norm: Any) -> str:
        weight, bias = (self._graph.constant(_array(one)) for one in (norm.weight, norm.bias))
        return self._graph.node("LayerNormalization", given, weight, bias, epsilon=float(norm.eps))


def _linear(layer: nn.Module) -> Any:
    return layer.dense if isinstance(layer, Adapter) else layer


def _array(tensor: Tensor) -> Floats:
    values: Floats = tensor.detach().float().cpu().numpy().copy()
    return values


def _prefix_of(bert: nn.Module) -> list[Floats]:
    """Return of each layer the learnt keys and values `(2, 1, heads, P, H / heads)`; nothing by other methods."""
    if not getattr(getattr(bert, "active_peft_config", None), "is_prompt_learning", False):
        return []
    with torch.no_grad():
        learnt = bert.get_prompt(batch_size=1)  # type: ignore[operator]
    return [np.stack([_array(one.keys), _array(one.values)]) for one in learnt.layers]
