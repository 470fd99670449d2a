"""A BERT exported to ONNX with its tokenizer: text in, arrays out, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retrieval.model_folder import read_manifest

BATCH = 64


class OnnxModel:
    """Runs `model.onnx` of a model folder on texts, in length-sorted batches of at most 64.

    Raises:
        ModelError: the folder is missing, incomplete or altered.
    """

    def __init__(self, folder: Path) -> None:
        self.manifest = read_manifest(folder)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_length=int(self.manifest["max_tokens"]))
        self._counter = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._counter.no_padding()
        self._counter.no_truncation()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        options.inter_op_num_threads = 1
        # A spinning worker keeps a core busy between messages, which starves the other sessions.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.outputs = [output.name for output in self._session.get_outputs()]

    def run(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return each output of the model as an array of shape `(n, width)`, rows in the order of `texts`."""
        encodings = self.tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda row: len(encodings[row].ids))
        parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in self.outputs}
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            for name, values in self._run_batch([encodings[row] for row in rows]).items():
                parts[name].append(values)
        back = np.argsort(np.asarray(order, dtype=np.int64))
        return {name: np.concatenate(values)[back] for name, values in parts.items() if values}

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text takes, untruncated, without the two special ones."""
        return len(self._counter.encode(text, add_special_tokens=False).ids)

    def _run_batch(self, encodings: Sequence[Any]) -> dict[str, NDArray[np.float32]]:
        longest = max(len(encoding.ids) for encoding in encodings)
        ids = np.zeros((len(encodings), longest), dtype=np.int64)  # (B, T)
        mask = np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        values = self._session.run(self.outputs, {"input_ids": ids, "attention_mask": mask})
        return dict(zip(self.outputs, values, strict=True))
