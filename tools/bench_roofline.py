"""What a token costs beside what this machine could do, and what a step costs in each world.

    make bench             # or: python tools/bench_roofline.py --repeats 5

The floor of a sampling run is counted and measured. Counted (`count`): the FLOPs of its matrix
products, 2 for a multiply-add, and the bytes they must move: weights once a step, keys and values
of every position that is looked at, inputs and outputs of the layers. Measured, in the same run
and on one thread: the speed of products of just these shapes, of one large square product, and of
streaming an array as large as weights and cache. Linear layers and attention follow one another;
inside each of them arithmetic and memory may overlap. So the floor is the sum over the two of
max(FLOPs / speed, bytes / bandwidth). Achieved is floor / measured time.
Writes results/bench_roofline.json.
"""

from __future__ import annotations

import argparse
import copy
import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

from bench_common import (
    PARTS,
    grpo_steps,
    memory_of,
    parser,
    print_added_memory,
    record,
    row,
    take_turns,
    write,
)

import torch
import torch.nn.functional as F

from rlvr_lite import experiments_text, experiments_video, experiments_web, mle, model as M
from rlvr_lite.checkpoints import load_text_model, load_video_model, load_web_model
from rlvr_lite.grpo import GRPOConfig
from rlvr_lite.lora import add_lora
from rlvr_lite.sampling import ROOM
from rlvr_lite.tasks.base import gold_pair

FLOAT = 4  # bytes
MIB = 2 ** 20
SQUARE = 1024  # rows of the large square product


# ---------------------------------------------------------------- counting
@dataclass(frozen=True)
class Shape:
    """Sizes of a Llama whose keys and values have as many heads as its queries."""

    width: int
    layers: int
    hidden: int
    vocab: int
    heads: int

    @classmethod
    def of(cls, model) -> Shape:
        c = model.config
        return cls(c.hidden_size, c.num_hidden_layers, c.intermediate_size, c.vocab_size,
                   c.num_attention_heads)

    def body(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of the linear layers of one block: qkv, out, gate and up, down."""
        d, f = self.width, self.hidden
        return [(d, 3 * d), (d, d), (d, 2 * f), (f, d)]

    def head(self) -> tuple[int, int]:
        return self.width, self.vocab


@dataclass(frozen=True)
class Count:
    """FLOPs of linear layers and attention, and the bytes of what they read and write."""

    linear: int = 0
    attention: int = 0
    weights: int = 0
    activations: int = 0
    cache: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(*(a + b for a, b in zip(astuple(self), astuple(other))))

    def __mul__(self, times: int) -> Count:
        return Count(*(times * a for a in astuple(self)))

    @property
    def flops(self) -> int:
        return self.linear + self.attention

    @property
    def bytes(self) -> int:
        return self.weights + self.activations + self.cache


def count(shape: Shape, tokens: int, scored: int, pairs: int, keys: int) -> Count:
    """One forward pass.

    Args:
        shape: of the model.
        tokens: positions that go through the blocks; their keys and values are written.
        scored: positions that go through the head.
        pairs: of a query and a key that it looks at.
        keys: positions whose key and value are read; a question counts once for its group.
    """
    body = [sizes for sizes in shape.body() for _ in range(shape.layers)]
    used = [(tokens, sizes) for sizes in body] + [(scored, shape.head())]
    return Count(
        linear=sum(2 * n * i * o for n, (i, o) in used),
        attention=2 * 2 * shape.layers * shape.width * pairs,  # scores, and the mix of values
        weights=FLOAT * sum(i * o for n, (i, o) in used if n),
        activations=FLOAT * sum(n * (i + o) for n, (i, o) in used),
        cache=FLOAT * 2 * shape.layers * shape.width * (keys + tokens))


@dataclass(frozen=True)
class Case:
    """A sampling run: B questions, groups of G, T tokens an answer, questions of P tokens."""

    questions: int
    group: int
    tokens: int
    prompt: int = 0
    width: int | None = None  # None: the shipped model

    @property
    def rows(self) -> int:
        return self.questions * self.group

    def step(self, shape: Shape, own: int) -> Count:
        """One step that sees so many tokens of its own answer, the new one included."""
        rows, read = self.rows, self.questions * self.prompt
        return count(shape, rows, rows, rows * (self.prompt + own), rows * own + read)

    def count(self, shape: Shape) -> Count:
        """The whole run: read the questions, choose the first tokens, then T - 1 steps."""
        read, p = self.questions * self.prompt, self.prompt
        start = count(shape, read, self.rows, self.questions * p * (p + 1) // 2, read)
        return sum((self.step(shape, own) for own in range(1, self.tokens)), start)

    def cache_bytes(self, shape: Shape) -> int:
        """Keys and values when the last token is written."""
        positions = self.rows * (self.tokens - 1) + self.questions * self.prompt
        return FLOAT * 2 * shape.layers * shape.width * positions


# ---------------------------------------------------------------- the machine
def best(run: Callable[[], object], least: float = 0.02, tries: int = 5) -> float:
    """Seconds of one call, the fastest of some tries that each take at least so long."""
    calls, spent = 1, 0.0
    run()
    while spent < least:
        calls *= 2
        spent = _seconds(run, calls)
    return min(_seconds(run, calls) for _ in range(tries)) / calls


def _seconds(run: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        run()
    return time.process_time() - start


@functools.cache
def product_seconds(rows: int, inputs: int, outputs: int) -> float:
    x, w = torch.randn(rows, inputs), torch.randn(outputs, inputs)
    return best(lambda: F.linear(x, w))


@functools.cache
def bandwidth(mib: int) -> float:
    """Bytes per second of streaming so many MiB: copying or adding up, whichever is faster."""
    x = torch.ones(mib * MIB // FLOAT)
    half, other = x.chunk(2)
    return mib * MIB / min(best(lambda: half.copy_(other)), best(x.sum))


def square_flops() -> float:
    """FLOPs per second of a large square product."""
    return 2 * SQUARE ** 3 / product_seconds(SQUARE, SQUARE, SQUARE)


def step_linear_seconds(shape: Shape, rows: int) -> float:
    """All linear layers of a step, each at the speed of a product of its own shape."""
    return (shape.layers * sum(product_seconds(rows, *sizes) for sizes in shape.body())
            + product_seconds(rows, *shape.head()))


def floor_seconds(shape: Shape, case: Case) -> float:
    """No faster than this can the counted work of a sampling run be done here."""
    counted, step = case.count(shape), case.step(shape, 1)
    size = 2 ** ((case.cache_bytes(shape) + step.weights) // MIB).bit_length()  # in MiB
    speed = step.linear / step_linear_seconds(shape, case.rows)
    linear = max(counted.linear / speed,
                 (counted.weights + counted.activations) / bandwidth(size))
    return linear + max(counted.attention / square_flops(), counted.cache / bandwidth(size))


def products_step(shape: Shape, case: Case) -> Callable[[], None]:
    """A function that does the matrix products of one step half-way, and nothing else."""
    b, g, h, d = case.questions, case.group, shape.heads, shape.width // shape.heads
    own, sizes = max(ROOM, case.tokens // 2), [*shape.body() * shape.layers, shape.head()]
    linear = [(torch.randn(case.rows, i), torch.randn(o, i)) for i, o in sizes]
    attention = [(torch.randn(b, h, g, d), torch.randn(b, h, d, case.prompt),
                  torch.randn(b, h, case.prompt, d), torch.randn(b, h, g, own, d),
                  torch.randn(b, h, g, own, d)) for _ in range(shape.layers)]
    old_p, own_p = torch.randn(b, h, g, case.prompt), torch.randn(b, h, g, 1, own)

    def run() -> None:
        for x, w in linear:
            F.linear(x, w)
        for q, old_k, old_v, keys, values in attention:
            torch.matmul(q, old_k), torch.matmul(q.unsqueeze(3), keys.mT)
            torch.matmul(old_p, old_v), torch.matmul(own_p, values)

    return run


def machine_rows(shape: Shape, rows: list[int]) -> list[dict]:
    """Speed of products and of memory, as measured."""
    found = [row("machine", "gflops", [square_flops() / 1e9], f"square, {SQUARE}")]
    for n in rows:
        speed = count(shape, n, n, 0, 0).linear / step_linear_seconds(shape, n)
        found.append(row("machine", "gflops", [speed / 1e9], f"linear layers, rows={n}"))
    found += [row("machine", "gb_per_second", [bandwidth(mib) / 1e9], f"{mib} MiB")
              for mib in (1, 16, 256)]
    for r in found:
        print(f"{r['subset']:<28} {r['mean']:7.1f} {r['metric']}", flush=True)
    return found


# ---------------------------------------------------------------- sampling
ROWS, WIDTHS, TOKENS, GROUPS = (
    (8, 16, 32, 64, 128, 256), (64, 128, 256), (25, 50, 100, 200), (1, 4, 8, 16, 64))


def sweeps() -> dict[str, Case]:
    """One change at a time to 8 questions, groups of 8, 100 tokens, the shipped model."""
    return {**{f"rows={n}": Case(n // 8, 8, 100) for n in ROWS},
            **{f"width={d}": Case(8, 8, 100, width=d if d != 64 else None) for d in WIDTHS},
            **{f"tokens={t}": Case(8, 8, t) for t in TOKENS},
            **{f"group={g}": Case(64 // g, g, 100) for g in GROUPS}}


def sampling_rows(model, questions: list[list[int]], cases: dict[str, Case],
                  repeats: int) -> list[dict]:
    """Microseconds per token beside the floor, for every case."""
    models = {None: model} | {c.width: M.build(
        model.config.vocab_size, c.width, model.config.num_hidden_layers,
        hidden=int(2.5 * c.width)) for c in cases.values() if c.width}
    cases = {name: replace(c, prompt=round(statistics.mean(map(len, questions[:c.questions]))))
             for name, c in cases.items()}
    runs = {case: functools.partial(_sample, models[case.width], questions, case)
            for case in cases.values()}
    spent, rows = take_turns(runs, repeats), []
    for name, case in cases.items():
        rows += _case_rows(name, case, Shape.of(models[case.width]), spent[case])
    return rows


def _sample(model, questions, case: Case, seed: int) -> int:
    M.sample(model, questions[:case.questions], case.group, case.tokens, eos_id=None,
             generator=torch.Generator().manual_seed(seed))
    return case.rows * case.tokens


def _case_rows(name: str, case: Case, shape: Shape, seconds: list[float]) -> list[dict]:
    """Rows of one case; `seconds` are per token, one value per repeat."""
    tokens, counted = case.rows * case.tokens, case.count(shape)
    floor = floor_seconds(shape, case) / tokens
    alone = best(products_step(shape, case)) / case.rows
    spent = statistics.median(seconds)
    print(f"{name:<10} {1e6 * spent:7.2f} us a token; products alone {1e6 * alone:6.2f}, "
          f"floor {1e6 * floor:6.2f}: achieved {floor / spent:.0%}", flush=True)
    values = {
        "token_us": [1e6 * s for s in seconds], "products_us": [1e6 * alone],
        "floor_us": [1e6 * floor], "achieved": [floor / s for s in seconds],
        "mfu": [counted.flops / tokens / s / square_flops() for s in seconds],
        "flops": [counted.flops / tokens], "bytes": [counted.bytes / tokens],
        "cache_mib": [case.cache_bytes(shape) / MIB]}
    return [row("sampling", metric, found, name) for metric, found in values.items()]


# ---------------------------------------------------------------- the worlds
@dataclass
class World:
    """A shipped base model, with the settings that its study trains it with."""

    model: object
    task: object
    items: list
    base: mle.MLEConfig
    rl: GRPOConfig
    rank: int  # of LoRA in RL; 0: all weights

    def learner(self):
        if not self.rank:
            return self.model
        return add_lora(copy.deepcopy(self.model), self.rank, alpha=2 * self.rank)


def text() -> World:
    study = replace(experiments_text.STUDIES["text_serial"], prompts=300)
    model, task = load_text_model("text_serial", max_new=experiments_text.ROLLOUT)
    return World(model, task, experiments_text.data(study, "prompts"), study.base, study.rl, 16)


def web() -> World:
    study = experiments_web.STUDIES["web_pages"]
    model, task = load_web_model("web_base")
    items = [t for t in experiments_web.data("train", 300) if len(task.question(t))
             + len(task.answer(t)) <= experiments_web.LONGEST]
    return World(model, task, items, study.base, study.rl, study.rank)


def video() -> World:
    study = experiments_video.STUDIES["video_single"]
    model, task = load_video_model("video_base", horizon=1, credit="frame")
    return World(model, task, experiments_video.data("validation", 1, 7), study.base, study.rl,
                 study.rank)


WORLDS = {"text game": text, "web pages": web, "robot video, one frame": video}


def mle_steps(world: World, steps: int) -> list[float]:
    """CPU seconds of some updates, the first one left out."""
    config = replace(world.base, steps=steps + 1, validate_every=1)
    pairs = [gold_pair(world.task, t) for t in world.items]
    history = mle.train_mle(copy.deepcopy(world.model), pairs, config, log=None)
    clock = [r["cpu_seconds"] for r in history]
    return [b - a for a, b in zip(clock, clock[1:])]


def world_rows(name: str, world: World, repeats: int, memory: dict[str, float]) -> list[dict]:
    """Seconds of an MLE step, of a GRPO step and of its parts; `memory` of the two in MiB."""
    steps = grpo_steps(world.learner(), world.task, world.items, world.rl, repeats)
    seconds = {"MLE step": mle_steps(world, 4 * repeats),
               **{label: [r[f"{part}_s"] for r in steps] for part, label in zip(
                   PARTS, ("sampling", "decoding and reward", "update"))},
               "GRPO step": [sum(r[f"{part}_s"] for part in PARTS) for r in steps]}
    for part, values in seconds.items():
        print(f"{name}: {part:<20} {1e3 * statistics.median(values):8.1f} ms", flush=True)
    speed = [r["tokens"] / r["sample_s"] for r in steps]
    return [*(row(name, "seconds", values, part) for part, values in seconds.items()),
            row(name, "tokens_per_second", speed, "sampling"),
            *(row(name, "peak_mib", [mib], part) for part, mib in memory.items())]


def added_memory(name: str, part: str) -> None:
    """Print the MiB that one step of a world adds to this process."""
    world = WORLDS[name]()
    learner = world.learner()
    tiny = M.build(8, 8, 1, 2, 8)  # what the first step of all imports is not its memory
    mle.train_mle(tiny, [([2], [1])], mle.MLEConfig(steps=1), log=None)
    print_added_memory(lambda: mle_steps(world, 0) if part == "MLE step" else grpo_steps(
        learner, world.task, world.items, world.rl, 0))


# ---------------------------------------------------------------- the record
def ratio_row(rows: list[dict]) -> dict:
    """Cost per token of the longest answers by that of the shortest; 1: linear in tokens."""
    long, short = max(TOKENS), min(TOKENS)
    seconds = {r["subset"]: r["repeats"] for r in rows if r["metric"] == "token_us"}
    ratios = [a / b for a, b in zip(seconds[f"tokens={long}"], seconds[f"tokens={short}"])]
    print(f"cost per token, {long} tokens / {short}: {statistics.median(ratios):.2f}")
    return row("sampling", "ratio", ratios, f"tokens={long} against tokens={short}")


def report(repeats: int) -> dict:
    """Print the tables; return the contents of results/bench_roofline.json."""
    world, config = text(), {}
    questions = [world.task.question(t) for t in world.items]
    rows = machine_rows(Shape.of(world.model), list(ROWS))
    rows += sampling_rows(world.model, questions, sweeps(), repeats)
    rows.append(ratio_row(rows))
    for name, load in WORLDS.items():
        memory = {part: memory_of(__file__, "--memory", name, "--part", part)
                  for part in ("MLE step", "GRPO step")}
        world = load()
        rows += world_rows(name, world, max(2, repeats // 2), memory)
        config[name] = {
            "batch": world.base.batch, "prompts": world.rl.prompts, "group": world.rl.group,
            "minibatches": world.rl.minibatches, "rank": world.rank,
            "parameters": sum(p.numel() for p in world.model.parameters())}
    return record("bench_roofline", "Cost of a token beside the floor of the machine, and of a "
                  "step in each world", rows, config)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--memory", choices=WORLDS, help=argparse.SUPPRESS)
    arguments.add_argument("--part", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        added_memory(options.memory, options.part)
        return
    write(report(options.repeats), options)


if __name__ == "__main__":
    main()
