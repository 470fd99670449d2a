"""Exporting to ONNX, so that serving needs no torch: the pinned encoder, and trained models."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor, nn

from finetune.base import base_folder, load_base
from finetune.graph import IDS, MASK, SEGMENTS, Graph, Ranges, add_bert, measured
from finetune.methods import merge
from finetune.network import MEMORY_TURNS, Encoder, Head
from finetune.ranking import AnswerNetwork
from finetune.tokens import Tokens, pad
from retrieval.encoder import BASE_SHA256, DIM, MAX_TOKENS
from retrieval.model_folder import new_folder, write_manifest
from retrieval.together import STATES

_TOLERANCE = 1e-3  # largest difference between torch and ONNX Runtime that is rounding and nothing else
_MEASURED = 256  # texts that are enough to see how large a model's numbers get
_COMPARED = 8  # texts that are enough to see that a graph computes something else

_Write = Callable[[Path, "Ranges | None"], None]


def export_base(target: Path, texts: Sequence[str]) -> None:
    """Write the pinned base as an encoder's model folder; the ranges of its numbers are found on some texts."""
    with new_folder(target) as folder:
        export_encoder(Encoder(load_base()), folder, Tokens(MAX_TOKENS)(texts))
        # It stands in customers' rows: shorter than what proves that one of these is gone, it proves nothing.
        about = {"kind": "encoder", "name": f"minilm8s-{BASE_SHA256[:12]}", "dim": DIM, "max_tokens": MAX_TOKENS}
        write_manifest(folder, {**about, "base_sha256": BASE_SHA256})


def export_encoder(encoder: Encoder, folder: Path, rows: Sequence[Tensor]) -> None:
    """Write `model.onnx` in 8-bit products, whose ranges are found on tokenized texts, and the tokenizer."""
    encoder = Encoder(merge(encoder.bert)).cpu().eval()
    _export(encoder, encoder.bert, rows, folder, lambda path, ranges: _write_encoder(encoder, path, ranges))


def export_answers(network: AnswerNetwork, folder: Path, rows: Sequence[Tensor]) -> None:
    """Write `model.onnx` as `export_encoder` does, of tokenized pairs to logits `(B,)`, and the tokenizer."""
    network.bert = merge(network.bert)
    network.cpu().eval()
    _export(network, network.bert, rows, folder, lambda path, ranges: _write_answers(network, path, ranges))


def write_encoder(encoder: Encoder, path: Path) -> None:
    """Write a model in 32 bits that turns token ids and mask `(B, T)` into unit vectors `(B, H)` and their states."""
    _write_encoder(Encoder(merge(encoder.bert)).cpu().eval(), path, None)


def export_head(head: Head, folder: Path) -> None:
    """Write `head.onnx`: vectors `(B, H)`, and with memory `(B, K, H)` and `(B, K)`, to logits `(B, labels)`.

    Raises:
        RuntimeError: ONNX Runtime computes something else than torch.
    """
    dim, path = head.linear.in_features, folder / "head.onnx"
    inputs = {"vector": torch.randn(2, dim)}
    if head.memory is not None:
        known = torch.ones(2, MEMORY_TURNS)
        known[1, 1:] = 0
        inputs |= {"memory": torch.randn(2, MEMORY_TURNS, dim), "known": known}
    head.eval()
    with warnings.catch_warnings():
        # The newer exporter takes five times as long and gives the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            head,
            tuple(inputs.values()),
            str(path),
            dynamo=False,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch"} for name in (*inputs, "logits")},
            opset_version=17,
        )
    with torch.no_grad():
        _check(path, {name: one.numpy() for name, one in inputs.items()}, head(*inputs.values()).numpy())


def _export(network: nn.Module, bert: nn.Module, rows: Sequence[Tensor], folder: Path, write: _Write) -> None:
    """Write a network in 32 bits, compare it with torch's, and write it in 8-bit products.

    Raises:
        RuntimeError: ONNX Runtime computes something else than torch.
    """
    path = folder / "model.onnx"
    rows = rows[:: -(-len(rows) // _MEASURED)]
    compared = _inputs(rows[:_COMPARED])
    write(path, None)
    with torch.no_grad():
        _check(path, {name: one.numpy() for name, one in compared.items()}, network(*compared.values()).numpy())
        with measured(bert) as ranges:
            for row in rows:  # one by one: padding is no message
                network(*_inputs([row]).values())
    write(path, ranges)
    shutil.copyfile(base_folder() / "tokenizer.json", folder / "tokenizer.json")


def _inputs(rows: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return what a network takes for tokenized texts `(T,)` or pairs `(2, T)`."""
    tokens, mask = pad(rows)
    if tokens.ndim == 2:
        return {IDS: tokens, MASK: mask}
    return {IDS: tokens[:, 0], MASK: mask, SEGMENTS: tokens[:, 1]}


def _check(path: Path, inputs: dict[str, NDArray[np.generic]], expected: NDArray[np.float32]) -> None:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for rows in (slice(None), slice(1)):  # a batch of another size, too
        got = session.run(None, {name: one[rows] for name, one in inputs.items()})[0]
        if not np.allclose(got, expected[rows], atol=_TOLERANCE):
            worst = np.abs(got - expected[rows]).max()
            raise RuntimeError(f"the exported model differs from the trained one by {worst:.4f}")


def _write_encoder(encoder: Encoder, path: Path, ranges: Ranges | None) -> None:
    graph = Graph()
    states = _marked(graph, add_bert(graph, encoder.bert, ranges), _as_floats(graph, MASK), output=STATES)
    _unit_sum(graph, states, output="vector")
    outputs: dict[str, list[str | int]] = {"vector": ["batch", encoder.dim], STATES: ["batch", "tokens", encoder.dim]}
    graph.write(path, (IDS, MASK), outputs)


def _write_answers(network: AnswerNetwork, path: Path, ranges: Ranges | None) -> None:
    graph = Graph()
    states = add_bert(graph, network.bert, ranges, segments=network.has_segments)
    mask, answer = _as_floats(graph, MASK), _as_floats(graph, SEGMENTS)
    question = graph.node("Sub", mask, graph.node("Mul", mask, answer))
    halves = [_unit_sum(graph, _marked(graph, states, which)) for which in (question, answer)]
    weights = network.linear.weight.detach().numpy().T * network.linear.in_features
    found = graph.node("MatMul", graph.node("Mul", *halves), graph.constant(weights))
    found = graph.node("Add", found, graph.constant(network.linear.bias.detach().numpy()))
    graph.node("Reshape", found, graph.constant(np.array([-1])), output="logits")
    graph.write(path, (IDS, MASK, SEGMENTS), {"logits": ["batch"]})


def _as_floats(graph: Graph, marks: str) -> str:
    return graph.node("Cast", marks, to=TensorProto.FLOAT)


def _marked(graph: Graph, states: str, mask: str, output: str = "") -> str:
    """Add the states `(B, T, H)` of the tokens that are marked, 0 elsewhere."""
    marks = graph.node("Unsqueeze", mask, graph.constant(np.array([-1])))
    return graph.node("Mul", states, marks, output=output)


def _unit_sum(graph: Graph, states: str, output: str = "") -> str:
    """Add the unit vectors `(B, H)` that the sums of the tokens' states point to, as their means do."""
    total = graph.node("ReduceSum", states, graph.constant(np.array([1])), keepdims=0)
    return graph.node("LpNormalization", total, output=output)
