"""The web experiments, end to end, on a few recorded pages with a tiny model."""

from dataclasses import replace

import pytest
import torch

from rlvr_lite import experiments, experiments_web, experiments_web_planning
from rlvr_lite.experiments_lab import model_folder
from rlvr_lite.grpo import GRPOConfig
from rlvr_lite.mle import MLEConfig
from rlvr_lite.model import load
from rlvr_lite.planning_web import Imagined
from rlvr_lite.tasks.web_page import train_tokenizer
from rlvr_lite.worlds.web_graphs import graphs
from rlvr_lite.worlds.web_pages import Action, group, transitions

CACHED = (experiments_web.training, experiments_web.gold_pairs, experiments_web.questions)
RECORDED = {split: transitions(split) for split in ("train", "validation", "test", "held_out")}


def some(split, tasks):
    """A dozen transitions, as many of each task."""
    found = [t for t in RECORDED[split] if t.task in tasks]
    return [t for task in tasks for t in [t for t in found if t.task == task][:12 // len(tasks)]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with one run of every method, its study, and a patch for those who read it."""
    patch = pytest.MonkeyPatch()
    few = {split: some(split, ("click-link", "phone-book")) for split in RECORDED}
    few["held_out"] = some("held_out", ("login-user-popup", "multi-orderings"))
    study = replace(
        experiments_web.STUDIES["web_pages"], seconds=1.0, width=16, layers=1, hidden=16, rank=2,
        reading=MLEConfig(steps=2, batch=4), base=MLEConfig(steps=4, batch=4, validate_every=2),
        rl=GRPOConfig(steps=2, prompts=2, group=2, minibatches=1, lr=1e-3),
        test_items=12, validation_items=12)
    words = train_tokenizer(few["train"], 400)
    constant = experiments_web.constant()
    patch.setattr(experiments_web, "tokenizer", lambda: words)
    patch.setattr(experiments_web, "constant", lambda: constant)
    patch.setattr(experiments_web, "data", lambda split, count=None: few[split][:count])
    patch.setattr(experiments_web, "TEMPERATURES", (0.0, 1.0))
    patch.setitem(experiments_web.STUDIES, "web_pages", study)
    for cached in CACHED:
        cached.cache_clear()
    folder = tmp_path_factory.mktemp("runs")
    lab = replace(experiments_web.LAB, prepare=lambda: words)
    lab.run_all(study, list(experiments_web.METHODS), [0], folder)
    yield lab, study, folder
    patch.undo()
    for cached in CACHED:
        cached.cache_clear()


def test_every_method_runs_and_becomes_a_record(runs, monkeypatch):
    lab, _, folder = runs
    monkeypatch.setattr("rlvr_lite.experiments_lab.results_folder", lambda: folder)
    result = experiments.json.loads(lab.summarise("web_pages", folder).read_text())
    assert result["claim"] == "web_f1"
    rows = {(r["method"], r["decoding"], r["subset"]): r["mean"]
            for r in result["rows"] if r["metric"] == "f1"}
    assert {key[0] for key in rows} == set(experiments_web.RECORDS["web_pages"].methods)
    assert {key[2] for key in rows} == {"all", "visible", "hidden", "changed", "unseen",
                                        "demonstrated", "other", "failure", "held_out"}
    assert rows["ceiling", "greedy", "visible"] == 1.0
    assert rows["trivial", "greedy", "all"] < rows["ceiling", "greedy", "all"] < 1
    pairs = {(d["b"], d["decoding"]) for d in result["differences"] if d["a"] == "rlvr"}
    assert {("mle", "best"), ("mle_continued", "sampled"), ("ceiling", "greedy")} <= pairs


def test_a_record_may_report_on_fewer_subsets(runs):
    _, study, folder = runs
    run = experiments.load_run(experiments.run_path(folder / study.name, "mle", 0))
    record = replace(experiments_web.RECORDS["web_pages"], subsets=("visible",))
    assert set(record.narrowed(run).subsets["test"]) == {"visible"} < set(run.subsets["test"])
    assert record.narrowed(run).scores == run.scores


def test_the_base_costs_both_stages(runs):
    _, _, folder = runs
    run = experiments.load_run(experiments.run_path(folder / "web_pages", "mle", 0))
    assert run.cost["steps"] == 6 and run.cost["samples"] == 24
    assert [row["step"] for row in run.history] == [0, 2, 4]
    assert 0 <= run.notes["omission"] <= 1


@pytest.fixture
def asked(monkeypatch):
    """The questions that a run hands to GRPO, which stops there with an InterruptedError."""
    found = []

    def train(model, task, questions, *rest, **options):
        found.extend(questions)
        raise InterruptedError

    monkeypatch.setattr(experiments_web, "train_grpo", train)
    return found


def test_rl_on_one_group_asks_about_no_other(runs, asked):
    _, study, folder = runs
    with pytest.raises(InterruptedError):
        experiments_web.reinforce(study, 0, folder, "other", only="visible")
    assert {group(t.task) for t in asked} == {"visible"}


@pytest.mark.parametrize("name, options, answers", [
    ("mle", {}, "demonstrations"),
    ("mle_continued", {}, "demonstrations"),
    ("mle_gold_answers", {}, "everything")])
def test_with_demonstrations_alone_only_gold_answers_reads_other_actions(
        runs, monkeypatch, name, options, answers):
    _, study, folder = runs
    read = []

    def train(model, pairs, *rest, **more):
        read.append(list(pairs))
        return [{"step": 1, "cpu_seconds": 1.0}]

    monkeypatch.setattr(experiments_web, "train_mle", train)
    monkeypatch.setattr(experiments_web, "planned_steps", lambda *rest: 1)
    monkeypatch.setattr(experiments_web, "evaluate",
                        lambda *rest: experiments.Run(name, 0, {}, {}))
    monkeypatch.setattr(experiments_web, "keep", lambda *rest: None)
    monkeypatch.setattr(experiments_web, "load_base", lambda *rest: None)
    experiments_web.METHODS[name](replace(study, demonstrations=True), 0, folder)
    task = experiments_web.task_for()
    everything = experiments_web.training()
    skilled = [t for t in everything if experiments_web.demonstrated(t)]
    assert 0 < len(skilled) < len(everything)
    wanted = skilled if answers == "demonstrations" else everything
    assert read[-1] == [(task.question(t), task.answer(t)) for t in wanted]


def test_a_base_may_read_on_where_that_of_another_study_has_ended(runs):
    _, study, folder = runs
    further = replace(study, name="further", start="web_pages", demonstrations=True, mistakes=1,
                      base=MLEConfig(steps=3, batch=2, lr=1e-30, validate_every=2))
    run = experiments_web.METHODS["mle"](further, 0, folder)
    assert run.cost["steps"] == 6 + 3 and run.cost["samples"] == 24 + 6
    begun, ended = (load(model_folder(name, "mle", 0, folder)).state_dict()
                    for name in ("web_pages", "further"))
    assert all(torch.equal(begun[name], ended[name]) for name in begun), "hardly any learning rate"


def test_mistakes_slip_into_demonstrations():
    task, demos = experiments_web.task_for(), experiments_web.gold_pairs(True)
    mixed = experiments_web.gold_pairs(True, 1)
    (slip,) = [pair for pair in mixed if pair not in demos]
    (t,) = [t for t in experiments_web.training() if task.question(t) == slip[0]]
    assert len(mixed) == len(demos) + 1 and not experiments_web.demonstrated(t)


def test_rl_on_demonstrations_asks_about_no_other_action(runs, asked):
    _, study, folder = runs
    with pytest.raises(InterruptedError):
        experiments_web.METHODS["rlvr_demonstrations"](study, 0, folder)
    assert asked == [t for t in experiments_web.training() if experiments_web.demonstrated(t)]


def test_a_model_is_kept_with_its_tokenizer(runs):
    _, study, folder = runs
    model, task = experiments_web.load_kept(model_folder(study.name, "rlvr", 0, folder),
                                            mode="official")
    assert task.mode == "official" and model.config.vocab_size == task.tokenizer.vocab_size
    one = RECORDED["test"][0]
    assert task.question(one) == experiments_web.task_for().question(one)


# ---- the agents ------------------------------------------------------------------------------


def test_agents_play_all_graphs_and_choose_on_others(runs, monkeypatch):
    _, _, folder = runs
    small = [g for g in graphs() if g.task in ("enter-text", "click-dialog-2")]
    few = [g for task in ("enter-text", "click-dialog-2")
           for g in [g for g in small if g.task == task][:4]]
    monkeypatch.setattr(experiments_web_planning, "graphs", lambda: few)
    experiments_web_planning.pages.cache_clear()
    study = replace(experiments_web_planning.STUDIES["web_planning"], validation=2,
                    trusts=(1.0, 0.5))
    found = {name: method(study, 0, folder)
             for name, method in experiments_web_planning.METHODS.items()}
    experiments_web_planning.pages.cache_clear()
    for name, run in found.items():
        assert len(run.scores["test"]["greedy"]["success"]) == 4, name
        assert run.subsets["test"]["enter-text"] == [1, 1, 0, 0]
    assert found["oracle"].scores["test"]["greedy"]["success"] == [1.0] * 4
    assert found["rlvr"].notes["margin"] in study.margins
    assert found["rlvr"].notes["trust"] in study.trusts
    assert len(found["mle"].notes["validation"]) == 2 * len(study.margins) * len(study.depths)


def test_what_was_imagined_is_remembered():
    calls = []

    def dynamics(goal, page, actions):
        calls.append(list(actions))
        return [Imagined((), float(action.id), 0.0) for action in actions]

    imagine = experiments_web_planning.remembered(dynamics)
    a, b, c = (Action("click", i) for i in (1, 2, 3))
    first = imagine("goal", (), [a, b])
    again = imagine("goal", (), [c, a])
    assert calls == [[a, b], [c]] and again[1] is first[0] and again[0].success == 3.0
    imagine("another goal", (), [a])
    assert calls[-1] == [a]
