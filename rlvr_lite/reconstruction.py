"""Training a video tokenizer: reconstruct frames, judged by L1 + LPIPS.

What: both tokenizers learn from pairs (frame, earlier frame of the same episode); the per-frame
one ignores the earlier frame. The weight of LPIPS rises over the first fifth of the steps: there
is little to perceive at the start, and joining at once would throw Adam off. Afterwards the
tokenizer is frozen: RLVR never touches it (section 4.2 of the paper), so its reconstruction error
is a *floor* for every world model built on it.
Source: RLVR-World appendix A.4 (L1 and perceptual loss, weight 1 each).
Differs from the paper: no adversarial loss; minutes instead of hundreds of GPU hours.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rlvr_lite.mle import load_state, save_state
from rlvr_lite.perceptual import Perceptual
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer, to_tensor

Tokenizer = FrameTokenizer | CompressiveTokenizer


@dataclass
class ReconstructionConfig:
    """Settings of `train_tokenizer`.

    Attributes:
        steps, batch: updates, and frames of each.
        lr: highest learning rate; warm-up of 50 updates, then a cosine down to 0.
        lpips_ramp: share of the steps over which the weight of LPIPS rises from 0 to 1.
        seed: of the pairs.
        log_every: updates between two history rows and checkpoints.
    """

    steps: int = 1500
    batch: int = 32
    lr: float = 1e-3
    lpips_ramp: float = 0.2
    seed: int = 0
    log_every: int = 100

    def __post_init__(self):
        if min(self.steps, self.batch, self.log_every) < 1 or self.lr <= 0:
            raise ValueError("steps, batch and log_every must be at least 1, lr above 0; got "
                             f"{self}")


def pairs(episodes: list[np.ndarray], count: int, generator: np.random.Generator,
          ) -> tuple[Tensor, Tensor]:
    """Random frames and an earlier frame of the same episode, (count, 3, 64, 64) each.

    Args:
        episodes: arrays (E, F, 64, 64, 3) uint8; every episode is as likely.
    """
    sizes = np.array([len(e) for e in episodes])
    frames, contexts = [], []
    for place in generator.integers(0, sizes.sum(), count):
        which = int(np.searchsorted(sizes.cumsum(), place, side="right"))
        episode = episodes[which][place - sizes[:which].sum()]
        context, frame = np.sort(generator.integers(0, len(episode), 2))
        frames.append(episode[frame])
        contexts.append(episode[context])
    return to_tensor(np.stack(frames)), to_tensor(np.stack(contexts))


def reconstruct(tokenizer: Tokenizer, frames: Tensor, context: Tensor) -> Tensor:
    """Encode and decode, with gradients; the per-frame tokenizer needs no context."""
    if isinstance(tokenizer, CompressiveTokenizer):
        return tokenizer(frames, context)
    return tokenizer(frames)


def reconstruction_loss(tokenizer: Tokenizer, frames: Tensor, context: Tensor,
                        perceptual: Perceptual) -> dict[str, Tensor]:
    """{"l1", "lpips"}: L1 on all frames, LPIPS on the first half of them."""
    found = reconstruct(tokenizer, frames, context)
    half = math.ceil(len(frames) / 2)
    return {"l1": (found - frames).abs().mean(),
            "lpips": perceptual(found[:half], frames[:half]).mean()}


def train_tokenizer(tokenizer: Tokenizer, episodes: list[np.ndarray],
                    config: ReconstructionConfig, perceptual: Perceptual,
                    folder: str | Path | None = None,
                    log: Callable[[str], None] | None = print) -> list[dict]:
    """Train in place; the tokenizer is left in eval mode, frozen.

    Args:
        tokenizer: a fresh one.
        episodes: arrays (E, F, 64, 64, 3) uint8 of the training split.
        config: the settings.
        perceptual: LPIPS.
        folder: checkpoints go here, and a run that finds one goes on from it.
        log: gets one line per history row; None: silence.

    Returns:
        History: {"step", "l1", "lpips", "cpu_seconds"} (means since the last row).
    """
    optimizer = torch.optim.AdamW(tokenizer.parameters(), lr=config.lr, betas=(0.9, 0.99),
                                  weight_decay=1e-4)
    path = Path(folder) / "reconstruction_state.pt" if folder is not None else None
    history, seconds, step = [], 0.0, 0
    if path is not None and path.is_file():
        state = load_state(path, asdict(config), "cpu")
        tokenizer.load_state_dict(state["weights"])
        optimizer.load_state_dict(state["optimizer"])
        history, seconds, step = state["history"], state["seconds"], state["step"]
    tokenizer.train().requires_grad_(True)
    while step < config.steps:
        start, sums = time.process_time(), {}
        for _ in range(min(config.log_every, config.steps - step)):
            generator = np.random.default_rng([config.seed, step])
            losses = reconstruction_loss(tokenizer, *pairs(episodes, config.batch, generator),
                                         perceptual)
            weight = min(1.0, step / max(1.0, config.lpips_ramp * config.steps))
            warm = min(1.0, (step + 1) / 50)
            for group in optimizer.param_groups:
                group["lr"] = config.lr * warm * 0.5 * (
                    1 + math.cos(math.pi * step / config.steps))
            optimizer.zero_grad()
            (losses["l1"] + weight * losses["lpips"]).backward()
            torch.nn.utils.clip_grad_norm_(tokenizer.parameters(), 1.0)
            optimizer.step()
            step += 1
            for name, value in losses.items():
                sums.setdefault(name, []).append(value.item())
        seconds += time.process_time() - start
        history.append({"step": step, **{n: float(np.mean(v)) for n, v in sums.items()},
                        "cpu_seconds": seconds})
        if log:
            log(" | ".join(f"{k} {v:.4g}" for k, v in history[-1].items()))
        if path is not None:
            save_state({"config": asdict(config), "weights": tokenizer.state_dict(),
                        "optimizer": optimizer.state_dict(), "history": history,
                        "seconds": seconds, "step": step}, path)
    tokenizer.eval().requires_grad_(False)
    return history
