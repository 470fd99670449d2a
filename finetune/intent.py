"""IntentClassifier: scikit-learn's words around a fine-tuned BERT that is served by ONNX Runtime.

Whatever it predicts, it predicts through the exported model, right after `fit` as well as after `load`: what was
measured is what is served. Only `fit` and `partial_fit` import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finetune.calibration import Limits
from finetune.head import ServedHead, to_probabilities
from finetune.scope import in_scope_score
from finetune.served import ServedClassifier
from retrieval.encoder import DIM
from retrieval.model_folder import read_manifest
from retrieval.onnx_model import OnnxModel

if TYPE_CHECKING:
    from finetune.data import Labels
    from finetune.methods import Method

Floats = NDArray[np.floating]
Progress = Callable[[str, float], None]


class IntentClassifier(ServedClassifier):
    """Says what a message wants, how sure it is, and whether it is anything the desk handles.

    After `fit` or `load`: `classes_` are the intents in order; `answer_threshold` is the confidence from which an
    answer may be given, `in_scope_threshold` the score below which a message counts as out of scope; both were solved
    on held-out messages for the targets given to the constructor.

    `method` says what learns (see `finetune.methods`), `memory` whether earlier messages of a conversation count where
    conversations are given, `contrast` whether the encoder is first taught which messages belong together (by itself
    where labels have few messages), `epochs` how often the messages are gone through (by itself: as their number asks).
    `trainings` is how many of them the model is the mean of: two take twice the time and understand a little more,
    but for where only the head learns.
    `interchangeable` are labels that may be taken for each other, such as a greeting for small talk: the answer
    threshold does not count that as a wrong answer.
    `tracker` is empty, `tensorboard` or `wandb`.
    """

    kind = "intent"
    classes_: list[str]
    answer_threshold: float
    in_scope_threshold: float

    def __init__(
        self,
        *,
        method: Method = "full",
        memory: bool = True,
        contrast: bool | None = None,
        epochs: int | None = None,
        trainings: int = 1,
        max_wrong_answers: float = 0.05,
        max_turned_away: float = 0.03,
        interchangeable: Collection[str] = (),
        tracker: str = "",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.method = method
        self.memory = memory
        self.contrast = contrast
        self.epochs = epochs
        self.trainings = trainings
        self.max_wrong_answers = max_wrong_answers
        self.max_turned_away = max_turned_away
        self.interchangeable = interchangeable
        self.tracker = tracker
        self.seed = seed

    def fit(
        self,
        texts: Sequence[str],
        labels: Labels,
        out_of_scope: Sequence[str] = (),
        *,
        conversations: Sequence[Hashable | None] | None = None,
        test: tuple[Sequence[str], Labels, Sequence[str]] | None = None,
        progress: Progress = lambda _what, _share: None,
        about: dict[str, Any] | None = None,
        checkpoint: Path | None = None,
    ) -> IntentClassifier:
        """Fine-tune on labelled messages; a label may be several intents.

        `conversations` names each message's conversation, None for a message alone; the messages of a conversation
        are given in order. Out-of-scope messages become a class of their own that is never predicted, only weighed
        against the others. An eighth of the messages (at most 600) is held out: the epoch to keep, temperature and
        thresholds are found on it. It is not trained on; only where nothing but the head learns (labels with few
        messages, and the method `head`) does the head learn it as well, once all of that is found. `test` holds texts,
        labels and out-of-scope messages that only the report is about. `about` is kept in the manifest. Where
        `checkpoint` exists, training goes on from it; the states of further trainings lie beside it, and begin like it.

        Raises:
            ValueError: the data cannot be learnt from, or the checkpoint belongs to another training.
            ModelError: the base weights are missing or altered.
        """
        from finetune.corpus import make_corpus
        from finetune.publishing import publish
        from finetune.teaching import plan, teach

        corpus = make_corpus(texts, labels, out_of_scope, conversations, self.seed)
        memory = self.memory and corpus.has_conversations
        settings = plan(
            corpus, self.method, memory, self.contrast, self.epochs, self.seed, self.tracker, self.trainings
        )
        taught = teach(
            corpus,
            self.method,
            settings,
            memory=memory,
            contrast=self.contrast,
            progress=progress,
            checkpoint=checkpoint,
        )
        folder = self._scratch()
        publish(folder, self, corpus, taught, test, about or {}, progress)
        self._use(folder, read_manifest(folder))
        return self

    def partial_fit(
        self,
        texts: Sequence[str],
        labels: Labels,
        out_of_scope: Sequence[str] = (),
        *,
        outdated: Collection[str] = (),
        test: tuple[Sequence[str], Labels, Sequence[str]] | None = None,
        progress: Progress = lambda _what, _share: None,
        about: dict[str, Any] | None = None,
        checkpoint: Path | None = None,
    ) -> IntentClassifier:
        """Learn new messages, of known intents or new ones, while rehearsing the sample that the model has kept.

        A message of the sample that is among the new ones is theirs: it is rehearsed with its new label alone. What is
        `outdated` is not rehearsed any more. Only what single messages mean is learnt; a memory stays as it is.
        What was learnt and what was forgotten stands in the manifest under `lasting` (see `finetune.continual`). New
        intents come after the known ones in `classes_`. The other arguments are those of `fit`.

        Raises:
            ValueError: the data cannot be learnt from, or the checkpoint belongs to another training.
            ModelError: the classifier has learnt nothing yet, or base weights are missing or altered.
        """
        from finetune import continual
        from finetune.data import check_rows
        from finetune.publishing import publish
        from finetune.rehearsal import read_rehearsal

        manifest = self._served().manifest
        check_rows(texts, labels, out_of_scope)
        source = self._folder
        known = read_rehearsal(source).without([*texts, *out_of_scope, *outdated], manifest["classes"])
        corpus, old = continual.extend_corpus(known.sample, manifest, texts, labels, out_of_scope, self.seed)
        network = continual.restore(source, manifest)
        settings = continual.plan(manifest, self.epochs, self.seed, self.tracker)
        taught, lasting = continual.relearn(network, corpus, old, manifest, settings, progress, checkpoint)
        folder = self._scratch()
        about = {"lasting": vars(lasting), **(about or {})}
        publish(folder, self, corpus, taught, test, about, progress, known.seen)
        self._use(folder, read_manifest(folder))
        return self

    def limits(self, classes: Sequence[str]) -> Limits:
        """Return what the thresholds of a classifier of some classes are solved for."""
        interchangeable = np.isin(classes, list(self.interchangeable))
        return Limits(self.max_wrong_answers, self.max_turned_away, interchangeable)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors of shape `(n, 384)`, by which a message is known to itself and to later ones."""
        if not len(texts):  # an array has no truth of its own
            return np.zeros((0, DIM), dtype=np.float32)
        return self._served().run(texts)["vector"]

    def expect(self, text: str) -> Callable[[], NDArray[np.float32]]:
        """Return what gives the unit vector `(384,)` of a text when it is called; others may encode it before."""
        return self._served().expect(text)

    def encode_ahead(self, texts: Sequence[str]) -> None:
        """Encode texts in batches; `encode` then knows each of them, until others are encoded ahead."""
        self._served().run_ahead(texts)

    def assess(
        self, texts: Sequence[str], earlier: Sequence[NDArray[np.float32]] | None = None
    ) -> tuple[Floats, Floats]:
        """Return probabilities `(n, classes)` and in-scope scores `(n,)` of texts.

        `earlier` gives for each text the vectors `(k, 384)` of the messages before it in its conversation, newest
        first; without it each text is taken by itself.
        """
        return self.judge(self.encode(texts), earlier)

    def judge(
        self, vectors: NDArray[np.float32], earlier: Sequence[NDArray[np.float32]] | None = None
    ) -> tuple[Floats, Floats]:
        """Return what `assess` returns, for messages that have been encoded: `(n, 384)`."""
        self._served()
        if not len(vectors):
            return np.zeros((0, len(self.classes_))), np.zeros(0)
        logits = self._head.run(vectors, earlier)
        return to_probabilities(logits[:, : len(self.classes_)], self._temperature, self.several), in_scope_score(
            logits, len(self.classes_)
        )

    def predict_proba(self, texts: Sequence[str], earlier: Sequence[NDArray[np.float32]] | None = None) -> Floats:
        """Return calibrated probabilities of shape `(n, classes)`, in the order of `classes_`.

        Each row sums to 1, or, where a message may have several intents, holds the probability of each by itself.
        """
        return self.assess(texts, earlier)[0]

    def predict(
        self, texts: Sequence[str], earlier: Sequence[NDArray[np.float32]] | None = None
    ) -> list[str] | list[tuple[str, ...]]:
        """Return the most likely intent of each text, or all of at least 0.5 where a message may have several."""
        probabilities = self.predict_proba(texts, earlier)
        if not self.several:
            return [self.classes_[best] for best in probabilities.argmax(axis=1)]
        return [tuple(self.classes_[place] for place in np.flatnonzero(row >= 0.5)) for row in probabilities]

    def in_scope_score(self, texts: Sequence[str]) -> Floats:
        """Return a score of shape `(n,)`, higher for what the desk handles (see `finetune.scope`)."""
        return self.assess(texts)[1]

    @property
    def turns(self) -> int:
        """How many earlier messages of a conversation count, 0 where the classifier has no memory."""
        self._served()
        return self._head.turns

    def _use(self, folder: Path, manifest: dict[str, Any]) -> None:
        self._model = OnnxModel(folder, manifest)
        self._head = ServedHead(folder / "head.onnx")
        self._folder = folder
        self.classes_ = list(manifest["classes"])
        self.several = bool(manifest["several"])
        self.method = manifest["method"]
        self.max_wrong_answers = float(manifest.get("max_wrong_answers", self.max_wrong_answers))
        self.max_turned_away = float(manifest.get("max_turned_away", self.max_turned_away))
        self.interchangeable = tuple(manifest.get("interchangeable", self.interchangeable))
        self._temperature = float(manifest["temperature"])
        self.answer_threshold = float(manifest["answer_threshold"])
        self.in_scope_threshold = float(manifest["in_scope_threshold"])
