"""LoRA: train two thin matrices beside every frozen weight matrix.

What: `add_lora` wraps a Llama with peft, W x -> W x + s B (A x), s = alpha / rank, B = 0 at the
start, so the wrapped model begins as the very same model. `merged` folds s B A into W for a
while, `merge` for good, `reference` switches the adapter off: the frozen start model, for free.
Source: Hu et al. 2021 (LoRA) eq. (3); RLVR-World appendix A.1 (SFT with LoRA r = 32).
Differs from the paper: RLVR-World uses LoRA only for supervised training; here GRPO uses it too.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import LlamaForCausalLM


def add_lora(model: LlamaForCausalLM, rank: int = 16, alpha: float = 32,
             seed: int = 0) -> PeftModel:
    """Freeze a model and add a LoRA adapter to all of its linear layers (not the head).

    The model is changed in place: its linear layers now carry the adapter.

    Args:
        model: a plain Llama.
        rank: r, the inner width of the two thin matrices.
        alpha: the update is scaled by s = alpha / rank.
        seed: seed of A (B starts at zero).

    Returns:
        The `PeftModel`; only A and B require gradients.

    Raises:
        ValueError: for a rank below 1, or a model that already has an adapter.
    """
    if rank < 1 or alpha <= 0:
        raise ValueError(f"rank must be at least 1 and alpha above 0, got {rank} and {alpha}")
    if isinstance(model, PeftModel) or _layers(model):
        raise ValueError("this model already has a LoRA adapter; call lora.merge(model) first")
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", lora_dropout=0.0,
                        bias="none", task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks an old name of transformers
        torch.manual_seed(seed)
        return get_peft_model(model, config).eval()


def _layers(model) -> list[LoraLayer]:
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


@contextmanager
def merged(model) -> Iterator[LlamaForCausalLM]:
    """The model with LoRA folded into its weights; afterwards every bit is as before.

    Subtracting s B A again would leave rounding errors behind, so the old weights are kept aside
    and copied back. A plain model is handed through.

    Args:
        model: `PeftModel` or plain Llama.

    Yields:
        The Llama inside; use it for reading only.
    """
    if not isinstance(model, PeftModel):
        yield model
        return
    layers = _layers(model)
    before = [layer.get_base_layer().weight.detach().clone() for layer in layers]
    model.merge_adapter()
    try:
        yield model.get_base_model()
    finally:
        model.unmerge_adapter()
        with torch.no_grad():
            for layer, weight in zip(layers, before):
                layer.get_base_layer().weight.copy_(weight)


def merge(model) -> LlamaForCausalLM:
    """Fold LoRA into the weights for good and drop the adapter; a plain model stays as it is."""
    if not isinstance(model, PeftModel):
        return model
    plain = model.merge_and_unload()
    plain.requires_grad_(True)
    return plain.eval()


@contextmanager
def reference(model) -> Iterator:
    """The frozen start model: the same weights with the adapter switched off.

    Raises:
        ValueError: for a model without an adapter (keep a copy of it instead).
    """
    if not isinstance(model, PeftModel):
        raise ValueError("only a LoRA model carries its start model; without LoRA keep "
                         "copy.deepcopy(model) as the reference")
    with model.disable_adapter():
        yield model
