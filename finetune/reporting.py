"""The report of a training: what the exported model says about messages it has not learnt from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finetune.base import load_base
from finetune.calibration import Solved, halves
from finetune.corpus import MAX_TOKENS, Corpus
from finetune.data import Labels
from finetune.diagnosis import LabelledMessages, content_hash
from finetune.evaluation import Outputs
from finetune.head import to_probabilities
from finetune.network import Encoder, encode
from finetune.report import Evidence, make_report
from finetune.scope import in_scope_score
from finetune.teaching import Taught
from finetune.tokens import Tokens
from retrieval.encoder import BASE_SHA256

if TYPE_CHECKING:
    from finetune.intent import IntentClassifier

Floats = NDArray[np.floating]
Test = tuple[Sequence[str], Labels, Sequence[str]]  # texts, labels, out-of-scope texts
_TOO_FEW = 20  # messages held out below which figures would say nothing


def report_on(
    classifier: IntentClassifier,
    corpus: Corpus,
    taught: Taught,
    solved: Solved,
    held_out: Floats,
    test: Test | None,
    logits_of: Callable[[Sequence[str]], Floats],
    about: dict[str, Any],
) -> dict[str, Any]:
    """Return the report on a model; `logits_of` gives the exported model's logits `(n, labels)` of texts.

    `held_out` `(held, labels)` are those of the rows held out.
    """
    inside = len(corpus.texts) - corpus.outside
    kept, held = ([row for row in rows if row < inside] for rows in (corpus.kept, corpus.held))
    outside, held_outside = (
        [corpus.texts[row] for row in rows if row >= inside] for rows in (corpus.kept, corpus.held)
    )
    measured, outputs, learnt = None, None, kept
    if test is not None:
        if taught.settings.epochs == 0:  # in the end the head has learnt what was held out as well
            learnt = sorted([*kept, *held])
        measured, outputs = _tested(corpus, solved, test, logits_of)
    elif len(held) >= _TOO_FEW:
        measured = _messages(corpus, held, taught.base_vectors)
        outputs = _held_out(classifier, corpus, held_out)
    evidence = Evidence(
        name=str(about.get("desk", "an intent classifier")),
        training=_messages(corpus, learnt, taught.base_vectors),
        measured=measured,
        outputs=outputs,
        source="test" if test is not None else "held_out",
        solved=solved,
        max_wrong_answers=classifier.max_wrong_answers,
        max_turned_away=classifier.max_turned_away,
        held_out=len(held),
        base_sha256=BASE_SHA256,
        made_at=str(about.get("trained_at", datetime.now(timezone.utc).isoformat(timespec="seconds"))),
        out_of_scope=len(corpus.kept) - len(kept),
        sha256=content_hash(corpus.texts, [corpus.labels_of(row) for row in range(len(corpus.texts))]),
        leaks=corpus.leaks,
        outside=outside,
        measured_outside=list(test[2]) if test is not None else held_outside,
        contradictions=corpus.contradictions,
        history=asdict(taught.history),
        settings={"method": classifier.method, **asdict(taught.settings)},
        seconds=taught.seconds,
        interchangeable=tuple(classifier.interchangeable),
    )
    return make_report(evidence)


def _messages(corpus: Corpus, rows: list[int], vectors: Floats) -> LabelledMessages:
    return LabelledMessages([corpus.texts[row] for row in rows], _labels(corpus, rows), vectors[rows])


def _labels(corpus: Corpus, rows: list[int]) -> Labels:
    return [corpus.labels_of(row) if corpus.coding.several else corpus.labels_of(row)[0] for row in rows]


def _tested(
    corpus: Corpus, solved: Solved, test: Test, logits_of: Callable[[Sequence[str]], Floats]
) -> tuple[LabelledMessages, Outputs]:
    texts, labels, outside = test
    classes = len(corpus.coding.classes)
    logits = logits_of(texts)
    known = logits[:, :classes]
    outputs = Outputs(
        corpus.coding.classes,
        labels,
        to_probabilities(known, solved.temperature, corpus.coding.several),
        in_scope_score(logits, classes),
        solved.answer.threshold,
        solved.in_scope,
        raw=to_probabilities(known, 1.0, corpus.coding.several),
        outside_scores=in_scope_score(logits_of(outside), classes) if outside else None,
    )
    return LabelledMessages(texts, labels, encode(Encoder(load_base()), Tokens(MAX_TOKENS)(texts))), outputs


def _held_out(classifier: IntentClassifier, corpus: Corpus, everything: Floats) -> Outputs:
    """Return what was said about held-out messages, each half judged by what was solved on the other one."""
    classes, several = len(corpus.coding.classes), corpus.coding.several
    inside = np.array(corpus.held) < len(corpus.texts) - corpus.outside
    held = np.array(corpus.held)[inside].tolist()
    logits, targets = everything[inside], corpus.targets[held]
    targets = targets[:, :classes] if targets.ndim == 2 else targets
    scores = in_scope_score(logits, classes)
    known = logits[:, :classes]
    crossed = halves(known, targets, scores, classifier.limits(corpus.coding.classes))
    return Outputs(
        corpus.coding.classes,
        _labels(corpus, held),
        crossed.probabilities,
        scores,
        crossed.answer_threshold,
        crossed.in_scope_threshold,
        raw=to_probabilities(known, 1.0, several),
        outside_scores=in_scope_score(everything[~inside], classes) if corpus.outside else None,
    )
