"""GRPO: sample a group of answers, verify each, and prefer the better half of the group.

What: one update is sample -> reward -> advantage -> clipped policy gradient.
    A_i = (R_i - mean R) / (std R + eps)                              eq. (6.1)
    J_it = min(r A, clip(r, 1 - c, 1 + c) A),  r = exp(logp - logp_old)     eq. (6.2)
    k3_it = exp(d) - d - 1,  d = logp_ref - logp                      eq. (6.3)
    loss = average of -J_it + beta k3_it                              eq. (6.4)
Source: RLVR-World eq. (1) and section 4.3; appendix A for the settings; the unbiased std and the
1e-6 are verl's. `loss="sequence"` is the equation as printed, `"token"` is what the code of the
paper does, `"dr_grpo"` divides by a constant (Liu et al. 2025).
Differs from the paper: LoRA or full weights; no entropy bonus, no dual clip; groups whose
answers all got the same reward are not forwarded in the update, where they would only add zero.
`method="rejection"` is the same loop with advantage 1 for verified answers and 0 for the rest.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from rlvr_lite import lora
from rlvr_lite.mle import load_state, save_state, set_weights
from rlvr_lite.model import Rollouts, logp, sample
from rlvr_lite.tasks.base import given, rewards

CHOICES = {"loss": ("token", "sequence", "dr_grpo"), "scale": ("std", "none"),
           "method": ("grpo", "rejection"), "schedule": ("constant", "linear")}


@dataclass
class GRPOConfig:
    """Settings of `train_grpo`.

    Attributes:
        steps, prompts, group: rollout batches; questions B and answers G of each.
        lr: learning rate of AdamW.
        temperature: of the rollouts, and of the policy that is trained.
        clip, beta: how far the ratio may move from 1; weight of the KL term.
        loss: "token", "sequence" or "dr_grpo", see `average`.
        scale: "std" or "none", see `advantages`.
        method, threshold: "grpo", or "rejection" (online rejection fine-tuning), where answers
            with a reward from `threshold` on are imitated.
        minibatches: updates per rollout batch.
        weight_decay, grad_clip: of AdamW; largest norm of the gradient.
        schedule: "constant" or "linear" (down to 0 at the end of steps or budget).
        seed: of the questions' order and of the rollouts.
    """

    steps: int = 200
    prompts: int = 16
    group: int = 8
    lr: float = 1e-3
    temperature: float = 1.0
    clip: float = 0.2
    beta: float = 0.0
    loss: str = "token"
    scale: str = "std"
    method: str = "grpo"
    threshold: float = 1.0
    minibatches: int = 1
    weight_decay: float = 0.0
    grad_clip: float = 1.0
    schedule: str = "constant"
    seed: int = 0

    def __post_init__(self):
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r}: use one of {allowed}")
        if self.steps < 0 or not 1 <= self.minibatches <= self.prompts or self.group < 1:
            raise ValueError("steps must be at least 0, group at least 1 and minibatches between "
                             f"1 and prompts; got {self}")
        if self.method == "grpo" and self.group < 2:
            raise ValueError("group must be at least 2: one answer alone is its own mean")
        if self.lr <= 0 or self.temperature <= 0 or self.clip <= 0 or self.beta < 0:
            raise ValueError("lr, temperature and clip must be above 0, beta at least 0; "
                             f"got {self}")


# ---------------------------------------------------------------- the equations
def advantages(reward: Tensor, scale: str = "std", eps: float = 1e-6) -> Tensor:
    """How much better an answer is than its group, eq. (6.1).

    Args:
        reward: (B, G), or (B, G, T) where every token has a reward of its own.
        scale: "std" divides by the group's (unbiased) standard deviation + eps, "none" does not.

    Returns:
        The same shape; 0 in groups whose rewards are all equal.
    """
    centred = reward - reward.mean(1, keepdim=True)
    centred = centred.masked_fill((reward == reward[:, :1]).all(1, keepdim=True), 0.0)
    return centred if scale == "none" else centred / (reward.std(1, keepdim=True) + eps)


def k3(logp: Tensor, logp_ref: Tensor) -> Tensor:
    """Low-variance, never negative estimate of KL(policy || reference) per token, eq. (6.3)."""
    d = logp_ref - logp
    return torch.expm1(d) - d  # exp(d) - 1 - d loses every digit near d = 0


def clipped_gain(logp: Tensor, logp_old: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """What a token gains, as far as it may move from where it was sampled, eq. (6.2): (N, T)."""
    ratio = torch.exp(logp - logp_old)
    held = ratio.clamp(1 - clip, 1 + clip)
    return torch.minimum(ratio * advantage, held * advantage)


def average(each: Tensor, mask: Tensor, loss: str, max_tokens: int | None = None,
            total: float | None = None) -> Tensor:
    """Masked average over tokens, eq. (6.4), in one of three ways: (N, T) -> ().

    Args:
        each, mask: (N, T) numbers, and bool.
        loss: "token": mean over all tokens; "sequence": mean over each answer, then over
            answers; "dr_grpo": sum over tokens / max_tokens (a constant), then over answers.
        max_tokens: longest possible answer.
        total: tokens ("token") or rows of the whole batch, if this is only a part of it.
    """
    each = each.masked_fill(~mask, 0.0)
    if loss == "token":
        return each.sum() / (total or mask.sum().clamp(min=1))
    length = mask.sum(1).clamp(min=1) if loss == "sequence" else max_tokens
    return (each.sum(1) / length).sum() / (total or len(each))


def grpo_loss(logp: Tensor, logp_old: Tensor, advantage: Tensor, mask: Tensor,
              logp_ref: Tensor | None = None, clip: float = 0.2, beta: float = 0.0,
              loss: str = "token", max_tokens: int | None = None,
              total: float | None = None) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch of rollouts, eq. (6.4).

    Args:
        logp, logp_old, logp_ref: (N, T) log-probabilities of the tokens now (with gradient),
            when they were sampled, and under the reference.
        advantage: (N,), or (N, T) where tokens differ.
        mask: (N, T) bool, the tokens that the policy chose.
        clip, beta: c, and the weight of the KL term.
        loss, max_tokens, total: how tokens are averaged, see `average`.

    Returns:
        The scalar loss, and {"clip_fraction", "kl"} averaged over tokens.

    Raises:
        ValueError: a KL term without reference, "dr_grpo" without max_tokens, an unknown loss.
    """
    if loss not in CHOICES["loss"] or (loss == "dr_grpo" and not max_tokens) or (
            beta > 0 and logp_ref is None):
        raise ValueError(f"loss={loss!r}: use one of {CHOICES['loss']}; dr_grpo needs max_tokens, "
                         "beta > 0 needs logp_ref, the log-probabilities under the reference")
    advantage = advantage.view(len(logp), -1)                          # (N, 1) or (N, T)
    gain = clipped_gain(logp, logp_old, advantage, clip)               # (N, T)
    kl = k3(logp, logp_ref) if logp_ref is not None else None
    each = -gain + beta * kl if beta > 0 else -gain
    with torch.no_grad():
        held = gain < torch.exp(logp - logp_old) * advantage
        stats = {"clip_fraction": average(held.float(), mask, "token").item()}
        if kl is not None:
            stats["kl"] = average(kl, mask, "token").item()
    return average(each, mask, loss, max_tokens, total), stats


# ---------------------------------------------------------------- the loop
def train_grpo(model, task, transitions: list, config: GRPOConfig,
               validate: Callable[..., dict[str, float]] | None = None, validate_every: int = 50,
               folder: str | Path | None = None, log: Callable[[str], None] | None = print,
               budget_cpu_seconds: float | None = None, reference=None) -> list[dict]:
    """Post-train a model on verifiable rewards.

    Args:
        model: a LoRA model (A and B are trained) or a plain one (everything is); in place.
        task: questions and rewards (`tasks.base.Task`).
        transitions: what questions are drawn from, each once per epoch.
        config: the settings.
        validate, validate_every: model -> numbers; called before the first step, after every so
            many (together with a log line and a checkpoint), and at the end.
        folder: checkpoints go here, and a run that finds one goes on from it.
        log: gets a line at every validation; None: silence.
        budget_cpu_seconds: stop after so much training time (validation not counted). A linear
            schedule follows the time, too: such a run resumes, but not bit for bit.
        reference: the model of the KL term; None: the start model (LoRA: the adapter switched
            off; plain: a copy made now, so hand over the start model when you resume).

    Returns:
        One row per step: {"step", mean "reward" and its parts, "live" (share of groups that
        carry a gradient), "kl" (of these; None where not measured), "entropy" (nats per token, as
        the rollouts tell), "clip_fraction", "length", "samples", "tokens", "cpu_seconds",
        "sample_s", "reward_s", "update_s", validated numbers}; row 0 validates the start model.

    Raises:
        ValueError: no transitions, no time, or a checkpoint of a run with other settings.
    """
    budget = float("inf") if budget_cpu_seconds is None else budget_cpu_seconds
    if not transitions or budget <= 0 or validate_every < 1:
        raise ValueError("transitions empty, or budget_cpu_seconds or validate_every not above 0")
    run = _Run(model, task, config, folder, reference)
    if run.step == 0 and validate and not run.history:
        run.history.append({"step": 0, "samples": 0, "cpu_seconds": 0.0} | validate(model))
        _report(run.history[-1], log)
    while run.step < config.steps and run.seconds < budget:
        run.done = max(run.step / config.steps, run.seconds / budget)
        row = run.one_step(transitions, (run.step + 1) % validate_every == 0)
        if run.step % validate_every == 0 or run.step == config.steps or run.seconds >= budget:
            row |= validate(model) if validate else {}
            _report(row, log)
            run.save()
    return run.history


def _report(row: dict, log) -> None:
    if log:
        log(" | ".join(f"{k} {v:.4g}" for k, v in row.items()
                       if not k.endswith(("_s", "_seconds")) and v is not None))


class _Run:
    """Everything that changes during training; it can be saved and read back."""

    def __init__(self, model, task, config: GRPOConfig, folder, reference):
        self.model, self.task, self.config = model, task, config
        self.trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.adapted, self.reference = hasattr(model, "disable_adapter"), reference
        if reference is None and config.beta > 0 and not self.adapted:
            self.reference = copy.deepcopy(model).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
        self.generator = torch.Generator(model.device).manual_seed(config.seed)
        self.step, self.samples, self.seconds, self.done = 0, 0, 0.0, 0.0
        self.history: list[dict] = []
        self.path = Path(folder) / "grpo_state.pt" if folder is not None else None
        if self.path is not None and self.path.is_file():
            self.load()

    def one_step(self, transitions: list, measure_kl: bool) -> dict:
        """Sample, verify, update; returns the new history row."""
        config, task, clock = self.config, self.task, [time.process_time()]
        batch = draw(transitions, config.prompts, config.seed, self.step)
        questions = [task.question(t) for t in batch]
        rollouts = sample(self.model, questions, config.group, task.max_new, config.temperature,
                          eos_id=task.tokenizer.eos_id, generator=self.generator,
                          given=given(task, batch))
        clock.append(time.process_time())
        parts = rewards(task, rollouts.answers, [t for t in batch for _ in range(config.group)])
        reward = torch.tensor([part.pop("credit", [part["reward"]]) for part in parts],
                              device=self.model.device).unflatten(0, (-1, config.group))
        clock.append(time.process_time())
        stats = self.update(questions, rollouts, self.weigh(reward), measure_kl)
        clock.append(time.process_time())
        self.step, self.samples = self.step + 1, self.samples + len(parts)
        self.seconds += clock[-1] - clock[0]
        means = {n: sum(part.get(n, 0.0) for part in parts) / len(parts)
                 for n in dict.fromkeys(name for part in parts for name in part)}
        times = {name: b - a for name, a, b in
                 zip(("sample_s", "reward_s", "update_s"), clock, clock[1:])}
        tokens = int(rollouts.mask.sum())
        row = {"step": self.step} | means | stats | {
            "entropy": -rollouts.logp_old.sum().item() / max(1, tokens),
            "length": sum(map(len, rollouts.answers)) / len(parts), "samples": self.samples,
            "tokens": tokens, "cpu_seconds": self.seconds} | times
        self.history.append(row)
        return row

    def weigh(self, reward: Tensor) -> Tensor:
        """What multiplies the log-probabilities of answers or of tokens: (B, G, 1 or T)."""
        if self.config.method == "rejection":
            return (reward >= self.config.threshold).float()
        return advantages(reward, self.config.scale)

    def update(self, questions, rollouts: Rollouts, advantage: Tensor, measure_kl: bool) -> dict:
        """The optimizer steps of one rollout batch; groups without any gradient are left out."""
        config = self.config
        live = (advantage != 0).flatten(1).any(1).tolist()            # (B,)
        found, kl = {"live": sum(live) / len(live), "clip_fraction": 0.0}, []
        for chunk in torch.arange(len(questions)).tensor_split(config.minibatches):
            used = [i for i in chunk.tolist() if live[i] or config.beta > 0]
            if not used:
                continue
            rows = self.rows_of(chunk.tolist())
            total = rollouts.mask[rows].sum().item() if config.loss == "token" else len(rows)
            loss, stats = self.loss([questions[i] for i in used], used, rollouts, advantage,
                                    total, measure_kl)
            self.descend(loss)
            found["clip_fraction"] += len(chunk) / len(questions) * stats["clip_fraction"]
            kl += [stats["kl"]] if "kl" in stats else []
        return found | {"kl": sum(kl) / len(kl) if kl else None}

    def loss(self, questions, used: list[int], rollouts: Rollouts, advantage: Tensor,
             total: int, measure_kl: bool):
        """The loss over the groups `used`, divided by the size of the whole mini-batch."""
        config, rows = self.config, self.rows_of(used)
        ids, mask, old = rollouts.tensors(rows)
        now = logp(self.model, questions, ids, mask, config.group, config.temperature)  # (N, T)
        ref = None
        if config.beta > 0 or (measure_kl and (self.adapted or self.reference is not None)):
            with torch.no_grad():
                ref = self.reference_logp(questions, ids, mask)
        weight = advantage[used].view(len(rows), -1)[:, :mask.shape[1]]  # (N, 1) or (N, T)
        return grpo_loss(now, old, weight, mask, ref, config.clip, config.beta, config.loss,
                         self.task.max_new, total)

    def rows_of(self, questions: list[int]) -> Tensor:
        return torch.arange(self.config.prompts * self.config.group).view(
            -1, self.config.group)[questions].flatten()

    def reference_logp(self, questions, ids: Tensor, mask: Tensor) -> Tensor:
        own = self.reference is None  # the adapter switched off
        with lora.reference(self.model) if own else nullcontext(self.reference) as start:
            return logp(start, questions, ids, mask, self.config.group, self.config.temperature)

    def descend(self, loss: Tensor) -> None:
        left = 1 - self.done if self.config.schedule == "linear" else 1.0
        self.optimizer.param_groups[0]["lr"] = self.config.lr * left
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained.values(), self.config.grad_clip)
        self.optimizer.step()

    def save(self) -> None:
        if self.path is not None:
            save_state({
                "config": asdict(self.config), "step": self.step, "samples": self.samples,
                "seconds": self.seconds, "history": self.history,
                "generator": self.generator.get_state(),
                "optimizer": self.optimizer.state_dict(),
                "weights": {n: p.detach() for n, p in self.trained.items()}}, self.path)

    def load(self) -> None:
        state = load_state(self.path, asdict(self.config), self.model.device)
        self.step, self.samples, self.seconds = state["step"], state["samples"], state["seconds"]
        self.history = state["history"]
        self.generator.set_state(state["generator"].cpu())
        self.optimizer.load_state_dict(state["optimizer"])
        set_weights(self.trained, state["weights"])


def draw(items: list, count: int, seed: int, step: int) -> list:
    """The items of rollout batch `step`: every item once per epoch, in an order per epoch."""
    places = range(step * count, (step + 1) * count)
    order = {}
    for epoch in {place // len(items) for place in places}:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        order[epoch] = torch.randperm(len(items), generator=generator).tolist()
    return [items[order[place // len(items)][place % len(items)]] for place in places]
