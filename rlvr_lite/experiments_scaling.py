"""Test-time scaling: what the best of N samples is worth, before and after RLVR.

Three records, each of two models that ship with the package, on questions of the test split:
    scaling_text          long waits, changed questions: is one of N answers right? (pass@N)
    scaling_video         seven frames ahead: the lowest error among N rollouts
    scaling_video_single  one frame ahead, the setting of the paper's figure
A hundred answers are sampled to every question; what the best of N <= 100 is worth follows from
them without bias (`metrics.expected_best`). Only one training seed ships, so the intervals are
over questions and do not say what another training run would give.

    python -m rlvr_lite.experiments_scaling text
    python -m rlvr_lite.experiments_scaling video video_single

Source: RLVR-World section 6.3, figure 4a (single-step, up to 100 samples).
Differs from the paper: unbiased estimates, intervals, a greedy answer beside them, and text;
no top-k cut. As there, the judge that picks the best knows the truth.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from rlvr_lite import checkpoints, experiments, experiments_text, experiments_video
from rlvr_lite.evaluation import answers, spread
from rlvr_lite.metrics import bootstrap, expected_best, paired_difference
from rlvr_lite.paths import results_folder
from rlvr_lite.tasks.base import measure, rewards

COUNTS = (1, 2, 5, 10, 20, 50, 100)
PAPER = "RLVR one-shot beats base best-of-5; at N = 100 the base overtakes (figure 4a, in words)"


@dataclass(frozen=True)
class Scaling:
    """One record: which models are asked what.

    Attributes:
        name, title: of the record.
        models: method -> checkpoint that ships with the package.
        items: test questions, spread evenly over the split.
        metrics: what is judged -> whether lower is better; the first one is the main one.
        horizon: frames ahead, 0 for text.
        batch: questions sampled at a time.
        samples: answers to every question.
        seed: of the sampling.
    """

    name: str
    title: str
    models: dict[str, str]
    items: int
    metrics: dict[str, bool]
    horizon: int = 0
    batch: int = 4
    samples: int = max(COUNTS)
    seed: int = 0


ONE_SEED = "one training seed; intervals over test questions only"
RECORDS = {s.name.removeprefix("scaling_"): s for s in (
    Scaling("scaling_text", f"Text game, long waits, best of N samples ({ONE_SEED})",
            {"mle": "text_serial", "rlvr": "text_serial_rlvr"}, 200, {"exact": False}, batch=8),
    Scaling("scaling_video", f"Robot video, seven frames ahead, best of N samples ({ONE_SEED})",
            {"mle": "video_base", "rlvr": "video_multi_rlvr"}, 24, {"lpips": True, "l1": True},
            horizon=7),
    Scaling("scaling_video_single",
            f"Robot video, one frame ahead, best of N samples ({ONE_SEED})",
            {"mle": "video_base", "rlvr": "video_single_rlvr"}, 180, {"lpips": True, "l1": True},
            horizon=1),
)}


def load(scaling: Scaling, method: str):
    """A model of the record, with its task."""
    name = scaling.models[method]
    if not scaling.horizon:
        return checkpoints.load_text_model(name)
    return checkpoints.load_video_model(name, scaling.horizon)


def questions(scaling: Scaling) -> list:
    """The test questions of a record, the same for both models."""
    if scaling.horizon:
        found = experiments_video.data("test", 1, scaling.horizon)
    else:
        study = experiments_text.STUDIES["text_serial"]
        found = [t for t in experiments_text.data(study, "test") if t.changed]
    return spread(found, scaling.items)


# ---------------------------------------------------------------- measuring
def judge(task, group: list[list[int]], item, metrics) -> dict[str, list[float]]:
    """Metric -> one value per answer of a group; equal answers are judged once."""
    unique = list(dict.fromkeys(map(tuple, group)))
    asked, truth = [list(ids) for ids in unique], [item] * len(unique)
    # pixels: the rewards of a group share the features of the truth
    rows = rewards(task, asked, truth) if "lpips" in metrics else measure(task, asked, truth)
    found = dict(zip(unique, rows))
    return {name: [found[tuple(ids)][name] for ids in group] for name in metrics}


def measured(scaling: Scaling, method: str, items: list, log: Callable = print) -> dict:
    """Everything about one model: {"samples": {metric: (N, S)}, "greedy": {metric: (N,)},
    "distinct": (N,), "cpu_seconds"}."""
    model, task = load(scaling, method)
    start, table, distinct = time.process_time(), {m: [] for m in scaling.metrics}, []
    greedy = {m: [] for m in scaling.metrics}
    for at in range(0, len(items), scaling.batch):
        some = items[at:at + scaling.batch]
        groups = answers(model, task, some, 1.0, scaling.samples, scaling.seed + at, len(some))
        firsts = answers(model, task, some, 0.0, 1, 0, len(some))
        for item, group, first in zip(some, groups, firsts):
            for into, ids, one in ((table, group, False), (greedy, first, True)):
                for name, values in judge(task, ids, item, scaling.metrics).items():
                    into[name].append(values[0] if one else values)
            distinct.append(len(set(map(tuple, group))) / scaling.samples)
        if log and at // scaling.batch % 5 == 0:
            log(f"{scaling.name} {method}: {at + len(some)} of {len(items)} questions, "
                f"{time.process_time() - start:.0f} CPU s", flush=True)
    return {"samples": {m: np.array(v) for m, v in table.items()}, "greedy": greedy,
            "distinct": distinct, "cpu_seconds": time.process_time() - start}


# ---------------------------------------------------------------- reporting
def best_of(scaling: Scaling, found: dict, metric: str, count: int) -> np.ndarray:
    """What the best of `count` samples is worth, for every question: (N,)."""
    return expected_best(found["samples"][metric], count, scaling.metrics[metric])


def result_row(method: str, decoding: str, subset: str, metric: str, values) -> dict:
    """One row of the result, from one value per question."""
    return {"method": method, "decoding": decoding, "subset": subset, "metric": metric,
            **asdict(bootstrap(values)), "per_seed": [float(np.mean(values))], "n": len(values)}


def summarise(scaling: Scaling, found: dict[str, dict]) -> dict:
    """What was measured -> the result in the book's schema; `best of N` are its subsets."""
    counts = [n for n in COUNTS if n <= scaling.samples]
    rows, differences = [], []
    for method, one in found.items():
        for metric in scaling.metrics:
            rows += [result_row(method, "sampled", f"best of {n}", metric,
                                best_of(scaling, one, metric, n)) for n in counts]
            rows.append(result_row(method, "greedy", "best of 1", metric, one["greedy"][metric]))
        rows.append(result_row(method, "sampled", f"best of {scaling.samples}", "distinct",
                               one["distinct"]))
    for metric in scaling.metrics:
        pairs = [(n, n) for n in counts] + [(1, n) for n in counts[1:]]
        for ours, base in pairs:
            subset = f"best of {ours}" + ("" if ours == base else f" against {base}")
            gap = paired_difference(best_of(scaling, found["rlvr"], metric, ours),
                                    best_of(scaling, found["mle"], metric, base))
            differences.append({"a": "rlvr", "b": "mle", "decoding": "sampled", "subset": subset,
                                "metric": metric, **asdict(gap)})
    config = asdict(scaling) | {"temperature": 1.0, "top_k": 0, "cpu_seconds": {
        method: one["cpu_seconds"] for method, one in found.items()}}
    main, notes = next(iter(scaling.metrics)), {}
    if not scaling.horizon:  # small enough to keep: how many of the samples were right
        notes = {m: [{"right": one["samples"][main].sum(1).astype(int).tolist()}]
                 for m, one in found.items()}
    return {"experiment": scaling.name, "claim": None, "title": scaling.title, "rows": rows,
            "differences": differences, "cost": [], "notes": notes, "curves": {},
            "paper": {"unit": PAPER}, "provenance": experiments.provenance([0], config)}


def record(scaling: Scaling, folder: str | Path | None = None, log: Callable = print) -> Path:
    """Measure both models and write `results/<name>.json`; returns its path."""
    items = questions(scaling)
    found = {method: measured(scaling, method, items, log) for method in scaling.models}
    path = Path(folder or results_folder()) / f"{scaling.name}.json"
    experiments.write_json(path, summarise(scaling, found))
    return path


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("records", nargs="+", choices=sorted(RECORDS))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name in chosen.records:
        print(record(RECORDS[name]), flush=True)


if __name__ == "__main__":
    main()
