"""The per-frame tokenizer: a 64x64 picture as a small grid of codes, and back.

What: a convolutional autoencoder with FSQ in the middle. Every frame is coded on its own, so a
frame costs 64 tokens (8x8 grid) or 16 (4x4), however little has moved.
Source: RLVR-World section 6.1 and appendix A.4 (per-frame tokenizer, 16x20 = 320 tokens).
Differs from the paper: a fraction of the width, no adversarial loss, LPIPS with AlexNet.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rlvr_lite.tokenizers.fsq import FSQ, LEVELS


def to_tensor(frames) -> Tensor:
    """Frames (N, H, W, 3) uint8 -> (N, 3, H, W) float in [0, 1]."""
    frames = np.array(frames)  # a copy: PyTorch warns of arrays that may not be written
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255


def to_uint8(images: Tensor):
    """Images (N, 3, H, W) in [0, 1] -> frames (N, H, W, 3) uint8, as numpy array."""
    return (images.detach().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


class Block(nn.Module):
    """x + conv(silu(norm(conv(silu(norm x))))), all at the same size."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Up(nn.Module):
    """Twice the size: nearest neighbour, then a convolution."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def to_pixels(width: int, channels: int) -> list[nn.Module]:
    """The last layers: (N, width, 16, 16) -> (N, channels, 64, 64), in two steps of 2 x 2."""
    return [nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 64, 3, padding=1),
            nn.PixelShuffle(2), nn.SiLU(),                              # (N, 16, 32, 32)
            nn.Conv2d(16, 4 * channels, 3, padding=1), nn.PixelShuffle(2)]


class Saved(nn.Module):
    """A tokenizer that can be written and read: safetensors beside its settings."""

    settings: dict

    def save(self, folder: str | Path) -> None:
        """Write weights (half precision: half the size, no visible difference) and settings."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights, settings = (folder / f"tokenizer.{kind}" for kind in ("safetensors", "json"))
        parts = [path.with_suffix(path.suffix + ".new") for path in (weights, settings)]
        save_file({k: v.half().contiguous() for k, v in self.state_dict().items()}, parts[0])
        parts[1].write_text(json.dumps(self.settings) + "\n")
        for part, path in zip(parts, (weights, settings)):
            os.replace(part, path)

    @classmethod
    def load(cls, folder: str | Path):
        """Read what `save` wrote, frozen, in eval mode.

        Raises:
            FileNotFoundError: there is none.
        """
        folder = Path(folder)
        if not (folder / "tokenizer.json").is_file():
            raise FileNotFoundError(f"no tokenizer in {folder}; `make checkpoints` builds it")
        found = cls(**json.loads((folder / "tokenizer.json").read_text()))
        state = load_file(folder / "tokenizer.safetensors")
        found.load_state_dict({k: v.float() for k, v in state.items()})
        return found.eval().requires_grad_(False)


class FrameTokenizer(Saved):
    """Frames <-> grids of codes.

    Args:
        grid: 8 or 4; a frame has grid * grid tokens.
        levels: of the quantizer.
        width: channels at 8x8; half of it at 16x16.

    Raises:
        ValueError: another grid.
    """

    def __init__(self, grid: int = 8, levels: tuple[int, ...] = LEVELS, width: int = 64):
        super().__init__()
        if grid not in (4, 8):
            raise ValueError(f"grid must be 4 or 8, got {grid}")
        self.settings = {"grid": grid, "levels": list(levels), "width": width}
        self.fsq, self.tokens, half = FSQ(tuple(levels)), grid * grid, width // 2
        down = [nn.Conv2d(width, width, 4, 2, 1), Block(width)] if grid == 4 else []
        up = [Up(width, width), Block(width)] if grid == 4 else []
        self.encoder = nn.Sequential(
            nn.Conv2d(3, half, 8, 4, 2), Block(half),                   # (N, C/2, 16, 16)
            nn.Conv2d(half, width, 4, 2, 1), Block(width), *down,       # (N, C, grid, grid)
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, len(levels), 1))
        self.decoder = nn.Sequential(
            nn.Conv2d(len(levels), width, 3, padding=1), Block(width), *up,
            Block(width), Up(width, half), Block(half), *to_pixels(half, channels=3))

    def forward(self, frames: Tensor) -> Tensor:
        """Encode, quantize and decode, with gradients: (N, 3, 64, 64) -> the same shape."""
        return self._decode(self.fsq(self.encoder(2 * frames - 1).movedim(1, -1)))

    def encode(self, frames: Tensor) -> Tensor:
        """(N, 3, 64, 64) in [0, 1] -> (N, grid * grid) codes, row by row."""
        return self.fsq.index(self.fsq(self.encoder(2 * frames - 1).movedim(1, -1))).flatten(1)

    def decode(self, codes: Tensor) -> Tensor:
        """(N, grid * grid) codes -> (N, 3, 64, 64) in [0, 1]."""
        grid = self.settings["grid"]
        return self._decode(self.fsq.values(codes.view(-1, grid, grid))).clamp(0, 1)

    def _decode(self, values: Tensor) -> Tensor:
        return self.decoder(values.movedim(-1, 1)) * 0.5 + 0.5
