"""How every reported number is made: runs, records, provenance.

An experiment is a set of *methods* (MLE, MLE continued, RLVR, ...) times a set of *seeds*. Each
(method, seed) is one run and writes one small file under `runs/`, so that an interrupted
experiment goes on where it stopped and several processes can share the work. `summarise` turns
the runs into `results/<experiment>.json`: means with bootstrap intervals, paired differences,
cost, provenance. Nothing in `results/` is written by hand.

Source: the honesty rules of the book; RLVR-World reports single runs.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rlvr_lite.metrics import bootstrap, paired_difference
from rlvr_lite.paths import repository_folder, results_folder

DECODINGS = ("greedy", "sampled", "best")


# ---------------------------------------------------------------- one run
@dataclass
class Run:
    """What one method with one seed measured.

    Attributes:
        method, seed: which run.
        scores: {split: {decoding: {metric: [one value per test item]}}}.
        subsets: {split: {subset: [0 or 1 per test item]}}; the same for every run.
        cost: {"steps", "samples", "tokens", "cpu_seconds"} of *this* method, base not counted.
        history: rows of the training log.
        notes: anything else worth keeping (e.g. the chosen temperature).
    """

    method: str
    seed: int
    scores: dict[str, dict[str, dict[str, list[float]]]]
    subsets: dict[str, dict[str, list[int]]]
    cost: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)


def run_path(folder: Path, method: str, seed: int) -> Path:
    return Path(folder) / f"{method}-{seed}.json"


def save_run(run: Run, folder: Path) -> Path:
    """Write a run atomically; a half-written file never counts as done."""
    path = run_path(folder, run.method, run.seed)
    write_json(path, asdict(run))
    return path


def load_run(path: Path) -> Run:
    """Read what `save_run` wrote."""
    return Run(**json.loads(Path(path).read_text()))


def load_runs(folder: Path) -> list[Run]:
    """All finished runs of a folder, sorted by method and seed."""
    runs = [load_run(p) for p in sorted(Path(folder).glob("*-*.json"))]
    if not runs:
        raise FileNotFoundError(f"no finished run in {folder}: start the experiment first")
    return runs


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically, numbers rounded to six digits, a row of a table on one line."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + f".{os.getpid()}.tmp")
    temporary.write_text(_lines(rounded(data)) + "\n")
    os.replace(temporary, path)


def _lines(data: Any, indent: str = "\n", width: int = 400) -> str:
    """JSON text that breaks lines only inside what is longer than `width`: half the size of an
    indented file, and a change shows as a changed row."""
    flat = json.dumps(data, separators=(",", ":"))
    if len(flat) <= width or not isinstance(data, (dict, list)):
        return flat
    inner = indent + " "
    if isinstance(data, list):
        return f"[{inner}" + f",{inner}".join(_lines(v, inner) for v in data) + f"{indent}]"
    parts = (f"{json.dumps(k)}: {_lines(v, inner)}" for k, v in data.items())
    return "{" + inner + f",{inner}".join(parts) + indent + "}"


def rounded(data: Any) -> Any:
    """The same data as JSON will give it back: six digits, plain types, no NaN."""
    if isinstance(data, float) and not np.isfinite(data):
        return None  # JSON has no NaN
    if isinstance(data, float):
        return int(data) if data.is_integer() and abs(data) < 1e9 else round(data, 6)
    if isinstance(data, dict):
        return {str(k): rounded(v) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return [rounded(v) for v in data]
    return data.item() if isinstance(data, np.generic) else data


# ---------------------------------------------------------------- many runs -> one result
@dataclass(frozen=True)
class Comparison:
    """A paired difference to report: method a minus method b."""

    a: str
    b: str
    decodings: tuple[str, ...] = ("greedy", "sampled")


def summarise(name: str, title: str, runs: list[Run], comparisons: Iterable[Comparison] = (),
              claim: str | None = None, paper: dict | None = None, config: dict | None = None,
              metrics: tuple[str, ...] = ("exact",)) -> dict[str, Any]:
    """Runs -> the result in the one schema of the book (see `book/results.md`).

    Only seeds that every method has finished are counted, so that all rows are comparable.
    Subsets are named `<split>` or `<split>/<subset>`; those of the split `test` drop the prefix.
    """
    methods = list(dict.fromkeys(run.method for run in runs))
    seeds = sorted(set.intersection(*({r.seed for r in runs if r.method == m} for m in methods)))
    if not seeds:
        raise ValueError(f"{name}: no seed has finished every method {methods}")
    table = {(r.method, r.seed): r for r in runs if r.seed in seeds}
    rows, differences = [], []
    for method in methods:
        for split, decoding, metric, subset, mask in _cells(table[method, seeds[0]], metrics):
            values = _values(table, method, seeds, split, decoding, metric, mask)
            interval = bootstrap(values)
            rows.append({"method": method, "decoding": decoding, "subset": subset,
                         "metric": metric, "mean": interval.mean, "low": interval.low,
                         "high": interval.high, "per_seed": values.mean(1).tolist(),
                         "n": values.shape[1]})
    for pair in comparisons:
        first = table[pair.a, seeds[0]]
        for split, decoding, metric, subset, mask in _cells(first, metrics):
            other = _comparable(table, pair.b, seeds[0], split, decoding)
            if decoding in pair.decodings and other is not None:
                interval = paired_difference(
                    _values(table, pair.a, seeds, split, decoding, metric, mask),
                    _values(table, pair.b, seeds, split, other, metric, mask))
                differences.append({"a": pair.a, "b": pair.b, "decoding": decoding,
                                    "subset": subset, "metric": metric, **asdict(interval)})
    cost = [{"method": m, **_mean_cost([table[m, s].cost for s in seeds])} for m in methods]
    curves = {m: table[m, seeds[0]].history for m in methods if table[m, seeds[0]].history}
    notes = {m: [table[m, s].notes for s in seeds] for m in methods if table[m, seeds[0]].notes}
    return {"experiment": name, "claim": claim, "title": title, "rows": rows,
            "differences": differences, "cost": cost, "notes": notes, "curves": curves,
            "paper": paper or {}, "provenance": provenance(seeds, config or {})}


def _cells(run: Run, metrics: tuple[str, ...]):
    """Every (split, decoding, metric, subset name, item mask) that a run has values for."""
    for split, by_decoding in run.scores.items():
        masks = {"all": None, **run.subsets.get(split, {})}
        for decoding, by_metric in by_decoding.items():
            for metric in metrics:
                for subset, mask in masks.items():
                    if metric in by_metric and (mask is None or any(mask)):
                        label = subset if split == "test" else (
                            split if subset == "all" else f"{split}/{subset}")
                        yield split, decoding, metric, label, mask


def _values(table, method, seeds, split, decoding, metric, mask) -> np.ndarray:
    rows = [table[method, s].scores[split][decoding][metric] for s in seeds]
    values = np.asarray(rows, dtype=np.float64)  # (S, N)
    return values if mask is None else values[:, np.asarray(mask, dtype=bool)]


def _comparable(table, method: str, seed: int, split: str, decoding: str) -> str | None:
    """Like with like; a method without sampling (the trivial one) is compared as it is."""
    there = table[method, seed].scores.get(split, {})
    return next((d for d in (decoding, "greedy") if d in there), None)


def _mean_cost(costs: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(k for c in costs for k in c)
    return {k: float(np.mean([c.get(k, 0.0) for c in costs])) for k in names}


def provenance(seeds: list[int], config: dict[str, Any]) -> dict[str, Any]:
    """When, from which commit, on what, with which versions."""
    packages = ("torch", "transformers", "peft", "tokenizers", "numpy")
    return {"date": datetime.date.today().isoformat(), "commit": _commit(),
            "device": _device(), "profile": "tiny", "seeds": list(seeds), "config": config,
            "versions": {"python": platform.python_version(),
                         **{p: importlib.metadata.version(p).split("+")[0] for p in packages}}}


def _commit() -> str:
    """Short hash of the code; the variable RLVR_COMMIT serves a copy without its history."""
    if given := os.environ.get("RLVR_COMMIT"):
        return given
    root = repository_folder()
    if root is None:
        return "unknown"
    answer = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root,
                            capture_output=True, text=True)
    return answer.stdout.strip() or "unknown"


def _device() -> str:
    """Name of the processor (the book's recorded runs use one thread each)."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, one thread a run"
    except OSError:
        pass
    return f"{platform.machine()}, one thread a run"


# ---------------------------------------------------------------- reading results
def load_result(name: str) -> dict[str, Any]:
    """`results/<name>.json`, as chapters and the results page read it."""
    path = results_folder() / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in results_folder().glob("*.json")))
        raise FileNotFoundError(f"no result named {name!r}; there are: {known or 'none yet'}")
    return json.loads(path.read_text())


def find(result: dict[str, Any], method: str, decoding: str = "greedy", subset: str = "all",
         metric: str = "exact") -> dict[str, Any]:
    """One row of a result.

    Raises:
        KeyError: there is no such row.
    """
    wanted = {"method": method, "decoding": decoding, "subset": subset, "metric": metric}
    for row in result["rows"]:
        if all(row[k] == v for k, v in wanted.items()):
            return row
    raise KeyError(f"{result['experiment']} has no row {wanted}")


def find_difference(result: dict[str, Any], a: str, b: str, decoding: str = "greedy",
                    subset: str = "all", metric: str = "exact") -> dict[str, Any]:
    """One paired difference a - b of a result; KeyError where there is none."""
    wanted = {"a": a, "b": b, "decoding": decoding, "subset": subset, "metric": metric}
    for row in result["differences"]:
        if all(row[k] == v for k, v in wanted.items()):
            return row
    raise KeyError(f"{result['experiment']} has no difference {wanted}")
