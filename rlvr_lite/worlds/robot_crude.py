"""A crude simulator made by hand: what one would write in an afternoon instead of a world model.

What: the hand moves by 5 cm times the action; what is near the hand moves with it (the handle
along its rail, the block on the table). No contact, no inertia, no grip. For a policy that needs
to see, it shows the recorded training frame whose positions are nearest.
Source: stands where RLVR-World's figure 5 has SIMPLER (Li et al. 2024), a careful simulator of a
real scene; this one is not careful.
"""

from __future__ import annotations

import numpy as np

from rlvr_lite.worlds.robot_video import TASKS, Episodes

REACH = 0.05                # metres that an action of 1 moves the hand, a frame
LOW, HIGH = (-0.30, 0.40, 0.05), (0.30, 0.95, 0.40)  # where the hand can be
TRAVEL = 0.19               # of a drawer
NEAR = {"drawer_open": (0.05, 0.05, 0.05), "drawer_close": (0.05, 0.06, 0.06),
        "push": (0.04, 0.04, 0.06)}  # of hand and object, in x, y and z


class CrudeSimulator:
    """N scenes at once.

    Args:
        task: one of `TASKS`.
        states: (N, 10) initial states, see `robot_video.STATE`.
        library: recorded episodes to take pictures from; None: there is nothing to see.

    Attributes:
        hand, object: (N, 3) positions, metres.

    Raises:
        ValueError: an unknown task.
    """

    def __init__(self, task: str, states: np.ndarray, library: Episodes | None = None):
        if task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}")
        self.task = task
        self.hand, self.object = states[:, :3].astype(float), states[:, 4:7].astype(float)
        start = self.object[:, 1]
        opens = task == "drawer_open"
        self.rail = (start - TRAVEL, start) if opens else (start, start + TRAVEL)
        self.library = library
        if library is not None:
            places = library.states.reshape(-1, library.states.shape[-1])
            self.places = np.concatenate([places[:, :3], places[:, 4:7]], 1)     # (M, 6)

    def step(self, actions: np.ndarray) -> None:
        """One action (N, 4) a scene, for one recorded frame."""
        near = (np.abs(self.hand - self.object) <= NEAR[self.task]).all(1, keepdims=True)
        before = self.hand
        self.hand = np.clip(before + REACH * np.clip(actions[:, :3], -1, 1), LOW, HIGH)
        moved = near * (self.hand - before)
        if self.task == "push":
            self.object[:, :2] += moved[:, :2]
        else:
            self.object[:, 1] = np.clip(self.object[:, 1] + moved[:, 1], *self.rail)

    def frames(self) -> np.ndarray:
        """The nearest recorded pictures, (N, 64, 64, 3) uint8.

        Raises:
            ValueError: the simulator was made without a library.
        """
        if self.library is None:
            raise ValueError("give a library of recorded episodes to see something")
        now = np.concatenate([self.hand, self.object], 1)                        # (N, 6)
        nearest = ((self.places ** 2).sum(1) - 2 * now @ self.places.T).argmin(1)
        length = self.library.frames.shape[1]
        return np.stack([self.library.frames[i // length, i % length] for i in nearest])
