"""The compact encoding of ByteSized32 transitions, its task, and a tiny run of the experiment."""

import copy
import os
import random
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from rlvr_lite import experiments_bytesized32 as experiment
from rlvr_lite.tasks.base import Task
from rlvr_lite.tasks.bytesized32 import (
    ByteSized32Task,
    Schema,
    answer_text,
    handles,
    is_changed,
    question_text,
    read_answer,
)
from rlvr_lite.tasks.state_difference import difference, recover, same_state
from rlvr_lite.worlds import bytesized32
from rlvr_lite.worlds.bytesized32 import State, Transition

SHARED = Path(os.environ.get("RLVR_SHARED_DATA",
                             Path(__file__).resolve().parents[2] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (SHARED / experiment.CRAWL).is_file(),
    reason=f"the published data are not at {SHARED}: set RLVR_SHARED_DATA to their folder")


# ------------------------------------------------------------------------- a toy game, by hand

def thing(uuid, name, kind, inside=(), **properties):
    return {"name": f"{name} (ID: {uuid})", "uuid": uuid, "type": kind,
            "properties": properties, "contains": list(inside)}


def kitchen(on, heat, holder=2, egg=True, links=None, water=False, score=0):
    """A stove (1), a pot (2), an agent (3), an egg (4) in one of them, perhaps water (9)."""
    inside = {2: [], 3: []}
    if egg:
        inside[holder].append("egg (ID: 4)")
    if water:
        inside[2].append("water (ID: 9)")
    objects = [thing(0, "kitchen", "World", ["stove (ID: 1)", "pot (ID: 2)", "agent (ID: 3)"]),
               thing(1, "stove", "Stove", on=on, brand="x"),
               thing(2, "pot", "Pot", inside[2], heat=heat, links=links or {"lid": None}),
               thing(3, "agent", "Agent", inside[3])]
    if egg:
        objects.append(thing(4, "egg", "Food", cooked=heat > 2))
    if water:
        objects.append(thing(9, "water", "Water", wet=True))
    return State(tuple(objects), {"score": score, "gameOver": score > 0, "gameWon": score > 1})


def row(before, action, after, number=0, game="toy"):
    return Transition(game, action, before, after, after.objects, 9, number)


LID = {"lid": ["egg (ID: 4)", 2.5]}
ROWS = {
    "same": row(kitchen(False, 1), "look", kitchen(False, 1)),
    "property": row(kitchen(False, 1), "turn on stove (ID: 1)", kitchen(True, 1)),
    "several": row(kitchen(True, 1), "wait", kitchen(True, 3)),
    "move": row(kitchen(False, 1), "take egg (ID: 4) from pot (ID: 2)", kitchen(False, 1, 3)),
    "remove": row(kitchen(False, 1), "eat egg (ID: 4)", kitchen(False, 1, egg=False, score=2)),
    "create": row(kitchen(False, 1), "fill pot (ID: 2)", kitchen(False, 1, water=True)),
    "inner": row(kitchen(False, 1), "put lid on pot (ID: 2)", kitchen(False, 1, links=LID)),
    "undo": row(kitchen(False, 1, links=LID), "open pot (ID: 2)", kitchen(False, 1)),
}


@pytest.fixture(scope="module")
def schema():
    return Schema.learn(ROWS.values())


def test_the_question_tells_what_changes_and_nothing_else(schema):
    assert question_text(ROWS["property"], schema) == (
        "toy # kitchen ( stove on no , pot heat 1 ( egg cooked no ) , agent ) # score 0 "
        "> turn on stove :")


@pytest.mark.parametrize("name, text", [
    ("same", "same"), ("property", "stove . on = yes"),
    ("several", "pot . heat = 3 ; egg . cooked = yes"), ("move", "egg > agent"),
    ("remove", "- egg ; score 2 won over"), ("create", "+ 0 Water water # > pot"),
    ("inner", "pot . links / lid = [ egg , 2.5 ]"), ("undo", "pot . links / lid = none"),
])
def test_answers_and_their_round_trip(schema, name, text):
    t = ROWS[name]
    assert answer_text(t, schema) == text
    answer = read_answer(text, t, schema)
    assert same_state(recover(t.state, answer, "strict"), t.next_state)
    assert answer.keys() == {"modified", "removed", "score"}


def test_reading_an_answer_changes_no_state(schema):
    before = copy.deepcopy(ROWS["several"].state)
    read_answer("pot . heat = 3 ; pot . links / lid = yes ; - egg ; + 0 Water water #",
                ROWS["several"], schema)
    assert ROWS["several"].state == before


def test_the_schema_survives_json(schema):
    assert Schema.from_json(schema.to_json()).to_json() == schema.to_json()
    assert schema.properties("another game", ROWS["same"].state.objects[1]) == ["on"]


def test_handles_keep_the_number_only_where_names_are_alike():
    objects = [thing(1, "wire", "Wire"), thing(2, "wire", "Wire"), thing(3, "bulb", "Bulb")]
    assert handles(objects) == {1: "wire 1", 2: "wire 2", 3: "bulb"}


@pytest.mark.parametrize("text", [
    "", "nonsense", "stove . on", "spoon . on = yes", "egg > spoon", "- spoon", "+ x Water water",
    "+ 0 Water", "score", "stove . on / x = 3", "egg ~", ";", " ; same",
    "- egg ; egg > agent", "+ 0 Water w ; + 0 Water w", "stove . brand2 = gone"])
def test_nonsense_is_no_answer(schema, text):
    assert read_answer(text, ROWS["same"], schema) is None


# ------------------------------------------------------------------------------------ the task

@pytest.fixture(scope="module")
def task():
    return ByteSized32Task.learn(list(ROWS.values()), 300)


def test_the_task_keeps_the_contract(task):
    assert isinstance(task, Task)
    for t in ROWS.values():
        answer = task.answer(t)
        assert answer[-1] == task.tokenizer.eos_id and len(answer) <= task.max_new
        assert task.decode(answer, t) == difference(t.state, recover(
            t.state, task.decode(answer, t), "strict"))
        assert task.reward(answer, t)["reward"] == 1
        assert task.metrics(answer, t) == {"exact": 1, "official": t is not ROWS["create"],
                                           "same": t is ROWS["same"], "readable": 1}
        assert task.reward(answer[:-1], t)["reward"] == 0, "an answer that is cut off"


def test_the_task_specific_reward_gives_partial_credit(task):
    partial = ByteSized32Task(task.tokenizer, task.schema, "task_specific", "strict")
    t = ROWS["several"]
    half = task.tokenizer.encode(" pot . heat = 3") + [1]
    assert 0.5 < partial.reward(half, t)["reward"] < 0.7
    assert task.reward(half, t)["reward"] == 0
    with pytest.raises(ValueError, match="one of"):
        ByteSized32Task(task.tokenizer, task.schema, "lenient")


def test_any_tokens_are_a_legal_answer(task):
    rng = random.Random(0)
    for _ in range(300):
        ids = [rng.randrange(task.tokenizer.vocab_size) for _ in range(rng.randrange(12))] + [1]
        for t in (ROWS["several"], ROWS["remove"]):
            assert 0 <= task.reward(ids, t)["reward"] <= 1
            assert task.metrics(ids, t)["readable"] in (0, 1)


# ---------------------------------------------------------------------- the published data

@needs_data
def test_published_rows_fit_and_survive_the_encoding():
    test = bytesized32.load_test(SHARED)
    train, _ = bytesized32.split_by_state(
        bytesized32.without(bytesized32.read(SHARED / experiment.CRAWL), test))
    task = ByteSized32Task.learn(train)
    assert task.tokenizer.vocab_size <= 1500
    rows = test[::2] + train[::10]
    exact = fits = 0
    for t in rows:
        answer = task.answer(t)
        fits += len(task.question(t)) + len(answer) <= 350 and len(answer) <= task.max_new
        found = task.decode(answer, t)
        exact += found is not None and same_state(recover(t.state, found, "strict"), t.next_state)
    assert exact / len(rows) >= 0.998
    assert fits / len(rows) >= 0.999


# ---------------------------------------------------------------------- the experiment, tiny

def test_the_command_line_would_record_the_same_again():
    """The recorded settings are the defaults, so the line in the docstring reproduces them."""
    recorded = experiment.experiments.load_result("text_bytesized32")["provenance"]["config"]
    defaults = experiment.experiments.rounded(asdict(experiment.Settings()))
    assert recorded == defaults | {"minutes": recorded["minutes"]}


def test_the_experiment_runs_and_is_summarised(tmp_path):
    rng = random.Random(0)
    rows = []
    for i in range(60):
        on, heat = rng.random() < 0.5, rng.randrange(6)
        after = kitchen(on, heat + 1) if on else kitchen(on, heat)
        rows.append(row(kitchen(on, heat), "wait", after, i))
    data = experiment.Data(rows[:40], rows[40:50], rows[50:], [t for t in rows[:40]
                                                             if is_changed(t)])
    small = replace(experiment.Settings(), width=32, layers=1, heads=2, batch=8, vocab=300,
                    rank=4, rl=replace(experiment.Settings().rl, prompts=4, group=4, steps=3))
    runs = experiment.Experiment(data, 0, 0.01, "cpu", small, None).run()
    assert [r.method for r in runs] == list(experiment.METHODS)
    for r in runs:
        assert set(r.scores["test"]) == ({"greedy"} if r.method == "trivial"
                                         else {"greedy", "sampled"})
        for by_metric in r.scores["test"].values():
            assert {len(v) for v in by_metric.values()} == {10}
        assert sum(r.subsets["test"]["changed"]) + sum(r.subsets["test"]["unchanged"]) == 10
    changed = runs[0].subsets["test"]["changed"]
    assert runs[0].scores["test"]["greedy"]["exact"] == [1 - c for c in changed]
    files = [tmp_path / f"run-{seed}.json" for seed in (0, 1)]
    for seed, file in enumerate(files):
        experiment.write(runs=[replace(r, seed=seed) for r in runs], settings=small, minutes=0.01,
                         device="cpu", path=file)
    path = experiment.summarise(files, tmp_path / "result.json")
    result = experiment.experiments.json.loads(path.read_text())
    assert result["provenance"]["seeds"] == [0, 1]
    idle = experiment.experiments.find(result, "trivial", subset="unchanged")
    assert idle["mean"] == 1 and idle["n"] == 10 - sum(changed)


def test_wrong_settings_are_named(tmp_path):
    for bad in ({"minutes": 0}, {"methods": ("ppo",)}):
        with pytest.raises(ValueError, match="minutes|unknown methods"):
            experiment.run(**({"seed": 0, "minutes": 1.0, "device": "cpu", "folder": tmp_path}
                              | bad))
    with pytest.raises(FileNotFoundError, match="ways out"):
        experiment.run(0, 1.0, "cpu", tmp_path)
