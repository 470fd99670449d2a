"""Contrastive pre-fitting: messages of one label are drawn together, those of others pushed apart.

For few labels, before the head learns: the idea of Tunstall et al., "Efficient Few-Shot Learning Without Prompts"
(SetFit), 2022, with the loss of Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, over batches in which
each label stands twice. What was learnt is then taken halfway back to where it started, which keeps what the base knows
about messages that few examples cannot show: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
"""

from __future__ import annotations

import random
from collections import defaultdict

import torch
from torch import Tensor, nn

from finetune.lesson import Messages
from finetune.network import Encoder
from finetune.tokens import by_length, pad
from finetune.training import Progress, Settings, mixed

STEPS = 60
_LABELS = 96  # labels a batch
_ROWS = 40  # messages that are encoded together
_TEMPERATURE = 0.05
_BACK = 0.5  # of the way to where it started


def prefit(encoder: Encoder, messages: Messages, settings: Settings, progress: Progress) -> None:
    """Teach an encoder which messages belong together; it is left in evaluation mode."""
    rng = random.Random(settings.seed)  # noqa: S311 (no secret)
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(_one_label(messages.targets)):
        rows_of[label].append(row)
    learning: list[Tensor] = [one for one in encoder.parameters() if one.requires_grad]
    start = [one.detach().clone() for one in learning]
    optimizer = torch.optim.AdamW(learning, lr=settings.learning_rate / 2, weight_decay=settings.weight_decay)
    warm = STEPS // 10
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (STEPS - step) / (STEPS - warm))
    )
    encoder.eval()  # without dropout: there are few steps, and the way back is what keeps it from overfitting
    for step in range(STEPS):
        labels = rng.sample(sorted(rows_of), min(_LABELS, len(rows_of)))
        twice = [(row, label) for label in labels for row in rng.sample(rows_of[label], min(2, len(rows_of[label])))]
        progress("Sorting messages", (step + 1) / STEPS)
        if len(twice) == len(labels):
            continue  # no two of them belong together
        vectors, order = _encode(encoder, [messages.tokens[row] for row, _ in twice])
        loss = contrastive_loss(vectors, torch.tensor([twice[place][1] for place in order]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        torch._foreach_lerp_(learning, start, _BACK)


def contrastive_loss(vectors: Tensor, labels: Tensor) -> Tensor:
    """Return the supervised contrastive loss of unit vectors `(B, H)` with labels `(B,)`."""
    itself = torch.eye(len(labels), dtype=torch.bool, device=vectors.device)
    labels = labels.to(vectors.device)
    alike = (labels[:, None] == labels[None, :]) & ~itself
    closeness = (vectors @ vectors.T / _TEMPERATURE).masked_fill(itself, -1e9)
    log_share = closeness - torch.logsumexp(closeness, dim=1, keepdim=True)
    counted = alike.any(dim=1)
    loss: Tensor = -((log_share * alike).sum(1)[counted] / alike.sum(1)[counted]).mean()
    return loss


def _encode(encoder: Encoder, tokens: list[Tensor]) -> tuple[Tensor, list[int]]:
    """Return the vectors `(B, H)` of tokenized messages, shortest first, and which message each belongs to."""
    device = next(encoder.parameters()).device
    vectors, order = [], []
    for rows in by_length(tokens, _ROWS):
        padded, mask = pad([tokens[row] for row in rows])
        with mixed(device):
            vectors.append(encoder(padded.to(device), mask.to(device)))
        order += rows
    return torch.cat(vectors), order


def _one_label(targets: Tensor) -> list[int]:
    """Return one label a message: its own, or the set of them as a number where there may be several."""
    if targets.ndim == 1:
        return [int(label) for label in targets]
    sets: dict[tuple[int, ...], int] = {}
    return [sets.setdefault(tuple(row.nonzero().flatten().tolist()), len(sets)) for row in targets]
