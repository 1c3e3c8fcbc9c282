"""A synthetic world for unit tests only: coloured squares that move with the actions.

Made in memory in milliseconds, of the same form as `robot_video.episodes`; it needs no data, no
simulator and no codec.
"""

from __future__ import annotations

import numpy as np

from rlvr_lite.worlds.robot_video import ACTION_DIM, FRAMES, SIZE, STATE, Episodes

COLOURS = ((220, 40, 40), (40, 200, 60), (50, 80, 230))


def episodes(count: int = 4, seed: int = 0, split: str = "train") -> Episodes:
    """`count` episodes: the first two numbers of an action move a square of 12 x 12 pixels."""
    rng = np.random.default_rng([seed, count])
    frames = np.full((count, FRAMES, SIZE, SIZE, 3), 120, np.uint8)
    frames += (10 * np.arange(SIZE) // SIZE).astype(np.uint8)[:, None, None]
    actions = rng.uniform(-1, 1, (count, FRAMES - 1, ACTION_DIM)).astype(np.float32)
    states = np.zeros((count, FRAMES, len(STATE)), np.float32)
    for i in range(count):
        place = rng.uniform(12, 52, 2)
        for t in range(FRAMES):
            row, column = np.clip(place, 6, SIZE - 6).astype(int)
            frames[i, t, row - 6:row + 6, column - 6:column + 6] = COLOURS[i % len(COLOURS)]
            states[i, t, :2] = row / SIZE, column / SIZE
            if t < FRAMES - 1:
                place = np.clip(place + 6 * actions[i, t, :2], 6, SIZE - 6)
    frames.flags.writeable = False
    return Episodes("push", split, frames, actions, states, np.zeros((count, FRAMES), bool),
                    np.zeros(count, np.int8), np.arange(count, dtype=np.int32))
