"""Do the shipped models still score what was recorded, and do the recorded files agree?

What: `contradictions` reads a result and looks for numbers that contradict each other; `verify`
answers the test items once more with each shipped checkpoint and compares the mean with the
recorded one. A checkpoint is seed 0 of its method, so that it is compared with the *greedy* test
score of that seed, which stands in results/*.json (`per_seed`) and in its made.json, and not with
the mean over seeds. Greedy decoding draws nothing: on the machine of the recording, models in
fp32 give the same answers again; those in fp16, and other processors, change a few.
How much is allowed: a tenth of half the recorded interval. Half the interval is what other seeds
and items would move, so that a base and its RLVR model could be taken for each other; a tenth is
about what is left where one answer in two hundred comes out differently. Only some of the N
items, n of them spread evenly, may miss the mean of all by 3 standard errors in addition,
    3 (half / 1.96) sqrt(N / n - 1)
The small networks of chapter 12 are judged by the recorded episodes that ship with them: an image
policy has to choose the first actions that it chose in the simulator, a read-out has to judge the
true last frames as it did in results/policy_evaluation.json.
Source: the honesty rules of the book.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rlvr_lite import (
    checkpoints,
    experiments_policy,
    experiments_text,
    experiments_tokenizers,
    experiments_video,
    experiments_web,
)
from rlvr_lite.evaluation import mean, scores, spread
from rlvr_lite.experiments import find
from rlvr_lite.policy_evaluation import judge, recorded, through_tokenizer
from rlvr_lite.tasks.robot_policies import LEVELS, SKIP, load_policy, load_readout
from rlvr_lite.worlds.robot_video import TASKS

SHARE = 0.1      # of half the recorded interval
ROUNDING = 2e-6  # recorded numbers have six digits
KEYS = ("method", "decoding", "subset", "metric")
# mean error allowed of first actions in [-1, 1]: frames as recorded cost up to 0.010, the nearest
# other policy of the same task is 0.028 off
ACTIONS = 0.015
NETWORKS = {f"policies/{task}_{what}": (task, what)
            for task in TASKS for what in (*LEVELS, "readout")}


# ---------------------------------------------------------------- recorded files
def contradictions(record: dict) -> list[str]:
    """What contradicts itself in a recorded result; empty where nothing does.

    Args:
        record: a result in the book's schema.

    Returns:
        One sentence per contradiction: means against their seeds, intervals against means,
        differences against the rows that they compare.
    """
    wrong, means = [], {}
    seeds = max(1, len(record["provenance"]["seeds"]))  # no seeds: nothing was drawn
    for row in record["rows"]:
        name = tuple(row[k] for k in KEYS)
        if name in means:
            wrong.append(f"{name} stands there twice")
        means[name] = row["mean"]
        if abs(mean(row["per_seed"]) - row["mean"]) > 1e-5:
            wrong.append(f"{name}: the mean is not the mean of its seeds")
        if len(row["per_seed"]) != seeds:
            wrong.append(f"{name}: {len(row['per_seed'])} values for {seeds} seeds")
    for row in record["differences"]:
        name = (row["a"], row["b"], *(row[k] for k in KEYS[1:]))
        ours, _, other = row["subset"].partition(" against ")  # best of 1 against 5
        theirs = f"best of {other}" if other else ours
        a = means.get((row["a"], row["decoding"], ours, row["metric"]))
        b = next((means[found] for d in (row["decoding"], "greedy")
                  if (found := (row["b"], d, theirs, row["metric"])) in means), None)
        if a is None or b is None:
            wrong.append(f"{name}: compares a row that is not there")
        elif abs(a - b - row["mean"]) > 1e-5:
            wrong.append(f"{name}: is not the difference of its rows")
    for row in [*record["rows"], *record["differences"]]:
        if not row["low"] - 1e-6 <= row["mean"] <= row["high"] + 1e-6:
            wrong.append(f"{[row.get(k) for k in ('a', 'b', *KEYS)]}: interval without its mean")
    wrong += [f"provenance has no {k}" for k in ("date", "commit", "device", "versions")
              if not record["provenance"].get(k)]
    return wrong


# ---------------------------------------------------------------- shipped models
@dataclass
class Check:
    """One checkpoint, judged.

    Attributes:
        name, metric: which checkpoint, and the metric of its experiment.
        verdict: "holds", "off", "missing" (checkpoint or result) or "unreadable".
        recorded, now, tolerance: None where there is none.
        items: how many were answered now.
        reason: what to know where it does not hold.
        seconds: that it took.
    """

    name: str
    metric: str
    verdict: str = "holds"
    recorded: float | None = None
    now: float | None = None
    tolerance: float | None = None
    items: int = 0
    reason: str = ""
    seconds: float = 0.0


def verify(names: list[str], records: dict[str, dict], items: int | None = None,
           log: Callable[[str], None] = print) -> list[Check]:
    """Judge checkpoints by name, one thread, as they were recorded.

    Args:
        names: some of `checkpoints.SHIPPED` and `NETWORKS`.
        records: name -> result, as in results/*.json.
        items: None answers all test items; a number only so many of them (not of networks).
        log: is told what is being done.
    """
    threads, found = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        for step, name in enumerate(names):
            log(f"step {step}/{len(names)} {name}")
            start = time.time()
            found.append(check_network(name, records) if name in NETWORKS
                         else check(name, records, items))
            found[-1].seconds = time.time() - start
        log(f"step {len(names)}/{len(names)} done")
    finally:
        torch.set_num_threads(threads)
    return found


def check(name: str, records: dict[str, dict], items: int | None = None) -> Check:
    """Judge one checkpoint; what is missing or cannot be read is a verdict, too."""
    study, method = checkpoints.SHIPPED[name]
    metric, ask = EXPERIMENTS[study]
    made = checkpoints.folder(name) / "made.json"
    if not made.is_file():
        return Check(name, metric, "missing", reason="no such checkpoint; `make checkpoints` "
                     "trains it")
    try:
        note = json.loads(made.read_text("utf-8"))
        row, recorded = of_seed(records, study, method, metric, note["seed"])
        values, total = ask(name, study, items)
    except FileNotFoundError as error:
        return Check(name, metric, "missing", reason=str(error))
    except Exception as error:  # whatever a damaged file makes its reader raise
        return Check(name, metric, "unreadable", reason=f"{type(error).__name__}: {error}")
    found = Check(name, metric, "holds", recorded, mean(values),
                  tolerance(row, len(values), total), len(values))
    noted = next((v for k, v in note.items() if k.startswith(f"test_{metric}")), None)
    if noted is None or abs(noted - recorded) > ROUNDING:
        found.verdict = "off"
        found.reason = f"its made.json says {noted}: it is not the model of the recorded run"
    elif not abs(found.now - recorded) <= found.tolerance:  # NaN is off
        found.verdict = "off"
        found.reason = "model, data or code are not those of the recorded run"
    return found


def check_network(name: str, records: dict[str, dict]) -> Check:
    """Judge an image policy by its first actions, a read-out by its verdicts."""
    task, what = NETWORKS[name]
    found = Check(name, "success" if what == "readout" else "actions")
    try:
        if what == "readout":
            values, row = verdicts(task), of_readout(records, task)
            found.recorded, found.tolerance = row["mean"], tolerance(row, 1, 1)
        else:
            real = recorded(task)
            acts = real.actions[real.row(what), :, :SKIP]                   # (S, SKIP, 4)
            now = load_policy(task, what).act(real.first, real.goals)
            values = abs(now - acts).mean((1, 2)).tolist()
            found.recorded, found.tolerance = 0.0, ACTIONS
        found.now, found.items = mean(values), len(values)
    except FileNotFoundError as error:
        found.verdict, found.reason = "missing", str(error)
        return found
    except Exception as error:  # whatever a damaged file makes its reader raise
        found.verdict, found.reason = "unreadable", f"{type(error).__name__}: {error}"
        return found
    if not abs(found.now - found.recorded) <= found.tolerance:  # NaN is off
        found.verdict = "off"
        found.reason = "the network, its recorded episodes or the code are not those of then"
    return found


def verdicts(task: str) -> list[float]:
    """Success of every policy and start, as the read-out sees the true last frames."""
    real, readout, tokens = recorded(task), load_readout(task), experiments_video.video_tokens()
    found: list[float] = []
    for row in map(real.row, experiments_policy.POLICIES):
        last = through_tokenizer(tokens, real.final[row], real.first)
        found += judge(task, readout, last, real.goals).astype(float).tolist()
    return found


def of_readout(records: dict[str, dict], task: str) -> dict:
    """The row of the read-out's verdicts; FileNotFoundError where there is none."""
    if experiments_policy.NAME not in records:
        raise FileNotFoundError(f"no results/{experiments_policy.NAME}.json")
    return find(records[experiments_policy.NAME], "readout", subset=task, metric="success")


def of_seed(records: dict[str, dict], study: str, method: str, metric: str,
            seed: int) -> tuple[dict, float]:
    """The greedy row of a method on all test items, and the value of one seed in it.

    Raises:
        FileNotFoundError: nothing of the kind is recorded.
    """
    if study not in records:
        raise FileNotFoundError(f"no results/{study}.json; `python -m rlvr_lite results {study} "
                                "--run` records it")
    seeds = records[study]["provenance"]["seeds"]
    try:
        row = find(records[study], method, metric=metric)
        return row, row["per_seed"][seeds.index(seed)]
    except (KeyError, ValueError, IndexError):
        raise FileNotFoundError(f"results/{study}.json has no greedy {metric} of {method}, "
                                f"seed {seed}") from None


def tolerance(row: dict, items: int, total: int) -> float:
    """How far the mean of `items` of `total` test items may be from a recorded row's."""
    half = (row["high"] - row["low"]) / 2
    return ROUNDING + SHARE * half + 3 * half / 1.96 * (total / items - 1) ** 0.5


def text(name: str, study: str, items: int | None) -> tuple[list[float], int]:
    """Exact match of each answer, and how many test items there are."""
    model, task = checkpoints.load_text_model(name)
    test = experiments_text.data(experiments_text.STUDIES[study], "test")
    return scores(model, task, spread(test, items))["exact"], len(test)


def web(name: str, study: str, items: int | None) -> tuple[list[float], int]:
    """Strict F1 of each answer, and how many test items there are."""
    model, task = checkpoints.load_web_model(name)
    test = experiments_web.reported(experiments_web.STUDIES[study], "test")
    return scores(model, task, spread(test, items))["f1"], len(test)


def video(name: str, study: str, items: int | None) -> tuple[list[float], int]:
    """LPIPS of each rollout, and how many test clips there are."""
    settings = experiments_video.STUDIES[study]
    model, task = checkpoints.load_video_model(name, settings.horizon)
    test = experiments_video.data("test", settings.test_clips, settings.horizon)
    return scores(model, task, spread(test, items))["lpips"], len(test)


def tokenizer(name: str, study: str, items: int | None) -> tuple[list[float], int]:
    """LPIPS of each frame after the round trip, and how many test frames there are."""
    kind = experiments_tokenizers.KINDS[checkpoints.SHIPPED[name][1]].func
    loaded = kind.load(checkpoints.folder(name))
    frames, context, _ = experiments_tokenizers.test_pairs()
    some = torch.tensor(spread(list(range(len(frames))), items))
    found, _ = experiments_tokenizers.floor_of(loaded, frames[some], context[some])
    return found["lpips"], len(frames)


EXPERIMENTS = {  # study -> metric, and how its models are asked
    **{name: ("exact", text) for name in experiments_text.STUDIES},
    **{name: ("lpips", video) for name in experiments_video.STUDIES},
    **{name: ("f1", web) for name in experiments_web.STUDIES},
    **{name: ("lpips", tokenizer) for name in experiments_tokenizers.LAB.studies},
}


def table(found: list[Check]) -> str:
    """The checks as text, one line each, with a reason below where one does not hold."""
    def cell(value: float | None) -> str:
        return f"{'-':>10}" if value is None else f"{value:10.5f}"

    lines = [f"{'checkpoint':<33}{'metric':<8}{'items':>5}{'recorded':>10}{'now':>10}"
             f"{'tolerance':>10}{'s':>5}  verdict"]
    for c in found:
        lines.append(f"{c.name:<33}{c.metric:<8}{c.items:>5}{cell(c.recorded)}{cell(c.now)}"
                     f"{cell(c.tolerance)}{c.seconds:5.0f}  {c.verdict}")
        lines += [f"    {c.reason.splitlines()[0]}"] if c.reason else []
    return "\n".join(lines)
