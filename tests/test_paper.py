"""Numbers quoted from the paper agree with each other."""

import pytest

from rlvr_lite import paper


@pytest.mark.parametrize("model", paper.TEXT_GAME)
def test_overall_is_the_weighted_mean_of_its_parts(model):
    """Each row of table 1 must follow from its subsets, up to the paper's own rounding."""
    unchanged, changed, overall = paper.TEXT_GAME[model]
    share = paper.TEST_UNCHANGED / paper.TEST_ROWS
    assert share * unchanged + (1 - share) * changed == pytest.approx(overall, abs=0.05)


def test_do_nothing():
    assert paper.do_nothing() == pytest.approx(59.04, abs=0.005)


def test_most_of_the_gain_is_on_unchanged_transitions():
    gain = paper.gain("RLVR, task-specific reward, 1.5B", "SFT (MLE), 1.5B")
    share = paper.TEST_UNCHANGED / paper.TEST_ROWS
    assert gain["overall"] == pytest.approx(30.37, abs=0.005)
    assert share * gain["unchanged"] > 5 * (1 - share) * gain["changed"]


@pytest.mark.parametrize("way, method, printed", [
    ("open", "SIMPLER-VM", 17.0), ("open", "MLE", 22.6), ("open", "RLVR", 12.4),
    ("close", "SIMPLER-VM", 17.9), ("close", "MLE", 15.3), ("close", "RLVR", 8.9)])
def test_gaps_of_the_policies_are_those_the_paper_prints(way, method, printed):
    table = paper.POLICIES[way]
    gaps = [abs(a - b) for a, b in zip(table[method], table["real"])]
    assert len(gaps) == len(paper.STAGES)
    assert sum(gaps) / len(gaps) == pytest.approx(printed, abs=0.11)


def test_rows_agree_with_the_published_file():
    from rlvr_lite.worlds import bytesized32

    assert bytesized32.TEST_ROWS == paper.TEST_ROWS
