"""Numbers that are reported: means with intervals, paired differences, pass@k, best of k.

Every interval in the book is a 95 % percentile bootstrap that resamples training seeds *and*
test items together, so that it answers both "would another training run agree?" and "would
other questions agree?". Resampling S seeds understates how much seeds differ by (S - 1) / S; that
is made good, but with three seeds the intervals remain a little optimistic. A difference between
two methods is taken item by item and seed by seed before it is averaged (a paired comparison).
Differs from the paper: it reports single training runs; only its table of video has a spread, of
three sampling runs.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval, in the unit of the values."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(values, draws: int = 2000, seed: int = 0) -> Interval:
    """Mean and 95 % interval over seeds and items together.

    Args:
        values: (S, N) one row per training seed, one column per test item; or (N,).
        draws: number of bootstrap samples.
        seed: of the resampling.
    Raises:
        ValueError: there is nothing to average, or a value is not a number.
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))  # (S, N)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError("bootstrap needs a non-empty (seeds, items) table of finite numbers, "
                         f"got shape {table.shape}")
    rows, columns = _resampling(*table.shape, draws, seed)
    means = ((rows @ table) * columns).sum(1).clip(table.min(), table.max())  # (draws,)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(table.mean()), float(low), float(high))


@functools.lru_cache(maxsize=8)
def _resampling(seeds: int, items: int, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the seeds (draws, S) and of the items (draws, N) in every bootstrap sample.

    The weights of seeds are widened: a spread of S seeds is that of a sample, not of all seeds.
    A record asks for thousands of intervals of a few shapes, hence the cache.
    """
    rng = np.random.default_rng(seed)
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    if seeds > 1:
        rows = 1 / seeds + (rows - 1 / seeds) * np.sqrt(seeds / (seeds - 1))
    return rows, rng.multinomial(items, np.full(items, 1 / items), draws) / items


def paired_difference(a, b, draws: int = 2000, seed: int = 0) -> Interval:
    """Mean of a - b over the same seeds and items, with its interval; shapes as in `bootstrap`."""
    a, b = np.atleast_2d(np.asarray(a, float)), np.atleast_2d(np.asarray(b, float))
    if a.shape != b.shape:
        raise ValueError(f"a paired difference needs the same seeds and items on both sides, "
                         f"got {a.shape} and {b.shape}")
    return bootstrap(a - b, draws, seed)


def pass_at_k(right: int, samples: int, k: int) -> float:
    """Probability that at least one of k samples is right, estimated without bias.

    Args:
        right: how many of the drawn samples were right.
        samples: how many were drawn, at least k.
        k: size of the group.
    """
    if not 0 <= right <= samples or not 1 <= k <= samples:
        raise ValueError(f"need 0 <= right <= samples and 1 <= k <= samples, got right={right}, "
                         f"samples={samples}, k={k}")
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def expected_best(values, k: int, lower: bool = True):
    """Expected best value of k samples drawn without replacement, estimated without bias.

    Of m values in order, the best first, number i (from 0) is the best of the k in
    C(m - 1 - i, k - 1) of the C(m, k) possible draws. With values 0 and 1 and `lower=False` this
    is `pass_at_k`.

    Args:
        values: (..., m) what the m samples of each item are worth, m at least k.
        k: size of the group.
        lower: a smaller value is better.

    Returns:
        (...) one number per item.

    Raises:
        ValueError: k is not between 1 and m.
    """
    table = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    samples = table.shape[-1]
    if not 1 <= k <= samples:
        raise ValueError(f"need 1 <= k <= samples, got k={k} of {samples} samples")
    weights = [math.comb(samples - 1 - i, k - 1) / math.comb(samples, k) for i in range(samples)]
    return (table if lower else table[..., ::-1]) @ np.array(weights)
