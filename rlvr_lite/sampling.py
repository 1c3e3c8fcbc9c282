"""Write answers: groups of samples from a world model, one token at a time.

What: `sample` reads each question once, then writes G answers to it side by side. Their keys and
values grow in a cache of their own; the question's are stored once and seen by the whole group.
Answers that have ended leave the batch. Given tokens (the recorded action between two predicted
frames, say) can be woven in.
Source: RLVR-World section 4.3 (a group of samples per question), equation 8 (actions woven in).
Differs from the paper: no vLLM. The sampler runs on the very weights that are trained, so the
log-probabilities of the rollouts need not be computed a second time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rlvr_lite.llama import Weights, check_questions, pad, read, run, weights


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

    def tensors(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`ids`, `mask`, `logp_old` of some rows, (N, T') each, with T' the longest of *them*:
        one runaway answer in a batch need not make every mini-batch wide."""
        mask = self.mask[rows]
        steps = torch.arange(mask.shape[1], device=mask.device)
        width = int((steps * mask.any(0)).max()) + 1
        return self.ids[rows, :width], mask[:, :width], self.logp_old[rows, :width]


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
    check_questions(questions)
    if group < 1 or max_new < 1 or temperature < 0 or top_k < 0:
        raise ValueError("group and max_new must be at least 1, temperature and top_k at least 0; "
                         f"got {group}, {max_new}, {temperature}, {top_k}")
    device, rows = model.device, len(questions) * group
    table = _given_table(given, rows, group, max_new, device)
    forced = (table >= 0).all(0).tolist()    # positions where no row chooses
    some = (table >= 0).any(0).tolist()      # positions where a row may have no choice
    w = weights(model, max(map(len, questions)) + max_new)
    like = {"device": device, "dtype": w.embed.dtype}
    uniform = torch.rand(max_new, rows, generator=generator, **like) * (1 - 1e-6)
    logp_old = torch.zeros(rows, max_new, **like)
    ids = torch.full((rows, max_new), pad_id, device=device)
    with torch.inference_mode():  # beyond no_grad, it spares each small operation some upkeep
        writer, t = _Writer(w, questions, group, device), 0
        while t < max_new and writer.rows.numel():
            width, at = 1, writer.rows.flatten()                      # (b*g,)
            if forced[t]:  # a block of given tokens goes in at once
                while t + width < max_new and forced[t + width]:
                    width += 1
                block = table[at, t:t + width]                        # (b*g, W)
            else:
                token, logp_old[at, t] = _choose(
                    writer.logits(), temperature, top_k, uniform[t, at])
                must = table[at, t]
                block = (torch.where(must >= 0, must, token) if some[t] else token)[:, None]
            ids[at, t:t + width] = block
            t += width
            if eos_id is not None:
                block = writer.finish(block, (block == eos_id).any(1))
            if t < max_new and len(block):
                writer.write(block)
    return _rollouts(ids, table, logp_old, eos_id, pad_id)


ROOM = 32  # keys and values of the answers grow by so many tokens; see `_Writer.write`


class _Writer:
    """Answers under way: a grid of b questions x g answers that have not ended."""

    def __init__(self, w: Weights, questions: list[list[int]], group: int, device):
        ids, real = (z.to(device) for z in pad(questions, side="right"))  # (B, P)
        hidden, cache = read(w, ids)                                  # L x (B, H, P, d)
        lengths = real.sum(1)
        last = hidden[torch.arange(len(ids), device=device), lengths - 1]
        self.w, self.t = w, 0
        self.hidden = last[:, None].repeat(1, group, 1)               # (B, G, D)
        self.rows = torch.arange(len(ids) * group, device=device).view(-1, group)
        self.alive = torch.ones_like(self.rows, dtype=torch.bool)
        self.lengths = lengths[:, None]                               # (B, 1)
        unreal = last.new_zeros(real.shape).masked_fill(~real, -torch.inf)
        self.unreal = unreal[:, None, None]                           # (B, 1, 1, P)
        self.question = [(k.mT.contiguous(), v.contiguous()) for k, v in cache]
        size = (len(ids), w.heads, group, ROOM, w.cos.shape[-1])
        self.answer = [(last.new_zeros(size), last.new_zeros(size)) for _ in w.layers]

    def logits(self) -> Tensor:
        return F.linear(self.hidden.flatten(0, 1), self.w.head)       # (b*g, V)

    def finish(self, block: Tensor, ended: Tensor) -> Tensor:
        """Ended rows leave the grid as soon as that makes it a quarter smaller."""
        if not ended.any():
            return block
        self.alive &= ~ended.view_as(self.alive)
        kept = self.alive.any(1).nonzero()                            # (b', 1) open questions
        b, g = self.alive.shape
        most = int(self.alive.sum(1).max())                           # g'
        if len(kept) * most > 0.75 * b * g:
            return block
        first = self.alive.int().argsort(dim=1, descending=True, stable=True)[:, :most]
        order = first[kept[:, 0]]                                     # (b', g')
        self.rows, self.alive = self.rows[kept, order], self.alive[kept, order]
        kept, at = kept[:, 0], kept * g + order
        self.lengths, self.unreal = self.lengths[kept], self.unreal[kept]
        self.question = [(k[kept], v[kept]) for k, v in self.question]
        heads = torch.arange(self.w.heads, device=block.device)[:, None]
        at_heads = (kept[:, None, None] * self.w.heads + heads) * g + order[:, None]
        self.answer = [tuple(z.flatten(0, 2)[at_heads] for z in kv) for kv in self.answer]
        return block[at.flatten()]

    def write(self, block: Tensor) -> None:
        """Append the tokens (b*g, W) to the answers."""
        (b, g), width, start = self.rows.shape, block.shape[1], self.t
        end = start + width
        while end > self.answer[0][0].shape[3]:
            self.answer = [tuple(F.pad(z, (0, 0, 0, ROOM)) for z in kv) for kv in self.answer]
        # Below about 26 keys bmm takes a slow path; so at least ROOM are looked at, the empty
        # ones masked.
        seen, steps = max(end, ROOM), torch.arange(width, device=block.device)
        later = torch.arange(seen, device=block.device) > start + steps[:, None]  # (W, seen)
        hide = self.lengths.new_zeros(1, seen, dtype=self.hidden.dtype)
        hide = hide.masked_fill(later, -torch.inf)                    # (W, seen)

        def attend(i, q, k, v):                                       # (b, H, g*W, d)
            (old_k, old_v), (keys, values) = self.question[i], self.answer[i]
            keys[:, :, :, start:end] = k.unflatten(2, (g, width))
            values[:, :, :, start:end] = v.unflatten(2, (g, width))
            old = q @ old_k + self.unreal                             # (b, H, g*W, P)
            own = q.unflatten(2, (g, width)) @ keys[:, :, :, :seen].mT + hide
            p = torch.cat([old.unflatten(2, (g, width)), own], -1).softmax(-1)
            old, own = p.split([old.shape[-1], seen], -1)             # (b, H, g, W, ...)
            return old.flatten(2, 3) @ old_v + (own @ values[:, :, :, :seen]).flatten(2, 3)

        where = (self.lengths + start + steps).repeat(1, g)           # (b, g*W)
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
