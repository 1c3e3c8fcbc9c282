"""Finite scalar quantization: a picture's code without a codebook.

What: a vector of d numbers is squashed so that number i has L_i levels, and each is rounded;
    z_i -> round(tanh(z_i + shift) (L_i - 1) / 2 - offset)                  eq. (2.2)
Rounding has no gradient, so the gradient of what went in is used (straight through). The rounded
vector *is* the code: read as a number in mixed radix it has one of prod(L_i) values. Nothing is
learned here, so no code can die.
Source: Mentzer et al. 2023 (FSQ); RLVR-World appendix A.4 (levels 7 x 5 x 5 x 5 x 5 = 4,375).
Differs from the paper: 8 x 5 x 5 x 5 = 1,000 codes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LEVELS = (8, 5, 5, 5)


class FSQ(nn.Module):
    """Quantize the last dimension of a tensor.

    Args:
        levels: L_i, the number of values of each dimension; each at least 3.

    Raises:
        ValueError: no levels, or one below 3.
    """

    def __init__(self, levels: tuple[int, ...] = LEVELS):
        super().__init__()
        if not levels or min(levels) < 3:
            raise ValueError(f"every dimension needs at least 3 levels, got {levels}")
        self.levels = tuple(levels)
        self.codes = math.prod(levels)
        size = torch.tensor(levels, dtype=torch.float32)
        radix = torch.tensor([math.prod(levels[:i]) for i in range(len(levels))])
        for name, value in (("size", size), ("radix", radix)):
            self.register_buffer(name, value, persistent=False)

    @property
    def dim(self) -> int:
        return len(self.levels)

    def bound(self, z: Tensor) -> Tensor:
        """Squash dimension i into an interval that rounds to L_i whole numbers: (..., d)."""
        half = (self.size - 1) * (1 - 1e-3) / 2
        offset = (self.size.long() % 2 == 0) * 0.5  # an even number of levels has no middle
        shift = torch.atanh(offset / half)
        return torch.tanh(z + shift) * half - offset

    def forward(self, z: Tensor) -> Tensor:
        """Quantized values in [-1, 1], with the gradient of `bound`: (..., d) -> (..., d)."""
        bounded = self.bound(z)
        rounded = bounded + (bounded.round() - bounded).detach()  # straight through, eq. (2.2)
        return rounded / (self.size // 2)

    def index(self, quantized: Tensor) -> Tensor:
        """The code of quantized values, a number in mixed radix: (..., d) -> (...) long."""
        digits = (quantized * (self.size // 2)).round() + self.size // 2
        return (digits.long() * self.radix).sum(-1)

    def values(self, index: Tensor) -> Tensor:
        """The quantized values of a code: (...) long -> (..., d).

        Raises:
            ValueError: a code outside 0 ... codes - 1.
        """
        if index.numel() and (index.min() < 0 or index.max() >= self.codes):
            raise ValueError(f"codes must lie in 0 ... {self.codes - 1}")
        digits = index[..., None] // self.radix % self.size.long()
        return (digits - self.size // 2) / (self.size // 2)
