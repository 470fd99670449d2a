"""From question-answer pairs to the model folder of an answer classifier: mined, taught, exported, calibrated."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from torch import nn
from transformers import BertModel
from transformers.models.bert.modeling_bert import BertSelfAttention

from finetune.answer import BATCH
from finetune.base import base_folder, load_base
from finetune.calibration import answer_threshold
from finetune.export import quantize, write_onnx
from finetune.methods import LEARNING_RATES, Method, apply, merge
from finetune.network import Encoder, encode
from finetune.pairs import HoldOut, Pairs, find_candidates, hold_out
from finetune.ranking import AnswerLesson, AnswerNetwork, Quiz, mean_average_precision
from finetune.tokens import Tokens
from finetune.training import History, Progress, Settings, train
from finetune.weights import WEIGHTS, save_weights
from retrieval.encoder import BASE_SHA256
from retrieval.model_folder import write_manifest
from retrieval.onnx_model import OnnxModel

MAX_TOKENS = 128  # of question and answer together
_HELD_OUT = 1 / 8
_MOST_HELD_OUT = 120  # questions
_DEPTH = 50  # answers that wrong ones are drawn from
_SERVED_DEPTH = 10  # answers that retrieval gives to choose from when serving, and so on held-out questions
_STEPS = 110  # about as many as a desk takes in a minute on two cores
_BATCH = 8  # questions, with four answers each
_HEAD_LEARNING_RATE = 1e-3
_IDS = torch.tensor([[101, 20, 37, 102, 64, 52, 102], [101, 75, 102, 81, 102, 0, 0]])
_SEGMENTS = torch.tensor([[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0]])


@dataclass(frozen=True)
class TaughtAnswers:
    """A trained network, what it was taught by, and the held-out questions with the answers to choose from."""

    network: AnswerNetwork
    settings: Settings
    history: History
    split: HoldOut
    held: Quiz


def teach(
    pairs: Pairs,
    method: Method,
    epochs: int | None,
    seed: int,
    tracker: str,
    progress: Progress,
    checkpoint: Path | None,
) -> TaughtAnswers:
    """Return a network taught on seven eighths of the questions, best as judged by the rest.

    Raises:
        ModelError: the base weights are missing or altered.
        ValueError: there are too few questions, or the checkpoint belongs to another training.
    """
    split = hold_out(pairs, _HELD_OUT, _MOST_HELD_OUT, seed)
    torch.manual_seed(seed)
    bert = load_base()
    taught, held = _mine(pairs, split, Encoder(bert), progress)
    if epochs is None:
        epochs = int(np.clip(round(_STEPS * _BATCH / len(split.kept)), 1, 10))
    new_answers = any(group is not None for group in pairs.groups)
    settings = Settings(
        epochs=epochs,
        # Answers that were never taught are judged better by an encoder that has moved less.
        learning_rate=LEARNING_RATES[method] / (2 if new_answers else 1),
        head_learning_rate=_HEAD_LEARNING_RATE,
        batch_size=_BATCH,
        averaging=0.98,
        seed=seed,
        tracker=tracker,
    )
    steps = epochs * -(-len(split.kept) // _BATCH)
    network = AnswerNetwork(_lighten(apply(bert, method, steps), half=method == "full" and not new_answers))
    lesson = AnswerLesson(network, Tokens(MAX_TOKENS), pairs, taught, held)
    return TaughtAnswers(network, settings, train(lesson, settings, progress, checkpoint), split, held)


def _lighten(bert: nn.Module, half: bool) -> nn.Module:
    """Return the encoder with less to compute while it learns: twice as fast together (EXPERIMENTS.md).

    Attention learns without dropout, which lets it compute plainly; with `half`, the lower half stays as it is.
    """
    for module in bert.modules():
        if isinstance(module, BertSelfAttention):
            module.dropout.p = 0.0
        if isinstance(module, BertModel):
            module.set_attn_implementation("eager")
            if half:
                module.embeddings.requires_grad_(False)
                module.encoder.layer[: len(module.encoder.layer) // 2].requires_grad_(False)
    return bert


def _mine(pairs: Pairs, split: HoldOut, encoder: Encoder, progress: Progress) -> tuple[Quiz, Quiz]:
    """Return the questions to learn from and those held out, each with the wrong answers that retrieval finds.

    Answers that only held-out questions have are not seen in training, not even as wrong ones.
    """
    progress("Finding wrong answers", 0.0)
    tokens = Tokens(256)
    vectors, answers = encode(encoder, tokens(pairs.questions)), encode(encoder, tokens(pairs.answers))
    progress("Finding wrong answers", 0.7)
    kept, held = list(split.kept), list(split.held)
    known = {answer for number in kept for answer in pairs.right[number]}
    unseen = {answer for number in held for answer in pairs.right[number]} - known
    taught = find_candidates(pairs, kept, vectors[kept], answers, _DEPTH, without=unseen)
    offered = find_candidates(pairs, held, vectors[held], answers, _SERVED_DEPTH)
    progress("Finding wrong answers", 1.0)
    return Quiz(kept, taught), Quiz(held, offered)


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
    export_answers(taught.network, folder)
    progress(what, 0.5)
    basics = {"kind": "answer", "method": method, "max_tokens": MAX_TOKENS, "base_sha256": BASE_SHA256}
    solved = solve(pairs, taught.held, OnnxModel(folder, basics, batch=BATCH), max_wrong)
    manifest = {
        **basics,
        **solved,
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


def export_answers(network: AnswerNetwork, folder: Path) -> None:
    """Write `model.onnx`, compared with torch and then reduced to 8-bit products, and the tokenizer."""
    network = _merged(network).cpu()
    inputs = {"input_ids": _IDS, "attention_mask": (_IDS > 0).long(), "token_type_ids": _SEGMENTS}
    dynamic = {name: {0: "batch", 1: "tokens"} for name in inputs}
    write_onnx(network, inputs, "logits", folder / "model.onnx", dynamic)
    quantize(folder / "model.onnx")
    shutil.copyfile(base_folder() / "tokenizer.json", folder / "tokenizer.json")


def solve(pairs: Pairs, held: Quiz, model: OnnxModel, max_wrong: float) -> dict[str, Any]:
    """Return calibration, threshold and figures from the held-out questions, judged by the model that will serve.

    Slope and offset turn a logit into the probability that the answer fits (Platt, 1999), over all answers that
    retrieval offers. The threshold is solved on the best answer of each question: that one would be said.
    """
    logits, right = judged(pairs, held, model)
    flat, fits = np.concatenate(logits), np.concatenate(right)
    slope, offset = _platt(flat, fits)
    best = [int(one.argmax()) for one in logits]
    sure = expit(slope * np.array([one[place] for one, place in zip(logits, best, strict=True)]) + offset)
    correct = np.array([one[place] for one, place in zip(right, best, strict=True)])
    answerable = [(one, own) for one, own in zip(logits, right, strict=True) if own.any()]
    return {
        "slope": slope,
        "offset": offset,
        "max_wrong": max_wrong,
        **asdict(answer_threshold(sure, correct, max_wrong)),
        "held_out_map": mean_average_precision(answerable),
        "held_out_first_right": float(np.mean([own[one.argmax()] for one, own in answerable])),
    }


def judged(pairs: Pairs, held: Quiz, model: OnnxModel) -> tuple[list[NDArray[np.float64]], list[NDArray[np.bool_]]]:
    """Return for each held-out question the logits of the answers to choose from, and which of them fit."""
    asked = held.choices(pairs)
    texts = [(pairs.questions[question], pairs.answers[one]) for question, own in asked for one in own]
    logits = model.run(texts)["logits"].astype(np.float64)
    edges = np.cumsum([len(own) for _, own in asked])[:-1]
    right = [np.isin(own, sorted(pairs.right[question])) for question, own in asked]
    return np.split(logits, edges), right


def _platt(logits: NDArray[np.floating], fits: Sequence[bool] | NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and offset of the logistic regression of `fits` `(n,)` on logits `(n,)`; the slope is above 0."""
    if len(np.unique(fits)) < 2:
        return 1.0, 0.0
    regression = LogisticRegression().fit(logits[:, None], np.asarray(fits))
    return max(float(regression.coef_[0, 0]), 1e-3), float(regression.intercept_[0])


def _merged(network: AnswerNetwork) -> AnswerNetwork:
    """Return the network for export, with what an adapter adds put into the weights it belongs to."""
    network.bert = merge(network.bert)
    return network
