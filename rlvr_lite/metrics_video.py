"""Errors of predicted frames: L1, MSE, PSNR, SSIM, LPIPS.

What: `frame_errors` compares groups of predicted frames with the recorded ones, each frame on its
own. Pixels lie in [0, 1]; PSNR is in dB; SSIM (window 11) and LPIPS have no unit.
Source: RLVR-World section 6.1 and table 3 (MSE, PSNR, SSIM, LPIPS).
Differs from the paper: LPIPS with AlexNet; SSIM from `pytorch-msssim`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlvr_lite.perceptual import Perceptual

NAMES = ("l1", "mse", "psnr", "ssim", "lpips")


def frame_errors(frames: Tensor, truth: Tensor, lpips: Perceptual | None,
                 names: tuple[str, ...] = NAMES) -> dict[str, Tensor]:
    """Every asked metric of every frame.

    Args:
        frames: (G, F, 3, H, W) predicted, G guesses of the same F frames.
        truth: (F, 3, H, W) recorded.
        lpips: the perceptual distance; its features of the truth are computed once.
        names: some of `NAMES`.

    Returns:
        name -> (G, F).

    Raises:
        ValueError: shapes that do not fit, or an unknown name.
    """
    if frames.shape[1:] != truth.shape or set(names) - set(NAMES):
        raise ValueError(f"frames {tuple(frames.shape)} must be (G, *{tuple(truth.shape)}) and "
                         f"names some of {', '.join(NAMES)}; got {names}")
    found, gap = {}, frames - truth
    if "l1" in names:
        found["l1"] = gap.abs().mean((2, 3, 4))
    if {"mse", "psnr"} & set(names):
        mse = gap.square().mean((2, 3, 4))
        found["mse"], found["psnr"] = mse, psnr(mse)
    if "ssim" in names:
        found["ssim"] = ssim(frames.flatten(0, 1), truth.repeat(len(frames), 1, 1, 1)).view(
            frames.shape[:2])
    if "lpips" in names:
        found["lpips"] = _lpips(frames, truth, lpips)
    return {name: found[name] for name in names}


def psnr(mse: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of a mean square error of pixels in [0, 1]."""
    return -10 * torch.log10(mse.clamp(min=1e-8))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of image pairs: (N, 3, H, W), (N, 3, H, W) -> (N,)."""
    from pytorch_msssim import ssim as library

    return library(a, b, data_range=1.0, size_average=False)


def _lpips(frames: Tensor, truth: Tensor, lpips: Perceptual, batch: int = 128) -> Tensor:
    """(G, F) distances; the features of the truth are shared by the guesses."""
    target = lpips.features(truth)                                       # F rows
    flat, rows = frames.flatten(0, 1), torch.arange(len(truth)).repeat(len(frames))
    found = [lpips.distance(lpips.features(flat[at:at + batch]),
                            [f[rows[at:at + batch]] for f in target])
             for at in range(0, len(flat), batch)]
    return torch.cat(found).view(frames.shape[:2])
