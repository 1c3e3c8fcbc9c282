"""Record the robot episodes that ship with the package, from the real simulator.

    pip install -e ".[video]"          Meta-World, MuJoCo; a software OpenGL (libosmesa6) is enough
    python tools/record_robot_video.py            three tasks, one process each, about ten minutes
    python tools/record_robot_video.py --tasks push --train 9 --validation 2 --test 2 --out build/x

Reproducible: an episode depends on its task, split and number only, and two runs give the same
frames. A run that was stopped goes on where it was (parts lie in build/robot_video).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from project import write_checksums  # noqa: E402

from rlvr_lite.paths import write_npz  # noqa: E402
from rlvr_lite.worlds.robot_simulator import TASKS_PER_SEED, Actor, Simulator  # noqa: E402
from rlvr_lite.worlds.robot_video import (  # noqa: E402
    FOLDER,
    FRAMES,
    KINDS,
    SPLITS,
    TASKS,
    encode_clip,
)

FIRST_SEED = {"train": 0, "validation": 1000, "test": 2000}  # in Meta-World seeds: never shared
# 20 episodes: a quarter experts, then two levels of noise, and random walks
CYCLE = [KINDS.index(k) for k in ("expert", "noisy", "clumsy", "noisy", "expert", "clumsy", "walk",
                                  "noisy", "clumsy", "expert", "noisy", "clumsy", "walk", "noisy",
                                  "clumsy", "expert", "noisy", "clumsy", "walk", "expert")]
PART = 20  # episodes per file of a run under way
FIELDS = ("frames", "actions", "states", "success", "kind", "task_seed")


def record_episode(simulator: Simulator, split: str, number: int) -> dict[str, np.ndarray]:
    """One episode of 24 frames; depends on task, split and number only."""
    task_seed = FIRST_SEED[split] * TASKS_PER_SEED + number
    kind = CYCLE[number % len(CYCLE)]
    noise = 10 * task_seed + TASKS.index(simulator.task)
    actor = Actor(simulator.task, KINDS[kind], noise)
    frame, state = simulator.reset(task_seed)
    frames, states, actions, success = [frame], [state], [], [False]
    while len(frames) < FRAMES:
        actions.append(actor.act(simulator.observation))
        frame, state, done = simulator.step(actions[-1])
        frames.append(frame)
        states.append(state)
        success.append(done)
    return {"frames": np.stack(frames), "actions": np.stack(actions), "states": np.stack(states),
            "success": np.array(success), "kind": np.int8(kind), "task_seed": np.int32(task_seed)}


def record_task(task: str, counts: dict[str, int], parts: Path, out: Path) -> None:
    """All splits of a task; finished parts are kept."""
    simulator, start, made = None, time.time(), 0
    total, done = sum(counts.values()), 0
    for split, count in counts.items():
        files = []
        for first in range(0, count, PART):
            path = parts / f"{task}_{split}_{first:05}.npz"
            files.append(path)
            numbers = range(first, min(first + PART, count))
            done += len(numbers)
            if path.is_file() and len(np.load(path)["kind"]) == len(numbers):
                continue
            simulator = simulator or Simulator(task)
            rows = [record_episode(simulator, split, n) for n in numbers]
            made += len(rows)
            new = path.with_suffix(".tmp.npz")
            np.savez(new, **{name: np.stack([row[name] for row in rows]) for name in FIELDS})
            os.replace(new, path)
            print(f"{task} {split}: {done}/{total} episodes, "
                  f"{made / (time.time() - start):.1f} a second", flush=True)
        write_split(task, split, files, out)


def write_split(task: str, split: str, files: list[Path], out: Path) -> None:
    """The parts of a split as one clip and one table."""
    parts = [np.load(path) for path in files]
    table = {name: np.concatenate([part[name] for part in parts]) for name in FIELDS}
    frames = table.pop("frames")
    encode_clip(frames.reshape(-1, *frames.shape[2:]), out / f"{task}_{split}.mp4")
    write_npz(out / f"{task}_{split}.npz", table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    for split, count in zip(SPLITS, (320, 40, 60)):
        parser.add_argument(f"--{split}", type=int, default=count, help="episodes of each task")
    parser.add_argument("--out", type=Path, default=ROOT / "rlvr_lite" / "data" / FOLDER)
    parser.add_argument("--parts", type=Path, default=ROOT / "build" / FOLDER)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    chosen = parser.parse_args()
    counts = {split: getattr(chosen, split) for split in SPLITS if getattr(chosen, split)}
    chosen.out.mkdir(parents=True, exist_ok=True)
    chosen.parts.mkdir(parents=True, exist_ok=True)
    if len(chosen.tasks) == 1:
        record_task(chosen.tasks[0], counts, chosen.parts, chosen.out)
    else:  # one process per task: a renderer belongs to its process
        waiting, running = list(chosen.tasks), []
        while waiting or running:
            while waiting and len(running) < chosen.jobs:
                running.append(subprocess.Popen(
                    [sys.executable, __file__, "--tasks", waiting.pop(0), "--out", chosen.out,
                     "--parts", chosen.parts, *(f"--{s}={n}" for s, n in counts.items())]))
            if running.pop(0).wait():
                sys.exit("a recorder process failed; its message stands above")
    write_checksums(chosen.out, ".mp4", ".npz")


if __name__ == "__main__":
    main()
