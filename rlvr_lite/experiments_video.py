"""The robot-video experiments: base model, RLVR on pixels, and their controls.

Two studies of one base model, which predicts frame after frame to the end of an episode:
    video_single   one frame ahead, LPIPS + L1 of that frame as reward
    video_multi    seven frames ahead, the model's own frames as its past
and five further tables:
    video_lora     seven frames ahead once more, with LoRA in place of all weights
    video_metrics  one frame ahead, one model for each metric as reward, judged by all metrics
    video_levers   seven frames ahead, one change at a time to RL, and three times as much MLE
    video_small    video_levers with 24 of 320 episodes of each task: who learns them by heart?
    video_small_single   the same bases, one frame ahead
A run is (study, method, seed); see `experiments` for how runs become `results/*.json`.

    python -m rlvr_lite.experiments_video video_multi --seeds 0 1 2 --jobs 2 --folder runs
    python -m rlvr_lite.experiments_video video_multi --summarise --folder runs

Source: RLVR-World section 6.1, tables 3 and 8, figures 3 and 4 c.
Differs from the paper: every decoding beside its like, MLE continued at equal compute, copying,
the tokenizer's floor, seeds and intervals; LoRA beside full weights; no KL term.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from rlvr_lite import experiments, paper
from rlvr_lite.evaluation import answers, mean, scores
from rlvr_lite.experiments import Comparison, Run
from rlvr_lite.experiments_lab import (
    Laboratory,
    Record,
    log_of,
    mle_cost,
    model_folder,
    planned_steps,
    rl_cost,
    rl_curve,
    run_folder,
    same_settings,
    settings_of,
)
from rlvr_lite.grpo import GRPOConfig, train_grpo
from rlvr_lite.lora import add_lora, merge
from rlvr_lite.mle import MLEConfig, mle_loss, train_mle
from rlvr_lite.model import build, load, save
from rlvr_lite.paths import data_folder
from rlvr_lite.tasks.base import gold_pair
from rlvr_lite.tasks.robot_video import (
    Clip,
    RobotVideoTask,
    VideoTokens,
    clips,
    copy_last,
)
from rlvr_lite.worlds.robot_video import TASKS, episodes

BASE = "video_base"  # folder of the base models, which all studies of all episodes share
SMALL_BASE = "video_small_base"  # and of those of few episodes
DECODINGS = ((0.0, 0), (0.5, 0), (0.7, 0), (1.0, 20), (1.0, 0))  # temperature and top-k
METRICS = ("lpips", "l1", "mse", "psnr", "ssim", "repetition", "still", "motion")


@dataclass(frozen=True)
class VideoStudy:
    """Everything that the methods of one experiment share.

    Attributes:
        horizon: frames that are predicted.
        judged: frames of a rollout that the reward looks at; None: all.
        per_episode: training clips of each training episode.
        episodes: training episodes of each task, evenly spaced; None: all.
        width, layers, hidden: the Llama.
        base: MLE of the base model.
        rl: GRPO; `rank` of LoRA, 0 trains all weights.
        seconds: CPU seconds that each method may train after the base.
        test_clips: of each test episode, which is one test item: the mean of its clips.
    """

    name: str
    title: str
    horizon: int
    judged: int | None
    seconds: float
    rl: GRPOConfig = field(hash=False)
    rank: int = 0
    per_episode: int = 6
    episodes: int | None = None
    width: int = 128
    layers: int = 3
    hidden: int = 384
    base: MLEConfig = field(hash=False, default_factory=lambda: MLEConfig(
        steps=1200, batch=24, lr=2e-3, weight_decay=0.1, validate_every=150))
    test_clips: int = 1
    claim: str | None = None
    paper: dict = field(hash=False, default_factory=dict)


STUDIES = {s.name: s for s in (
    VideoStudy("video_single", "Robot video, one frame ahead", horizon=1, judged=None,
               seconds=1200.0, test_clips=5, claim="video_lpips_single",
               paper=paper.video_rows("single"),
               rl=GRPOConfig(steps=100_000, prompts=16, group=16, minibatches=4, lr=2e-4,
                             schedule="linear")),
    VideoStudy("video_multi", "Robot video, seven frames ahead", horizon=7, judged=3,
               seconds=700.0, claim="video_lpips_multi", paper=paper.video_rows("multi"),
               rl=GRPOConfig(steps=100_000, prompts=8, group=16, minibatches=4, lr=2e-4,
                             schedule="linear")),
)}
STUDIES["video_lora"] = replace(
    STUDIES["video_multi"], name="video_lora", title="Robot video, seven frames ahead, LoRA",
    claim="video_lpips_lora", rank=32, rl=replace(STUDIES["video_multi"].rl, lr=1e-3))
STUDIES["video_metrics"] = replace(
    STUDIES["video_single"], name="video_metrics", claim=None, seconds=100.0,
    title="Robot video, one frame ahead: one model for each metric")
STUDIES["video_levers"] = replace(
    STUDIES["video_multi"], name="video_levers", claim=None, paper={}, seconds=200.0,
    title="Robot video, seven frames ahead: one change at a time")
STUDIES["video_small"] = replace(
    STUDIES["video_levers"], name="video_small", episodes=24, claim="video_lpips_few",
    base=replace(STUDIES["video_levers"].base, steps=400, validate_every=40),
    title="Robot video, seven frames ahead: 24 episodes of each task")

STUDIES["video_small_single"] = replace(
    STUDIES["video_small"], name="video_small_single", horizon=1, judged=None, seconds=300.0,
    test_clips=5, claim="video_lpips_few_single", rl=STUDIES["video_single"].rl,
    title="Robot video, one frame ahead: 24 episodes of each task")


# ---------------------------------------------------------------- data
@functools.lru_cache(maxsize=1)
def video_tokens() -> VideoTokens:
    """The frozen tokenizers that ship with the package."""
    return VideoTokens.load(data_folder() / "checkpoints" / "video_tokenizers")


@functools.lru_cache(maxsize=8)
def data(split: str, per_episode: int, horizon: int | None = None) -> list[Clip]:
    """Tokenized clips of all three tasks; the same for every seed and method."""
    return [clip for task in TASKS
            for clip in clips(episodes(task, split), video_tokens(), per_episode, 0, horizon)]


@functools.lru_cache(maxsize=2)
def training(study: VideoStudy) -> list[Clip]:
    """The clips that a study trains on."""
    found = data("train", study.per_episode)
    if study.episodes is None:
        return found
    counts = {task: len(episodes(task, "train").task_seed) for task in TASKS}
    if study.episodes > min(counts.values()):
        raise ValueError(f"there are {min(counts.values())} training episodes of a task, "
                         f"got episodes={study.episodes}")
    kept = {task: {i * n // study.episodes for i in range(study.episodes)}
            for task, n in counts.items()}
    return [clip for clip in found if clip.number in kept[clip.episodes.task]]


def task_for(study: VideoStudy, **options) -> RobotVideoTask:
    return RobotVideoTask(video_tokens(), study.horizon, **options)


def gold_pairs(found: list[Clip]) -> list[tuple]:
    """What MLE reads: every clip to its own end."""
    tasks = {h: RobotVideoTask(video_tokens(), h) for h in {c.horizon for c in found}}
    return [gold_pair(tasks[c.horizon], c) for c in found]


# ---------------------------------------------------------------- evaluation
@torch.no_grad()
def nll(model, pairs: list[tuple]) -> float:
    """Mean negative log-probability of a frame token, in nats."""
    sums = [(mle_loss(model, pairs[at:at + 32]).item(), sum(map(sum, (p[2] for p in
            pairs[at:at + 32])))) for at in range(0, len(pairs), 32)]
    return sum(a * n for a, n in sums) / sum(n for _, n in sums)


def validator(study: VideoStudy) -> Callable:
    """A `validate` function for training: log-probability and LPIPS of validation clips."""
    pairs = gold_pairs(data("validation", 1))
    chosen = data("validation", study.test_clips, study.horizon)[::2]
    task = task_for(study)

    def validate(model) -> dict[str, float]:
        found = {"validation_logp": -nll(model, pairs)}
        for name, temperature in (("greedy", 0.0), ("sampled", 1.0)):
            row = scores(model, task, chosen, temperature)
            found[f"validation_lpips_{name}"] = mean(row["lpips"])
            found[f"validation_repetition_{name}"] = mean(row["repetition"])
        return found
    return validate


def items(study: VideoStudy, found: dict[str, list[float]]) -> dict[str, list[float]]:
    """Clips -> test items: the clips of one episode are not independent, so one value for all."""
    n = study.test_clips
    return {name: [mean(values[i:i + n]) for i in range(0, len(values), n)]
            for name, values in found.items()}


def run_of(study: VideoStudy, method: str, seed: int, by_decoding: dict[str, dict]) -> Run:
    """A run from {decoding: {metric: one value per test clip}}."""
    tasks = [c.episodes.task for c in data("test", study.test_clips, study.horizon)]
    masks = {t: [int(task == t) for task in tasks[::study.test_clips]] for t in TASKS}
    return Run(method, seed, {"test": {d: items(study, v) for d, v in by_decoding.items()}},
               {"test": masks})


def evaluate(model, study: VideoStudy, seed: int, method: str) -> Run:
    """All reported numbers: greedy, sampled, and the decoding that validates best."""
    task, test = task_for(study), data("test", study.test_clips, study.horizon)
    chosen = data("validation", study.test_clips, study.horizon)
    by_decoding = {f"T={t:g}, top-k {k}": mean(scores(model, task, chosen, t, seed, k)["lpips"])
                   for t, k in DECODINGS}
    best = min(DECODINGS, key=lambda d: by_decoding[f"T={d[0]:g}, top-k {d[1]}"])
    run = run_of(study, method, seed, {
        "greedy": scores(model, task, test), "sampled": scores(model, task, test, 1.0, seed),
        "best": scores(model, task, test, *best[:1], seed + 100, best[1])})
    run.notes = {"best": list(best), "validation_by_decoding": by_decoding,
                 "validation_nll": nll(model, gold_pairs(data("validation", 1)))}
    return run


# ---------------------------------------------------------------- methods
def pictures(study: VideoStudy, method: str, seed: int, predict: Callable) -> Run:
    """A method without a world model: `predict(task, clip)` gives the frames."""
    task, test = task_for(study), data("test", study.test_clips, study.horizon)
    rows = []
    for clip in test:
        frames = predict(task, clip)
        rows.append(task.judge(frames, clip) | {"repetition": float(method == "trivial")})
    found = {name: [row[name] for row in rows] for name in rows[0]}
    return run_of(study, method, seed, {"greedy": found})


def trivial(study: VideoStudy, seed: int, folder: Path) -> Run:
    """Copy the current frame."""
    return pictures(study, "trivial", seed, lambda task, clip: copy_last(clip, study.horizon))


def floor(study: VideoStudy, seed: int, folder: Path) -> Run:
    """The true frames through the tokenizer: no world model on it can be expected to be better."""
    return pictures(study, "floor", seed,
                    lambda task, clip: task.decode(task.answer(clip), clip))


def base_of(study: str) -> str:
    """The folder of a study's base models; studies of as many episodes share theirs."""
    return BASE if STUDIES[study].episodes is None else SMALL_BASE


def base_model(study: VideoStudy, seed: int, folder: Path):
    """The base of this seed, trained to its validation plateau; (model, history)."""
    place = run_folder(base_of(study.name), "mle", seed, folder)
    same_settings(place.parent / "study.json", {k: v for k, v in settings_of(study).items() if k in
                                                ("per_episode", "episodes", "width", "layers",
                                                 "hidden", "base")})
    note = place / "history.json"
    if not note.is_file():
        model = build(video_tokens().vocab_size, study.width, study.layers, hidden=study.hidden,
                      max_tokens=256, seed=seed)
        multi = STUDIES["video_multi"]
        history = train_mle(model, gold_pairs(training(study)),
                            replace(study.base, seed=seed), validator(multi),
                            best="validation_logp", folder=place, log=log_of(multi, "mle", seed))
        save(model, place / "model")
        experiments.write_json(note, history)
    return load(place / "model"), json.loads(note.read_text())


def model_place(study: str, method: str, seed: int, folder: Path) -> Path:
    """Where a finished run has left its model; the base is shared."""
    return model_folder(base_of(study) if method == "mle" else study, method, seed, folder)


def mle(study: VideoStudy, seed: int, folder: Path) -> Run:
    """The base, which all studies share."""
    model, history = base_model(study, seed, folder)
    run = evaluate(model, study, seed, "mle")
    run.history, run.cost = history, mle_cost(history, study.base.batch)
    return run


def mle_continued(study: VideoStudy, seed: int, folder: Path, name: str = "mle_continued",
                  times: float = 1.0, to_the_end: bool = False) -> Run:
    """More MLE on the same clips, for the CPU seconds of RL (or `times` as many).

    The weights with the best LPIPS of greedy validation rollouts are kept: a choice that RLVR does
    not get. It ends early where five validations of twelve in a row bring no better ones.
    With `to_the_end` it gets no such help either: all seconds, and the last weights.
    """
    model, _ = base_model(study, seed, folder)
    place = run_folder(study.name, name, seed, folder)
    pairs = gold_pairs(training(study))
    steps = planned_steps(place, times * study.seconds, model, pairs, study.base, probe=20)
    config = replace(study.base, steps=steps, lr=study.base.lr / 3, seed=seed + 1,
                     validate_every=max(4, steps // 12), patience=None if to_the_end else 5)
    validate = validator(study)

    def likeness(model) -> dict[str, float]:
        found = validate(model)
        return found | {"validation_likeness": -found["validation_lpips_greedy"]}
    history = train_mle(model, pairs, config, likeness, folder=place,
                        best=None if to_the_end else "validation_likeness",
                        log=log_of(study, name, seed))
    run = evaluate(model, study, seed, name)
    run.history, run.cost = history, mle_cost(history, config.batch)
    return run


def reinforce(study: VideoStudy, seed: int, folder: Path, name: str = "rlvr",
              rank: int | None = None, options: dict | None = None, **changes) -> Run:
    """GRPO from the base; `options` go to the task, `changes` to `GRPOConfig`."""
    model, _ = base_model(study, seed, folder)
    rank = study.rank if rank is None else rank
    if rank:
        model = add_lora(model, rank, alpha=2 * rank, seed=seed)
    task = task_for(study, **{"judged": study.judged, "credit": "frame"} | (options or {}))
    place = run_folder(study.name, name, seed, folder)
    history = train_grpo(model, task, training(study),
                         replace(study.rl, seed=seed, **changes), validator(study), 50, place,
                         log_of(study, name, seed), study.seconds)
    model = merge(model)
    save(model, place / "model")
    run = evaluate(model, study, seed, name)
    run.history, run.cost = rl_curve(history), rl_cost(history)
    return run


def repetition_rejection(study: VideoStudy, seed: int, folder: Path, tries: int = 8) -> Run:
    """The base, sampled again (at most `tries` times) while its last two frames are the same.

    Source: RLVR-World table 3; its code resamples until a sample is accepted.
    """
    model, _ = base_model(study, seed, folder)
    task, test = task_for(study), data("test", study.test_clips, study.horizon)
    found = {}
    for decoding, temperature in (("sampled", 1.0), ("best", 0.5)):
        groups = answers(model, task, test, temperature, tries, seed)
        kept = [next((a for a in group if not task.repeats(a, clip)), group[-1])
                for group, clip in zip(groups, test)]
        rows = task.measure(kept, test)
        found[decoding] = {name: [row[name] for row in rows] for name in rows[0]}
    run = run_of(study, "repetition_rejection", seed, found)
    run.notes = {"tries": tries}
    return run


METHODS: dict[str, Callable[..., Run]] = {
    "trivial": trivial,
    "floor": floor,
    "mle": mle,
    "repetition_rejection": repetition_rejection,
    "mle_continued": mle_continued,
    "mle_continued_3x": functools.partial(mle_continued, name="mle_continued_3x", times=3.0),
    "mle_to_the_end": functools.partial(mle_continued, name="mle_to_the_end", to_the_end=True),
    "rlvr": reinforce,
    "rlvr_lora": functools.partial(reinforce, name="rlvr_lora", rank=32, lr=1e-3),
    "rlvr_repetition_penalty": functools.partial(
        reinforce, name="rlvr_repetition_penalty", options={"repetition_penalty": 0.05}),
}
MAIN = ("trivial", "floor", "mle", "mle_continued", "rlvr")
# RLVR with one metric alone as reward: the rows of the paper's five-by-five matrix
JUDGES = ("l1", "mse", "psnr", "ssim", "lpips")
BY_METRIC = {f"rlvr_{name}": functools.partial(
    reinforce, name=f"rlvr_{name}", options={"weights": {name: 1.0}}) for name in JUDGES}
# as many answers a step as RLVR has, in smaller and in larger groups
BY_GROUP = {f"group={g}": functools.partial(
    reinforce, name=f"group={g}", group=g, prompts=128 // g) for g in (4, 32)}
METHODS |= BY_METRIC | BY_GROUP


def comparisons(methods: list[str]) -> list[Comparison]:
    """RLVR against every other method, like with like; models of single metrics, sampled, against
    each other."""
    decodings = ("greedy", "sampled", "best")
    ours = [m for m in methods if m.startswith("rlvr")]
    found = [Comparison(a, b, decodings) for a in ours for b in methods
             if b != a and (a == "rlvr" or not b.startswith("rlvr"))]
    return found + [Comparison(a, b, ("sampled",)) for a in BY_METRIC for b in BY_METRIC
                    if a != b and {a, b} <= set(methods)]


RECORDS = {
    "video_metrics": Record("video_metrics", ("trivial", "mle", *BY_METRIC), metrics=JUDGES),
    "video_single": Record("video_single", MAIN, metrics=METRICS),
    "video_multi": Record("video_multi", ("trivial", "floor", "mle", "repetition_rejection",
                                          "mle_continued", "rlvr"),
                          metrics=(*METRICS, *(f"lpips_{t}" for t in range(1, 8)))),
    "video_lora": Record("video_lora", MAIN, metrics=METRICS),
    "video_levers": Record("video_levers", ("trivial", "mle", "mle_continued", "mle_continued_3x",
                                            "rlvr", "rlvr_lora", "rlvr_repetition_penalty",
                                            *BY_GROUP), metrics=METRICS),
    "video_small": Record("video_small", ("trivial", "floor", "mle", "mle_continued",
                                          "mle_to_the_end", "rlvr", "rlvr_repetition_penalty"),
                          metrics=METRICS),
    "video_small_single": Record("video_small_single", MAIN, metrics=("lpips", "l1", "motion")),
}
LAB = Laboratory(STUDIES, METHODS, RECORDS, comparisons, video_tokens, "lpips", base_of)


if __name__ == "__main__":
    LAB.main(__doc__.split("\n")[0])
