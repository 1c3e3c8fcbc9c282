"""RLVR on the published ByteSized32 transitions: a small Llama from scratch, honest controls.

The paper's bias in miniature: the base model is trained by MLE on `base_rows` transitions that
are (almost only) *changed*, as the paper's verified SFT data are. RL may verify answers to all
training questions, in the paper's mixes of unchanged and changed ones (40 : 100 with the binary
reward, 5 : 100 with the task-specific one) and in the natural mix. Beside it: doing nothing, MLE
continued on the base rows, and MLE from scratch on all gold answers that RL may verify. Every
method trains equally long after the base; what MLE ends with is chosen on validation.
Training questions come from a crawl of the games, without any (game, state, action) of the
published test split; validation keeps whole states apart; the test is the published split.

    python -m rlvr_lite.experiments_bytesized32 --data FOLDER --seed 0 --out run-0.json
    python -m rlvr_lite.experiments_bytesized32 --summarise run-0.json run-1.json run-2.json
    python -m rlvr_lite.experiments_bytesized32 --judge --data FOLDER

The last line trains nothing: it lets the official and the strict rewards judge hand-made answers
to the published test rows (`results/text_bytesized32_rewards.json`, chapter 5).

Source: RLVR-World section 5.1, table 1, appendix A.1.
Differs from the paper: 11,134 training questions of 29 games instead of 150,672 of 31 (two test
games are never trained on: subset `new_games`); no pretraining, no rules in the prompt, no chain
of thought; three seeds and intervals.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from rlvr_lite import evaluation, experiments, paper
from rlvr_lite.experiments import Comparison, Run
from rlvr_lite.evaluation import exploration, mean
from rlvr_lite.grpo import GRPOConfig, train_grpo
from rlvr_lite.lora import add_lora, merge
from rlvr_lite.metrics import bootstrap
from rlvr_lite.mle import MLEConfig, train_mle
from rlvr_lite.model import build
from rlvr_lite.paths import results_folder
from rlvr_lite.tasks.bytesized32 import ByteSized32Task, is_changed
from rlvr_lite.tasks.state_difference import MODES, NOTHING, difference
from rlvr_lite.tasks.state_rewards import KINDS, reward
from rlvr_lite.worlds.bytesized32 import Transition, load_test, read, split_by_state, without

CRAWL = "bytesized32_sp_crawl.jsonl.xz"
NAME = "text_bytesized32"
# RL: kind of reward, and how many unchanged questions it asks per changed one (None: all)
REINFORCED = {"rlvr": ("binary", 0.4), "rlvr_task_specific": ("task_specific", 0.05),
              "rlvr_natural": ("binary", None)}
METHODS = ("trivial", "mle", "mle_continued", "mle_gold_answers", *REINFORCED)


@dataclass(frozen=True)
class Settings:
    """Sizes of one experiment; the minutes are shared out by `SHARES`.

    Attributes:
        base_rows: training transitions of the base model.
        unchanged_share: chance of an unchanged transition to be one of them (paper: 1/101).
        vocab, width, layers, heads: of the tokenizer and the model.
        batch, lr, weight_decay: of MLE.
        rl: settings of GRPO.
        rank: of LoRA; None: all weights are trained.
        validation_items, test_items: how many rows; None: all.
    """

    base_rows: int = 3000
    unchanged_share: float = 1 / 101
    vocab: int = 1500
    width: int = 64
    layers: int = 3
    heads: int = 4
    batch: int = 64
    lr: float = 3e-3
    weight_decay: float = 0.3
    rl: GRPOConfig = field(hash=False, default_factory=lambda: GRPOConfig(
        steps=100_000, prompts=32, group=8, lr=5e-4))
    rank: int | None = 16
    validation_items: int = 300
    test_items: int | None = None


# Shares of the minutes; what is left is for evaluation.
SHARES = {"mle": 0.16, **{m: 0.1 for m in METHODS if m not in ("trivial", "mle")}}


@dataclass
class Data:
    """Training, validation and test transitions, and what the base may learn from."""

    train: list[Transition]
    validation: list[Transition]
    test: list[Transition]
    base: list[Transition]


def load_data(folder: str | Path, settings: Settings, seed: int) -> Data:
    """Read the crawl and the test split; the test items and the validation split never vary.

    Args:
        folder: holds the published zip and the crawl.
        settings: sizes.
        seed: which training transitions the base sees.
    """
    test = load_test(folder)
    train, validation = split_by_state(without(read(Path(folder) / CRAWL), test))
    fixed = random.Random(0)
    validation = fixed.sample(validation, min(settings.validation_items, len(validation)))
    if settings.test_items is not None:
        test = fixed.sample(test, settings.test_items)
    rng = random.Random(seed)
    shuffled = rng.sample(train, len(train))
    base = [t for t in shuffled if is_changed(t) or rng.random() < settings.unchanged_share]
    return Data(train, validation, test, base[:settings.base_rows])


def scores(model, task: ByteSized32Task, items: list[Transition], temperature: float = 0.0,
           seed: int = 0) -> dict[str, list[float]]:
    """Metric -> one value per item; a GPU takes larger batches."""
    batch = 64 if model.device.type == "cpu" else 512
    return evaluation.scores(model, task, items, temperature, seed, batch=batch)


class Experiment:
    """One seed: data, task, base model, and the methods that start from it."""

    def __init__(self, data: Data, seed: int, minutes: float, device: str,
                 settings: Settings, log=print):
        self.data, self.seed, self.device, self.settings = data, seed, device, settings
        self.seconds = {m: 60 * minutes * share for m, share in SHARES.items()}
        self.task = ByteSized32Task.learn(data.train, settings.vocab)
        self.start, self.base, self.log = time.time(), None, log

    def say(self, method: str):
        def line(text: str) -> None:
            if self.log:
                self.log(f"{method} seed {self.seed} +{time.time() - self.start:.0f}s: {text}")
        return line

    def model(self):
        s = self.settings
        return build(self.task.tokenizer.vocab_size, s.width, s.layers, s.heads,
                     hidden=int(2.5 * s.width), max_tokens=512, seed=self.seed).to(self.device)

    def validate(self, model) -> dict[str, float]:
        found = scores(model, self.task, self.data.validation)
        changed = [v for v, t in zip(found["exact"], self.data.validation) if is_changed(t)]
        return {"validation_exact": mean(found["exact"]), "validation_changed": mean(changed),
                "validation_same": mean(found["same"])}

    def mle(self, model, rows: list[Transition], seconds: float, method: str,
            best: str = "validation_exact", **changes) -> Run:
        """MLE for a budget of CPU seconds; the pace is measured on a copy first."""
        s = self.settings
        pairs = [(self.task.question(t), self.task.answer(t)) for t in rows]
        config = MLEConfig(steps=20, batch=s.batch, lr=s.lr, weight_decay=s.weight_decay,
                           seed=self.seed + 1, warmup=100)
        config = replace(config, **changes)
        probe = copy.deepcopy(model)
        train_mle(probe, pairs, config, log=None)                      # warm up the machine
        pace = train_mle(probe, pairs, replace(config, steps=60), log=None)[-1]["cpu_seconds"]
        steps = max(20, int(seconds / pace * 60))
        config = replace(config, steps=steps, validate_every=max(25, steps // 12))
        history = train_mle(model, pairs, config, self.validate, best=best,
                            log=self.say(method))
        last = history[-1]
        run = self.evaluate(model, method)
        run.history = history
        run.cost = {"steps": last["step"], "samples": last["step"] * s.batch,
                    "cpu_seconds": last["cpu_seconds"]}
        return run

    def prompts(self, ratio: float | None) -> list[Transition]:
        """Training questions with at most `ratio` unchanged ones per changed one."""
        if ratio is None:
            return self.data.train
        sides: tuple[list, list] = ([], [])
        for t in random.Random(self.seed).sample(self.data.train, len(self.data.train)):
            sides[is_changed(t)].append(t)
        return sides[1] + sides[0][:round(ratio * len(sides[1]))]

    def reinforce(self, method: str) -> Run:
        """GRPO from the base on training questions."""
        kind, ratio = REINFORCED[method]
        s, model = self.settings, copy.deepcopy(self.base)
        if s.rank is not None:
            model = add_lora(model, s.rank, alpha=2 * s.rank, seed=self.seed).to(self.device)
        task = ByteSized32Task(self.task.tokenizer, self.task.schema, kind, "strict",
                               self.task.max_new)
        history = train_grpo(model, task, self.prompts(ratio), replace(s.rl, seed=self.seed),
                             validate=self.validate, validate_every=100, log=self.say(method),
                             budget_cpu_seconds=self.seconds[method])
        model, last = merge(model), history[-1]
        run = self.evaluate(model, method)
        run.history = history[::max(1, len(history) // 100)]
        run.cost = {"steps": last["step"], "samples": last["samples"],
                    "tokens": sum(row.get("tokens", 0) for row in history),
                    "cpu_seconds": last["cpu_seconds"]}
        return run

    def evaluate(self, model, method: str) -> Run:
        test, seen = self.data.test, {t.game for t in self.data.train}
        run = Run(method, self.seed, {"test": {
            "greedy": scores(model, self.task, test),
            "sampled": scores(model, self.task, test, 1.0, self.seed)}}, _subsets(test, seen))
        run.notes = exploration(model, self.task, self.data.validation[:150])
        self.say(method)(_summary(run))
        return run

    def trivial(self) -> Run:
        same = self.task.tokenizer.encode(" same") + [self.task.tokenizer.eos_id]
        rows = [self.task.metrics(same, t) for t in self.data.test]
        found = {name: [row[name] for row in rows] for name in rows[0]}
        return Run("trivial", self.seed, {"test": {"greedy": found}},
                   _subsets(self.data.test, {t.game for t in self.data.train}))

    def run(self, methods: tuple[str, ...] = METHODS) -> list[Run]:
        """All methods; the base comes first whatever is asked for."""
        runs = [self.trivial()]
        self.base = self.model()
        runs.append(self.mle(self.base, self.data.base, self.seconds["mle"], "mle",
                             best="validation_changed"))
        rest = self.seconds["mle"] + self.seconds["mle_gold_answers"]
        if "mle_continued" in methods:
            runs.append(self.mle(copy.deepcopy(self.base), self.data.base,
                                 self.seconds["mle_continued"], "mle_continued", lr=1e-3))
        if "mle_gold_answers" in methods:
            runs.append(self.mle(self.model(), self.data.train, rest, "mle_gold_answers"))
        return runs + [self.reinforce(m) for m in REINFORCED if m in methods]


def _subsets(test: list[Transition], seen: set[str]) -> dict[str, dict[str, list[int]]]:
    changed = [is_changed(t) for t in test]
    return {"test": {"changed": [int(c) for c in changed],
                     "unchanged": [int(not c) for c in changed],
                     "new_games": [int(t.game not in seen) for t in test]}}


def _summary(run: Run) -> str:
    """One line: strict accuracy greedy / sampled, overall, changed, unchanged."""
    parts = []
    for subset in ("all", "changed", "unchanged"):
        mask = run.subsets["test"].get(subset)
        values = [mean(v for v, m in zip(run.scores["test"][d]["exact"], mask or [1] * 10 ** 6)
                       if m) for d in ("greedy", "sampled")]
        parts.append(f"{subset} {100 * values[0]:.1f} / {100 * values[1]:.1f}")
    return "test greedy / T=1: " + ", ".join(parts) + f" | {run.notes}"


def run(seed: int, minutes: float, device: str, folder: str | Path,
        settings: Settings | None = None, methods: tuple[str, ...] = METHODS,
        log=print) -> list[Run]:
    """One seed of the experiment.

    Args:
        seed: of the weights, the base rows, the batches and the rollouts.
        minutes: of training and evaluation, all methods together.
        device: "cpu" or "cuda".
        folder: holds the published test zip and the crawl.
        settings: sizes; None: the defaults.
        methods: some of `METHODS`.
        log: gets a line now and then; None: silence.

    Returns:
        One `experiments.Run` per method, with one value per test item.

    Raises:
        ValueError: unknown methods, minutes not above 0, or CUDA asked for and absent.
        FileNotFoundError: the data are not in the folder.
    """
    if unknown := set(methods) - set(METHODS):
        raise ValueError(f"unknown methods {sorted(unknown)}; known: {', '.join(METHODS)}")
    if minutes <= 0 or (device.startswith("cuda") and not torch.cuda.is_available()):
        raise ValueError(f"minutes must be above 0 and device available; got {minutes} and "
                         f"{device!r} (torch.cuda.is_available() is "
                         f"{torch.cuda.is_available()})")
    settings = settings or Settings()
    data = load_data(folder, settings, seed)
    return Experiment(data, seed, minutes, device, settings, log).run(methods)


def write(runs: list[Run], settings: Settings, minutes: float, device: str,
          path: str | Path) -> None:
    """Write the runs of one seed with what is needed to tell where they come from."""
    provenance = experiments.provenance([], {})
    name = torch.cuda.get_device_name() if device.startswith("cuda") else provenance["device"]
    experiments.write_json(Path(path), {
        "config": asdict(settings) | {"minutes": minutes}, "device": name,
        "versions": provenance["versions"], "runs": [asdict(r) for r in runs]})


def summarise(files: list[str | Path], target: str | Path | None = None) -> Path:
    """Write `results/text_bytesized32.json` from the files of some seeds."""
    parts = [json.loads(Path(f).read_text()) for f in files]
    runs = [Run(**r) for part in parts for r in part["runs"]]
    runs.sort(key=lambda r: (METHODS.index(r.method), r.seed))
    names = {r.method for r in runs}
    pairs = [Comparison(a, b) for a in REINFORCED for b in METHODS
             if {a, b} <= names and b not in REINFORCED]
    result = experiments.summarise(
        NAME, "The published ByteSized32 transitions, a small Llama from scratch", runs, pairs,
        "text_published", paper.text_game_rows(), parts[0]["config"],
        ("exact", "official", "same"))
    result["provenance"] |= {"device": parts[0]["device"], "versions": parts[0]["versions"]}
    path = Path(target) if target else results_folder() / f"{NAME}.json"
    experiments.write_json(path, result)
    return path


# ---------------------------------------------------------------- judging hand-made answers
def hand_made(test: list[Transition]) -> dict[str, dict[int, dict]]:
    """Kinds of answers, as {kind: {row: answer}}; the flawed ones only where the flaw applies."""
    found: dict[str, dict[int, dict]] = {k: {} for k in (
        "trivial", "gold", "created_object", "forgotten_removal", "extra_property", "no_score")}
    for i, t in enumerate(test):
        gold = difference(t.state, t.next_state)
        before = {o["uuid"]: o for o in t.state.objects}
        created = {o["uuid"] for o in t.next_state.objects} - before.keys()
        found["trivial"][i], found["gold"][i] = dict(NOTHING), gold
        found["no_score"][i] = {k: v for k, v in gold.items() if k != "score"}
        # the paper's data scripts write an object also where only the order of `contains` differs
        edits = [o for o in t.next_state.objects if o != before.get(o["uuid"])]
        if created:
            found["created_object"][i] = gold
        if gold["removed"] and not created:
            found["forgotten_removal"][i] = {**gold, "removed": []}
        if edits and not created:
            first = {**edits[0], "properties": {**edits[0]["properties"], "invented": True}}
            found["extra_property"][i] = {**gold, "modified": [first, *edits[1:]]}
    return found


def judge(folder: str | Path, target: str | Path | None = None) -> Path:
    """Write the mean reward of hand-made answers under both modes and both kinds of reward."""
    test, rows = load_test(folder), []
    changed = [is_changed(t) for t in test]
    for method, given in hand_made(test).items():
        for subset, wanted in (("all", (0, 1)), ("changed", (1,)), ("unchanged", (0,))):
            chosen = [(test[i], a) for i, a in given.items() if changed[i] in wanted]
            for mode in MODES if chosen else ():
                for kind in KINDS:
                    values = [reward(t.state, a, t.next_state, kind, mode)["reward"]
                              for t, a in chosen]
                    rows.append({"method": method, "decoding": "greedy", "subset": subset,
                                 "metric": f"{mode}_{kind}", **asdict(bootstrap(values)),
                                 "per_seed": [mean(values)], "n": len(values)})
    result = {"experiment": f"{NAME}_rewards", "claim": None,
              "title": "Hand-made answers to the published test rows, judged twice",
              "rows": rows, "differences": [], "cost": [], "paper": {},
              "provenance": experiments.provenance([], {})}
    path = Path(target) if target else results_folder() / f"{NAME}_rewards.json"
    experiments.write_json(path, result)
    return path


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=25.0, help="all methods together")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--data", help=f"folder with the published test zip and {CRAWL}")
    parser.add_argument("--out", help="JSON file of the runs of this seed")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--base-rows", type=int, default=Settings.base_rows)
    for name in ("width", "layers", "test_items"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int,
                            default=getattr(Settings, name))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--summarise", nargs="+", metavar="FILE", help="runs -> results/")
    parser.add_argument("--judge", action="store_true", help="judge hand-made answers")
    chosen = parser.parse_args(arguments)
    if chosen.judge:
        print(judge(chosen.data, chosen.out))
        return
    if chosen.summarise:
        print(summarise(chosen.summarise, chosen.out))
        return
    if not chosen.data or not chosen.out:
        parser.error("--data FOLDER and --out FILE are needed")
    torch.set_num_threads(chosen.threads)
    settings = replace(Settings(), base_rows=chosen.base_rows, width=chosen.width,
                       layers=chosen.layers, test_items=chosen.test_items)
    runs = run(chosen.seed, chosen.minutes, chosen.device, chosen.data, settings,
               tuple(chosen.methods), lambda line: print(line, flush=True))
    write(runs, settings, chosen.minutes, chosen.device, chosen.out)
    print(f"wrote {chosen.out}")


if __name__ == "__main__":
    main()
