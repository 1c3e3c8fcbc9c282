"""The one dial for scale: profile "tiny" (minutes) or "full" (all cores, hours).

What: `start()` is the first call of every notebook: it fixes the seeds, the number of threads
and the look of figures, and returns a `Profile` from which every size in the book derives.
Source: the single `--depth` dial of nanochat; no paper section.
Environment: `RLVR_PROFILE=full` overrides the profile that a notebook asks for, so that nobody
edits a notebook to run it at another scale.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T")
PROFILES = ("tiny", "full")


@dataclass(frozen=True)
class Profile:
    """What a run may cost.

    Attributes:
        name: "tiny" or "full".
        device: where notebooks compute: "cpu", so that their numbers are the same everywhere.
            The package follows `model.device`.
        threads: threads of PyTorch.
        seed: the seed that `start()` has set.
    """

    name: str
    device: str = "cpu"
    threads: int = 1
    seed: int = 0

    def scale(self, tiny: T, full: T) -> T:
        """The value of the active profile: `steps = P.scale(tiny=200, full=4000)`."""
        return tiny if self.name == "tiny" else full


def get_profile(name: str | None = None) -> Profile:
    """The profile of that name; `RLVR_PROFILE` goes first.

    Args:
        name: "tiny" or "full"; None means "tiny".

    Returns:
        A `Profile`; nothing global is changed.

    Raises:
        ValueError: for any other name.
    """
    name = os.environ.get("RLVR_PROFILE") or name or "tiny"
    if name not in PROFILES:
        raise ValueError(f"profile {name!r} does not exist; use one of {', '.join(PROFILES)} "
                         "(argument of start(), or the environment variable RLVR_PROFILE)")
    return Profile(name=name, threads=1 if name == "tiny" else os.cpu_count() or 1)


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global generators (all chapters pass their own too)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def start(chapter: str = "", profile: str = "tiny", seed: int = 0) -> Profile:
    """Start a chapter: seeds, threads, figure defaults, one line that says what runs.

    Args:
        chapter: number or name of the chapter, only shown.
        profile: "tiny" or "full"; the environment variable `RLVR_PROFILE` goes first.
        seed: seed of the global random generators.

    Returns:
        The `Profile` of this run.

    Raises:
        ValueError: for an unknown profile.
    """
    active = replace(get_profile(profile), seed=seed)
    torch.set_num_threads(active.threads)
    seed_everything(seed)
    figure_defaults()
    from rlvr_lite import __version__

    where = f"chapter {chapter}, " if chapter else ""
    print(f"rlvr_lite {__version__}: {where}profile {active.name} on {active.device}")
    return active


def figure_defaults() -> None:
    """Figures of the book: 110 dpi, palettes that colour-blind readers can tell apart."""
    import matplotlib

    matplotlib.rcParams.update({
        "figure.dpi": 110,
        "savefig.dpi": 110,
        "figure.figsize": (6.4, 3.4),
        "image.cmap": "viridis",
        "axes.prop_cycle": matplotlib.cycler(
            color=["#00224e", "#b8562e", "#6b6d72", "#1f8f8a", "#a69c75", "#7a4fa3"],
            linestyle=["-", "--", "-.", ":", "-", "--"],
        ),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "font.size": 9,
    })
