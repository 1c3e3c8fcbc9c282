"""Experiments: runs survive a kill, results have one schema, a tiny study runs end to end."""

import inspect
import json
from dataclasses import fields, replace

import pytest

from rlvr_lite import experiments, experiments_text
from rlvr_lite.experiments import Comparison, Run, find, find_difference, save_run, summarise
from rlvr_lite.experiments_text import (
    METHODS, STUDIES, changed_study, comparisons, data, noisy_traces, run_all, run_one, task_for)
from rlvr_lite.grpo import GRPOConfig
from rlvr_lite.mle import MLEConfig


def make(method: str, seed: int, right: list[int]) -> Run:
    values = {"greedy": {"exact": [float(r) for r in right]},
              "sampled": {"exact": [float(r) / 2 for r in right]}}
    return Run(method, seed, {"test": values, "layouts": values},
               {"test": {"changed": [1, 1, 0, 0], "unchanged": [0, 0, 1, 1]},
                "layouts": {"changed": [1, 1, 1, 1], "unchanged": [0, 0, 0, 0]}},
               {"steps": 10 * seed, "samples": 5})


def two_methods() -> list[Run]:
    return [make("mle", 0, [0, 1, 0, 0]), make("mle", 1, [0, 1, 0, 1]),
            make("rlvr", 0, [1, 1, 0, 1]), make("rlvr", 1, [1, 1, 0, 1])]


def test_rows_differences_and_cost():
    result = summarise("x", "An experiment", two_methods(), [Comparison("rlvr", "mle")])
    assert find(result, "mle")["mean"] == pytest.approx(3 / 8)
    assert find(result, "mle", subset="changed")["per_seed"] == [0.5, 0.5]
    assert find(result, "rlvr", "sampled")["mean"] == pytest.approx(3 / 8)
    assert find(result, "rlvr", subset="layouts")["n"] == 4
    gain = find_difference(result, "rlvr", "mle", subset="changed")
    assert gain["mean"] == pytest.approx(0.5) and gain["low"] <= 0.5 <= gain["high"]
    assert {"method": "mle", "steps": 5.0, "samples": 5.0} in result["cost"]
    assert set(result) >= {"experiment", "claim", "title", "rows", "differences", "cost",
                           "paper", "provenance"}
    assert result["provenance"]["seeds"] == [0, 1]
    assert not any(row["subset"] == "layouts/unchanged" for row in result["rows"])  # it is empty


def test_only_seeds_that_every_method_finished_count():
    runs = two_methods() + [make("rlvr", 2, [1, 1, 1, 1])]
    assert summarise("x", "", runs)["provenance"]["seeds"] == [0, 1]
    with pytest.raises(ValueError, match="no seed has finished"):
        summarise("x", "", [make("mle", 0, [1] * 4), make("rlvr", 1, [1] * 4)])


def test_a_method_without_sampling_is_compared_as_it_is():
    trivial = [make("trivial", s, [0, 0, 1, 1]) for s in (0, 1)]
    for run in trivial:
        for values in run.scores.values():
            values.pop("sampled", None)  # both splits share one dict
    result = summarise("x", "", two_methods() + trivial, [Comparison("rlvr", "trivial")])
    sampled = find_difference(result, "rlvr", "trivial", "sampled")
    assert sampled["mean"] == pytest.approx(3 / 8 - 1 / 2)


def test_runs_come_back_as_they_were_saved(tmp_path):
    for run in two_methods():
        save_run(run, tmp_path)
    assert experiments.load_runs(tmp_path) == two_methods()
    assert not list(tmp_path.glob("*.tmp"))
    with pytest.raises(FileNotFoundError, match="no finished run"):
        experiments.load_runs(tmp_path / "nothing")


def test_a_method_with_fewer_splits_is_compared_on_those_it_has():
    short = make("beta=0.1", 0, [1, 1, 1, 1])
    del short.scores["layouts"]
    result = summarise("x", "", [make("rlvr", 0, [1, 1, 0, 1]), short],
                       [Comparison("rlvr", "beta=0.1")])
    assert {d["subset"] for d in result["differences"]} == {"all", "changed", "unchanged"}


def test_unknown_rows_and_results_are_named():
    result = summarise("x", "", two_methods())
    with pytest.raises(KeyError, match="no row"):
        find(result, "grpo")
    with pytest.raises(FileNotFoundError, match="no result named"):
        experiments.load_result("nonsense")


TINY = replace(
    changed_study("text_serial", ["traces=120", "prompts=60", "seconds=0.3", "test_items=8",
                                  "validation_items=6"]),
    base=MLEConfig(steps=6, validate_every=6), screen=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    methods = ["trivial", "mle", "mle_continued", "rlvr", "rejection_finetuning"]
    run_all(TINY, methods, [0], place)
    return place


def test_a_tiny_study_runs_end_to_end(folder):
    runs = {run.method: run for run in experiments.load_runs(folder / TINY.name)}
    assert set(runs) == {"trivial", "mle", "mle_continued", "rlvr", "rejection_finetuning"}
    for name, run in runs.items():
        assert set(run.scores) == {"test", "combinations", "layouts", "families"}
        assert len(run.scores["test"]["greedy"]["exact"]) == 8
        if name != "trivial":
            assert {"greedy", "sampled", "best"} <= set(run.scores["test"])
            assert run.cost["cpu_seconds"] > 0 and run.history
    assert runs["rlvr"].cost["samples"] % 128 == 0
    subsets = {json.dumps(run.subsets, sort_keys=True) for run in runs.values()}
    assert len(subsets) == 1  # all methods answer the same questions


def test_runs_of_other_settings_are_not_mixed(folder):
    run_one(TINY, "mle", 0, folder)
    with pytest.raises(ValueError, match=r"other settings \(traces\)"):
        run_one(replace(TINY, traces=121), "mle", 0, folder)


def test_finished_runs_are_not_repeated(folder, monkeypatch):
    monkeypatch.setitem(METHODS, "mle", lambda *a: pytest.fail("it ran again"))
    assert run_one(TINY, "mle", 0, folder).is_file()


def test_a_control_that_was_stopped_goes_on_with_the_steps_it_had_planned(folder):
    first = experiments.load_run(experiments.run_path(folder / TINY.name, "mle_continued", 0))
    experiments.run_path(folder / TINY.name, "mle_continued", 0).unlink()
    run_one(TINY, "mle_continued", 0, folder)  # its checkpoint is finished: nothing is trained
    again = experiments.load_run(experiments.run_path(folder / TINY.name, "mle_continued", 0))
    assert json.dumps(again.history) == json.dumps(first.history)
    assert again.scores == first.scores


def test_training_and_test_questions_differ():
    study = STUDIES["text_serial"]
    asked = {t.state.canonical() for part in ("traces", "prompts") for t in data(study, part)}
    for part in ("validation", "test", "combinations", "layouts", "families"):
        assert not asked & {t.state.canonical() for t in data(study, part)}


def test_the_natural_traces_are_biased_and_its_prompts_are_not():
    study = changed_study("text_natural", ["traces=500", "prompts=500"])
    traces, prompts = data(study, "traces"), data(study, "prompts")
    assert sum(t.changed for t in traces) / len(traces) > 0.95
    assert 0.25 < sum(t.changed for t in prompts) / len(prompts) < 0.5


def test_screening_drops_the_questions_that_are_answered_right_every_time(monkeypatch):
    task, items = task_for(), data(TINY, "prompts")[:4]
    gold, wrong = [task.answer(t) for t in items], [task.tokenizer.eos_id]
    written = [[gold[0]] * 3, [wrong] * 3, [gold[2], wrong, wrong], [wrong, gold[3], gold[3]]]
    monkeypatch.setattr(experiments_text, "answers", lambda *a: written)
    assert experiments_text.screen(None, task, items, 3, 0) == [1, 2, 3]


def test_a_teacher_that_slips_writes_wrong_traces_and_the_filter_finds_them():
    task = task_for()
    every, kept = (noisy_traces(TINY, 0, filtered) for filtered in (False, True))
    answers = {tuple(q): t for t in data(TINY, "prompts") for q in [task.question(t)]}
    right = [task.reward(a, answers[tuple(q)])["reward"] for q, a in every]
    assert 0.5 * TINY.prompts < len(every) <= TINY.prompts
    assert 0.4 < sum(right) / len(right) < 0.95
    assert kept == [pair for pair, r in zip(every, right) if r == 1.0]


def test_every_row_of_the_sweeps_changes_what_it_says(folder):
    """A setting of GRPO must reach GRPO: `reinforce` has no argument of the same name."""
    taken = set(inspect.signature(experiments_text.reinforce).parameters)
    settings = {f.name for f in fields(GRPOConfig)}
    assert taken & settings == {"seed"}
    for name, changes in experiments_text.SWEEPS.items():
        assert changes and set(changes) <= settings | {"rank"}, name
        if name.startswith("group="):
            assert changes["prompts"] * changes["group"] == 256
    run_one(TINY, "prompts=8,group=2", 0, folder)
    run = experiments.load_run(experiments.run_path(folder / TINY.name, "prompts=8,group=2", 0))
    experiments.run_path(folder / TINY.name, "prompts=8,group=2", 0).unlink()
    assert run.cost["samples"] == 16 * run.cost["steps"] and set(run.scores) == {"test"}


def test_settings_and_methods_are_checked():
    with pytest.raises(ValueError, match="NAME=NUMBER"):
        changed_study("text_serial", ["colour=3"])
    with pytest.raises(ValueError, match="no method ppo"):
        run_all(TINY, ["ppo"], [0], "nowhere")
    assert Comparison("rlvr", "mle") in comparisons(["mle", "rlvr"])


def test_a_budget_of_mle_steps_is_measured_once_and_kept(monkeypatch, tmp_path):
    from rlvr_lite import experiments_lab

    paces, asked = iter([0.5, 9.0]), []

    def measured(model, pairs, config, log=None):
        asked.append((model, config.steps))
        return [{"step": config.steps, "cpu_seconds": config.steps * next(paces)}]

    monkeypatch.setattr(experiments_lab, "train_mle", measured)
    model = {"weights": 1}
    plan = lambda folder, seconds: experiments_lab.planned_steps(  # noqa: E731
        tmp_path / folder, seconds, model, [], MLEConfig(steps=7), probe=40, least=20)
    assert plan("a", 100.0) == 200 == plan("a", 100.0), "half a second a step, asked once"
    assert asked == [(model, 40)] and asked[0][0] is not model, "a copy is trained"
    assert plan("b", 1.0) == 20, "never fewer than `least`"


def test_a_result_file_has_a_row_on_a_line_and_reads_back_the_same(tmp_path):
    rows = [{"method": f"m{i}", "per_seed": [0.1, 0.25], "note": 'a "quote"\n'} for i in range(20)]
    data = {"experiment": "x", "rows": rows, "curves": {"m": rows}, "cost": [], "paper": {}}
    experiments.write_json(tmp_path / "x.json", data)
    text = (tmp_path / "x.json").read_text()
    assert experiments.json.loads(text) == data
    assert sum(line.strip().startswith('{"method"') for line in text.splitlines()) == 40
    assert max(map(len, text.splitlines())) < 120


def test_records_hold_the_settings_of_the_code():
    """A study that is changed after its record was made would describe another experiment."""
    from rlvr_lite.experiments_all import records
    from rlvr_lite.experiments_lab import settings_of

    checked = 0
    for name, lab in records().items():
        if (experiments.results_folder() / f"{name}.json").is_file():
            config = experiments.load_result(name)["provenance"]["config"]
            study = lab.studies[lab.records[name].study]
            assert config == experiments.rounded(settings_of(study)), name
            checked += 1
    assert checked >= 14


def test_records_hold_the_methods_of_the_code():
    """Else the same command would write another table, and the texts on it would be wrong."""
    from rlvr_lite.experiments_all import records

    recorded = {name: lab.records[name].methods for name, lab in records().items()
                if (experiments.results_folder() / f"{name}.json").is_file()}
    for name, methods in recorded.items():
        rows = experiments.load_result(name)["rows"]
        assert list(dict.fromkeys(row["method"] for row in rows)) == list(methods), name
    assert len(recorded) >= 14
