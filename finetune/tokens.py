"""Texts as token numbers, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from finetune.base import base_folder
from retrieval.tokenizer import read_tokenizer

SEARCH_BATCH = 128  # rows a batch where nothing is learnt
_MASK = 103  # [MASK]
_MARKS = (101, 102)  # [CLS] and [SEP], of which each text has one


class Tokens:
    """The base's tokenizer, cutting texts (or pairs of texts, the second one first) at `max_tokens`."""

    def __init__(self, max_tokens: int) -> None:
        self._tokenizer = read_tokenizer(base_folder() / "tokenizer.json", max_tokens)

    def __call__(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> list[Tensor]:
        """Return for each text a tensor of token numbers `(T,)`, for each pair one of `(2, T)` with its segments."""
        encodings = self._tokenizer.encode_batch(list(texts))
        if texts and not isinstance(texts[0], str):
            return [torch.tensor([one.ids, one.type_ids]) for one in encodings]
        return [torch.tensor(one.ids) for one in encodings]


def pad(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return rows of different lengths `(..., T)` as one tensor `(B, ..., T)` and its mask `(B, T)`, 0 on padding."""
    longest = max(row.shape[-1] for row in rows)
    padded = torch.stack([torch.nn.functional.pad(row, (0, longest - row.shape[-1])) for row in rows])
    lengths = torch.tensor([row.shape[-1] for row in rows])
    return padded, (torch.arange(longest)[None, :] < lengths[:, None]).long()


def hide(padded: Tensor, mask: Tensor, share: float) -> Tensor:
    """Return token numbers `(B, T)` with a random share of the words masked, so that no single one is relied on."""
    words = (mask > 0) & ~torch.isin(padded, torch.tensor(_MARKS))
    return padded.masked_fill(words & (torch.rand(padded.shape) < share), _MASK)


def by_length(rows: Sequence[Tensor], size: int = SEARCH_BATCH) -> Iterator[list[int]]:
    """Yield all row numbers in batches of like length, shortest first."""
    order = sorted(range(len(rows)), key=lambda row: rows[row].shape[-1])
    return (order[start : start + size] for start in range(0, len(order), size))
