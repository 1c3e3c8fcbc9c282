"""The recorder: its bookkeeping with a false simulator, its pictures with the real one."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import record_robot_video as recorder
from rlvr_lite.paths import data_folder
from rlvr_lite.worlds import robot_simulator
from rlvr_lite.worlds.robot_video import FOLDER, FRAMES, KINDS, SPLITS, TASKS, episodes

ROOT = Path(__file__).resolve().parent.parent
MISSING = [n for n in ("metaworld", "mujoco") if importlib.util.find_spec(n) is None]
needs_simulator = pytest.mark.skipif(bool(MISSING), reason=(
    f"{' and '.join(MISSING)} not installed: pip install 'rlvr-lite[video]' runs these tests"))


class FalseSimulator:
    """Frames whose brightness tells seed and step; counts how many it was asked for."""

    made = 0

    def __init__(self, task: str):
        self.task = task

    def reset(self, task_seed):
        self.seed, self.t = task_seed, 0
        type(self).made += 1
        return self._frame(), self._state()

    def step(self, action):
        assert action.shape == (4,)
        self.t += 1
        return self._frame(), self._state(), self.t >= 20 and self.seed % 2 == 0

    def _frame(self):
        return np.full((64, 64, 3), (self.seed % 50) * 4 + self.t, np.uint8)

    def _state(self):
        self.observation = np.full(39, float(self.t))
        return np.full(10, self.seed + self.t / 100, np.float32)


class FalseActor:
    def __init__(self, task, kind, seed):
        self.rng = np.random.default_rng(seed)

    def act(self, observation):
        return np.round(self.rng.uniform(-1, 1, 4), 3).astype(np.float32)


@pytest.fixture
def false(monkeypatch, tmp_path):
    monkeypatch.setattr(recorder, "Simulator", FalseSimulator)
    monkeypatch.setattr(recorder, "Actor", FalseActor)
    monkeypatch.setattr(FalseSimulator, "made", 0)
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path / "cache"))
    for name in ("parts", "out"):
        (tmp_path / name).mkdir()
    return tmp_path


def record(folder: Path, **counts) -> None:
    recorder.record_task("push", counts, folder / "parts", folder / "out")
    recorder.write_checksums(folder / "out", ".mp4", ".npz")


# ---- without a simulator ---------------------------------------------------------------------


def test_who_acts():
    """Of 20 episodes 5 experts, 6 with some noise, 6 with much, 3 random walks."""
    assert np.bincount(recorder.CYCLE).tolist() == [5, 6, 6, 3] and len(KINDS) == 4


def test_seeds_of_the_splits_lie_apart():
    """Also where ten times as much is recorded: a split has room for 50,000 episodes."""
    starts = [recorder.FIRST_SEED[s] * recorder.TASKS_PER_SEED for s in SPLITS]
    assert starts == [0, 50_000, 100_000]


def test_an_episode_by_hand(false):
    simulator = FalseSimulator("push")
    found = recorder.record_episode(simulator, "validation", 3)
    assert found["task_seed"] == 50_003 and found["kind"] == recorder.CYCLE[3]
    assert found["frames"].shape == (FRAMES, 64, 64, 3) and found["actions"].shape == (23, 4)
    assert found["frames"][:, 0, 0, 0].tolist() == [12 + t for t in range(24)]
    np.testing.assert_allclose(found["states"][:, 0], 50_003 + np.arange(24) / 100, rtol=1e-6)
    assert not found["success"].any()
    assert recorder.record_episode(simulator, "validation", 4)["success"].sum() == 4
    again = recorder.record_episode(FalseSimulator("push"), "validation", 3)
    assert all(np.array_equal(found[n], again[n]) for n in found)
    other = recorder.record_episode(FalseSimulator("drawer_open"), "validation", 3)
    assert not np.array_equal(found["actions"], other["actions"]), "tasks do not share noise"


def test_what_is_written_can_be_loaded(false):
    record(false, train=25, test=3)
    assert sorted(p.name for p in (false / "out").iterdir()) == [
        "push_test.mp4", "push_test.npz", "push_train.mp4", "push_train.npz", "sha256.txt"]
    found = episodes("push", "train", false / "out")
    assert found.frames.shape == (25, 24, 64, 64, 3) and len(found) == 25
    assert found.task_seed.tolist() == list(range(25))
    assert found.kind.tolist() == [recorder.CYCLE[i % 20] for i in range(25)]
    expected = (np.arange(25) * 4)[:, None] + np.arange(24)
    assert np.abs(found.frames.mean((2, 3, 4)) - expected).max() < 3
    assert found.success[:, -1].tolist() == [i % 2 == 0 for i in range(25)]
    assert episodes("push", "test", false / "out").task_seed.tolist() == [100_000, 100_001,
                                                                          100_002]


def test_a_stopped_run_goes_on(false, monkeypatch, tmp_path):
    """Stopped after one part of two: the second run records the second part only."""
    record(false, train=30)
    whole = {p.name: p.read_bytes() for p in (false / "out").iterdir()}
    for folder in ("parts", "out"):
        for path in (false / folder).iterdir():
            path.unlink()
    episode = recorder.record_episode

    def stop(simulator, split, number):
        if number == 22:
            raise KeyboardInterrupt
        return episode(simulator, split, number)

    monkeypatch.setattr(recorder, "record_episode", stop)
    with pytest.raises(KeyboardInterrupt):
        record(false, train=30)
    assert [p.name for p in (false / "parts").iterdir()] == ["push_train_00000.npz"]
    assert not list((false / "out").iterdir())
    monkeypatch.setattr(recorder, "record_episode", episode)
    FalseSimulator.made = 0
    record(false, train=30)
    assert FalseSimulator.made == 10, "episodes 20 to 29"
    assert {p.name: p.read_bytes() for p in (false / "out").iterdir()} == whole
    FalseSimulator.made = 0
    record(false, train=30)
    assert FalseSimulator.made == 0


def test_a_part_of_a_smaller_recording_is_not_reused(false):
    record(false, train=5)
    record(false, train=30)
    assert len(episodes("push", "train", false / "out")) == 30


def test_checksums_leave_out_files_under_way(tmp_path):
    for name in ("push_test.npz", "push_test.mp4", "push_test.77.tmp.mp4", "push_test.tmp.npz"):
        (tmp_path / name).write_bytes(name.encode())
    recorder.write_checksums(tmp_path, ".mp4", ".npz")
    lines = dict(line.split()[::-1] for line in
                 (tmp_path / "sha256.txt").read_text().splitlines())
    assert lines == {n: hashlib.sha256(n.encode()).hexdigest()
                     for n in ("push_test.npz", "push_test.mp4")}
    assert len(list(tmp_path.iterdir())) == 5


def test_the_command_says_what_it_can_do():
    answer = subprocess.run([sys.executable, recorder.__file__, "--tasks", "fly"],
                            capture_output=True, text=True)
    assert answer.returncode == 2 and "--validation" in answer.stderr
    assert "invalid choice: 'fly'" in answer.stderr and "drawer_open" in answer.stderr


def test_simulator_refuses_what_it_cannot_do(monkeypatch):
    with pytest.raises(ValueError, match="drawer_open"):
        robot_simulator.Simulator("fly")
    monkeypatch.setattr(robot_simulator.Simulator, "_first", "push")
    with pytest.raises(ValueError, match="one process per task"):
        robot_simulator.Simulator("drawer_open")
    with pytest.raises(ValueError, match="expert, noisy, clumsy, walk"):
        robot_simulator.Actor("push", "drunk", 0)


def test_without_the_simulator_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(robot_simulator.Simulator, "_first", None)
    for name in ("metaworld", "mujoco"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    with pytest.raises(ImportError, match=r"rlvr-lite\[video\]"):
        robot_simulator.Simulator("push")
    assert robot_simulator.Simulator._first is None, "a failed start does not claim the process"


# ---- with the simulator ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def off_screen():
    """Skip where MuJoCo is installed but no off-screen OpenGL is."""
    environment = os.environ | {"MUJOCO_GL": os.environ.get("MUJOCO_GL", "osmesa")}
    answer = subprocess.run([sys.executable, "-c", "import mujoco; mujoco.GLContext(8, 8)"],
                            capture_output=True, text=True, env=environment)
    if answer.returncode:
        pytest.skip("MuJoCo finds no off-screen OpenGL (libosmesa6, or MUJOCO_GL=egl): "
                    + (answer.stderr.strip().splitlines() or ["no message"])[-1])
    return environment


def run_recorder(environment, task: str, folder: Path, *counts: str) -> Path:
    command = [sys.executable, recorder.__file__, "--tasks", task, *counts,
               "--out", folder / "out", "--parts", folder / "parts"]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr[-2000:]
    return folder / "out"


@needs_simulator
@pytest.mark.parametrize("task", TASKS)
def test_the_recording_can_be_repeated(task, off_screen, tmp_path, monkeypatch):
    """A run gives the numbers of what ships, and (of one task: it is slow) the same bytes."""
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path / "cache"))
    counts = ("--train", "0", "--validation", "2", "--test", "1")
    runs = "ab" if task == "push" else "a"
    outs = [run_recorder(off_screen, task, tmp_path / name, *counts) for name in runs]
    files = [{p.name: p.read_bytes() for p in out.iterdir()} for out in outs]
    assert files[0] == files[-1] and len(files[0]) == 5
    for split, count in (("validation", 2), ("test", 1)):
        found = episodes(task, split, outs[0])
        with np.load(data_folder() / FOLDER / f"{task}_{split}.npz") as shipped:
            assert np.array_equal(found.actions, shipped["actions"][:count])
            assert np.abs(found.states - shipped["states"][:count]).max() < 1e-3
            for name in ("success", "kind", "task_seed"):
                assert np.array_equal(getattr(found, name), shipped[name][:count]), name
    known = episodes(task, "validation").frames[:2].astype(float)
    gap = np.square(known - episodes(task, "validation", outs[0]).frames).mean()
    assert 10 * np.log10(255 ** 2 / gap) > 34, "the same pictures, up to the codec"


@needs_simulator
def test_success_is_the_verdict_of_this_frame(off_screen):
    """The flag is not carried over: an expert's last frames are judged on their own."""
    code = """
import numpy as np
from rlvr_lite.worlds.robot_simulator import Actor, Simulator
simulator = Simulator("drawer_close")
actor = Actor("drawer_close", "expert", 0)
simulator.reset(7)
flags = [simulator.step(actor.act(simulator.observation))[2] for _ in range(23)]
assert any(flags) and not flags[0], flags
simulator.reset(7)
assert not simulator.step(np.zeros(4))[2]
try:
    simulator.step(np.zeros(3))
except ValueError as error:
    print(error)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            env=off_screen | {"PYTHONPATH": str(ROOT)})
    assert "an action has 4 numbers" in answer.stdout, answer.stderr[-2000:]
