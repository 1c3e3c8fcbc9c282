"""Best of N: the estimators against brute force, and a record made by two tiny models."""

import json
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from rlvr_lite import experiments_scaling as scaling
from rlvr_lite.experiments import find, find_difference, load_result
from rlvr_lite.metrics import expected_best, pass_at_k
from rlvr_lite.model import build
from rlvr_lite.paths import results_folder
from rlvr_lite.tasks.text_game import TextGameTask, train_tokenizer
from rlvr_lite.worlds.text_game import transitions


@pytest.mark.parametrize("k", range(1, 8))
@pytest.mark.parametrize("lower, best", [(True, min), (False, max)])
def test_expected_best_is_the_mean_over_all_draws(k, lower, best):
    values = [0.3, -1.0, 2.5, 0.3, 7.0, 0.1, -0.2]
    brute = np.mean([best(draw) for draw in combinations(values, k)])
    assert expected_best(values, k, lower) == pytest.approx(brute, abs=1e-12)


def test_of_right_and_wrong_it_is_pass_at_k():
    for right in range(7):
        values = np.array([0.0] * (6 - right) + [1.0] * right)
        for k in range(1, 7):
            assert expected_best(values, k, lower=False) == pytest.approx(pass_at_k(right, 6, k))


def test_it_works_on_rows_and_keeps_its_precision_at_a_hundred():
    table = np.random.default_rng(0).random((3, 100))
    for k in (1, 50, 100):
        found = expected_best(table, k)
        assert found.shape == (3,)
        assert found == pytest.approx([expected_best(row, k) for row in table])
    assert expected_best(table, 1) == pytest.approx(table.mean(1))
    assert expected_best(table, 100) == pytest.approx(table.min(1))


@pytest.mark.parametrize("k", [0, 5])
def test_a_group_must_fit(k):
    with pytest.raises(ValueError, match="samples"):
        expected_best([1.0, 2.0, 3.0, 4.0], k)


def test_equal_answers_are_judged_once_and_keep_their_places():
    asked = []

    class Task:
        def rewards(self, answers, items):
            asked.append((answers, items))
            return [{"lpips": float(sum(ids)), "l1": 1.0} for ids in answers]

    found = scaling.judge(Task(), [[1, 2], [4], [1, 2], [4], [9]], "clip", {"lpips": True})
    assert found == {"lpips": [3, 4, 3, 4, 9]}
    assert asked == [([[1, 2], [4], [9]], ["clip"] * 3)]


def test_questions_are_changed_ones_from_the_whole_split(monkeypatch):
    split = [SimpleNamespace(changed=i % 2 == 0, place=i) for i in range(40)]
    monkeypatch.setattr(scaling.experiments_text, "data", lambda study, part: split)
    found = scaling.questions(replace(scaling.RECORDS["text"], items=5))
    assert [t.place for t in found] == [0, 8, 16, 24, 32]


def made(right: list[int]) -> dict:
    """What `measured` finds where so many of ten samples are right."""
    table = np.array([[1.0] * r + [0.0] * (10 - r) for r in right])
    return {"samples": {"exact": table}, "greedy": {"exact": [1.0] * len(right)},
            "distinct": [0.5] * len(right), "cpu_seconds": 1.0}


def test_a_sharpened_model_leads_at_one_and_is_overtaken():
    record = replace(scaling.RECORDS["text"], samples=10)
    base, sharp = [3, 3, 3, 1], [10, 10, 0, 0]
    result = scaling.summarise(record, {"mle": made(base), "rlvr": made(sharp)})
    for count in (1, 2, 5, 10):
        row = find(result, "mle", "sampled", f"best of {count}")
        assert row["mean"] == pytest.approx(np.mean([pass_at_k(r, 10, count) for r in base]))
        gap = find_difference(result, "rlvr", "mle", "sampled", f"best of {count}")
        assert gap["mean"] == pytest.approx(0.5 - row["mean"])
        assert gap["low"] <= gap["mean"] <= gap["high"]
        if count > 1:
            crossed = find_difference(result, "rlvr", "mle", "sampled",
                                      f"best of 1 against {count}")
            assert crossed["mean"] == pytest.approx(0.5 - row["mean"])
    assert find_difference(result, "rlvr", "mle", "sampled", "best of 1")["mean"] > 0
    assert find_difference(result, "rlvr", "mle", "sampled", "best of 10")["mean"] < 0
    assert not [r for r in result["rows"] if r["subset"] == "best of 20"]
    assert result["notes"]["rlvr"] == [{"right": sharp}]
    assert result["provenance"]["seeds"] == [0]


def test_two_tiny_models_become_a_record(monkeypatch, tmp_path):
    data = transitions("train", 3, seed=0, families=("baking",))
    task = TextGameTask(train_tokenizer(data, 300), max_new=6)
    models = {name: build(task.tokenizer.vocab_size, 8, 1, 2, 16, seed=seed)
              for seed, name in enumerate(("mle", "rlvr"))}
    monkeypatch.setattr(scaling, "load", lambda record, method: (models[method], task))
    monkeypatch.setattr(scaling, "questions", lambda record: data)
    record = replace(scaling.RECORDS["text"], samples=5, batch=2)
    path = scaling.record(record, tmp_path, log=None)
    result = json.loads(path.read_text())
    assert path.name == "scaling_text.json" and [p.name for p in tmp_path.iterdir()] == [path.name]
    assert {r["n"] for r in result["rows"]} == {3}
    assert all(0 < r["mean"] <= 1 for r in result["rows"] if r["metric"] == "distinct")
    again = json.loads(scaling.record(record, tmp_path, log=None).read_text())
    assert again["rows"] == result["rows"], "the same seed, the same samples"


@pytest.mark.parametrize("name", sorted(scaling.RECORDS))
def test_the_record_says_that_it_stands_on_one_seed(name):
    record = scaling.RECORDS[name]
    assert "one training seed" in record.title
    path = results_folder() / f"{record.name}.json"
    if path.is_file():
        result = json.loads(path.read_text())
        assert "one training seed" in result["title"]
        assert result["provenance"]["seeds"] == [0]
        assert {len(r["per_seed"]) for r in result["rows"]} == {1}
        lower = scaling.RECORDS[name].metrics
        for metric, better_low in lower.items():
            for method in ("mle", "rlvr"):
                means = [find(result, method, "sampled", f"best of {n}", metric)["mean"]
                         for n in scaling.COUNTS]
                assert means == sorted(means, reverse=better_low), "more samples cannot hurt"


@pytest.mark.parametrize("name, subset, side", [
    ("text", "best of 1", 1), ("text", "best of 1 against 5", 0), ("text", "best of 100", 0),
    ("video", "best of 1", 1), ("video", "best of 1 against 5", -1), ("video", "best of 10", 0),
    ("video_single", "best of 1", 1), ("video_single", "best of 2", 1),
    ("video_single", "best of 5", 0), ("video_single", "best of 10", -1),
    ("video_single", "best of 100", -1), ("video_single", "best of 1 against 5", -1)])
def test_what_chapter_10_says_in_words_holds(name, subset, side):
    """1: RLVR ahead by its interval, -1: the base, 0: not decided."""
    record = scaling.RECORDS[name]
    metric = next(iter(record.metrics))
    gap = find_difference(load_result(record.name), "rlvr", "mle", "sampled", subset, metric)
    sign = -1 if record.metrics[metric] else 1
    low, high = sorted((sign * gap["low"], sign * gap["high"]))
    assert (low > 0) - (high < 0) == side


def test_the_base_leans_ahead_with_many_rollouts_and_not_in_text():
    for name, count, ours in (("text", 100, True), ("video", 10, False), ("video", 100, False)):
        record = scaling.RECORDS[name]
        metric = next(iter(record.metrics))
        gap = find_difference(load_result(record.name), "rlvr", "mle", "sampled",
                              f"best of {count}", metric)["mean"]
        assert (gap < 0 if record.metrics[metric] else gap > 0) is ours
