"""Planning: the cross-entropy method on toy dynamics, the model's dynamics, the simulator's."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from rlvr_lite import experiments, experiments_planning
from rlvr_lite.model import build
from rlvr_lite.planning_video import (
    CEMConfig,
    ModelDynamics,
    TrueDynamics,
    cem,
    control,
    held,
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


def test_planning_records_are_consistent(tmp_path):
    rng = np.random.default_rng(0)
    for task in ("drawer_open", "push"):
        for method in ("random", "mle", "rlvr", "oracle"):
            for seed in (0, 1):
                experiments.write_json(
                    experiments_planning.run_path(tmp_path, task, method, seed),
                    {"success": rng.integers(0, 2, 4).astype(float).tolist(), "cpu_seconds": 1.0,
                     "planner": {}})
    experiments.write_json(experiments_planning.run_path(tmp_path, "push", "mle", 2),
                           {"success": [0.0], "cpu_seconds": 1.0, "planner": {}})
    record = experiments.rounded(experiments_planning.summarise(tmp_path))
    assert contradictions(json.loads(json.dumps(record))) == []
    assert record["provenance"]["seeds"] == [0, 1]  # seed 2 has not finished every task
    assert experiments.find(record, "oracle", metric="success", subset="push")["n"] == 4
    with pytest.raises(FileNotFoundError, match="every task"):
        experiments_planning.summarise(tmp_path / "nothing")


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
