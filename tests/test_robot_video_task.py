"""Robot video as a task: the layout of its tokens, its rewards by hand, and both algorithms on it.

Everything runs on the synthetic squares, with tiny tokenizers of random weights.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import synthetic_video
from rlvr_lite import lora
from rlvr_lite import model as M
from rlvr_lite.evaluation import answers, scores
from rlvr_lite.grpo import GRPOConfig, train_grpo
from rlvr_lite.metrics_video import frame_errors
from rlvr_lite.mle import MLEConfig, mle_loss, train_mle
from rlvr_lite.perceptual import Perceptual
from rlvr_lite.tasks import base
from rlvr_lite.tasks.robot_video import (
    ACTION_TOKENS,
    SKIP,
    Clip,
    RobotVideoTask,
    VideoTokens,
    clips,
    copy_last,
    cut,
    repetition,
    windows,
)
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer, to_tensor

N, STEP = 4, 12  # tokens of a frame; of a frame and the action before it
EPISODES = synthetic_video.episodes(5)
H = 3


def random_tokens(seed: int = 0) -> VideoTokens:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = FrameTokenizer(8, (4, 3), width=16), CompressiveTokenizer(2, (5, 3), width=16)
        with torch.no_grad():
            for p in (p for part in parts for p in part.parameters()):
                p.add_(0.1 * torch.randn_like(p))
    return VideoTokens(*(part.eval().requires_grad_(False) for part in parts))


@pytest.fixture(scope="module")
def tokens():
    return random_tokens()


@pytest.fixture(scope="module")
def lpips():
    return Perceptual(None)


@pytest.fixture(scope="module")
def some(tokens) -> list[Clip]:
    return tokens.clips(EPISODES, windows(EPISODES, 2, seed=0, horizon=H))


@pytest.fixture
def task(tokens, lpips):
    return RobotVideoTask(tokens, H, lpips=lpips)


def tiny(tokens, seed=0):
    return M.build(tokens.vocab_size, width=16, layers=1, heads=2, hidden=16, max_tokens=128,
                   seed=seed)


def written(task, clip, seed=0):
    """A gold answer whose frame tokens are replaced by random ones."""
    g = torch.Generator().manual_seed(seed)
    noise = torch.randint(15, (task.max_new,), generator=g).tolist()
    return [n if c else a for a, n, c in
            zip(task.answer(clip), noise, task.chosen(clip))]


# ---- layout ----------------------------------------------------------------------------------


def test_one_vocabulary_without_overlap(tokens, some):
    assert (tokens.context_offset, tokens.action_offset, tokens.vocab_size) == (15, 27, 27 + 256)
    for clip in some:
        assert 0 <= clip.frame_ids.min() and clip.frame_ids.max() < 15
        assert 0 <= clip.context_ids.min() and clip.context_ids.max() < 12
        assert 0 <= clip.action_ids.min() and clip.action_ids.max() < 256


def test_question_and_answer_by_hand(task, some):
    """z_c z_0 b_0 and z_1 b_1 z_2 b_2 z_3, eq. (2.4)."""
    for clip in some:
        question, answer = task.question(clip), task.answer(clip)
        assert len(question) == 64 + N + ACTION_TOKENS
        assert question[:64] == [15 + i for i in clip.context_ids]
        assert question[64:68] == list(clip.frame_ids[0])
        assert question[68:] == [27 + i for i in clip.action_ids[0]]
        assert len(answer) == task.max_new == 3 * N + 2 * ACTION_TOKENS
        for t in range(3):
            assert answer[t * STEP:t * STEP + 4] == list(clip.frame_ids[t + 1])
        for t in (1, 2):
            assert answer[t * STEP - 8:t * STEP] == [27 + i for i in clip.action_ids[t]]
        assert all(type(i) is int for i in question + answer)


def test_actions_are_those_that_lead_on(tokens, some):
    """Two recorded actions a step, each within half a bin."""
    for clip in some:
        acted = tokens.actions.decode(clip.action_ids.reshape(-1, 2, 4))
        start = clip.start + SKIP * np.arange(H)
        expected = np.stack([EPISODES.actions[clip.number, start + i] for i in range(SKIP)], 1)
        assert np.abs(acted - expected).max() <= 1 / 256 + 1e-6


def test_given_and_chosen_cover_the_answer(task, some):
    clip = some[0]
    chosen, answer = task.chosen(clip), task.answer(clip)
    woven = [i for start, ids in task.given(clip) for i in range(start, start + len(ids))]
    assert sorted(woven + [i for i, c in enumerate(chosen) if c]) == list(range(task.max_new))
    for start, ids in task.given(clip):
        assert answer[start:start + len(ids)] == ids and min(ids) >= 27
    table = base.given(task, some)
    assert table.shape == (len(some), task.max_new)
    assert torch.equal(table >= 0, torch.tensor([chosen]).expand(len(some), -1).logical_not())
    assert base.gold_pair(task, clip) == (task.question(clip), answer, chosen)


def test_one_step_has_nothing_given(tokens, lpips, some):
    task = RobotVideoTask(tokens, 1, lpips=lpips)
    assert task.max_new == N and task.given(some[0]) == [] and task.chosen(some[0]) == [True] * N
    assert task.answer(some[0]) == list(some[0].frame_ids[1])
    assert isinstance(task, base.Task)


# ---- clips -----------------------------------------------------------------------------------


def test_windows_fit_into_their_episodes():
    found = windows(EPISODES, 4, seed=1)
    assert [n for n, *_ in found] == sorted([0, 1, 2, 3, 4] * 4)
    for _, context, start, horizon in found:
        assert 0 <= context <= start and horizon >= 7
        assert start + SKIP * horizon in (22, 23), "to the end of the episode"
    assert len({start for n, _, start, _ in found if n == 0}) == 4
    assert any(c < s for _, c, s, _ in found) and len({h for *_, h in found}) > 1
    assert found == windows(EPISODES, 4, seed=1) != windows(EPISODES, 4, seed=2)
    with pytest.raises(ValueError, match="10 starts for 7 steps; got per_episode=11"):
        windows(EPISODES, 11, 1)
    with pytest.raises(ValueError, match="0 starts for 12 steps"):
        windows(EPISODES, 1, 1, horizon=12)
    for _, _, start, horizon in windows(EPISODES, 4, 1, horizon=3):
        assert horizon == 3 and start + SKIP * 3 <= 23


def test_clips_of_many_equal_one_at_a_time(tokens):
    """Batches of 64 clips and 128 frames leave no trace at their edges."""
    chosen = windows(synthetic_video.episodes(9), 8, seed=0)
    many = tokens.clips(synthetic_video.episodes(9), chosen)
    assert len(many) == 72
    for i in (0, 15, 16, 63, 64, 71):
        one = cut(synthetic_video.episodes(9), *chosen[i], tokens)
        assert (one.number, one.context, one.start, one.horizon) == chosen[i]
        for name in ("context_ids", "action_ids"):
            assert np.array_equal(getattr(one, name), getattr(many[i], name)), name
        assert (one.frame_ids == many[i].frame_ids).mean() > 0.97, "but for the last digit"


def test_frames_of_a_clip(tokens):
    clip = cut(EPISODES, 2, 1, 3, 4, tokens)
    assert clip.horizon == 4 and clip.frame_ids.shape == (5, N)
    recorded = EPISODES.frames[2]
    assert np.array_equal(clip.frames(), recorded[[3, 5, 7, 9, 11]])
    assert np.array_equal(clip.frames(1, 2), recorded[[5, 7]])
    assert np.array_equal(clip.context_frame(), recorded[1])
    known = tokens.compressive.context(to_tensor(recorded[[1] * 5]))
    expected = tokens.compressive.encode(to_tensor(clip.frames()), known)
    assert np.array_equal(clip.frame_ids, expected.numpy())
    assert torch.equal(copy_last(clip, 2), to_tensor(recorded[[3, 3]]))


@pytest.mark.parametrize("context, start, horizon", [(4, 3, 2), (-1, 3, 2), (0, 20, 2), (0, 0, 12),
                                                     (0, 0, 0)])
def test_a_clip_must_lie_in_the_episode(tokens, context, start, horizon):
    with pytest.raises(ValueError, match="do not fit"):
        cut(EPISODES, 0, context, start, horizon, tokens)


def test_tokenized_clips_are_kept(tokens, tmp_path, monkeypatch):
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path))
    fresh = clips(EPISODES, tokens, 2, seed=3)
    encode = VideoTokens.clips
    monkeypatch.setattr(VideoTokens, "clips", lambda *a: pytest.fail("encoded again"))
    kept = clips(EPISODES, tokens, 2, seed=3)
    assert len(list(tmp_path.rglob("*"))) == 2 and len(kept) == 10, "a folder and a file"
    for a, b in zip(fresh, kept):
        assert (a.number, a.context, a.start) == (b.number, b.context, b.start)
        for name in ("context_ids", "frame_ids", "action_ids"):
            assert np.array_equal(getattr(a, name), getattr(b, name))
            assert getattr(a, name).dtype == getattr(b, name).dtype
    monkeypatch.setattr(VideoTokens, "clips", encode)
    for other in (clips(EPISODES, tokens, 2, seed=4), clips(EPISODES, tokens, 2, 3, horizon=2),
                  clips(EPISODES, random_tokens(1), 2, seed=3),
                  clips(synthetic_video.episodes(5, seed=9), tokens, 2, seed=3)):
        assert len(other) == 10
    assert len(list(tmp_path.rglob("*.npz"))) == 5, "another seed, horizon, tokenizer, recording"


# ---- pixels and rewards ----------------------------------------------------------------------


def test_the_gold_answer_decodes_to_the_floor(task, tokens, some):
    for clip in some[:3]:
        known = tokens.compressive.context(to_tensor(clip.context_frame()[None].repeat(H, 0)))
        floor = tokens.compressive.decode(torch.tensor(clip.frame_ids[1:]).long(), known)
        torch.testing.assert_close(task.decode(task.answer(clip), clip), floor)


def test_the_reward_by_hand(task, some, lpips):
    """-(L1 + LPIPS), means over three frames, eq. (5.5)."""
    clip = some[1]
    ids = written(task, clip)
    truth, frames = to_tensor(clip.frames(1, H)), task.decode(ids, clip)
    l1 = sum((frames[t] - truth[t]).abs().mean().item() for t in range(H)) / H
    lp = sum(lpips(frames[t:t + 1], truth[t:t + 1]).item() for t in range(H)) / H
    found = task.reward(ids, clip)
    assert found["reward"] == pytest.approx(-(l1 + lp), rel=1e-4)
    assert (found["l1"], found["lpips"]) == pytest.approx((l1, lp), rel=1e-4)
    assert set(found) == {"reward", "l1", "lpips", "repeated"} and l1 > 0 and lp > 0


def test_many_rewards_equal_single_ones(task, some):
    """Groups of three and of one; the same clip may come again later."""
    items = [some[0]] * 3 + [some[1]] + [some[2]] * 2 + [some[0]]
    found = [written(task, clip, seed) for seed, clip in enumerate(items)]
    together = task.rewards(found, items)
    assert base.rewards(task, found, items) == together
    for row, ids, clip in zip(together, found, items):
        alone = task.reward(ids, clip)
        assert row == pytest.approx(alone, rel=1e-4, abs=1e-6)
    assert len({row["reward"] for row in together}) == 7


def test_any_ids_are_a_legal_answer(task, tokens, some):
    for ids in ([0] * task.max_new, [tokens.vocab_size - 1] * task.max_new,
                list(range(task.max_new))):
        assert np.isfinite(task.reward(ids, some[0])["reward"])
        assert np.isfinite(list(task.metrics(ids, some[0]).values())).all()


@pytest.mark.parametrize("name, sign", [("psnr", 1), ("ssim", 1), ("mse", -1), ("l1", -1),
                                        ("lpips", -1)])
def test_every_metric_can_be_the_reward(tokens, lpips, some, name, sign):
    task = RobotVideoTask(tokens, H, {name: 2.0}, lpips=lpips)
    clip = some[0]
    ids = written(task, clip)
    frames, truth = task.decode(ids, clip), to_tensor(clip.frames(1, H))
    value = frame_errors(frames[None], truth, lpips, (name,))[name].mean().item()
    found = task.reward(ids, clip)
    assert found["reward"] == pytest.approx(sign * 2 * value, rel=1e-4)
    assert set(found) == {"reward", name, "repeated"}


def test_a_group_is_judged_on_the_same_frames(tokens, lpips, some):
    """Frames of one group are drawn once, deterministically, and differently between groups."""
    task = RobotVideoTask(tokens, H, judged=1, lpips=lpips)
    whole = RobotVideoTask(tokens, H, lpips=lpips)
    clip, seen = some[0], set()
    truth = to_tensor(clip.frames(1, H))
    for seed in range(12):
        group = [written(task, clip, 10 * seed + i) for i in range(3)]
        found = task.rewards(group, [clip] * 3)
        assert found == task.rewards(group, [clip] * 3)
        errors = [frame_errors(whole.decode(ids, clip)[None], truth, lpips, ("l1", "lpips"))
                  for ids in group]                                          # each (1, 3)
        each = torch.stack([-(e["l1"] + e["lpips"])[0] for e in errors])     # (3, 3)
        reward = torch.tensor([row["reward"] for row in found])
        fits = [t for t in range(H) if torch.allclose(each[:, t], reward, atol=1e-5)]
        assert len(fits) == 1, "one frame explains the rewards of the whole group"
        seen |= set(fits)
    assert seen == {0, 1, 2}


def test_the_repetition_penalty(tokens, lpips, some):
    clip = some[0]
    plain = RobotVideoTask(tokens, H, lpips=lpips)
    fined = RobotVideoTask(tokens, H, repetition_penalty=0.5, lpips=lpips)
    ids = written(plain, clip)
    first, second = ids[:4], ids[STEP:STEP + 4]
    assert first != second and first != list(clip.frame_ids[0])
    ids[2 * STEP:2 * STEP + 4] = second                     # frame 3 repeats frame 2
    assert plain.reward(ids, clip)["repeated"] == pytest.approx(1 / 3)
    assert fined.reward(ids, clip)["reward"] == pytest.approx(
        plain.reward(ids, clip)["reward"] - 0.5 / 3, rel=1e-4)
    ids[:4] = list(clip.frame_ids[0])                       # frame 1 repeats the current one
    assert fined.reward(ids, clip)["repeated"] == pytest.approx(2 / 3)


def test_share_of_repeated_frames_by_hand():
    codes = torch.tensor([[[1, 2], [1, 2], [1, 3]], [[9, 9], [1, 2], [1, 2]],
                          [[5, 5], [5, 5], [5, 5]]])
    found = repetition(codes, torch.tensor([5, 5], dtype=torch.int16))
    torch.testing.assert_close(found, torch.tensor([1 / 3, 1 / 3, 1.0]))


def test_repeats_looks_at_the_last_two_frames(task, tokens, lpips, some):
    clip, ids = some[0], written(task, some[0])
    assert not task.repeats(ids, clip)
    ids[STEP:STEP + 4] = ids[:4]
    assert not task.repeats(ids, clip), "frames 1 and 2 do not count"
    ids[2 * STEP:] = ids[STEP:STEP + 4]
    assert task.repeats(ids, clip) and task.metrics(ids, clip)["repetition"] == 1.0
    single = RobotVideoTask(tokens, 1, lpips=lpips)
    assert single.repeats(list(clip.frame_ids[0]), clip)
    assert not single.repeats([(i + 1) % 15 for i in clip.frame_ids[0]], clip)


def test_measure_equals_metrics(task, some):
    items = some[:3]
    found = [written(task, clip, i) for i, clip in enumerate(items)]
    together = task.measure(found, items)
    assert together == base.measure(task, found, items)
    for row, ids, clip in zip(together, found, items):
        assert row == task.metrics(ids, clip)
        assert row["lpips"] == pytest.approx(sum(row[f"lpips_{t}"] for t in (1, 2, 3)) / 3)
        parts = task.reward(ids, clip)
        assert (row["l1"], row["lpips"]) == pytest.approx((parts["l1"], parts["lpips"]), rel=1e-4)
    assert set(together[0]) == {"l1", "lpips", "mse", "psnr", "ssim", "lpips_1", "lpips_2",
                                "lpips_3", "motion", "still", "repetition"}


def test_judging_copies_and_the_truth(task, some):
    clip = some[0]
    copied = task.judge(copy_last(clip, H), clip)
    assert copied["motion"] == 0 and copied["still"] == 1 and copied["l1"] > 0
    truth = task.judge(to_tensor(clip.frames(1, H)), clip)
    assert truth["lpips"] == 0 and truth["ssim"] == pytest.approx(1)
    assert truth["motion"] == pytest.approx(1) and truth["still"] == 0


@pytest.mark.parametrize("horizon, judged", [(0, None), (3, 0), (3, 4)])
def test_the_task_refuses_bad_settings(tokens, lpips, horizon, judged):
    with pytest.raises(ValueError, match="horizon must be"):
        RobotVideoTask(tokens, horizon, judged=judged, lpips=lpips)


# ---- through the algorithms ------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_rollouts_keep_the_actions(task, tokens, some, temperature):
    items = some[:3]
    rollouts = M.sample(tiny(tokens), [task.question(c) for c in items], 2, task.max_new,
                        temperature, eos_id=None, given=base.given(task, items),
                        generator=torch.Generator().manual_seed(0))
    assert all(len(a) == task.max_new for a in rollouts.answers)
    for i, ids in enumerate(rollouts.answers):
        for start, block in task.given(items[i // 2]):
            assert ids[start:start + len(block)] == block
        assert rollouts.mask[i].tolist() == task.chosen(items[i // 2])
    assert (rollouts.logp_old[~rollouts.mask] == 0).all()
    assert (rollouts.logp_old[rollouts.mask] < 0).all()


def test_log_probabilities_of_rollouts_with_given_tokens(task, tokens, some):
    """The sampler and logp agree, also behind the woven-in actions."""
    model, questions = tiny(tokens), [task.question(c) for c in some[:3]]
    rollouts = M.sample(model, questions, 2, task.max_new, eos_id=None,
                        given=base.given(task, some[:3]),
                        generator=torch.Generator().manual_seed(0))
    again = M.logp(model, questions, rollouts.ids, rollouts.mask, group=2)
    torch.testing.assert_close(again, rollouts.logp_old, rtol=1e-4, atol=1e-4)


def test_mle_ignores_given_tokens(task, tokens, some):
    """The loss is the cross entropy of the frame tokens alone, here by Hugging Face."""
    model, pairs = tiny(tokens), [base.gold_pair(task, c) for c in some[:4]]
    total, count = 0.0, 0
    for question, answer, chosen in pairs:
        labels = [-100] * len(question) + [a if c else -100 for a, c in zip(answer, chosen)]
        found = model(torch.tensor([question + answer]), labels=torch.tensor([labels])).loss
        total, count = total + found * sum(chosen), count + sum(chosen)
    torch.testing.assert_close(mle_loss(model, pairs), total / count)
    unmasked = mle_loss(model, [pair[:2] for pair in pairs])
    assert abs(unmasked - total / count) > 1e-3


def test_the_probability_of_an_action_does_not_matter(task, tokens, some):
    """An answer that ends with an action: any other action there gives the same loss."""
    question, answer, chosen = (base.gold_pair(task, some[0])[i] for i in range(3))
    other = answer[:4] + [27 + (a - 27 + 100) % 256 for a in answer[4:12]]
    model, chosen = tiny(tokens), chosen[:12]
    losses = [mle_loss(model, [(question, ids, chosen)]) for ids in (answer[:12], other)]
    assert torch.equal(*losses)
    assert not torch.equal(*(mle_loss(model, [(question, i)]) for i in (answer[:12], other)))


def test_mle_of_clips_of_different_length(tokens, lpips):
    """Rows of one frame and of three share a batch; the mean runs over all frame tokens."""
    found = tokens.clips(EPISODES, [(0, 0, 9, 1), (1, 0, 2, 3)])
    pairs = [base.gold_pair(RobotVideoTask(tokens, c.horizon, lpips=lpips), c) for c in found]
    model = tiny(tokens)
    alone = [mle_loss(model, [pair]) for pair in pairs]
    torch.testing.assert_close(mle_loss(model, pairs), (alone[0] * 4 + alone[1] * 12) / 16)
    history = train_mle(model, pairs, MLEConfig(steps=12, batch=2, lr=1e-2, warmup=1,
                                                validate_every=6), log=None)
    assert history[-1]["loss"] < history[0]["loss"]


QUICK = GRPOConfig(steps=2, prompts=2, group=4, lr=1e-3, beta=0.01)


def strip(history):
    return [{k: v for k, v in row.items() if not k.endswith(("_s", "_seconds"))}
            for row in history]


@pytest.mark.parametrize("adapted", [False, True], ids=["full", "lora"])
def test_grpo_runs_and_resumes(tokens, lpips, some, tmp_path, adapted):
    task = RobotVideoTask(tokens, H, judged=2, repetition_penalty=0.1, lpips=lpips)

    def start():
        return lora.add_lora(tiny(tokens), rank=2) if adapted else tiny(tokens)

    whole = start()
    before = {n: p.detach().clone() for n, p in whole.named_parameters()}
    history = train_grpo(whole, task, some, QUICK, validate_every=1, log=None)
    assert len(history) == 2 and history[0]["length"] == task.max_new
    assert history[0]["tokens"] == 2 * 4 * 3 * N, "actions are not counted"
    assert {"l1", "lpips", "repeated"} <= set(history[0]) and history[0]["live"] == 1
    moved = [n for n, p in whole.named_parameters() if not torch.equal(p, before[n])]
    assert moved and all(("lora" in n) == adapted for n in moved)

    class Killed(Exception):
        pass

    def kill(line):
        if line.startswith("step 2"):
            raise Killed

    with pytest.raises(Killed):
        train_grpo(start(), task, some, QUICK, validate_every=1, folder=tmp_path, log=kill)
    resumed, lines = start(), []
    reference = None if adapted else tiny(tokens)
    again = train_grpo(resumed, task, some, QUICK, validate_every=1, folder=tmp_path,
                       log=lines.append, reference=reference)
    assert len(lines) == 1 and strip(again) == strip(history)
    for a, b in zip(whole.parameters(), resumed.parameters()):
        assert torch.equal(a, b)


def test_grpo_moves_towards_the_reward(tokens, lpips, some):
    """One question, one frame: every late group is better than every early one."""
    task = RobotVideoTask(tokens, 1, {"l1": 1.0}, lpips=lpips)
    history = train_grpo(tiny(tokens), task, some[:1], GRPOConfig(
        steps=30, prompts=1, group=32, lr=1e-2), log=None)
    reward = [row["reward"] for row in history]
    assert min(reward[-5:]) > max(reward[:5])


def test_evaluation_weaves_actions_in(task, tokens, some):
    """Items come back in their order, greedy with top-k of one."""
    model = tiny(tokens)
    greedy = answers(model, task, some, batch=3)
    assert answers(model, task, some, temperature=1.0, top_k=1, batch=4) == greedy
    for (ids,), clip in zip(greedy, some):
        for start, block in task.given(clip):
            assert ids[start:start + len(block)] == block
    row = scores(model, task, some[:4])
    assert row["lpips"] == [task.metrics(a[0], c)["lpips"] for a, c in zip(greedy[:4], some)]
    assert len(answers(model, task, some[:2], 1.0, group=3)[1]) == 3
