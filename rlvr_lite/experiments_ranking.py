"""Which plan is better? What a planner asks of a world model, measured plan by plan.

From the same moments the simulator tries the same 48 plans that the world models imagine. A plan's
cost is eq. (12.3). Two numbers say how useful a model is for choosing:
    rank     Spearman correlation of imagined and true cost over the plans of one moment
    regret   true cost of the plan with the lowest imagined cost, minus the lowest true cost
The plans come from three sources: `invented` (Gaussian, the first round of the cross-entropy
method), `training` (recorded actions that the models were trained on), `unseen` (recorded actions
of test episodes).

    python -m rlvr_lite.experiments_ranking --record push --out runs/ranking     (needs simulator)
    python -m rlvr_lite.experiments_ranking --models mle=runs/video_base/base-{seed}/model \
        rlvr=runs/video_multi/rlvr-{seed}/model --seeds 0 1 2 --out runs/ranking
    python -m rlvr_lite.experiments_ranking --summarise --out runs/ranking

Source: our own; RLVR-World table 12 reports the success of plans only.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from rlvr_lite import experiments
from rlvr_lite.experiments import Comparison, Run
from rlvr_lite.experiments_lab import same_settings, write_result
from rlvr_lite.experiments_planning import SOURCES, simulator
from rlvr_lite.experiments_policy import models_of, models_parser
from rlvr_lite.experiments_video import video_tokens
from rlvr_lite.model import load
from rlvr_lite.paths import write_npz
from rlvr_lite.planning_video import (
    CEMConfig,
    ModelDynamics,
    RecordedPlans,
    TrueDynamics,
    held,
    in_simulator,
    position_cost,
)
from rlvr_lite.policy_evaluation import rank_correlation, through_tokenizer
from rlvr_lite.tasks.robot_policies import load_readout
from rlvr_lite.worlds.robot_simulator import FIRST_START
from rlvr_lite.worlds.robot_video import ACTION_DIM, TASKS, episodes

NAME, TITLE = "video_ranking", "Which plan is better?"
METRICS = ("rank", "regret", "object", "hand")
ORDER = ("drawn", "mle", "rlvr", "floor")
WITHOUT_MODEL = ("drawn", "floor")
DECIDE = (1, 3, 5, 7)  # steps of the world model after which plans are compared
NEAREST = 8            # the way there: one of so many most similar training plans, at random
CONFIG = CEMConfig()


# ---------------------------------------------------------------- in the simulator
def record(task: str, starts: int) -> dict[str, np.ndarray]:
    """Walk from every start; at every moment of decision try all plans in the simulator.

    Returns:
        frames (S, T + 1, 64, 64, 3), actions (S, T, SKIP, 4) of the walks, goals (S, 3), plans
        (S, D, source, P, H, SKIP, 4), where they lead: true (S, D, source, P, H, 6), and floor,
        the same as the read-out sees it through the tokenizer; metres.
    """
    world, readout, tokens = simulator(task), load_readout(task), video_tokens()
    recorded = {name: split and RecordedPlans(episodes(task, split), readout)
                for name, split in SOURCES.items()}
    found: dict[str, list] = {k: [] for k in ("frames", "actions", "goals", "plans", "true",
                                              "floor")}
    for start in range(starts):
        frame, state = world.reset(FIRST_START + start)
        rng, frames, done = np.random.default_rng(start), [frame], []
        tried: dict[str, list] = {k: [] for k in ("plans", "true", "floor")}
        for step in range(max(DECIDE) + 1):
            if step in DECIDE:
                plans = np.stack([plans_of(source, frames[-1], rng)
                                  for source in recorded.values()])
                ends, seen = tried_out(world, plans, frames[0], readout, tokens)
                for name, value in zip(tried, (plans, ends, seen)):
                    tried[name].append(value)
            if step < max(DECIDE):
                near = recorded["training"].near(frames[-1], CONFIG.horizon, NEAREST)
                done.append(near[rng.integers(NEAREST), 0])
                frames.append(in_simulator(world)(done[-1])[0])
        row = {"frames": frames, "actions": done, "goals": state[7:10], **tried}
        for name, value in row.items():
            found[name].append(np.asarray(value))
    return {name: np.stack(values) for name, values in found.items()}


def plans_of(source: RecordedPlans | None, frame: np.ndarray,
             rng: np.random.Generator) -> np.ndarray:
    """48 plans (P, H, SKIP, 4): recorded ones, or without a source invented ones."""
    if source is not None:
        return source.near(frame, CONFIG.horizon, CONFIG.population)
    size = (CONFIG.population, CONFIG.horizon, ACTION_DIM)
    return held(np.clip(CONFIG.std * rng.normal(size=size), -1, 1))


def tried_out(world, plans: np.ndarray, first: np.ndarray, readout,
              tokens) -> tuple[np.ndarray, np.ndarray]:
    """Where plans (source, P, H, SKIP, 4) lead, and what the read-out sees of it through the
    tokenizer, given the first frame of the episode: two (source, P, H, 6)."""
    flat, pictures = plans.reshape(-1, *plans.shape[2:]), []
    ends = TrueDynamics(world).predict(flat, lambda row, step: pictures.append(world.frame()))
    context = np.broadcast_to(first, (len(pictures), *first.shape))
    seen = readout.read(through_tokenizer(tokens, np.stack(pictures), np.ascontiguousarray(
        context)))
    shape = (*plans.shape[:3], 6)
    return ends.reshape(shape), seen.reshape(shape)


# ---------------------------------------------------------------- in the model
def imagined(table: dict[str, np.ndarray], model, task: str, seed: int) -> np.ndarray:
    """Where a world model, greedy, says that the plans lead: as `true` of `record`."""
    found = np.empty_like(table["true"])
    dynamics = ModelDynamics(model, video_tokens(), load_readout(task), 0.0, seed)
    for s, frames in enumerate(table["frames"]):
        dynamics.reset(frames[0])
        for step in range(max(DECIDE) + 1):
            if step in DECIDE:
                d = DECIDE.index(step)
                found[s, d] = [dynamics.predict(plans) for plans in table["plans"][s, d]]
            if step < max(DECIDE):
                dynamics.see(table["actions"][s, step], frames[step + 1])
    return found


def measures(table: dict[str, np.ndarray], seen: np.ndarray, task: str) -> dict[str, np.ndarray]:
    """What imagined positions are worth for choosing: `METRICS`, each (S, D, source).

    Args:
        table: of `record`.
        seen: imagined positions, like its `true`.
    """
    guess, truth = (costs(table["goals"], z, task) for z in (seen, table["true"]))
    chosen = np.take_along_axis(truth, guess.argmin(-1)[..., None], -1)[..., 0]
    apart = np.linalg.norm((seen - table["true"]).reshape(*seen.shape[:-1], 2, 3), axis=-1)
    hand, thing = np.moveaxis(apart.mean((-2, -3)), -1, 0)
    return {"rank": rank_correlation(guess, truth), "object": thing, "hand": hand,
            "regret": (chosen - truth.min(-1)) / CONFIG.horizon}


def costs(goals: np.ndarray, positions: np.ndarray, task: str) -> np.ndarray:
    """Eq. (12.3) of every plan: goals (S, 3), positions (S, ..., P, H, 6) -> (S, ..., P)."""
    return np.stack([position_cost(task, goal, CONFIG.hand)(some)
                     for goal, some in zip(goals, positions)])


def drawn(table: dict[str, np.ndarray], still: np.ndarray, task: str) -> dict[str, np.ndarray]:
    """The same without a model: all plans end where hand and object are now, `still` (S, D, 6),
    so there is no order among them, and any may be chosen."""
    here = np.broadcast_to(still[:, :, None, None, None], table["true"].shape)
    truth = costs(table["goals"], table["true"], task)
    any_plan = (truth.mean(-1) - truth.min(-1)) / CONFIG.horizon
    return measures(table, here, task) | {"regret": any_plan}


# ---------------------------------------------------------------- runs and records
def run_of(method: str, seed: int, by_task: dict[str, dict[str, np.ndarray]]) -> Run:
    """Measures of every task -> a run; one item per start, moment and source."""
    names = list(next(iter(by_task.values())))
    values = {n: np.concatenate([by_task[t][n].ravel() for t in by_task]).tolist() for n in names}
    shapes = {t: found[names[0]].shape for t, found in by_task.items()}
    keys = [(t, source) for t, shape in shapes.items()
            for _ in range(shape[0] * shape[1]) for source in SOURCES]
    masks = {source: [int(k[1] == source) for k in keys] for source in SOURCES}
    masks |= {t: [int(k[0] == t) for k in keys] for t in by_task}
    masks |= {f"{t}, {source}": [int(k == (t, source)) for k in keys]
              for t in by_task for source in SOURCES}
    return Run(method, seed, {"test": {"greedy": values}}, {"test": masks})


def tables(out: Path) -> dict[str, dict[str, np.ndarray]]:
    """What `record` has left, by task.

    Raises:
        FileNotFoundError: a task is missing.
    """
    found = {}
    for task in TASKS:
        path = Path(out) / f"{task}.npz"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: record it first, with --record {task}")
        with np.load(path) as kept:
            found[task] = {name: kept[name] for name in kept.files}
    return found


def evaluate(method: str, folder: str | None, seed: int, out: Path) -> None:
    """Make the run of one method and seed, unless it is there."""
    if experiments.run_path(out, method, seed).is_file():
        return
    began, kept, found = time.process_time(), tables(out), {}
    model = load(folder) if folder else None
    for task, table in kept.items():
        if method == "drawn":
            now = load_readout(task).read(table["frames"][:, DECIDE])
            found[task] = drawn(table, now, task)
            continue
        seen = imagined(table, model, task, seed) if model is not None else table["floor"]
        found[task] = measures(table, seen, task)
    run = run_of(method, seed, found)
    run.cost = {"cpu_seconds": time.process_time() - began}
    experiments.save_run(run, out)


def summarise(out: Path) -> dict:
    """All finished runs -> the result in the book's schema."""
    runs = experiments.load_runs(out)
    runs.sort(key=lambda r: (ORDER.index(r.method) if r.method in ORDER else 9, r.seed))
    methods = list(dict.fromkeys(r.method for r in runs))
    pairs = [Comparison(a, b, ("greedy",)) for a, b in (
        ("rlvr", "mle"), ("mle", "drawn"), ("rlvr", "drawn"), ("rlvr", "floor")) if
        {a, b} <= set(methods)]
    config = {"starts": len(tables(out)[TASKS[0]]["goals"]), "decide": list(DECIDE),
              "horizon": CONFIG.horizon, "population": CONFIG.population, "hand": CONFIG.hand}
    return experiments.summarise(NAME, TITLE, runs, pairs, None, None, config, METRICS)


def main(arguments: list[str] | None = None) -> None:
    """The command line: record a task, evaluate models, or summarise."""
    parser = models_parser(__doc__, NAME)
    parser.add_argument("--record", choices=TASKS, help="try all plans in the simulator")
    parser.add_argument("--starts", type=int, default=10)
    chosen = parser.parse_args(arguments)
    out = chosen.out or Path("runs") / NAME
    torch.set_num_threads(1)
    if chosen.record:
        if any(out.glob("*-*.json")):
            parser.error(f"{out} holds runs of an older recording; use another --out")
        same_settings(out / "settings.json", {"starts": chosen.starts, **asdict(CONFIG)})
        write_npz(out / f"{chosen.record}.npz", record(chosen.record, chosen.starts))
    models = models_of(chosen.models, WITHOUT_MODEL)
    for seed in chosen.seeds if models else ():
        for method, folder in (dict.fromkeys(WITHOUT_MODEL) | models).items():
            evaluate(method, folder and folder.format(seed=seed), seed, out)
            print(f"{method} seed {seed}", flush=True)
    if chosen.summarise:
        print(write_result(summarise(out)))


if __name__ == "__main__":
    main()
