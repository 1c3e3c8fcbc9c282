"""Robot video: recorded episodes of three Meta-World tasks, 64x64 pixels, with actions and states.

What: `episodes(task, split)` gives the frames, actions, states and verdicts that ship with the
package. The clips are H.264; they are decoded once into a memory-mapped cache. Train, validation
and test differ in their *task seeds*, i.e. in where the drawer or the block starts, and
in every action. Almost half of the episodes fail, on purpose: a model that has only seen success
cannot judge a bad policy.
Source: RLVR-World section 6.1 and appendix A.4 (RT-1, 256x320 pixels, few failures).
Differs from the paper: a simulated arm, recorded by `tools/record_robot_video.py`.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rlvr_lite.paths import cache_folder, checked, data_folder

TASKS = ("drawer_open", "drawer_close", "push")
SPLITS = ("train", "validation", "test")
SIZE, FRAMES, ACTION_DIM = 64, 24, 4
STATE = ("hand_x", "hand_y", "hand_z", "grip", "object_x", "object_y", "object_z",
         "goal_x", "goal_y", "goal_z")
KINDS = ("expert", "noisy", "clumsy", "walk")
FOLDER = "robot_video"


@dataclass(frozen=True)
class Episodes:
    """E recorded episodes of one task and split.

    Attributes:
        task, split: which.
        frames: (E, 24, 64, 64, 3) uint8, memory-mapped; read-only.
        actions: (E, 23, 4) float32 in [-1, 1]; action t leads from frame t to frame t + 1.
        states: (E, 24, 10) float32, see `STATE`; metres.
        success: (E, 24) bool, Meta-World's verdict while that frame was reached.
        kind: (E,) index into `KINDS`, who acted.
        task_seed: (E,) number of the object position.
    """

    task: str
    split: str
    frames: np.ndarray
    actions: np.ndarray
    states: np.ndarray
    success: np.ndarray
    kind: np.ndarray
    task_seed: np.ndarray

    def __len__(self) -> int:
        return len(self.actions)


def episodes(task: str, split: str, folder: str | Path | None = None) -> Episodes:
    """The recorded episodes of a task.

    Args:
        task: one of `TASKS`.
        split: one of `SPLITS`.
        folder: where the recording lies; None: the one that ships with the package.

    Raises:
        ValueError: an unknown task or split, or a file that is not what was recorded.
        FileNotFoundError: the recording is not there.
    """
    if task not in TASKS or split not in SPLITS:
        raise ValueError(f"there are the tasks {', '.join(TASKS)} and the splits "
                         f"{', '.join(SPLITS)}; got {task!r}, {split!r}")
    folder = Path(folder) if folder else data_folder() / FOLDER
    clip, numbers = (folder / f"{task}_{split}.{kind}" for kind in ("mp4", "npz"))
    for path in (clip, numbers):
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; install the package again, or record it "
                                    "with tools/record_robot_video.py")
    checked(numbers)
    with np.load(numbers) as found:
        table = {name: found[name] for name in found.files}
    frames = _decoded(clip, checked(clip), len(table["actions"]))
    return Episodes(task, split, frames, **table)


def _decoded(clip: Path, digest: str, count: int) -> np.ndarray:
    """The frames of a clip, decoded once, then memory-mapped from the cache."""
    shape = (count, FRAMES, SIZE, SIZE, 3)
    cached = cache_folder() / FOLDER / f"{clip.stem}-{digest[:16]}.npy"
    if not cached.is_file():
        cached.parent.mkdir(parents=True, exist_ok=True)
        new = cached.with_name(f"{cached.stem}.{os.getpid()}.tmp.npy")
        np.save(new, decode_clip(clip))
        os.replace(new, cached)
    frames = np.load(cached, mmap_mode="r")
    if frames.size != math.prod(shape):
        raise ValueError(f"{clip} holds {frames.size // math.prod(shape[2:])} frames, not "
                         f"{count} x {FRAMES}")
    return frames.reshape(shape)


def decode_clip(path: str | Path) -> np.ndarray:
    """All frames of a clip, (N, 64, 64, 3) uint8."""
    import av

    with av.open(str(path)) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    return np.stack(frames)


def encode_clip(frames: np.ndarray, path: str | Path, crf: int = 18) -> None:
    """Write (N, 64, 64, 3) uint8 as H.264 without chroma subsampling; one keyframe an episode.

    With subsampled colour (4:2:0) the thin coloured fingers of the gripper would smear.
    """
    import av

    path = Path(path)
    new = path.with_name(f"{path.stem}.{os.getpid()}.tmp{path.suffix}")
    with av.open(str(new), "w") as clip:
        stream = clip.add_stream("libx264", rate=10)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.thread_count = "yuv444p", 1
        stream.options = {"crf": str(crf), "preset": "veryslow",
                          "x264-params": f"keyint={FRAMES}:min-keyint={FRAMES}:scenecut=0"}
        for image in frames:
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image),
                                                              format="rgb24")))
        clip.mux(stream.encode(None))
    os.replace(new, path)
