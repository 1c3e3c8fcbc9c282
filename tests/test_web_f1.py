"""The two F1 rewards of the web world: the arithmetic of the paper's quirks, and properties."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_lite.tasks.web_f1 import SECTIONS, f1, parse, write

GOLD = {"new": ["[7] link 'Cart (1)'"], "deleted": [], "updated": ["[3] button 'Add' focused"]}
TEXT = write(GOLD)
NOTHING = write({})


def value(answer, truth=TEXT, mode="official"):
    return f1(answer, truth, mode)["reward"]


def test_text_form():
    assert TEXT == ("New items:\n[7] link 'Cart (1)'\n\nDeleted items:\nNone\n\n"
                    "Updated items:\n[3] button 'Add' focused")
    assert parse("I think so.\n [9] x\n" + TEXT) == {**GOLD, "deleted": ["None"]}
    assert parse("nothing to see") is None


def test_the_right_answer_scores_one():
    for mode in ("official", "strict"):
        assert f1(TEXT, TEXT, mode) | {"predicted": 0, "true": 0} == {
            "reward": 1, "f1": 1, "precision": 1, "recall": 1, "predicted": 0, "true": 0}


def test_all_none_earns_a_third_under_official_and_nothing_under_strict():
    assert value(NOTHING) == pytest.approx(1 / 3)
    assert value(NOTHING, mode="strict") == 0


def test_a_trailing_line_costs_a_seventh():
    assert 1 - value(TEXT + "\nDone.") == pytest.approx(1 / 7)
    assert 1 - value(TEXT + "\nDone.", mode="strict") == pytest.approx(1 / 5)


def test_repetition_is_free_under_official_only():
    spam = TEXT + "\n[3] button 'Add' focused" * 5
    assert value(spam) == 1
    assert value(spam, mode="strict") == pytest.approx(2 * (2 / 7) / (2 / 7 + 1))


def test_the_wrong_section_does_not_count():
    moved = write({"new": GOLD["updated"], "deleted": [], "updated": GOLD["new"]})
    assert value(moved) == pytest.approx(1 / 3)      # only the word None
    assert value(moved, mode="strict") == 0


def test_a_page_without_changes():
    assert value(NOTHING, NOTHING) == value(NOTHING, NOTHING, "strict") == 1
    empty = "New items:\nDeleted items:\nUpdated items:"
    assert value(empty, NOTHING) == 0                # nothing written, not even None
    assert value(empty, NOTHING, "strict") == 1
    assert value("", NOTHING) == value("", NOTHING, "strict") == value(None, NOTHING) == 0


def test_errors_of_the_caller():
    with pytest.raises(ValueError, match="one of"):
        f1(TEXT, TEXT, "lenient")
    with pytest.raises(ValueError, match="header"):
        f1(TEXT, "no sections")


LINES = st.lists(st.sampled_from(["[1] a", "[2] b", "[3] c"]), max_size=4)
ITEMS = st.fixed_dictionaries({s: LINES for s in SECTIONS})


@settings(max_examples=150, deadline=None)
@given(ITEMS, ITEMS)
def test_properties(a, b):
    for mode in ("official", "strict"):
        assert 0 <= value(a, b, mode) <= 1
        assert value(a, b, mode) == pytest.approx(value(b, a, mode))         # F1 is symmetric
        if any(a.values()):
            assert value(a, a, mode) == value(write(a), write(a), mode) == 1
    assert value(write(a), write(b), "strict") == value(a, b, "strict")
    assert (value(a, b, "strict") == 1) == all(sorted(a[s]) == sorted(b[s]) for s in SECTIONS)


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="New itemsDldUp:\n[1] a", max_size=80))
def test_any_text_is_a_legal_answer(text):
    for mode in ("official", "strict"):
        assert 0 <= value(text, TEXT, mode) <= 1
