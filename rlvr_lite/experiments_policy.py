"""Policy evaluation in numbers: success inside each world model against success in reality.

Every policy starts from every recorded start of its task. The four image policies act in closed
loop on painted frames; what the scripted actors did is replayed. The read-out judges the last
frame. Reality and the crude simulator stand beside the models.

    python -m rlvr_lite.experiments_policy --models mle=runs/video_base/base-{seed}/model \
        rlvr=runs/video_multi/rlvr-{seed}/model --seeds 0 1 2 --out runs/policy
    python -m rlvr_lite.experiments_policy --summarise --out runs/policy

Each (model, seed) is one file, so that an interrupted run goes on. In `results`, subsets are
tasks, policies and `task, policy`; the split `outside` holds what no training episode shows: the
hand works beside the object, or the joint is locked. `gap` is eq. (12.2), `rank` Spearman's rank
correlation over (task, policy), `agree` the share of episodes with the true verdict.
Source: RLVR-World section 6.4, table 13.
Differs from the paper: seeds and intervals; greedy beside T = 1; the judge's errors are known.
"""

from __future__ import annotations

import argparse
import functools
import time
from pathlib import Path

import numpy as np
import torch

from rlvr_lite import experiments
from rlvr_lite.experiments import Comparison, Run
from rlvr_lite.experiments_lab import same_settings, write_result
from rlvr_lite.experiments_video import video_tokens
from rlvr_lite.model import load
from rlvr_lite.policy_evaluation import (
    OUTSIDE,
    SCRIPTED,
    Acts,
    Recorded,
    Replay,
    crude,
    imagine,
    judge,
    mean_gap,
    rank_correlation,
    recorded,
    succeeds,
    through_tokenizer,
)
from rlvr_lite.tasks.robot_policies import LEVELS, load_policy, load_readout
from rlvr_lite.tasks.robot_video import VideoTokens
from rlvr_lite.worlds.robot_video import TASKS, episodes

NAME, TITLE = "policy_evaluation", "Policies inside the world model and in reality"
POLICIES = (*LEVELS, *SCRIPTED)
SPLIT_OF = {name: "outside" if name in OUTSIDE else "test" for name in (*POLICIES, *OUTSIDE)}
TEMPERATURES = {"greedy": 0.0, "sampled": 1.0}
WITHOUT_MODEL = ("real", "readout", "floor", "crude_simulator")


@functools.lru_cache(maxsize=8)
def reality(task: str) -> Recorded:
    """The recording of a task, read once."""
    return recorded(task)


def policy_for(task: str, name: str, starts: int | None = None) -> Acts:
    """An image policy, or the recorded actions of a scripted one (from the first starts)."""
    if name in LEVELS:
        return load_policy(task, name)
    real = reality(task)
    return Replay(real.actions[real.row(name), :starts])


# ---------------------------------------------------------------- verdicts
def inside_model(model, tokens: VideoTokens, temperature: float, seed: int,
                 starts: int | None = None) -> dict[tuple[str, str], dict[str, list[float]]]:
    """(task, policy) -> {"success", "repetition"} of every start, inside a world model.

    Args:
        model, tokens: the world model.
        temperature: 0 is greedy.
        seed: of the sampling.
        starts: the first so many; None: all.
    """
    found = {}
    for task in TASKS:
        real, readout = reality(task), load_readout(task)
        first, goals = real.first[:starts], real.goals[:starts]
        for name in real.names:
            policy = policy_for(task, name, starts)
            generator = torch.Generator().manual_seed(seed)
            seen = imagine(model, tokens, policy, first, goals, temperature=temperature,
                           generator=generator)
            verdict = judge(task, readout, seen.frames[:, -1], goals)
            found[task, name] = {"success": verdict.astype(float).tolist(),
                                 "repetition": seen.repeated.tolist()}
    return found


@functools.lru_cache(maxsize=8)
def without_model(method: str, starts: int | None = None) -> dict[tuple[str, str], dict]:
    """The same without a world model.

    Args:
        method: "real" (Meta-World's verdict), "readout" (the judge on the real last frame, through
            the tokenizer: its own errors), "floor" (real, but the policy sees every frame through
            the tokenizer), or "crude_simulator".
        starts: the first so many; None: all.
    """
    found = {}
    for task in TASKS:
        real, readout, tokens = reality(task), load_readout(task), video_tokens()
        for row, name in enumerate(real.names):
            goals = real.goals[:starts]
            if method == "readout":
                last = through_tokenizer(tokens, real.final[row], real.first)[:starts]
                verdict = judge(task, readout, last, goals)
            elif method == "crude_simulator":
                library = episodes(task, "train") if name in LEVELS else None
                ends = crude(policy_for(task, name, starts), task,
                             real.states[row, :starts, 0], library)
                verdict = succeeds(task, ends, goals)
            else:
                verdict = (real.success if method == "real" else real.blurred)[row, :starts]
            found[task, name] = {"success": verdict.astype(float).tolist()}
    return found


def run_of(method: str, seed: int, verdicts: dict[str, dict]) -> Run:
    """Verdicts by decoding -> a run with its subsets; one value per (task, policy, start)."""
    scores: dict = {}
    subsets: dict = {}
    for split in ("test", "outside"):
        for decoding, table in verdicts.items():
            chosen = {key: rows for key, rows in table.items() if SPLIT_OF[key[1]] == split}
            metrics = dict.fromkeys(m for rows in chosen.values() for m in rows)
            scores.setdefault(split, {})[decoding] = {
                m: [v for rows in chosen.values() for v in rows[m]] for m in metrics}
            keys = [key for key, rows in chosen.items() for _ in rows["success"]]
        names = {name: [int(p == name) for _, p in keys] for name in dict.fromkeys(
            p for _, p in keys)}
        tasks = {task: [int(t == task) for t, _ in keys] for task in TASKS}
        pairs = {f"{task}, {name}": [int(k == (task, name)) for k in keys]
                 for task, name in dict.fromkeys(keys)}
        groups = {"image policies": [int(p in LEVELS) for _, p in keys],
                  "replays": [int(p in SCRIPTED) for _, p in keys]} if split == "test" else {}
        subsets[split] = {**groups, **tasks, **names, **pairs}
    return Run(method, seed, scores, subsets)


def run_model(method: str, folder: str | Path, seed: int, out: Path,
              starts: int | None = None) -> Path:
    """Evaluate one saved model, unless that is done already; returns the path of its run.

    Raises:
        ValueError: the runs there are of another number of starts.
    """
    same_settings(Path(out) / "settings.json", {"starts": starts})
    path = experiments.run_path(out, method, seed)
    if not path.is_file():
        start = time.process_time()
        tokens, model = video_tokens(), load(folder)
        run = run_of(method, seed, {d: inside_model(model, tokens, t, seed, starts)
                                    for d, t in TEMPERATURES.items()})
        run.cost = {"cpu_seconds": time.process_time() - start}
        run.notes = {"readout": {t: load_readout(t).notes for t in TASKS}}
        experiments.save_run(run, out)
    return path


def run_without_model(method: str, seed: int, out: Path, starts: int | None = None) -> Path:
    """The same without a world model; it does not depend on the seed."""
    same_settings(Path(out) / "settings.json", {"starts": starts})
    path = experiments.run_path(out, method, seed)
    if not path.is_file():
        table = without_model(method, starts)
        experiments.save_run(run_of(method, seed, {"greedy": table}), out)
    return path


# ---------------------------------------------------------------- gap, rank, agreement
def tables(run: Run, decoding: str, tasks: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    """Success of a run as a table (policies, starts); one row per (task, policy)."""
    values = np.asarray(run.scores["test"][decoding]["success"])
    masks = run.subsets["test"]
    return np.stack([values[np.asarray(masks[f"{t}, {n}"], dtype=bool)]
                     for t in tasks for n in names])


def compared(inside: list[np.ndarray], real: np.ndarray, metric: str, draws: int = 1000
             ) -> dict:
    """Gap, rank or agreement of each seed, with an interval over seeds and starts.

    Args:
        inside: a table (policies, starts) per seed.
        real: (policies, starts).
        metric: "gap", "rank" or "agree".
        draws: of the bootstrap.

    Returns:
        {"mean", "low", "high", "per_seed", "n", "draws"}. A gap is an absolute value, so that
        resampling noise pushes it up; an interval that leaves out the mean is widened to it.
    """
    table, seeds = np.stack(inside), len(inside)                     # (seeds, policies, starts)
    function = {"gap": mean_gap, "rank": rank_correlation}.get(metric)

    def measure(weights: np.ndarray) -> np.ndarray:
        """Weights of the starts (D, starts) -> (seeds, D)."""
        if function is None:
            return (table == real).mean(1) @ weights.T
        return function(np.moveaxis(table @ weights.T, 2, 1), (real @ weights.T).T)

    starts, rng = real.shape[1], np.random.default_rng(0)
    per_seed = measure(np.full((1, starts), 1 / starts))[:, 0].tolist()
    drawn = rng.multinomial(starts, np.full(starts, 1 / starts), draws) / starts
    chosen = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds   # (D, seeds)
    if seeds > 1:  # as in metrics.bootstrap
        chosen = 1 / seeds + (chosen - 1 / seeds) * np.sqrt(seeds / (seeds - 1))
    found = (chosen.T * measure(drawn)).sum(0)                                  # (D,)
    return {**interval(np.mean(per_seed), found), "per_seed": per_seed, "n": real.size,
            "draws": found}


def interval(mean: float, draws: np.ndarray) -> dict[str, float]:
    """A mean with the middle 95 % of its bootstrap, widened to hold the mean."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return {"mean": float(mean), "low": float(min(low, mean)), "high": float(max(high, mean))}


def gap_rows(runs: list[Run], seeds: list[int]) -> list[dict]:
    """Rows of gap, rank and agreement for every method but reality."""
    table, rows = {(r.method, r.seed): r for r in runs}, []
    subsets = {"all": (TASKS, POLICIES), "image policies": (TASKS, LEVELS),
               "replays": (TASKS, SCRIPTED), **{t: ((t,), POLICIES) for t in TASKS},
               **{f"{t}, image policies": ((t,), LEVELS) for t in TASKS}}
    for method in dict.fromkeys(r.method for r in runs if r.method != "real"):
        for decoding in table[method, seeds[0]].scores["test"]:
            for subset, (tasks, names) in subsets.items():
                inside = [tables(table[method, s], decoding, tasks, names) for s in seeds]
                real = tables(table["real", seeds[0]], "greedy", tasks, names)
                rows += [{"method": method, "decoding": decoding, "subset": subset,
                          "metric": metric, **compared(inside, real, metric)}
                         for metric in ("gap", "rank", "agree")]
    return rows


def gap_differences(rows: list[dict], pairs: list[tuple[str, str]]) -> list[dict]:
    """Differences of two methods' gaps, paired: both were drawn with the same starts and seeds."""
    found = []
    for a, b in pairs:
        for row in (r for r in rows if r["method"] == a):
            same = {r["decoding"]: r for r in rows if r["method"] == b
                    and all(r[k] == row[k] for k in ("subset", "metric"))}
            other = same.get(row["decoding"], same.get("greedy"))
            if other is not None:
                found.append({"a": a, "b": b, "decoding": row["decoding"],
                              "subset": row["subset"], "metric": row["metric"],
                              **interval(row["mean"] - other["mean"],
                                         row["draws"] - other["draws"])})
    return found


def summarise(out: Path) -> dict:
    """All finished runs -> the result in the book's schema."""
    runs = experiments.load_runs(out)
    there = {r.method for r in runs}
    order = [*(m for m in WITHOUT_MODEL if m in there), *sorted(there - set(WITHOUT_MODEL))]
    runs.sort(key=lambda r: (order.index(r.method), r.seed))
    models = [m for m in order if m not in WITHOUT_MODEL]
    pairs = [(m, "real") for m in order if m != "real"]
    pairs += [("rlvr", m) for m in models if m != "rlvr" and "rlvr" in models]
    result = experiments.summarise(
        NAME, TITLE, runs, [Comparison(a, b) for a, b in pairs], NAME, None,
        {"starts": int(runs[0].subsets["test"]["push, begin"].count(1)),
         "policies": list(POLICIES)}, ("success",))
    inside = [r for r in runs if r.method in models]
    extra = gap_rows(runs, result["provenance"]["seeds"])
    if inside:
        result["rows"] += experiments.summarise(
            NAME, TITLE, inside, metrics=("repetition",))["rows"]
    result["differences"] += gap_differences(extra, [
        (a, b) for a in models for b in order if b not in (a, "real")
        and (b not in models or a == "rlvr")])
    for row in extra:
        row.pop("draws", None)
    result["rows"] += extra
    return result


def models_of(text: list[str], taken: tuple[str, ...]) -> dict[str, str]:
    """`["mle=FOLDER", ...]` -> {"mle": "FOLDER"}; a folder may hold `{seed}`.

    Args:
        text: of the command line.
        taken: names of methods without a model.

    Raises:
        ValueError: another form, or a name that is taken.
    """
    found = dict(part.partition("=")[::2] for part in text)
    wrong = [name for name, folder in found.items()
             if not name or not folder or "-" in name or name in taken]
    if wrong:
        raise ValueError(f"write NAME=FOLDER, without '-' in the name and not {taken}; "
                         f"got {', '.join(wrong)}")
    return found


def models_parser(description: str, out: str) -> argparse.ArgumentParser:
    """The command line of whatever judges saved world models.

    Args:
        description: of the module.
        out: where runs are kept where nothing else is said, under `runs`.
    """
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME=FOLDER",
                        help="saved world models; {seed} in FOLDER stands for the seed")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, help=f"default: runs/{out}")
    parser.add_argument("--summarise", action="store_true",
                        help="write the result from the finished runs")
    return parser


def main(arguments: list[str] | None = None) -> None:
    """The command line: run what is missing, or summarise."""
    parser = models_parser(__doc__, NAME)
    parser.add_argument("--starts", type=int, help="only so many starts (for a quick look)")
    chosen = parser.parse_args(arguments)
    out = chosen.out or Path("runs") / NAME
    torch.set_num_threads(1)
    for seed in chosen.seeds if chosen.models else ():
        for method in WITHOUT_MODEL:
            run_without_model(method, seed, out, chosen.starts)
        for method, folder in models_of(chosen.models, WITHOUT_MODEL).items():
            print(run_model(method, folder.format(seed=seed), seed, out, chosen.starts),
                  flush=True)
    if chosen.summarise:
        print(write_result(summarise(out)))


if __name__ == "__main__":
    main()
