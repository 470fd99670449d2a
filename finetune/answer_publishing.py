"""From a trained answer network to a model folder: exported, calibrated, its threshold solved, the report written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from finetune.answer import BATCH
from finetune.answer_calibration import Judged, solve
from finetune.answer_report import make_answer_report
from finetune.answer_teaching import MAX_TOKENS, TaughtAnswers
from finetune.export import export_answers
from finetune.methods import Method
from finetune.pairs import Offer, Pairs
from finetune.report import write_report
from finetune.tokens import Tokens
from finetune.training import Progress
from finetune.weights import WEIGHTS, save_weights
from retrieval.encoder import BASE_SHA256
from retrieval.model_folder import write_manifest
from retrieval.onnx_model import OnnxModel


def publish(
    folder: Path,
    pairs: Pairs,
    taught: TaughtAnswers,
    method: Method,
    max_wrong: float,
    about: dict[str, Any],
    progress: Progress,
) -> None:
    """Write everything that makes a model folder into a folder that nobody sees yet."""
    what = "Measuring and exporting"
    progress(what, 0.0)
    folder.mkdir(parents=True)
    learnt = save_weights(taught.network, folder)
    export_answers(taught.network, folder, _pairs_taught(pairs, taught))
    progress(what, 0.5)
    basics = {"kind": "answer", "method": method, "max_tokens": MAX_TOKENS, "base_sha256": BASE_SHA256}
    judged = judge_held_out(pairs, taught.offers, OnnxModel(folder, basics, batch=BATCH))
    solved = solve(judged, max_wrong)
    report = make_answer_report(pairs, taught, judged, solved, max_wrong, method, about)
    write_report(folder, report, "answer")
    manifest = {
        **basics,
        "slope": solved.slope,
        "offset": solved.offset,
        "max_wrong": max_wrong,
        **asdict(solved.answer),
        "held_out_map": report["figures"]["map"],
        "held_out_first_right": report["figures"]["first_right"],
        "parameters_learnt": learnt,
        "learnt_bytes": (folder / WEIGHTS).stat().st_size,
        "settings": asdict(taught.settings),
        "history": asdict(taught.history),
        "questions": len(pairs.questions),
        "answers": len(pairs.answers),
        "leaks": taught.split.leaks,
    }
    write_manifest(folder, {**manifest, **about})
    progress(what, 1.0)


def _pairs_taught(pairs: Pairs, taught: TaughtAnswers) -> list[Tensor]:
    """Return the questions that were learnt from with a right answer and a wrong one, tokenized."""
    asked = [(question, own) for question, every in taught.quiz.choices(pairs) for own in {*every[:1], *every[-1:]}]
    return Tokens(MAX_TOKENS)([(pairs.questions[question], pairs.answers[own]) for question, own in asked])


def judge_held_out(pairs: Pairs, offers: Sequence[Offer], model: OnnxModel) -> Judged:
    """Return what the model that will serve says of what retrieval offers for the held-out questions.

    It also reads the right answers that retrieval does not offer.
    """
    read = [list(dict.fromkeys([*offer.answers, *sorted(pairs.right[offer.question])])) for offer in offers]
    texts = [
        (pairs.questions[offer.question], pairs.answers[one])
        for offer, ones in zip(offers, read, strict=True)
        for one in ones
    ]
    edges = np.cumsum([len(ones) for ones in read])[:-1]
    logits = np.split(model.run(texts)["logits"].astype(np.float64), edges)
    own = [
        row[np.isin(ones, sorted(pairs.right[offer.question]))].max(initial=-np.inf)
        for offer, ones, row in zip(offers, read, logits, strict=True)
    ]
    offered = [row[: len(offer.answers)] for offer, row in zip(offers, logits, strict=True)]
    right = [np.isin(offer.answers, sorted(pairs.right[offer.question])) for offer in offers]
    answerable = np.array([bool(pairs.right[offer.question]) for offer in offers])
    return Judged(offered, right, [offer.scores for offer in offers], answerable, np.array(own))
