"""What the benchmarks share: the clock, the rows of a record, memory, one step of training.

Times are CPU seconds of this process, with one thread. Contenders take turns, so that a busy
machine hurts all of them alike; the first round warms up and is thrown away.
"""

from __future__ import annotations

import argparse
import copy
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rlvr_lite import experiments  # noqa: E402
from rlvr_lite.grpo import GRPOConfig, train_grpo  # noqa: E402
from rlvr_lite.paths import results_folder  # noqa: E402

PARTS = ("sample", "reward", "update")


def take_turns(runs: Mapping[str, Callable[[int], float]], repeats: int) -> dict[str, list[float]]:
    """CPU seconds per unit of work, one value per repeat; a run returns its units of work."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start = time.process_time()
            work = run(repeat)
            spent = time.process_time() - start
            if repeat:
                found[name].append(spent / work)
    return found


def grpo_steps(model, task, items: list, config: GRPOConfig, steps: int) -> list[dict]:
    """History rows of some GRPO steps of a copy of the model, the first one left out."""
    return train_grpo(copy.deepcopy(model), task, items, replace(config, steps=steps + 1),
                      log=None)[1:]


def row(method: str, metric: str, values: list[float], subset: str = "all") -> dict:
    """A row of a record: the median, and the extremes as its interval."""
    return {"method": method, "decoding": "sampled", "subset": subset, "metric": metric,
            "mean": statistics.median(values), "low": min(values), "high": max(values),
            "per_seed": [statistics.median(values)], "repeats": values, "n": len(values)}


def record(name: str, title: str, rows: list[dict], config: dict) -> dict:
    """The contents of results/<name>.json."""
    return {"experiment": name, "claim": None,
            "title": f"{title} (median; low and high are the extremes)",
            "rows": rows, "differences": [], "cost": [], "paper": {},
            "provenance": experiments.provenance([], config)}


def write(result: dict, options: argparse.Namespace) -> None:
    if not options.dry_run:
        path = results_folder() / f"{result['experiment']}.json"
        experiments.write_json(path, result)
        print(path)


def parser(doc: str) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=doc.splitlines()[0])
    found.add_argument("--repeats", type=int, default=5)
    found.add_argument("--dry-run", action="store_true", help="print, but write nothing")
    return found


# ---------------------------------------------------------------- memory
def peak_mib() -> float:
    """The most memory this process has held, in MiB.

    Linux says it in /proc; `ru_maxrss` there starts at what the *parent* held, and would hide
    whatever is smaller.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        unit = 2 ** 20 if sys.platform == "darwin" else 2 ** 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def forget_peak() -> None:
    """From now on `peak_mib` counts what is held now: loading a model may have held more."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # not Linux, or not allowed: the peak so far stays


def print_added_memory(run: Callable[[], object]) -> None:
    forget_peak()
    before = peak_mib()
    run()
    print(peak_mib() - before)


def memory_of(script: str, *arguments: str) -> float:
    """MiB that some work adds to a process of its own, which calls `print_added_memory`."""
    found = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True,
                           check=True)
    return float(found.stdout.strip().splitlines()[-1])
