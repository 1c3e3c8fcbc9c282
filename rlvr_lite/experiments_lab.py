"""What all experiments share: runs in folders, settings that must agree, a command line.

What: a `Laboratory` holds the studies of one world, the methods that can be run on them, and the
records that they become. A run is (study, method, seed); it is one function call that returns an
`experiments.Run`, and it is skipped where its file is there already.
Source: the honesty rules of the book.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from rlvr_lite import experiments
from rlvr_lite.experiments import Comparison, Run
from rlvr_lite.mle import MLEConfig, train_mle
from rlvr_lite.paths import results_folder


def run_folder(study: str, method: str, seed: int, folder: Path) -> Path:
    """Where a run keeps its checkpoints."""
    return Path(folder) / study / f"{'base' if method == 'mle' else method}-{seed}"


def model_folder(study: str, method: str, seed: int, folder: Path) -> Path:
    """Where a finished run has left its model."""
    return run_folder(study, method, seed, folder) / "model"


def planned_steps(place: Path, seconds: float, model, pairs: list, config: MLEConfig,
                  probe: int = 40, least: int = 20) -> int:
    """How many steps of MLE fit into a budget of CPU seconds, `least` or more.

    The pace is that of `probe` steps of a copy of the model. The number is kept in `place`, so
    that a run that was stopped goes on with the same plan.
    """
    plan = Path(place) / "steps.json"
    if not plan.is_file():
        tried = train_mle(copy.deepcopy(model), pairs, replace(config, steps=probe), log=None)
        pace = tried[-1]["cpu_seconds"] / tried[-1]["step"]
        experiments.write_json(plan, max(least, int(seconds / pace)))
    return json.loads(plan.read_text())


def mle_cost(history: list[dict], batch: int) -> dict[str, float]:
    """Cost of a run of `train_mle`."""
    last = history[-1]
    return {"steps": last["step"], "samples": last["step"] * batch,
            "cpu_seconds": last["cpu_seconds"]}


def rl_cost(history: list[dict]) -> dict[str, float]:
    """Cost of a run of `train_grpo`."""
    last = history[-1]
    return {"steps": last["step"], "samples": last["samples"],
            "tokens": sum(row.get("tokens", 0) for row in history),
            "cpu_seconds": last["cpu_seconds"]}


def rl_curve(history: list[dict]) -> list[dict]:
    """About 60 rows of a log of `train_grpo`, among them every validated one."""
    every = max(1, len(history) // 60)
    return [row for i, row in enumerate(history)
            if i % every == 0 or any(name.startswith("validation_") for name in row)]


def log_of(study: Any, method: str, seed: int) -> Callable[[str], None]:
    """A log that says which run speaks, and since when."""
    start = time.time()
    return lambda line: print(f"{study.name} {method} seed {seed} +{time.time() - start:.0f}s: "
                              f"{line}", flush=True)


# Younger settings, as all older records had them.
LATER = (("trace", True), ("episodes", None), ("demonstrations", False), ("mistakes", 0),
         ("start", None), ("trusts", (1.0,)))


def settings_of(study: Any) -> dict:
    """Everything that shapes a run; not its title, its claim and the paper's numbers."""
    return {k: v for k, v in asdict(study).items()
            if k not in ("paper", "title", "claim") and (k, v) not in LATER}


def check_settings(study: Any, folder: Path) -> None:
    """Runs of one folder share their settings: note them at the first run, compare ever after.

    Raises:
        ValueError: the folder holds runs of this study with other settings.
    """
    same_settings(Path(folder) / study.name / "study.json", settings_of(study))


def same_settings(note: Path, settings: dict) -> None:
    """Write settings down beside the first run; compare ever after.

    Raises:
        ValueError: other settings are noted there.
    """
    settings = experiments.rounded(settings)
    if not note.is_file():
        experiments.write_json(note, settings)
    noted = json.loads(note.read_text())
    other = [k for k in settings if settings[k] != noted.get(k)]
    if other:
        raise ValueError(f"{note.parent} holds runs with other settings ({', '.join(other)}); "
                         "use another folder, or delete it")


def keep_seeds(path: Path, seeds: list[int]) -> None:
    """Do not let fewer seeds take the place of recorded ones.

    Raises:
        ValueError: the file holds seeds that would be lost.
    """
    there = json.loads(path.read_text("utf-8"))["provenance"]["seeds"] if path.is_file() else []
    if lost := sorted(set(there) - set(seeds)):
        raise ValueError(f"{path} holds seeds {', '.join(map(str, there))}; {lost} would be lost: "
                         "name all of them (--seeds), or move the file away")


def write_result(result: dict) -> Path:
    """A result to its place, `results/<experiment>.json`; returns the path.

    Raises:
        ValueError: recorded seeds would be lost.
    """
    path = results_folder() / f"{result['experiment']}.json"
    keep_seeds(path, result["provenance"]["seeds"])
    experiments.write_json(path, result)
    return path


@dataclass(frozen=True)
class Record:
    """What stands in `results/<name>.json`: methods of a study.

    Attributes:
        study, methods: whose runs.
        title: None: that of the study, and its claim and the paper's numbers come with it.
        metrics: what is reported.
        subsets: and on which parts of a test split, beside all of it; None: on every one.
    """

    study: str
    methods: tuple[str, ...]
    title: str | None = None
    metrics: tuple[str, ...] = ("exact",)
    subsets: tuple[str, ...] | None = None

    def narrowed(self, run: Run) -> Run:
        """A run with no other subsets than those."""
        return run if self.subsets is None else replace(run, subsets={
            split: {name: mask for name, mask in masks.items() if name in self.subsets}
            for split, masks in run.subsets.items()})


@dataclass(frozen=True)
class Laboratory:
    """The experiments of one world.

    Attributes:
        studies: name -> settings (a dataclass with `name`, `title`, `claim`, `paper`).
        methods: name -> function(study, seed, folder) that returns a `Run`.
        records: name -> `Record`.
        comparisons: the methods of a record -> the differences it reports.
        prepare: called once before processes fork.
        metric: what a single run is summed up by.
        base: a study's name -> the one in whose folder its base models lie.
    """

    studies: dict[str, Any]
    methods: dict[str, Callable[..., Run]]
    records: dict[str, Record]
    comparisons: Callable[[list[str]], list[Comparison]]
    prepare: Callable[[], Any] = dict  # nothing to prepare
    metric: str = "exact"
    base: Callable[[str], str] = str

    def run_one(self, study: Any, method: str, seed: int, folder: str | Path) -> Path:
        """One run, unless it is done already; returns the path of its file.

        Raises:
            ValueError: the folder holds runs of this study with other settings.
        """
        torch.set_num_threads(1)
        check_settings(study, Path(folder))
        path = experiments.run_path(Path(folder) / study.name, method, seed)
        if not path.is_file():
            experiments.save_run(self.methods[method](study, seed, Path(folder)), path.parent)
        return path

    def run_all(self, study: Any, methods: list[str], seeds: list[int], folder: str | Path,
                jobs: int = 1) -> None:
        """All runs, the base models first; finished ones are skipped.

        Raises:
            ValueError: an unknown method.
        """
        if unknown := set(methods) - set(self.methods):
            raise ValueError(f"no method {', '.join(sorted(unknown))}; "
                             f"there are {', '.join(self.methods)}")
        self.prepare()
        count, total = itertools.count(1), len(methods) * len(seeds)

        def tell(path: Path) -> None:
            print(f"run {next(count)} of {total}: {path}", flush=True)

        stages = [["mle"] if "mle" in methods else [], [m for m in methods if m != "mle"]]
        for stage in stages:
            wanted = [(study, m, s, folder) for m in stage for s in seeds]
            if jobs == 1:
                for run in wanted:
                    tell(self.run_one(*run))
                continue
            with ProcessPoolExecutor(jobs) as pool:
                for done in [pool.submit(self.run_one, *run) for run in wanted]:
                    tell(done.result())

    def changed_study(self, name: str, changes: list[str]) -> Any:
        """A study with other settings: `["traces=4000", "seconds=60"]`."""
        study = self.studies[name]
        known = {f.name: f.type for f in fields(study) if f.type in ("int", "float")}
        found = {}
        for change in changes:
            key, _, value = change.partition("=")
            if key not in known:
                raise ValueError(f"{change!r}: write NAME=NUMBER with one of {', '.join(known)}")
            try:
                found[key] = int(value) if known[key] == "int" else float(value)
            except ValueError:
                raise ValueError(f"{change!r}: {value!r} is no number") from None
        return replace(study, **found)

    def summarise(self, name: str, folder: str | Path) -> Path:
        """Write `results/<name>.json` from those runs of a record that are finished, and say
        which are not.

        Raises:
            ValueError: the runs have other settings, or recorded seeds would be lost.
        """
        record = self.records[name]
        study = self.studies[record.study]
        check_settings(study, Path(folder))
        runs = [record.narrowed(r) for r in experiments.load_runs(Path(folder) / record.study)
                if r.method in record.methods]
        runs.sort(key=lambda r: (record.methods.index(r.method), r.seed))
        seeds = {m: {r.seed for r in runs if r.method == m} for m in record.methods}
        if unfinished := [m for m in record.methods if not seeds[m]]:
            print(f"{name}: no finished run of {', '.join(unfinished)}", file=sys.stderr)
        claim = study.claim if record.title is None else None
        result = experiments.summarise(
            name, record.title or study.title, runs,
            self.comparisons(list(dict.fromkeys(r.method for r in runs))),
            claim, study.paper if claim else None, settings_of(study), record.metrics)
        return write_result(result)

    def main(self, description: str, arguments: list[str] | None = None) -> None:
        """The command line of a module of experiments."""
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("record", choices=sorted(self.records))
        parser.add_argument("--methods", nargs="+", help="default: all of the record")
        parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
        parser.add_argument("--folder", default="runs", help="where runs and checkpoints are kept")
        parser.add_argument("--set", nargs="+", default=[], metavar="NAME=NUMBER",
                            help="other settings of the study, e.g. traces=4000 seconds=60")
        parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
        parser.add_argument("--summarise", action="store_true", help="only write results/*.json")
        chosen = parser.parse_args(arguments)
        if chosen.summarise and chosen.set:
            parser.error("results/ holds the settings of the study only; leave --set away")
        if chosen.summarise:
            print(self.summarise(chosen.record, chosen.folder))
            return
        record = self.records[chosen.record]
        self.run_all(self.changed_study(record.study, chosen.set),
                     chosen.methods or list(record.methods), chosen.seeds, chosen.folder,
                     chosen.jobs)
