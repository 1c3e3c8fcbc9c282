"""Plan actions by imagining where they lead: the cross-entropy method in the video world model.

What: draw P action sequences from a Gaussian, ask a dynamics where hand and object would go, keep
the elites, refit the Gaussian, repeat (`cem`). The cost is read off the predicted frames,
    cost = sum over steps of [ |object - goal| + c |hand - object| ]         eq. (12.3)
The second term leads the hand to the object, before which nothing moves. After the first actions
the world is looked at again and planned anew (`control`, model-predictive control).
The same code plans in the world model (`ModelDynamics`), in the simulator itself
(`TrueDynamics`, the upper bound), or in any function of that shape. In place of inventing plans
it can choose among recorded ones (`RecordedPlans`), which the model knows better.
Source: RLVR-World table 12 (PushT); planning as in visual MPC (Ebert et al. 2018, VP2: Tian et al.
2023), recorded proposals as in offline planning (MBOP: Argenson and Dulac-Arnold 2021).
Differs from the paper: other tasks, few candidates and a short horizon, for a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from rlvr_lite.policy_evaluation import STEPS, distance
from rlvr_lite.sampling import sample
from rlvr_lite.tasks.robot_policies import ReadOut, positions_of
from rlvr_lite.tasks.robot_video import ACTION_TOKENS, SKIP, VideoTokens
from rlvr_lite.tokenizers.frames import to_tensor, to_uint8
from rlvr_lite.worlds.robot_simulator import REPEAT
from rlvr_lite.worlds.robot_video import ACTION_DIM, Episodes

Predict = Callable[[np.ndarray], np.ndarray]  # actions (P, H, SKIP, 4) -> positions (P, H, 6)


@dataclass(frozen=True)
class CEMConfig:
    """Settings of the planner.

    Attributes:
        horizon: steps of the world model that a plan looks ahead.
        population, elites, iterations: of the cross-entropy method.
        std: of the first Gaussian; actions lie in [-1, 1].
        keep: share of the old mean and spread that survives a refit.
        hand: c, weight of the distance from hand to object; 0 for none.
        seed: of the draws.
    """

    horizon: int = 4
    population: int = 48
    elites: int = 6
    iterations: int = 3
    std: float = 0.7
    keep: float = 0.1
    hand: float = 0.5
    seed: int = 0

    def __post_init__(self):
        if not (1 <= self.elites <= self.population and self.horizon >= 1
                and self.iterations >= 1 and self.std > 0 and 0 <= self.keep < 1):
            raise ValueError("need 1 <= elites <= population, horizon and iterations at least 1, "
                             f"std above 0 and keep in [0, 1); got {self}")


@dataclass
class Plan:
    """What `cem` found.

    Attributes:
        actions: (H, 4), one action a step of the world model, held for its `SKIP` frames.
        cost: of the best candidate.
        history: lowest cost after each iteration.
    """

    actions: np.ndarray
    cost: float
    history: list[float] = field(default_factory=list)


def cem(cost: Callable[[np.ndarray], np.ndarray], horizon: int, config: CEMConfig,
        mean: np.ndarray | None = None, rng: np.random.Generator | None = None,
        dim: int = ACTION_DIM) -> Plan:
    """The cross-entropy method over action sequences in [-1, 1].

    Args:
        cost: (P, horizon, dim) -> (P,), lower is better.
        horizon: steps.
        config: the settings.
        mean: (horizon, dim) of the first Gaussian; None: zero.
        rng: source of randomness; None: from the seed of the settings.
        dim: numbers of an action.

    Raises:
        ValueError: a cost that is not a number.
    """
    rng = rng or np.random.default_rng(config.seed)
    mean = np.zeros((horizon, dim)) if mean is None else np.array(mean, dtype=float)
    std = np.full((horizon, dim), config.std)
    best, history = Plan(np.clip(mean, -1, 1), np.inf), []
    for _ in range(config.iterations):
        noise = rng.normal(size=(config.population, horizon, dim))
        candidates = np.clip(mean + std * noise, -1, 1)
        candidates[0] = best.actions                                         # the best stays in
        costs = np.asarray(cost(candidates), dtype=float)
        if costs.shape != (config.population,) or not np.isfinite(costs).all():
            raise ValueError(f"cost must give {config.population} finite numbers, got {costs}")
        order = costs.argsort(kind="stable")
        if costs[order[0]] < best.cost:
            best = Plan(candidates[order[0]], float(costs[order[0]]))
        elites = candidates[order[:config.elites]]
        mean = config.keep * mean + (1 - config.keep) * elites.mean(0)
        std = config.keep * std + (1 - config.keep) * elites.std(0) + 1e-3
        history.append(best.cost)
    return Plan(best.actions, best.cost, history)


def position_cost(task: str, goal: np.ndarray, hand: float) -> Callable[[np.ndarray], np.ndarray]:
    """Eq. (12.3) of positions (P, H, 6), metres -> (P,)."""
    def cost(positions: np.ndarray) -> np.ndarray:
        reach = np.linalg.norm(positions[..., :3] - positions[..., 3:], axis=-1)
        return (distance(task, positions[..., 3:], goal) + hand * reach).sum(-1)
    return cost


class RecordedPlans:
    """Plans that somebody carried out: recorded actions that followed similar moments.

    Args:
        episodes: where they were recorded.
        readout: says how similar two moments are: the distance of hand and object, metres.
    """

    def __init__(self, episodes: Episodes, readout: ReadOut):
        self.actions, self.readout = episodes.actions, readout               # (E, 23, 4)
        self.seen = readout.read(episodes.frames[:, :-1])                    # (E, 23, 6)

    def near(self, frame: np.ndarray, horizon: int, count: int) -> np.ndarray:
        """What was done in the `count` most similar moments, the most similar first.

        Args:
            frame: (64, 64, 3) uint8, what is to be seen now.
            horizon: steps of the world model.
            count: how many plans.

        Returns:
            actions (count, horizon, SKIP, 4).

        Raises:
            ValueError: fewer moments were recorded.
        """
        length = horizon * SKIP
        apart = np.linalg.norm(self.seen[:, :self.seen.shape[1] + 1 - length]
                               - self.readout.read(frame), axis=-1)          # (E, T)
        if apart.size < count:
            raise ValueError(f"{apart.size} moments are followed by {length} actions; got "
                             f"count={count}")
        rows, times = np.unravel_index(apart.ravel().argsort(kind="stable")[:count], apart.shape)
        plans = [self.actions[row, t:t + length] for row, t in zip(rows, times)]
        return np.stack(plans).reshape(count, horizon, SKIP, ACTION_DIM)


# ---------------------------------------------------------------- dynamics
class Dynamics(Protocol):
    """Where would these actions lead, from what has been seen so far?"""

    def reset(self, frame: np.ndarray) -> None:
        """A new episode begins with this frame."""

    def see(self, actions: np.ndarray, frame: np.ndarray) -> None:
        """These actions (SKIP, 4) were done, and this frame came of it."""

    def predict(self, actions: np.ndarray) -> np.ndarray:
        """Actions (P, H, SKIP, 4) -> positions of hand and object (P, H, 6)."""


class ModelDynamics:
    """The world model, its frames read by the read-out.

    Args:
        model, tokens: the world model.
        readout: finds hand and object in a frame.
        temperature: of the sampling; 0 is greedy.
        seed: of the sampling.
    """

    def __init__(self, model, tokens: VideoTokens, readout: ReadOut, temperature: float = 0.0,
                 seed: int = 0):
        self.model, self.tokens, self.readout = model, tokens, readout
        self.temperature = temperature
        self.generator = torch.Generator().manual_seed(seed)

    @torch.no_grad()
    def reset(self, frame: np.ndarray) -> None:
        image = to_tensor(frame[None])
        self.known = self.tokens.compressive.context(image)
        self.history = (self.tokens.frames.encode(image) + self.tokens.context_offset)[0].tolist()
        self.history += self.tokens.compressive.encode(image, self.known)[0].tolist()

    @torch.no_grad()
    def see(self, actions: np.ndarray, frame: np.ndarray) -> None:
        self.history += self._bins(actions).tolist()
        self.history += self.tokens.compressive.encode(to_tensor(frame[None]),
                                                       self.known)[0].tolist()

    def _bins(self, actions: np.ndarray) -> np.ndarray:
        """Actions (..., SKIP, 4) -> ids (..., 8)."""
        bins = self.tokens.actions.encode(actions) + self.tokens.action_offset
        return bins.reshape(*bins.shape[:-2], ACTION_TOKENS)

    def predict(self, actions: np.ndarray) -> np.ndarray:
        return self.readout.read(self.frames(actions))

    @torch.no_grad()
    def frames(self, actions: np.ndarray) -> np.ndarray:
        """The imagined frames of P action sequences: (P, H, SKIP, 4) -> (P, H, 64, 64, 3)."""
        n, (count, horizon) = self.tokens.compressive.tokens, actions.shape[:2]
        step = n + ACTION_TOKENS
        given = torch.full((count, horizon * step), -1)
        bins = torch.as_tensor(self._bins(actions))                          # (P, H, 8)
        for t in range(horizon):
            given[:, t * step:t * step + ACTION_TOKENS] = bins[:, t]
        found = sample(self.model, [self.history], count, horizon * step, self.temperature,
                       eos_id=None, generator=self.generator, given=given).ids
        codes = found.view(count, horizon, step)[..., ACTION_TOKENS:]
        codes = codes.clamp(max=self.tokens.compressive.fsq.codes - 1).flatten(0, 1)
        known = [z.expand(len(codes), -1, -1, -1) for z in self.known]
        pictures = to_uint8(self.tokens.compressive.decode(codes, known))
        return pictures.reshape(count, horizon, *pictures.shape[1:])


class TrueDynamics:
    """The simulator itself, set back after every look ahead: the upper bound.

    Args:
        simulator: a `robot_simulator.Simulator`; it is left as it was found.
    """

    def __init__(self, simulator):
        self.simulator = simulator

    def reset(self, frame: np.ndarray) -> None:
        """Nothing to do: the simulator knows its state."""

    def see(self, actions: np.ndarray, frame: np.ndarray) -> None:
        """Nothing to do: the simulator knows its state."""

    def predict(self, actions: np.ndarray,
                look: Callable[[int, int], None] | None = None) -> np.ndarray:
        """As in `Dynamics`; `look(row, step)` is called whenever a step has been done."""
        found, env = np.zeros((*actions.shape[:2], 6)), self.simulator.env
        mujoco, m, d = self.simulator._mujoco, env.model, env.data
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        kept = np.empty(mujoco.mj_stateSize(m, kind))
        mujoco.mj_getState(m, d, kept, kind)
        others = {k: getattr(env, k) for k in ("curr_path_length", "_prev_obs",
                                               "_last_stable_obs")}
        for row, plan in enumerate(actions):
            for t, chunk in enumerate(plan):
                for action in np.repeat(chunk, REPEAT, 0).astype(np.float32):
                    seen = env.step(action)[0]
                found[row, t] = positions_of(seen[:7])
                if look:
                    look(row, t)
            mujoco.mj_setState(m, d, kept, kind)
            mujoco.mj_forward(m, d)
            for name, value in others.items():
                setattr(env, name, value)
        return found


# ---------------------------------------------------------------- control
def control(act: Callable[[np.ndarray], tuple[np.ndarray, bool]], dynamics: Dynamics, task: str,
            first: np.ndarray, goal: np.ndarray, config: CEMConfig, steps: int = STEPS,
            recorded: RecordedPlans | None = None) -> dict:
    """Plan, do the first actions of the plan, look, plan again.

    Args:
        act: does actions (SKIP, 4) in the real world; returns the frame and its verdict.
        dynamics: what the plans are tried in.
        task, first, goal: the task, its first frame, where the object has to be, (3,) metres.
        config: of the planner.
        steps: of the world model.
        recorded: choose among `config.population` of these; None: search by `cem`.

    Returns:
        {"frames": list of frames, "actions": (steps, SKIP, 4), "success": bool, "costs": list}.
    """
    rng, mean, cost = np.random.default_rng(config.seed), None, position_cost(
        task, goal, config.hand)
    dynamics.reset(first)
    frames, done, costs, success = [first], [], [], False
    for step in range(steps):
        horizon = min(config.horizon, steps - step)
        if recorded is None:
            start = None if mean is None else np.concatenate([mean[1:], mean[-1:]])[:horizon]
            plan = cem(lambda a: cost(dynamics.predict(held(a))), horizon, config, start, rng)
            mean, best = plan.actions, held(plan.actions[None])[0]
            costs.append(plan.cost)
        else:
            plans = recorded.near(frames[-1], horizon, config.population)
            each = cost(dynamics.predict(plans))
            best = plans[each.argmin()]
            costs.append(float(each.min()))
        done.append(best[0])
        frame, success = act(done[-1])
        frames.append(frame)
        if step < steps - 1:
            dynamics.see(done[-1], frame)
    return {"frames": frames, "actions": np.stack(done), "success": success, "costs": costs}


def held(actions: np.ndarray) -> np.ndarray:
    """One action a step, held for its `SKIP` frames: (P, H, 4) -> (P, H, SKIP, 4)."""
    return np.repeat(actions[:, :, None], SKIP, 2)


def in_simulator(simulator) -> Callable[[np.ndarray], tuple[np.ndarray, bool]]:
    """`act` for `control`: do actions in a `robot_simulator.Simulator`."""
    def act(actions: np.ndarray) -> tuple[np.ndarray, bool]:
        for action in actions:
            frame, _, success = simulator.step(action)
        return frame, success
    return act


def imitate(act, recorded: RecordedPlans, first: np.ndarray, horizon: int, count: int,
            seed: int | None = None, steps: int = STEPS) -> bool:
    """Without a world model: begin the most similar recorded plan, or one of `count` drawn at
    random where there is a seed, look, and do it again; returns its success."""
    rng = None if seed is None else np.random.default_rng(seed)
    frame, success = first, False
    for step in range(steps):
        plans = recorded.near(frame, min(horizon, steps - step), count)
        frame, success = act(plans[0 if rng is None else rng.integers(count), 0])
    return success


def random_control(act, seed: int, steps: int = STEPS) -> bool:
    """The trivial planner: random actions; returns its success."""
    rng, success = np.random.default_rng(seed), False
    for _ in range(steps):
        _, success = act(held(rng.uniform(-1, 1, (1, 1, ACTION_DIM)))[0, 0])
    return success
