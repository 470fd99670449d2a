"""IntentClassifier: scikit-learn's words around a fine-tuned BERT that is served by ONNX Runtime.

Whatever it predicts, it predicts through the exported model, right after `fit` as well as after `load`: what was
measured is what is served. Only `fit` imports torch.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from finetune.data import check, split
from retrieval.encoder import BASE_SHA256
from retrieval.model_folder import ModelError, new_folder, read_manifest
from retrieval.onnx_model import OnnxModel

Floats = NDArray[np.floating]
_UNFITTED = "The classifier is neither fitted nor loaded. Call fit(texts, labels) or load(folder)."


class IntentClassifier:
    """Says what a message wants, how sure it is, and whether it is anything the desk handles.

    After `fit` or `load`: `classes_` are the intents in order; `answer_threshold` is the confidence from which an
    answer may be given, `in_scope_threshold` the score below which a message counts as out of scope; both were solved
    on held-out messages for the targets given to the constructor.
    """

    classes_: list[str]
    answer_threshold: float
    in_scope_threshold: float

    def __init__(self, *, max_wrong_answers: float = 0.05, max_turned_away: float = 0.03, seed: int = 0) -> None:
        self.max_wrong_answers = max_wrong_answers
        self.max_turned_away = max_turned_away
        self.seed = seed
        self._model: OnnxModel | None = None
        self._folder: Path | None = None

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        out_of_scope: Sequence[str] = (),
        progress: Callable[[str, float], None] = lambda _what, _share: None,
        about: dict[str, Any] | None = None,
    ) -> IntentClassifier:
        """Fine-tune on labelled messages; `about` is kept in the manifest.

        An eighth of the messages is held out: temperature and thresholds are solved on it, and it is never trained on.
        Out-of-scope examples become a class of their own that is never predicted, only weighed against the others.

        Raises:
            ValueError: the data cannot be learnt from.
            ModelError: the base weights are missing or altered.
        """
        check(texts, labels)
        classes = sorted(set(labels))
        number_of = {label: number for number, label in enumerate(classes)}
        all_texts = [*texts, *out_of_scope]
        targets = [*(number_of[label] for label in labels), *([len(classes)] * len(out_of_scope))]
        kept, held = split([str(target) for target in targets], 1 / 8, self.seed)
        if not any(targets[row] < len(classes) for row in held):
            raise ValueError("no label has the 5 texts it takes to hold one out; give each label more")
        from tokenizers import Tokenizer

        from finetune import training
        from finetune.base import base_folder, load_base
        from finetune.export import export_classifier

        settings = training.Settings(seed=self.seed)
        tokenizer_file = base_folder() / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
        model = training.train(
            load_base(), tokenizer, [all_texts[row] for row in kept], [targets[row] for row in kept], settings, progress
        )
        progress("Calibrating and exporting", 0.0)
        logits = training.logits(model, tokenizer, [all_texts[row] for row in held])
        self.classes_ = classes
        solved = self._solve(logits, np.array([targets[row] for row in held]))
        manifest = {
            "kind": "intent",
            "classes": classes,
            "max_tokens": settings.max_tokens,
            "base_sha256": BASE_SHA256,
            **solved,
            **(about or {}),
        }
        scratch = tempfile.mkdtemp(prefix="rapport-")
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        folder = Path(scratch) / "intent"
        export_classifier(model, tokenizer_file, folder, manifest)
        self._use(folder, read_manifest(folder))
        progress("Calibrating and exporting", 1.0)
        return self

    def _solve(self, logits: Floats, targets: NDArray[np.integer]) -> dict[str, float]:
        """Return temperature and thresholds from the held-out rows' logits `(n, classes + 1)`."""
        from finetune.calibration import answer_threshold, fit_temperature, in_scope_threshold  # imports an optimiser

        inside = targets < len(self.classes_)
        known, scores = logits[inside][:, : len(self.classes_)], self._in_scope(logits[inside])
        temperature = fit_temperature(known, targets[inside])
        probabilities = softmax(known / temperature, axis=1)
        correct = probabilities.argmax(axis=1) == targets[inside]
        return {
            "temperature": temperature,
            "answer_threshold": answer_threshold(probabilities.max(axis=1), correct, self.max_wrong_answers),
            "in_scope_threshold": in_scope_threshold(scores, self.max_turned_away),
            "held_out_accuracy": float(correct.mean()),
        }

    def assess(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Return probabilities `(n, classes)` and in-scope scores `(n,)` of texts, in one pass."""
        model = self._served()
        if not texts:
            return np.zeros((0, len(self.classes_))), np.zeros(0)
        logits = model.run(texts)["logits"]
        known = logits[:, : len(self.classes_)]
        return softmax(known / self._temperature, axis=1), self._in_scope(logits)

    def predict_proba(self, texts: Sequence[str]) -> Floats:
        """Return calibrated probabilities of shape `(n, classes)`, in the order of `classes_`."""
        return self.assess(texts)[0]

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most likely intent of each text."""
        return [self.classes_[best] for best in self.predict_proba(texts).argmax(axis=1)]

    def in_scope_score(self, texts: Sequence[str]) -> Floats:
        """Return a score of shape `(n,)`, 0 to 1, higher for what the desk handles."""
        return self.assess(texts)[1]

    def save(self, folder: Path | str) -> None:
        """Write the model to a folder, whole or not at all."""
        if self._folder is None:
            raise ModelError(_UNFITTED)
        with new_folder(Path(folder)) as draft:
            shutil.copytree(self._folder, draft, dirs_exist_ok=True)

    @classmethod
    def load(cls, folder: Path | str) -> IntentClassifier:
        """Return the classifier in a folder.

        Raises:
            ModelError: the folder is missing, incomplete or altered, or holds another kind of model.
        """
        manifest = read_manifest(Path(folder))
        if manifest.get("kind") != "intent":
            raise ModelError(f"{folder} does not hold an intent classifier. Train one: rapport train intent")
        classifier = cls()
        classifier._use(Path(folder), manifest)
        return classifier

    @property
    def manifest(self) -> dict[str, Any]:
        """What is known about the model: classes, thresholds, hashes, settings."""
        return self._served().manifest

    def _use(self, folder: Path, manifest: dict[str, Any]) -> None:
        self._folder = folder
        self._model = OnnxModel(folder, manifest)
        self.classes_ = list(manifest["classes"])
        self._temperature = float(manifest["temperature"])
        self.answer_threshold = float(manifest["answer_threshold"])
        self.in_scope_threshold = float(manifest["in_scope_threshold"])

    def _served(self) -> OnnxModel:
        if self._model is None:
            raise ModelError(_UNFITTED)
        return self._model

    def _in_scope(self, logits: Floats) -> Floats:
        """Return how far the best intent lies above the out-of-scope class (or above 0 without one), as 0 to 1."""
        count = len(self.classes_)
        outside = logits[:, count] if logits.shape[1] > count else 0.0
        scores: Floats = expit(logits[:, :count].max(axis=1) - outside)
        return scores
