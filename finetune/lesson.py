"""What an intent classifier is taught: labelled messages, alone or as the turns of conversations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor, nn

from finetune.head import remembered
from finetune.network import MEMORY_TURNS, IntentNetwork, encode
from finetune.probe import fit_probe, unseen_probabilities
from finetune.tokens import hide, pad
from finetune.training import mixed

Targets = NDArray[np.integer] | NDArray[np.floating]  # class numbers (n,), or 0 and 1 per class (n, classes)


_SMOOTHING = 0.05
_SECOND_OPINION = 0.3  # of a probe, in the targets
_HIDDEN = 0.1  # of a message's words, anew in each epoch


@dataclass(frozen=True)
class Messages:
    """Tokenized messages with their targets and, for each, which messages of its conversation came before it.

    `earlier` holds the rows of up to `MEMORY_TURNS` earlier messages, newest first.
    """

    tokens: Sequence[Tensor]
    targets: Tensor
    earlier: Sequence[Sequence[int]]
    conversations: Sequence[Sequence[int]]

    def only(self, rows: Sequence[int]) -> Messages:
        """Return some rows (ascending), without what came before them where that is not among the rows."""
        place = {row: number for number, row in enumerate(rows)}
        earlier = [[place[one] for one in self.earlier[row] if one in place] for row in rows]
        conversations = [[place[one] for one in members if one in place] for members in self.conversations]
        tokens = [self.tokens[row] for row in rows]
        return Messages(tokens, self.targets[list(rows)], earlier, [one for one in conversations if one])


def in_conversations(tokens: Sequence[Tensor], targets: Targets, conversations: Sequence[Hashable] | None) -> Messages:
    """Return messages with their conversations: rows of the same name are turns in order; None is a message alone."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for row in range(len(tokens)):
        name = conversations[row] if conversations is not None else None
        members[("alone", row) if name is None else name].append(row)
    earlier: list[Sequence[int]] = [()] * len(tokens)
    for rows in members.values():
        for place, row in enumerate(rows):
            earlier[row] = rows[:place][::-1][:MEMORY_TURNS]
    return Messages(tokens, torch.as_tensor(targets), earlier, list(members.values()))


class IntentLesson:
    """Teaches a network to tell intents; a row of the training loop is a conversation, most often of one message."""

    def __init__(
        self,
        model: IntentNetwork,
        taught: Messages,
        held: Messages,
        *,
        soft: Tensor | None = None,
        balanced: bool = False,
    ) -> None:
        """Teach the messages' own targets, or `soft` ones `(n, labels)` in their place.

        `balanced` makes up for labels that have more messages than others, where a message has one label (Menon et al.,
        ICLR 2021).
        """
        self.model = model
        self._targets = taught.targets if soft is None else soft
        self._single = taught.targets.ndim == 1
        self._taught, self._held = taught, held
        self._prior = _log_shares(taught.targets, model.head.linear.out_features) if balanced else None
        self.lengths = [max(len(taught.tokens[row]) for row in rows) for rows in taught.conversations]
        self.sizes = [len(rows) for rows in taught.conversations]

    @property
    def held(self) -> int:
        """How many messages are held out."""
        return len(self._held.tokens)

    def loss(self, model: nn.Module, rows: Sequence[int]) -> Tensor:
        """Return the loss of conversations: cross-entropy, or binary cross-entropy where a message may want several."""
        device = next(self.model.parameters()).device
        messages = [message for row in rows for message in self._taught.conversations[row]]
        place_of = {message: place for place, message in enumerate(messages)}
        earlier = torch.full((len(messages), MEMORY_TURNS), -1)
        for place, message in enumerate(messages):
            before = [place_of[one] for one in self._taught.earlier[message]]
            earlier[place, : len(before)] = torch.tensor(before, dtype=torch.long)
        tokens, mask = pad([self._taught.tokens[message] for message in messages])
        tokens = hide(tokens, mask, _HIDDEN)
        with mixed(device):
            logits, _ = model(tokens.to(device), mask.to(device), earlier.to(device))
        return self._loss(logits.float(), self._targets[messages].to(device))

    def _loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self._prior is not None:
            logits = logits + self._prior.to(logits.device)
        if self._single:
            return nn.functional.cross_entropy(logits, targets, label_smoothing=_SMOOTHING)
        smooth = targets * (1 - _SMOOTHING) + _SMOOTHING * targets.mean()
        loss: Tensor = nn.functional.binary_cross_entropy_with_logits(logits, smooth) * logits.shape[1] ** 0.5
        return loss

    def score(self) -> float:
        """Return the share of held-out messages that are understood, less a hundredth of their loss.

        So what is understood equally well but more surely counts as better.
        """
        logits, _ = outputs(self.model, self._held)
        targets = self._held.targets.numpy()
        if targets.ndim == 1:
            right = logits.argmax(axis=1) == targets
            loss = -log_softmax(logits, axis=1)[np.arange(len(targets)), targets].mean()
        else:
            right = ((logits > 0) == (targets > 0.5)).all(axis=1)
            loss = np.logaddexp(0, np.where(targets > 0.5, -logits, logits)).mean()
        return float(right.mean() - loss / 100)


def _log_shares(targets: Tensor, labels: int) -> Tensor:
    """Return the logarithm of each label's share of the messages `(labels,)`."""
    counts = torch.bincount(targets, minlength=labels).float()
    return torch.log((counts + 1) / (counts.sum() + labels))


@torch.no_grad()
def outputs(model: IntentNetwork, messages: Messages) -> tuple[np.ndarray, np.ndarray]:
    """Return logits `(n, labels)` and vectors `(n, H)` of messages in their conversations."""
    vectors = encode(model.encoder, messages.tokens)
    return run_head(model, vectors, messages.earlier), vectors


@torch.no_grad()
def run_head(model: IntentNetwork, vectors: np.ndarray, earlier: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the logits `(n, labels)` of encoded messages `(n, H)`, each with the rows that came before it."""
    device = next(model.parameters()).device
    memory, known = remembered([vectors[list(rows)] for rows in earlier], MEMORY_TURNS, vectors.shape[1])
    parts = []
    for start in range(0, len(vectors), 1024):
        rows = slice(start, start + 1024)
        inputs = (torch.from_numpy(one[rows]).to(device) for one in (vectors, memory, known))
        parts.append(model.head(*inputs).float().cpu().numpy())
    return np.concatenate(parts)


def probe(model: IntentNetwork, vectors: np.ndarray, targets: Targets) -> None:
    """Set the head's linear layer to the logistic regression over vectors `(n, H)` of the encoder as it is.

    Starting there keeps the features of the base intact where the data is small (Kumar et al., "Fine-Tuning can Distort
    Pretrained Features and Underperform Out-of-Distribution", ICLR 2022).
    """
    linear = model.head.linear
    with torch.no_grad():
        if targets.ndim == 1:
            found = fit_probe(vectors, targets.astype(np.int64))
            linear.weight[found.classes] = torch.from_numpy(found.weights).float()
            linear.bias[found.classes] = torch.from_numpy(found.biases).float()
            return
        for label in range(targets.shape[1]):
            wanted = (targets[:, label] > 0.5).astype(np.int64)
            if 0 < wanted.sum() < len(wanted):
                found = fit_probe(vectors, wanted)
                linear.weight[label] = torch.from_numpy(found.weights[1] - found.weights[0]).float()
                linear.bias[label] = float(found.biases[1] - found.biases[0])


def soften(messages: Messages, vectors: np.ndarray, width: int, seed: int) -> Tensor:
    """Return targets `(n, width)` that mix each message's label with what a probe says that has not seen the message.

    Where many annotators label, some labels are wrong; the second opinion keeps them from being learnt by heart. It is
    the distillation of Hinton et al., 2015, with the probe as teacher. A turn that has others before it is left alone:
    the probe does not know them.
    """
    targets = messages.targets.numpy()
    opinions = unseen_probabilities(vectors, targets, width, seed)
    share = np.array([0.0 if before else _SECOND_OPINION for before in messages.earlier])[:, None]
    mixed_targets = (1 - share) * np.eye(width)[targets] + share * opinions
    return torch.from_numpy(mixed_targets).float()
