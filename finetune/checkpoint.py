"""Checkpoints of a training under way: safetensors, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


def write_checkpoint(
    path: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], history: Mapping[str, Any]
) -> None:
    """Write the state of a training after an epoch; an older checkpoint is replaced once the new one is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    about = {"settings": json.dumps(dict(settings)), "history": json.dumps(dict(history))}
    write_tensors(draft, tensors, about)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(path)


def checkpoint_of_training(path: Path, number: int) -> Path:
    """Return where the state of one of several trainings is kept: of the first, 0, at the path, of others beside it."""
    return path.with_stem(f"{path.stem}-{number}") if number else path


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors.

    Raises:
        OSError: the disk is full or cannot be written to.
    """
    try:
        save_file({name: one.detach().contiguous() for name, one in tensors.items()}, path, dict(about or {}))
    except SafetensorError as error:  # what it raises in place of an OSError
        raise OSError(f"{path} cannot be written: {error}") from error


def read_checkpoint(path: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Copy a checkpoint's tensors into `tensors` and return its history.

    Raises:
        ValueError: the checkpoint is damaged, or belongs to another model or other settings.
    """
    remedy = f"Delete {path} to start anew."
    try:
        with safe_open(path, framework="pt") as file:
            about: dict[str, str] = file.metadata() or {}
            if json.loads(about["settings"]) != dict(settings) or set(file.keys()) != set(tensors):
                raise ValueError(f"{path} is the checkpoint of another training. {remedy}")
            kept = {name: file.get_tensor(name) for name in tensors}
        history: dict[str, Any] = json.loads(about["history"])
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}). {remedy}") from None
    with torch.no_grad():
        for name, tensor in tensors.items():
            if kept[name].shape != tensor.shape:
                raise ValueError(f"{path} is the checkpoint of another model. {remedy}")
            tensor.copy_(kept[name])
    return history
