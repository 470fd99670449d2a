"""A BERT exported to ONNX with its tokenizer: texts or pairs of texts in, arrays out, no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from retrieval.model_folder import read_manifest
from retrieval.overflow import products_overflow
from retrieval.together import STATES, Together, pooled
from retrieval.tokenizer import read_tokenizer

BATCH = 16  # more of them at once are slower: what they are multiplied with no longer fits the caches
THREADS = 2
_MANY = 8  # batches that are worth threads
_PROBES = ("one two three", "four five six", "ten ten ten")  # as long as each other, in tokens


def session(file: Path) -> onnxruntime.InferenceSession:
    """Return ONNX Runtime's session for a file; it computes on the thread that asks."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if products_overflow():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


class OnnxModel:
    """Runs `model.onnx` of a model folder on texts or pairs of texts, in length-sorted batches of at most `batch`.

    The vector of a text is the same, to the last bit, alone and among others. Texts that are expected at the same time
    are run together (`retrieval.together`). A batch runs on the thread that asks for it: two messages on two cores then
    take half as long as each of them spread over both. `manifest` is the folder's, where it has been read and its
    hashes checked already.

    Raises:
        ModelError: the folder is missing, incomplete or altered.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any] | None = None, batch: int = BATCH) -> None:
        self.manifest = manifest or read_manifest(folder)
        self._batch = batch
        self.tokenizer = read_tokenizer(folder / "tokenizer.json", int(self.manifest["max_tokens"]))
        self._session = session(folder / "model.onnx")
        names = [output.name for output in self._session.get_outputs()]
        self.outputs = [name for name in names if name != STATES]
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._known: dict[str, dict[str, NDArray[np.float32]]] = {}
        self._together = Together() if STATES in names and self._is_exact() else None

    def run_ahead(self, texts: Sequence[str]) -> None:
        """Run texts in batches now; `run` returns for each what was found then, until it is not among those run ahead.

        A text that was run ahead the last time, too, is not run again.
        """
        known = {text: self._known[text] for text in texts if text in self._known}
        self._known = {}  # `run` must not look there
        fresh = list(dict.fromkeys(text for text in texts if text not in known))
        outputs = self.run(fresh) if fresh else {}
        found = {text: {name: values[row] for name, values in outputs.items()} for row, text in enumerate(fresh)}
        self._known = known | found

    def expect(self, text: str) -> Callable[[], NDArray[np.float32]]:
        """Return what gives the vector `(384,)` of a text when it is called; others may run it with theirs before."""
        if (known := self._known.get(text)) is not None:
            vector = known["vector"]
            return lambda: vector
        if self._together is None:
            return cache(lambda: self.run([text])["vector"][0])
        return self._together.expect(self.tokenizer.encode(text), self._states)

    def run(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> dict[str, NDArray[np.float32]]:
        """Return each output of the model as an array of shape `(n, ...)`, rows in the order of `texts`."""
        if (known := self._known) and all(text in known for text in texts):
            return {name: np.stack([known[text][name] for text in texts]) for name in self.outputs}  # type: ignore[index]
        encodings = self.tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda row: len(encodings[row].ids))
        parts: dict[str, list[NDArray[np.float32]]] = {name: [] for name in self.outputs}
        for outputs in self._run_batches(list(self._batches([encodings[row] for row in order]))):
            for name, values in outputs.items():
                parts[name].append(values)
        back = np.argsort(np.asarray(order, dtype=np.int64))
        return {name: np.concatenate(values)[back] for name, values in parts.items() if values}

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text takes, untruncated, without the two special ones."""
        return len(self._counter.encode(text, add_special_tokens=False).ids)

    @cached_property
    def _counter(self) -> Any:
        """The tokenizer without truncation."""
        counter = Tokenizer.from_str(self.tokenizer.to_str())
        counter.no_truncation()
        return counter

    def _states(self, encodings: Sequence[Any]) -> NDArray[np.float32]:
        return self._run_batch(encodings, [STATES])[STATES]

    def _is_exact(self) -> bool:
        """Return whether messages have the same bits alone and in a batch here, and the vectors of the model."""
        probes = self.tokenizer.encode_batch(list(_PROBES))
        if len({len(probe.ids) for probe in probes}) > 1 or self.outputs != ["vector"]:
            return False
        together = [pooled(states) for states in self._states(probes)]
        alone = [pooled(self._states([probe])[0]) for probe in probes]
        same = all(map(np.array_equal, together, alone))
        return same and np.allclose(together, self._run_batch(probes)["vector"], atol=1e-5)

    def _batches(self, encodings: Sequence[Any]) -> Iterator[list[Any]]:
        """Yield texts that are sorted by length in batches: of one length each where padding would change bits."""
        batch: list[Any] = []
        for encoding in encodings:
            is_longer = bool(batch) and self._together is not None and len(encoding.ids) > len(batch[0].ids)
            if is_longer or len(batch) == self._batch:
                yield batch
                batch = []
            batch.append(encoding)
        if batch:
            yield batch

    def _run_batches(self, batches: Sequence[Sequence[Any]]) -> list[dict[str, NDArray[np.float32]]]:
        run = self._run_batch if self._together is None else self._run_exactly
        if len(batches) < _MANY:
            return [run(batch) for batch in batches]
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(run, batches))

    def _run_exactly(self, encodings: Sequence[Any]) -> dict[str, NDArray[np.float32]]:
        """Return for texts of one length the vectors that each has by itself."""
        return {"vector": np.stack([pooled(states) for states in self._states(encodings)])}

    def _run_batch(self, encodings: Sequence[Any], outputs: Sequence[str] = ()) -> dict[str, NDArray[np.float32]]:
        outputs = outputs or self.outputs
        longest = max(len(encoding.ids) for encoding in encodings)
        ids = np.zeros((len(encodings), longest), dtype=np.int64)  # (B, T)
        mask, segments = np.zeros_like(ids), np.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
            segments[row, : len(encoding.ids)] = encoding.type_ids
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
        values = self._session.run(list(outputs), {name: arrays[name] for name in self._inputs})
        return dict(zip(outputs, values, strict=True))
