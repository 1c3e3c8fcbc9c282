"""Speed of the sampler and of one GRPO step, beside Hugging Face `generate` and TRL.

    make bench             # or: python tools/bench.py --repeats 5

One run, one machine, one thread, the same tiny model, questions and group size for everybody;
the contenders take turns, so that a busy machine hurts all of them alike. Times are CPU seconds
of this process. Where TRL is missing its row is left out, with a line that says so.
Writes results/bench_text.json.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", category=FutureWarning)

from bench_common import (  # noqa: E402
    PARTS,
    memory_of,
    parser,
    print_added_memory,
    record,
    row,
    write,
)
import torch  # noqa: E402

from rlvr_lite import lora, mle, model as M  # noqa: E402
from rlvr_lite.grpo import GRPOConfig, train_grpo  # noqa: E402
from rlvr_lite.tasks.text_game import TextGameTask, train_tokenizer  # noqa: E402
from rlvr_lite.worlds.text_game import transitions  # noqa: E402

B, G = 16, 8
CONFIG = GRPOConfig(steps=4, prompts=B, group=G)
CONTENDERS = ("our sampler", "generate", "our GRPO step", "TRL GRPO step")


class Bench:
    """The shared ingredients: a model that has learned to end its answers, and questions."""

    def __init__(self, mle_steps: int, base: str | None = None):
        self.items = transitions("train", 400, seed=0)
        self.task = TextGameTask(train_tokenizer(self.items), max_new=100)
        pairs = [(self.task.question(t), self.task.answer(t)) for t in self.items]
        self.questions = [question for question, _ in pairs[:B]]
        self.folder = tempfile.TemporaryDirectory()
        if base:
            self.model = M.load(base)
            return
        self.model = M.build(self.task.tokenizer.vocab_size, max_tokens=512, seed=0)
        mle.train_mle(self.model, pairs, mle.MLEConfig(steps=mle_steps), log=None)

    def fresh(self):
        return lora.add_lora(copy.deepcopy(self.model))

    def prepare(self, name: str):
        """A function that does the work once and returns (units of work, generated tokens)."""
        return {"our sampler": self.our_sampler, "generate": self.generate,
                "our GRPO step": self.our_step, "TRL GRPO step": self.trl_step}[name]()

    def our_sampler(self):
        net = self.fresh()

        def run(seed: int):
            rollouts = M.sample(net, self.questions, G, self.task.max_new,
                                generator=torch.Generator().manual_seed(seed))
            return 1, sum(map(len, rollouts.answers))

        return run

    def generate(self):
        net = self.fresh()
        ids, mask = M.pad(self.questions)

        def run(seed: int):
            torch.manual_seed(seed)
            with lora.merged(net) as plain, torch.no_grad():
                out = plain.generate(
                    ids, attention_mask=mask.long(), num_return_sequences=G, do_sample=True,
                    temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=self.task.max_new,
                    eos_token_id=1, pad_token_id=0)[:, ids.shape[1]:]
            ended = (out == 1).int().cumsum(1) - (out == 1).int()
            return 1, int((ended == 0).sum())

        return run

    def our_step(self):
        waiting = [self.fresh()]  # setting up is not part of a step
        self.split: dict[str, list[float]] = {k: [] for k in PARTS}

        def run(seed: int):
            config = GRPOConfig(**{**vars(CONFIG), "seed": seed})
            rows = train_grpo(waiting.pop(), self.task, self.items, config, log=None)
            for part, values in self.split.items():
                values.append(sum(r[f"{part}_s"] for r in rows) / len(rows))
            self.live = sum(r["live"] for r in rows) / len(rows)
            return len(rows), sum(r["tokens"] for r in rows)

        run.again = lambda seed: waiting.append(self.fresh())
        return run

    def trl_step(self):
        from rlvr_lite.interop.trl import trainer

        def prepare(seed: int):
            config = GRPOConfig(**{**vars(CONFIG), "seed": seed})
            return trainer(self.fresh(), self.task, self.items, config, self.folder.name)

        waiting = [prepare(0)]

        def run(seed: int):
            done = waiting.pop()
            done.train()  # its log has the mean length of an answer; its own count has prompts
            length = next(row["completions/mean_length"] for row in done.state.log_history
                          if "completions/mean_length" in row)
            return CONFIG.steps, CONFIG.steps * B * G * length

        run.again = lambda seed: waiting.append(prepare(seed))
        return run


def has_trl() -> bool:
    try:
        import trl  # noqa: F401
    except ImportError:
        return False
    return True


def measure(names: list[str], options):
    """CPU seconds per unit of work and tokens per second, one value per repeat."""
    bench = Bench(options.mle_steps, options.base)
    runs = {name: bench.prepare(name) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    speed: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(options.repeats + 1):  # the first round warms up and is thrown away
        for name, run in runs.items():
            start = time.process_time()
            work, tokens = run(repeat)
            spent = time.process_time() - start
            if hasattr(run, "again"):
                run.again(repeat + 1)
            if repeat:
                seconds[name].append(spent / work)
                speed[name].append(tokens / spent)
    return bench, seconds, speed


def report(bench: Bench, seconds, speed, memory: dict[str, float]) -> dict:
    """Print the table; return the contents of results/bench_text.json."""
    rows = []
    for name, values in seconds.items():
        rows += [row(name, "seconds", values), row(name, "peak_mib", [memory[name]]),
                 row(name, "tokens_per_second", speed[name])]
        print(f"{name:<16} {statistics.median(values) * 1e3:8.0f} ms   "
              f"+{memory[name]:.0f} MiB")
    for slow, fast in (("generate", "our sampler"), ("TRL GRPO step", "our GRPO step")):
        if slow in seconds:
            ratios = [a / b for a, b in zip(seconds[slow], seconds[fast])]
            rows.append(row(f"{slow} / {fast}", "ratio", ratios))
            share = memory[fast] / memory[slow]
            rows.append(row(f"{fast} / {slow}", "memory_ratio", [share]))
            print(f"{slow} / {fast}: {statistics.median(ratios):.1f} "
                  f"({min(ratios):.1f} to {max(ratios):.1f}); the memory is {share:.0%}")
    for part, values in bench.split.items():
        values = values[1:]  # the first round warms up
        rows.append(row(f"our GRPO step: {part}", "seconds", values))
        print(f"  of our step: {part:<7} {statistics.median(values) * 1e3:6.0f} ms")
    print(f"  live groups: {bench.live:.0%}")
    config = {"prompts": B, "group": G, "parameters": sum(p.numel() for p in
              bench.model.parameters()), "live": bench.live,
              "question_tokens": statistics.mean(map(len, bench.questions))}
    return record("bench_text", "CPU time beside generate and TRL", rows, config)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--mle-steps", type=int, default=250)
    arguments.add_argument("--memory", choices=CONTENDERS, help=argparse.SUPPRESS)
    arguments.add_argument("--base", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        run = Bench(options.mle_steps, options.base).prepare(options.memory)
        print_added_memory(lambda: run(0))
        return
    names = [name for name in CONTENDERS if has_trl() or not name.startswith("TRL")]
    if len(names) < len(CONTENDERS):
        print("TRL is not installed (pip install trl): its row is left out")
    bench, seconds, speed = measure(names, options)
    base = Path(bench.folder.name) / "base"
    M.save(bench.model, base)
    memory = {name: memory_of(__file__, "--memory", name, "--base", str(base)) for name in names}
    write(report(bench, seconds, speed, memory), options)


if __name__ == "__main__":
    main()
