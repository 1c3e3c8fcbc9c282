"""Compatibility: one known clash of binary packages, handled in one place.

What: `lpips` brings `torchvision`. A torchvision built for CUDA beside a CPU build of PyTorch
cannot load its compiled operators; then `import torchvision` stops with
`operator torchvision::nms does not exist`, and `transformers` and `peft` stop with it, under
misleading messages ("Could not import module 'BloomPreTrainedModel'").
Nothing in this book calls these operators, so their *names* are declared, and only where the
library of torchvision cannot be loaded. A matching torchvision is left untouched.
Source: own observation with torch 2.13.0+cpu and torchvision 0.28.0.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from pathlib import Path

import torch

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
NAMES = ("nms", "qnms")
_keep: list[torch.library.Library] = []  # a Library that is collected takes its operators along


def torchvision_libraries() -> list[str]:
    """Paths of torchvision's compiled operators; empty where torchvision is not installed."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return []
    folder = Path(next(iter(spec.submodule_search_locations)))
    return sorted(str(path) for path in folder.glob("_C*.so"))


def patch_torchvision(
    libraries: list[str] | None = None,
    load: Callable[[str], object] = ctypes.CDLL,
    namespace: str = "torchvision",
) -> bool:
    """Declare torchvision's operator names where its compiled library cannot be loaded.

    Must run before torchvision is imported; `rlvr_lite/__init__.py` sees to that.

    Args:
        libraries: paths of the compiled operators; None: those of the installed torchvision.
        load: opens one library and raises OSError where that fails.
        namespace: operator namespace; tests use another one.

    Returns:
        True if names were declared, False if there was nothing to do.
    """
    if torch.version.cuda is not None:
        return False  # a CUDA build of PyTorch loads both builds of torchvision
    libraries = torchvision_libraries() if libraries is None else libraries
    if not libraries or hasattr(getattr(torch.ops, namespace), "nms"):
        return False
    try:
        for path in libraries:
            load(path)
        return False  # it fits, and has just registered its own operators
    except OSError:
        pass
    library = torch.library.Library(namespace, "FRAGMENT")
    for name in NAMES:
        library.define(f"{name}{SCHEMA}")
    _keep.append(library)
    return True


patch_torchvision()
