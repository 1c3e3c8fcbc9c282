"""Policy evaluation: the dream equals the sampler, the judge equals Meta-World, gaps add up."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from rlvr_lite import experiments, experiments_policy
from rlvr_lite.model import build, sample, save
from rlvr_lite.policy_evaluation import (
    LAST,
    OUTSIDE,
    SCRIPTED,
    STEPS,
    Dream,
    Replay,
    crude,
    distance,
    imagine,
    judge,
    mean_gap,
    rank_correlation,
    recorded,
    succeeds,
)
from rlvr_lite.tasks import robot_policies
from rlvr_lite.tasks.robot_policies import (
    LEVELS,
    ImagePolicy,
    ReadOut,
    chunks,
    clone,
    load_network,
    load_policy,
    load_readout,
    path_of,
    save_network,
    to_unit,
    train_readout,
)
from rlvr_lite.tasks.robot_video import ACTION_TOKENS, SKIP, RobotVideoTask, VideoTokens
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer
from rlvr_lite.worlds.robot_crude import NEAR, CrudeSimulator
from rlvr_lite.worlds.robot_video import FRAMES, KINDS, TASKS, Episodes, episodes
from rlvr_lite.verify import contradictions


@pytest.fixture(scope="module")
def tokens() -> VideoTokens:
    torch.manual_seed(0)
    parts = FrameTokenizer(8, width=16), CompressiveTokenizer(2, width=16)
    return VideoTokens(*(p.eval().requires_grad_(False) for p in parts))


@pytest.fixture(scope="module")
def model(tokens):
    return build(tokens.vocab_size, 32, 2, 4, 48, max_tokens=256, seed=1)


@pytest.fixture(scope="module")
def drawn() -> Episodes:
    """Ten synthetic episodes: a red hand and a blue block on grey."""
    rng, count = np.random.default_rng(0), 10
    states = np.zeros((count, FRAMES, 10), dtype=np.float32)
    states[..., :3] = rng.uniform((-.1, .6, .1), (.1, .8, .3), (count, FRAMES, 3))
    states[..., 4:7] = rng.uniform((-.1, .6, .02), (.1, .8, .02), (count, FRAMES, 3))
    states[..., 7:10] = (0.0, 0.8, 0.02)
    frames = np.full((count, FRAMES, 64, 64, 3), 90, dtype=np.uint8)
    for place in np.ndindex(count, FRAMES):
        for first, colour in ((0, (220, 30, 30)), (4, (30, 30, 220))):
            x, y = states[place][first:first + 2]
            at = int(32 + 200 * x), int(200 * (y - 0.6) + 8)
            frames[place][at[1]:at[1] + 7, at[0]:at[0] + 7] = colour
    actions = rng.uniform(-1, 1, (count, FRAMES - 1, 4)).astype(np.float32)
    return Episodes("push", "train", frames, actions, states,
                    np.zeros((count, FRAMES), bool), np.arange(count) % 4, np.arange(count))


# ---- inside the model ------------------------------------------------------------------------


def test_a_dream_is_what_the_sampler_writes(model, tokens, drawn):
    """Step by step with a cache, or all at once with the actions given: the same tokens."""
    clips = tokens.clips(drawn, [(n, 0, 0, 4) for n in range(3)])
    task = RobotVideoTask(tokens, 4, lpips=lambda *a: None)
    table = [task.given(c) for c in clips]
    asked = [task.question(c) for c in clips]
    whole = sample(model, asked, 1, task.max_new, 0.0, eos_id=None, given=table).answers
    expected = torch.stack([task.frame_codes(ids) for ids in whole])            # (3, 4, n)
    dream = Dream(model, tokens, drawn.frames[:3, 0], 4, temperature=0.0)
    assert dream.questions == [q[:-ACTION_TOKENS] for q in asked]
    for t in range(4):
        # the middle of a bin is in that bin
        bins = tokens.actions.decode(np.stack([c.action_ids[t] for c in clips]).reshape(3, 2, 4))
        frames = dream.step(bins)
        assert torch.equal(dream.codes.clamp(max=999), expected[:, t])  # others are clipped
        assert frames.shape == (3, 64, 64, 3) and frames.dtype == np.uint8
    with pytest.raises(ValueError, match="at most 4 times"):
        dream.step(np.zeros((3, SKIP, 4)))


def test_actions_matter_and_seeds_repeat(model, tokens, drawn):
    first, goals = drawn.frames[:2, 0], drawn.states[:2, 0, 7:10]

    def play(value: float, seed: int):
        policy = Replay(np.full((2, STEPS * SKIP, 4), value))
        return imagine(model, tokens, policy, first, goals, 3,
                       generator=torch.Generator().manual_seed(seed))
    one, same, other, seed = play(0.5, 0), play(0.5, 0), play(-0.5, 0), play(0.5, 1)
    assert one.frames.shape == (2, 4, 64, 64, 3) and one.actions.shape == (2, 6, 4)
    assert np.array_equal(one.frames, same.frames)
    assert not np.array_equal(one.frames, other.frames)
    assert not np.array_equal(one.frames, seed.frames)
    assert ((0 <= one.repeated) & (one.repeated <= 1)).all()


def test_the_policy_sees_what_was_painted(model, tokens, drawn):
    seen = []

    class Watcher:
        def act(self, frames, goals, step):
            seen.append((frames.copy(), step))
            return np.full((len(frames), SKIP, 4), 3.0)  # beyond the range: it is clipped
    found = imagine(model, tokens, Watcher(), drawn.frames[:2, 0], drawn.states[:2, 0, 7:10], 3)
    assert [step for _, step in seen] == [0, 1, 2] and found.actions.max() == 1.0
    for t, (frames, _) in enumerate(seen):
        assert np.array_equal(frames, found.frames[:, t])


def test_bad_input_is_refused(model, tokens, drawn):
    with pytest.raises(ValueError, match="goals"):
        imagine(model, tokens, Replay(np.zeros((2, 22, 4))), drawn.frames[:2, 0], np.zeros((3, 3)))
    with pytest.raises(ValueError, match="first"):
        Dream(model, tokens, np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="task"):
        distance("lift", np.zeros(3), np.zeros(3))


# ---- the judge -------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_the_criterion_is_meta_worlds(task):
    """With the true position, our criterion and the simulator's verdict agree."""
    test = episodes(task, "test")
    ours = succeeds(task, test.states[..., 4:7], test.states[..., 7:10])
    assert (ours == test.success)[:, 1:].mean() > 0.998
    assert (ours == test.success)[:, LAST].all()
    assert 0.1 < test.success[:, LAST].mean() < 0.95  # both verdicts occur


def test_distance_counts_the_rail_only():
    goal = np.array([0.0, 0.6, 0.09])
    assert distance("drawer_open", goal + [0.2, 0.02, 0.3], goal) == pytest.approx(0.02)
    assert distance("push", goal + [0.03, 0.0, 0.04], goal) == pytest.approx(0.05)
    assert succeeds("drawer_open", goal + [0, 0.029, 0], goal)
    assert not succeeds("drawer_open", goal + [0, 0.031, 0], goal)
    assert succeeds("drawer_close", goal + [0, 0.041, 0.05], goal)
    assert not succeeds("drawer_close", goal + [0, 0.042, 0.05], goal)


def test_a_readout_learns_positions(drawn):
    positions = robot_policies.positions_of(drawn.states[:1]).reshape(-1, 6)
    frames = drawn.frames[0]
    before = np.abs(robot_policies.fresh(ReadOut, 0).read(frames) - positions).mean()
    after = np.abs(train_readout(frames, positions, 80).read(frames) - positions).mean()
    assert after < 0.4 * before


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_judge_is_good_on_recorded_frames(task):
    test, readout = episodes(task, "test"), load_readout(task)
    goals = test.states[:, LAST, 7:10]
    seen = readout.read(test.frames[:, LAST])[:, 3:]
    assert np.abs(seen - test.states[:, LAST, 4:7]).mean() < 0.01
    verdict = judge(task, readout, test.frames[:, LAST], goals)
    assert (verdict == test.success[:, LAST]).mean() >= 0.85
    assert {"object_decoded", "agree_decoded", "agree_state"} <= set(readout.notes)


# ---- policies --------------------------------------------------------------------------------


def test_chunks_pair_a_frame_with_what_was_done_next(drawn):
    frames, goals, actions, positions = chunks(drawn, ("expert", "walk"))
    chosen = np.isin(drawn.kind, [KINDS.index("expert"), KINDS.index("walk")])
    assert len(frames) == chosen.sum() * 22 == len(goals) == len(positions)
    first = np.flatnonzero(chosen)[0]
    assert np.array_equal(frames[3], drawn.frames[first, 3])
    assert np.array_equal(actions[3], drawn.actions[first, 3:5])
    other = chunks(drawn, ("expert",), np.zeros_like(drawn.actions), drawn.frames[::-1])
    assert not other[2].any() and not np.array_equal(other[0][0], drawn.frames[0, 0])


def test_cloning_lowers_the_error_and_keeps_levels(drawn):
    data = [part[:22] for part in chunks(drawn, KINDS)]
    data = (*data[:2], np.tile(np.clip(to_unit(torch.as_tensor(data[3])).numpy()[:, None, :4],
                                       -1, 1), (1, SKIP, 1)), data[3])  # act on what is seen
    kept = clone(data, 80, (0, 80))
    errors = {}
    for step, weights in kept.items():
        policy = ImagePolicy()
        policy.load_state_dict(weights)
        errors[step] = ((policy.act(*data[:2]) - data[2]) ** 2).mean()
    assert errors[80] < 0.5 * errors[0]
    with pytest.raises(ValueError, match="keep"):
        clone(data, 10, (20,))


def test_networks_survive_the_file(tmp_path):
    policy = robot_policies.fresh(ImagePolicy, 3).eval()
    frames = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3)).astype(np.uint8)
    path = path_of("push", "mid", tmp_path)
    save_network(policy.state_dict(), path, updates=7)
    again = load_network(ImagePolicy, path)
    assert again.notes == {"updates": 7} and path.stat().st_size < 300_000
    assert np.allclose(policy.act(frames, np.zeros((2, 3))),
                       again.act(frames, np.zeros((2, 3))), atol=2e-2)
    with pytest.raises(FileNotFoundError, match="record_policy_rollouts"):
        load_policy("push", "early", tmp_path)
    with pytest.raises(ValueError, match="level"):
        load_policy("push", "late")


# ---- the crude simulator ---------------------------------------------------------------------


def test_the_crude_simulator_moves_what_is_near(drawn):
    states = drawn.states[:2, 0].copy()
    states[:, :3] = states[:, 4:7] + [0, 0, NEAR["push"][2] / 2]
    states[1, 0] += 0.1  # the second hand is beside the block
    world, start = CrudeSimulator("push", states, drawn), states[:, 4:7]
    world.step(np.array([[0.4, 1.0, 0, 0]] * 2))
    moved = world.object - start
    assert moved[0, 1] > 0.03 and not moved[1].any()
    assert world.frames().shape == (2, 64, 64, 3)
    with pytest.raises(ValueError, match="library"):
        CrudeSimulator("push", states).frames()


def test_the_crude_simulator_shows_the_nearest_picture(drawn):
    world = CrudeSimulator("push", drawn.states[:, 7], drawn)
    assert np.array_equal(world.frames(), drawn.frames[:, 7])


# ---- the recording ---------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_the_recording_is_whole(task):
    real = recorded(task)
    assert real.names == (*LEVELS, *SCRIPTED, *OUTSIDE)
    policies, starts = real.success.shape
    assert starts >= 30 and real.actions.shape == (policies, starts, LAST, 4)
    assert real.states.shape == (policies, starts, STEPS + 1, 10)
    assert real.final.shape[:2] == real.success.shape and real.first.shape == (starts, 64, 64, 3)
    assert (real.task_seed >= 2000 * 50 + 60).all()  # beyond the recorded test episodes
    ours = succeeds(task, real.states[:, :, -1, 4:7], real.goals)
    assert (ours == real.success).mean() > 0.97
    for name in OUTSIDE:
        assert real.success[real.row(name)].mean() < 0.1
    assert real.success[real.row("expert")].mean() > 0.9
    with pytest.raises(ValueError, match="no policy"):
        real.row("champion")


def test_a_missing_recording_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="record_policy_rollouts"):
        recorded("push", tmp_path)


def test_shipped_files_stay_small():
    files = list(path_of("push", "mid").parent.iterdir())
    assert sum(f.stat().st_size for f in files) < 3_500_000
    assert all(f.stat().st_size < 300_000 for f in files if f.suffix == ".safetensors")


# ---- gaps and the experiment -----------------------------------------------------------------


def test_gap_and_rank_by_hand():
    inside, real = np.array([0.1, 0.5, 0.9]), np.array([0.0, 0.6, 1.0])
    assert mean_gap(inside, real) == pytest.approx(0.1)
    assert rank_correlation(inside, real) == pytest.approx(1.0)
    assert rank_correlation(inside[::-1], real) == pytest.approx(-1.0)
    assert rank_correlation(np.ones(3), real) == 0.0
    stats = pytest.importorskip("scipy.stats")
    a, b = np.random.default_rng(0).integers(0, 4, (2, 9)) / 4  # with ties
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert rank_correlation(np.stack([a, b]), b)[1] == pytest.approx(1.0)


def test_crude_replays_need_no_pictures():
    real = recorded("drawer_open")
    row = real.row("beside")
    ends = crude(Replay(real.actions[row]), "drawer_open", real.states[row, :, 0], None)
    assert succeeds("drawer_open", ends, real.goals).mean() < 0.2  # the hand is beside the handle


def test_the_experiment_resumes_and_is_consistent(tmp_path, monkeypatch, model, tokens):
    """Two models, two seeds, two starts: a consistent record, and nothing is run twice."""
    monkeypatch.setattr(experiments_policy, "video_tokens", lambda: tokens)  # a cached function
    monkeypatch.setattr(experiments_policy, "without_model",
                        experiments_policy.without_model.__wrapped__)
    monkeypatch.setattr(experiments_policy, "TASKS", ("push", "drawer_open"))
    monkeypatch.setattr(experiments_policy, "imagine",
                        lambda *a, **k: imagine(*a, steps=1, **k))
    save(model, tmp_path / "model-0")
    save(model, tmp_path / "model-1")
    call = ["--models", f"mle={tmp_path}/model-{{seed}}", f"rlvr={tmp_path}/model-{{seed}}",
            "--seeds", "0", "1", "--starts", "2", "--out", str(tmp_path / "out")]
    experiments_policy.main(call)
    record = experiments.rounded(experiments_policy.summarise(tmp_path / "out"))
    assert contradictions(json.loads(json.dumps(record))) == []
    assert {r["method"] for r in record["rows"]} == {"mle", "rlvr", "real", "readout", "floor",
                                                     "crude_simulator"}
    assert experiments.find(record, "real", "greedy", "push, expert", "success")["mean"] == 1
    assert {r["metric"] for r in record["rows"]} == {"success", "repetition", "gap", "rank",
                                                     "agree"}
    same = experiments.find_difference(record, "rlvr", "mle", "greedy", metric="gap")
    assert same["mean"] == 0  # one model under two names
    monkeypatch.setattr(experiments_policy, "load", lambda folder: pytest.fail("ran again"))
    experiments_policy.main(call)


def test_models_need_names():
    assert experiments_policy.models_of(["mle=a/b-{seed}"], ("real",)) == {"mle": "a/b-{seed}"}
    for wrong in ("mle", "=x", "real=x", "a-b=x"):
        with pytest.raises(ValueError, match="NAME=FOLDER"):
            experiments_policy.models_of([wrong], ("real",))
