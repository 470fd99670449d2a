"""Exporting to ONNX, so that serving needs no torch: the pinned encoder, and trained models."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from finetune.base import base_folder, load_base
from finetune.methods import merge
from finetune.network import MEMORY_TURNS, Encoder, Head, WithStates
from finetune.quantization import quantize
from retrieval.encoder import BASE_SHA256, DIM, MAX_TOKENS
from retrieval.model_folder import new_folder, write_manifest
from retrieval.together import STATES

_TOLERANCE = 1e-3  # largest difference between torch and ONNX Runtime that is rounding and nothing else
_IDS = torch.tensor([[101, 20, 37, 52, 64, 102], [101, 75, 102, 0, 0, 0]])
_DYNAMIC = {key: {0: "batch", 1: "tokens"} for key in ("input_ids", "attention_mask", STATES)}


def export_base(target: Path) -> None:
    """Write the pinned base as an encoder's model folder."""
    with new_folder(target) as folder:
        export_encoder(Encoder(load_base()), folder)
        # It stands in customers' rows: shorter than what proves that one of these is gone, it proves nothing.
        about = {"kind": "encoder", "name": f"minilm8-{BASE_SHA256[:12]}", "dim": DIM, "max_tokens": MAX_TOKENS}
        write_manifest(folder, {**about, "base_sha256": BASE_SHA256})


def export_encoder(encoder: Encoder, folder: Path) -> None:
    """Write `model.onnx`, as `write_encoder` does and then reduced to 8-bit products, and the tokenizer."""
    write_encoder(encoder, folder / "model.onnx")
    quantize(folder / "model.onnx")
    shutil.copyfile(base_folder() / "tokenizer.json", folder / "tokenizer.json")


def write_encoder(encoder: Encoder, path: Path) -> None:
    """Write a model that turns token ids and mask `(B, T)` into unit vectors `(B, H)` and their states."""
    plain = WithStates(Encoder(merge(encoder.bert)))
    mask = (_IDS > 0).long()
    write_onnx(plain, {"input_ids": _IDS, "attention_mask": mask}, ("vector", STATES), path, _DYNAMIC)


def export_head(head: Head, folder: Path) -> None:
    """Write `head.onnx`: vectors `(B, H)`, and with memory `(B, K, H)` and `(B, K)`, to logits `(B, labels)`."""
    dim = head.linear.in_features
    inputs = {"vector": torch.randn(2, dim)}
    if head.memory is not None:
        known = torch.ones(2, MEMORY_TURNS)
        known[1, 1:] = 0
        inputs |= {"memory": torch.randn(2, MEMORY_TURNS, dim), "known": known}
    write_onnx(head, inputs, ("logits",), folder / "head.onnx", {name: {0: "batch"} for name in inputs})


def write_onnx(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    dynamic: Mapping[str, Mapping[int, str]],
) -> None:
    """Export a model and compare its first output with torch's, on padded input where there are tokens.

    Raises:
        RuntimeError: ONNX Runtime computes something else than torch.
    """
    model.eval()
    with warnings.catch_warnings():
        # The newer exporter takes five times as long and gives the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            tuple(inputs.values()),
            str(path),
            dynamo=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**{key: {0: "batch"} for key in outputs}, **dynamic},
            opset_version=17,
        )
    padded = {
        name: torch.cat([one, torch.zeros_like(one)], dim=1) if 1 in dynamic[name] else one
        for name, one in inputs.items()
    }
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        given = model(*inputs.values())
        expected = (given if isinstance(given, Tensor) else given[0]).numpy()
    for rows in (slice(None), slice(1)):  # a batch of another size than the one that was traced, too
        got = session.run([outputs[0]], {name: one[rows].numpy() for name, one in padded.items()})[0]
        if not np.allclose(got, expected[rows], atol=_TOLERANCE):
            worst = np.abs(got - expected[rows]).max()
            raise RuntimeError(f"the exported model differs from the trained one by {worst:.4f}")
