"""Teaching an answer network: wrong answers mined by retrieval, questions held out, then fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import BertModel
from transformers.models.bert.modeling_bert import BertSelfAttention

from finetune.base import load_base
from finetune.methods import LEARNING_RATES, Method, apply
from finetune.network import Encoder, encode
from finetune.pairs import HoldOut, Offer, Pairs, find_candidates, find_offers, hold_out
from finetune.ranking import AnswerLesson, AnswerNetwork, Quiz
from finetune.tokens import Tokens
from finetune.training import History, Progress, Settings, train

MAX_TOKENS = 128  # of question and answer together
_HELD_OUT = 1 / 8
_MOST_HELD_OUT = 120  # questions
_DEPTH = 50  # answers that wrong ones are drawn from
_SERVED_DEPTH = 10  # answers that retrieval gives to choose from when serving, and so for held-out questions
_STEPS = 110  # about as many as a desk takes in a minute on two cores
_BATCH = 8  # questions, with four answers each
_HEAD_LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class TaughtAnswers:
    """A trained network, what it was taught by, and what retrieval offers for the held-out questions.

    `quiz` are the questions it learnt from with their wrong answers; `vectors` `(questions, H)` and `answer_vectors`
    `(answers, H)` are unit vectors of the frozen encoder.
    """

    network: AnswerNetwork
    settings: Settings
    history: History
    split: HoldOut
    quiz: Quiz
    offers: list[Offer]
    vectors: NDArray[np.float32]
    answer_vectors: NDArray[np.float32]


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
    progress("Finding wrong answers", 0.0)
    encoder, tokens = Encoder(bert), Tokens(256)
    vectors, answer_vectors = encode(encoder, tokens(pairs.questions)), encode(encoder, tokens(pairs.answers))
    quiz, held, offers = _mine(pairs, split, vectors, answer_vectors)
    progress("Finding wrong answers", 1.0)
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
    lesson = AnswerLesson(network, Tokens(MAX_TOKENS), pairs, quiz, held)
    history = train(lesson, settings, progress, checkpoint)
    return TaughtAnswers(network, settings, history, split, quiz, offers, vectors, answer_vectors)


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


def _mine(
    pairs: Pairs, split: HoldOut, vectors: NDArray[np.float32], answers: NDArray[np.float32]
) -> tuple[Quiz, Quiz, list[Offer]]:
    """Return the questions to learn from and those held out, each with the wrong answers that retrieval finds.

    With them comes what retrieval offers for the held-out questions, a right answer or not. Answers that only held-out
    questions have are not seen in training, not even as wrong ones.
    """
    kept, held = list(split.kept), list(split.held)
    known = {answer for number in kept for answer in pairs.right[number]}
    unseen = {answer for number in held for answer in pairs.right[number]} - known
    taught = find_candidates(pairs, kept, vectors[kept], answers, _DEPTH, without=unseen)
    ranked = Quiz(held, find_candidates(pairs, held, vectors[held], answers, _SERVED_DEPTH))
    offers = find_offers(pairs, held, vectors[held], answers, _SERVED_DEPTH)
    return Quiz(kept, taught), ranked, offers
