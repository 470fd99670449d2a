"""AnswerClassifier: does this answer fit this question? A fine-tuned BERT over both, served by ONNX Runtime.

Whatever it says, it says through the exported model, right after `fit` as well as after `load`: what was measured is
what is served. Only `fit` imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from finetune.served import ServedClassifier
from retrieval.model_folder import read_manifest
from retrieval.onnx_model import OnnxModel

if TYPE_CHECKING:
    from finetune.methods import Method

Floats = NDArray[np.floating]
BATCH = 1  # pairs are of all lengths, and padding costs more than a batch gains


class AnswerClassifier(ServedClassifier):
    """Says how probable it is that an answer fits a question.

    After `fit` or `load`, `threshold` is the probability from which the likeliest answer of several may be said:
    solved on held-out questions so that at most `max_wrong` of what is said is wrong.

    `method` says what learns (see `finetune.methods`), `epochs` how often the questions are gone through (by itself: as
    their number asks). `tracker` is empty, `tensorboard` or `wandb`.
    """

    kind = "answer"
    threshold: float

    def __init__(
        self,
        *,
        method: Method = "full",
        epochs: int | None = None,
        max_wrong: float = 0.05,
        tracker: str = "",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.method = method
        self.epochs = epochs
        self.max_wrong = max_wrong
        self.tracker = tracker
        self.seed = seed

    def fit(
        self,
        questions: Sequence[str],
        answers: Sequence[str],
        labels: Sequence[int] | None = None,
        *,
        groups: Sequence[Hashable] | None = None,
        out_of_scope: Sequence[str] = (),
        progress: Callable[[str, float], None] = lambda _what, _share: None,
        about: dict[str, Any] | None = None,
        checkpoint: Path | None = None,
    ) -> AnswerClassifier:
        """Fine-tune on question-answer pairs; an answer may carry its title in front.

        `labels` are 1 where the answer fits (as all do without labels), 0 where it does not, -1 where that is unknown.
        The other answers are what wrong ones are drawn from, those that retrieval puts first. Rows of one of the
        `groups` (a thread, an article) belong together: its answers are never wrong for its questions, and it is held
        out as a whole. `out_of_scope` are questions that no answer fits.

        An eighth of the questions or groups is held out: the epoch to keep, the calibration and the threshold are found
        on it, and it is never trained on. `about` is kept in the manifest. Where `checkpoint` exists, training goes on
        from it.

        Raises:
            ValueError: the pairs cannot be learnt from, or the checkpoint belongs to another training.
            ModelError: the base weights are missing or altered.
        """
        from finetune.answer_publishing import publish
        from finetune.answer_teaching import teach
        from finetune.pairs import make_pairs

        pairs = make_pairs(questions, answers, labels, groups, out_of_scope)
        taught = teach(pairs, self.method, self.epochs, self.seed, self.tracker, progress, checkpoint)
        folder = self._scratch()
        publish(folder, pairs, taught, self.method, self.max_wrong, about or {}, progress)
        self._use(folder, read_manifest(folder))
        return self

    def score(self, questions: Sequence[str], answers: Sequence[str]) -> Floats:
        """Return the calibrated probability `(n,)` that each answer fits the question beside it.

        Raises:
            ValueError: the lengths differ.
            ModelError: the classifier is neither fitted nor loaded.
        """
        model = self._served()
        if len(questions) != len(answers):
            raise ValueError(f"there are {len(questions)} questions and {len(answers)} answers; give one a question")
        if not questions:
            return np.zeros(0)
        logits = model.run(list(zip(questions, answers, strict=True)))["logits"]
        probabilities: Floats = expit(self._slope * logits.astype(np.float64) + self._offset)
        return probabilities

    def _use(self, folder: Path, manifest: dict[str, Any]) -> None:
        self._model = OnnxModel(folder, manifest, batch=BATCH)
        self._folder = folder
        self.method = manifest["method"]
        self.seed = int(manifest["settings"]["seed"])
        self.max_wrong = float(manifest["max_wrong"])
        self._slope = float(manifest["slope"])
        self._offset = float(manifest["offset"])
        self.threshold = float(manifest["threshold"])
