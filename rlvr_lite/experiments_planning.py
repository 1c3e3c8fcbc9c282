"""Planning in numbers: how often do plans made in a world model succeed in the simulator?

The same planner and the same starts, with different dynamics to try plans in: a world model, the
simulator itself (`oracle`, the upper bound), and none (`random`, random actions). It needs the
simulator (`pip install rlvr-lite[video]`) and one process per task.

    python -m rlvr_lite.experiments_planning --task drawer_close --starts 10 --seeds 0 1 2 \
        --methods random oracle --models mle=runs/video_base/base-{seed}/model --out runs/planning
    python -m rlvr_lite.experiments_planning --summarise --out runs/planning

Each (task, method, seed) is one file; what is there is not made again.
Source: RLVR-World table 12 (the cross-entropy method on PushT, the planner of DINO-WM).
Differs from the paper: two drawers and a block in place of PushT; the distance that a plan has to
close is read from the imagined frames, not measured between image features.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from rlvr_lite import experiments, paper
from rlvr_lite.experiments import Comparison, Run
from rlvr_lite.experiments_policy import models_of
from rlvr_lite.experiments_video import video_tokens
from rlvr_lite.model import load
from rlvr_lite.paths import results_folder
from rlvr_lite.planning_video import (
    CEMConfig,
    ModelDynamics,
    TrueDynamics,
    control,
    in_simulator,
    random_control,
)
from rlvr_lite.tasks.robot_policies import load_readout
from rlvr_lite.worlds.robot_simulator import TASKS_PER_SEED, Simulator
from rlvr_lite.worlds.robot_video import TASKS

NAME, TITLE = "video_planning", "Planning inside the world model"
WITHOUT_MODEL = ("random", "oracle")
FIRST_START = 2000 * TASKS_PER_SEED + 60  # as in policy evaluation: test starts
ORDER = ("random", "mle", "rlvr", "oracle")


@functools.lru_cache(maxsize=1)
def simulator(task: str) -> Simulator:
    """One simulator a process."""
    return Simulator(task)


def plan_starts(task: str, method: str, folder: str | None, starts: int, seed: int,
                config: CEMConfig, temperature: float = 0.0) -> dict:
    """Plan from every start; the simulator says what comes of it.

    Args:
        task: one of `robot_video.TASKS`.
        method: "random", "oracle", or the name of a world model.
        folder: where that model lies.
        starts: how many test starts.
        seed: of planner and sampling.
        config: of the planner.
        temperature: of the world model; 0 is greedy.

    Returns:
        {"success": one 0 or 1 per start, "cpu_seconds"}.
    """
    world, found, began = simulator(task), [], time.process_time()
    if method not in WITHOUT_MODEL:
        tokens = video_tokens()
        model, readout = load(folder), load_readout(task)
    for start in range(starts):
        frame, state = world.reset(FIRST_START + start)
        act, number = in_simulator(world), 1000 * seed + start
        if method == "random":
            found.append(float(random_control(act, number)))
            continue
        dynamics = TrueDynamics(world) if method == "oracle" else ModelDynamics(
            model, tokens, readout, temperature, number)
        settings = CEMConfig(**asdict(config) | {"seed": number})
        result = control(act, dynamics, task, frame, state[7:10], settings)
        found.append(float(result["success"]))
    return {"success": found, "cpu_seconds": time.process_time() - began}


def run_path(out: Path, task: str, method: str, seed: int) -> Path:
    return Path(out) / task / f"{method}-{seed}.json"


def summarise(out: Path) -> dict:
    """All finished runs -> the result in the book's schema."""
    parts: dict[tuple[str, int], dict[str, dict]] = {}
    tasks = [t for t in TASKS if (Path(out) / t).is_dir()]
    for task in tasks:
        for path in sorted((Path(out) / task).glob("*-*.json")):
            method, _, seed = path.stem.rpartition("-")
            parts.setdefault((method, int(seed)), {})[task] = json.loads(path.read_text())
    runs = []
    for (method, seed), by_task in parts.items():
        if set(by_task) != set(tasks):
            continue  # a task is missing: this run is not finished
        values = [v for t in tasks for v in by_task[t]["success"]]
        names = [t for t in tasks for _ in by_task[t]["success"]]
        run = Run(method, seed, {"test": {"greedy": {"success": values}}},
                  {"test": {t: [int(n == t) for n in names] for t in tasks}})
        run.cost = {"cpu_seconds": sum(by_task[t]["cpu_seconds"] for t in tasks)}
        run.notes = {"planner": by_task[tasks[0]]["planner"]}
        runs.append(run)
    if not runs:
        raise FileNotFoundError(f"no finished run in {out}: every method needs every task")
    runs.sort(key=lambda r: (ORDER.index(r.method) if r.method in ORDER else 9, r.seed))
    methods = list(dict.fromkeys(r.method for r in runs))
    pairs = [Comparison(a, b, ("greedy",)) for a in methods for b in methods
             if (a, b) in {("rlvr", "mle"), ("rlvr", "oracle"), ("mle", "oracle"),
                           ("mle", "random"), ("rlvr", "random")}]
    return experiments.summarise(NAME, TITLE, runs, pairs, NAME, paper.planning_rows(),
                                 {"tasks": tasks}, ("success",))


def main(arguments: list[str] | None = None) -> None:
    """The command line: run what is missing, or summarise."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--task", choices=TASKS)
    parser.add_argument("--methods", nargs="*", choices=WITHOUT_MODEL, default=[])
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME=FOLDER",
                        help="saved world models; {seed} in FOLDER stands for the seed")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--temperature", type=float, default=0.0, help="of the world model")
    for name in ("horizon", "population", "elites", "iterations"):
        parser.add_argument(f"--{name}", type=int, default=getattr(CEMConfig, name))
    parser.add_argument("--out", type=Path, default=Path("runs") / NAME)
    parser.add_argument("--summarise", action="store_true",
                        help=f"write results/{NAME}.json from the finished runs")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = CEMConfig(chosen.horizon, chosen.population, chosen.elites, chosen.iterations)
    wanted = dict.fromkeys(chosen.methods) | models_of(chosen.models)
    if wanted and chosen.task is None:
        parser.error("--task is needed: one process per task")
    for seed in chosen.seeds:
        for method, folder in wanted.items():
            path = run_path(chosen.out, chosen.task, method, seed)
            if not path.is_file():
                found = plan_starts(chosen.task, method, folder and folder.format(seed=seed),
                                    chosen.starts, seed, config, chosen.temperature)
                experiments.write_json(path, found | {"planner": asdict(config)})
                print(f"{path}: {np.mean(found['success']):.0%}", flush=True)
    if chosen.summarise:
        path = results_folder() / f"{NAME}.json"
        experiments.write_json(path, summarise(chosen.out))
        print(path)


if __name__ == "__main__":
    main()
