"""Exporting to ONNX, so that serving needs no torch: the encoder and trained classifiers."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import BertModel

from finetune.base import base_folder, load_base
from finetune.training import Classifier, pool
from retrieval.encoder import BASE_SHA256, DIM, MAX_TOKENS
from retrieval.model_folder import new_folder, write_manifest

_TOLERANCE = 1e-3  # largest difference between torch and ONNX Runtime that is rounding and nothing else


class _Embedder(nn.Module):
    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return pool(hidden, attention_mask)


def export_encoder(target: Path) -> None:
    """Write the pinned base as an encoder's model folder."""
    with new_folder(target) as folder:
        _write_onnx(_Embedder(load_base()), folder / "model.onnx", "vector")
        shutil.copyfile(base_folder() / "tokenizer.json", folder / "tokenizer.json")
        about = {"kind": "encoder", "name": f"minilm-{BASE_SHA256[:12]}", "dim": DIM, "max_tokens": MAX_TOKENS}
        write_manifest(folder, {**about, "base_sha256": BASE_SHA256})


def export_classifier(model: Classifier, tokenizer_file: Path, target: Path, about: dict[str, Any]) -> None:
    """Write a trained classifier as a model folder: ONNX for serving, safetensors for training on."""
    with new_folder(target) as folder:
        _write_onnx(model, folder / "model.onnx", "logits")
        save_file(model.state_dict(), folder / "model.safetensors")
        shutil.copyfile(tokenizer_file, folder / "tokenizer.json")
        write_manifest(folder, about)


def _write_onnx(model: nn.Module, path: Path, output: str) -> None:
    """Export a model of token ids and mask, and check the result against torch on padded input."""
    model.eval()
    ids = torch.tensor([[101, 2073, 2003, 2026, 2344, 102], [101, 7592, 102, 0, 0, 0]])
    mask = (ids > 0).long()
    axes = {"input_ids": {0: "batch", 1: "tokens"}, "attention_mask": {0: "batch", 1: "tokens"}, output: {0: "batch"}}
    with warnings.catch_warnings():
        # The newer exporter takes five times as long and gives the same graph.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (ids, mask),
            str(path),
            dynamo=False,
            input_names=["input_ids", "attention_mask"],
            output_names=[output],
            dynamic_axes=axes,
            opset_version=17,
        )
    longer = torch.cat([ids, torch.zeros_like(ids)], dim=1)
    longer_mask = torch.cat([mask, torch.zeros_like(mask)], dim=1)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run([output], {"input_ids": longer.numpy(), "attention_mask": longer_mask.numpy()})[0]
    with torch.no_grad():
        expected = model(ids, mask).numpy()
    if not np.allclose(got, expected, atol=_TOLERANCE):
        raise RuntimeError(f"the exported model differs from the trained one by {np.abs(got - expected).max():.4f}")
