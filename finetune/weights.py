"""What a model has learnt, as safetensors: only what differs from the pinned base, put back onto it by name."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from finetune.checkpoint import write_tensors
from retrieval.model_folder import ModelError

WEIGHTS = "weights.safetensors"


def save_weights(model: nn.Module, folder: Path) -> int:
    """Write the parameters that learnt, and return how many numbers they are.

    Raises:
        OSError: the disk is full or cannot be written to.
    """
    learnt = {name: one for name, one in model.named_parameters() if one.requires_grad}
    write_tensors(folder / WEIGHTS, learnt)
    return sum(one.numel() for one in learnt.values())


def load_weights(model: nn.Module, folder: Path) -> None:
    """Put what a model has learnt onto a model of the same make.

    Raises:
        ModelError: the file holds other parameters than the model has.
    """
    learnt = load_file(folder / WEIGHTS)
    own = {name: one for name, one in model.named_parameters() if one.requires_grad}
    if set(learnt) != set(own) or any(learnt[name].shape != own[name].shape for name in own):
        raise ModelError(f"{folder / WEIGHTS} was learnt by another kind of model. Train again.")
    with torch.no_grad():
        for name, one in own.items():
            one.copy_(learnt[name])
