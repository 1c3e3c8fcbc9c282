"""Train the image policies and the read-outs, and record what the policies do in the simulator.

    pip install -e ".[video]"
    python tools/record_policy_rollouts.py             three tasks, one after the other, 25 minutes
    python tools/record_policy_rollouts.py --tasks push --only rollouts

Needs the video tokenizers (`make checkpoints`). Three parts for each task: `policies` (behaviour
cloning of the scripted expert on the training episodes; the four levels are updates of one run),
`readout`, and `rollouts` (the real simulator, from test starts that are in no recorded episode).
A part whose files are there is skipped; --force makes it again. One process per task: a renderer
belongs to its process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from project import write_checksums  # noqa: E402

from rlvr_lite.experiments_video import video_tokens  # noqa: E402
from rlvr_lite.paths import data_folder, write_npz  # noqa: E402
from rlvr_lite.policy_evaluation import (  # noqa: E402
    LAST,
    OUTSIDE,
    SCRIPTED,
    STEPS,
    decoded,
    make_readout,
    readout_errors,
    through_tokenizer,
)
from rlvr_lite.tasks.robot_policies import (  # noqa: E402
    FOLDER,
    LEVELS,
    chunks,
    clone,
    load_policy,
    path_of,
    save_network,
)
from rlvr_lite.tasks.robot_video import SKIP, VideoTokens  # noqa: E402
from rlvr_lite.worlds.robot_simulator import (  # noqa: E402
    FIRST_START,
    POLICIES,
    Actor,
    Simulator,
)
from rlvr_lite.worlds.robot_video import (  # noqa: E402
    KINDS,
    TASKS,
    encode_clip,
    episodes,
)

UPDATES = {  # of one training run: when each level is taken (chosen on validation starts)
    "drawer_open": (50, 150, 180, 1000),
    "drawer_close": (50, 230, 250, 1000),
    "push": (50, 800, 1400, 4000),
}
STARTS, KEPT = 40, 2                      # starts of each policy; of how many all frames ship
BESIDE = 0.09                             # metres that the hand works beside the object
STIFF = 1e5                               # damping that locks a joint
PARTS = ("policies", "readout", "rollouts")


# ---- policies and read-outs ------------------------------------------------------------------


def expert_labels(task: str) -> np.ndarray:
    """What the scripted expert would do in every recorded training state: (E, 23, 4)."""
    from metaworld import policies

    train, expert = episodes(task, "train"), getattr(policies, POLICIES[task])()
    found = np.zeros(train.actions.shape, dtype=np.float32)
    for place in np.ndindex(found.shape[:2]):
        state, seen = train.states[place].astype(float), np.zeros(39)
        seen[:7], seen[-3:] = state[:7], state[7:]
        found[place] = np.clip(expert.get_action(seen), -1, 1)
    return found


def make_policies(task: str, folder: Path) -> None:
    """Clone the expert, keep four levels; half of the frames went through the tokenizer."""
    train, labels = episodes(task, "train"), expert_labels(task)
    data = [np.concatenate(pair) for pair in zip(
        chunks(train, KINDS, labels),
        chunks(train, KINDS, labels, decoded(video_tokens(), train.frames)))]
    weights = clone(data, UPDATES[task][-1], UPDATES[task], log=say(task))
    for level, update in zip(LEVELS, UPDATES[task]):
        save_network(weights[update], path_of(task, level, folder), updates=update)


def make_judge(task: str, folder: Path) -> None:
    """Train the read-out and note its errors on test episodes in its file."""
    tokens = video_tokens()
    readout = make_readout(episodes(task, "train"), tokens, log=say(task))
    errors = readout_errors(readout, episodes(task, "test"), tokens)
    print(task, errors, flush=True)
    save_network(readout.state_dict(), path_of(task, "readout", folder), **errors)


def say(task: str):
    return lambda line: print(f"{task}: {line}", flush=True)


# ---- rollouts --------------------------------------------------------------------------------


class Shifted:
    """The scripted expert, which believes that the object is `BESIDE` metres further in x."""

    def __init__(self, task: str, seed: int):
        self.actor = Actor(task, "expert", seed)

    def act(self, observation: np.ndarray) -> np.ndarray:
        wrong = observation.copy()
        wrong[4] += BESIDE if observation[4] < 0 else -BESIDE
        wrong[-3] += BESIDE if observation[4] < 0 else -BESIDE
        return self.actor.act(wrong)


def lock(simulator: Simulator, locked: bool) -> None:
    """Make the joint of drawer or block so stiff that it does not move, or free it again."""
    model = simulator.env.model
    joints = [i for i in range(model.njnt)
              if not model.joint(i).name.startswith(("right_j", "r_close", "l_close"))]
    dofs = np.concatenate([model.jnt_dofadr[i] + np.arange(6 if model.jnt_type[i] == 0 else 1)
                           for i in joints])
    if not hasattr(simulator, "damping"):
        simulator.damping = model.dof_damping.copy()
    model.dof_damping[:] = simulator.damping
    if locked:
        model.dof_damping[dofs] = STIFF


def one_rollout(simulator: Simulator, name: str, task_seed: int, policy,
                tokens: VideoTokens | None = None) -> dict[str, np.ndarray]:
    """One episode of 23 frames with an image policy, or with the scripted actor `name`.

    With tokens, the policy sees every frame through the tokenizer.
    """
    task, seed = simulator.task, 10 * task_seed + TASKS.index(simulator.task)
    if policy is None:
        actor = Shifted(task, seed) if name == "beside" else Actor(
            task, name if name in SCRIPTED else "expert", seed)
    lock(simulator, name == "locked")
    frame, state = simulator.reset(task_seed)
    frames, states, actions, verdicts = [frame], [state], [], [False]
    for step in range(LAST):
        if policy is not None and step % SKIP == 0:
            seen = frame[None] if tokens is None else through_tokenizer(
                tokens, frame[None], frames[:1])
            chunk = policy.act(seen, state[None, 7:10])[0]
        action = chunk[step % SKIP] if policy is not None else actor.act(simulator.observation)
        actions.append(np.float16(np.clip(action, -1, 1)))
        frame, state, done = simulator.step(actions[-1])
        frames.append(frame)
        states.append(state)
        verdicts.append(done)
    return {"frames": np.stack(frames[::SKIP]), "states": np.stack(states[::SKIP]),
            "actions": np.stack(actions), "success": verdicts[-1], "ever": any(verdicts)}


def make_rollouts(task: str, folder: Path, starts: int) -> None:
    """All policies from the same starts; a table and a clip."""
    simulator, tokens, rows = Simulator(task), video_tokens(), {}
    for name in (*LEVELS, *SCRIPTED, *OUTSIDE):
        policy = load_policy(task, name, folder) if name in LEVELS else None
        rows[name] = [one_rollout(simulator, name, FIRST_START + i, policy)
                      for i in range(starts)]
        for i, row in enumerate(rows[name]):
            row["blurred"] = row["success"] if policy is None else one_rollout(
                simulator, name, FIRST_START + i, policy, tokens)["success"]
        print(f"{task} {name}: " + ", ".join(
            f"{field} {np.mean([r[field] for r in rows[name]]):.0%}"
            for field in ("success", "blurred")), flush=True)
    lock(simulator, False)
    kept = min(KEPT, starts)
    stack = lambda field: np.stack([[r[field] for r in row] for row in rows.values()])  # noqa: E731
    frames, states = stack("frames"), stack("states")
    clip = np.concatenate([frames[0, :, 0], frames[:, :, STEPS].reshape(-1, *frames.shape[3:]),
                           frames[:, :kept].reshape(-1, *frames.shape[3:])])
    encode_clip(clip, folder / f"{task}_rollouts.mp4", crf=20)
    write_npz(folder / f"{task}_rollouts.npz", {
        "names": np.array(list(rows)), "kept": kept,
        "task_seed": np.arange(FIRST_START, FIRST_START + starts, dtype=np.int32),
        "goals": states[0, :, 0, 7:10], "states": states.astype(np.float32),
        **{name: stack(name) for name in ("actions", "success", "ever", "blurred")}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--starts", type=int, default=STARTS)
    parser.add_argument("--out", type=Path, default=data_folder() / FOLDER)
    parser.add_argument("--force", action="store_true", help="make again what is there")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    if len(chosen.tasks) > 1:  # one process per task: a renderer belongs to its process
        for task in chosen.tasks:
            if subprocess.run([sys.executable, __file__, "--tasks", task, "--only", *chosen.only,
                               "--starts", str(chosen.starts), "--out", chosen.out,
                               *["--force"] * chosen.force], env=os.environ).returncode:
                sys.exit(f"{task} failed; its message stands above")
        return
    task = chosen.tasks[0]
    parts = {"policies": (path_of(task, LEVELS[-1], chosen.out), make_policies),
             "readout": (path_of(task, "readout", chosen.out), make_judge),
             "rollouts": (chosen.out / f"{task}_rollouts.npz",
                          lambda *a: make_rollouts(*a, chosen.starts))}
    for part in chosen.only:
        path, make = parts[part]
        if chosen.force or not path.is_file():
            make(task, chosen.out)
    write_checksums(chosen.out, ".mp4", ".npz")


if __name__ == "__main__":
    main()
