"""The recorded robot episodes: what ships, whether pixels fit the numbers, the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

import synthetic_video
from rlvr_lite.paths import data_folder
from rlvr_lite.worlds import robot_video as world
from rlvr_lite.worlds.robot_video import KINDS, SPLITS, TASKS, decode_clip, encode_clip, episodes

FOLDER = data_folder() / world.FOLDER
COUNTS = {"train": 320, "validation": 40, "test": 60}
EVERY = [(task, split) for task in TASKS for split in SPLITS]


def table(task: str, split: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{task}_{split}.npz") as found:
        return {name: found[name] for name in found.files}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLVR_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def validation(cache):
    return {task: episodes(task, "validation") for task in TASKS}


def tiny_recording(folder: Path, count: int = 2) -> Path:
    """The synthetic episodes, written like the real ones, without checksums."""
    made = synthetic_video.episodes(count)
    folder.mkdir(exist_ok=True)
    encode_clip(made.frames.reshape(-1, 64, 64, 3), folder / "push_test.mp4")
    np.savez(folder / "push_test.npz", **{n: getattr(made, n) for n in (
        "actions", "states", "success", "kind", "task_seed")})
    return folder


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255 ** 2 / np.square(a.astype(float) - b).mean())


# ---- what ships ------------------------------------------------------------------------------


@pytest.mark.parametrize("task, split", EVERY)
def test_every_split_is_complete(task, split):
    """Counted without decoding: one packet a frame, a key frame at the start of each episode."""
    found, count = table(task, split), COUNTS[split]
    assert {n: v.shape for n, v in found.items()} == {
        "actions": (count, 23, 4), "states": (count, 24, 10), "success": (count, 24),
        "kind": (count,), "task_seed": (count,)}
    with av.open(str(FOLDER / f"{task}_{split}.mp4")) as clip:
        stream = clip.streams.video[0]
        assert (stream.width, stream.height, stream.pix_fmt) == (64, 64, "yuv444p")
        packets = sorted((p for p in clip.demux(stream) if p.size), key=lambda p: p.pts)
    assert len(packets) == count * 24
    assert [i for i, p in enumerate(packets) if p.is_keyframe] == list(range(0, count * 24, 24))
    for kind in ("mp4", "npz"):
        world.checked(FOLDER / f"{task}_{split}.{kind}")
    assert np.abs(found["actions"]).max() <= 1 and np.isfinite(found["states"]).all()
    assert found["actions"].std((0, 1)).min() > 0.1, "every dimension of the action is used"
    assert not found["success"][:, 0].any()


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_validation_split_loads(task, validation):
    found = validation[task]
    assert len(found) == 40 and found.frames.shape == (40, 24, 64, 64, 3)
    assert found.frames.dtype == np.uint8 and not found.frames.flags.writeable
    assert isinstance(found.frames, np.memmap)
    assert len(np.unique(found.frames[:, 0].reshape(40, -1), axis=0)) == 40
    assert 40 < found.frames.mean() < 215 and found.frames.std() > 25


def test_recording_is_small_and_every_file_has_its_checksum():
    files = {p.name: p for p in FOLDER.iterdir()}
    listed = {line.split()[1] for line in (FOLDER / "sha256.txt").read_text().splitlines()}
    assert listed == {f"{t}_{s}.{kind}" for t, s in EVERY for kind in ("mp4", "npz")}
    assert set(files) == listed | {"sha256.txt", "README.md"}
    assert sum(p.stat().st_size for p in files.values()) < 12e6


@pytest.mark.parametrize("task", TASKS)
def test_no_seed_is_shared_between_splits(task):
    seeds = {split: set(table(task, split)["task_seed"].tolist()) for split in SPLITS}
    assert all(len(seeds[split]) == COUNTS[split] for split in SPLITS)
    assert not seeds["train"] & seeds["validation"] and not seeds["test"] & seeds["train"]
    assert not seeds["validation"] & seeds["test"]
    actions = [{a.tobytes() for a in table(task, split)["actions"]} for split in SPLITS]
    assert not actions[0] & actions[2] and not actions[0] & actions[1]


def test_experts_succeed_and_almost_half_of_the_episodes_fail():
    success = {key: table(*key)["success"].any(1) for key in EVERY}
    for key, right in success.items():
        kind = table(*key)["kind"]
        share = [right[kind == k].mean() for k in range(len(KINDS))]
        assert share[0] == 1.0, f"an expert fails in {key}"
        assert share[2] < 1 and share[3] < 0.5, key
        assert 0.1 < 1 - right.mean() < 0.75, key
    failed = 1 - np.concatenate(list(success.values())).mean()
    assert 0.4 < failed < 0.5
    assert f"{100 * failed:.0f} % fail" in (FOLDER / "README.md").read_text()


# ---- pixels belong to the numbers ------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_pictures_move_when_the_hand_moves(task, validation):
    """Correlation over all transitions; one frame off to either side it is clearly lower."""
    found = validation[task]
    change = np.abs(np.diff(found.frames.astype(float), axis=1)).mean((2, 3, 4))
    hand = np.linalg.norm(np.diff(found.states[..., :3], axis=1), axis=-1)
    at = {shift: np.corrcoef(change[:, 1:-1].ravel(),
                             hand[:, 1 + shift:22 + shift].ravel())[0, 1] for shift in (-1, 0, 1)}
    assert at[0] > 0.4 and at[0] > max(at[-1], at[1]) + 0.05, at


def test_the_yellow_block_is_where_the_state_says(validation):
    found = validation["push"]
    first = found.frames[:, 0].astype(int)
    yellow = (first[..., 0] > 150) & (first[..., 1] > 120) & (first[..., 2] < 90)
    centre = np.array([np.argwhere(m).mean(0) for m in yellow])             # (40, 2) row, column
    place = np.c_[found.states[:, 0, 4:6], np.ones(40)]                     # x, y, 1
    fit = place @ np.linalg.lstsq(place, centre, rcond=None)[0]
    left = np.square(centre - fit).sum(0) / np.square(centre - centre.mean(0)).sum(0)
    assert (left < 0.03).all(), f"the plane of the table explains all but {left} of the places"


@pytest.mark.parametrize("task", TASKS)
def test_actions_move_the_hand(task, validation):
    """Dimension i of an action moves the hand along axis i."""
    found = validation[task]
    moved = np.diff(found.states[..., :3], axis=1).reshape(-1, 3)
    acted = found.actions[..., :3].reshape(-1, 3)
    for axis in range(3):
        with_all = [np.corrcoef(acted[:, other], moved[:, axis])[0, 1] for other in range(3)]
        assert np.argmax(with_all) == axis and with_all[axis] > 0.3, (axis, with_all)


# ---- codec -----------------------------------------------------------------------------------


def test_encoding_loses_little(validation, tmp_path):
    frames = validation["drawer_open"].frames[:2].reshape(-1, 64, 64, 3)
    encode_clip(frames, tmp_path / "a.mp4")
    found = decode_clip(tmp_path / "a.mp4")
    assert found.shape == frames.shape and found.dtype == np.uint8
    assert psnr(found, frames) > 34 and (tmp_path / "a.mp4").stat().st_size < 30_000
    encode_clip(frames, tmp_path / "b.mp4", crf=30)
    assert psnr(decode_clip(tmp_path / "b.mp4"), frames) < psnr(found, frames) - 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_thin_coloured_things_do_not_smear(tmp_path):
    """A red column of one pixel on blue keeps its colour (4:2:0 would halve it)."""
    frames = np.zeros((24, 64, 64, 3), np.uint8)
    frames[..., 2] = 200
    frames[:, 10:50, 31] = (220, 30, 30)
    encode_clip(frames, tmp_path / "a.mp4")
    gap = np.abs(decode_clip(tmp_path / "a.mp4")[:, 12:48, 29:34].astype(int)
                 - frames[:, 12:48, 29:34])
    assert gap.mean() < 8, "with 4:2:0 it is above 40"


# ---- loading ---------------------------------------------------------------------------------


def test_a_clip_is_decoded_once(cache, tmp_path, monkeypatch):
    folder = tiny_recording(tmp_path / "r")
    first = episodes("push", "test", folder)
    assert first.frames.shape == (2, 24, 64, 64, 3)
    assert psnr(np.asarray(first.frames), synthetic_video.episodes(2).frames) > 34
    monkeypatch.setattr(world, "decode_clip", lambda path: pytest.fail("decoded a second time"))
    again = episodes("push", "test", folder)
    assert np.array_equal(first.frames, again.frames) and again.success.dtype == bool
    assert not list(cache.rglob("*.tmp*"))


def test_another_clip_of_the_same_name_is_decoded_anew(cache, tmp_path):
    first = episodes("push", "test", tiny_recording(tmp_path / "r", 2))
    second = episodes("push", "test", tiny_recording(tmp_path / "r", 3))
    assert (len(first), len(second)) == (2, 3)


def test_a_killed_decoding_leaves_no_half_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path / "c"))
    folder, save = tiny_recording(tmp_path / "r"), np.save

    def half(path, frames):
        save(path, frames[:1])
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", half)
    with pytest.raises(KeyboardInterrupt):
        episodes("push", "test", folder)
    monkeypatch.setattr(np, "save", save)
    assert episodes("push", "test", folder).frames.shape[0] == 2


@pytest.mark.parametrize("kind", ["mp4", "npz"])
def test_a_damaged_file_is_refused(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path / "c"))
    for name in ("push_validation.mp4", "push_validation.npz", "sha256.txt"):
        shutil.copy(FOLDER / name, tmp_path / name)
    path = tmp_path / f"push_validation.{kind}"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"push_validation.{kind} is damaged"):
        episodes("push", "validation", tmp_path)


def test_clips_and_numbers_must_fit(cache, tmp_path):
    folder = tiny_recording(tmp_path / "r", 2)
    shutil.copy(tiny_recording(tmp_path / "s", 3) / "push_test.npz", folder)
    with pytest.raises(ValueError, match="holds 48 frames, not 3 x 24"):
        episodes("push", "test", folder)


@pytest.mark.parametrize("kind", ["mp4", "npz"])
def test_a_missing_file_says_what_to_do(kind, tmp_path):
    folder = tiny_recording(tmp_path / "r")
    (folder / f"push_test.{kind}").unlink()
    with pytest.raises(FileNotFoundError, match="tools/record_robot_video.py"):
        episodes("push", "test", folder)


@pytest.mark.parametrize("task, split", [("fly", "test"), ("push", "holdout")])
def test_unknown_tasks_and_splits(task, split):
    with pytest.raises(ValueError, match="drawer_open"):
        episodes(task, split)
