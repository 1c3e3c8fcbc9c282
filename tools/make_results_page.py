"""Write the tables of book/results.md from results/*.json.

    python tools/make_results_page.py            renew the page
    python tools/make_results_page.py --check    fail if the page is not what the results say

Everything between the two markers of the page is generated: the gains that the paper puts first
beside ours, all claims in one table, then for each result its rows with intervals, the verdict on
its claim, paired differences, what it cost, the paper's numbers beside ours, and where it comes
from. What is not the headline of a result is folded. Nothing is judged by hand: a difference is
read off its interval ("ahead", "behind", "not decided"), and a claim is "reproduced" where the
whole interval of each difference it needs is on the good side of 0, "direction only" where all
means are but an interval reaches over 0, "not reproduced" otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from project import ROOT, write_atomically

from rlvr_lite import paper, show
from rlvr_lite.show import method_name as name
from rlvr_lite.show import subset_name

sys.path.insert(0, str(ROOT / "book" / "_ext"))

from recorded_numbers import interval, is_share, scale_of, unit  # noqa: E402

PAGE = ROOT / "book" / "results.md"
START, END = "<!-- generated: start -->", "<!-- generated: end -->"
LOWER_IS_BETTER = ("lpips", "mse", "l1", "nll", "repetition", "gap", "still", "regret", "object",
                   "hand")
FIRST = ("text_serial", "text_natural", "text_bytesized32", "web_pages", "web_few_mistakes",
         "web_demonstrations", "web_planning", "web_planning_mistakes",
         "web_planning_one_step", "video_multi",
         "video_lora", "video_small", "video_single", "video_small_single", "policy_evaluation",
         "video_planning", "video_planning_training", "video_ranking")
CLAIMS = {  # what RLVR has to beat, on which subset, in which metric, under which decodings
    "text_published": (("mle",), "all", "exact", ("greedy",)),
    "text_accuracy": (("mle",), "all", "exact", ("greedy",)),
    "text_changed": (("mle", "mle_continued", "mle_gold_answers"), "changed", "exact",
                     ("greedy",)),
    "web_f1": (("mle", "mle_continued"), "all", "f1", ("greedy", "sampled", "best")),
    "web_f1_mistakes": (("mle", "mle_continued"), "all", "f1", ("greedy", "sampled", "best")),
    "web_mpc": (("mle", "policy"), "all", "success", ("greedy",)),
    **{claim: (("mle", "mle_continued", "policy"), "all", "success", ("greedy",))
       for claim in ("web_mpc_mistakes", "web_mpc_one_step")},
    "policy_evaluation": (("mle",), "all", "gap", ("greedy", "sampled")),
    "video_planning": (("mle",), "all", "success", ("greedy",)),
    "video_lpips_single": (("mle",), "all", "lpips", ("sampled", "best")),
    "video_lpips_multi": (("mle",), "all", "lpips", ("sampled", "best")),
    "video_lpips_lora": (("mle",), "all", "lpips", ("sampled", "best")),
    "video_lpips_few": (("mle", "mle_continued", "mle_to_the_end"), "all", "lpips",
                        ("greedy", "sampled", "best")),
    "video_lpips_few_single": (("mle", "mle_continued"), "all", "lpips",
                               ("greedy", "sampled", "best")),
    "video_repetition": (("mle",), "all", "repetition", ("sampled", "best"))}
FURTHER = {"video_lpips_multi": ("video_repetition",)}  # claims that the same result decides
GAINS = {  # the same in words
    "text_published": "the paper's text games: more questions answered exactly",
    "text_accuracy": "text game: more questions answered exactly",
    "text_changed": "text game: more changed states answered exactly",
    "web_f1": "web pages: a higher F1 of what changes",
    "web_f1_mistakes": "the same, base from demonstrations and few mistakes: a higher F1",
    "web_mpc": "web agent: more tasks solved by planning",
    "web_mpc_mistakes": "the same, models of demonstrations and few mistakes: more tasks solved",
    "web_mpc_one_step": "the same models, one step ahead: more tasks solved",
    "policy_evaluation": "robot policies: judged more as in reality",
    "video_planning": "robot video: more tasks solved by planning",
    "video_lpips_single": "robot video, one frame ahead: frames nearer to the truth",
    "video_lpips_multi": "robot video, several frames ahead: frames nearer to the truth",
    "video_lpips_lora": "the same with LoRA: frames nearer to the truth",
    "video_lpips_few": "the same from few episodes: frames nearer to the truth",
    "video_lpips_few_single": "few episodes, one frame ahead: frames nearer to the truth",
    "video_repetition": "robot video: fewer repeated frames"}
# what a result does not hold of the paper: RLVR minus MLE, in points
PAPER_GAINS = {
    "text_changed": paper.gain("RLVR, binary reward, 1.5B", "SFT (MLE), 1.5B")["changed"],
    "policy_evaluation": paper.policy_gap("RLVR") - paper.policy_gap("MLE")}
SEE_ALSO = {  # a result -> another one with more controls, and what they are
    "text_serial": ("text_teacher", "Traces of a teacher that slips, as they come and filtered "
                    "by the verifier, at less time for every method")}


@dataclass(frozen=True)
class Headline:
    """A gain that the paper puts first, and where ours stands, by the paper's own scoring.

    Attributes:
        words, table: what it is about, and the paper's table.
        before, after: MLE and RLVR in that table, in percent (LPIPS x 100).
        claimed: the gain as the paper's introduction says it; None: it says none.
        relative: in percent of `before`, else in points.
        result, method, metric, decoding: ours, on all items, minus MLE.
    """

    words: str
    table: int
    before: float
    after: float
    claimed: float | None
    relative: bool
    result: str
    method: str
    metric: str
    decoding: str

    def gain(self, before: float, difference: float) -> float:
        """A difference in the unit of the headline."""
        return 100 * difference / before if self.relative else difference


HEADLINES = (
    Headline("text games, accuracy with the task-specific reward", 1,
             *(paper.TEXT_GAME[m][2] for m in ("SFT (MLE), 1.5B",
                                               "RLVR, task-specific reward, 1.5B")),
             paper.TEXT_GAIN, False, "text_bytesized32", "rlvr_task_specific", "official",
             "greedy"),
    Headline("web pages, F1", 2, paper.WEB["mle"][2], paper.WEB["rlvr"][2],
             paper.WEB_GAIN["f1"], False, "web_pages", "rlvr", "official", "greedy"),
    Headline("web agent, tasks solved", 2, paper.WEB["mle"][3], paper.WEB["rlvr"][3],
             paper.WEB_GAIN["success"], True, "web_planning", "rlvr", "success", "greedy"),
    Headline("robot video, LPIPS several frames ahead", 3, paper.VIDEO["multi"]["mle"][4],
             paper.VIDEO["multi"]["rlvr"][4], -paper.VIDEO_GAIN["multi"], True, "video_multi",
             "rlvr", "lpips", "sampled"),
    Headline("robot policies, gap between judgement and reality", 13, paper.policy_gap("MLE"),
             paper.policy_gap("RLVR"), None, False, "policy_evaluation", "rlvr", "gap",
             "sampled"))
COMPARED = {"policy_evaluation": ("gap", "agree")}  # elsewhere the headline metric alone
LONG = 16  # a longer table of differences is folded
WIDE = 4  # a result with more metrics shows them side by side
SUBSETS = ("all", "changed", "unchanged", "visible", "hidden", "unseen", "demonstrated", "other",
           "failure", "combinations", "layouts", "families", "held_out")
# of a benchmark, what is worth a table here; chapter 10 explains the rest
BENCHED = ("ratio", "seconds", "milliseconds", "tokens_per_second", "peak_mib", "achieved",
           "memory_ratio", "lpips_share")


def results(folder: Path) -> list[dict]:
    """All results in reading order; files without rows (measured times) are left out."""
    found = [json.loads(p.read_text("utf-8")) for p in sorted(folder.glob("*.json"))]
    found = [r for r in found if "rows" in r]
    order = {name: i for i, name in enumerate(FIRST)}
    return sorted(found, key=lambda r: (order.get(r["experiment"], len(FIRST)), r["experiment"]))


def fold(title: str, lines: list[str]) -> list[str]:
    """Lines that a click shows; nothing where there are none."""
    return [f":::{{dropdown}} {title}", *lines, ":::", ""] if lines else []


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table."""
    head, rows = list(head), [list(row) for row in rows]
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
            *("| " + " | ".join(row) + " |" for row in rows), ""]


def gain(difference: dict) -> tuple[float, float, float]:
    """Mean, low and high with the sign that makes more better."""
    low, high, mean = difference["low"], difference["high"], difference["mean"]
    if lower_is_better(difference["metric"]):
        return -mean, -high, -low
    return mean, low, high


def reading(difference: dict) -> str:
    """What an interval says about the first method."""
    return show.reading(difference, lower_is_better=lower_is_better(difference["metric"]))


def verdict(differences: Iterable[dict]) -> str:
    """What the intervals of all needed differences say about a claimed gain."""
    gains = [gain(d) for d in differences]
    if all(low > 0 for _, low, _ in gains):
        return "reproduced"
    return "direction only" if all(mean > 0 for mean, _, _ in gains) else "not reproduced"


# ---- the parts of one result -----------------------------------------------------------------


def in_order(labels: Iterable[str]) -> list[str]:
    """Known subsets first, in their usual order; then the others as they come."""
    labels = list(dict.fromkeys(labels))
    return [s for s in SUBSETS if s in labels] + [s for s in labels if s not in SUBSETS]


def claims(result: dict) -> list[str]:
    """The claims that a result decides, its headline first."""
    claim = result.get("claim")
    return [claim, *FURTHER.get(claim, ())] if claim in CLAIMS else []


def headline(result: dict) -> str:
    """The metric of the claim; without a claim the first one."""
    metrics = metrics_of(result)
    claimed = CLAIMS.get(result.get("claim"), (None, None, None))[2]
    return claimed if claimed in metrics else metrics[0]


def metrics_of(result: dict) -> list[str]:
    """What is worth a table here; the json has what else there is for diagnosis."""
    metrics = dict.fromkeys(r["metric"] for r in result["rows"])
    if is_benchmark(result):
        return [m for m in metrics if m in BENCHED]
    return [m for m in metrics if m not in ("same", "length", "readable")]


def rows_parts(result: dict) -> tuple[list[str], list[str]]:
    """Tables to show, which are those of the headline metric, and tables to fold.

    Where there are many metrics, the others stand side by side for all items."""
    first, metrics = headline(result), metrics_of(result)
    shown, folded = [], []
    if len(metrics) > WIDE and not is_benchmark(result):
        folded = metrics_part(result)
        metrics = list(dict.fromkeys([first, metrics[0]]))
    for metric in metrics:
        for decoding in dict.fromkeys(r["decoding"] for r in result["rows"]):
            part = shown if metric == first and decoding != "best" else folded
            part += subsets_table(result, metric, decoding)
    return shown, folded


def subsets_table(result: dict, metric: str, decoding: str) -> list[str]:
    """Methods down, subsets across."""
    rows = [r for r in result["rows"] if r["metric"] == metric and r["decoding"] == decoding]
    subsets = [s for s in in_order(r["subset"] for r in rows) if "/" not in s and ", " not in s]
    cells = {(r["method"], r["subset"]): interval(r) for r in rows}
    methods = dict.fromkeys(r["method"] for r in rows)
    head, body = ["method", *map(subset_name, subsets)], [
        [name(m), *(cells.get((m, s), "–") for s in subsets)] for m in methods]
    if is_benchmark(result) and len(subsets) > len(methods):
        head, body = ["case", *map(name, methods)], [
            [subset_name(s), *(cells.get((m, s), "–") for m in methods)] for s in subsets]
    title = f"**`{metric}`{scale_of(metric)}, {decoding}**"
    return [title, "", *table(head, body)] if body else []


def is_benchmark(result: dict) -> bool:
    """A measurement of speed: its rows have repeats, not test items and seeds."""
    return result["experiment"].startswith("bench_")


def metrics_part(result: dict) -> list[str]:
    """Methods down, metrics across, all items; one table for each decoding."""
    lines, metrics = [], [m for m in dict.fromkeys(r["metric"] for r in result["rows"])
                          if "_" not in m]
    for decoding in dict.fromkeys(r["decoding"] for r in result["rows"]):
        cells = {(r["method"], r["metric"]): interval(r) for r in result["rows"]
                 if r["decoding"] == decoding and r["subset"] == "all"}
        methods = dict.fromkeys(m for m, _ in cells)
        body = [[name(m), *(cells.get((m, metric), "–") for metric in metrics)] for m in methods]
        lines += [f"**All metrics, {decoding}**", "",
                  *table(["method", *(f"`{m}`{scale_of(m)}" for m in metrics)], body)]
    return lines


def relative(difference: dict, result: dict) -> str:
    """A difference in percent of the second method's mean."""
    base = [r["mean"] for r in result["rows"] if r["method"] == difference["b"]
            and all(r[k] == difference[k] for k in ("decoding", "subset", "metric"))]
    return f"{100 * difference['mean'] / base[0]:+.1f} %" if base and base[0] else "–"


def lower_is_better(metric: str) -> bool:
    return metric.startswith(LOWER_IS_BETTER)


def points(metric: str) -> str:
    """The unit of a difference."""
    return "points" if is_share(metric) else f"`{metric}`{scale_of(metric)}"


def differences_part(result: dict, metric: str) -> list[str]:
    """Paired differences of a metric, each read off its interval; many are folded."""
    decodings = ("greedy", "sampled") if is_share(metric) else ("greedy", "sampled", "best")
    found = [d for d in result.get("differences", []) if d["metric"] == metric
             and d["decoding"] in decodings and d["subset"] in SUBSETS
             and d["subset"] != "unchanged"]
    if not found:
        return []
    extra = [] if is_share(metric) else ["relative"]
    body = [[f"{name(d['a'])} − {name(d['b'])}", d["decoding"], subset_name(d["subset"]),
             interval(d, True), *(relative(d, result) for _ in extra), reading(d)] for d in found]
    better = ", lower is better" if lower_is_better(metric) else ""
    title = f"Paired differences of `{metric}`"
    remark = f"({points(metric)}{better}; the last column is about the first of the two)"
    rows = table(["difference", "decoding", "subset", "mean [95 %]", *extra, "reading"], body)
    if len(body) > LONG:
        return fold(f"{title}, {len(body)} rows", [remark, "", *rows])
    return [f"**{title}** {remark}", "", *rows]


def needed(result: dict, claim: str) -> list[dict]:
    """The differences that a claim needs; none where one of them is missing."""
    others, subset, metric, decodings = CLAIMS[claim]
    found = {(d["b"], d["decoding"]): d for d in result.get("differences", [])
             if d["a"] == "rlvr" and d["subset"] == subset and d["metric"] == metric}
    keys = [(o, d) for o in others for d in decodings]
    return [found[key] for key in keys] if set(keys) <= found.keys() else []


def claim_part(result: dict, claim: str) -> list[str]:
    """A claim, what it needs, and the verdict."""
    differences = needed(result, claim)
    if not differences:
        return []
    _, subset, metric, _ = CLAIMS[claim]
    parts = "; ".join(f"minus {name(d['b'])}, {d['decoding']}, {interval(d, True)}"
                      + ("" if is_share(metric) else f" ({relative(d, result)})")
                      for d in differences)
    return [f"**Claim `{claim}`: {verdict(differences)}.** RLVR on "
            f"*{subset}*, in {points(metric)}: {parts}.", ""]


def papers_gain(result: dict, claim: str) -> str:
    """RLVR minus likelihood training in the paper, in its unit."""
    theirs, (_, subset, metric, _) = result.get("paper", {}), CLAIMS[claim]
    after, before = theirs.get("rlvr", {}), theirs.get("mle", theirs.get("sft", {}))
    key = metric if metric in after else subset
    if key in after and key in before:
        return f"{after[key] - before[key]:+.1f}"
    return f"{PAPER_GAINS[claim]:+.1f}" if claim in PAPER_GAINS else "–"


def our_gain(headline: Headline, result: dict) -> str:
    """Our gain over MLE in the unit of a headline, with its interval; "" where there is none."""
    keys = {"decoding": headline.decoding, "subset": "all", "metric": headline.metric}
    mean = {r["method"]: r["mean"] for r in result["rows"] if keys.items() <= r.items()}
    wanted = keys | {"a": headline.method, "b": "mle"}
    found = [d for d in result.get("differences", []) if wanted.items() <= d.items()]
    if not found or not mean.get("mle"):
        return ""
    scale, form = unit(headline.metric)
    before = scale * mean["mle"]
    gain, low, high = (headline.gain(before, scale * found[0][k]) for k in ("mean", "low", "high"))
    return (f"**{gain:+.1f}{' %' if headline.relative else ' points'}** [{low:+.1f}, {high:+.1f}]"
            f"; {before:{form}} → {scale * mean[headline.method]:{form}}, {headline.decoding}")


def headlines_part(found: list[dict]) -> list[str]:
    """The gains that the paper puts first beside ours, in the same unit."""
    there, body = {r["experiment"]: r for r in found}, []
    for line in HEADLINES:
        result = there.get(line.result)
        if not result or not (cell := our_gain(line, result)):
            continue
        mark = " %" if line.relative else " points"
        said = "" if line.claimed is None else f"**{line.claimed:+.1f}{mark}**; "
        table_says = line.gain(line.before, line.after - line.before)
        body.append([f"[{line.words}](#{label(result)})",
                     f"{said}table {line.table}: {line.before:.4g} → {line.after:.4g}, "
                     f"{table_says:+.1f}{mark}", cell])
    return ["## The paper's headlines", "", "The gains over MLE that the paper puts first, and "
            "ours in the same unit, by the paper's own scoring (`official` for text and web "
            "pages). A gain in % is relative to MLE; its interval is that of the difference, "
            "divided by the mean of MLE. Of LPIPS and of the gap less is better.", "",
            *table(["RLVR minus MLE", "in the paper", "here"], body)] if body else []


def summary(found: list[dict]) -> list[str]:
    """All claims in one table."""
    body = []
    decided = [(r, c) for r in found for c in claims(r) if needed(r, c)]
    for result, claim in decided:
        differences = needed(result, claim)
        words = GAINS[claim]
        if [c for _, c in decided].count(claim) > 1:
            words += f" ({result['title']})"
        hardest = min(differences, key=lambda d: (gain(d)[0] > 0, gain(d)[1]))
        cells = [f"{interval(d, True)}, {d['decoding']}" for d in (differences[0], hardest)]
        seeds = len(result["provenance"]["seeds"])
        body.append([f"[{words}](#{label(result)})", papers_gain(result, claim),
                     cells[0], f"minus {name(hardest['b'])}: {cells[1]}",
                     f"**{verdict(differences)}**, {seeds} seed{'s' * (seeds > 1)}"])
    head = ["claim: RLVR gives", "paper: minus MLE", "here: minus MLE",
            "here: least certain of those needed", "verdict"]
    return ["## All claims", "", "RLVR minus the other method, in points; of frames in LPIPS "
            "(x 100). Less is better of LPIPS, of repetition, and of the gap between judgement "
            "and reality. A claim needs the comparisons that stand in its section, at least the "
            "paper's; the one with the least certain gain decides the verdict. What other "
            "controls say, and other subsets, stands in the section, too: click the claim.",
            "",
            *table(head, body)] if body else []


def cost_part(result: dict) -> list[str]:
    rows = [r for r in result.get("cost", []) if len(r) > 1]
    keys = list(dict.fromkeys(k for r in rows for k in r if k != "method"))
    body = [[name(r["method"]), *(f"{r[k]:,.0f}" if r.get(k) else "–" for k in keys)]
            for r in rows]
    lines = table(["method", *(k.replace("_", " ") for k in keys)], body) if rows else []
    return fold("Cost after the start model, mean of the seeds", lines)


def paper_part(result: dict) -> list[str]:
    """The paper's numbers beside ours; other data, another model: only the pattern compares."""
    theirs = {k: v for k, v in result.get("paper", {}).items() if isinstance(v, dict)}
    if not theirs:
        return []
    subsets = in_order(s for v in theirs.values() for s in v)
    if set(subsets) & {r["metric"] for r in result["rows"]}:
        return paper_metrics_part(result, theirs, subsets)
    main = result["rows"][0]["metric"]
    ours = {(r["method"], r["subset"]): f"{100 * r['mean']:.1f}" for r in result["rows"]
            if r["decoding"] == "greedy" and r["metric"] == main}
    body = [[name(m), *(f"{values[s]:.1f}" if s in values else "–" for s in subsets),
             *(ours.get(("mle" if m == "sft" else m, s), "–") for s in subsets)]
            for m, values in theirs.items()]
    return [f"**Beside the paper** ({result['paper'].get('unit', 'its own unit')}; ours: "
            f"`{main}` in %, greedy)", "",
            *table(["method", *(f"paper, {s}" for s in subsets), *(f"ours, {s}" for s in subsets)],
                   body)]


def paper_metrics_part(result: dict, theirs: dict, metrics: list[str]) -> list[str]:
    """The same for a table of the paper with metrics across; frames sampled, as the paper's.

    The paper's F1 is the official one: where we have that, too, it comes before the strict one.
    """
    frames = "lpips" in metrics
    decoding = "sampled" if frames else "greedy"
    cells = {(r["method"], r["metric"]): f"{unit(r['metric'])[0] * r['mean']:.{1 + frames}f}"
             for r in result["rows"] if r["decoding"] == decoding and r["subset"] == "all"}
    remark = "the same factors, LPIPS with AlexNet" if frames else "in %"
    columns = {k: k for k in metrics}
    if "f1" in metrics and ("mle", "official") in cells:
        columns = {"official f1": "official"} | {f"strict {k}": k for k in metrics}
    body = [[name(m), *(f"{values[k]:g}" if k in values else "–" for k in metrics),
             *(cells.get((m, k), "–") for k in columns.values())] for m, values in theirs.items()]
    unit_of_paper = result["paper"].get("unit", "its own unit")
    return [f"**Beside the paper** ({unit_of_paper}; ours: {remark}, {decoding})", "",
            *table(["method", *(f"paper, {k}" for k in metrics), *(f"ours, {k}" for k in columns)],
                   body)]


def provenance_part(result: dict) -> list[str]:
    p = result["provenance"]
    versions = ", ".join(f"{k} {v}" for k, v in p.get("versions", {}).items())
    seeds = ", ".join(map(str, p.get("seeds", [])))
    return [f"*Recorded {p['date']}, commit `{p['commit']}`, on {p['device']}; "
            + (f"seeds {seeds}; " if seeds else "") + f"{versions}.*", ""]


def label(result: dict) -> str:
    """Where links to a result lead."""
    return "result-" + result["experiment"].replace("_", "-")


def see_also(result: dict, there: Iterable[str]) -> list[str]:
    """Where further controls of a result stand, if they are on the page."""
    other, what = SEE_ALSO.get(result["experiment"], ("", ""))
    link = label({"experiment": other})
    return [f"{what}, stand in [`{other}`](#{link}).", ""] if other in there else []


def section(result: dict, there: Iterable[str] = ()) -> list[str]:
    """Everything about one result; `there`: the results on the page."""
    items = max(r["n"] for r in result["rows"])
    title, _, remark = result["title"].partition(" (")
    remark = f" {remark[:1].upper()}{remark[1:].rstrip(')')}." if remark else ""
    counted = "repeats" if is_benchmark(result) else "test items"
    shown, folded = rows_parts(result)
    compared = COMPARED.get(result["experiment"], (headline(result),))
    return [f"({label(result)})=", f"## {title}", "",
            f"`results/{result['experiment']}.json`, up to {items:,} {counted}."
            f"{remark}", "",
            *(line for claim in claims(result) for line in claim_part(result, claim)),
            *see_also(result, there), *shown,
            *(line for metric in compared for line in differences_part(result, metric)),
            *paper_part(result), *fold("Other metrics and decodings", folded),
            *cost_part(result), *provenance_part(result)]


def page(text: str, folder: Path) -> str:
    """The page with its generated part renewed.

    Raises:
        ValueError: a marker is missing.
    """
    if text.count(START) != 1 or text.count(END) != 1:
        raise ValueError(f"the page needs the lines {START} and {END}, each once")
    head, rest = text.split(START)
    found = results(folder)
    there = [r["experiment"] for r in found]
    body = "\n".join([*headlines_part(found), *summary(found),
                      *(line for r in found for line in section(r, there))])
    body = body or "No result has been recorded yet."
    return f"{head}{START}\n\n{body}\n{END}{rest.split(END)[1]}"


def main(argv: list[str] | None = None) -> int:
    """Renew or check the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args(argv)
    old = PAGE.read_text("utf-8")
    new = page(old, ROOT / "results")
    if options.check:
        if new != old:
            print("book/results.md is not what results/*.json say: run "
                  "python tools/make_results_page.py", file=sys.stderr)
        return int(new != old)
    print(f"{PAGE.relative_to(ROOT)}: {'renewed' if write_atomically(PAGE, new) else 'unchanged'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
