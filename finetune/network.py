"""The network of an intent classifier: an encoder, and a head that may look back at the conversation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from finetune.tokens import by_length, pad
from finetune.training import mixed

MEMORY_TURNS = 8  # earlier messages of the conversation that a head looks back at
_HEADS = 4


class Memory(nn.Module):
    """Attention of a message over the vectors of earlier messages, each with how far back it lies.

    The attention over stored vectors follows Sukhbaatar et al., "End-To-End Memory Networks", NeurIPS 2015; the heads
    are those of Vaswani et al., 2017. A learnt "nothing" can be attended to as well, so that a first message works.
    """

    def __init__(self, dim: int, labels: int) -> None:
        super().__init__()
        self.scale = dim**0.5  # unit vectors, as large as attention expects them
        self.nothing = nn.Parameter(torch.zeros(1, dim))
        self.distance = nn.Parameter(torch.zeros(MEMORY_TURNS, dim))
        nn.init.normal_(self.distance, std=0.5)
        self.attention = nn.MultiheadAttention(dim, _HEADS, batch_first=True)
        self.mix = nn.Linear(2 * dim, dim)
        self.out = nn.Linear(dim, labels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, vector: Tensor, memory: Tensor, known: Tensor) -> Tensor:
        """Return what memory adds to the logits `(B, labels)`; vectors `(B, H)`, `(B, K, H)`, newest first.

        `known` `(B, K)` is 0 where there is no such turn.
        """
        vector, memory = vector * self.scale, memory * self.scale
        slots = torch.cat([memory + self.distance, self.nothing.expand(vector.shape[0], 1, -1)], dim=1)  # (B, K+1, H)
        blocked = torch.cat([known < 0.5, known[:, :1] > 2], dim=1)  # "nothing" is always there
        found, _ = self.attention(vector.unsqueeze(1), slots, slots, key_padding_mask=blocked, need_weights=False)
        mixed_in = nn.functional.gelu(self.mix(torch.cat([vector, found.squeeze(1)], dim=1)))
        added: Tensor = self.out(nn.functional.dropout(mixed_in, 0.1, self.training))
        return added


class Head(nn.Module):
    """A linear layer over a message's vector, plus what memory adds where there is one."""

    def __init__(self, dim: int, labels: int, memory: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, labels)
        self.memory = Memory(dim, labels) if memory else None

    def forward(self, vector: Tensor, memory: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        """Return logits `(B, labels)` for vectors `(B, H)` and, where the head has one, a memory `(B, K, H)`."""
        logits: Tensor = self.linear(vector)
        if self.memory is not None and memory is not None:
            logits = logits + self.memory(vector, memory, known)
        return logits


class Encoder(nn.Module):
    """A BERT whose tokens are averaged into a unit vector."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert
        self.dim = int(bert.config.hidden_size)  # type: ignore[union-attr, arg-type]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return unit vectors `(B, H)` for token ids and mask `(B, T)`."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).float()
        return nn.functional.normalize((hidden.float() * weights).sum(1) / weights.sum(1), dim=-1)


class IntentNetwork(nn.Module):
    """Encoder and head; in training, the messages of a batch are each other's memory."""

    def __init__(self, bert: nn.Module, labels: int, memory: bool = False) -> None:
        super().__init__()
        self.encoder = Encoder(bert)
        self.head = Head(self.encoder.dim, labels, memory)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, earlier: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits `(B, labels)` and vectors `(B, H)`.

        `earlier` `(B, K)` names the rows of this batch that came before each row, newest first, -1 for none.
        """
        vectors = self.encoder(input_ids, attention_mask)
        if earlier is None or self.head.memory is None:
            return self.head(vectors), vectors
        return self.head(vectors, vectors[earlier.clamp(min=0)], (earlier >= 0).float()), vectors

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that start from nothing and learn faster."""
        return list(self.head.linear.parameters())


@torch.no_grad()
def encode(encoder: Encoder, rows: Sequence[Tensor]) -> np.ndarray:
    """Return the vectors `(n, H)` of tokenized texts, computed where the encoder's weights are."""
    device = next(encoder.parameters()).device
    encoder.eval()
    vectors = np.zeros((len(rows), encoder.dim), dtype=np.float32)
    for batch in by_length(rows):
        tokens, mask = pad([rows[row] for row in batch])
        with mixed(device):
            vectors[batch] = encoder(tokens.to(device), mask.to(device)).float().cpu().numpy()
    return vectors
