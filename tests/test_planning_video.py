"""Planning: the cross-entropy method on toy dynamics, the model's dynamics, the simulator's."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rlvr_lite import experiments, experiments_planning, experiments_ranking
from rlvr_lite.model import build
from rlvr_lite.planning_video import (
    CEMConfig,
    ModelDynamics,
    RecordedPlans,
    TrueDynamics,
    cem,
    control,
    held,
    imitate,
    in_simulator,
    position_cost,
    random_control,
)
from rlvr_lite.policy_evaluation import Dream
from rlvr_lite.tasks.robot_policies import ReadOut, fresh
from rlvr_lite.tasks.robot_video import SKIP, VideoTokens
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer
from rlvr_lite.verify import contradictions
from rlvr_lite.worlds.robot_video import TASKS

GOAL = np.array([0.05, 0.75, 0.02])


class Toy:
    """A hand that moves by 2 cm times the action, and pushes the block along when it is near."""

    def __init__(self):
        self.hand, self.block = np.array([0.0, 0.6, 0.02]), np.array([0.02, 0.65, 0.02])

    def move(self, hand, block, action):
        near = np.linalg.norm(hand - block) < 0.05
        new = hand + 0.02 * action[:3]
        return new, block + near * (new - hand)

    def reset(self, frame):
        pass

    def see(self, actions, frame):
        pass

    def predict(self, actions):
        found = np.zeros((*actions.shape[:2], 6))
        for row, plan in enumerate(actions):
            hand, block = self.hand, self.block
            for t, chunk in enumerate(plan):
                for action in chunk:
                    hand, block = self.move(hand, block, action)
                found[row, t] = *hand, *block
        return found

    def act(self, actions):
        for action in actions:
            self.hand, self.block = self.move(self.hand, self.block, action)
        return np.zeros((64, 64, 3), np.uint8), bool(np.linalg.norm(self.block - GOAL) < 0.05)


def test_cem_finds_the_bottom_of_a_bowl():
    target = np.array([[0.3, -0.6], [0.9, 0.1], [-0.2, 0.5]])
    config = CEMConfig(population=64, elites=8, iterations=12)
    plan = cem(lambda a: ((a - target) ** 2).sum((1, 2)), 3, config, dim=2)
    assert np.abs(plan.actions - target).max() < 0.05
    assert plan.history == sorted(plan.history, reverse=True) and plan.cost == plan.history[-1]


def test_cem_repeats_with_its_seed_and_respects_the_range():
    def cost(a):
        return -a.sum((1, 2))
    one, same = (cem(cost, 2, CEMConfig(seed=4)) for _ in range(2))
    other = cem(cost, 2, CEMConfig(seed=5))
    assert np.array_equal(one.actions, same.actions)
    assert not np.array_equal(one.actions, other.actions)
    assert np.abs(one.actions).max() <= 1


def test_bad_settings_and_costs_are_refused():
    for wrong in ({"elites": 50}, {"horizon": 0}, {"std": 0.0}, {"keep": 1.0}):
        with pytest.raises(ValueError, match="elites"):
            CEMConfig(**wrong)
    with pytest.raises(ValueError, match="finite"):
        cem(lambda a: np.full(len(a), np.nan), 2, CEMConfig())


def test_control_reaches_the_goal_where_random_actions_do_not():
    toy = Toy()
    config = CEMConfig(horizon=3, population=40, elites=5, iterations=3)
    found = control(toy.act, toy, "push", np.zeros((64, 64, 3), np.uint8), GOAL, config, 8)
    assert found["success"] and found["actions"].shape == (8, SKIP, 4)
    assert len(found["frames"]) == 9 and len(found["costs"]) == 8
    assert not any(random_control(Toy().act, seed, 8) for seed in range(5))


def test_without_the_hand_in_the_cost_nothing_leads_to_the_block():
    """The second term of eq. (12.3) matters: the block is out of reach of blind search."""
    positions = np.zeros((2, 1, 6))
    positions[:, :, 3:] = GOAL + [0, 0.1, 0]
    positions[1, :, :3] = GOAL
    near, far = position_cost("push", GOAL, 0.5)(positions[::-1])
    assert near < far
    near, far = position_cost("push", GOAL, 0.0)(positions[::-1])
    assert near == far


@pytest.fixture(scope="module")
def dynamics():
    torch.manual_seed(0)
    tokens = VideoTokens(*(p.eval().requires_grad_(False) for p in (
        FrameTokenizer(8, width=16), CompressiveTokenizer(2, width=16))))
    model = build(tokens.vocab_size, 32, 2, 4, 48, max_tokens=256, seed=1)
    return ModelDynamics(model, tokens, fresh(ReadOut, 0).eval())


def test_model_dynamics_equal_a_dream(dynamics):
    """Looking ahead from the first frame gives the frames that stepping through it gives."""
    frame = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    plans = held(np.random.default_rng(1).uniform(-1, 1, (3, 2, 4)))
    dynamics.reset(frame)
    ahead = dynamics.frames(plans)
    dream = Dream(dynamics.model, dynamics.tokens, np.stack([frame] * 3), 2, temperature=0.0)
    for t in range(2):
        # batches of other shapes round differently in the last digit of a pixel
        gap = np.abs(ahead[:, t].astype(int) - dream.step(plans[:, t]))
        assert gap.max() <= 1
    positions = dynamics.predict(plans)
    assert positions.shape == (3, 2, 6) and np.isfinite(positions).all()


def test_model_dynamics_remember_what_was_seen(dynamics):
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)
    plans, done = held(rng.uniform(-1, 1, (1, 2, 4))), np.full((SKIP, 4), 0.5)
    dynamics.reset(one)
    length = len(dynamics.history)
    dynamics.see(done, two)
    assert len(dynamics.history) == length + 8 + 4
    after = dynamics.frames(plans)
    dynamics.reset(one)
    assert len(dynamics.history) == length
    assert not np.array_equal(after, dynamics.frames(plans))


class Corner:
    """A read-out that sees a number written into the corner of a frame."""

    def read(self, frames):
        frames = np.asarray(frames)
        return np.repeat(frames[..., 0, 0, :1].astype(float), 6, -1)


def recording(plans):
    """Recorded episodes (E, 23, 4) in whose frame t of episode e stands 10 e + t."""
    frames = np.zeros((len(plans), 24, 2, 2, 3), np.uint8)
    frames[..., 0, 0, 0] = 30 * np.arange(len(plans))[:, None] + np.arange(24)
    return SimpleNamespace(actions=np.asarray(plans, np.float32), frames=frames)


def seen(number):
    frame = np.zeros((2, 2, 3), np.uint8)
    frame[0, 0, 0] = number
    return frame


def test_recorded_plans_follow_the_most_similar_moments():
    actions = np.arange(2 * 23 * 4).reshape(2, 23, 4)
    plans = RecordedPlans(recording(actions), Corner())
    found = plans.near(seen(35), horizon=3, count=3)
    assert found.shape == (3, 3, SKIP, 4)
    assert np.array_equal(found[0].reshape(6, 4), actions[1, 5:11])
    assert {found[i, 0, 0, 0] for i in (1, 2)} == {actions[1, 4, 0], actions[1, 6, 0]}
    # frame 22 of episode 0 is the most similar one, but only one action follows it
    assert np.array_equal(plans.near(seen(22), 3, 1)[0].reshape(6, 4), actions[0, 17:23])
    with pytest.raises(ValueError, match="36 moments"):
        plans.near(seen(0), 3, 37)


def test_control_chooses_the_best_recorded_plan_and_imitation_the_nearest():
    toy = Toy()
    ahead = (GOAL - toy.hand)[:2] / np.abs(GOAL - toy.hand).max()
    good = np.zeros((23, 4))
    good[:, :2] = ahead
    plans = RecordedPlans(recording([-good, good]), Corner())  # the bad one looks like the start
    config, first = CEMConfig(horizon=3, population=30), seen(0)

    def act(actions):
        return seen(0), toy.act(actions)[1]
    assert not imitate(act, plans, first, 3, 30, steps=6)
    toy.__init__()
    found = control(act, toy, "push", first, GOAL, config, 6, plans)
    assert np.allclose(found["actions"][:2], good[0]) and found["success"]
    one, same, other = (imitate(lambda a: (seen(a[0, 0] > 0), bool(a[0, 0] > 0)), plans, first, 3,
                                30, seed, 1) for seed in (0, 0, 1))
    assert one == same and isinstance(other, bool)


def test_planning_records_are_consistent(tmp_path):
    rng = np.random.default_rng(0)
    for task in ("drawer_open", "push"):
        for method in ("random", "mle", "rlvr", "oracle"):
            for seed in (0, 1):
                experiments.write_json(
                    experiments.run_path(tmp_path / task, method, seed),
                    {"success": rng.integers(0, 2, 4).astype(float).tolist(), "cpu_seconds": 1.0,
                     "planner": {}})
    path = experiments.run_path(tmp_path / "push", "mle", 2)
    experiments.write_json(path, {"success": [0.0] * 4, "cpu_seconds": 1.0, "planner": {}})
    record = experiments.rounded(experiments_planning.summarise(tmp_path))
    assert contradictions(json.loads(json.dumps(record))) == []
    assert record["provenance"]["seeds"] == [0, 1]  # seed 2 has not finished every task
    assert experiments.find(record, "oracle", metric="success", subset="push")["n"] == 4
    with pytest.raises(FileNotFoundError, match="every task"):
        experiments_planning.summarise(tmp_path / "nothing")
    with pytest.raises(ValueError, match="training plans"):
        experiments_planning.summarise(tmp_path, "training")
    settings = {"plans": "invented", "planner": {}, "temperature": 0.0}
    assert experiments_planning.finished(path, settings, 4)["success"] == [0.0] * 4
    assert experiments_planning.finished(path.with_name("mle-9.json"), settings, 4) is None
    for other, starts in ((settings | {"plans": "unseen"}, 4), (settings, 5),
                          (settings | {"temperature": 1.0}, 4)):
        with pytest.raises(ValueError, match="other settings"):
            experiments_planning.finished(path, other, starts)
    experiments.write_json(path, {"success": [0.0] * 4, "cpu_seconds": 1.0,
                                  "planner": {"horizon": 9}})
    with pytest.raises(ValueError, match="same settings"):
        experiments_planning.summarise(tmp_path)


def test_the_command_line_refuses_what_cannot_be_planned(capsys):
    for wrong, hint in ((["--methods", "random"], "--task"),
                        (["--task", "push", "--methods", "nearest"], "--plans training")):
        with pytest.raises(SystemExit):
            experiments_planning.main(wrong)
        assert hint in capsys.readouterr().err
    with pytest.raises(ValueError, match="oracle"):
        experiments_planning.main(["--task", "push", "--models", "oracle=runs/x"])


# ---- which plan is better? -------------------------------------------------------------------
@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    shape = (2, 4, 3, 48, 4, 6)  # starts, moments, sources, plans, steps, positions
    return {"goals": rng.normal(size=(2, 3)), "true": rng.normal(size=shape)}


def test_the_truth_ranks_perfectly_and_a_constant_not_at_all(table):
    found = experiments_ranking.measures(table, table["true"], "push")
    assert np.allclose(found["rank"], 1) and np.allclose(found["regret"], 0)
    assert np.allclose(found["object"], 0) and np.allclose(found["hand"], 0)
    blind = experiments_ranking.measures(table, np.zeros_like(table["true"]), "push")
    assert np.allclose(blind["rank"], 0) and blind["regret"].mean() > 0.2
    apart = table["true"] + [0, 0, 0.5, 0, 0.2, 0]
    found = experiments_ranking.measures(table, apart, "push")
    assert np.allclose(found["hand"], 0.5) and np.allclose(found["object"], 0.2)


def test_regret_is_what_the_chosen_plan_costs_more(table):
    costs = experiments_ranking.costs(table["goals"], table["true"], "push")
    assert costs.shape == (2, 4, 3, 48)
    swapped = table["true"][:, :, :, ::-1]  # the model takes plan i for plan 47 - i
    regret = experiments_ranking.measures(table, swapped, "push")["regret"]
    truth = costs[1, 2, 0]
    assert regret[1, 2, 0] == pytest.approx((truth[::-1][truth.argmin()] - truth.min()) / 4)
    found = experiments_ranking.drawn(table, np.zeros((2, 4, 6)), "push")
    assert found["regret"][1, 2, 0] == pytest.approx((truth.mean() - truth.min()) / 4)
    assert np.allclose(found["rank"], 0) and (found["object"] > 0).all()


def test_ranking_records_are_consistent(table, tmp_path, monkeypatch):
    for task in TASKS:
        np.savez(tmp_path / f"{task}.npz", floor=table["true"] + 0.01,
                 frames=np.zeros((2, 8, 64, 64, 3), np.uint8), **table)
    with pytest.raises(FileNotFoundError, match="--record"):
        experiments_ranking.tables(tmp_path / "nowhere")
    monkeypatch.setattr(experiments_ranking, "load", lambda folder: folder)
    monkeypatch.setattr(experiments_ranking, "imagined", lambda table, model, task, seed: np.
                        random.default_rng(len(model) + seed).normal(size=table["true"].shape))
    for method, folder in (("drawn", None), ("floor", None), ("mle", "a"), ("rlvr", "bc")):
        for seed in (0, 1):
            experiments_ranking.evaluate(method, folder, seed, tmp_path)
    record = experiments.rounded(experiments_ranking.summarise(tmp_path))
    assert contradictions(json.loads(json.dumps(record))) == []
    assert experiments.find(record, "floor", metric="rank", subset="push, unseen")["n"] == 8
    assert experiments.find(record, "mle", metric="object", subset="training")["n"] == 24
    assert experiments.find(record, "floor", metric="rank")["mean"] > 0.9


def test_the_simulator_is_left_as_it_was_found():
    pytest.importorskip("metaworld", reason="needs the simulator: pip install 'rlvr-lite[video]'")
    from rlvr_lite.worlds.robot_simulator import Simulator

    simulator = Simulator("drawer_close")
    simulator.reset(50_000)
    dynamics, plans = TrueDynamics(simulator), held(np.random.default_rng(0).uniform(
        -1, 1, (2, 2, 4)))
    ahead = dynamics.predict(plans)
    assert np.allclose(ahead, dynamics.predict(plans), atol=1e-9)
    act = in_simulator(simulator)
    for chunk in plans[1]:
        act(chunk)
    assert np.allclose(ahead[1, -1, :3], simulator.state()[:3], atol=1e-3)
