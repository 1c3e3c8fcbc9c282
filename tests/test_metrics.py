"""Intervals: hand-computed cases, coverage, pairing, errors."""

import numpy as np
import pytest

from rlvr_lite.metrics import bootstrap, paired_difference, pass_at_k


def test_constant_values_have_no_spread():
    result = bootstrap(np.full((3, 50), 0.25))
    assert result.mean == 0.25
    assert result.low == pytest.approx(0.25) and result.high == pytest.approx(0.25)


def test_coverage_is_near_95_percent():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        interval = bootstrap(rng.random((1, 200)) < 0.3, draws=400, seed=trial)
        hits += interval.low <= 0.3 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99


def test_seeds_widen_the_interval():
    rng = np.random.default_rng(1)
    items = (rng.random((1, 400)) < 0.5).astype(float).repeat(4, 0)
    apart = np.clip(items + np.array([[-0.3], [-0.1], [0.1], [0.3]]), -1, 2)
    same = bootstrap(items)
    wide = bootstrap(apart)
    assert wide.high - wide.low > 2 * (same.high - same.low)


def test_a_paired_difference_cancels_what_both_share():
    rng = np.random.default_rng(2)
    base = rng.random((3, 300))
    paired = paired_difference(base + 0.1, base)
    assert paired.mean == pytest.approx(0.1) and paired.low == pytest.approx(0.1)


def test_pass_at_k_is_the_share_of_groups_with_a_hit():
    # 2 right of 4, groups of 2: of the 6 pairs only one holds no right sample
    assert pass_at_k(2, 4, 2) == pytest.approx(5 / 6)
    assert pass_at_k(0, 8, 8) == 0 and pass_at_k(1, 8, 8) == 1


@pytest.mark.parametrize("call", [
    lambda: bootstrap([]), lambda: bootstrap([[1.0, float("nan")]]),
    lambda: paired_difference([1, 2], [1, 2, 3]), lambda: pass_at_k(1, 4, 5)])
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError):
        call()
