"""Evaluate a policy inside the world model, and ask how far that is from reality.

What: `Dream` steps through episodes that exist only as tokens: paint the frame, let the policy
look at it, append its actions as tokens, sample the next frame (`imagine` runs it to the end). A
read-out finds the object in the last frame, and the task's own criterion is applied to it,
    success = |object - goal| <= radius of the task                          eq. (12.1)
What counts is the gap to the real success rates of the same policies from the same starts,
    gap = mean over policies of |success inside - success in reality|        eq. (12.2)
Real outcomes (MuJoCo) ship as a recording: `recorded`.
Source: RLVR-World section 6.4, figure 5 and table 13 (RT-1 policies, drawers).
Differs from the paper: whole episodes of 11 steps in one sequence, not a window of 7 frames that
slides on (the first frame is the context in both); a read-out with a measured error judges, not a
person; failures are in the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from rlvr_lite.paths import checked, data_folder
from rlvr_lite.sampling import _choose, _Writer, weights
from rlvr_lite.tasks.robot_policies import FOLDER, ReadOut, positions_of, train_readout
from rlvr_lite.tasks.robot_video import SKIP, VideoTokens
from rlvr_lite.tokenizers.frames import to_tensor, to_uint8
from rlvr_lite.worlds.robot_crude import CrudeSimulator
from rlvr_lite.worlds.robot_video import ACTION_DIM, FRAMES, SIZE, Episodes, decode_clip

STEPS = (FRAMES - 1) // SKIP  # 11 frames after the first one
LAST = STEPS * SKIP           # the recorded frame at which an episode is judged
SCRIPTED = ("expert", "noisy", "clumsy")
OUTSIDE = ("beside", "locked")  # what no training episode holds
# Largest distance of object and goal that counts as success, metres. Drawers: along their rail
# only; in drawer_close the handle lies 5 cm above the goal for ever, so 6.5 cm leave 4.15 cm.
RADIUS = {"drawer_open": 0.03, "drawer_close": (0.065 ** 2 - 0.05 ** 2) ** 0.5, "push": 0.05}


class Acts(Protocol):
    """Anything that can be evaluated: an `ImagePolicy`, a `Replay`."""

    def act(self, frames: np.ndarray, goals: np.ndarray, step: int) -> np.ndarray:
        """Frames (N, 64, 64, 3), goals (N, 3), step -> actions (N, SKIP, 4)."""


@dataclass(frozen=True)
class Replay:
    """Recorded actions again, whatever the frames show: (N, STEPS * SKIP, 4)."""

    actions: np.ndarray

    def act(self, frames: np.ndarray, goals: np.ndarray, step: int) -> np.ndarray:
        return self.actions[:, step * SKIP:(step + 1) * SKIP]


# ---------------------------------------------------------------- inside the model
class Dream:
    """N episodes under way inside the world model.

    Args:
        model: the Llama.
        tokens: its tokenizers.
        first: (N, 64, 64, 3) uint8, the frames they start from; also their context frames.
        steps: how many there will be.
        temperature, top_k: of the sampling; temperature 0 is greedy.
        generator: source of randomness.

    Attributes:
        frames: (N, 64, 64, 3) uint8, what is to be seen now.
        repeated: (N,) share of steps whose tokens repeat those before.

    Raises:
        ValueError: frames of another shape.
    """

    @torch.no_grad()
    def __init__(self, model, tokens: VideoTokens, first: np.ndarray, steps: int = STEPS,
                 temperature: float = 1.0, top_k: int = 0,
                 generator: torch.Generator | None = None):
        if first.ndim != 4 or first.shape[1:] != (SIZE, SIZE, 3):
            raise ValueError(f"first must be (N, {SIZE}, {SIZE}, 3), got {first.shape}")
        self.tokens, self.temperature, self.top_k = tokens, temperature, top_k
        self.generator, self.steps, self.step_count = generator, steps, 0
        images = to_tensor(np.ascontiguousarray(first))
        self.known = tokens.compressive.context(images)
        context = tokens.frames.encode(images) + tokens.context_offset
        self.codes = tokens.compressive.encode(images, self.known)              # (N, n)
        self.questions = torch.cat([context, self.codes], 1).tolist()
        n, rows = self.codes.shape[1], len(first)
        length = len(self.questions[0]) + steps * (n + SKIP * ACTION_DIM)
        self.writer = _Writer(weights(model, length), self.questions, 1, model.device)
        self.frames, self.same = self._paint(), torch.zeros(rows)

    def _paint(self) -> np.ndarray:
        codes = self.codes.clamp(max=self.tokens.compressive.fsq.codes - 1)
        return to_uint8(self.tokens.compressive.decode(codes, self.known))

    @property
    def repeated(self) -> np.ndarray:
        return (self.same / max(1, self.step_count)).numpy()

    @torch.no_grad()
    def step(self, actions: np.ndarray) -> np.ndarray:
        """Actions (N, SKIP, 4) in [-1, 1] -> the next frames (N, 64, 64, 3) uint8.

        Raises:
            ValueError: other shapes, or more steps than were asked for.
        """
        rows = len(self.codes)
        if np.shape(actions) != (rows, SKIP, ACTION_DIM) or self.step_count >= self.steps:
            raise ValueError(f"step wants actions ({rows}, {SKIP}, {ACTION_DIM}), at most "
                             f"{self.steps} times; got {np.shape(actions)}")
        bins = self.tokens.actions.encode(actions).reshape(rows, -1) + self.tokens.action_offset
        self.writer.write(torch.as_tensor(bins))
        before, found = self.codes, []
        for i in range(before.shape[1]):
            uniform = torch.rand(rows, generator=self.generator) * (1 - 1e-6)
            token, _ = _choose(self.writer.logits(), self.temperature, self.top_k, uniform)
            found.append(token)
            if i < before.shape[1] - 1 or self.step_count < self.steps - 1:
                self.writer.write(token[:, None])
        self.codes = torch.stack(found, 1)
        self.same += (self.codes == before).all(1)
        self.step_count += 1
        self.frames = self._paint()
        return self.frames


@dataclass(frozen=True)
class Imagined:
    """Episodes that were only imagined.

    Attributes:
        frames: (N, steps + 1, 64, 64, 3) uint8; the first one went through the tokenizer.
        actions: (N, steps * SKIP, 4).
        repeated: (N,) share of steps whose tokens repeat those before.
    """

    frames: np.ndarray
    actions: np.ndarray
    repeated: np.ndarray


def imagine(model, tokens: VideoTokens, policy: Acts, first: np.ndarray, goals: np.ndarray,
            steps: int = STEPS, temperature: float = 1.0, top_k: int = 0,
            generator: torch.Generator | None = None) -> Imagined:
    """The closed loop: the policy sees what the model paints, the model reads what it does.

    Args:
        model, tokens: the world model.
        policy: who acts.
        first: (N, 64, 64, 3) uint8 frames to start from.
        goals: (N, 3) metres, told to the policy.
        steps, temperature, top_k, generator: as in `Dream`.

    Raises:
        ValueError: as many goals as frames are needed.
    """
    if len(goals) != len(first):
        raise ValueError(f"{len(first)} frames need as many goals, got {len(goals)}")
    dream = Dream(model, tokens, first, steps, temperature, top_k, generator)
    frames, actions = [dream.frames], []
    for step in range(steps):
        actions.append(np.clip(policy.act(dream.frames, goals, step), -1, 1))
        frames.append(dream.step(actions[-1]))
    return Imagined(np.stack(frames, 1), np.concatenate(actions, 1), dream.repeated)


@torch.no_grad()
def through_tokenizer(tokens: VideoTokens, frames: np.ndarray, context: np.ndarray,
                      batch: int = 128) -> np.ndarray:
    """Frames (N, 64, 64, 3) uint8, encoded and decoded given context frames of that shape."""
    found = []
    for at in range(0, len(frames), batch):
        known = tokens.compressive.context(to_tensor(context[at:at + batch]))
        codes = tokens.compressive.encode(to_tensor(frames[at:at + batch]), known)
        found.append(to_uint8(tokens.compressive.decode(codes, known)))
    return np.concatenate(found)


def decoded(tokens: VideoTokens, frames: np.ndarray) -> np.ndarray:
    """Episodes (E, F, 64, 64, 3) as the tokenizer gives them back; context: their first frame."""
    context = np.broadcast_to(frames[:, :1], frames.shape).reshape(-1, SIZE, SIZE, 3)
    flat = np.ascontiguousarray(frames).reshape(-1, SIZE, SIZE, 3)
    return through_tokenizer(tokens, flat, context).reshape(frames.shape)


# ---------------------------------------------------------------- the judge
def distance(task: str, objects: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """How far the object is from its goal as the task counts it: (..., 3), (..., 3) -> (...).

    Drawers: along the rail (y), the only direction in which a handle can move. Push: in space.

    Raises:
        ValueError: an unknown task.
    """
    if task not in RADIUS:
        raise ValueError(f"task must be one of {', '.join(RADIUS)}; got {task!r}")
    gap = np.asarray(objects) - np.asarray(goals)
    return np.linalg.norm(gap, axis=-1) if task == "push" else np.abs(gap[..., 1])


def succeeds(task: str, objects: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """Eq. (12.1): objects (..., 3), goals (..., 3) in metres -> (...) bool."""
    return distance(task, objects, goals) <= RADIUS[task]


def judge(task: str, readout: ReadOut, frames: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """What the read-out says of frames (..., 64, 64, 3): (...) bool."""
    return succeeds(task, readout.read(frames)[..., 3:], goals)


def readout_data(episodes: Episodes, tokens: VideoTokens) -> tuple[np.ndarray, np.ndarray]:
    """Frames as recorded and as the tokenizer gives them back (context: frame 0), positions.

    Returns:
        frames (M, 64, 64, 3) uint8, positions (M, 6) metres; every second recorded frame, twice.
    """
    frames = episodes.frames[:, ::SKIP]                                      # (E, 12, ...)
    positions = positions_of(episodes.states[:, ::SKIP]).reshape(-1, 6)
    both = np.concatenate([frames, decoded(tokens, frames)])
    return both.reshape(-1, SIZE, SIZE, 3), np.concatenate([positions] * 2)


def make_readout(train: Episodes, tokens: VideoTokens, steps: int = 2000, seed: int = 0,
                 log=None) -> ReadOut:
    """The read-out of a task, from its training episodes."""
    return train_readout(*readout_data(train, tokens), steps, seed, log)


def readout_errors(readout: ReadOut, test: Episodes, tokens: VideoTokens) -> dict[str, float]:
    """How good the judge is, on episodes it has not seen.

    Returns:
        {"object_recorded", "object_decoded": mean error of the object position in metres, frames
        as recorded and through the tokenizer; "agree_recorded", "agree_decoded": share of
        episodes in which the verdict on the last frame is Meta-World's; "agree_state": the same
        with the true position, i.e. how far eq. (12.1) is Meta-World's own criterion}.
    """
    frames, positions = readout_data(test, tokens)
    error = np.linalg.norm(readout.read(frames)[:, 3:] - positions[:, 3:], axis=-1)
    half, goals = len(frames) // 2, test.states[:, LAST, 7:10]
    verdict = test.success[:, LAST]
    last = frames.reshape(2, len(test), STEPS + 1, SIZE, SIZE, 3)[:, :, -1]
    agree = [float((judge(test.task, readout, f, goals) == verdict).mean()) for f in last]
    true = succeeds(test.task, test.states[:, LAST, 4:7], goals)
    return {"object_recorded": float(error[:half].mean()),
            "object_decoded": float(error[half:].mean()),
            "agree_recorded": agree[0], "agree_decoded": agree[1],
            "agree_state": float((true == verdict).mean())}


# ---------------------------------------------------------------- reality, recorded
@dataclass(frozen=True)
class Recorded:
    """What P policies did in the real simulator, from the same S starts of the test split.

    Attributes:
        task: which.
        names: P names: `LEVELS` (image policies), `SCRIPTED`, `OUTSIDE`.
        task_seed: (S,) numbers of the starts.
        goals: (S, 3) metres.
        first: (S, 64, 64, 3) uint8, initial frames.
        actions: (P, S, 22, 4).
        states: (P, S, 12, 10), at the frames of the world model; see `robot_video.STATE`.
        success: (P, S) bool, Meta-World's verdict at the last frame.
        ever: (P, S) bool, its verdict at any frame.
        blurred: (P, S) bool, its verdict at the last frame where the image policies see every
            frame through the tokenizer: what the tokenizer costs, without any world model.
        final: (P, S, 64, 64, 3) uint8, last frames.
        shown: (P, K, 12, 64, 64, 3) uint8, all frames from the first K starts.
    """

    task: str
    names: tuple[str, ...]
    task_seed: np.ndarray
    goals: np.ndarray
    first: np.ndarray
    actions: np.ndarray
    states: np.ndarray
    success: np.ndarray
    ever: np.ndarray
    blurred: np.ndarray
    final: np.ndarray
    shown: np.ndarray

    def row(self, name: str) -> int:
        """Place of a policy; ValueError where there is none of that name."""
        if name not in self.names:
            raise ValueError(f"no policy {name!r}; there are {', '.join(self.names)}")
        return self.names.index(name)


def recorded(task: str, folder: str | Path | None = None) -> Recorded:
    """The recording that tools/record_policy_rollouts.py has made.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: an unknown task, or a damaged file.
    """
    distance(task, np.zeros(3), np.zeros(3))
    folder = Path(folder) if folder else data_folder() / FOLDER
    clip, numbers = (folder / f"{task}_rollouts.{kind}" for kind in ("mp4", "npz"))
    for path in (clip, numbers):
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; install the package again, or record it "
                                    "with tools/record_policy_rollouts.py")
        checked(path)
    with np.load(numbers) as found:
        table = {name: found[name] for name in found.files}
    names = tuple(str(n) for n in table.pop("names"))
    shape, kept = table["success"].shape, int(table.pop("kept"))
    frames, picture = decode_clip(clip), (SIZE, SIZE, 3)
    first, final, shown = np.split(frames, [shape[1], shape[1] + shape[0] * shape[1]])
    return Recorded(task, names, first=first, final=final.reshape(*shape, *picture),
                    shown=shown.reshape(shape[0], kept, STEPS + 1, *picture),
                    **{k: v.astype(np.float32) if v.dtype == np.float16 else v
                       for k, v in table.items()})


# ---------------------------------------------------------------- inside against reality
def mean_gap(inside: np.ndarray, real: np.ndarray):
    """Eq. (12.2): mean absolute difference of success rates (..., P) and (..., P) -> (...)."""
    return np.abs(np.asarray(inside) - np.asarray(real)).mean(-1)


def rank_correlation(inside: np.ndarray, real: np.ndarray):
    """Spearman's rank correlation of success rates (..., P) and (..., P) -> (...).

    Equal rates share a rank. 0 where one side does not vary.
    """
    from scipy.stats import rankdata

    a, b = (rankdata(z.round(9), axis=-1) for z in np.broadcast_arrays(inside, real))
    a, b = (z - z.mean(-1, keepdims=True) for z in (a, b))
    size = np.sqrt((a ** 2).sum(-1) * (b ** 2).sum(-1))
    return (a * b).sum(-1) / np.where(size == 0, 1.0, size)


def crude(policy: Acts, task: str, states: np.ndarray, library: Episodes | None) -> np.ndarray:
    """Where the crude simulator says that the objects end, (N, 3) metres.

    Args:
        policy: who acts.
        task: which.
        states: (N, 10) initial states.
        library: training episodes that lend their pictures; None: for policies that do not look.
    """
    world, goals = CrudeSimulator(task, states, library), states[:, 7:10]
    for step in range(STEPS):
        frames = world.frames() if library is not None else np.zeros((len(states), 0))
        for action in np.moveaxis(policy.act(frames, goals, step), 1, 0):
            world.step(action)
    return world.object
