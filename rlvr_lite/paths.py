"""Where things are: the same answers in a checkout and in an installed package (Colab).

What: a checkout has `results/` at its root; an installed package carries the same files as
`rlvr_lite/recorded/` (see pyproject.toml). Code asks here and never builds such paths itself;
`checked` says whether a data file is the one that was shipped.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def repository_folder() -> Path | None:
    """Root of the checkout that this package is imported from; None where it is installed."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() else None


def results_folder() -> Path:
    """Folder of the recorded results, `<experiment>.json` each.

    Raises:
        FileNotFoundError: the package was built without its results.
    """
    root = repository_folder()
    folder = root / "results" if root else PACKAGE / "recorded"
    if not folder.is_dir():
        raise FileNotFoundError(f"no recorded results at {folder}; install the package again, or "
                                "run `python -m rlvr_lite results --run` in a checkout")
    return folder


def data_folder() -> Path:
    """Folder of the small data files and checkpoints that ship with the package."""
    return PACKAGE / "data"


def checked(path: Path) -> str:
    """The sha256 of a file, compared with the table beside it where there is one.

    Raises:
        ValueError: the file is damaged.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    table = path.parent / "sha256.txt"
    known = dict(line.split()[::-1] for line in table.read_text().splitlines()) \
        if table.is_file() else {}
    if known.get(path.name, found) != found:
        raise ValueError(f"{path} is damaged (its sha256 differs from {table.name}); "
                         "install the package again")
    return found


def write_npz(path: str | Path, arrays: dict) -> None:
    """Write arrays atomically, compressed: name -> array."""
    import numpy as np

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.stem}.{os.getpid()}.tmp.npz")
    np.savez_compressed(new, **arrays)
    os.replace(new, path)


def cache_folder() -> Path:
    """Folder for what is made once and can be made again (decoded clips, converted weights).

    The environment variable `RLVR_CACHE` goes first, then the user's cache folder.
    """
    if given := os.environ.get("RLVR_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlvr_lite"
