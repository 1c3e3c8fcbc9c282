"""Gymnasium: a world model of the book as an environment for any library of agents.

What: `VideoEnv` paints frames and takes the actions of a robot arm; `TextGameEnv` shows a state
as one line and takes the number of a command; `WebPageEnv` shows a page's tree and takes the
number of a proposed click or text. All are dreams: what happens is what the model says, and no
engine, simulator or browser runs behind it.
Source: gymnasium's interface; its `utils.env_checker.check_env` accepts all three.
Needs: `pip install gymnasium` (part of the extra `video`; never a dependency).
"""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import torch

from rlvr_lite.model import sample
from rlvr_lite.policy_evaluation import STEPS, Dream, distance, succeeds
from rlvr_lite.tasks.robot_policies import ReadOut
from rlvr_lite.tasks.robot_video import SKIP, VideoTokens
from rlvr_lite.tasks.text_game import TextGameTask, state_line
from rlvr_lite.tasks.web_page import ARROW, WebPageTask, imagined_page, question_text
from rlvr_lite.worlds import text_state
from rlvr_lite.worlds.robot_video import ACTION_DIM, SIZE
from rlvr_lite.worlds.text_game import Transition, actions
from rlvr_lite.worlds.web_graphs import DEPTH, TOP
from rlvr_lite.worlds.web_pages import Action, Page, write_page
from rlvr_lite.worlds.web_policy import candidates

try:
    import gymnasium
except ImportError:  # said when an environment is made
    gymnasium = None

Env = gymnasium.Env if gymnasium else object
LONGEST = 4000  # characters of an observation in text
SIGNS = "abcdefghijklmnopqrstuvwxyz0123456789_-()., "
PAGE_SIGNS = string.ascii_letters + string.digits + string.punctuation + " \n"
VERDICTS = {"ongoing": 0.0, "success": 1.0, "failure": -1.0}


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


class _TextEnv(Env):
    """What the dreams in text share: starts, the steps of an episode, questions to the model.

    The reward is the change of the score. An answer that cannot be read changes nothing
    (`info["readable"]` is False then). A child says how a state begins and is written, what can
    be done in it, what it is worth and whether it is over, and what the model predicts.

    Args:
        model, task: a world model.
        starts: what an episode can start from.
        most: how many actions there are.
        signs: characters of an observation.
        steps: after which an episode is truncated.
        temperature: of the sampling; 0 is greedy.

    Raises:
        ImportError: gymnasium is not installed.
        ValueError: no start.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}
    idle: Any = None  # what a number beyond the actions means

    def _prepare(self, model, task, starts: list, most: int, signs: str, steps: int,
                 temperature: float, render_mode: str | None) -> None:
        spaces = _spaces()
        self.model, self.task, self.starts = model, task, starts
        self.steps, self.temperature, self.render_mode = steps, temperature, render_mode
        self.state: Any = None
        self.observation_space = spaces.Text(LONGEST, charset=signs)
        self.action_space = spaces.Discrete(most)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start an episode; `options={"start": i}` says from which start.

        Returns:
            the state as text, and info.
        """
        super().reset(seed=seed)
        start = int((options or {}).get("start", self.np_random.integers(len(self.starts))))
        self.state, self.count = self._begin(self.starts[start]), 0
        self.generator = torch.Generator().manual_seed(int(self.np_random.integers(2 ** 31)))
        return self._text(self.state), self._info("", True)

    def step(self, action: int):
        """Act once: (text, reward, terminated, truncated, info).

        Raises:
            RuntimeError: before the first `reset`.
        """
        if self.state is None:
            raise RuntimeError("call reset before step")
        there = self._actions(self.state)
        chosen = there[action] if action < len(there) else self.idle
        before, after = self.state, self.predict(chosen)
        self.state, self.count = before if after is None else after, self.count + 1
        return (self._text(self.state), float(self._score(self.state) - self._score(before)),
                bool(self._over(self.state)), self.count >= self.steps,
                self._info(chosen, after is not None))

    def render(self) -> str | None:
        """The current state as text."""
        return self._text(self.state) if self.render_mode == "ansi" else None

    def _written(self, question: list[int]) -> list[int]:
        """What the model answers, as ids."""
        return sample(self.model, [question], 1, self.task.max_new, self.temperature,
                      eos_id=self.task.tokenizer.eos_id, generator=self.generator).answers[0]

    def _shown(self, state: Any) -> bool:
        """Whether a state is an observation."""
        return self._text(state) in self.observation_space


class TextGameEnv(_TextEnv):
    """The text game: observation a line of text, action the number of a command.

    The commands stand in `info["commands"]`; a number beyond them means `wait 1`.

    Args:
        model, task: a text world model, e.g. from `checkpoints.load_text_model()`.
        starts: states that an episode can start from.
        steps, temperature: see `_TextEnv`.

    Raises:
        ImportError: gymnasium is not installed.
        ValueError: no start.
    """

    idle = "wait 1"

    def __init__(self, model, task: TextGameTask, starts: list[text_state.State], steps: int = 20,
                 temperature: float = 0.0, render_mode: str | None = None):
        if not starts:
            raise ValueError("give at least one state to start from")
        most = max(len(list(actions(state))) for state in starts)
        self._prepare(model, task, starts, most, SIGNS, steps, temperature, render_mode)

    def predict(self, command: str) -> text_state.State | None:
        """The next state that the model writes; None where it cannot be read."""
        asked = Transition(self.state, command, self.state, (self.state,))
        found = self.task.decode(self._written(self.task.question(asked)), asked)
        if found is None:
            return None
        objects, score = found
        largest = max((o["uuid"] for o in objects), default=-1)
        try:
            state = text_state.State.from_json({"family": self.state.family, "objects": objects,
                                     "score": score,
                                     "max_UUID": max(self.state.max_uuid, largest + 1)})
            return state if self._shown(state) else None
        except (KeyError, RecursionError):  # it speaks of things that are not there
            return None

    def _begin(self, start: text_state.State) -> text_state.State:
        return start.copy()

    def _text(self, state: text_state.State) -> str:
        return state_line(state)

    def _actions(self, state: text_state.State) -> list[str]:
        return list(actions(state))

    def _score(self, state: text_state.State) -> float:
        return state.score

    def _over(self, state: text_state.State) -> bool:
        return state.over

    def _info(self, command: str, readable: bool) -> dict[str, Any]:
        return {"commands": self._actions(self.state), "command": command, "readable": readable}


class WebPageEnv(_TextEnv):
    """A web page: observation its tree, one element a line, action the number of a proposal.

    The goal stands in `info["goal"]`; what the weak policy proposes, the heaviest first, in
    `info["actions"]`. A number beyond them does nothing. The reward is 1 where the page that the
    model imagines says success, -1 where it says failure (MiniWoB++'s own scale), else 0; both
    terminate the episode.

    Args:
        model, task: a world model of web pages, e.g. from `checkpoints.load_web_model()`.
        starts: goals with pages that an episode can start from, e.g. `(g.goal, g.reset())` of
            recorded graphs.
        steps, temperature: see `_TextEnv`.

    Raises:
        ImportError: gymnasium is not installed.
        ValueError: no start, or one that is over.
    """

    def __init__(self, model, task: WebPageTask, starts: list[tuple[str, Page]],
                 steps: int = DEPTH, temperature: float = 0.0, render_mode: str | None = None):
        if not starts or any(self._over(page) for _, page in starts):
            raise ValueError("give at least one (goal, page) to start from, all of them ongoing")
        self._prepare(model, task, starts, TOP, PAGE_SIGNS, steps, temperature, render_mode)

    def predict(self, action: Action | None) -> Page | None:
        """The next page that the model writes; None where it cannot be read."""
        if action is None:
            return self.state
        asked = question_text(self.goal, self.state, action) + ARROW
        change = self.task.difference(self._written(self.task.tokenizer.encode(asked)))
        page = None if change is None else imagined_page(self.state, change)
        return page if page and page[0].state in VERDICTS and self._shown(page) else None

    def _begin(self, start: tuple[str, Page]) -> Page:
        self.goal, page = start
        return page

    def _text(self, page: Page) -> str:
        return write_page(page)

    def _actions(self, page: Page) -> list[Action]:
        return [action for action, _ in candidates(self.goal, page, TOP)]

    def _score(self, page: Page) -> float:
        return VERDICTS[page[0].state]

    def _over(self, page: Page) -> bool:
        return page[0].state != "ongoing"

    def _info(self, action: Action | str | None, readable: bool) -> dict[str, Any]:
        return {"goal": self.goal, "actions": list(map(str, self._actions(self.state))),
                "action": str(action or ""), "readable": readable}
