"""Contrastive pre-fitting: messages of one label are drawn together, those of others pushed apart.

For few labels, before the head learns: the idea of Tunstall et al., "Efficient Few-Shot Learning Without Prompts"
(SetFit), 2022, with the loss of Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020, over batches in which
each label stands twice.
"""

from __future__ import annotations

import random
from collections import defaultdict

import torch
from torch import Tensor, nn

from finetune.lesson import Messages
from finetune.network import Encoder
from finetune.tokens import pad
from finetune.training import Progress, Settings, mixed

STEPS = 150
_LABELS = 32  # labels a batch
_TEMPERATURE = 0.05


def prefit(encoder: Encoder, messages: Messages, settings: Settings, progress: Progress) -> None:
    """Teach an encoder which messages belong together."""
    rng = random.Random(settings.seed)  # noqa: S311 (no secret)
    torch.manual_seed(settings.seed)
    device = next(encoder.parameters()).device
    rows_of: dict[int, list[int]] = defaultdict(list)
    for row, label in enumerate(_one_label(messages.targets)):
        rows_of[label].append(row)
    learning = [one for one in encoder.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=settings.learning_rate / 2, weight_decay=settings.weight_decay)
    warm = STEPS // 10
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (STEPS - step) / (STEPS - warm))
    )
    encoder.train()
    for step in range(STEPS):
        labels = rng.sample(sorted(rows_of), min(_LABELS, len(rows_of)))
        batch = [row for label in labels for row in rng.sample(rows_of[label], min(2, len(rows_of[label])))]
        tokens, mask = pad([messages.tokens[row] for row in batch])
        with mixed(device):
            vectors = encoder(tokens.to(device), mask.to(device))
        loss = contrastive_loss(vectors, torch.tensor([label for label in labels for _ in rows_of[label][:2]]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
        progress("Sorting messages", (step + 1) / STEPS)


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


def _one_label(targets: Tensor) -> list[int]:
    """Return one label a message: its own, or the set of them as a number where there may be several."""
    if targets.ndim == 1:
        return [int(label) for label in targets]
    sets: dict[tuple[int, ...], int] = {}
    return [sets.setdefault(tuple(row.nonzero().flatten().tolist()), len(sets)) for row in targets]
