"""The benchmarks: a token's cost is counted exactly, records have the schema. Nothing timed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import bench
import bench_common
import bench_roofline as roofline
from bench_roofline import Case, Count, Shape, count
from rlvr_lite.grpo import GRPOConfig
from rlvr_lite.llama import weights
from rlvr_lite.mle import MLEConfig
from rlvr_lite.model import build
from rlvr_lite.sampling import ROOM, _Writer
from rlvr_lite.tasks.text_game import TextGameTask, train_tokenizer
from rlvr_lite.worlds.text_game import transitions

FIELDS = {"method", "decoding", "subset", "metric", "mean", "low", "high", "per_seed", "n"}
TINY = Shape(width=4, layers=2, hidden=6, vocab=10, heads=2)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Speeds are measured, but not carefully."""
    monkeypatch.setattr(roofline, "SQUARE", 8)
    monkeypatch.setattr(roofline.best, "__defaults__", (0.0, 1))
    roofline.bandwidth.cache_clear()
    roofline.product_seconds.cache_clear()


@pytest.fixture(scope="module")
def world():
    data = transitions("train", 8, seed=0, families=("baking",))
    task = TextGameTask(train_tokenizer(data, 300), max_new=6)
    return roofline.World(build(task.tokenizer.vocab_size, 8, 1, 4, 16), task, data,
                          MLEConfig(batch=2), GRPOConfig(prompts=2, group=2), 0)


# ---- counting --------------------------------------------------------------------------------


def test_a_step_is_counted_as_by_hand():
    # a block: 4x12 (qkv), 4x4 (out), 4x12 (gate and up), 6x4 (down) = 136 weights; the head 4x10
    found = count(TINY, tokens=3, scored=2, pairs=15, keys=9)
    assert found.linear == 2 * (3 * 2 * 136 + 2 * 40)
    assert found.attention == 2 * 2 * 2 * 4 * 15  # (scores, mix) x 2 FLOPs x layers x width
    assert found.weights == 4 * (2 * 136 + 40)
    # inputs and outputs: 16 + 8 + 16 + 10 = 50 numbers a block, 14 of the head
    assert found.activations == 4 * (3 * 2 * 50 + 2 * 14)
    assert found.cache == 4 * 2 * 2 * 4 * (9 + 3)  # key and value, layers, width; read, written
    assert found.flops == found.linear + found.attention
    assert found.bytes == found.weights + found.activations + found.cache


def test_weights_that_nothing_goes_through_are_not_read():
    assert count(TINY, 0, 2, 0, 0).weights == 4 * 40
    assert count(TINY, 3, 0, 0, 0).weights == 4 * 2 * 136
    assert count(TINY, 0, 0, 0, 0) == Count()


def test_a_run_is_the_sum_of_its_steps():
    case = Case(questions=2, group=3, tokens=3, prompt=5)
    start = count(TINY, tokens=10, scored=6, pairs=2 * 15, keys=10)  # 1 + 2 + ... + 5 pairs
    one = count(TINY, 6, 6, pairs=6 * (5 + 1), keys=6 * 1 + 10)
    two = count(TINY, 6, 6, pairs=6 * (5 + 2), keys=6 * 2 + 10)
    assert case.count(TINY) == start + one + two
    assert case.cache_bytes(TINY) == 4 * 2 * 2 * 4 * (6 * 2 + 10)


def test_twice_the_rows_are_twice_the_work_but_not_the_weights():
    small, large = (Case(b, 4, 7, 5).count(TINY) for b in (3, 6))
    assert large.flops == 2 * small.flops and large.weights == small.weights
    assert (large.cache, large.activations) == (2 * small.cache, 2 * small.activations)


def test_count_is_what_the_sampler_does():
    """torch's own counter on one step of the real sampler, far enough that nothing is masked."""
    model = build(50, width=8, layers=2, heads=2, hidden=12, max_tokens=64)
    case = Case(questions=3, group=4, tokens=ROOM + 3, prompt=5)
    with torch.no_grad():
        writer = _Writer(weights(model, 60), [[2, 3, 4, 5, 6]] * 3, 4, model.device)
        token = torch.full((case.rows, 1), 7)
        for _ in range(ROOM):
            writer.write(token)
        with FlopCounterMode(display=False) as counter:
            writer.write(token)
            writer.logits()
    assert counter.get_total_flops() == case.step(Shape.of(model), ROOM + 1).flops


def test_products_of_a_step_are_those_that_are_counted():
    model = build(50, width=8, layers=2, heads=2, hidden=12)
    case = Case(questions=3, group=4, tokens=2 * ROOM, prompt=5)
    run = roofline.products_step(Shape.of(model), case)
    with FlopCounterMode(display=False) as counter:
        run()
    assert counter.get_total_flops() == case.step(Shape.of(model), ROOM).flops


# ---- records ---------------------------------------------------------------------------------


def check(rows: list[dict]) -> None:
    for row in rows:
        assert FIELDS <= set(row) and row["low"] <= row["mean"] <= row["high"], row
        assert row["n"] == len(row["repeats"]) and row["mean"] >= 0, row
    assert len({(r["method"], r["subset"], r["metric"]) for r in rows}) == len(rows)


def test_records_of_sampling_and_of_a_world(world):
    questions = [world.task.question(t) for t in world.items]
    cases = {"rows=4": Case(2, 2, 3), "width=16": Case(2, 2, 3, width=16),
             "tokens=25": Case(1, 1, 2), "tokens=200": Case(1, 1, 4)}
    rows = roofline.sampling_rows(world.model, questions, cases, repeats=2)
    rows.append(roofline.ratio_row(rows))
    rows += roofline.machine_rows(Shape.of(world.model), [2, 4])
    rows += roofline.world_rows("text", world, 2, {"MLE step": 1.0, "GRPO step": 2.0})
    check(rows)
    cells = {(r["subset"], r["metric"]): r["mean"] for r in rows}
    assert cells["rows=4", "achieved"] > 0 and cells["GRPO step", "peak_mib"] == 2.0
    result = bench_common.record("bench_x", "A title", rows, {"prompts": 2})
    assert result["experiment"] == "bench_x" and result["provenance"]["config"] == {"prompts": 2}
    assert {"claim", "title", "differences", "cost", "paper"} <= set(result)


def test_every_metric_stands_in_the_glossary(world):
    from test_glossary import ROOT

    text = (ROOT / "book" / "glossary.md").read_text("utf-8")
    rows = roofline.world_rows("text", world, 2, {"MLE step": 1.0})
    rows += roofline.machine_rows(Shape.of(world.model), [2])
    rows += roofline.sampling_rows(world.model, [[2, 3]], {"x": Case(1, 2, 3)}, 1)
    assert not [r["metric"] for r in rows if f"`{r['metric']}`" not in text]


@pytest.fixture
def beside(world, tmp_path, monkeypatch):
    """The benchmark beside TRL, with a tiny model that never ends its answers of six tokens."""
    monkeypatch.setattr(bench, "B", 2)
    monkeypatch.setattr(bench, "G", 2)
    monkeypatch.setattr(bench, "CONFIG", GRPOConfig(steps=2, prompts=2, group=2))
    found = object.__new__(bench.Bench)
    found.items, found.task, found.model = world.items, world.task, world.model
    found.questions = [world.task.question(t) for t in world.items][:2]
    found.folder = type("Folder", (), {"name": str(tmp_path)})
    return found


def test_both_steps_count_the_tokens_that_they_generate(beside):
    pytest.importorskip("trl")
    for name in ("our GRPO step", "TRL GRPO step"):
        steps, tokens = beside.prepare(name)(0)
        assert steps == 2 and 2 * 4 < tokens <= 2 * 4 * 6, name


def test_parts_of_our_step_are_medians_over_repeats_like_the_step(beside):
    run = beside.prepare("our GRPO step")
    for repeat in range(4):
        run(repeat)
        run.again(repeat + 1)
    beside.split = {part: [9.0, 1.0, 3.0, 2.0] for part in bench_common.PARTS}
    names = bench.CONTENDERS
    seconds, memory = {n: [1.0, 2.0, 3.0] for n in names}, dict.fromkeys(names, 4.0)
    record = bench.report(beside, seconds, seconds, memory | {"TRL GRPO step": 16.0})
    check(record["rows"])
    cells = {(r["method"], r["metric"]): r["mean"] for r in record["rows"]}
    assert cells["our GRPO step: update", "seconds"] == 2.0  # the first round warms up
    assert cells["our GRPO step / TRL GRPO step", "memory_ratio"] == 0.25
    assert cells["TRL GRPO step", "tokens_per_second"] == 2.0


def test_contenders_take_turns_and_the_first_round_is_thrown_away():
    order = []
    found = bench_common.take_turns(
        {name: lambda seed, name=name: order.append((name, seed)) or 2 for name in "ab"}, 2)
    assert order == [(name, seed) for seed in range(3) for name in "ab"]
    assert [len(v) for v in found.values()] == [2, 2]


def test_memory_is_that_of_the_child(tmp_path):
    """A large parent must not hide what a small child adds."""
    held = torch.ones(100 * 2 ** 18)  # 100 MiB
    script = tmp_path / "child.py"
    tools = str(Path(bench_common.__file__).parent)
    script.write_text(f"import sys; sys.path.insert(0, {tools!r})\n"
                      "from bench_common import print_added_memory\n"
                      "print_added_memory(lambda: b'x' * (40 * 2 ** 20))\n")
    assert 35 < bench_common.memory_of(str(script)) < 60 and held.sum() > 0
