"""Small networks that look at one frame: image policies, and the read-out of positions.

What: an `ImagePolicy` finds hand and object in a picture, and from their positions and the goal
decides on the two actions until the next frame of the world model. It is cloned from recordings,
    loss = |seen - positions|^2 + |policy(positions, goal) - actions|^2
A `ReadOut` gives the positions of hand and object in metres: the judge of a frame that exists
only as pixels.
Source: RLVR-World section 6.4 evaluates RT-1 at several stages of its training.
Differs from the paper: policies of 50 thousand weights, one per task; a read-out for the human.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from rlvr_lite.paths import data_folder
from rlvr_lite.tasks.robot_video import SKIP
from rlvr_lite.tokenizers.frames import to_tensor
from rlvr_lite.worlds.robot_video import ACTION_DIM, KINDS, SIZE, STATE, Episodes

LEVELS = ("begin", "early", "mid", "converged")
FOLDER = "policies"
BLUR = 0.03  # noise on positions while a policy is cloned, in units of `to_unit`: about 3 mm
MIDDLE, SPREAD = (0.0, 0.70, 0.15), (0.10, 0.12, 0.10)  # of positions in the workspace, metres


def to_unit(positions: Tensor) -> Tensor:
    """Positions (..., 3k) in metres -> about -1 ... 1."""
    times = positions.shape[-1] // 3
    middle, spread = positions.new_tensor(MIDDLE * times), positions.new_tensor(SPREAD * times)
    return (positions - middle) / spread


class Eye(nn.Module):
    """Frames (N, 3, 64, 64) in [0, 1] -> 64 features. It keeps the place of what it sees."""

    size = 64

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 24, 8, 4, 2), nn.GroupNorm(4, 24), nn.SiLU(),          # (N, 24, 16, 16)
            nn.Conv2d(24, 32, 3, padding=1), nn.GroupNorm(4, 32), nn.SiLU(),
            nn.Conv2d(32, 32, 3, 2, 1), nn.GroupNorm(4, 32), nn.SiLU(),         # (N, 32, 8, 8)
            nn.Conv2d(32, 8, 1), nn.SiLU(), nn.Flatten(),                       # (N, 512)
            nn.Linear(512, self.size), nn.SiLU())

    def forward(self, frames: Tensor) -> Tensor:
        return self.layers(2 * frames - 1)


def head(before: int, after: int, width: int = 64) -> nn.Sequential:
    """Three layers on top of the eye."""
    return nn.Sequential(nn.Linear(before, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
                         nn.Linear(width, after))


class ImagePolicy(nn.Module):
    """One frame and the goal position -> the `SKIP` actions until the next frame.

    Between eye and hand lie six numbers, the positions of hand and object.
    """

    def __init__(self):
        super().__init__()
        self.eye = Eye()
        self.where = head(self.eye.size, 6)
        self.head = head(9, SKIP * ACTION_DIM, 128)

    def forward(self, frames: Tensor, goals: Tensor) -> Tensor:
        """Frames (N, 3, 64, 64) in [0, 1], goals (N, 3) in metres -> (N, SKIP, 4)."""
        return self.decide(self.look(frames), goals)

    def look(self, frames: Tensor) -> Tensor:
        """Where hand and object are, (N, 6) in the units of `to_unit`."""
        return self.where(self.eye(frames))

    def decide(self, seen: Tensor, goals: Tensor) -> Tensor:
        """What `look` has found (N, 6), goals (N, 3) in metres -> (N, SKIP, 4)."""
        found = self.head(torch.cat([seen, to_unit(goals)], 1))
        return found.unflatten(1, (SKIP, ACTION_DIM))

    @torch.no_grad()
    def act(self, frames: np.ndarray, goals: np.ndarray, step: int = 0) -> np.ndarray:
        """Frames (N, 64, 64, 3) uint8, goals (N, 3) -> actions (N, SKIP, 4) in [-1, 1]."""
        goals = torch.as_tensor(np.asarray(goals, dtype=np.float32))
        found = self(to_tensor(np.ascontiguousarray(frames)), goals)
        return found.clamp(-1, 1).numpy()


class ReadOut(nn.Module):
    """One frame -> positions of the hand and of the object, metres."""

    def __init__(self):
        super().__init__()
        self.eye = Eye()
        self.head = head(self.eye.size, 6)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, 3, 64, 64) in [0, 1] -> (N, 6): hand x y z, object x y z."""
        found = self.head(self.eye(frames))
        return found * found.new_tensor(SPREAD * 2) + found.new_tensor(MIDDLE * 2)

    @torch.no_grad()
    def read(self, frames: np.ndarray, batch: int = 256) -> np.ndarray:
        """Frames (..., 64, 64, 3) uint8 -> (..., 6) metres."""
        flat = np.asarray(frames).reshape(-1, SIZE, SIZE, 3)
        parts = [self(to_tensor(flat[at:at + batch])) for at in range(0, len(flat), batch)]
        return torch.cat(parts).numpy().reshape(*np.shape(frames)[:-3], 6)


# ---------------------------------------------------------------- training
def positions_of(states: np.ndarray) -> np.ndarray:
    """States (..., 10) -> positions of hand and object (..., 6), metres."""
    return np.concatenate([states[..., :3], states[..., 4:7]], -1)


def chunks(episodes: Episodes, kinds: tuple[str, ...] = ("expert", "noisy"),
           labels: np.ndarray | None = None,
           frames: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """What a policy is cloned from.

    Args:
        episodes: of the training split.
        kinds: whose episodes.
        labels: (E, 23, 4) actions to imitate; None: the recorded ones.
        frames: (E, 24, 64, 64, 3) to see, e.g. as a tokenizer shows them; None: as recorded.

    Returns:
        frames (M, 64, 64, 3) uint8, goals (M, 3), actions (M, SKIP, 4), positions (M, 6).
    """
    chosen = np.isin(episodes.kind, [KINDS.index(k) for k in kinds])
    actions = (episodes.actions if labels is None else labels)[chosen]       # (E, 23, 4)
    last = actions.shape[1] - SKIP + 1
    frames = (episodes.frames if frames is None else frames)[chosen][:, :last]
    pairs = np.stack([actions[:, i:last + i] for i in range(SKIP)], 2)       # (E, last, SKIP, 4)
    states = episodes.states[chosen][:, :last].reshape(-1, len(STATE))
    return (frames.reshape(-1, SIZE, SIZE, 3), states[:, 7:10],
            pairs.reshape(-1, SKIP, ACTION_DIM), positions_of(states))


def fit_network(network: nn.Module, loss, size: int, steps: int, lr: float = 2e-3, batch: int = 64,
        seed: int = 0, keep: tuple[int, ...] = (), log=None) -> dict[int, dict[str, Tensor]]:
    """AdamW with a cosine; the same loop for policies and read-outs.

    Args:
        network: trained in place.
        loss: function(rows) -> scalar, `rows` an array of places in the data.
        size: how many rows the data has.
        steps, lr, batch, seed: of the training.
        keep: updates after which the weights are kept.
        log: gets one line every 250 updates.

    Returns:
        update -> weights, for those in `keep`.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1, (s + 1) / 50) * (
        0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * s / steps))))
    kept, recent, start = {}, [], time.process_time()
    for step in range(steps + 1):
        if step in keep:
            kept[step] = {k: v.detach().clone() for k, v in network.state_dict().items()}
        if step == steps:
            break
        found = loss(np.random.default_rng([seed, step]).integers(0, size, batch))
        optimizer.zero_grad()
        found.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        recent.append(found.item())
        if log and (step + 1) % 250 == 0:
            log(f"update {step + 1}: loss {np.mean(recent[-250:]):.5f}, "
                f"{time.process_time() - start:.0f} CPU s")
    network.eval()
    return kept


def fresh(kind: type[nn.Module], seed: int) -> nn.Module:
    """An untrained network; the global generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind()


def clone(data: tuple[np.ndarray, ...], steps: int, keep: tuple[int, ...],
          seed: int = 0, log=None) -> dict[int, dict[str, Tensor]]:
    """Behaviour cloning: a policy's weights after each of the updates in `keep`.

    The eye learns where hand and object are; the head learns what is done there, from the true
    positions with a little noise, because it will have to live with the errors of the eye.

    Args:
        data: from `chunks`.
        steps: of the whole training.
        keep: updates to keep.
        seed: of weights and batches.
        log: gets progress lines.

    Raises:
        ValueError: no data, or a number in `keep` beyond `steps`.
    """
    frames, goals, actions, positions = data
    if not len(frames) or not all(0 <= k <= steps for k in keep):
        raise ValueError(f"clone needs data and keep within 0 ... {steps}; got {len(frames)} "
                         f"frames and {keep}")
    policy = fresh(ImagePolicy, seed)
    goals, actions, positions = (torch.as_tensor(z, dtype=torch.float32)
                                 for z in (goals, actions, to_unit(torch.as_tensor(positions))))
    generator = torch.Generator().manual_seed(seed)

    def loss(rows):
        seen = nn.functional.smooth_l1_loss(policy.look(to_tensor(frames[rows])),
                                            positions[rows], beta=0.1)
        some = torch.randint(len(goals), (512,), generator=generator)
        noise = BLUR * torch.randn(512, 6, generator=generator)
        done = policy.decide(positions[some] + noise, goals[some])
        return seen + (done - actions[some]).pow(2).mean()
    return fit_network(policy, loss, len(frames), steps, keep=keep, seed=seed, log=log)


def train_readout(frames: np.ndarray, positions: np.ndarray, steps: int, seed: int = 0,
                  log=None) -> ReadOut:
    """Regress positions from frames, recorded ones and ones that went through a tokenizer.

    Args:
        frames: (M, 64, 64, 3) uint8.
        positions: (M, 6) hand and object, metres.
        steps, seed, log: as in `fit_network`.
    """
    network = fresh(ReadOut, seed)
    positions = torch.as_tensor(positions, dtype=torch.float32)

    def loss(rows):
        gap = to_unit(network(to_tensor(frames[rows]))) - to_unit(positions[rows])
        return nn.functional.smooth_l1_loss(gap, torch.zeros_like(gap), beta=0.1)
    fit_network(network, loss, len(frames), steps, seed=seed, log=log)
    return network


# ---------------------------------------------------------------- files
def path_of(task: str, what: str, folder: str | Path | None = None) -> Path:
    """`<folder>/<task>_<what>.safetensors`; None: what ships with the package."""
    return (Path(folder) if folder else data_folder() / FOLDER) / f"{task}_{what}.safetensors"


def save_network(weights: dict[str, Tensor], path: Path, **notes) -> None:
    """Weights in half precision, with notes (JSON values), written in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(f".{os.getpid()}.tmp")
    save_file({k: v.half().contiguous() for k, v in weights.items()}, new,
              {k: json.dumps(v) for k, v in notes.items()})
    os.replace(new, path)


def load_network(kind: type[nn.Module], path: str | Path):
    """Read what `save_network` wrote, frozen; its notes are in `.notes`.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is missing; tools/record_policy_rollouts.py makes it")
    network = kind()
    with safe_open(str(path), "pt") as found:
        network.load_state_dict({k: found.get_tensor(k).float() for k in found.keys()})
        network.notes = {k: json.loads(v) for k, v in (found.metadata() or {}).items()}
    return network.eval().requires_grad_(False)


def load_policy(task: str, level: str, folder: str | Path | None = None) -> ImagePolicy:
    """The shipped policy of a task; `level` is one of `LEVELS`.

    Raises:
        ValueError: an unknown level.
        FileNotFoundError: it is not there.
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}; got {level!r}")
    return load_network(ImagePolicy, path_of(task, level, folder))


def load_readout(task: str, folder: str | Path | None = None) -> ReadOut:
    """The shipped read-out of a task."""
    return load_network(ReadOut, path_of(task, "readout", folder))
