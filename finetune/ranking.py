"""The network of an answer classifier, which reads a question and an answer together, and how it is taught to rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finetune.pairs import Pairs
from finetune.tokens import by_length, pad
from finetune.training import mixed

WRONG_A_QUESTION = 3  # hard negatives drawn for each question, anew in each epoch
_SHARPNESS = 10.0  # what a cosine of 1 between the two halves counts in the untaught network

Tokenize = Callable[[Sequence[tuple[str, str]]], list[Tensor]]  # pairs to token numbers and segments, each (2, T)


class AnswerNetwork(nn.Module):
    """A BERT over question and answer, and a linear layer over the product of the two halves' mean vectors.

    Both halves see each other in every layer (a cross-encoder: Nogueira and Cho, 2019). The linear layer begins as
    their cosine, so that the network starts from what the base knows about closeness instead of from nothing.
    """

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert
        # Learnt prefixes leave no room for segments; the halves are then told apart by the separator alone.
        self.has_segments = not getattr(getattr(bert, "active_peft_config", None), "is_prompt_learning", False)
        self.linear = nn.Linear(int(bert.config.hidden_size), 1)  # type: ignore[union-attr, arg-type]
        nn.init.constant_(self.linear.weight, _SHARPNESS / self.linear.in_features)
        nn.init.constant_(self.linear.bias, -_SHARPNESS / 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Return logits `(B,)` of pairs whose answers have segment 1; all inputs are `(B, T)`."""
        segments = {"token_type_ids": token_type_ids} if self.has_segments else {}
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask, **segments).last_hidden_state.float()
        question = _mean(hidden, attention_mask * (1 - token_type_ids))
        answer = _mean(hidden, attention_mask * token_type_ids)
        logits: Tensor = self.linear(question * answer * self.linear.in_features).squeeze(1)
        return logits

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that learn faster."""
        return list(self.linear.parameters())


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the unit vectors `(B, H)` of the marked tokens' mean."""
    weights = mask.unsqueeze(-1).float()
    return nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1).clamp(min=1), dim=-1)


@dataclass(frozen=True)
class Quiz:
    """Questions by number, and for each the numbers of wrong answers that it might be given."""

    questions: Sequence[int]
    wrong: Sequence[Sequence[int]]

    def choices(self, pairs: Pairs) -> list[tuple[int, list[int]]]:
        """Return each question with its right answers, then its wrong ones."""
        return [
            (question, [*sorted(pairs.right[question]), *wrong])
            for question, wrong in zip(self.questions, self.wrong, strict=True)
        ]


class AnswerLesson:
    """Teaches a network to put a right answer above hard negatives; a row of the training loop is a question."""

    def __init__(self, model: AnswerNetwork, tokenize: Tokenize, pairs: Pairs, taught: Quiz, held: Quiz) -> None:
        """Questions that have no wrong answer are passed over."""
        self.model = model
        self._tokenize, self._pairs, self._held = tokenize, pairs, held
        self._rows = [
            (question, sorted(pairs.right[question]), wrong)
            for question, wrong in zip(taught.questions, taught.wrong, strict=True)
            if wrong
        ]
        lengths = [one.shape[-1] for one in tokenize([("", answer) for answer in pairs.answers])]
        self.lengths = [max(lengths[answer] for answer in [*right, *wrong]) for _, right, wrong in self._rows]
        self.sizes = [1] * len(self._rows)

    def loss(self, model: nn.Module, rows: Sequence[int]) -> Tensor:
        """Return the cross-entropy of a softmax over one right answer, hard negatives, and "none" as a logit of 0.

        "None" is what questions without an answer are taught; it gives a logit the same meaning for every question.
        """
        asked = [(self._rows[row][0], self._draw(row)) for row in rows]
        pairs = [(self._pairs.questions[question], self._pairs.answers[one]) for question, own in asked for one in own]
        tokens = self._tokenize(pairs)
        halves = list(by_length(tokens, -(-len(tokens) // 2)))  # short pairs by themselves: less is spent on padding
        parts = [read(model, [tokens[place] for place in half], _device(self.model)) for half in halves]
        order = torch.tensor([place for half in halves for place in half]).argsort().to(parts[0].device)
        logits = torch.cat(parts)[order].view(len(rows), -1)  # (B, 1 + wrong)
        targets = [0 if self._rows[row][1] else WRONG_A_QUESTION + 1 for row in rows]
        with_none = nn.functional.pad(logits, (0, 1))
        return nn.functional.cross_entropy(with_none, torch.tensor(targets, device=logits.device))

    def _draw(self, row: int) -> list[int]:
        """Return a right answer of a question, where it has one, and wrong ones: 1 + `WRONG_A_QUESTION` together."""
        _, right, wrong = self._rows[row]
        first = [right[int(torch.randint(len(right), ()))]] if right else []
        needed = WRONG_A_QUESTION + 1 - len(first)
        order = torch.randperm(len(wrong)).tolist() * (1 + needed // len(wrong))
        return first + [wrong[place] for place in order[:needed]]

    @property
    def held(self) -> int:
        """How many questions are held out."""
        return len(self._held.questions)

    def score(self) -> float:
        """Return the mean average precision over the held-out questions that have an answer."""
        asked = self._held.choices(self._pairs)
        texts = [(self._pairs.questions[question], self._pairs.answers[one]) for question, own in asked for one in own]
        logits = np.split(judge(self.model, self._tokenize(texts)), np.cumsum([len(own) for _, own in asked])[:-1])
        counts = [len(self._pairs.right[question]) for question, _ in asked]
        return mean_average_precision(
            [(one, np.arange(len(one)) < count) for one, count in zip(logits, counts, strict=True) if count]
        )


def read(model: nn.Module, tokens: Sequence[Tensor], device: torch.device) -> Tensor:
    """Return the logits `(n,)` of tokenized pairs, each `(2, T)`."""
    padded, mask = pad(tokens)
    padded = padded.to(device)
    with mixed(device):
        logits: Tensor = model(padded[:, 0], mask.to(device), padded[:, 1])
    return logits.float()


@torch.no_grad()
def judge(model: AnswerNetwork, tokens: Sequence[Tensor]) -> NDArray[np.float32]:
    """Return the logits `(n,)` of tokenized pairs, computed where the network's weights are."""
    model.eval()
    logits = np.zeros(len(tokens), dtype=np.float32)
    for batch in by_length(tokens):
        logits[batch] = read(model, [tokens[row] for row in batch], _device(model)).cpu().numpy()
    return logits


def mean_average_precision(ranked: Sequence[tuple[NDArray[np.floating], NDArray[np.bool_]]]) -> float:
    """Return the mean over questions of average precision, for scores `(n,)` and whether each answer is right `(n,)`.

    A right answer that scores like a wrong one counts as below it. A question without a right answer counts as 0.
    """
    precisions = []
    for scores, right in ranked:
        order = np.lexsort((right, -scores))
        places = np.flatnonzero(right[order]) + 1
        precisions.append(float(np.mean(np.arange(1, len(places) + 1) / places)) if len(places) else 0.0)
    return float(np.mean(precisions)) if precisions else 0.0


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
