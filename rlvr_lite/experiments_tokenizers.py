"""The video tokenizers: trained, compared, shipped.

Four of them, each frozen afterwards: per-frame codes on an 8x8 or 4x4 grid, and compressive codes
(given an earlier frame) on a 4x4 or 2x2 grid. What is reported is the *floor*: how well a frame
survives the round trip, on episodes that no tokenizer has seen.

    python -m rlvr_lite.experiments_tokenizers video_tokenizers --seeds 0 --folder runs
    python -m rlvr_lite.experiments_tokenizers video_tokenizers --summarise --folder runs

Source: RLVR-World appendix A.4 (both tokenizers).
Differs from the paper: one seed of each, as everything else is built on that one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from rlvr_lite.experiments import Comparison, Run
from rlvr_lite.experiments_lab import Laboratory, Record, log_of, run_folder
from rlvr_lite.metrics_video import frame_errors
from rlvr_lite.perceptual import perceptual
from rlvr_lite.reconstruction import ReconstructionConfig, reconstruct, train_tokenizer
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer, to_tensor
from rlvr_lite.worlds.robot_video import TASKS, episodes

KINDS: dict[str, Callable] = {
    "frames8": functools.partial(FrameTokenizer, 8),
    "frames4": functools.partial(FrameTokenizer, 4),
    "compressive4": functools.partial(CompressiveTokenizer, 4),
    "compressive2": functools.partial(CompressiveTokenizer, 2),
}
# context and frame, as recorded frames: how far apart they are
GAPS = {"gap of 2 frames": (10, 12), "gap of 8 frames": (4, 12), "gap of 20 frames": (0, 20)}


@dataclass(frozen=True)
class TokenizerStudy:
    """What the four tokenizers share: data, loss, number of updates."""

    name: str = "video_tokenizers"
    title: str = "Video tokenizers: what survives the round trip"
    training: ReconstructionConfig = field(
        hash=False, default_factory=lambda: ReconstructionConfig(steps=2000))
    claim: str | None = None
    paper: dict = field(hash=False, default_factory=dict)


def tokenizer_run(study: TokenizerStudy, seed: int, folder: Path, kind: str) -> Run:
    """Train one tokenizer on all training episodes and measure its floor on the test split."""
    place = run_folder(study.name, kind, seed, folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = KINDS[kind]()
    history = train_tokenizer(tokenizer, [episodes(t, "train").frames for t in TASKS],
                              replace(study.training, seed=seed), perceptual(), place,
                              log_of(study, kind, seed))
    tokenizer.save(place / "tokenizer")
    frames, context, masks = test_pairs()
    scores, codes = floor_of(tokenizer, frames, context)
    used = np.bincount(codes.flatten(), minlength=tokenizer.fsq.codes)
    share = used[used > 0] / used.sum()
    run = Run(kind, seed, {"test": {"greedy": scores}}, {"test": masks})
    run.history = history
    run.cost = {"steps": history[-1]["step"], "cpu_seconds": history[-1]["cpu_seconds"],
                "samples": history[-1]["step"] * study.training.batch}
    run.notes = {"tokens": tokenizer.tokens, "codes": tokenizer.fsq.codes,
                 "codes_used": int((used > 0).sum()),
                 "perplexity": float(np.exp(-(share * np.log(share)).sum())),
                 "parameters": sum(p.numel() for p in tokenizer.parameters())}
    return run


def test_pairs() -> tuple[torch.Tensor, torch.Tensor, dict[str, list[int]]]:
    """Frames and context frames of every test episode, at each gap, and which is which."""
    frames, contexts, gaps, tasks = [], [], [], []
    for task in TASKS:
        found = episodes(task, "test")
        for gap, (context, frame) in GAPS.items():
            frames.append(found.frames[:, frame])
            contexts.append(found.frames[:, context])
            gaps += [gap] * len(found)
            tasks += [task] * len(found)
    masks = {g: [int(x == g) for x in gaps] for g in GAPS}
    masks |= {t: [int(x == t) for x in tasks] for t in TASKS}
    return to_tensor(np.concatenate(frames)), to_tensor(np.concatenate(contexts)), masks


@torch.no_grad()
def floor_of(tokenizer, frames: torch.Tensor, context: torch.Tensor,
             batch: int = 60) -> tuple[dict[str, list[float]], np.ndarray]:
    """Errors of the round trip, one value per frame, and all codes (N, n)."""
    rows: dict[str, list[float]] = {}
    codes = []
    for at in range(0, len(frames), batch):
        truth, known = frames[at:at + batch], context[at:at + batch]
        if isinstance(tokenizer, CompressiveTokenizer):
            codes.append(tokenizer.encode(truth, tokenizer.context(known)))
        else:
            codes.append(tokenizer.encode(truth))
        found = reconstruct(tokenizer, truth, known).clamp(0, 1)
        for name, value in frame_errors(found[None], truth, perceptual()).items():
            rows.setdefault(name, []).extend(value[0].tolist())
    return rows, torch.cat(codes).numpy()


def copy_context(study: TokenizerStudy, seed: int, folder: Path) -> Run:
    """No tokenizer: show the context frame instead."""
    frames, context, masks = test_pairs()
    rows: dict[str, list[float]] = {}
    for at in range(0, len(frames), 60):
        errors = frame_errors(context[None, at:at + 60], frames[at:at + 60], perceptual())
        for name, value in errors.items():
            rows.setdefault(name, []).extend(value[0].tolist())
    return Run("trivial", seed, {"test": {"greedy": rows}}, {"test": masks})


def comparisons(methods: list[str]) -> list[Comparison]:
    """Only the two with equally many tokens are rivals."""
    rivals = ("compressive4", "frames4")
    return [Comparison(*rivals, ("greedy",))] if set(rivals) <= set(methods) else []


METHODS: dict[str, Callable[..., Run]] = {
    "trivial": copy_context,
    **{kind: functools.partial(tokenizer_run, kind=kind) for kind in KINDS}}
LAB = Laboratory(
    {"video_tokenizers": TokenizerStudy()}, METHODS,
    {"video_tokenizers": Record("video_tokenizers", tuple(METHODS),
                                metrics=("lpips", "l1", "psnr", "ssim"))},
    comparisons, metric="lpips")


if __name__ == "__main__":
    LAB.main(__doc__.split("\n")[0])
