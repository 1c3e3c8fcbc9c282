"""Numbers as tokens: each dimension of an action is cut into 256 bins.

What: bin = floor(256 (a - low) / (high - low)), clipped; a bin stands for its middle.
All dimensions share the same 256 tokens; which dimension is meant, the place in the row tells.
Source: RLVR-World appendix A.4 (256 bins, range = smallest and largest value of the dataset).
Differs from the paper: the range may be a quantile of the data, because a single outlier would
squeeze all ordinary motions into a few bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 256


@dataclass(frozen=True)
class ActionBins:
    """Uniform bins for vectors of n numbers.

    Attributes:
        low, high: n bounds.
        bins: how many.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    bins: int = BINS

    def __post_init__(self):
        if len(self.low) != len(self.high) or not all(
                a < b for a, b in zip(self.low, self.high)) or self.bins < 2:
            raise ValueError("low and high need the same length, low below high, and at least 2 "
                             f"bins; got {self}")

    @classmethod
    def fit(cls, actions: np.ndarray, outliers: float = 0.0, bins: int = BINS) -> ActionBins:
        """Ranges of data (N, n), without a share `outliers` at each end.

        Raises:
            ValueError: no data, or `outliers` not in [0, 0.5).
        """
        if len(actions) == 0 or not 0 <= outliers < 0.5:
            raise ValueError("fit needs actions, and outliers in [0, 0.5)")
        low, high = np.quantile(actions, [outliers, 1 - outliers], axis=0)
        return cls(tuple(low.tolist()), tuple(np.maximum(high, low + 1e-6).tolist()), bins)

    def encode(self, actions: np.ndarray) -> np.ndarray:
        """(..., n) numbers -> (..., n) bins, int64."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        share = (np.asarray(actions, dtype=np.float64) - low) / (high - low)
        return np.clip(np.floor(share * self.bins), 0, self.bins - 1).astype(np.int64)

    def decode(self, ids: np.ndarray) -> np.ndarray:
        """(..., n) bins -> (..., n) numbers: the middle of each bin."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return low + (np.asarray(ids) + 0.5) / self.bins * (high - low)
