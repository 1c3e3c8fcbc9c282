"""Tokenizers of the video world: FSQ by hand, action bins, both autoencoders, their training."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import synthetic_video
from rlvr_lite.perceptual import Perceptual
from rlvr_lite.reconstruction import (
    ReconstructionConfig,
    pairs,
    reconstruct,
    reconstruction_loss,
    train_tokenizer,
)
from rlvr_lite.tokenizers.actions import ActionBins
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer, to_tensor, to_uint8
from rlvr_lite.tokenizers.fsq import FSQ

BUILD = {"frames8": lambda: FrameTokenizer(8, width=16), "frames4": lambda: FrameTokenizer(
    4, width=16), "compressive2": lambda: CompressiveTokenizer(2, width=16),
    "compressive4": lambda: CompressiveTokenizer(4, width=16)}


def fresh(name: str, seed: int = 0):
    """A small tokenizer of random weights; no bias of it is the trivial one of the start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = BUILD[name]()
        with torch.no_grad():
            for p in found.parameters():
                p.add_(0.05 * torch.randn_like(p))
    return found.eval()


def images(count: int, seed: int = 0) -> torch.Tensor:
    episode = synthetic_video.episodes(1, seed)
    return to_tensor(episode.frames[0, :count])


@pytest.fixture(scope="module")
def lpips():
    return Perceptual(None)


# ---- FSQ -------------------------------------------------------------------------------------


def test_mixed_radix_by_hand():
    """Levels 4 x 3: digits 0..3 and 0..2, code = first + 4 * second."""
    fsq = FSQ((4, 3))
    assert fsq.codes == 12 and fsq.dim == 2
    values = torch.tensor([[-1.0, -1.0], [0.5, -1.0], [-1.0, 0.0], [0.0, 1.0]])
    assert fsq.index(values).tolist() == [0, 3, 4, 2 + 4 * 2]
    torch.testing.assert_close(fsq.values(torch.tensor([0, 3, 4, 10])), values)


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (7, 5, 5, 5, 5), (3,), (4,), (4, 3, 6)])
def test_every_code_is_the_code_of_its_values(levels):
    fsq = FSQ(levels)
    every = torch.arange(math.prod(levels))
    values = fsq.values(every)
    assert values.shape == (len(every), len(levels)) and values.abs().max() <= 1
    assert torch.equal(fsq.index(values), every)
    assert len(values.unique(dim=0)) == len(every)


@given(st.lists(st.integers(3, 9), min_size=1, max_size=4), st.integers(0, 2 ** 31))
@settings(max_examples=30, deadline=None)
def test_any_vector_gets_a_code(levels, seed):
    fsq = FSQ(tuple(levels))
    z = 10 * torch.randn(50, len(levels), generator=torch.Generator().manual_seed(seed))
    quantized = fsq(z)
    code = fsq.index(quantized)
    assert code.min() >= 0 and code.max() < fsq.codes
    torch.testing.assert_close(fsq.values(code), quantized)


@pytest.mark.parametrize("size, lowest, highest", [(5, -2, 2), (7, -3, 3), (4, -2, 1),
                                                   (8, -4, 3), (3, -1, 1)])
def test_odd_and_even_numbers_of_levels(size, lowest, highest):
    """All levels are used, no others, and zero stays in the middle."""
    fsq = FSQ((size,))
    digits = fsq.bound(torch.linspace(-9, 9, 4001)[:, None]).round()
    assert sorted(digits.unique().tolist()) == list(range(lowest, highest + 1))
    assert abs(fsq.bound(torch.zeros(1, 1)).item()) < 1e-6


def test_the_gradient_goes_straight_through():
    fsq = FSQ((8, 5, 5, 5))
    z = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weight = torch.randn(20, 4, generator=torch.Generator().manual_seed(1))
    (straight,) = torch.autograd.grad((fsq(z) * weight).sum(), z)
    (bounded,) = torch.autograd.grad((fsq.bound(z) / (fsq.size // 2) * weight).sum(), z)
    torch.testing.assert_close(straight, bounded)
    assert (straight.abs() > 0).all()


def test_fsq_refuses_what_it_cannot_do():
    for levels in ((), (5, 2), (1,)):
        with pytest.raises(ValueError, match="levels"):
            FSQ(levels)
    for code in (-1, 1000):
        with pytest.raises(ValueError, match="0 ... 999"):
            FSQ().values(torch.tensor([code]))


# ---- actions ---------------------------------------------------------------------------------

UNIT = ActionBins((-1.0, 0.0), (1.0, 4.0))


def test_bins_by_hand():
    assert UNIT.encode(np.array([[-1, 0], [0, 2], [0.999, 4], [9, -9]])).tolist() == [
        [0, 0], [128, 128], [255, 255], [255, 0]]
    np.testing.assert_allclose(UNIT.decode(np.array([0, 255])), [-1 + 1 / 256, 4 - 2 / 256])


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 4)), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_bins_round_trip_within_half_a_bin(rows):
    actions = np.array(rows)
    gap = np.abs(UNIT.decode(UNIT.encode(actions)) - actions)
    assert (gap <= np.array([1.0, 2.0]) / 256 + 1e-9).all()


@pytest.mark.parametrize("bins", [2, 16, 256])
def test_every_bin_stands_for_itself(bins):
    found = ActionBins((-0.3,), (1.7,), bins)
    every = np.arange(bins)[:, None]
    assert (found.encode(found.decode(every)) == every).all()


def test_an_outlier_wastes_bins_and_a_quantile_repairs_it():
    ordinary = np.random.default_rng(0).uniform(-1, 1, (2000, 1))
    data = np.concatenate([ordinary, [[100.0]]])
    squeezed, repaired = ActionBins.fit(data), ActionBins.fit(data, outliers=0.005)
    used = [len(np.unique(bins.encode(ordinary))) for bins in (squeezed, repaired)]
    assert used[0] < 8 and used[1] > 250
    error = [np.abs(bins.decode(bins.encode(ordinary)) - ordinary).mean()
             for bins in (squeezed, repaired)]
    assert error[1] < error[0] / 20
    assert repaired.encode(data[-1:]).item() == 255, "the outlier itself is clipped"


def test_a_constant_dimension_can_be_fitted():
    found = ActionBins.fit(np.full((5, 2), 0.25))
    np.testing.assert_allclose(found.decode(found.encode(np.full(2, 0.25))), 0.25, atol=1e-6)


def test_bins_refuse_bad_ranges():
    for low, high, bins in (((0.0,), (0.0,), 256), ((0.0,), (1.0, 2.0), 256), ((0.0,), (1.0,), 1)):
        with pytest.raises(ValueError, match="low and high"):
            ActionBins(low, high, bins)
    for data, outliers in ((np.zeros((0, 2)), 0), (np.zeros((3, 2)), 0.5), (np.zeros((3, 2)), -1)):
        with pytest.raises(ValueError, match="fit needs"):
            ActionBins.fit(data, outliers)


# ---- autoencoders ----------------------------------------------------------------------------


def test_pixels_round_trip_and_read_only_arrays_give_no_warning(recwarn):
    frames = synthetic_video.episodes(1).frames[0]
    assert not frames.flags.writeable
    tensor = to_tensor(frames)
    assert tensor.shape == (24, 3, 64, 64) and 0 <= tensor.min() and tensor.max() <= 1
    assert (to_uint8(tensor) == frames).all() and not recwarn.list
    assert to_uint8(torch.full((1, 3, 2, 2), 1.7)).max() == 255


@pytest.mark.parametrize("name, tokens", [("frames8", 64), ("frames4", 16)])
def test_per_frame_tokenizer(name, tokens):
    tokenizer, frames = fresh(name), images(5)
    codes = tokenizer.encode(frames)
    assert codes.shape == (5, tokens) and tokenizer.tokens == tokens
    assert 0 <= codes.min() and codes.max() < tokenizer.fsq.codes and len(codes.unique()) > 1
    found = tokenizer.decode(codes)
    assert found.shape == frames.shape and 0 <= found.min() and found.max() <= 1
    torch.testing.assert_close(tokenizer(frames).clamp(0, 1), found, rtol=1e-4, atol=1e-5)
    one = tokenizer.encode(frames[2:3])
    assert torch.equal(one[0], codes[2]), "a frame is coded on its own"


@pytest.mark.parametrize("name, tokens", [("compressive2", 4), ("compressive4", 16)])
def test_compressive_tokenizer(name, tokens):
    tokenizer, frames = fresh(name), images(5)
    known = tokenizer.context(frames[:1].expand(5, -1, -1, -1))
    codes = tokenizer.encode(frames, known)
    assert codes.shape == (5, tokens) and tokenizer.tokens == tokens
    found = tokenizer.decode(codes, known)
    assert found.shape == frames.shape and 0 <= found.min() and found.max() <= 1
    again = tokenizer(frames, frames[:1].expand(5, -1, -1, -1))
    torch.testing.assert_close(again.clamp(0, 1), found, rtol=1e-4, atol=1e-5)
    other = tokenizer.context(1 - frames)
    assert not torch.allclose(tokenizer.decode(codes, other), found, atol=1e-3)


def test_a_mask_of_zero_keeps_the_context_and_of_one_paints_anew():
    """Equation (2.3) at both ends, by the bias of the mask alone."""
    tokenizer, frames = fresh("compressive2"), images(3)
    known = tokenizer.context(frames)
    codes = torch.randint(1000, (3, 4), generator=torch.Generator().manual_seed(0))
    last = tokenizer.paint[-2]  # 4 channels x 2 x 2 places, before the pixels are shuffled
    with torch.no_grad():
        last.weight[12:] = 0.0
        last.bias[12:] = -30.0
    torch.testing.assert_close(tokenizer.decode(codes, known), frames)
    with torch.no_grad():
        last.bias[12:] = 30.0
        last.weight[:12], last.bias[:12] = 0.0, 0.5
    assert torch.allclose(tokenizer.decode(codes, known), torch.tensor(0.75))


@pytest.mark.parametrize("name", BUILD)
def test_save_and_load_give_the_same_codes(name, tmp_path):
    tokenizer, frames = fresh(name), images(4)
    tokenizer.half().float()  # what is written has half precision
    tokenizer.save(tmp_path / "t")
    again = type(tokenizer).load(tmp_path / "t")
    context = []
    if name.startswith("compressive"):
        context = [tokenizer.context(frames[:1].repeat(4, 1, 1, 1))]
    assert torch.equal(again.encode(frames, *context), tokenizer.encode(frames, *context))
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    assert sorted(p.name for p in (tmp_path / "t").iterdir()) == [
        "tokenizer.json", "tokenizer.safetensors"]
    assert json.loads((tmp_path / "t" / "tokenizer.json").read_text()) == again.settings
    size = (tmp_path / "t" / "tokenizer.safetensors").stat().st_size
    count = sum(p.numel() for p in tokenizer.parameters())
    assert size < 2.3 * count + 10_000, "half precision"


def test_tokenizers_refuse_what_they_cannot_do(tmp_path):
    with pytest.raises(ValueError, match="4 or 8"):
        FrameTokenizer(2)
    with pytest.raises(ValueError, match="2 or 4"):
        CompressiveTokenizer(8)
    with pytest.raises(FileNotFoundError, match="make checkpoints"):
        FrameTokenizer.load(tmp_path)
    with pytest.raises(ValueError, match="codes must lie"):
        fresh("frames4").decode(torch.full((1, 16), 1000))


# ---- training --------------------------------------------------------------------------------

QUICK = ReconstructionConfig(steps=4, batch=4, log_every=2)


def test_pairs_come_from_one_episode_and_in_order():
    """The frames of episode e are painted with the number e, frame t with t."""
    sets = [np.zeros((n, 6, 64, 64, 3), np.uint8) for n in (2, 5)]
    number = 0
    for part in sets:
        for episode in part:
            episode[..., 0] = number
            episode[..., 1] = np.arange(6)[:, None, None]
            number += 1
    frames, contexts = pairs(sets, 200, np.random.default_rng(0))
    at = [(255 * z[:, :2, 0, 0]).round().int() for z in (frames, contexts)]
    assert torch.equal(at[0][:, 0], at[1][:, 0]) and (at[1][:, 1] <= at[0][:, 1]).all()
    assert set(at[0][:, 0].tolist()) == set(range(7)) and (at[1][:, 1] < at[0][:, 1]).any()
    again = pairs(sets, 200, np.random.default_rng(0))
    assert torch.equal(frames, again[0]) and torch.equal(contexts, again[1])


@pytest.mark.parametrize("name", ["frames8", "compressive2"])
def test_a_few_steps_lower_the_loss(name, lpips):
    data = [synthetic_video.episodes(3).frames]
    tokenizer, held = fresh(name), pairs(data, 16, np.random.default_rng(99))

    def loss():
        with torch.no_grad():
            return sum(v.item() for v in reconstruction_loss(tokenizer, *held, lpips).values())

    before = loss()
    history = train_tokenizer(tokenizer, data, ReconstructionConfig(
        steps=40, batch=8, lr=3e-3, log_every=20), lpips, log=None)
    assert loss() < 0.7 * before
    assert [row["step"] for row in history] == [20, 40] and history[1]["l1"] < history[0]["l1"]
    assert not tokenizer.training and not any(p.requires_grad for p in tokenizer.parameters())


def test_losses_by_hand(lpips):
    tokenizer, frames = fresh("compressive2"), images(5)
    context = frames[:1].expand(5, -1, -1, -1)
    with torch.no_grad():
        found = reconstruct(tokenizer, frames, context)
        loss = reconstruction_loss(tokenizer, frames, context, lpips)
        assert loss["l1"].item() == pytest.approx((found - frames).abs().mean().item())
        half = lpips(found[:3], frames[:3]).mean().item()
        assert loss["lpips"].item() == pytest.approx(half, rel=1e-5), "of the first half only"
    assert torch.equal(reconstruct(fresh("frames8"), frames, context), fresh("frames8")(frames))


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", ["frames4", "compressive2"])
def test_killed_and_resumed_equals_uninterrupted(name, lpips, tmp_path):
    data = [synthetic_video.episodes(2).frames]
    whole = fresh(name)
    history = train_tokenizer(whole, data, QUICK, lpips, log=None)

    def kill(line):
        if line.startswith("step 4"):
            raise Killed

    with pytest.raises(Killed):
        train_tokenizer(fresh(name), data, QUICK, lpips, tmp_path, kill)
    lines, resumed = [], fresh(name, seed=1)
    again = train_tokenizer(resumed, data, QUICK, lpips, tmp_path, lines.append)
    assert len(lines) == 1 and lines[0].startswith("step 4"), "steps 1 and 2 are not repeated"
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values()):
        assert torch.equal(a, b)
    strip = [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in history]
    assert strip == [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in again]
    with pytest.raises(ValueError, match="other settings"):
        train_tokenizer(fresh(name), data, ReconstructionConfig(steps=4, batch=5, log_every=2),
                        lpips, tmp_path, None)
