"""Robot video as a sequence problem: frame tokens and action tokens of one vocabulary.

What: with a context frame c, the current frame z_0 and recorded actions b_t,
    question  z_c  z_0  b_0         answer  z_1  b_1  z_2  b_2 ... z_H       eq. (2.4)
z_c are per-frame tokens, all other frames compressive ones, given the context frame. The actions
inside the answer are *given*: they are woven into every rollout and never enter loss or KL. H = 1
is single-step prediction, H = 7 multi-step. The reward is judged on decoded pixels,
    R = -(1/H) sum_t [ L1(frame_t, truth_t) + LPIPS(frame_t, truth_t) ]      eq. (5.5)
With `credit="frame"` a token earns only what it can still influence: the mean over the frames
from its own one on.
Source: RLVR-World equations 7 to 10, section 6.1; repetition penalty: its section 6.3.
Differs from the paper: one sequence layout for single-step and multi-step; a frame every 10
simulator steps, because at 5 no prototype beat the last frame (at 10 it is still hard to beat one
frame ahead, and easy several frames ahead); a reward may judge a random subset of the frames,
which costs less and has the same mean.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import Tensor

from rlvr_lite.metrics_video import frame_errors
from rlvr_lite.paths import cache_folder, write_npz
from rlvr_lite.perceptual import Perceptual, perceptual
from rlvr_lite.tokenizers.actions import BINS, ActionBins
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer, to_tensor
from rlvr_lite.worlds.robot_video import ACTION_DIM, FOLDER, FRAMES, Episodes

SKIP = 2  # recorded frames from one predicted frame to the next
ACTION_TOKENS = SKIP * ACTION_DIM
BINS_OF_ACTIONS = ActionBins((-1.0,) * ACTION_DIM, (1.0,) * ACTION_DIM)
REWARD = {"l1": 1.0, "lpips": 1.0}  # weight of each error in the reward, RLVR-World eq. (9)
BETTER_HIGH = ("psnr", "ssim")      # their sign in the reward is +, that of the errors -


@dataclass(frozen=True, eq=False)
class Clip:
    """A piece of an episode: one transition of the video world.

    Attributes:
        episodes, number: where it is cut from.
        context: recorded frame that the compressive tokens refer to; not after `start`.
        start: recorded frame of the current frame z_0.
        context_ids: per-frame codes of the context frame, (64,).
        frame_ids: compressive codes of z_0 ... z_F, (F + 1, n).
        action_ids: bins of the actions that lead from z_t to z_t+1, (F, 8).
    """

    episodes: Episodes
    number: int
    context: int
    start: int
    context_ids: np.ndarray
    frame_ids: np.ndarray
    action_ids: np.ndarray

    @property
    def horizon(self) -> int:
        """F, the number of frames after the current one."""
        return len(self.action_ids)

    def frames(self, first: int = 0, last: int | None = None) -> np.ndarray:
        """Recorded frames z_first ... z_last (last included), uint8; None: to the end."""
        last = self.horizon if last is None else last
        places = self.start + SKIP * np.arange(first, last + 1)
        return self.episodes.frames[self.number, places]

    def context_frame(self) -> np.ndarray:
        """The context frame, (64, 64, 3) uint8."""
        return self.episodes.frames[self.number, self.context]


def cut(episodes: Episodes, number: int, context: int, start: int, horizon: int,
        tokens: VideoTokens) -> Clip:
    """One clip, tokenized. For many, `clips` is faster.

    Raises:
        ValueError: the episode does not hold such a clip.
    """
    if not 0 <= context <= start <= FRAMES - 1 - SKIP * horizon or horizon < 1:
        raise ValueError(f"an episode has {FRAMES} frames; context {context}, start {start} and "
                         f"{horizon} steps of {SKIP} frames do not fit")
    return tokens.clips(episodes, [(number, context, start, horizon)])[0]


@dataclass
class VideoTokens:
    """Both frozen video tokenizers, the action bins, and the one vocabulary they share.

    Ids: compressive codes from 0, per-frame codes from `context_offset`, bins from
    `action_offset`. There is no stop token: a clip has as many tokens as it has.
    """

    frames: FrameTokenizer
    compressive: CompressiveTokenizer
    actions: ActionBins = BINS_OF_ACTIONS
    pad_id: int = 0
    eos_id: int | None = None

    @property
    def context_offset(self) -> int:
        return self.compressive.fsq.codes

    @property
    def action_offset(self) -> int:
        return self.context_offset + self.frames.fsq.codes

    @property
    def vocab_size(self) -> int:
        return self.action_offset + BINS

    @classmethod
    def load(cls, folder: str | Path) -> VideoTokens:
        """Read `<folder>/frames8` and `<folder>/compressive2`."""
        return cls(FrameTokenizer.load(Path(folder) / "frames8"),
                   CompressiveTokenizer.load(Path(folder) / "compressive2"))

    def digest(self) -> str:
        """Changes whenever a weight of either tokenizer changes."""
        found = hashlib.sha256()
        for part in (self.frames, self.compressive):
            for value in part.state_dict().values():
                found.update(value.half().numpy().tobytes())
        return found.hexdigest()[:16]

    @torch.no_grad()
    def clips(self, episodes: Episodes, windows: list[tuple[int, int, int, int]]) -> list[Clip]:
        """Tokenized clips: one for every (episode, context frame, start frame, horizon)."""
        found = []
        for begin in range(0, len(windows), 64):
            part = windows[begin:begin + 64]
            context = to_tensor(np.stack([episodes.frames[n, c] for n, c, _, _ in part]))
            context_ids = self.frames.encode(context).numpy().astype(np.int16)
            known = self.compressive.context(context)
            places = [(row, n, s + SKIP * t) for row, (n, _, s, h) in enumerate(part)
                      for t in range(h + 1)]
            rows = torch.tensor([row for row, _, _ in places])
            codes = []
            for at in range(0, len(places), 128):
                some = rows[at:at + 128]
                frames = to_tensor(np.stack([episodes.frames[n, t] for _, n, t
                                             in places[at:at + 128]]))
                codes.append(self.compressive.encode(frames, [z[some] for z in known]))
            codes = torch.cat(codes).numpy().astype(np.int16)
            for row, (n, c, s, h) in enumerate(part):
                frame_ids = codes[(rows == row).numpy()]
                acted = episodes.actions[n, s:s + SKIP * h].reshape(h, ACTION_TOKENS // ACTION_DIM,
                                                                    ACTION_DIM)
                found.append(Clip(episodes, n, c, s, context_ids[row], frame_ids,
                                  self.actions.encode(acted).reshape(h, -1).astype(np.int16)))
        return found


def windows(episodes: Episodes, per_episode: int, seed: int,
            horizon: int | None = None) -> list[tuple[int, int, int, int]]:
    """Random windows, `per_episode` of each episode: (episode, context, start, horizon).

    Args:
        horizon: steps of every window; None: to the end of the episode, at least 7.

    Raises:
        ValueError: an episode has fewer starts than that.
    """
    rng, found = Random(seed), []
    latest = FRAMES - 1 - SKIP * (horizon or 7)
    if per_episode > latest + 1:
        raise ValueError(f"an episode of {FRAMES} frames has {max(0, latest + 1)} starts for "
                         f"{horizon or 7} steps; got per_episode={per_episode}")
    for number in range(len(episodes)):
        for start in rng.sample(range(latest + 1), per_episode):
            steps = horizon or (FRAMES - 1 - start) // SKIP
            found.append((number, rng.randint(0, start), start, steps))
    return found


def clips(episodes: Episodes, tokens: VideoTokens, per_episode: int, seed: int = 0,
          horizon: int | None = None) -> list[Clip]:
    """Random tokenized clips of a split; encoded once and kept in the cache.

    Args:
        episodes, tokens: what is cut, and how it is read.
        per_episode: clips of each episode, at different starts.
        seed: of the choice.
        horizon: steps of every clip; None: to the end of the episode, at least 7.
    """
    chosen = windows(episodes, per_episode, seed, horizon)
    recorded = hashlib.sha256(episodes.actions.tobytes()).hexdigest()  # another recording?
    key = hashlib.sha256(repr((tokens.digest(), tokens.actions, episodes.task, episodes.split,
                               recorded, chosen)).encode()).hexdigest()[:16]
    path = cache_folder() / FOLDER / f"tokens-{key}.npz"
    if not path.is_file():
        found = tokens.clips(episodes, chosen)
        write_npz(path, {"context": np.stack([c.context_ids for c in found]),
                         "frames": np.concatenate([c.frame_ids for c in found]),
                         "actions": np.concatenate([c.action_ids for c in found])})
        return found
    with np.load(path) as kept:
        context, frames, actions = kept["context"], kept["frames"], kept["actions"]
    steps = np.cumsum([0] + [h for *_, h in chosen])
    return [Clip(episodes, n, c, s, context[i], frames[a + i:b + i + 1], actions[a:b])
            for i, ((n, c, s, _), a, b) in enumerate(zip(chosen, steps, steps[1:]))]


@dataclass
class RobotVideoTask:
    """Questions, answers and rewards of robot video (the contract is `tasks.base.Task`).

    Attributes:
        tokenizer: the `VideoTokens`.
        horizon: H, frames to predict.
        weights: error -> weight in the reward; "psnr" and "ssim" are rewarded, errors punished.
        credit: "sequence": one reward an answer; "frame": one for each token, see above.
        judged: frames of a rollout that the reward looks at, drawn anew for every group; None:
            all.
        repetition_penalty: weight of the share of predicted frames whose tokens repeat the frame
            before (RLVR-World section 6.3).
        lpips: the perceptual distance; None: the trained one, loaded when it is first needed.
    """

    tokenizer: VideoTokens
    horizon: int = 1
    weights: dict[str, float] = field(default_factory=lambda: dict(REWARD))
    credit: str = "sequence"
    judged: int | None = None
    repetition_penalty: float = 0.0
    lpips: Perceptual | None = None

    def __post_init__(self):
        if self.horizon < 1 or (self.judged is not None and not 1 <= self.judged <= self.horizon):
            raise ValueError("horizon must be at least 1, judged between 1 and horizon; got "
                             f"{self.horizon} and {self.judged}")
        if self.credit not in ("sequence", "frame"):
            raise ValueError(f'credit must be "sequence" or "frame", got {self.credit!r}')
        self.lpips = self.lpips or perceptual()

    @property
    def tokens(self) -> int:
        """n, tokens of a predicted frame."""
        return self.tokenizer.compressive.tokens

    @property
    def max_new(self) -> int:
        return self.horizon * self.tokens + (self.horizon - 1) * ACTION_TOKENS

    # ---- ids
    def question(self, clip: Clip) -> list[int]:
        """Context frame, current frame and first action: 64 + n + 8 ids, eq. (2.4)."""
        t = self.tokenizer
        return [*(clip.context_ids.astype(int) + t.context_offset).tolist(),
                *clip.frame_ids[0].tolist(), *self._action(clip, 0)]

    def answer(self, clip: Clip) -> list[int]:
        """z_1 b_1 z_2 ... z_H: `max_new` ids."""
        found = clip.frame_ids[1].tolist()
        for t in range(1, self.horizon):
            found += [*self._action(clip, t), *clip.frame_ids[t + 1].tolist()]
        return found

    def given(self, clip: Clip) -> list[tuple[int, list[int]]]:
        """The tokens of an answer that are not predicted: (position, ids) of every action."""
        step = self.tokens + ACTION_TOKENS
        return [(t * step - ACTION_TOKENS, self._action(clip, t)) for t in range(1, self.horizon)]

    def chosen(self, clip: Clip) -> list[bool]:
        """Which tokens of an answer are predicted: the mask of loss and KL."""
        frame, action = [True] * self.tokens, [False] * ACTION_TOKENS
        return frame + (action + frame) * (self.horizon - 1)

    def _action(self, clip: Clip, t: int) -> list[int]:
        return (clip.action_ids[t].astype(int) + self.tokenizer.action_offset).tolist()

    def frame_codes(self, ids: list[int]) -> Tensor:
        """The frame tokens of an answer, (H, n); ids of other kinds are clipped to a code."""
        step = self.tokens + ACTION_TOKENS
        rows = [ids[t * step:t * step + self.tokens] for t in range(self.horizon)]
        return torch.tensor(rows).clamp(max=self.tokenizer.compressive.fsq.codes - 1)

    # ---- pixels
    def decode(self, ids: list[int], clip: Clip) -> Tensor:
        """The predicted frames, (H, 3, 64, 64) in [0, 1]."""
        return self._decode(self.frame_codes(ids)[None], [clip], list(range(self.horizon)))[0]

    @torch.no_grad()
    def _decode(self, codes: Tensor, some: list[Clip], places: list[int]) -> Tensor:
        """Codes (N, H, n) of N = len(some) * G answers -> (N, len(places), 3, 64, 64)."""
        found, group = [], len(codes) // len(some)
        for i, clip in enumerate(some):
            part = codes[i * group:(i + 1) * group][:, places].flatten(0, 1)  # (G F, n)
            known = self.tokenizer.compressive.context(to_tensor(clip.context_frame()[None]))
            known = [z.expand(len(part), -1, -1, -1) for z in known]
            found.append(self.tokenizer.compressive.decode(part, known))
        return torch.cat(found).unflatten(0, (len(codes), len(places)))

    def reward(self, ids: list[int], clip: Clip) -> dict[str, float]:
        return self.rewards([ids], [clip])[0]

    def rewards(self, answers: list[list[int]], some: list[Clip]) -> list[dict[str, float]]:
        """The reward of each answer and its parts, eq. (5.5); neighbours may share a clip."""
        found: list[dict[str, float]] = []
        at = 0
        while at < len(answers):  # one group after the other: it shares context and truth
            end = at
            while end < len(answers) and some[end] is some[at]:
                end += 1
            found += self._group_rewards(answers[at:end], some[at])
            at = end
        return found

    @torch.no_grad()
    def _group_rewards(self, answers: list[list[int]], clip: Clip) -> list[dict[str, float]]:
        codes = torch.stack([self.frame_codes(ids) for ids in answers])         # (G, H, n)
        places = list(range(self.horizon))
        if self.judged is not None:
            places = sorted(Random(str(answers[0])).sample(places, self.judged))
        frames = self._decode(codes, [clip], places)                            # (G, F, ...)
        truth = to_tensor(clip.frames(1, self.horizon)[places])                 # (F, 3, 64, 64)
        errors = frame_errors(frames, truth, self.lpips, tuple(self.weights))   # name: (G, F)
        each = sum(w * errors[n] * (1 if n in BETTER_HIGH else -1)
                   for n, w in self.weights.items())                            # (G, F)
        repeated = repetition(codes, torch.tensor(clip.frame_ids[0]))           # (G,)
        fine = self.repetition_penalty * repeated
        table = {"reward": each.mean(1) - fine, **{n: e.mean(1) for n, e in errors.items()},
                 "repeated": repeated}
        found = [dict(zip(table, row)) for row in torch.stack(list(table.values()), 1).tolist()]
        if self.credit == "frame":
            for row, credit in zip(found, self._credit(each, places) - fine[:, None]):
                row["credit"] = credit.tolist()
        return found

    def _credit(self, each: Tensor, places: list[int]) -> Tensor:
        """Rewards of frames (G, F) -> of tokens: the mean from the token's frame on, (G, T)."""
        columns = [each[:, [j for j, p in enumerate(places) if p >= t]]
                   for t in range(self.horizon)]
        togo = [c.mean(1, keepdim=True) if c.shape[1] else each[:, :1] * 0 for c in columns]
        step = self.tokens + ACTION_TOKENS  # the actions after a frame share its value; unused
        return torch.cat([c.expand(-1, step) for c in togo], 1)[:, :self.max_new]

    def metrics(self, ids: list[int], clip: Clip) -> dict[str, float]:
        return self.measure([ids], [clip])[0]

    @torch.no_grad()
    def measure(self, answers: list[list[int]], some: list[Clip]) -> list[dict[str, float]]:
        """The reported numbers of each answer, means over its frames; see `metrics_video`.

        "repetition" is the criterion of the paper's code, see `repeats`.
        """
        found = []
        for ids, clip in zip(answers, some):
            codes = self.frame_codes(ids)                                       # (H, n)
            frames = self._decode(codes[None], [clip], list(range(self.horizon)))[0]
            found.append(self.judge(frames, clip) | {"repetition": float(self.repeats(ids, clip))})
        return found

    def repeats(self, ids: list[int], clip: Clip) -> bool:
        """Whether the last two frames (H = 1: the last and the current one) share all tokens."""
        codes = self.frame_codes(ids)
        before = codes[-2] if self.horizon > 1 else torch.tensor(clip.frame_ids[0])
        return bool((codes[-1] == before).all())

    def judge(self, frames: Tensor, clip: Clip) -> dict[str, float]:
        """Any predicted frames (H, 3, 64, 64) against the truth: means over frames, the LPIPS of
        each frame, motion, and the share of moving frames that hardly move in the prediction."""
        recorded = to_tensor(clip.frames(0, self.horizon))
        truth, before = recorded[1:], recorded[:-1]
        errors = frame_errors(frames[None], truth, self.lpips,
                              ("l1", "lpips", "mse", "psnr", "ssim"))
        moved = (truth - before).abs().mean((1, 2, 3))
        guess = (frames - torch.cat([before[:1], frames[:-1]])).abs().mean((1, 2, 3))
        row = {name: value.mean().item() for name, value in errors.items()}
        row |= {f"lpips_{t + 1}": v for t, v in enumerate(errors["lpips"][0].tolist())}
        moving = moved > MOVING
        still = (guess < 0.25 * moved)[moving]
        return row | {"motion": (guess.sum() / moved.sum().clamp(min=1e-6)).item(),
                      "still": still.float().mean().item() if moving.any() else 0.0}


MOVING = 0.002  # mean change of pixels, of 1, above which a frame counts as moving


def repetition(codes: Tensor, current: Tensor) -> Tensor:
    """Share of predicted frames with the same tokens as the frame before: (N, H, n) -> (N,)."""
    before = torch.cat([current.expand(len(codes), 1, -1).to(codes.dtype), codes[:, :-1]], 1)
    return (codes == before).all(-1).float().mean(1)


def copy_last(clip: Clip, horizon: int) -> Tensor:
    """The trivial prediction: the current frame again and again, (H, 3, 64, 64)."""
    return to_tensor(clip.frames(0, 0)).expand(horizon, -1, -1, -1)
