"""Fine-tuning: a linear probe on the frozen base first, then its upper layers together with the head.

Starting from a probe keeps the features of the base intact where the data is small (LP-FT: Kumar et al., "Fine-Tuning
can Distort Pretrained Features and Underperform Out-of-Distribution", ICLR 2022). The lower layers are not trained, so
each message passes through them once, not once an epoch, which halves the time on a CPU. Messages of like length share
a batch, so that little is spent on padding.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertModel

Progress = Callable[[str, float], None]  # what is being done, and how much of it (0 to 1)


@dataclass(frozen=True)
class Settings:
    """How a classifier is trained; the defaults suit 300 to 5,000 short messages."""

    epochs: int = 2
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-2
    batch_size: int = 32
    label_smoothing: float = 0.05
    frozen_layers: int = 3
    max_tokens: int = 96
    seed: int = 0


class Classifier(nn.Module):
    """A BERT whose tokens are averaged into a unit vector, and a linear layer over it."""

    def __init__(self, bert: BertModel, labels: int) -> None:
        super().__init__()
        self.bert = bert
        self.head = nn.Linear(bert.config.hidden_size, labels)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits of shape `(B, labels)` for token ids and mask of shape `(B, T)`."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits: Tensor = self.head(pool(hidden, attention_mask))
        return logits


def pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the unit-length mean of the tokens that are not padding: `(B, T, H)`, `(B, T)` to `(B, H)`."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)


def train(
    bert: BertModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    targets: Sequence[int],
    settings: Settings,
    progress: Progress = lambda _what, _share: None,
) -> Classifier:
    """Return a classifier trained on texts whose targets are `0 .. labels-1`, in evaluation mode."""
    torch.manual_seed(settings.seed)
    model = Classifier(bert, max(targets) + 1)
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings.max_tokens)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    lower = _through_lower_layers(model, ids, settings.frozen_layers, progress)
    upper = bert.encoder.layer[settings.frozen_layers :]
    _probe(model, upper, lower, targets)
    _fine_tune(model, upper, lower, torch.tensor(targets), settings, progress)
    return model.eval()


@torch.no_grad()
def logits(model: Classifier, tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """Return the logits of texts, of shape `(n, labels)`."""
    encodings = tokenizer.encode_batch(list(texts))
    rows = np.zeros((len(texts), model.head.out_features), dtype=np.float32)
    for batch in _by_length([len(encoding.ids) for encoding in encodings], 64):
        tokens, mask = _pad([torch.tensor(encodings[row].ids) for row in batch])
        rows[batch] = model(tokens, mask).numpy()
    return rows


@torch.no_grad()
def _through_lower_layers(
    model: Classifier, ids: Sequence[Sequence[int]], layers: int, progress: Progress
) -> list[Tensor]:
    """Return each message's hidden states `(T, H)` as the first trained layer will see them."""
    model.eval()
    states: list[Tensor] = [torch.empty(0)] * len(ids)
    done = 0
    for batch in _by_length([len(one) for one in ids], 64):
        tokens, mask = _pad([torch.tensor(ids[row]) for row in batch])
        hidden = _run(model.bert.encoder.layer[:layers], model.bert.embeddings(input_ids=tokens), mask)
        for place, row in enumerate(batch):
            states[row] = hidden[place, : len(ids[row])].clone()
        done += len(batch)
        progress("Reading messages", done / len(ids))
    return states


@torch.no_grad()
def _probe(model: Classifier, upper: nn.ModuleList, lower: Sequence[Tensor], targets: Sequence[int]) -> None:
    """Set the head to the logistic regression over the frozen base's vectors."""
    vectors = np.zeros((len(lower), model.head.in_features), dtype=np.float32)
    for batch in _by_length([len(state) for state in lower], 64):
        hidden, mask = _pad([lower[row] for row in batch])
        vectors[batch] = pool(_run(upper, hidden, mask), mask).numpy()
    regression = LogisticRegression(C=10, max_iter=200).fit(vectors, targets)
    weights, bias = regression.coef_, regression.intercept_
    if len(weights) == 1:  # scikit-learn keeps one row for two classes
        weights, bias = np.concatenate([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    model.head.weight.copy_(torch.from_numpy(weights))
    model.head.bias.copy_(torch.from_numpy(bias))


def _fine_tune(
    model: Classifier,
    upper: nn.ModuleList,
    lower: Sequence[Tensor],
    targets: Tensor,
    settings: Settings,
    progress: Progress,
) -> None:
    rng = random.Random(settings.seed)  # noqa: S311 (no secret)
    groups = [
        {"params": list(upper.parameters()), "lr": settings.learning_rate},
        {"params": list(model.head.parameters()), "lr": settings.head_learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    steps = settings.epochs * -(-len(lower) // settings.batch_size)
    warm_up = max(steps // 10, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (steps - step) / steps)
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
    model.train()
    done = 0
    for _ in range(settings.epochs):
        for batch in _shuffled(lower, settings.batch_size, rng):
            hidden, mask = _pad([lower[row] for row in batch])
            loss = loss_of(model.head(pool(_run(upper, hidden, mask), mask)), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(upper.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            done += 1
            progress("Fine-tuning", done / steps)


def _run(layers: nn.ModuleList, hidden: Tensor, mask: Tensor) -> Tensor:
    """Return `(B, T, H)` hidden states after BERT layers; `mask` `(B, T)` is 0 on padding."""
    blocked = (1.0 - mask[:, None, None, :].to(hidden.dtype)) * torch.finfo(hidden.dtype).min
    for layer in layers:
        output = layer(hidden, blocked)
        hidden = output[0] if isinstance(output, tuple) else output
    return hidden


def _pad(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return rows of different lengths as one tensor `(B, T, ...)` and its mask `(B, T)`."""
    padded = nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return padded, (torch.arange(padded.shape[1])[None, :] < lengths[:, None]).long()


def _by_length(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    return (order[start : start + size] for start in range(0, len(order), size))


def _shuffled(rows: Sequence[Tensor], size: int, rng: random.Random) -> list[list[int]]:
    """Return all rows once in batches of like length: shuffled, sorted by stretches of 20 batches, shuffled again."""
    order = rng.sample(range(len(rows)), len(rows))
    batches = []
    for start in range(0, len(order), size * 20):
        stretch = sorted(order[start : start + size * 20], key=lambda row: len(rows[row]))
        batches += [stretch[place : place + size] for place in range(0, len(stretch), size)]
    rng.shuffle(batches)
    return batches
