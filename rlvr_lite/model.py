"""The world model: a small Llama, its log-probabilities and its sampler.

What: `build`, `save` and `load` a Hugging Face Llama; `logp`, the log-probability of every
answer token given its question, through which gradients flow. The network itself is `llama.run`
on the model's own weights, and `sample` lives in `sampling`; both are to be had from here too.
Source: RLVR-World section 4.2, p(o(s') | q(s, a)) as a product over tokens.
Differs from the paper: a Llama of 0.2 M to 0.9 M parameters, not 138 M to 7 B; fp32 throughout.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from rlvr_lite.llama import Weights, check_questions, pad, read, run, weights
from rlvr_lite.sampling import Rollouts, sample

__all__ = ["Rollouts", "build", "load", "logp", "pad", "sample", "save"]

logging.disable_progress_bar()  # reading a megabyte needs none, and notebooks show it as a widget


# ---------------------------------------------------------------- the model
def build(vocab_size: int, width: int = 64, layers: int = 3, heads: int = 4, hidden: int = 160,
          max_tokens: int = 512, seed: int = 0) -> LlamaForCausalLM:
    """A fresh Llama with tied embeddings, fp32, on the CPU.

    Args:
        vocab_size: number of tokens V.
        width: size D of the residual stream; divisible by `heads`, D/heads even.
        layers: number of blocks.
        heads: attention heads.
        hidden: inner width of the feed-forward part.
        max_tokens: longest sequence, question and answer together.
        seed: seed of the weights.

    Returns:
        The model, in eval mode.

    Raises:
        ValueError: if the width does not divide into heads of even size.
    """
    if vocab_size < 2 or width % heads or (width // heads) % 2:
        raise ValueError(f"width must be a multiple of 2 * heads and vocab_size at least 2; "
                         f"got width={width}, heads={heads}, vocab_size={vocab_size}")
    config = LlamaConfig(
        vocab_size=vocab_size, hidden_size=width, intermediate_size=hidden,
        num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads,
        max_position_embeddings=max_tokens, tie_word_embeddings=True,
        initializer_range=width ** -0.5, pad_token_id=None, eos_token_id=1, bos_token_id=None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).eval()


def save(model, folder: str | Path) -> None:
    """Write the model as Hugging Face folder (safetensors); an old folder is replaced whole."""
    folder = Path(folder)
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    model.save_pretrained(new)
    if folder.exists():
        old = folder.with_name(folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
        os.replace(new, folder)
        shutil.rmtree(old)
    else:
        os.replace(new, folder)


def load(folder: str | Path) -> LlamaForCausalLM:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: if the folder holds no model.
    """
    if not (Path(folder) / "config.json").is_file():
        raise FileNotFoundError(f"no model in {folder} (config.json is missing); "
                                "`python -m rlvr_lite train --help` says how to train one")
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


# ---------------------------------------------------------------- log-probabilities
def _rows(ids) -> list[list[int]]:
    """Questions as lists; a tensor may be padded on the left with zeros."""
    if not isinstance(ids, Tensor):
        return [list(row) for row in ids]
    starts = (ids != 0).int().argmax(1).tolist()
    return [row[start:] for row, start in zip(ids.tolist(), starts)]


def logp(model, question_ids, answer_ids: Tensor, answer_mask: Tensor, group: int = 1,
         temperature: float = 1.0) -> Tensor:
    """Log-probability of every answer token given its question and the tokens before it.

    Each question is read once, however many answers its group has; the answers then attend to
    its cached keys. Gradients flow through both, and equal those of the plain forward.

    Args:
        model: the Llama, with or without LoRA.
        question_ids: B rows of ids, or a tensor (B, P) padded on the left with zeros.
        answer_ids: (B*G, T) long, padded on the right; row i answers question i // G.
        answer_mask: (B*G, T) bool, the tokens whose log-probability is wanted.
        group: G, answers per question.
        temperature: logits are divided by it, as in `sample`.

    Returns:
        (B*G, T) float; 0 where the mask is False.

    Raises:
        ValueError: shapes that do not fit, or a temperature of 0 or below.
    """
    questions = _rows(question_ids)
    check_questions(questions)
    if answer_ids.shape != answer_mask.shape or len(answer_ids) != len(questions) * group:
        raise ValueError(f"{len(questions)} questions x group {group} need as many rows of ids "
                         f"and mask; got {tuple(answer_ids.shape)}, {tuple(answer_mask.shape)}")
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    device = model.device
    ids, mask = answer_ids.to(device), answer_mask.to(device)
    w = weights(model, max(map(len, questions)) + ids.shape[1])
    before = _before_plain if group == 1 else _before_shared
    hidden = before(w, questions, ids, group)[mask]                  # (M, D), M scored tokens
    logits = F.linear(hidden, w.head) / temperature                  # (M, V)
    chosen = logits.log_softmax(-1).gather(1, ids[mask][:, None])[:, 0]
    return chosen.new_zeros(ids.shape).masked_scatter(mask, chosen)  # (B*G, T)


def _before_plain(w: Weights, questions, ids: Tensor, group: int) -> Tensor:
    """Hidden state before each answer token, question and answer in one row: (N, T, D)."""
    lengths = torch.tensor([len(q) for q in questions], device=ids.device)
    rows, _ = pad(questions, side="right")
    rows = F.pad(rows.to(ids.device), (0, ids.shape[1]))             # (N, P + T)
    where = lengths[:, None] + torch.arange(ids.shape[1], device=ids.device)
    hidden, _ = read(w, rows.scatter(1, where, ids)[:, :-1])
    return hidden.gather(1, (where - 1)[..., None].expand(-1, -1, hidden.shape[-1]))


def _before_shared(w: Weights, questions, ids: Tensor, group: int) -> Tensor:
    """The same with every question read once for its whole group: (B*G, T, D)."""
    rows, real = (z.to(ids.device) for z in pad(questions, side="right"))  # (B, P)
    hidden, cache = read(w, rows)
    lengths = real.sum(1)
    last = hidden[torch.arange(len(rows), device=ids.device), lengths - 1]  # (B, D)
    last = last.repeat_interleave(group, 0)[:, None]                 # (B*G, 1, D)
    steps = torch.arange(ids.shape[1] - 1, device=ids.device)
    where = lengths.repeat_interleave(group)[:, None] + steps        # (B*G, T-1)
    seen = real.repeat_interleave(group, 0)[:, None].expand(-1, len(steps), -1)
    causal = (steps[:, None] >= steps).expand(len(ids), -1, -1)
    mask = torch.cat([seen, causal], 2)[:, None]                     # (B*G, 1, T-1, P+T-1)

    def attend(i, q, k, v):
        old_k, old_v = (z.repeat_interleave(group, 0) for z in cache[i])
        return F.scaled_dot_product_attention(
            q, torch.cat([old_k, k], 2), torch.cat([old_v, v], 2), attn_mask=mask, scale=1.0)

    return torch.cat([last, run(w, ids[:, :-1], where, attend)], 1)
