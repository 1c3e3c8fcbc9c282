"""The world model: a small Llama, its log-probabilities and its sampler.

What: `build`, `save` and `load` a Hugging Face Llama; `logp`, the log-probability of every
answer token given its question, through which gradients flow; `sample`, a group of answers for
each question. A question is read once for its whole group, in both. The network itself is
`llama.run`, on the model's own weights.
Source: RLVR-World section 4.2 (sequence modelling), 4.3 (groups of samples).
Differs from the paper: no vLLM; the sampler runs on the very weights that are trained, so the
log-probabilities of the rollouts need not be computed a second time.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from rlvr_lite.llama import Weights, read, run, weights


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
        initializer_range=width ** -0.5, pad_token_id=0, eos_token_id=1, bos_token_id=None)
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
                                "`python -m rlvr_lite --help` says how to train one")
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


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


# ---------------------------------------------------------------- log-probabilities
def _rows(ids) -> list[list[int]]:
    """Questions as lists; a tensor may be padded on the left with zeros."""
    if not isinstance(ids, Tensor):
        return [list(row) for row in ids]
    starts = (ids != 0).int().argmax(1).tolist()
    return [row[start:] for row, start in zip(ids.tolist(), starts)]


def _check_rows(questions: list[list[int]]) -> None:
    if not questions or not all(questions):
        raise ValueError("every question needs at least one token, and there must be one question")


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
    _check_rows(questions)
    if answer_ids.shape != answer_mask.shape or len(answer_ids) != len(questions) * group:
        raise ValueError(f"{len(questions)} questions x group {group} need as many answer rows and "
                         f"masks; got {tuple(answer_ids.shape)} and {tuple(answer_mask.shape)}")
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    device = model.device
    ids, mask = answer_ids.to(device), answer_mask.to(device)
    w = weights(model, max(map(len, questions)) + ids.shape[1])
    before = _before_plain if group == 1 else _before_shared
    hidden = before(w, questions, ids, group)[mask]                  # (M, D), M scored tokens
    logits = F.linear(hidden, w.head) / temperature                  # (M, V)
    chosen = logits.log_softmax(-1).gather(1, ids[mask][:, None])[:, 0]
    return torch.zeros(ids.shape, device=device).masked_scatter(mask, chosen)  # (B*G, T)


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
            q, torch.cat([old_k, k], 2), torch.cat([old_v, v], 2), attn_mask=mask)

    return torch.cat([last, run(w, ids[:, :-1], where, attend)], 1)


# ---------------------------------------------------------------- sampling
@dataclass
class Rollouts:
    """Groups of sampled answers; row i belongs to question i // G.

    Attributes:
        answers: B*G lists of ids, `<eos>` included where one was written.
        ids: (B*G, T) long, padded on the right.
        mask: (B*G, T) bool, True where the model chose the token (not padding, not given).
        logp_old: (B*G, T) float, log-probability of the chosen tokens when they were sampled,
            at the sampling temperature, before any top-k cut (temperature 0: at 1).
    """

    answers: list[list[int]]
    ids: Tensor
    mask: Tensor
    logp_old: Tensor


def _choose(logits: Tensor, temperature: float, top_k: int, uniform: Tensor):
    """One token per row and its log-probability: (N, V) -> (N,), (N,)."""
    p = (logits / (temperature or 1.0)).softmax(-1)                   # (N, V)
    if temperature == 0:
        token = logits.argmax(-1, keepdim=True)
    else:
        cut = p
        if top_k and top_k < p.shape[-1]:
            cut = p.masked_fill(p < p.topk(top_k)[0][:, -1:], 0.0)
        cdf = cut.cumsum(-1)  # inverse of the distribution function: 5x faster than multinomial
        token = torch.searchsorted(cdf, uniform[:, None] * cdf[:, -1:], right=True)
    return token[:, 0], p.gather(1, token)[:, 0].log()


def _given_table(given, rows: int, group: int, steps: int, device) -> Tensor:
    """Forced tokens as (B*G, T) long, -1 where the model chooses."""
    if given is None:
        return torch.full((rows, steps), -1, device=device)
    if isinstance(given, Tensor):
        table = given.to(device)
    else:  # per row: [(position, [ids]), ...]
        table = torch.full((len(given), steps), -1, device=device)
        for row, blocks in enumerate(given):
            for start, ids in blocks:
                table[row, start:start + len(ids)] = torch.tensor(ids, device=device)
    if len(table) * group == rows:
        table = table.repeat_interleave(group, 0)
    if table.shape != (rows, steps):
        raise ValueError(f"given must be (B, T) or (B*G, T) with T = max_new = {steps}, -1 where "
                         f"the model chooses; got {tuple(table.shape)} for {rows} rows")
    return table


@torch.no_grad()
def sample(model, questions: list[list[int]], group: int = 1, max_new: int = 64,
           temperature: float = 1.0, top_k: int = 0, eos_id: int | None = 1, pad_id: int = 0,
           generator: torch.Generator | None = None, given=None) -> Rollouts:
    """Write a group of answers to every question.

    Each question is read once and its cache repeated G times; a row that has written `<eos>`
    leaves the batch. One uniform number per row and position is drawn in advance, so a row's
    answer does not depend on when the others end.

    Args:
        model: the Llama, with or without LoRA.
        questions: B rows of ids.
        group: G, answers per question.
        max_new: longest answer T in tokens, `<eos>` included.
        temperature: 0 is greedy.
        top_k: choose among the k most likely tokens only; 0: among all.
        eos_id: the stop token; None: every answer has exactly `max_new` tokens.
        pad_id: fills `ids` behind the end.
        generator: source of randomness, on the model's device; None: the global one.
        given: forced tokens, (B, T) or (B*G, T) long with -1 where the model chooses, or a list
            with [(position, ids), ...] per question or row. They get mask False.

    Returns:
        The `Rollouts`, on the model's device.

    Raises:
        ValueError: empty questions, group or max_new below 1, temperature or top_k below 0.
    """
    _check_rows(questions)
    if group < 1 or max_new < 1 or temperature < 0 or top_k < 0:
        raise ValueError("group and max_new must be at least 1, temperature and top_k at least 0; "
                         f"got {group}, {max_new}, {temperature}, {top_k}")
    device, rows = model.device, len(questions) * group
    table = _given_table(given, rows, group, max_new, device)
    forced = (table >= 0).all(0).tolist()    # positions where no row chooses
    uniform = torch.rand(max_new, rows, generator=generator, device=device) * (1 - 1e-6)
    ids = torch.full((rows, max_new), pad_id, device=device)
    logp_old = torch.zeros(rows, max_new, device=device)
    w = weights(model, max(map(len, questions)) + max_new)
    writer, t = _Writer(w, questions, group, max_new, device), 0
    while t < max_new and len(writer.rows):
        width, rows = 1, writer.rows.flatten()                        # (b*g,)
        if forced[t]:  # a block of given tokens goes in at once
            while t + width < max_new and forced[t + width]:
                width += 1
            ids[rows, t:t + width] = table[rows, t:t + width]
        else:
            token, logp_old[rows, t] = _choose(
                writer.logits(), temperature, top_k, uniform[t, rows])
            must = table[rows, t]
            ids[rows, t] = torch.where(must >= 0, must, token)
        block, t = ids[rows, t:t + width], t + width
        if eos_id is not None:
            block = writer.finish(block, (block == eos_id).any(1))
        if t < max_new and len(block):
            writer.write(block)
    return _rollouts(ids, table, logp_old, eos_id, pad_id)


class _Writer:
    """Answers under way: a grid of b questions x g answers that have not ended."""

    def __init__(self, w: Weights, questions, group: int, max_new: int, device):
        ids, real = (z.to(device) for z in pad(questions, side="right"))  # (B, P)
        hidden, self.prompt = read(w, ids)                            # L x (B, H, P, d)
        lengths = real.sum(1)
        last = hidden[torch.arange(len(ids), device=device), lengths - 1]
        self.w, self.t, b = w, 0, len(ids)
        self.hidden = last[:, None].repeat(1, group, 1)               # (B, G, D)
        self.rows = torch.arange(b * group, device=device).view(b, group)
        self.alive = torch.ones_like(self.rows, dtype=torch.bool)
        self.lengths = lengths[:, None]                               # (B, 1)
        self.unreal = torch.zeros(real.shape, device=device).masked_fill(~real, -torch.inf)
        self.unreal = self.unreal[:, None, None]                      # (B, 1, 1, P)
        size = (b, w.heads, group, max_new, w.cos.shape[-1])          # own keys and values
        self.prompt = [(k.mT.contiguous(), v.contiguous()) for k, v in self.prompt]
        self.own = [(last.new_zeros(size), last.new_zeros(size)) for _ in w.layers]

    def logits(self) -> Tensor:
        return F.linear(self.hidden.flatten(0, 1), self.w.head)       # (b*g, V)

    def finish(self, block: Tensor, ended: Tensor) -> Tensor:
        """Ended rows leave the grid as soon as that makes it a fifth smaller."""
        self.alive &= ~ended.view_as(self.alive)
        kept = self.alive.any(1).nonzero()[:, 0]                      # questions still open
        g = int(self.alive.sum(1).max())
        if len(kept) * g > 0.8 * self.alive.numel():
            return block
        order = self.alive[kept].int().argsort(
            dim=1, descending=True, stable=True)[:, :g]
        block = block.unflatten(0, self.alive.shape)[kept[:, None], order].flatten(0, 1)
        self.rows, self.alive = self.rows[kept[:, None], order], self.alive[kept[:, None], order]
        self.lengths, self.unreal = self.lengths[kept], self.unreal[kept]
        self.prompt = [(k[kept], v[kept]) for k, v in self.prompt]
        self.own = [(self._moved(k, kept, order), self._moved(v, kept, order))
                    for k, v in self.own]
        return block

    def _moved(self, own: Tensor, kept: Tensor, order: Tensor) -> Tensor:
        new = own.new_zeros((len(kept), own.shape[1], order.shape[1], *own.shape[3:]))
        old = own[:, :, :, :self.t].transpose(1, 2)[kept[:, None], order]
        new[:, :, :, :self.t] = old.transpose(1, 2)
        return new

    def write(self, block: Tensor) -> None:
        """Append the tokens (b*g, W) to the answers."""
        (b, g), width, start = self.rows.shape, block.shape[1], self.t
        end, steps = start + width, torch.arange(width, device=block.device)
        # Fewer than 32 keys would fall into a slow path of bmm: look at empty ones, masked.
        seen = min(max(end, 32), self.own[0][0].shape[3])
        later = torch.arange(seen, device=block.device) > start + steps[:, None]  # (W, seen)

        def attend(i, q, k, v):                                       # (b, H, g*W, d)
            (old_k, old_v), (keys, values) = self.prompt[i], self.own[i]
            keys[:, :, :, start:end] = k.unflatten(2, (g, width))
            values[:, :, :, start:end] = v.unflatten(2, (g, width))
            q = q * q.shape[-1] ** -0.5
            question = q @ old_k + self.unreal      # (b, H, g*W, P)
            answer = q.unflatten(2, (g, width)) @ keys[:, :, :, :seen].mT
            answer.masked_fill_(later, -torch.inf)
            both = torch.cat([question.unflatten(2, (g, width)), answer], -1).softmax(-1)
            p, own = both.split([question.shape[-1], seen], -1)        # (b, H, g, W, ...)
            return p.flatten(2, 3) @ old_v + (own @ values[:, :, :, :seen]).flatten(2, 3)

        where = (self.lengths + self.t + steps).repeat(1, g)          # (b, g*W)
        hidden = run(self.w, block.reshape(b, g * width), where, attend)
        self.hidden, self.t = hidden.unflatten(1, (g, width))[:, :, -1], end


def _rollouts(ids: Tensor, table: Tensor, logp_old: Tensor, eos_id, pad_id) -> Rollouts:
    """Cut every row behind its first `<eos>`."""
    length = torch.full((len(ids),), ids.shape[1], device=ids.device)
    if eos_id is not None:
        stop = (ids == eos_id)
        length = torch.where(stop.any(1), stop.int().argmax(1) + 1, length)
    longest = int(length.max())
    ids, table, logp_old = ids[:, :longest], table[:, :longest], logp_old[:, :longest]
    written = torch.arange(longest, device=ids.device) < length[:, None]
    answers = [row[:n] for row, n in zip(ids.tolist(), length.tolist())]
    mask = written & (table < 0)
    return Rollouts(answers, ids.masked_fill(~written, pad_id), mask, logp_old * mask)
