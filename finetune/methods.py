"""Ways to fine-tune the encoder, by name: which of its parameters learn, and what is added to it.

full      all of it but the word vectors: Devlin et al., "BERT", NAACL 2019
lora      low-rank additions to each linear layer: Hu et al., ICLR 2022 (PEFT)
adalora   the same, with the ranks moved to where they help most: Zhang et al., ICLR 2023 (PEFT)
prefix    learnt keys and values before each layer's own: Li and Liang, ACL 2021 (PEFT)
adapter   a bottleneck after each sub-layer: Houlsby et al., ICML 2019
head      nothing: the encoder stays as it is, only what stands on it learns
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal, cast, get_args

import torch
from torch import Tensor, nn
from transformers import BertModel

if TYPE_CHECKING:
    from peft import AdaLoraConfig, AdaLoraModel

Method = Literal["full", "lora", "adalora", "prefix", "adapter", "head"]
METHODS: tuple[Method, ...] = get_args(Method)

LEARNING_RATES: dict[Method, float] = {
    "full": 2e-4,
    "lora": 2e-3,
    "adalora": 2e-3,
    "prefix": 1e-2,
    "adapter": 1e-3,
    "head": 0.0,
}
_LINEAR = ["query", "key", "value", "dense"]
_RANK = 24  # 4.4% of the base's parameters
_PREFIX_TOKENS = 16
_BOTTLENECK = 48


class Adapter(nn.Module):
    """A sub-layer's output projection, followed by a bottleneck with a bypass; it starts as the identity."""

    def __init__(self, dense: nn.Linear) -> None:
        super().__init__()
        self.dense = dense
        self.down = nn.Linear(dense.out_features, _BOTTLENECK)
        self.up = nn.Linear(_BOTTLENECK, dense.out_features)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return `(B, T, H)` hidden states for the sub-layer's `(B, T, I)`."""
        hidden = self.dense(hidden)
        added: Tensor = self.up(nn.functional.gelu(self.down(hidden)))
        return hidden + added


class Ranks:
    """The ranks of `adalora`, which PEFT moves after each step by how much each has mattered so far."""

    def __init__(self, adalora: AdaLoraModel) -> None:
        self._adalora = adalora
        self._allocator = adalora.rankallocator
        self._parts = {name: one for name, one in adalora.model.named_parameters() if "lora_" in name}

    @classmethod
    def of(cls, model: nn.Module) -> Ranks | None:
        """Return those of a model, None where it is taught by another method."""
        found = (cast("AdaLoraModel", module) for module in model.modules() if "rankallocator" in vars(module))
        return next((cls(adalora) for adalora in found), None)

    def move(self, steps_done: int) -> None:
        """Move them after a step of the optimizer."""
        self._adalora.update_and_allocate(steps_done)  # type: ignore[no-untyped-call]

    def tensors(self) -> dict[str, Tensor]:
        """Return what PEFT moves them by, by name; made on the spot where it is not there yet."""
        kinds = ("ipt", "exp_avg_ipt", "exp_avg_unc")
        return {
            f"ranks/{name}/{kind}": getattr(self._allocator, kind).setdefault(name, torch.zeros_like(one))
            for kind in kinds
            for name, one in self._parts.items()
        }

    def resume(self) -> None:
        """Take what is 0 for what was taken away: PEFT keeps it so from then on."""
        config = cast("AdaLoraConfig", self._adalora.peft_config[self._adalora.trainable_adapter_name])
        config.rank_pattern = {
            name: (one != 0).flatten().tolist() for name, one in self._parts.items() if "lora_E" in name
        }


def apply(bert: BertModel, method: Method, steps: int = 1) -> nn.Module:
    """Return the encoder with what the method adds; exactly what learns requires gradients.

    `steps` is how many optimizer steps will be taken, which `adalora` plans its ranks by.

    Raises:
        ValueError: there is no method of that name.
    """
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; use one of {', '.join(METHODS)}")
    bert.requires_grad_(method == "full")
    # Half of the parameters, of which a desk's few thousand messages touch a tenth.
    bert.embeddings.word_embeddings.weight.requires_grad_(False)
    if method == "adapter":
        return _with_adapters(bert)
    return bert if method in ("full", "head") else _with_peft(bert, method, steps)


def merge(encoder: nn.Module) -> nn.Module:
    """Return an encoder for export: low-rank additions are added into the weights they belong to."""
    from peft import PeftModel, PeftModelForFeatureExtraction

    if isinstance(encoder, PeftModel) and not isinstance(encoder, PeftModelForFeatureExtraction):
        merged: nn.Module = encoder.merge_and_unload()
        return merged
    return encoder


def _with_peft(bert: BertModel, method: Method, steps: int) -> nn.Module:
    import peft

    config: peft.PeftConfig
    if method == "prefix":
        config = peft.PrefixTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=_PREFIX_TOKENS)
    elif method == "lora":
        config = peft.LoraConfig(r=_RANK, lora_alpha=2 * _RANK, target_modules=_LINEAR)
    else:
        config = peft.AdaLoraConfig(
            init_r=_RANK,
            target_r=_RANK * 2 // 3,
            lora_alpha=_RANK,
            target_modules=_LINEAR,
            total_step=max(steps, 10),
            tinit=steps // 6,
            tfinal=steps // 3,
            deltaT=10,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that will go
        return peft.get_peft_model(bert, config)


def _with_adapters(bert: BertModel) -> BertModel:
    for name, module in list(bert.named_modules()):
        if name.endswith("output.dense"):
            bert.set_submodule(name, Adapter(module))
    for name, parameter in bert.named_parameters():
        if ".down." in name or ".up." in name or "LayerNorm" in name:
            parameter.requires_grad_(True)
    return bert
