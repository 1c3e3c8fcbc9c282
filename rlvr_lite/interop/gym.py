"""Gymnasium: a world model of the book as an environment for any library of agents.

What: `VideoEnv` paints frames and takes the actions of a robot arm; `TextGameEnv` shows a state
as one line and takes the number of a command. Both are dreams: what happens is what the model
says, and no engine or simulator runs behind it.
Source: gymnasium's interface; its `utils.env_checker.check_env` accepts both.
Needs: `pip install gymnasium` (part of the extra `video`; never a dependency).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rlvr_lite.model import sample
from rlvr_lite.policy_evaluation import STEPS, Dream, distance, succeeds
from rlvr_lite.tasks.robot_policies import ReadOut
from rlvr_lite.tasks.robot_video import SKIP, VideoTokens
from rlvr_lite.tasks.text_game import TextGameTask, state_line
from rlvr_lite.worlds.robot_video import ACTION_DIM, SIZE
from rlvr_lite.worlds.text_game import Transition, actions
from rlvr_lite.worlds import text_state

try:
    import gymnasium
except ImportError:  # said when an environment is made
    gymnasium = None

Env = gymnasium.Env if gymnasium else object
LONGEST = 4000  # characters of a text game's state
SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789_-()., "


def _spaces():
    if gymnasium is None:
        raise ImportError("a world model as environment needs gymnasium: pip install gymnasium")
    return gymnasium.spaces


class VideoEnv(Env):
    """Robot video: observation a frame, action the `SKIP` actions until the next one.

    The reward is minus the distance of object and goal in metres, as the read-out sees it; the
    episode terminates on success and is truncated after `steps`.

    Args:
        model, tokens: the world model.
        task: one of `robot_video.TASKS`.
        readout: finds the object in a frame.
        first: (S, 64, 64, 3) uint8, frames that an episode can start from.
        goals: (S, 3) metres.
        steps, temperature, top_k: as in `Dream`.

    Raises:
        ImportError: gymnasium is not installed.
        ValueError: no start, or not as many goals as starts.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}

    def __init__(self, model, tokens: VideoTokens, task: str, readout: ReadOut,
                 first: np.ndarray, goals: np.ndarray, steps: int = STEPS,
                 temperature: float = 1.0, top_k: int = 0, render_mode: str | None = None):
        spaces = _spaces()
        if not len(first) or len(first) != len(goals):
            raise ValueError(f"need as many goals as starts, at least one; got {len(first)} "
                             f"starts and {len(goals)} goals")
        self.model, self.tokens, self.task, self.readout = model, tokens, task, readout
        self.first, self.goals = first, goals
        self.sampling = {"steps": steps, "temperature": temperature, "top_k": top_k}
        self.render_mode, self.dream = render_mode, None
        self.observation_space = spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
        self.action_space = spaces.Box(-1.0, 1.0, (SKIP * ACTION_DIM,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start an episode; `options={"start": i}` says from which frame.

        Returns:
            frame and info {"goal", "object", "start"}.
        """
        super().reset(seed=seed)
        self.start = int((options or {}).get("start", self.np_random.integers(len(self.first))))
        generator = torch.Generator().manual_seed(int(self.np_random.integers(2 ** 31)))
        self.dream = Dream(self.model, self.tokens, self.first[self.start][None],
                           generator=generator, **self.sampling)
        return self._frame(), self._info()

    def step(self, action: np.ndarray):
        """Act once: (frame, reward, terminated, truncated, info).

        Raises:
            RuntimeError: before the first `reset`.
        """
        if self.dream is None:
            raise RuntimeError("call reset before step")
        chunk = np.clip(np.asarray(action), -1, 1).reshape(1, SKIP, ACTION_DIM)
        self.dream.step(chunk)
        info = self._info()
        where = info["object"], info["goal"]
        ended = self.dream.step_count >= self.sampling["steps"]
        return (self._frame(), -float(distance(self.task, *where)),
                bool(succeeds(self.task, *where)), bool(ended), info)

    def render(self) -> np.ndarray | None:
        """The current frame."""
        return self._frame() if self.render_mode == "rgb_array" else None

    def _frame(self) -> np.ndarray:
        return self.dream.frames[0].copy()

    def _info(self) -> dict[str, Any]:
        seen = self.readout.read(self.dream.frames)[0]
        return {"goal": self.goals[self.start].copy(), "object": seen[3:], "start": self.start}


class TextGameEnv(Env):
    """The text game: observation a line of text, action the number of a command.

    The commands stand in `info["commands"]`; a number beyond them means `wait 1`. The reward is
    the change of the score. An answer that cannot be read changes nothing
    (`info["readable"]` is False then).

    Args:
        model, task: a text world model, e.g. from `checkpoints.load_text_model()`.
        starts: states that an episode can start from.
        steps: after which an episode is truncated.
        temperature: of the sampling; 0 is greedy.

    Raises:
        ImportError: gymnasium is not installed.
        ValueError: no start.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}

    def __init__(self, model, task: TextGameTask, starts: list[text_state.State], steps: int = 20,
                 temperature: float = 0.0, render_mode: str | None = None):
        spaces = _spaces()
        if not starts:
            raise ValueError("give at least one state to start from")
        self.model, self.task, self.starts = model, task, starts
        self.steps, self.temperature, self.render_mode = steps, temperature, render_mode
        self.state: text_state.State | None = None
        self.observation_space = spaces.Text(LONGEST, charset=SIGNS)
        most = max(len(list(actions(state))) for state in starts)
        self.action_space = spaces.Discrete(most)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start an episode; `options={"start": i}` says from which state.

        Returns:
            the state as one line, and info {"commands", "command", "readable"}.
        """
        super().reset(seed=seed)
        start = int((options or {}).get("start", self.np_random.integers(len(self.starts))))
        self.state, self.count = self.starts[start].copy(), 0
        self.generator = torch.Generator().manual_seed(int(self.np_random.integers(2 ** 31)))
        return state_line(self.state), self._info("", True)

    def step(self, action: int):
        """Type a command: (line, reward, terminated, truncated, info).

        Raises:
            RuntimeError: before the first `reset`.
        """
        if self.state is None:
            raise RuntimeError("call reset before step")
        commands = list(actions(self.state))
        command = commands[action] if action < len(commands) else "wait 1"
        before, after = self.state.score, self.predict(command)
        self.state, self.count = after or self.state, self.count + 1
        return (state_line(self.state), float(self.state.score - before), bool(self.state.over),
                self.count >= self.steps, self._info(command, after is not None))

    def predict(self, command: str) -> text_state.State | None:
        """The next state that the model writes; None where it cannot be read."""
        asked = Transition(self.state, command, self.state, (self.state,))
        ids = sample(self.model, [self.task.question(asked)], 1, self.task.max_new,
                     self.temperature, eos_id=self.task.tokenizer.eos_id,
                     generator=self.generator).answers[0]
        found = self.task.decode(ids, asked)
        if found is None:
            return None
        objects, score = found
        largest = max((o["uuid"] for o in objects), default=-1)
        try:
            state = text_state.State.from_json({"family": self.state.family, "objects": objects,
                                     "score": score,
                                     "max_UUID": max(self.state.max_uuid, largest + 1)})
            readable = set(state_line(state)) <= set(SIGNS)
        except (KeyError, RecursionError):  # it speaks of things that are not there
            return None
        return state if readable and len(state_line(state)) <= LONGEST else None

    def render(self) -> str | None:
        """The current state as one line."""
        return state_line(self.state) if self.render_mode == "ansi" else None

    def _info(self, command: str, readable: bool) -> dict[str, Any]:
        return {"commands": list(actions(self.state)), "command": command, "readable": readable}
