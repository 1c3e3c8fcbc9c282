"""The text-game experiments: what is trained, on what, beside which controls.

Two studies, each a table of methods with the same start model and the same compute:
    text_natural   the paper's setting: verified traces of *changed* transitions only, then RL
                   on natural play; most of the gain is "do not edit"
    text_serial    scarce traces, long waits: RL has to make a chain of thought reliable
two further ones, text_natural with a base that has seen what it is to change nothing:
    text_few_unchanged   two dozen of its 3,000 traces are of unchanged transitions
    text_all_traces      the traces are those of play as it comes
and one without any chain of thought
    text_direct          text_natural with answers in place of traces: more bias stays
and further tables, of one change at a time to the RL of a study:
    text_mix       to text_natural: how many unchanged questions RL asks
    text_transfer  to text_serial, with less time: RL asks about one of the two games
    text_sweeps    to text_serial, with less time: group, rank, KL, learning rate, loss
    text_teacher   to text_serial, with less time: MLE on traces of a teacher that slips
    text_wide      to text_serial, with less time: a model half as wide again
A run is (study, method, seed); see `experiments` for how runs become `results/*.json`.

    python -m rlvr_lite.experiments_text text_serial --seeds 0 1 2 --jobs 2 --folder runs
    python -m rlvr_lite.experiments_text text_serial --summarise --folder runs

Source: RLVR-World section 5.1, tables 1 and 5.
Differs from the paper: equal-compute controls, rejection fine-tuning, three splits of unseen
worlds, seeds and intervals; RL with LoRA, groups of 8, a falling learning rate and no KL, on the
natural mix of questions (the paper's 100:40 and 100:5 mixes are in text_mix), screened in
text_serial.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from rlvr_lite import experiments, paper
from rlvr_lite.evaluation import answers, exploration, mean, scores
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
)
from rlvr_lite.grpo import GRPOConfig, train_grpo
from rlvr_lite.lora import add_lora, merge
from rlvr_lite.mle import MLEConfig, train_mle
from rlvr_lite.model import build, load, save
from rlvr_lite.tasks.text_game import TextGameTask, train_tokenizer
from rlvr_lite.tokenizers.text import TextTokenizer
from rlvr_lite.worlds.text_families import HELD_OUT, TRAINED
from rlvr_lite.worlds.text_game import NATURAL, SERIAL, Mix, Transition, step, transitions
from rlvr_lite.worlds.text_state import SWITCHES, State

EXTRA_SPLITS = ("combinations", "layouts", "families")
TEMPERATURES = (0.0, 0.4, 0.7, 1.0)
ROLLOUT = 100  # tokens of the longest rollout; gold answers of the trained families have 90


@dataclass(frozen=True)
class Study:
    """Everything that the methods of one experiment share.

    Attributes:
        traces: verified traces (question, trace, answer) for MLE.
        unchanged_traces: share of the unchanged transitions that the traces keep.
        prompts: further questions with their gold next state: what RL may ask and verify.
        screen: RL asks only those prompts that the base does not always answer right.
        trace: whether the model writes a rule trace before its answer.
        families, held_out: the games of training, and those of the split "families".
        base: MLE of the base. Its weight decay is high: such a base is better than one that has
            learned its traces by heart, and it still doubts, so that RL can explore.
        seconds: CPU seconds that each method may train after the base.
    """

    name: str
    title: str
    mix: Mix
    traces: int
    prompts: int
    unchanged_traces: float = 1.0
    screen: bool = False
    trace: bool = True
    families: tuple[str, ...] = TRAINED
    held_out: tuple[str, ...] = HELD_OUT
    width: int = 64
    layers: int = 3
    base: MLEConfig = field(hash=False, default_factory=lambda: MLEConfig(
        steps=5000, lr=3e-3, weight_decay=0.3, validate_every=500))
    rl: GRPOConfig = field(hash=False, default_factory=lambda: GRPOConfig(
        steps=100_000, prompts=32, group=8, minibatches=4, lr=5e-4, schedule="linear"))
    seconds: float = 450.0
    test_items: int = 800
    validation_items: int = 400
    claim: str | None = None
    paper: dict = field(hash=False, default_factory=dict)


THREE = ("tea", "baking", "freezing")
STUDIES = {s.name: s for s in (
    Study("text_natural", "Text game, biased traces, natural play",
          NATURAL, traces=3000, prompts=3000, unchanged_traces=0.0, seconds=60.0,
          families=THREE, held_out=("breakfast",), claim="text_accuracy",
          base=MLEConfig(steps=5000, lr=3e-3, weight_decay=0.3, validate_every=500),
          paper=paper.text_game_rows()),
    Study("text_serial", "Text game, scarce traces and long waits", SERIAL, traces=600,
          prompts=2000, screen=True, families=("tea", "baking"), held_out=("breakfast",),
          claim="text_changed"),
)}
STUDIES["text_few_unchanged"] = replace(
    STUDIES["text_natural"], name="text_few_unchanged", unchanged_traces=0.004, claim=None,
    paper={}, title="Text game, natural play: two dozen unchanged traces among 3,000")
STUDIES["text_all_traces"] = replace(
    STUDIES["text_natural"], name="text_all_traces", unchanged_traces=1.0, claim=None, paper={},
    title="Text game, natural play: traces of play as it comes")
STUDIES["text_direct"] = replace(
    STUDIES["text_natural"], name="text_direct", trace=False,
    title="Text game, natural play: answers of changed transitions, no traces")
STUDIES["text_sweeps"] = replace(
    STUDIES["text_serial"], name="text_sweeps", claim=None, seconds=120.0,
    title="Text game, long waits: one change at a time to RL")
STUDIES["text_wide"] = replace(
    STUDIES["text_sweeps"], name="text_wide", width=96,
    title="Text game, long waits: a model half as wide again")


# ---------------------------------------------------------------- data
@functools.lru_cache(maxsize=1)
def tokenizer():
    """One tokenizer for all studies, trained on the training split only."""
    return train_tokenizer(transitions("train", 3000, seed=900, mix=SERIAL)
                           + transitions("train", 1500, seed=901, mix=NATURAL))


@functools.lru_cache(maxsize=16)
def data(study: Study, part: str, seed: int = 0) -> list[Transition]:
    """The transitions of a part: traces and prompts differ by seed, test items never do."""
    if part == "traces":
        found = transitions("train", 4 * study.traces, 100 + seed, study.mix, study.families)
        kept, unchanged = [], 0.0
        for t in found:  # keep every changed one and a fixed share of the others
            unchanged += 0.0 if t.changed else study.unchanged_traces
            if t.changed or unchanged >= 1.0:
                kept.append(t)
                unchanged -= 0.0 if t.changed else 1.0
        return kept[:study.traces]
    if part == "prompts":
        return transitions("train", study.prompts, 500 + seed, study.mix, study.families)
    if part == "validation":
        return transitions("validation", study.validation_items, 0, study.mix, study.families)
    items = study.test_items if part == "test" else study.test_items // 2
    families = study.held_out if part == "families" else study.families
    return transitions(part, items, 0, study.mix, families)


def pairs(task: TextGameTask, items: list[Transition]) -> list[tuple[list[int], list[int]]]:
    return [(task.question(t), task.answer(t)) for t in items]


# ---------------------------------------------------------------- evaluation
def validator(task: TextGameTask, study: Study) -> Callable:
    """A `validate` function for training: greedy exact match on validation items."""
    chosen = data(study, "validation")

    def validate(model) -> dict[str, float]:
        found = scores(model, task, chosen)
        return {"validation_exact": mean(found["exact"]), "validation_same": mean(found["same"])}
    return validate


def masks(study: Study, split: str) -> dict[str, list[int]]:
    """Subsets of the report: whether the state changes, and the game where there are several."""
    items = data(study, split)
    found = {"changed": [int(t.changed) for t in items],
             "unchanged": [int(not t.changed) for t in items]}
    if split == "test":
        found |= {family: [int(t.state.family == family) for t in items]
                  for family in study.families}
    return found


def evaluate(model, task: TextGameTask, study: Study, seed: int, method: str,
             splits: tuple[str, ...] = ("test", *EXTRA_SPLITS)) -> Run:
    """All reported numbers of a trained model: greedy, sampled, best decoding on validation."""
    validation = data(study, "validation")
    by_temperature = {t: mean(scores(model, task, validation, t, seed)["exact"])
                      for t in TEMPERATURES}
    best = max(TEMPERATURES, key=lambda t: (by_temperature[t], -t))
    run = Run(method, seed, {}, {}, notes={"best_temperature": best,
                                           "validation_by_temperature": by_temperature})
    for split in splits:
        items = data(study, split)
        run.scores[split] = {"greedy": scores(model, task, items),
                             "sampled": scores(model, task, items, 1.0, seed)}
        if split == "test":
            run.scores[split]["best"] = scores(model, task, items, best, seed)
        run.subsets[split] = masks(study, split)
    return run


# ---------------------------------------------------------------- methods
def task_for(trace: bool = True, **options) -> TextGameTask:
    return TextGameTask(tokenizer(), trace, **options)


def load_base(study: Study, seed: int, folder: Path):
    return load(model_folder(study.name, "mle", seed, folder))


def keep(model, place: Path) -> None:
    """Save a model and, beside it, the tokenizer that it was trained with."""
    save(model, place)
    tokenizer().save(place / "tokenizer.json")


def load_kept(place: str | Path, trace: bool = True, **options) -> tuple:
    """What `keep` saved, as (model, task); `trace` and `options` go to `TextGameTask`.

    Raises:
        FileNotFoundError: the model or its tokenizer is not there.
    """
    model = load(place)
    words = TextTokenizer.load(Path(place) / "tokenizer.json")
    return model, TextGameTask(words, trace, **options)


def trivial(study: Study, seed: int, folder: Path) -> Run:
    """Predict that nothing changes."""
    task = task_for()
    same = task.tokenizer.encode(" => same") + [task.tokenizer.eos_id]
    run = Run("trivial", seed, {}, {})
    for split in ("test", *EXTRA_SPLITS):
        rows = [task.metrics(same, t) for t in data(study, split)]
        run.scores[split] = {"greedy": {k: [r[k] for r in rows] for k in rows[0]}}
        run.subsets[split] = masks(study, split)
    return run


def mle(study: Study, seed: int, folder: Path) -> Run:
    """The base: MLE on the traces, to its validation plateau; saved for the other methods."""
    task, place = task_for(study.trace), run_folder(study.name, "mle", seed, folder)
    model = build(tokenizer().vocab_size, study.width, study.layers, hidden=int(2.5 * study.width),
                  seed=seed)
    history = train_mle(model, pairs(task, data(study, "traces", seed)),
                        replace(study.base, seed=seed), validator(task, study),
                        best="validation_exact", folder=place, log=log_of(study, "mle", seed))
    keep(model, place / "model")
    run = evaluate(model, task, study, seed, "mle")
    run.history, run.cost = history, mle_cost(history, study.base.batch)
    run.notes |= exploration(model, task, data(study, "validation")[:150])
    return run


def mle_continued(study: Study, seed: int, folder: Path) -> Run:
    """More MLE on the same traces, for as many CPU seconds as RL gets."""
    task = task_for(study.trace)
    return _more_mle(study, seed, folder, "mle_continued", task, load_base(study, seed, folder),
                     pairs(task, data(study, "traces", seed)), study.seconds, lr=1e-3)


def mle_gold_answers(study: Study, seed: int, folder: Path) -> Run:
    """MLE from scratch on the gold answers RL may verify, without traces (and on those of the
    traces), for the CPU seconds of base and RL together."""
    model = build(tokenizer().vocab_size, study.width, study.layers, hidden=int(2.5 * study.width),
                  seed=seed)
    items = data(study, "prompts", seed) + data(study, "traces", seed)
    seconds = study.seconds + experiments.load_run(
        experiments.run_path(Path(folder) / study.name, "mle", seed)).cost["cpu_seconds"]
    task = task_for(trace=False)
    return _more_mle(study, seed, folder, "mle_gold_answers", task, model, pairs(task, items),
                     seconds, lr=3e-3)


def slip(rng: Random, p: float = 0.12) -> Callable[[State], None]:
    """A teacher's error: with probability p a value of a tick comes out one too high or low."""
    def disturb(state: State) -> None:
        numbers = [(t, n) for t in state.things.values() for n in t.values if n not in SWITCHES]
        if numbers and rng.random() < p:
            thing, name = rng.choice(numbers)
            value = thing.values[name]
            thing.values[name] = value - 1 if value == 9 or value > 1 and rng.random() < 0.5 \
                else value + 1
    return disturb


def noisy_traces(study: Study, seed: int, filtered: bool) -> list[tuple[list[int], list[int]]]:
    """The prompts of RL, each with a trace of a teacher that slips; all, or the verified ones.

    A slip that leads through a state of another split is left out, as in all training data."""
    task, rng = task_for(), Random(seed)
    found = []
    for t in data(study, "prompts", seed):
        told = step(t.state, t.action, slip(rng))
        if not told.stays_in_train:
            continue
        answer = task.answer(told)
        if not filtered or task.reward(answer, t)["reward"] == 1.0:
            found.append((task.question(t), answer))
    return found


def mle_teacher(study: Study, seed: int, folder: Path, filtered: bool) -> Run:
    """MLE continued on the clean traces and on those of a teacher that slips.

    The teacher is help that RL does not get: a trace for every prompt, if an unreliable one."""
    task, traces = task_for(), noisy_traces(study, seed, filtered)
    run = _more_mle(study, seed, folder, "mle_filtered" if filtered else "mle_noisy", task,
                    load_base(study, seed, folder),
                    pairs(task, data(study, "traces", seed)) + traces, study.seconds, lr=1e-3)
    run.notes["teacher_traces"] = len(traces)
    return run


def _more_mle(study: Study, seed: int, folder: Path, method: str, task: TextGameTask, model,
              data_pairs: list, seconds: float, lr: float) -> Run:
    """MLE for a budget of CPU seconds."""
    place = run_folder(study.name, method, seed, folder)
    steps = planned_steps(place, seconds, model, data_pairs, replace(study.base, lr=lr), 60, 100)
    config = replace(study.base, steps=steps, lr=lr, seed=seed + 1,
                     validate_every=max(50, steps // 20))
    history = train_mle(model, data_pairs, config, validator(task, study), folder=place,
                        best="validation_exact", log=log_of(study, method, seed))
    keep(model, place / "model")
    run = evaluate(model, task, study, seed, method)
    run.history, run.cost = history, mle_cost(history, config.batch)
    return run


def screen(model, task: TextGameTask, items: list[Transition], group: int,
           seed: int) -> list[int]:
    """Places of the questions that `group` sampled answers do not all get right.

    A question that is answered right every time has nothing to teach, and there are many of
    them; one that is always answered wrong may become live as the policy improves.
    """
    found = answers(model, task, items, 1.0, group, seed)
    right = [sum(task.metrics(a, t)["exact"] for a in some) for some, t in zip(found, items)]
    return [i for i, r in enumerate(right) if r < group]


def _screened(model, task: TextGameTask, items: list[Transition], group: int, seed: int,
              note: Path) -> tuple[list[int], float]:
    """What `screen` keeps, and the CPU seconds it took; noted, so that a run that was stopped
    goes on with the same questions and the same budget."""
    if not note.is_file():
        start = time.process_time()
        kept = screen(model, task, items, group, seed)
        experiments.write_json(note, [kept, time.process_time() - start])
    kept, spent = json.loads(note.read_text())
    return kept, spent


def reinforce(study: Study, seed: int, folder: Path, name: str = "rlvr", kind: str = "binary",
              offered: list[Transition] | None = None, rank: int | None = 16,
              splits: tuple[str, ...] = ("test", *EXTRA_SPLITS), **changes) -> Run:
    """GRPO (or rejection fine-tuning) with LoRA from the base; `changes` go to `GRPOConfig`.

    `offered` are the questions that RL may ask; None: those of the study. What screening them
    costs is taken off the budget. Where it would leave less than one batch, all are asked.
    """
    task = task_for(study.trace, reward=kind, max_new=ROLLOUT)
    place = run_folder(study.name, name, seed, folder)
    model = load_base(study, seed, folder)
    config = replace(study.rl, seed=seed, **changes)
    offered = data(study, "prompts", seed) if offered is None else offered
    asked, spent = offered, 0.0
    if study.screen:
        kept, spent = _screened(model, task, offered, study.rl.group, seed, place / "screen.json")
        asked = [offered[i] for i in kept] if len(kept) >= config.prompts else offered
    if spent >= study.seconds:
        raise ValueError(f"screening the questions took {spent:.0f} of seconds={study.seconds:g}; "
                         "give the study more seconds, or set screen=False")
    if rank is not None:
        model = add_lora(model, rank, alpha=2 * rank, seed=seed)
    history = train_grpo(model, task, asked, config,
                         validate=validator(task, study), validate_every=50,
                         folder=place, budget_cpu_seconds=study.seconds - spent,
                         log=log_of(study, name, seed))
    model, task = merge(model), task_for(study.trace)
    keep(model, place / "model")
    run = evaluate(model, task, study, seed, name, splits)
    run.notes |= {"prompts": len(asked), "offered": len(offered)}
    run.history = [row | {"cpu_seconds": row["cpu_seconds"] + spent} for row in rl_curve(history)]
    run.cost = rl_cost(history)
    run.cost["samples"] += study.screen * len(offered) * study.rl.group
    run.cost["cpu_seconds"] += spent
    run.notes |= exploration(model, task, data(study, "validation")[:150])
    return run


METHODS: dict[str, Callable[..., Run]] = {
    "trivial": trivial,
    "mle": mle,
    "mle_continued": mle_continued,
    "mle_gold_answers": mle_gold_answers,
    "mle_noisy": functools.partial(mle_teacher, filtered=False),
    "mle_filtered": functools.partial(mle_teacher, filtered=True),
    "rejection_finetuning": functools.partial(reinforce, name="rejection_finetuning",
                                              method="rejection"),
    "rlvr": functools.partial(reinforce, name="rlvr"),
    "rlvr_task_specific": functools.partial(reinforce, name="rlvr_task_specific",
                                            kind="task_specific"),
}
MAIN = ("trivial", "mle", "mle_continued", "mle_gold_answers", "rejection_finetuning", "rlvr")
FEW = ("trivial", "mle", "mle_continued", "rlvr")  # where a table asks about one change

GROUPS = (2, 4, 8, 16, 32)
# One change at a time to the RL of a study; the row "rlvr" (32 questions, groups of 8, rank 16)
# is the middle of every sweep. Groups change twice: at 256 answers a step, in equal seconds, and
# at eight questions a step, in equal steps, where a larger group costs more.
SWEEPS: dict[str, dict] = {
    **{f"group={g}": {"group": g, "prompts": 256 // g} for g in GROUPS if g != 8},
    "rank=1": {"rank": 1}, "full": {"rank": None, "lr": 3e-4},
    "beta=0.01": {"beta": 0.01}, "beta=0.1": {"beta": 0.1},
    "lr=0.001": {"lr": 1e-3}, "lr=0.005": {"lr": 5e-3},
    "loss=sequence": {"loss": "sequence"}, "loss=dr_grpo": {"loss": "dr_grpo", "scale": "none"},
    **{f"prompts=8,group={g}": {"group": g, "prompts": 8, "steps": 60} for g in GROUPS},
}
METHODS |= {name: functools.partial(reinforce, name=name, splits=("test",), **changes)
            for name, changes in SWEEPS.items()}

# RL prompts of `text_natural` with so many unchanged questions per changed one (the paper's
# 100:40 and 100:5 are 0.4 and 0.05); the natural mix is the row "rlvr".
RATIOS = (0.0, 0.05, 0.4)


def mixed(study: Study, seed: int, folder: Path, ratio: float) -> Run:
    """RL on changed prompts plus `ratio` unchanged ones for each of them."""
    found = data(study, "prompts", seed)
    changed = [t for t in found if t.changed]
    unchanged = [t for t in found if not t.changed][:round(ratio * len(changed))]
    return reinforce(study, seed, folder, name=f"unchanged={ratio:g}", offered=changed + unchanged,
                     splits=("test",))


MIXES = {f"unchanged={ratio:g}": functools.partial(mixed, ratio=ratio) for ratio in RATIOS}
METHODS |= MIXES


def asked_about(study: Study, seed: int, folder: Path, family: str) -> Run:
    """RL that asks about one game only; the base has learned all games of the study."""
    return reinforce(study, seed, folder, name=f"asked={family}", splits=("test",), offered=[
        t for t in data(study, "prompts", seed) if t.state.family == family])


def asked_again(study: Study, seed: int, folder: Path) -> Run:
    """RL that asks no further questions, only those of the traces that MLE has read."""
    return reinforce(study, seed, folder, name="asked=traces", splits=("test",),
                     offered=data(study, "traces", seed))


TRANSFER = {f"asked={family}": functools.partial(asked_about, family=family)
            for family in STUDIES["text_sweeps"].families}
ASKED = TRANSFER | {"asked=traces": asked_again}
METHODS |= ASKED


def comparisons(methods: list[str]) -> list[Comparison]:
    """RLVR against every control, all that verify against the base, and two pairs beside."""
    found = [Comparison("rlvr", m) for m in methods if "rlvr" in methods and m != "rlvr"]
    found += [Comparison(a, b) for a, b in (("mle_filtered", "mle_noisy"), (
        f"prompts=8,group={GROUPS[-1]}", f"prompts=8,group={GROUPS[0]}"))
        if {a, b} <= set(methods)]
    return found + [Comparison(m, c) for m in ("rejection_finetuning", "rlvr_task_specific",
                                               *SWEEPS, *MIXES, *ASKED)
                    for c in ("mle", "mle_continued") if {m, c} <= set(methods)]


METRICS = ("exact", "official", "same")
RECORDS = {
    "text_natural": Record("text_natural", (*MAIN, "rlvr_task_specific"), metrics=METRICS),
    "text_direct": Record("text_direct", MAIN, metrics=METRICS),
    **{name: Record(name, FEW, metrics=METRICS)
       for name in ("text_few_unchanged", "text_all_traces")},
    "text_serial": Record("text_serial", MAIN, metrics=METRICS),
    "text_mix": Record(
        "text_natural", ("trivial", "mle", *MIXES, "rlvr"),
        "Text game, natural play: unchanged questions per changed one in RL", metrics=METRICS),
    "text_sweeps": Record("text_sweeps", ("trivial", "mle", "mle_continued", *SWEEPS,
                                          "asked=traces", "rlvr")),
    "text_teacher": Record(
        "text_sweeps", ("trivial", "mle", "mle_continued", "mle_noisy", "mle_filtered", "rlvr"),
        "Text game, long waits: traces of a teacher that slips", metrics=METRICS),
    "text_wide": Record("text_wide", FEW),
    "text_transfer": Record(
        "text_sweeps", ("trivial", "mle", *TRANSFER, "rlvr"),
        "Text game, long waits: RL asks about one game, judged on both", metrics=METRICS),
}
LAB = Laboratory(STUDIES, METHODS, RECORDS, comparisons, tokenizer)
run_one, run_all = LAB.run_one, LAB.run_all
changed_study, summarise = LAB.changed_study, LAB.summarise


if __name__ == "__main__":
    LAB.main(__doc__.split("\n")[0])
