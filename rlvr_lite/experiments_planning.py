"""Planning in numbers: how often do plans made in a world model succeed in the simulator?

The same planner and the same starts, with different dynamics to try plans in: a world model, the
simulator itself (`oracle`, the upper bound), and none (`random`, random actions). It needs the
simulator (`pip install rlvr-lite[video]`) and one process per task.

    python -m rlvr_lite.experiments_planning --task drawer_close --starts 10 --seeds 0 1 2 \
        --methods random oracle --models mle=runs/video_base/base-{seed}/model --out runs/planning
    python -m rlvr_lite.experiments_planning --summarise --out runs/planning

Each (task, method, seed) is one file; what is there is not made again. With `--plans training`
nothing is searched: the planner chooses among 48 recorded plans, from moments that looked like the
present one, of episodes that the world models were trained on; `nearest` and `drawn` are imitation
without a world model.
Source: RLVR-World table 12 (the cross-entropy method on PushT, the planner of DINO-WM).
Differs from the paper: two drawers and a block in place of PushT; the distance that a plan has to
close is read from the imagined frames, not measured between image features.
"""

from __future__ import annotations

import functools
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from rlvr_lite import experiments, paper
from rlvr_lite.experiments import Comparison, Run, run_path
from rlvr_lite.experiments_lab import write_result
from rlvr_lite.experiments_policy import models_of, models_parser
from rlvr_lite.experiments_video import video_tokens
from rlvr_lite.model import load
from rlvr_lite.planning_video import (
    CEMConfig,
    ModelDynamics,
    RecordedPlans,
    TrueDynamics,
    control,
    imitate,
    in_simulator,
    random_control,
)
from rlvr_lite.tasks.robot_policies import load_readout
from rlvr_lite.worlds.robot_simulator import FIRST_START, Simulator
from rlvr_lite.worlds.robot_video import TASKS, episodes

NAME, TITLE = "video_planning", "Planning inside the world model"
SOURCES = {"invented": None, "training": "train", "unseen": "test"}  # of plans -> split
RECORDS = {"invented": (NAME, TITLE),
           "training": (f"{NAME}_training", f"{TITLE}: plans of training episodes")}
WITHOUT_MODEL = ("random", "drawn", "nearest", "oracle")
WITHOUT_SEED = ("nearest", "oracle")  # where plans are not invented
ORDER = ("random", "drawn", "nearest", "mle", "rlvr", "oracle")


@functools.lru_cache(maxsize=1)
def simulator(task: str) -> Simulator:
    """One simulator a process."""
    return Simulator(task)


def plan_starts(task: str, method: str, folder: str | None, starts: int, seed: int,
                config: CEMConfig, temperature: float = 0.0, plans: str = "invented") -> dict:
    """Plan from every start; the simulator says what comes of it.

    Args:
        task: one of `robot_video.TASKS`.
        method: "random", "drawn", "nearest", "oracle", or the name of a world model.
        folder: where that model lies.
        starts: how many test starts.
        seed: of planner and sampling.
        config: of the planner.
        temperature: of the world model; 0 is greedy.
        plans: one of `RECORDS`.

    Returns:
        {"success": one 0 or 1 per start, "cpu_seconds"}.
    """
    world, found, began = simulator(task), [], time.process_time()
    readout, split = load_readout(task), SOURCES[plans]
    recorded = RecordedPlans(episodes(task, split), readout) if split else None
    if method not in WITHOUT_MODEL:
        tokens, model = video_tokens(), load(folder)
    for start in range(starts):
        frame, state = world.reset(FIRST_START + start)
        act, number = in_simulator(world), 1000 * seed + start
        if method == "random":
            found.append(float(random_control(act, number)))
            continue
        if method in ("drawn", "nearest"):
            found.append(float(imitate(act, recorded, frame, config.horizon, config.population,
                                       number if method == "drawn" else None)))
            continue
        dynamics = TrueDynamics(world) if method == "oracle" else ModelDynamics(
            model, tokens, readout, temperature, number)
        settings = CEMConfig(**asdict(config) | {"seed": number})
        result = control(act, dynamics, task, frame, state[7:10], settings, recorded=recorded)
        found.append(float(result["success"]))
    return {"success": found, "cpu_seconds": time.process_time() - began}


def read_run(path: Path) -> dict:
    """One file; the oldest ones do not say that their plans are invented and greedy."""
    return {"plans": "invented", "temperature": 0} | json.loads(path.read_text())


def finished(path: Path, settings: dict, starts: int) -> dict | None:
    """What a finished run has found; None where it is still to be made.

    Raises:
        ValueError: it was made with other settings.
    """
    if not path.is_file():
        return None
    found = read_run(path)
    wanted = experiments.rounded(settings)
    other = [k for k in wanted if found[k] != wanted[k]]
    if other := other + ["starts"] * (len(found["success"]) != starts):
        raise ValueError(f"{path} was made with other settings ({', '.join(other)}); use another "
                         "--out, or delete it")
    return found


def summarise(out: Path, plans: str = "invented") -> dict:
    """All finished runs -> the result in the book's schema.

    Raises:
        FileNotFoundError: no method has finished every task.
        ValueError: the runs choose among other plans, or differ in their settings.
    """
    parts: dict[tuple[str, int], dict[str, dict]] = {}
    tasks = [t for t in TASKS if (Path(out) / t).is_dir()]
    for task in tasks:
        for path in sorted((Path(out) / task).glob("*-*.json")):
            method, _, seed = path.stem.rpartition("-")
            parts.setdefault((method, int(seed)), {})[task] = read_run(path)
    made = [found for by_task in parts.values() for found in by_task.values()]
    if any(f["plans"] != plans or (f["planner"], f["temperature"], len(f["success"])) != (
            made[0]["planner"], made[0]["temperature"], len(made[0]["success"])) for f in made):
        raise ValueError(f"not all runs in {out} plan with the same settings and {plans} plans")
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
             if (a, b) == ("rlvr", "mle") or (a in ("mle", "rlvr") and b in WITHOUT_MODEL)]
    invented = plans == "invented"
    return experiments.summarise(*RECORDS[plans], runs, pairs, NAME if invented else None,
                                 paper.planning_rows() if invented else None,
                                 {"tasks": tasks, "plans": plans}, ("success",))


def main(arguments: list[str] | None = None) -> None:
    """The command line: run what is missing, or summarise."""
    parser = models_parser(__doc__, "<name of the result>")
    parser.add_argument("--task", choices=TASKS)
    parser.add_argument("--methods", nargs="*", choices=WITHOUT_MODEL, default=[])
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--temperature", type=float, default=0.0, help="of the world model")
    for name in ("horizon", "population", "elites", "iterations"):
        parser.add_argument(f"--{name}", type=int, default=getattr(CEMConfig, name))
    parser.add_argument("--plans", choices=RECORDS, default="invented", help="where they are from")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    config = CEMConfig(chosen.horizon, chosen.population, chosen.elites, chosen.iterations)
    wanted = dict.fromkeys(chosen.methods) | models_of(chosen.models, WITHOUT_MODEL)
    if wanted and chosen.task is None:
        parser.error("--task is needed: one process per task")
    if {"drawn", "nearest"} & set(chosen.methods) and chosen.plans == "invented":
        parser.error("drawn and nearest choose among recorded plans: add --plans training")
    out = chosen.out or Path("runs") / RECORDS[chosen.plans][0]
    settings = {"planner": asdict(config), "plans": chosen.plans,
                "temperature": chosen.temperature}
    for seed in chosen.seeds:
        for method, folder in wanted.items():
            path = run_path(out / chosen.task, method, seed)
            twin = run_path(out / chosen.task, method, chosen.seeds[0])
            if not finished(path, settings, chosen.starts):
                same = chosen.plans != "invented" and method in WITHOUT_SEED
                found = (same and finished(twin, settings, chosen.starts)) or plan_starts(
                    chosen.task, method, folder and folder.format(seed=seed), chosen.starts, seed,
                    config, chosen.temperature, chosen.plans)
                experiments.write_json(path, found | settings)
                print(f"{path}: {np.mean(found['success']):.0%}", flush=True)
    if chosen.summarise:
        print(write_result(summarise(out, chosen.plans)))


if __name__ == "__main__":
    main()
