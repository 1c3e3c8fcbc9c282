"""Real robot dynamics: Meta-World's tasks in MuJoCo, seen by a small camera.

What: `Simulator` runs one task at one action a frame and returns 64x64 frames, the state, and
Meta-World's own verdict; `Actor` is a scripted expert with noise. Only the recorder, the rerun of
policy evaluation and their tests need this file (`pip install rlvr-lite[video]`); readers have
the recording (`robot_video`).
Source: Meta-World 3 (Yu et al. 2019), Sawyer arm, tasks *-v3; RLVR-World section 6.1 uses RT-1.
Differs from the paper: a simulator, so that every frame has its true state and its verdict; one
4-d action (hand motion x, y, z and grip) a frame, held for 5 simulator steps.
"""

from __future__ import annotations

import os

import numpy as np

from rlvr_lite.worlds.robot_video import ACTION_DIM, SIZE, STATE, TASKS

REPEAT = 5  # simulator steps a frame
CAMERA = {"lookat": (0.0, 0.66, 0.14), "distance": 0.85, "azimuth": 20.0, "elevation": -30.0}
TASKS_PER_SEED = 50  # Meta-World draws so many object positions for a seed
FIRST_START = 2000 * TASKS_PER_SEED + 60  # test starts of policies and plans; episodes end at 59
POLICIES = {"drawer_open": "SawyerDrawerOpenV3Policy", "drawer_close": "SawyerDrawerCloseV3Policy",
            "push": "SawyerPushV3Policy"}
YELLOW = (0.95, 0.85, 0.1, 1.0)  # the block is as dark as the hand: paint it


class Simulator:
    """One task, one environment, one renderer.

    Under OSMesa a second renderer in the same process returns garbage, so the renderer of a
    process is made once, for its first task: use one process per task.

    Args:
        task: one of `TASKS`.

    Raises:
        ImportError: Meta-World or MuJoCo is not installed.
        ValueError: an unknown task, or a second task in the same process.
    """

    _first: str | None = None

    def __init__(self, task: str):
        if task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}")
        if Simulator._first not in (None, task):
            raise ValueError(f"this process renders {Simulator._first!r} already; "
                             "use one process per task")
        os.environ.setdefault("MUJOCO_GL", "osmesa")
        try:
            import metaworld
            import mujoco
        except ImportError as error:
            raise ImportError("the simulator needs Meta-World and MuJoCo: "
                              "pip install 'rlvr-lite[video]'") from error
        Simulator._first = task
        self.task, self._metaworld, self._mujoco = task, metaworld, mujoco
        self.name = task.replace("_", "-") + "-v3"
        self._benchmarks: dict[int, object] = {}
        self.env = self._benchmark(0).train_classes[self.name]()
        self._camera()

    def _benchmark(self, seed: int):
        if seed not in self._benchmarks:
            self._benchmarks[seed] = self._metaworld.MT1(self.name, seed=seed)
        return self._benchmarks[seed]

    def _camera(self) -> None:
        m = self.env.model
        m.vis.quality.offsamples = m.vis.quality.shadowsize = 0  # 20 times faster
        if self.task == "push":
            body = m.body("obj").id
            for geom in np.flatnonzero(m.geom_bodyid == body):
                m.geom_matid[geom], m.geom_rgba[geom] = -1, YELLOW
        self._renderer = self._mujoco.Renderer(m, 2 * SIZE, 2 * SIZE)
        self._options = self._mujoco.MjvOption()
        self._options.sitegroup[:] = 0                           # hide the marker of the goal
        self._view = self._mujoco.MjvCamera()
        self._view.type = self._mujoco.mjtCamera.mjCAMERA_FREE
        self._view.lookat[:] = CAMERA["lookat"]
        for name in ("distance", "azimuth", "elevation"):
            setattr(self._view, name, CAMERA[name])

    def reset(self, task_seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Start the episode with object position number `task_seed`.

        Returns:
            frame (64, 64, 3) uint8 and state (`STATE`) float32.
        """
        tasks = self._benchmark(task_seed // TASKS_PER_SEED).train_tasks
        self.env.set_task(tasks[task_seed % TASKS_PER_SEED])
        self.observation, _ = self.env.reset()
        self.success = False
        return self.frame(), self.state()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
        """Hold one action for `REPEAT` simulator steps.

        Args:
            action: 4 numbers in [-1, 1].

        Returns:
            frame, state, and whether Meta-World called a step of *this* frame a success.
        """
        action = np.clip(np.asarray(action, dtype=np.float32), -1, 1)
        if action.shape != (ACTION_DIM,):
            raise ValueError(f"an action has {ACTION_DIM} numbers, got shape {action.shape}")
        success = False
        for _ in range(REPEAT):
            self.observation, _, _, _, info = self.env.step(action)
            success = success or bool(info["success"])
        return self.frame(), self.state(), success

    def frame(self) -> np.ndarray:
        """What the camera sees, (64, 64, 3) uint8: rendered at 128x128, averaged 2x2."""
        self._renderer.update_scene(self.env.data, self._view, self._options)
        flags = self._mujoco.mjtRndFlag
        self._renderer.scene.flags[flags.mjRND_SHADOW] = 0
        self._renderer.scene.flags[flags.mjRND_REFLECTION] = 0
        image = self._renderer.render().reshape(SIZE, 2, SIZE, 2, 3).mean((1, 3))
        return np.rint(image).astype(np.uint8)

    def state(self) -> np.ndarray:
        """Hand position (m), grip, object position (m), goal position (m): see `STATE`."""
        found = np.concatenate([self.observation[:7], self.env._target_pos])
        assert len(found) == len(STATE)
        return np.round(found, 4).astype(np.float32)


class Actor:
    """A scripted expert whose actions are disturbed.

    Args:
        task: one of `TASKS`.
        kind: "expert", "noisy" (Gaussian noise of 0.3), "clumsy" (0.7), or "walk": some steps of
            the expert, then a random walk.
        seed: of the noise.
    """

    NOISE = {"expert": 0.0, "noisy": 0.3, "clumsy": 0.7, "walk": 0.0}

    def __init__(self, task: str, kind: str, seed: int):
        if kind not in self.NOISE:
            raise ValueError(f"kind must be one of {', '.join(self.NOISE)}; got {kind!r}")
        from metaworld import policies

        self.expert = getattr(policies, POLICIES[task])()
        self.rng = np.random.default_rng(seed)
        self.kind, self.step = kind, 0
        self.stop = int(self.rng.integers(0, 13)) if kind == "walk" else 10 ** 9
        self.drift = np.zeros(ACTION_DIM)

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The action, 4 numbers in [-1, 1], rounded to three decimals."""
        noise = self.rng.normal(size=ACTION_DIM)
        self.drift = 0.8 * self.drift + 0.45 * noise
        if self.step >= self.stop:
            action = self.drift
        else:
            action = np.clip(self.expert.get_action(observation), -1, 1)
            action = action + self.NOISE[self.kind] * noise
        self.step += 1
        return np.round(np.clip(action, -1, 1), 3).astype(np.float32)
