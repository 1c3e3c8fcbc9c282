"""The results page says what results/*.json say, and its verdicts follow from intervals."""

import copy
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import make_results_page as maker  # noqa: E402

ROW = {"method": "mle", "decoding": "greedy", "subset": "changed", "metric": "exact",
       "mean": 0.7342, "low": 0.71, "high": 0.75, "per_seed": [0.73, 0.74], "n": 400}
RESULT = {
    "experiment": "text_demo", "claim": "text_changed", "title": "A demonstration",
    "rows": [ROW, ROW | {"method": "rlvr", "mean": 0.9, "low": 0.88, "high": 0.92},
             ROW | {"subset": "test/changed"}, ROW | {"method": "trivial", "mean": 0, "low": 0,
                                                      "high": 0}],
    "differences": [{"a": "rlvr", "b": control, "decoding": "greedy", "subset": "changed",
                     "metric": "exact", "mean": 0.1658, "low": 0.12, "high": 0.2}
                    for control in ("mle", "mle_continued", "mle_gold_answers")],
    "cost": [{"method": "rlvr", "steps": 200, "samples": 25600, "cpu_seconds": 300.4}],
    "paper": {"sft": {"changed": 24.21}, "unit": "% exact"},
    "provenance": {"date": "2026-01-01", "commit": "abc1234", "device": "a CPU", "seeds": [0, 1],
                   "versions": {"torch": "2.13.0"}}}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "text_demo.json").write_text(json.dumps(RESULT))
    (tmp_path / "notebook_times.json").write_text('{"01_worlds": 9}')
    return tmp_path


def test_committed_page_is_current():
    text = (ROOT / "book" / "results.md").read_text("utf-8")
    assert maker.page(text, ROOT / "results") == text, "run python tools/make_results_page.py"


def test_numbers_of_the_result_are_on_the_page(folder):
    text = maker.page(f"a\n{maker.START}\nstale\n{maker.END}\nb\n", folder)
    for part in ("73.4 [71.0, 75.0]", "90.0 [88.0, 92.0]", "+16.6 [+12.0, +20.0]", "reproduced.",
                 "ahead", "25,600", "300", "24.2", "abc1234", "text_changed", "do nothing"):
        assert part in text, part
    assert "stale" not in text and text.startswith("a\n") and text.endswith("b\n")
    assert "test/changed" not in text and "01_worlds" not in text
    assert maker.page(text, folder) == text


def test_a_changed_number_changes_the_page(folder):
    before = maker.page(f"{maker.START}{maker.END}", folder)
    other = copy.deepcopy(RESULT)
    other["rows"][0]["mean"] = 0.7352
    (folder / "text_demo.json").write_text(json.dumps(other))
    assert maker.page(f"{maker.START}{maker.END}", folder) != before


@pytest.mark.parametrize("metric, low, high, word", [
    ("exact", .01, .2, "reproduced"), ("exact", -.01, .2, "direction only"),
    ("exact", -.2, .01, "not reproduced"), ("exact", -.2, -.1, "not reproduced"),
    ("lpips_greedy", -.2, -.1, "reproduced"), ("lpips_greedy", -.2, .1, "direction only"),
    ("lpips_greedy", .1, .2, "not reproduced"), ("exact", 0, .1, "direction only")])
def test_verdict_follows_from_the_interval(metric, low, high, word):
    difference = {"metric": metric, "low": low, "high": high, "mean": (low + high) / 2}
    assert maker.verdict([difference]) == word
    sure = difference | {"metric": "exact", "low": .1, "high": .2, "mean": .15}
    assert maker.verdict([sure, difference]) == word, "a claim is as good as its weakest part"
    assert maker.reading(difference) == (
        "ahead" if word == "reproduced" else
        "behind" if maker.gain(difference)[2] < 0 else "not decided")


def test_all_claims_come_first_with_the_comparison_that_decides(folder):
    result = copy.deepcopy(RESULT)
    result["differences"][1] |= {"mean": 0.02, "low": -0.01}
    result["paper"]["rlvr"] = {"changed": 33.14}
    (folder / "text_demo.json").write_text(json.dumps(result))
    text = maker.page(f"{maker.START}{maker.END}", folder)
    row = next(line for line in text.splitlines() if "](#result-text-demo)" in line)
    assert text.index(row) < text.index("(result-text-demo)=\n## A demonstration")
    for part in ("| +8.9 |", "| +16.6 [+12.0, +20.0], greedy |", "**direction only**, 2 seeds |",
                 "| minus MLE, continued: +2.0 [-1.0, +20.0], greedy |"):
        assert part in row, part


def test_one_result_may_decide_two_claims(tmp_path):
    fewer = {"metric": "repetition", "mean": -0.1, "low": -0.2, "high": 0.05}
    result = video([gap(d, -0.02, -0.03, -0.01) | more for d in ("sampled", "best")
                    for more in ({}, fewer)])
    (tmp_path / "video_demo.json").write_text(json.dumps(result))
    text = maker.page(f"{maker.START}{maker.END}", tmp_path)
    assert "**Claim `video_lpips_multi`: reproduced.**" in text
    assert "**Claim `video_repetition`: direction only.** RLVR on *all*, in points: " in text
    rows = [line for line in text.splitlines() if "](#result-video-demo)" in line]
    assert ["**reproduced**" in row for row in rows] == [True, False]


def headline(name: str) -> tuple[maker.Headline, dict]:
    line = next(h for h in maker.HEADLINES if h.result == name)
    return line, json.loads((ROOT / "results" / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("line", maker.HEADLINES, ids=lambda line: line.result)
def test_headlines_of_the_paper_follow_from_its_tables(line):
    """Its introduction and its tables differ by 0.35 at most; ours stands beside each."""
    if line.claimed is not None:
        said = line.gain(line.before, line.after - line.before)
        assert said == pytest.approx(line.claimed, abs=0.35)
    assert maker.our_gain(*headline(line.result))


def test_a_relative_gain_is_relative_to_mle():
    line, record = headline("video_multi")
    row = {r["method"]: r["mean"] for r in record["rows"] if r["decoding"] == "sampled"
           and r["subset"] == "all" and r["metric"] == "lpips"}
    gain = 100 * (row["rlvr"] / row["mle"] - 1)
    assert maker.our_gain(line, record).startswith(f"**{gain:+.1f} %** [")
    line, record = headline("web_pages")
    row = {r["method"]: r["mean"] for r in record["rows"] if r["decoding"] == "greedy"
           and r["subset"] == "all" and r["metric"] == "official"}
    gain = 100 * (row["rlvr"] - row["mle"])
    assert maker.our_gain(line, record).startswith(f"**{gain:+.1f} points** [")


def test_the_headlines_come_first_and_only_where_we_have_the_result(folder):
    page = (ROOT / "book" / "results.md").read_text("utf-8")
    assert page.index("## The paper's headlines") < page.index("## All claims")
    assert "headlines" not in maker.page(f"{maker.START}{maker.END}", folder)


def test_the_papers_f1_stands_beside_our_official_one():
    record = json.loads((ROOT / "results" / "web_pages.json").read_text("utf-8"))
    lines = maker.paper_part(record)
    heads = [cell.strip() for cell in lines[2].split("|")]
    cells = [cell.strip() for cell in next(x for x in lines if x.startswith("| RLVR ")).split("|")]
    row = {r["metric"]: r["mean"] for r in record["rows"] if r["method"] == "rlvr"
           and r["decoding"] == "greedy" and r["subset"] == "all"}
    for head, metric in (("ours, official f1", "official"), ("ours, strict f1", "f1")):
        assert cells[heads.index(head)] == f"{100 * row[metric]:.1f}"
    assert "ours, f1" not in heads


def test_a_claim_of_two_results_says_which(folder):
    (folder / "text_other.json").write_text(json.dumps(
        RESULT | {"experiment": "text_other", "title": "Another one"}))
    rows = [line for line in maker.page(f"{maker.START}{maker.END}", folder).splitlines()
            if "](#result-text-" in line]
    assert len(rows) == 2 and "(A demonstration)]" in rows[0] and "(Another one)]" in rows[1]


def test_a_result_points_to_its_further_controls():
    page = (ROOT / "book" / "results.md").read_text("utf-8")
    section = page.split("(result-text-serial)=")[1].split("\n(result-")[0]
    assert "[`text_teacher`](#result-text-teacher)" in section
    assert maker.see_also({"experiment": "text_serial"}, ["text_serial"]) == []


def test_every_claim_has_words():
    assert maker.GAINS.keys() == maker.CLAIMS.keys()


def test_what_is_not_the_headline_is_folded(folder):
    result = RESULT | {"rows": RESULT["rows"] + [ROW | {"metric": "official"},
                                                 ROW | {"decoding": "best"}]}
    (folder / "text_demo.json").write_text(json.dumps(result))
    text = maker.page(f"{maker.START}{maker.END}", folder)
    shown, folded = text.split(":::{dropdown} Other metrics and decodings")
    assert "`exact` (%), greedy" in shown and "Paired differences" in shown
    assert "`official` (%), greedy" in folded and "`exact` (%), best" in folded
    assert text.count(":::{") == text.count(":::\n")


def test_policies_are_compared_by_their_distance_from_reality():
    """More success inside the world model is no merit."""
    page = (ROOT / "book" / "results.md").read_text("utf-8")
    assert "Paired differences of `gap`" in page and "Paired differences of `agree`" in page
    section = page.split("(result-policy-evaluation)=")[1].split("\n## ")[1]
    assert "Paired differences of `success`" not in section
    assert "lower is better" in section


def test_tables_are_rectangular(folder):
    text = maker.page(f"{maker.START}{maker.END}", folder)
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in rows}) <= 1, block


def test_a_page_without_markers_says_so(folder):
    with pytest.raises(ValueError, match="needs the lines"):
        maker.page("no markers", folder)


@pytest.mark.parametrize("result, subset, readings", [
    ("text_natural", "all", {"mle": "ahead", "mle_gold_answers": "not decided"}),
    ("text_natural", "changed", {"mle": "behind", "mle_gold_answers": "not decided"}),
    ("text_natural", "unchanged", {"mle": "ahead"}),
    ("text_serial", "changed", {"mle": "ahead", "mle_continued": "ahead",
                                "mle_gold_answers": "ahead"})])
def test_what_the_tour_says_of_the_results_holds(result, subset, readings):
    """The tour and the lab notes tell in words who is ahead: the results must say the same."""
    record = json.loads((ROOT / "results" / f"{result}.json").read_text("utf-8"))
    found = {d["b"]: maker.reading(d) for d in record["differences"]
             if d["a"] == "rlvr" and d["subset"] == subset and d["decoding"] == "greedy"
             and d["metric"] == "exact"}
    assert {b: found[b] for b in readings} == readings


def video(differences: list[dict]) -> dict:
    row = {"method": "mle", "decoding": "sampled", "subset": "all", "metric": "lpips",
           "mean": 0.1, "low": 0.09, "high": 0.11, "per_seed": [0.1], "n": 180}
    rows = [row | {"decoding": d, "method": m, "metric": k, "mean": v, "low": v, "high": v}
            for d in ("sampled", "best") for m, lpips in (("mle", 0.1), ("rlvr", 0.08))
            for k, v in (("lpips", lpips), ("mse", 0.00412), ("psnr", 24.5), ("ssim", 0.87),
                         ("repetition", 0.25), ("lpips_1", 0.05))]
    return RESULT | {"experiment": "video_demo", "claim": "video_lpips_multi", "rows": rows,
                     "differences": differences,
                     "paper": {"mle": {"lpips": 14.8, "repetition": 48.6}, "unit": "x 100"}}


def gap(decoding: str, mean: float, low: float, high: float) -> dict:
    return {"a": "rlvr", "b": "mle", "decoding": decoding, "subset": "all", "metric": "lpips",
            "mean": mean, "low": low, "high": high}


@pytest.mark.parametrize("best, word", [
    (gap("best", -0.01, -0.015, -0.002), "reproduced"),
    (gap("best", -0.01, -0.02, 0.001), "direction only"),
    (gap("best", 0.01, 0.005, 0.02), "not reproduced")])
def test_a_video_claim_needs_both_decodings_and_lower_is_better(tmp_path, best, word):
    result = video([gap("sampled", -0.02, -0.03, -0.01), best])
    (tmp_path / "video_demo.json").write_text(json.dumps(result))
    text = maker.page(f"{maker.START}{maker.END}", tmp_path)
    assert f"**Claim `video_lpips_multi`: {word}.**" in text
    assert "sampled, -2.00 [-3.00, -1.00] (-20.0 %)" in text
    for part in ("0.412 [0.412, 0.412]", "24.50 [", "87.0 [", "25.0 [", "`lpips` (x 100)", "48.6"):
        assert part in text, part
    assert "lpips_1" not in text  # curves belong into the chapter
