"""Drawings and tables: what they say is true of the state, and readable without colour."""

import matplotlib
import pytest

matplotlib.use("Agg")

from rlvr_lite import show  # noqa: E402
from rlvr_lite.checks.report import call, one_line  # noqa: E402
from rlvr_lite.figure import png  # noqa: E402
from rlvr_lite.worlds.text_game import step, transitions  # noqa: E402


def flat(boxes):
    for box in boxes:
        yield box
        yield from flat(box.children)


@pytest.fixture(scope="module")
def data():
    return transitions("train", 160, seed=3)


def test_methods_have_names_for_readers():
    for method, name in (("mle_continued", "MLE, continued"), ("group=4", "groups of 4"),
                         ("prompts=8,group=2", "8 questions, groups of 2"),
                         ("lr=0.001", "learning rate 0.001"), ("rows=8", "rows=8"),
                         ("rlvr_ssim", "rlvr ssim")):
        assert show.method_name(method) == name


def test_every_object_is_drawn_once_and_in_its_place(data):
    for t in data[:40]:
        drawn = list(flat(show.boxes(t.state)))
        assert sorted(b.title for b in drawn) == sorted(t.state.things)
        for box in drawn:
            assert [c.title for c in box.children] == t.state.things[box.title].contains


def test_marks_say_what_happened(data):
    seen = set()
    for t in data:
        before = {b.title: b for b in flat(show.boxes(t.state, t.next_state, later=False))}
        after = {b.title: b for b in flat(show.boxes(t.next_state, t.state))}
        for name, box in after.items():
            old, new = t.state.things.get(name), t.next_state.things[name]
            assert (box.mark == "new") == (old is None)
            if old is not None and old.values != new.values:
                assert box.mark in ("changed", "moved")
                assert "\u2192" in " ".join(box.lines)
            seen.add(box.mark)
        for name, box in before.items():
            assert (box.mark == "removed") == (name not in t.next_state.things)
            assert "\u2192" not in " ".join(box.lines)
            seen.add(box.mark)
    assert seen >= {"", "changed", "new", "removed"}


def test_marks_differ_by_line_not_by_colour_alone():
    styles = {mark: style[1:] for mark, style in show.draw_states.__globals__["STYLES"].items()}
    assert len({styles[m] for m in ("", "changed", "new", "removed")}) == 4


def test_unchanged_state_has_no_marks(data):
    state = data[0].state
    assert {b.mark for b in flat(show.boxes(state, state.copy()))} == {""}


def test_figures_fit_the_page(data):
    t = next(t for t in data if len(t.ticks) > 3)
    figures = [show.draw_states([t.state, t.next_state], ["before", "after"]),
               show.token_strip(["a", " b"] * 60, list(range(120))),
               show.over_ticks({"temp": [1, 2, 3], "motor": [0, 1, 1]}, bands={"temp": (1, 2)}),
               show.histogram({"a": [20, 21, 22], "b": [500, 700, 600]}, "tokens", log=True),
               show.curves({"a": ([1, 2], [3, 4]), "b": ([1, 2], [3, 4], [2, 3], [4, 5])}, "x",
                           "y", flat={"do nothing": 2.5})]
    for figure in figures:
        assert len(png(figure)) < 60_000


def test_bad_input_says_what_to_do(data):
    with pytest.raises(ValueError, match="titles"):
        show.draw_states([data[0].state], [])
    with pytest.raises(ValueError, match="series 'a'"):
        show.curves({"a": ([1], [1, 2])}, "x", "y")
    with pytest.raises(ValueError, match="columns"):
        show.table(["a"], [[1, 2]])


RESULT = {"experiment": "demo", "title": "Demo", "provenance": {"seeds": [0, 1, 2]}, "rows": [
    {"method": "mle", "decoding": "greedy", "subset": "all", "metric": "exact", "mean": 0.5,
     "low": 0.4, "high": 0.6},
    {"method": "rlvr", "decoding": "greedy", "subset": "all", "metric": "exact", "mean": 0.7,
     "low": 0.65, "high": 0.75}]}


def test_result_table_holds_the_numbers_of_the_result(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    show.result_table(RESULT, subsets=("all", "changed"))
    text, page = shown[0]["text/plain"], shown[0]["text/html"]
    assert "50.0 [40.0, 60.0]" in text and "70.0 [65.0, 75.0]" in page
    assert "changed" in text and '<th scope="col">' in page and "<caption>" in page
    assert page.count("<tr>") == 3


def test_html_is_escaped():
    assert "&lt;eos&gt;" in show.table_html(["<a>"], [["<eos>"]])
    assert "<eos>" not in show.table_html(["<a>"], [["<eos>"]])


def test_result_bars_need_a_row():
    assert show.result_bars(RESULT, ["mle", "rlvr"], ["all"]).axes[0].patches
    with pytest.raises(KeyError):
        show.result_bars(RESULT, ["nothing"], ["all"])


def test_interval_text():
    row = {"mean": 0.0712, "low": -0.01, "high": 0.15}
    assert show.interval_text(row, sign=True) == "+7.1 [-1.0, +15.0]"
    assert show.interval_text(row, percent=False) == "0.071 [-0.010, 0.150]"


def test_numbers_are_aligned_to_the_right():
    lines = show.table_text(["name", "n"], [["a", "1"], ["b", "10"]]).splitlines()
    assert lines[2].endswith(" 1") and lines[3].endswith("10")


def test_check_speaks_one_line(capsys):
    @one_line("doubled")
    def double(answer):
        return None if call(answer, 2) == 4 else "double(2) should be 4"

    for answer in (lambda x: 2 * x, lambda x: x, lambda x: ..., lambda x: None, lambda x: 1 / 0):
        double(answer)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["ok", "wrong", "not done yet",
                                                      "not done yet", "wrong"]


def test_drawing_does_not_touch_the_state(data):
    t = data[5]
    before = t.state.canonical()
    show.draw_states([t.state, step(t.state, "wait 2").next_state], ["a", "b"])
    assert t.state.canonical() == before


def test_a_running_mean_looks_back_only():
    rows = [{"reward": v} for v in (1.0, 3.0, 5.0, 7.0)]
    assert show.running_mean(rows, "reward", width=1) == [1.0, 2.0, 4.0, 6.0]
    assert show.running_mean(rows, "reward", width=9) == [1.0, 2.0, 3.0, 4.0]
