"""What may be wrong with the labelled messages: likely label errors, leaks between splits, too few messages.

Whatever is trained here is a quick probe: a logistic regression over vectors of the frozen encoder. It takes seconds
where fine-tuning takes minutes, and is used only where it points a person at messages, or shows a trend.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from finetune.data import Labels, near_duplicates
from finetune.evaluation import Outputs
from finetune.probe import QUICK, fit_probe, unseen_probabilities

Floats = NDArray[np.floating]
Rows = NDArray[np.integer]

_NEIGHBOURS = 3
_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class LabelledMessages:
    """n messages with their labels, one or several each, and their unit vectors `(n, dim)` by a frozen encoder."""

    texts: Sequence[str]
    labels: Labels
    vectors: Floats

    def __post_init__(self) -> None:
        if not len(self.texts) == len(self.labels) == len(self.vectors):
            counts = f"{len(self.texts)} texts, {len(self.labels)} labels and {len(self.vectors)} vectors"
            raise ValueError(f"there are {counts}; each message needs one of each")

    @cached_property
    def label_tuples(self) -> list[tuple[str, ...]]:
        """The labels of each message, in order."""
        return [(label,) if isinstance(label, str) else tuple(sorted(label)) for label in self.labels]

    @property
    def several(self) -> bool:
        """Whether a message may have several labels."""
        return any(not isinstance(label, str) for label in self.labels)


@dataclass(frozen=True)
class Neighbour:
    """A training message like another message; `similarity` is the cosine of their vectors."""

    text: str
    labels: tuple[str, ...]
    similarity: float


@dataclass(frozen=True)
class Suspect:
    """A training message whose label may be wrong; both probabilities come from a probe that has not seen it."""

    text: str
    label: str
    probability: float
    suggested: str
    suggested_probability: float
    nearest: list[Neighbour]


@dataclass(frozen=True)
class Mistake:
    """A message that was understood wrongly, and how sure the classifier was."""

    text: str
    labels: tuple[str, ...]
    predicted: str
    confidence: float
    nearest: list[Neighbour]


@dataclass(frozen=True)
class Duplicate:
    """A message of one split and one of another that say the same; `likeness` 1 means with the same words."""

    text: str
    labels: tuple[str, ...]
    other_text: str
    other_labels: tuple[str, ...]
    likeness: float


@dataclass(frozen=True)
class LearningPoint:
    """How well the probe does on messages it has not seen after learning from so many."""

    messages: int
    accuracy: float


def content_hash(texts: Sequence[str], labels: Labels) -> str:
    """Return the SHA-256 of labelled messages, whatever their order, as 64 hex digits."""
    named = ([label] if isinstance(label, str) else sorted(label) for label in labels)
    rows = sorted(zip(texts, named, strict=True))
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()


def suspected_label_errors(training: LabelledMessages, seed: int = 0) -> list[Suspect]:
    """Return training messages whose label is probably wrong, most suspicious first; none where messages have several.

    A label is suspected where its probability, by a probe that has not seen the message, is below the mean for that
    label's messages, while another label's is higher and above its own mean. Source: Northcutt et al., "Confident
    Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021.
    """
    if training.several or not len(training.texts):
        return []
    classes, given = np.unique(np.array(training.labels, dtype=object).astype(str), return_inverse=True)
    probabilities = unseen_probabilities(training.vectors, given, len(classes), seed, QUICK)
    rows = np.arange(len(given))
    own = probabilities[rows, given]
    means = np.array([own[given == label].mean() for label in range(len(classes))])
    rivals = np.where((probabilities >= means) & (probabilities > 0), probabilities, 0.0)
    rivals[rows, given] = 0.0
    best, best_probability = rivals.argmax(axis=1), rivals.max(axis=1)
    suspects = np.flatnonzero((own < means[given]) & (best_probability > own))
    suspects = suspects[np.argsort((own - best_probability)[suspects], kind="stable")]
    neighbours = nearest(training.vectors[suspects], training, but=suspects)
    return [
        Suspect(
            text=training.texts[row],
            label=str(classes[given[row]]),
            probability=float(own[row]),
            suggested=str(classes[best[row]]),
            suggested_probability=float(best_probability[row]),
            nearest=near,
        )
        for row, near in zip(suspects.tolist(), neighbours, strict=True)
    ]


def learning_curve(training: LabelledMessages, measured: LabelledMessages, seed: int = 0) -> list[LearningPoint]:
    """Return how often the probe's likeliest label is right on `measured` after growing shares of `training`.

    Each share holds that share of every label's messages, at least one, and the smaller ones are part of the larger;
    a message with several labels goes with its first.
    """
    if not len(measured.texts) or not any(training.label_tuples):
        return []
    place = _place_in_label(np.array([labels[0] if labels else "" for labels in training.label_tuples]), seed)
    points = []
    for share in _SHARES:
        rows = np.flatnonzero(place < share)
        names, answers = _answers(training, rows, measured.vectors)
        right = [names[best] in wanted for best, wanted in zip(answers, measured.label_tuples, strict=True)]
        points.append(LearningPoint(len(rows), float(np.mean(right))))
    return points


def hardest_mistakes(
    training: LabelledMessages, measured: LabelledMessages, outputs: Outputs, limit: int = 20
) -> list[Mistake]:
    """Return the messages that were understood wrongly, those first about which the classifier was surest.

    `outputs` is what it said about `measured`, row by row.
    """
    wrong = np.flatnonzero(~outputs.correct)
    wrong = wrong[np.argsort(-outputs.confidences[wrong], kind="stable")][:limit]
    neighbours = nearest(measured.vectors[wrong], training)
    return [
        Mistake(
            text=measured.texts[row],
            labels=measured.label_tuples[row],
            predicted=outputs.predicted[row],
            confidence=float(outputs.confidences[row]),
            nearest=near,
        )
        for row, near in zip(wrong.tolist(), neighbours, strict=True)
    ]


def duplicates(measured: LabelledMessages, training: LabelledMessages) -> list[Duplicate]:
    """Return the measured messages that have an exact or near duplicate among the training ones, each with its twin."""
    twins: dict[int, tuple[int, float]] = {}
    for row, other, likeness in near_duplicates(measured.texts, training.texts):
        if likeness > twins.get(row, (0, 0.0))[1]:
            twins[row] = other, likeness
    return [
        Duplicate(
            measured.texts[row],
            measured.label_tuples[row],
            training.texts[other],
            training.label_tuples[other],
            likeness,
        )
        for row, (other, likeness) in sorted(twins.items(), key=lambda item: -item[1][1])
    ]


def nearest(vectors: Floats, training: LabelledMessages, but: Rows | None = None) -> list[list[Neighbour]]:
    """Return the training messages nearest to each vector, the nearest first; `but` names a row each to leave out."""
    similarities = vectors @ training.vectors.T
    if but is not None:
        similarities[np.arange(len(but)), but] = -np.inf
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :_NEIGHBOURS]
    return [
        [
            Neighbour(training.texts[row], training.label_tuples[row], float(similarity))
            for row, similarity in zip(rows.tolist(), values[rows], strict=True)
            if np.isfinite(similarity)
        ]
        for rows, values in zip(order, similarities, strict=True)
    ]


def _answers(training: LabelledMessages, rows: Rows, vectors: Floats) -> tuple[list[str], Rows]:
    """Return labels and, for each vector, the number of the likeliest one by a probe of some training rows.

    A message with several labels is shown once with each.
    """
    shown = [(row, label) for row in rows for label in training.label_tuples[row]]
    names, targets = np.unique([label for _, label in shown], return_inverse=True)
    probe = fit_probe(training.vectors[[row for row, _ in shown]], targets, QUICK)
    return names.tolist(), probe.classes[probe.probabilities(vectors).argmax(axis=1)]


def _place_in_label(labels: NDArray[np.str_], seed: int) -> Floats:
    """Return for each row how far up among its label's rows it stands in a seeded order: from 0 to below 1."""
    places = np.zeros(len(labels))
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        places[rows] = np.arange(len(rows)) / len(rows)
    return places
