"""The web experiments: a base model of web pages, RLVR on F1, and their controls.

MLE on recorded transitions, first on whole texts, pages included, for the model to learn to copy,
then on the answers alone to the validation plateau; then GRPO on the strict F1 of what changes.
Test items come in two groups: *visible* (the page allows to know what changes) and *hidden*
(texts appear that nobody can know; there F1 rewards silence, likelihood cannot). Three studies:
    web_pages           MLE reads transitions of all actions
    web_demonstrations  MLE reads what a skilled user does, as in data of web agents; RLVR asks
                        about all actions, and the recorded pages answer
    web_few_mistakes    its base reads on, and now one action in fifty is any other one

    python -m rlvr_lite.experiments_web web_pages --seeds 0 1 2 --jobs 2 --folder runs
    python -m rlvr_lite.experiments_web web_pages --summarise --folder runs

Source: RLVR-World section 5.2, table 2.
Differs from the paper: every decoding beside its like, MLE continued at equal compute, rejection
fine-tuning, seeds and intervals; LoRA; no KL term; the strict F1, the paper's own beside it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

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
)
from rlvr_lite.grpo import GRPOConfig, train_grpo
from rlvr_lite.lora import add_lora, merge
from rlvr_lite.mle import MLEConfig, train_mle
from rlvr_lite.model import build, load, save
from rlvr_lite.tasks.web_page import (
    WebPageTask,
    constant_names,
    deducible,
    train_tokenizer,
)
from rlvr_lite.tokenizers.text import TextTokenizer
from rlvr_lite.worlds.web_pages import Difference, Transition, difference, group, transitions
from rlvr_lite.worlds.web_solvers import solve

TEMPERATURES = (0.0, 0.4, 0.7, 1.0)
LONGEST = 400  # tokens of question and answer in training; very few pages are longer


@dataclass(frozen=True)
class WebStudy:
    """Everything that the methods of one experiment share.

    Attributes:
        width, layers, hidden: the Llama.
        demonstrations: MLE reads only the steps that the scripted solver would take,
        mistakes: and so many others, drawn at random.
        start: the study whose base reads on; None: a new model, and `reading` first.
        reading: MLE on questions and answers alike, before `base`.
        base: MLE of the base model.
        rl: GRPO; `rank` of LoRA, 0 trains all weights.
        seconds: CPU seconds that each method may train after the base.
        test_items, validation_items: drawn once, the same for every seed and method.
    """

    name: str
    title: str
    seconds: float = 300.0
    rank: int = 16
    demonstrations: bool = False
    mistakes: int = 0
    start: str | None = None
    width: int = 128
    layers: int = 3
    hidden: int = 384
    reading: MLEConfig = field(hash=False, default_factory=lambda: MLEConfig(
        steps=400, lr=2e-3, weight_decay=0.1, schedule="constant"))
    base: MLEConfig = field(hash=False, default_factory=lambda: MLEConfig(
        steps=3600, lr=2e-3, weight_decay=0.1, validate_every=300))
    rl: GRPOConfig = field(hash=False, default_factory=lambda: GRPOConfig(
        steps=100_000, prompts=16, group=8, minibatches=4, lr=5e-4, schedule="linear"))
    test_items: int = 1200
    validation_items: int = 400
    claim: str | None = None
    paper: dict = field(hash=False, default_factory=dict)


STUDIES = {s.name: s for s in (
    WebStudy("web_pages", "Web pages, F1 of what changes", claim="web_f1",
             paper=paper.web_rows()),
)}
STUDIES["web_demonstrations"] = replace(
    STUDIES["web_pages"], name="web_demonstrations", demonstrations=True,
    title="Web pages, demonstrations alone", claim=None)
STUDIES["web_few_mistakes"] = replace(
    STUDIES["web_demonstrations"], name="web_few_mistakes", mistakes=200, claim="web_f1_mistakes",
    start="web_demonstrations", title="Web pages, demonstrations with a few mistakes",
    base=replace(STUDIES["web_pages"].base, steps=600, lr=7e-4, validate_every=100))


# ---------------------------------------------------------------- data
@functools.lru_cache(maxsize=1)
def tokenizer() -> TextTokenizer:
    """One tokenizer for all, trained on the training split only."""
    return train_tokenizer(transitions("train"))


@functools.lru_cache(maxsize=1)
def constant() -> dict[str, set[str]]:
    """Per task, what new elements are always called; see `constant_names`."""
    return constant_names(transitions("train"))


@functools.lru_cache(maxsize=8)
def data(split: str, count: int | None = None) -> list[Transition]:
    """Transitions of a split, or as many of them, drawn at random but always the same ones."""
    found = list(transitions(split))
    return found if count is None or count >= len(found) else Random(0).sample(found, count)


@functools.lru_cache(maxsize=1)
def training() -> list[Transition]:
    """What MLE and RL learn from: the training split without its few very long pages."""
    task = task_for()
    return [t for t in data("train") if len(task.question(t)) + len(task.answer(t)) <= LONGEST]


@functools.lru_cache(maxsize=1)
def questions() -> set[tuple]:
    """Every question of the training split."""
    return {(t.goal, t.before, t.action) for t in data("train")}


def demonstrated(transition: Transition) -> bool:
    """Whether the action is the one that a skilled user would take."""
    return solve(transition.task, transition.goal, transition.before) == transition.action


@functools.lru_cache(maxsize=2)
def gold_pairs(demonstrations: bool = False,
               mistakes: int = 0) -> list[tuple[list[int], list[int]]]:
    """Questions and answers of the training transitions, or of the demonstrations among them and
    of some others, the same for every seed."""
    task = task_for()
    others = [t for t in training() if not demonstrated(t)] if mistakes else []
    kept = set(map(id, Random(0).sample(others, mistakes)))
    return [(task.question(t), task.answer(t)) for t in training()
            if not demonstrations or demonstrated(t) or id(t) in kept]


def task_for(**options) -> WebPageTask:
    return WebPageTask(tokenizer(), **options)


# ---------------------------------------------------------------- evaluation
def masks(found: list[Transition]) -> dict[str, list[int]]:
    """Subsets of the report: the two groups, pages that change, questions that no training
    transition asks (new page seeds of a small page may show nothing new), what a skilled user
    would do and what he would not, and pages that end in failure."""
    skilled = [int(demonstrated(t)) for t in found]
    return {name: [int(group(t.task) == name) for t in found] for name in ("visible", "hidden")} \
        | {"changed": [int(t.before != t.after) for t in found],
           "unseen": [int((t.goal, t.before, t.action) not in questions()) for t in found],
           "demonstrated": skilled, "other": [1 - inside for inside in skilled],
           "failure": [int(t.after[0].state == "failure") for t in found]}


def validator(study: WebStudy) -> Callable:
    """A `validate` function for training: greedy F1 on validation items, by group."""
    chosen, task = data("validation", study.validation_items), task_for()
    groups = masks(chosen)

    def validate(model) -> dict[str, float]:
        found = scores(model, task, chosen)
        row = {"validation_f1": mean(found["f1"])}
        return row | {f"validation_f1_{name}": mean(
            value for value, inside in zip(found["f1"], groups[name]) if inside)
            for name in ("visible", "hidden")}
    return validate


def omission(model, task: WebPageTask, found: list[Transition], group_size: int = 8) -> float:
    """Share of sampled answers that leave out every unknowable item: what RL could find.

    Only pages count on which something unknowable appears; an answer that was cut off is not
    silent.
    """
    known = {t: len(deducible(t, constant()).new) for t in found}
    chosen = [t for t in found if known[t] < len(difference(t.before, t.after).new)]
    if not chosen:
        return 0.0
    return mean(float((items := task.read(ids)) is not None and len(items["new"]) <= known[t])
                for t, some in zip(chosen, answers(model, task, chosen, 1.0, group_size))
                for ids in some)


def evaluate(model, study: WebStudy, seed: int, method: str) -> Run:
    """All reported numbers: greedy, sampled, and the temperature that validates best."""
    task, run = task_for(), Run(method, seed, {}, {})
    validation = data("validation", study.validation_items)
    by_temperature = {t: mean(scores(model, task, validation, t, seed)["f1"])
                      for t in TEMPERATURES}
    best = max(TEMPERATURES, key=lambda t: (by_temperature[t], -t))
    for split in ("test", "held_out"):
        chosen = reported(study, split)
        found = {"greedy": scores(model, task, chosen),
                 "sampled": scores(model, task, chosen, 1.0, seed)}
        found["best"] = (found["greedy"] if best == 0 else
                         scores(model, task, chosen, best, seed + 100))
        run.scores[split] = found
        run.subsets[split] = masks(chosen) if split == "test" else {}
    run.notes = {"best_temperature": best, "validation_by_temperature": by_temperature,
                 "omission": omission(model, task, validation[:200])}
    return run


# ---------------------------------------------------------------- methods
def reported(study: WebStudy, split: str) -> list[Transition]:
    """What is reported on: fewer items of the two tasks that training never saw."""
    return data(split, study.test_items // (1 if split == "test" else 3))


def without_model(study: WebStudy, name: str, seed: int, predict: Callable) -> Run:
    """A row that no model wrote: `predict(transition)` gives the difference."""
    run, task = Run(name, seed, {}, {}), task_for()
    for split in ("test", "held_out"):
        chosen = reported(study, split)
        rows = [task.metrics(task.write(predict(t)), t) for t in chosen]
        run.scores[split] = {"greedy": {key: [row[key] for row in rows] for key in rows[0]}}
        run.subsets[split] = masks(chosen) if split == "test" else {}
    return run


def trivial(study: WebStudy, seed: int, folder: Path) -> Run:
    """Predict that nothing changes."""
    return without_model(study, "trivial", seed, lambda t: Difference())


def ceiling(study: WebStudy, seed: int, folder: Path) -> Run:
    """Everything that the page allows to know, and silence about the rest."""
    return without_model(study, "ceiling", seed, lambda t: deducible(t, constant()))


def keep(model, place: Path) -> None:
    """Save a model and, beside it, the tokenizer that it was trained with."""
    save(model, place)
    tokenizer().save(place / "tokenizer.json")


def load_kept(place: str | Path, **options) -> tuple:
    """What `keep` saved, as (model, task); `options` go to `WebPageTask`."""
    words = TextTokenizer.load(Path(place) / "tokenizer.json")
    return load(place), WebPageTask(words, **options)


def load_base(study: WebStudy, seed: int, folder: Path):
    return load(model_folder(study.name, "mle", seed, folder))


def mle(study: WebStudy, seed: int, folder: Path) -> Run:
    """The base: MLE on whole texts, then on the answers, to its validation plateau; or, with
    `start`, further updates of the base of that study."""
    place, log = run_folder(study.name, "mle", seed, folder), log_of(study, "mle", seed)
    read = gold_pairs(study.demonstrations, study.mistakes)
    if study.start:
        model = load_base(STUDIES[study.start], seed, folder)
        before = experiments.load_run(experiments.run_path(Path(folder) / study.start, "mle",
                                                           seed)).cost
    else:
        model = build(tokenizer().vocab_size, study.width, study.layers, hidden=study.hidden,
                      max_tokens=1024, seed=seed)
        texts = [(question[:1], question[1:] + answer) for question, answer in read]
        before = mle_cost(train_mle(model, texts, replace(study.reading, seed=seed),
                                    folder=place / "reading", log=log), study.reading.batch)
    history = train_mle(model, read, replace(study.base, seed=seed), validator(study),
                        best="validation_f1", folder=place, log=log)
    keep(model, place / "model")
    run = evaluate(model, study, seed, "mle")
    run.history = history
    run.cost = {key: value + before[key]
                for key, value in mle_cost(history, study.base.batch).items()}
    return run


def mle_continued(study: WebStudy, seed: int, folder: Path, name: str = "mle_continued",
                  everything: bool = False) -> Run:
    """More MLE on the same transitions, for as many CPU seconds as RL gets; the weights with the
    best F1 on validation are kept. With `everything` it reads the answers to all actions."""
    place = run_folder(study.name, name, seed, folder)
    model = load_base(study, seed, folder)
    read = gold_pairs() if everything else gold_pairs(study.demonstrations, study.mistakes)
    steps = planned_steps(place, study.seconds, model, read, study.base)
    config = replace(study.base, steps=steps, lr=study.base.lr / 3, seed=seed + 1,
                     validate_every=max(20, steps // 8))
    history = train_mle(model, read, config, validator(study), best="validation_f1",
                        folder=place, log=log_of(study, name, seed))
    keep(model, place / "model")
    run = evaluate(model, study, seed, name)
    run.history, run.cost = history, mle_cost(history, config.batch)
    return run


def reinforce(study: WebStudy, seed: int, folder: Path, name: str = "rlvr", mode: str = "strict",
              only: str | None = None, **changes) -> Run:
    """GRPO (or rejection fine-tuning) from the base.

    Args:
        mode: which F1 is the reward.
        only: a group of tasks, or "demonstrated"; RL asks about no other.
        changes: to `GRPOConfig`.
    """
    model = load_base(study, seed, folder)
    if study.rank:
        model = add_lora(model, study.rank, alpha=2 * study.rank, seed=seed)
    asked = [t for t in training() if only in (None, group(t.task))
             or only == "demonstrated" and demonstrated(t)]
    place = run_folder(study.name, name, seed, folder)
    config = replace(study.rl, seed=seed, **changes)
    history = train_grpo(model, task_for(mode=mode), asked, config, validator(study), 50, place,
                         log_of(study, name, seed), study.seconds)
    model = merge(model)
    keep(model, place / "model")
    run = evaluate(model, study, seed, name)
    run.history, run.cost = rl_curve(history), rl_cost(history)
    return run


METHODS: dict[str, Callable[..., Run]] = {
    "trivial": trivial,
    "ceiling": ceiling,
    "mle": mle,
    "mle_continued": mle_continued,
    "mle_gold_answers": functools.partial(mle_continued, name="mle_gold_answers", everything=True),
    "rejection_finetuning": functools.partial(reinforce, name="rejection_finetuning",
                                              method="rejection"),
    "rlvr": reinforce,
    "rlvr_demonstrations": functools.partial(reinforce, name="rlvr_demonstrations",
                                             only="demonstrated"),
    "rlvr_visible": functools.partial(reinforce, name="rlvr_visible", only="visible"),
    "rlvr_official": functools.partial(reinforce, name="rlvr_official", mode="official"),
}


def comparisons(methods: list[str]) -> list[Comparison]:
    """RLVR against every other method, and its controls of questions and reward against
    likelihood, like with like."""
    decodings = ("greedy", "sampled", "best")
    pairs = [("rlvr", m) for m in methods if m != "rlvr"] + [
        (m, b) for m in ("rlvr_demonstrations", "mle_gold_answers")
        for b in ("mle", "mle_continued")]
    return [Comparison(a, b, decodings) for a, b in pairs if {a, b} <= set(methods)]


METRICS = ("f1", "precision", "recall", "official", "exact", "verdict", "repeats", "invented",
           "items", "length")
BIASED = {"metrics": ("f1", "verdict"),
          "subsets": ("visible", "hidden", "demonstrated", "other", "failure")}
MAIN = ("trivial", "ceiling", "mle", "mle_continued", "rejection_finetuning", "rlvr")
RECORDS = {
    "web_pages": Record("web_pages", (*MAIN, "rlvr_visible", "rlvr_official"), metrics=METRICS),
    "web_demonstrations": Record("web_demonstrations", ("trivial", "ceiling", "mle", "rlvr"),
                                 **BIASED),
    "web_few_mistakes": Record(
        "web_few_mistakes", (*MAIN[:4], "mle_gold_answers", *MAIN[4:], "rlvr_demonstrations"),
        **BIASED)}
LAB = Laboratory(STUDIES, METHODS, RECORDS, comparisons, tokenizer, "f1")


if __name__ == "__main__":
    LAB.main(__doc__.split("\n")[0])
