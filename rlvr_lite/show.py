"""Figures and tables of the chapters: curves with intervals, bars, histograms, result tables.

What: every function takes plain numbers or a result of `experiments.load_result` and returns a
matplotlib figure (give it to `rlvr_lite.show_png` with an alt text) or shows a table. Lines differ
by style and marker, bars by hatching, so that no figure needs colour to be read.
Source: the honesty rules of the book: intervals everywhere, the trivial predictor beside all.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rlvr_lite.drawing import boxes, draw_boxes, draw_states, mark_of, token_strip
from rlvr_lite.experiments import find
from rlvr_lite.figure import show_png

__all__ = ["METHODS", "bars", "boxes", "curves", "draw_boxes", "draw_states", "histogram",
           "interval_text", "mark_of", "over_ticks", "result_bars", "result_table",
           "running_mean", "show_png", "subset_name",
           "table", "table_html", "table_text", "token_strip"]

MARKERS = "osD^vP"
HATCHES = ("", "//", "..", "xx", "\\\\", "oo")

# names of the methods in results -> words for a reader
METHODS = {
    "trivial": "do nothing",
    "random": "random actions",
    "drawn": "a plan drawn at random",
    "nearest": "the most similar moment",
    "mle": "MLE",
    "mle_continued": "MLE, continued",
    "mle_gold_answers": "MLE on the gold answers",
    "mle_filtered": "MLE on verified traces",
    "mle_noisy": "MLE on noisy traces",
    "rejection_finetuning": "rejection fine-tuning",
    "rlvr": "RLVR",
    "rlvr_task_specific": "RLVR, task-specific reward",
    "rlvr_natural": "RLVR, natural mix of questions",
    "rlvr_lora": "RLVR with LoRA",
    "rlvr_visible": "RLVR on visible tasks only",
    "rlvr_demonstrations": "RLVR on demonstrations only",
    "rlvr_official": "RLVR on the official F1",
    "rlvr_full": "RLVR, all weights",
    "rlvr_repetition_penalty": "RLVR with repetition penalty",
    "repetition_rejection": "MLE, repetitions rejected",
    "mle_continued_3x": "MLE, continued three times as long",
    "mle_to_the_end": "MLE, continued to the end",
    "ceiling": "all that can be known",
    "floor": "tokenizer floor",
    "copy": "copy the current frame",
    "frames8": "per-frame, 8x8",
    "frames4": "per-frame, 4x4",
    "compressive4": "compressive, 4x4",
    "compressive2": "compressive, 2x2",
    "sft": "MLE (SFT)",
    "oracle": "true dynamics",
    "readout": "judge on decoded frames",
    "crude_simulator": "a crude simulator",
}


# a setting that is changed in a sweep -> words around its value
SETTINGS = {
    "asked": "asks about {} only",
    "beta": "KL, weight {}",
    "group": "groups of {}",
    "loss": "loss: {}",
    "lr": "learning rate {}",
    "prompts": "{} questions",
    "rank": "LoRA of rank {}",
    "unchanged": "{} unchanged per changed",
}


def method_name(method: str) -> str:
    """A method of a result in words; `prompts=8,group=2` is *8 questions, groups of 2*."""
    if method in METHODS:
        return METHODS[method]
    parts = (part.strip().partition("=") for part in method.split(","))
    return ", ".join(SETTINGS.get(key, key + sign + "{}").format(value)
                     for key, sign, value in parts).replace("_", " ")


def subset_name(subset: str) -> str:
    """A subset of a result in words."""
    return subset.replace("_", " ").replace("/", ", ")


def _legend(figure, axes, below: bool) -> None:
    """A legend inside the axes or, where that would cover the data, in columns below."""
    if below:
        _, labels = axes.get_legend_handles_labels()
        columns = 3 if max(map(len, labels)) < 24 else 2
        figure.set_figheight(figure.get_figheight() + 0.22 * math.ceil(len(labels) / columns))
        figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    else:
        axes.legend(frameon=False, fontsize=8)


# ---------------------------------------------------------------- curves
def running_mean(rows: Sequence[Mapping[str, float]], key: str, width: int = 8) -> list[float]:
    """A column of a training log, each value averaged with the `width` before it."""
    values = [row[key] for row in rows]
    return [float(np.mean(values[max(0, i - width):i + 1])) for i in range(len(values))]


def curves(series: Mapping[str, Sequence[Any]], xlabel: str, ylabel: str,
           flat: Mapping[str, float] | None = None, size: tuple[float, float] = (5.2, 2.9),
           zero: bool = False) -> Any:
    """Lines over a common quantity, each with a band where it has an interval.

    Args:
        series: label -> (x, y) or (x, y, low, high), each a sequence of numbers.
        xlabel, ylabel: what the axes show, with units.
        flat: label -> height of a horizontal reference line (e.g. the trivial predictor).
        size: of the figure, in inches.
        zero: start the y axis at 0.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: a series has other than two or four parts, or parts of unequal length.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    for i, (label, parts) in enumerate(series.items()):
        if len(parts) not in (2, 4) or len({len(p) for p in parts}) != 1:
            raise ValueError(f"series {label!r} must be (x, y) or (x, y, low, high) of one length")
        every = max(1, len(parts[0]) // 8)
        line, = axes.plot(parts[0], parts[1], label=label, marker=MARKERS[i % len(MARKERS)],
                          markevery=every, markersize=4)
        if len(parts) == 4:
            axes.fill_between(parts[0], parts[2], parts[3], alpha=0.18, color=line.get_color(),
                              linewidth=0)
    for i, (label, height) in enumerate((flat or {}).items()):
        axes.axhline(height, label=label, color="#444444", linewidth=1,
                     linestyle=(0, (1 + 3 * i, 2)))
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if zero:
        axes.set_ylim(bottom=0)
    _legend(figure, axes, below=len(series) + len(flat or {}) > 3)
    return figure


def over_ticks(lines: Mapping[str, Sequence[float]], xlabel: str = "tick",
               bands: Mapping[str, float] | None = None) -> Any:
    """Values of a world over time, one panel each, as steps.

    Args:
        lines: name of the value -> its height at time 0, 1, 2, ...
        xlabel: what one step of time is.
        bands: name of a value -> a threshold to draw as a dashed line in its panel; several
            thresholds of one value as a sequence.

    Returns:
        A matplotlib figure.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(lines), 1, sharex=True, squeeze=False,
                                   figsize=(5.0, 0.5 + 1.05 * len(lines)))
    for axis, (name, heights) in zip(axes[:, 0], lines.items()):
        axis.plot(range(len(heights)), heights, marker="o", markersize=5, color="#00224e",
                  drawstyle="steps-mid", linestyle="-")
        for x, height in enumerate(heights):
            axis.annotate(str(height), (x, height), xytext=(6, 5), textcoords="offset points",
                          fontsize=8)
        for threshold in np.atleast_1d((bands or {}).get(name, [])):
            axis.axhline(threshold, color="#b8562e", linestyle="--", linewidth=1)
        low, high = min(heights), max(heights)
        axis.set_ylim(low - 0.4, high + 0.35 * (high - low) + 0.5)
        axis.set_ylabel(name)
        axis.yaxis.get_major_locator().set_params(integer=True)
    axes[-1, 0].set_xlabel(xlabel)
    axes[-1, 0].set_xticks(range(max(map(len, lines.values()))))
    figure.tight_layout()
    return figure


def histogram(series: Mapping[str, Sequence[float]], xlabel: str, ylabel: str = "share",
              bins: int = 30, log: bool = False) -> Any:
    """Distributions over one axis, each with its own outline and its median named.

    Args:
        series: label -> values.
        xlabel, ylabel: what the axes show.
        bins: how many.
        log: use a logarithmic x axis.

    Returns:
        A matplotlib figure.
    """
    from matplotlib import pyplot

    values = np.concatenate([np.asarray(v, float) for v in series.values()])
    low, high = values.min(), values.max()
    edges = (np.geomspace(max(low, 0.5), high * 1.02, bins) if log
             else np.linspace(low, high + 1e-9, bins))
    figure, axes = pyplot.subplots(figsize=(5.2, 2.7))
    for i, (label, numbers) in enumerate(series.items()):
        weights = np.full(len(numbers), 1 / len(numbers))
        axes.hist(numbers, bins=edges, weights=weights, histtype="stepfilled", alpha=0.35,
                  hatch=HATCHES[i % len(HATCHES)], linewidth=1.4, linestyle="-",
                  edgecolor=f"C{i}", facecolor=f"C{i}",
                  label=f"{label} (median {np.median(numbers):g})")
    if log:
        axes.set_xscale("log")
        ticks = [t for t in (5, 10, 20, 50, 100, 200, 500, 1000) if low <= t <= high * 1.1]
        axes.set_xticks(ticks, [str(t) for t in ticks])
        axes.minorticks_off()
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    return figure


# ---------------------------------------------------------------- bars
def bars(rows: Mapping[str, Mapping[str, Any]], xlabel: str, percent: bool = True,
         flat: Mapping[str, float] | None = None) -> Any:
    """Horizontal bars, grouped, with intervals and their numbers written beside them.

    Args:
        rows: label -> {series -> value or (mean, low, high)}.
        xlabel: what is measured.
        percent: values are shares and shown in percent.
        flat: label -> position of a vertical reference line.

    Returns:
        A matplotlib figure.
    """
    from matplotlib import pyplot

    names = list(dict.fromkeys(s for row in rows.values() for s in row))
    scale, thick = (100.0 if percent else 1.0), 0.8 / max(1, len(names))
    figure, axes = pyplot.subplots(
        figsize=(5.2, 0.6 + len(rows) * (0.14 + 0.2 * len(names))), layout="constrained")
    top = 0.0
    for i, name in enumerate(names):
        for j, row in enumerate(rows.values()):
            if name not in row:
                continue
            mean, low, high = np.broadcast_to(np.asarray(row[name], float), 3) * scale
            y, first = j + (i - (len(names) - 1) / 2) * thick, j == 0
            axes.barh(y, mean, thick * 0.92, color=f"C{i}", alpha=0.5, edgecolor="#222222",
                      hatch=HATCHES[i % len(HATCHES)], label=name if first else None,
                      linewidth=0.7)
            axes.plot([low, high], [y, y], color="#222222", linewidth=1.6, linestyle="-")
            axes.annotate(f"{mean:.1f}" if percent else f"{mean:.3g}", (max(mean, high), y),
                          xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
            top = max(top, high, mean)
    for i, (label, position) in enumerate((flat or {}).items()):
        axes.axvline(position * scale, label=label, color="#444444", linewidth=1.2,
                     linestyle=(0, (1 + 3 * i, 2)))
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlim(0, top * 1.12 or 1)
    axes.set_xlabel(f"{xlabel} (%)" if percent else xlabel)
    axes.grid(axis="y", visible=False)
    if len(names) > 1 or flat:
        _legend(figure, axes, below=True)
    return figure


def result_bars(result: Mapping[str, Any], methods: Sequence[str], subsets: Sequence[str],
                decoding: str = "greedy", metric: str = "exact", xlabel: str = "") -> Any:
    """Bars of a recorded result: one group a method, one bar a subset; missing cells are left out.

    Raises:
        KeyError: no row of the result fits.
    """
    rows: dict[str, dict[str, Any]] = {}
    for method in methods:
        for subset in subsets:
            try:
                row = find(result, method, decoding, subset, metric)
            except KeyError:
                continue
            cells = rows.setdefault(method_name(method), {})
            cells[subset_name(subset)] = (row["mean"], row["low"], row["high"])
    if not rows:
        raise KeyError(f"{result['experiment']} has no rows of {methods} on {subsets}")
    return bars(rows, xlabel or f"{metric}, {decoding}")


# ---------------------------------------------------------------- tables
def interval_text(row: Mapping[str, Any], percent: bool = True, sign: bool = False) -> str:
    """A mean with its 95 % interval, e.g. `74.1 [72.0, 76.3]`."""
    scale, form = (100, "+.1f" if sign else ".1f") if percent else (1, "+.3f" if sign else ".3f")
    low, high = f"{row['low'] * scale:{form}}", f"{row['high'] * scale:{form}}"
    return f"{row['mean'] * scale:{form}} [{low}, {high}]"


def reading(difference: Mapping[str, Any], ahead: str = "ahead", behind: str = "behind",
            lower_is_better: bool = False) -> str:
    """What the interval of a paired difference says about its first method.

    Args:
        difference: has "low" and "high".
        ahead, behind: the words where the whole interval lies on one side of 0.
        lower_is_better: as of errors.

    Returns:
        One of the two words, or "not decided" where the interval reaches 0.
    """
    low, high = difference["low"], difference["high"]
    if lower_is_better:
        low, high = -high, -low
    return ahead if low > 0 else behind if high < 0 else "not decided"


def table_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as aligned plain text: what terminals and text browsers get."""
    cells = [[str(c) for c in row] for row in rows]
    wide = [max(len(r[i]) for r in [list(head), *cells]) for i in range(len(head))]
    right = [bool(cells) and all(_number(r[i]) for r in cells) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(c.rjust(w) if r else c.ljust(w)
                         for c, w, r in zip(row, wide, right)).rstrip()
    return "\n".join([line(head), line(["-" * w for w in wide]), *map(line, cells)])


def _number(text: str) -> bool:
    return text[:1].isdigit() or text[:1] in "+-." and text[1:2].isdigit() or text in ("", "-")


def table_html(head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """The same table as HTML, with a caption and column headers for screen readers."""
    top = "".join(f'<th scope="col">{html.escape(str(h))}</th>' for h in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>\n"
                   for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>\n" if caption else ""
    return (f'<table class="dataframe">\n{title}<thead><tr>{top}</tr></thead>\n'
            f"<tbody>\n{body}</tbody>\n</table>")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> None:
    """Show a table in a notebook.

    Args:
        head: names of the columns.
        rows: cells, shown as `str` gives them.
        caption: one line that says what the table holds.

    Raises:
        ValueError: a row has another number of cells than the head.
    """
    from IPython.display import display

    rows = [list(row) for row in rows]
    if wrong := [row for row in rows if len(row) != len(head)]:
        raise ValueError(f"the table has {len(head)} columns, but this row has not: {wrong[0]}")
    text = (f"{caption}\n" if caption else "") + table_text(head, rows)
    display({"text/html": table_html(head, rows, caption), "text/plain": text}, raw=True)


def result_table(result: Mapping[str, Any], methods: Sequence[str] | None = None,
                 subsets: Sequence[str] = ("all", "changed", "unchanged"),
                 decoding: str = "greedy", metric: str = "exact", caption: str = "") -> None:
    """Show rows of a recorded result: methods down, subsets across, means with intervals in %."""
    methods = methods or list(dict.fromkeys(row["method"] for row in result["rows"]))
    rows = []
    for method in methods:
        cells = [method_name(method)]
        for subset in subsets:
            try:
                cells.append(interval_text(find(result, method, decoding, subset, metric)))
            except KeyError:
                cells.append("-")
        if any(c != "-" for c in cells[1:]):
            rows.append(cells)
    seeds = len(result["provenance"]["seeds"])
    table(["method", *map(subset_name, subsets)], rows, caption or
          f"{result['title']}: {metric} in %, {decoding}, mean of {seeds} "
          f"seed{'s' * (seeds > 1)} and its 95 % interval")
