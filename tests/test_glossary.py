"""The glossary explains every number that a log, a result or a task of this book carries."""

import json
import re
from pathlib import Path

import pytest

from rlvr_lite import show
from rlvr_lite.experiments_video import JUDGES
from rlvr_lite.grpo import GRPOConfig, train_grpo
from rlvr_lite.mle import MLEConfig, train_mle
from rlvr_lite.model import build
from rlvr_lite.tasks.text_game import TextGameTask, train_tokenizer
from rlvr_lite.worlds.text_game import transitions

ROOT = Path(__file__).resolve().parent.parent
COSTS = {"steps", "samples", "tokens", "cpu_seconds"}


@pytest.fixture(scope="module")
def explained() -> set[str]:
    rows = re.findall(r"^\| (`.+?) \|", (ROOT / "book" / "glossary.md").read_text("utf-8"), re.M)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.fixture(scope="module")
def small():
    data = transitions("train", 8, seed=0, families=("baking",))
    task = TextGameTask(train_tokenizer(data, 300), max_new=6)
    return build(task.tokenizer.vocab_size, 8, 1, 2, 16), task, data


def test_every_row_has_a_meaning():
    text = (ROOT / "book" / "glossary.md").read_text("utf-8")
    for row in re.findall(r"^\| `.*$", text, re.M):
        name, meaning, *_ = re.split(r"(?<!\\)\|", row.strip().strip("|"))
        assert len(meaning) > 20, name


def test_likelihood_log_is_explained(explained, small):
    model, task, data = small
    pairs = [(task.question(t), task.answer(t)) for t in data]
    history = train_mle(model, pairs, MLEConfig(steps=2, batch=2, validate_every=1),
                        validate=lambda m: {"validation_exact": 0.0}, log=None)
    assert not {k for row in history for k in row} - explained


@pytest.mark.parametrize("kind", ["binary", "task_specific"])
def test_rl_log_is_explained(explained, small, kind):
    model, task, data = small
    task = TextGameTask(task.tokenizer, reward=kind, max_new=6)
    config = GRPOConfig(steps=1, prompts=2, group=2, beta=0.1)
    history = train_grpo(model, task, data, config, log=None)
    assert not {k for row in history for k in row} - explained


def test_metrics_of_tasks_are_explained(explained, small):
    _, task, data = small
    assert not set(task.metrics([2, 1], data[0])) - explained
    assert not set(task.reward([2, 1], data[0])) - explained


def test_methods_are_explained(explained):
    assert not set(show.METHODS) - explained
    text = (ROOT / "book" / "glossary.md").read_text("utf-8")
    for word in show.METHODS.values():
        assert word in text, word
    for path in sorted((ROOT / "results").glob("*.json")):
        result = json.loads(path.read_text("utf-8"))
        if "rows" in result and not path.name.startswith(("bench_", "text_bytesized32_rewards")):
            used = {row["method"] for row in result["rows"] if "=" not in row["method"]}
            used -= {f"rlvr_{judge}" for judge in JUDGES} | {"full"}
            assert not used - explained, f"{path.name}: {sorted(used - explained)}"


def test_recorded_results_are_explained(explained):
    for path in sorted((ROOT / "results").glob("*.json")):
        result = json.loads(path.read_text("utf-8"))
        if "rows" not in result:
            continue
        used = {row["metric"] for row in result["rows"] + result.get("differences", [])}
        used |= {k for row in result.get("cost", []) for k in row} - {"method"}
        for curve in result.get("curves", {}).values():
            used |= {k for row in curve for k in row}
        assert not used - explained, f"{path.name}: {sorted(used - explained)} not in the glossary"
