"""The Llama forward pass in twenty lines, on the weights of a Hugging Face model.

What: `weights` reads the matrices of a `LlamaForCausalLM`, `run` is the network, `read` runs it
over whole rows. With 0.2 M parameters the Hugging Face forward spends more time in Python than
in arithmetic; this one does the same in a third of the calls, and tests hold both equal.
LoRA matrices are folded into the weights on the way, W + s B A, as part of the graph: gradients
reach A and B, and no layer multiplies three times.
Source: RLVR-World section 4.2; Llama: RMS norm, rotary positions, gated feed-forward.
Differs from the paper: no vLLM and no second copy of the weights; one process, fp32.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def pad(rows: list[list[int]], pad_id: int = 0, side: str = "left") -> tuple[Tensor, Tensor]:
    """Rows of different length as one rectangle.

    Returns:
        ids (B, T) long, and mask (B, T) bool, True where a real token stands.

    Raises:
        ValueError: for a side other than "left" and "right".
    """
    if side not in ("left", "right"):
        raise ValueError(f'side must be "left" or "right", got {side!r}')
    longest = max((len(row) for row in rows), default=0)
    gaps = [[pad_id] * (longest - len(row)) for row in rows]
    filled = [g + list(r) if side == "left" else list(r) + g for r, g in zip(rows, gaps)]
    lengths = torch.tensor([len(row) for row in rows]).view(-1, 1)
    columns = torch.arange(longest)
    mask = columns < lengths if side == "right" else columns >= longest - lengths
    return torch.tensor(filled, dtype=torch.long).view(len(rows), longest), mask  # (B, T)


def check_questions(questions: list[list[int]]) -> None:
    """Raise ValueError where there is nothing to read."""
    if not questions or not all(questions):
        raise ValueError("every question needs at least one token, and there must be one question")


@dataclass
class Weights:
    """What the forward pass needs.

    LoRA, the gains of the norms, and the 1 / sqrt(d) of attention are folded into the matrices.
    """

    embed: Tensor                                           # (V, D)
    layers: list[tuple[Tensor, Tensor, Tensor, Tensor]]     # qkv, out, gate and up, down
    head: Tensor                                            # (V, D)
    cos: Tensor                                             # (positions, d)
    sin: Tensor                                             # (positions, d), first half negated
    heads: int
    kv_heads: int
    eps: float
    padding: int | None                                     # a token that is never learned


def _matrix(linear) -> Tensor:
    """The effective weight of a linear layer: W, or W + s B A where a LoRA adapter is active."""
    if not hasattr(linear, "base_layer"):
        return linear.weight
    weight = linear.base_layer.weight
    if linear.disable_adapters or linear.merged:
        return weight
    for name in linear.active_adapters:
        weight = weight + linear.get_delta_weight(name)
    return weight


def weights(model, positions: int) -> Weights:
    """Collect the weights of a Llama (plain or with LoRA); differentiable.

    Args:
        model: `LlamaForCausalLM`, or a `PeftModel` around one.
        positions: longest sequence that will be run.

    Raises:
        ValueError: another architecture, or a sequence beyond the model's positions.
    """
    llama = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = llama.config
    if config.model_type != "llama" or config.attention_bias or config.mlp_bias:
        raise ValueError(f"the model must be a Llama without biases, got {config.model_type!r}")
    if positions > config.max_position_embeddings:
        raise ValueError(f"question and answer need {positions} positions, the model has "
                         f"{config.max_position_embeddings}: build it with larger max_tokens")
    layers = []
    for block in llama.model.layers:
        a, m = block.self_attn, block.mlp
        qkv = torch.cat([_matrix(a.q_proj) * a.scaling, _matrix(a.k_proj), _matrix(a.v_proj)])
        gate_up = torch.cat([_matrix(m.gate_proj), _matrix(m.up_proj)])
        layers.append((qkv * block.input_layernorm.weight, _matrix(a.o_proj),
                       gate_up * block.post_attention_layernorm.weight, _matrix(m.down_proj)))
    embed = llama.model.embed_tokens.weight
    where = torch.arange(positions, device=embed.device)
    cos, sin = llama.model.rotary_emb(embed, where[None])       # (1, positions, d)
    sign = torch.ones_like(sin[0, 0])
    sign[: len(sign) // 2] = -1.0
    return Weights(embed, layers, _matrix(llama.lm_head) * llama.model.norm.weight, cos[0],
                   sin[0] * sign, config.num_attention_heads, config.num_key_value_heads,
                   config.rms_norm_eps, llama.model.embed_tokens.padding_idx)


def run(w: Weights, ids: Tensor, where: Tensor, attend) -> Tensor:
    """The network: ids (N, T) at positions `where` (N, T) or (1, T) -> hidden (N, T, D).

    `attend(i, q, k, v)` does the attention of layer i on (N, H, T, d); all that differs between
    reading a question, scoring answers and writing them is which keys are seen there.
    """
    cos, sin = w.cos[where].unsqueeze(2), w.sin[where].unsqueeze(2)  # (N, T, 1, d)
    d, both = cos.shape[-1], w.heads + w.kv_heads
    x = F.embedding(ids, w.embed, w.padding)                         # (N, T, D)
    shape = x.shape[-1:]
    for i, (qkv, out, gate_up, down) in enumerate(w.layers):
        heads = F.linear(F.rms_norm(x, shape, eps=w.eps), qkv).unflatten(-1, (-1, d))
        turn = heads[:, :, :both]                                    # (N, T, 2H, d)
        turn = torch.addcmul(turn * cos, turn.roll(d // 2, -1), sin)  # rotary positions
        q, k = turn.transpose(1, 2).split([w.heads, w.kv_heads], 1)  # (N, H, T, d)
        v = heads[:, :, both:].transpose(1, 2)
        if w.kv_heads != w.heads:  # grouped-query attention: several heads share keys
            k, v = (z.repeat_interleave(w.heads // w.kv_heads, 1) for z in (k, v))
        mixed = attend(i, q, k, v).transpose(1, 2).flatten(2)        # (N, T, D)
        x = x + F.linear(mixed, out)
        gate, up = F.linear(F.rms_norm(x, shape, eps=w.eps), gate_up).chunk(2, -1)
        x = x + F.linear(F.silu(gate) * up, down)
    return F.rms_norm(x, shape, eps=w.eps)


def read(w: Weights, ids: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Read right-padded rows from position 0: hidden (B, P, D) and each layer's keys, values."""
    cache = []

    def attend(i, q, k, v):
        cache.append((k, v))                                         # (B, H, P, d)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)

    return run(w, ids, torch.arange(ids.shape[1], device=ids.device)[None], attend), cache
