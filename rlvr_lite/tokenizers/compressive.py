"""The compressive tokenizer: what is new in a frame, given an earlier one, in a few tokens.

What: robot video changes little from frame to frame, and the first frame of a clip is known.
So encoder and decoder both look at that *context frame* (cross-attention to its features), and
only what it does not tell has to pass through the codes: 4 or 16 tokens instead of 64. The
decoder paints a new picture and a mask, and keeps the context frame where nothing has changed,
    frame = mask * new + (1 - mask) * context                                eq. (2.3)
Source: RLVR-World appendix A.4 (80 tokens a frame given one of 1,280); iVideoGPT (Wu et al. 2024).
Differs from the paper: pixels of the context frame instead of its decoded tokens; the mask.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlvr_lite.tokenizers.frames import Block, Saved, Up, to_pixels
from rlvr_lite.tokenizers.fsq import FSQ, LEVELS


class CrossAttention(nn.Module):
    """x + attention from each place of x (8x8) to all places of the context (8x8)."""

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm_x, self.norm_c = nn.GroupNorm(8, width), nn.GroupNorm(8, width)
        self.place = nn.Parameter(0.02 * torch.randn(1, width, 8, 8))
        self.q, self.kv = nn.Conv2d(width, width, 1), nn.Conv2d(width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q = self.q(self.norm_x(x) + self.place)
        k, v = self.kv(self.norm_c(context) + self.place).chunk(2, 1)
        q, k, v = (z.flatten(2).unflatten(1, (self.heads, -1)).mT for z in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v)                 # (N, heads, 64, d)
        return x + self.out(mixed.mT.flatten(1, 2).unflatten(2, (8, 8)))


class CompressiveTokenizer(Saved):
    """Frames <-> a few codes each, given a context frame.

    Args:
        grid: 2 or 4; a frame has grid * grid tokens.
        levels: of the quantizer.
        width: channels at 8x8; half of it at 16x16.

    Raises:
        ValueError: another grid.
    """

    def __init__(self, grid: int = 2, levels: tuple[int, ...] = LEVELS, width: int = 64):
        super().__init__()
        if grid not in (2, 4):
            raise ValueError(f"grid must be 2 or 4, got {grid}")
        self.settings = {"grid": grid, "levels": list(levels), "width": width}
        self.fsq, self.tokens = FSQ(tuple(levels)), grid * grid
        half, twice = width // 2, 2 * width                 # at 16x16; at 4x4 and 2x2
        self.fine = nn.Sequential(nn.Conv2d(3, half, 8, 4, 2), Block(half))         # 16 x 16
        self.coarse = nn.Sequential(nn.Conv2d(half, width, 4, 2, 1), Block(width))  # 8 x 8
        self.encoder = nn.Sequential(nn.Conv2d(6, half, 8, 4, 2), Block(half),
                                     nn.Conv2d(half, width, 4, 2, 1), Block(width))
        self.look = CrossAttention(width)
        down = [nn.Conv2d(twice, twice, 4, 2, 1), Block(twice)] if grid == 2 else []
        up = [Up(twice, twice), Block(twice)] if grid == 2 else []
        self.to_code = nn.Sequential(
            nn.Conv2d(width, twice, 4, 2, 1), Block(twice), *down,      # (N, 2C, grid, grid)
            nn.GroupNorm(8, twice), nn.SiLU(), nn.Conv2d(twice, len(levels), 1))
        self.from_code = nn.Sequential(
            nn.Conv2d(len(levels), twice, 3, padding=1), Block(twice), *up, Block(twice),
            Up(twice, width))                                           # (N, C, 8, 8)
        self.look_back = CrossAttention(width)
        self.decoder = nn.Sequential(Block(width), Up(width, half))
        self.join = nn.Conv2d(width, half, 3, padding=1)
        self.paint = nn.Sequential(Block(half), *to_pixels(half, channels=4))

    def context(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What encoder and decoder need of the context frames; compute it once per clip.

        Args:
            frames: (N, 3, 64, 64) in [0, 1].

        Returns:
            The frames, and their features at 16x16 and at 8x8.
        """
        fine = self.fine(2 * frames - 1)
        return frames, fine, self.coarse(fine)

    def forward(self, frames: Tensor, context: Tensor) -> Tensor:
        """Encode, quantize and decode, with gradients; all (N, 3, 64, 64)."""
        known = self.context(context)
        return self._decode(self._values(frames, known), known)

    def encode(self, frames: Tensor, context) -> Tensor:
        """Frames (N, 3, 64, 64), given `context(...)` of as many -> (N, grid * grid) codes."""
        return self.fsq.index(self._values(frames, context)).flatten(1)

    def decode(self, codes: Tensor, context) -> Tensor:
        """(N, grid * grid) codes, given `context(...)` of as many -> (N, 3, 64, 64) in [0, 1]."""
        grid = self.settings["grid"]
        return self._decode(self.fsq.values(codes.view(-1, grid, grid)), context).clamp(0, 1)

    def _values(self, frames: Tensor, context) -> Tensor:
        known, _, coarse = context
        x = self.encoder(2 * torch.cat([frames, known], 1) - 1)         # (N, C, 8, 8)
        return self.fsq(self.to_code(self.look(x, coarse)).movedim(1, -1))  # (N, g, g, d)

    def _decode(self, values: Tensor, context) -> Tensor:
        known, fine, coarse = context
        x = self.look_back(self.from_code(values.movedim(-1, 1)) + coarse, coarse)
        x = self.join(torch.cat([self.decoder(x), fine], 1))            # (N, C/2, 16, 16)
        new, mask = self.paint(x).split([3, 1], 1)                      # (N, 3 and 1, 64, 64)
        mask = torch.sigmoid(mask)
        return mask * (0.5 * new + 0.5) + (1 - mask) * known            # eq. (2.3)
