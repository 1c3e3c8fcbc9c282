"""Checks of chapter 10: pass@N, the lowest of N, the share of a gain that a control explains."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "pass_at": '''\
from math import comb


def pass_at(right, samples, n):
    return 1 - comb(samples - right, n) / comb(samples, n)
''',
    "lowest_of": '''\
from math import comb


def lowest_of(values, n):
    values, m = sorted(values), len(values)
    ways = [comb(m - 1 - i, n - 1) for i in range(m)]
    return sum(v * w for v, w in zip(values, ways)) / comb(m, n)
''',
    "explained": '''\
def explained(base, control, tuned):
    return (base - control) / (base - tuned)
''',
}

COMB = "from math import comb\n\n\n"

WRONG = {
    "pass_at": [
        # drawn with replacement: too low
        "def pass_at(right, samples, n):\n    return 1 - (1 - right / samples) ** n\n",
        # the chance that all n are right
        COMB + "def pass_at(right, samples, n):\n"
        "    return comb(right, n) / comb(samples, n)\n",
        # the chance that none is
        COMB + "def pass_at(right, samples, n):\n"
        "    return comb(samples - right, n) / comb(samples, n)\n",
        # the expected number of right ones
        "def pass_at(right, samples, n):\n    return min(1.0, n * right / samples)\n",
        # was there any right one among all samples?
        "def pass_at(right, samples, n):\n    return float(right > 0)\n",
    ],
    "lowest_of": [
        # the lowest of all, whatever n is
        "def lowest_of(values, n):\n    return min(values)\n",
        # the first n only: right on average, but it throws samples away
        "def lowest_of(values, n):\n    return min(values[:n])\n",
        # blocks of n: not all draws
        "def lowest_of(values, n):\n"
        "    blocks = [values[i:i + n] for i in range(0, len(values) - n + 1, n)]\n"
        "    return sum(map(min, blocks)) / len(blocks)\n",
        # the highest
        COMB + "def lowest_of(values, n):\n"
        "    values, m = sorted(values, reverse=True), len(values)\n"
        "    ways = [comb(m - 1 - i, n - 1) for i in range(m)]\n"
        "    return sum(v * w for v, w in zip(values, ways)) / comb(m, n)\n",
        # the mean of the n lowest
        "def lowest_of(values, n):\n    return sum(sorted(values)[:n]) / n\n",
        # drawn with replacement
        "def lowest_of(values, n):\n"
        "    values, m = sorted(values), len(values)\n"
        "    left = [(1 - i / m) ** n for i in range(m + 1)]\n"
        "    return sum(v * (a - b) for v, a, b in zip(values, left, left[1:]))\n",
    ],
    "explained": [
        # a share of the start, not of the gain
        "def explained(base, control, tuned):\n    return (base - control) / base\n",
        # a difference, not a share
        "def explained(base, control, tuned):\n    return (base - control) - (base - tuned)\n",
        # what is left over
        "def explained(base, control, tuned):\n"
        "    return (control - tuned) / (base - tuned)\n",
        # upside down
        "def explained(base, control, tuned):\n"
        "    return (base - tuned) / (base - control)\n",
        # signs lost: a control that makes things worse seems to explain something
        "def explained(base, control, tuned):\n"
        "    return abs(base - control) / abs(base - tuned)\n",
    ],
}


@one_line("what n samples are worth, from more samples than n")
def pass_at(answer: Callable) -> str | None:
    """Check `pass_at`."""
    for right, samples, n in ((2, 4, 1), (2, 4, 2), (1, 10, 5), (0, 10, 5), (7, 10, 4), (3, 6, 6),
                              (30, 100, 5)):
        expected = 1 - comb(samples - right, n) / comb(samples, n)
        found = float(call(answer, right, samples, n))
        if abs(found - expected) > 1e-9:
            return (f"{right} of {samples} samples right, n = {n}: expected {expected:.4f}, "
                    f"got {found:.4f}")
    return None


@one_line("the lowest of n, over all draws")
def lowest_of(answer: Callable) -> str | None:
    """Check `lowest_of`."""
    values = [0.4, 0.1, 0.9, 0.1, 0.5, 0.3]
    for n in range(1, 7):
        draws = [min(draw) for draw in combinations(values, n)]
        expected = sum(draws) / len(draws)
        found = float(call(answer, list(values), n))
        if abs(found - expected) > 1e-9:
            return (f"lowest of {n} of {values}: the mean over all {len(draws)} draws is "
                    f"{expected:.4f}, got {found:.4f}")
    return None


@one_line("a gain is compared with what costs nothing")
def explained(answer: Callable) -> str | None:
    """Check `explained`."""
    for base, control, tuned in ((10.0, 8.0, 6.0), (10.0, 10.0, 5.0), (0.5, 0.7, 0.9),
                                 (10.0, 11.0, 6.0), (10.0, 4.0, 6.0)):
        expected = (base - control) / (base - tuned)
        found = float(call(answer, base, control, tuned))
        if abs(found - expected) > 1e-9:
            return (f"base {base}, control {control}, tuned {tuned}: expected {expected:.2f}, "
                    f"got {found:.2f}")
    return None
