"""Maximum likelihood: teach a model the gold answers, token by token.

What: minimise -log p(answer | question), the mean over all answer tokens of a batch; AdamW,
warm-up and cosine, gradient clipping, the weights that validate best are kept.
Source: RLVR-World section 4.2, J = sum_t log p(o_t | q, o_<t).
Differs from the paper: rows of one length share a batch, which saves the padding; whole training
runs take a minute, so a checkpoint holds everything that is needed to go on bit for bit.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from rlvr_lite.model import logp, pad

Pair = tuple  # question ids, answer ids, and (where not all count) a bool per answer token


@dataclass
class MLEConfig:
    """Settings of `train_mle`.

    Attributes:
        steps: updates in all.
        batch: pairs per update.
        lr: highest learning rate.
        warmup: updates over which the learning rate rises.
        schedule: "cosine" (down to 0) or "constant".
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        seed: seed of the order of the data.
        validate_every: updates between two history rows.
        patience: stop after so many validations without a new best; None: never.
    """

    steps: int = 1000
    batch: int = 32
    lr: float = 3e-3
    warmup: int = 50
    schedule: str = "cosine"
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    validate_every: int = 100
    patience: int | None = None

    def __post_init__(self):
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f'schedule must be "cosine" or "constant", got {self.schedule!r}')
        if min(self.batch, self.validate_every) < 1 or self.steps < 0 or self.lr <= 0:
            raise ValueError("batch and validate_every must be at least 1, steps at least 0, "
                             f"lr above 0; got {self}")


def learning_rate(step: int, config: MLEConfig) -> float:
    """The learning rate of update `step` (counted from 0)."""
    warm = min(1.0, (step + 1) / max(1, config.warmup))
    if config.schedule == "constant":
        return config.lr * warm
    return config.lr * warm * 0.5 * (1 + math.cos(math.pi * step / max(1, config.steps)))


def batches(lengths: list[int], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch: rows of similar length together, in random order.

    The data are shuffled, cut into pools of 16 batches, and sorted by length within each pool.
    The result depends on its arguments only, so a resumed run sees the same batches.

    Args:
        lengths: tokens of every row.
        batch: rows per batch.
        seed: seed of the run.
        epoch: 0, 1, 2, ...

    Returns:
        Lists of row numbers; every row once, the last batch may be short.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    found = []
    for start in range(0, len(order), 16 * batch):
        pool = sorted(order[start:start + 16 * batch], key=lambda i: lengths[i])
        found += [pool[i:i + batch] for i in range(0, len(pool), batch)]
    return [found[i] for i in torch.randperm(len(found), generator=generator).tolist()]


def mle_loss(model, pairs: list[Pair]) -> Tensor:
    """Mean negative log-probability of all answer tokens of a batch, in nats per token."""
    ids, mask = pad([pair[1] for pair in pairs], side="right")          # (B, T)
    if len(pairs[0]) == 3:  # some tokens of the answers are given, not predicted
        mask &= pad([pair[2] for pair in pairs], side="right")[0].bool()
    each = logp(model, [pair[0] for pair in pairs], ids, mask)          # (B, T)
    return -each.sum() / mask.sum()


def train_mle(model, pairs: list[Pair], config: MLEConfig,
              validate: Callable[..., dict[str, float]] | None = None, best: str | None = None,
              folder: str | Path | None = None,
              log: Callable[[str], None] | None = print) -> list[dict]:
    """Train on (question, answer) pairs.

    Args:
        model: any model of this book; what requires gradients is trained, in place.
        pairs: ids of questions and answers; answers end with `<eos>`.
        config: the settings.
        validate: model -> numbers; called before the first and after every `validate_every`
            updates.
        best: name of a validated number to maximise: the model ends with the weights that had
            the best one (the start weights take part).
        folder: checkpoints go here, and a run that finds one goes on from it.
        log: gets one line per history row; None: silence.

    Returns:
        History: {"step", "loss" (mean since the last row), "lr", "cpu_seconds" (training only),
        and the validated numbers}.

    Raises:
        ValueError: no pairs, an empty answer, `best` without `validate`, or a checkpoint of a run
            with other settings.
    """
    if not pairs or not all(pair[1] for pair in pairs):
        raise ValueError("pairs must hold at least one pair, and no answer may be empty")
    if best is not None and validate is None:
        raise ValueError("best needs validate, which measures it")
    if config.patience is not None and best is None:
        raise ValueError("patience waits for a better `best`: name one")
    run = _Run(model, config, validate, best, folder, log)
    lengths = [len(pair[0]) + len(pair[1]) for pair in pairs]
    per_epoch = math.ceil(len(pairs) / config.batch)
    epoch, plan = -1, []
    if run.step == 0 and validate:
        run.row(float("nan"))
    while run.step < config.steps and not run.out_of_patience():
        start, total = time.process_time(), 0.0
        for _ in range(min(config.validate_every, config.steps - run.step)):
            if run.step // per_epoch != epoch:
                epoch = run.step // per_epoch
                plan = batches(lengths, config.batch, config.seed, epoch)
            total += run.update([pairs[i] for i in plan[run.step % per_epoch]])
        run.seconds += time.process_time() - start
        run.row(total / (run.step - run.history_step()))
        run.save()
    run.finish()
    return run.history


class _Run:
    """Everything that changes during training; it can be saved and read back."""

    def __init__(self, model, config, validate, best, folder, log):
        self.model, self.config, self.validate, self.best, self.log = (
            model, config, validate, best, log)
        self.path = Path(folder) / "mle_state.pt" if folder is not None else None
        self.trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
        self.step, self.seconds, self.stale = 0, 0.0, 0
        self.history: list[dict] = []
        self.best_value, self.best_weights = -math.inf, None
        if self.path is not None and self.path.is_file():
            self.load()

    def history_step(self) -> int:
        return self.history[-1]["step"] if self.history else 0

    def update(self, batch: list[Pair]) -> float:
        """One step of AdamW; returns the loss before it."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.config)
        loss = mle_loss(self.model, batch)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained.values(), self.config.clip)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def row(self, loss: float) -> None:
        """Validate, remember the best weights, write a history row."""
        row = {"step": self.step, "loss": loss, "lr": learning_rate(self.step, self.config),
               "cpu_seconds": self.seconds}
        if self.validate:
            row |= self.validate(self.model)
        if self.best is not None:
            if self.best not in row:
                raise ValueError(f"validate returned {sorted(row)}, not best={self.best!r}")
            self.stale += 1
            if row[self.best] > self.best_value:
                self.best_value, self.stale = row[self.best], 0
                self.best_weights = {n: p.detach().clone() for n, p in self.trained.items()}
        self.history.append(row)
        if self.log:
            shown = [f"{k} {v:.4g}" for k, v in row.items() if k not in ("lr", "cpu_seconds")]
            self.log(" | ".join(shown))

    def out_of_patience(self) -> bool:
        return self.config.patience is not None and self.stale >= self.config.patience

    def finish(self) -> None:
        if self.best_weights is not None:
            set_weights(self.trained, self.best_weights)

    def save(self) -> None:
        if self.path is None:
            return
        state = {"config": asdict(self.config), "step": self.step, "seconds": self.seconds,
                 "stale": self.stale, "history": self.history, "best_value": self.best_value,
                 "best_weights": self.best_weights, "optimizer": self.optimizer.state_dict(),
                 "weights": {n: p.detach() for n, p in self.trained.items()}}
        save_state(state, self.path)

    def load(self) -> None:
        state = load_state(self.path, asdict(self.config), self.model.device)
        self.step, self.seconds, self.stale = state["step"], state["seconds"], state["stale"]
        self.history, self.best_value = state["history"], state["best_value"]
        self.best_weights = state["best_weights"]
        self.optimizer.load_state_dict(state["optimizer"])
        set_weights(self.trained, state["weights"])


@torch.no_grad()
def set_weights(parameters: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    """Copy values into parameters, by name."""
    for name, value in values.items():
        parameters[name].copy_(value)


def save_state(state: dict, path: Path) -> None:
    """Write a checkpoint atomically: a kill leaves the old one or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    torch.save(state, new)
    os.replace(new, path)


def load_state(path: Path, config: dict, device) -> dict:
    """Read a checkpoint of a run with the same settings.

    Raises:
        ValueError: if it belongs to other settings.
    """
    state = torch.load(path, map_location=device, weights_only=True)
    if state["config"] != config:
        other = {k for k in config if config[k] != state["config"].get(k)}
        raise ValueError(f"{path} belongs to a run with other settings ({', '.join(sorted(other))}"
                         "); use another folder, or delete it")
    return state
