"""Checks of the exercises: one module per chapter, `rlvr_lite.checks.chNN.name(answer)`.

Every check prints one line and never raises: "not done yet: ...", "wrong: ..." or "ok: ...".
Beside the checks stand `SOLUTIONS` and `WRONG`, sources that a mutation test runs: each check
accepts the solution and rejects at least three wrong answers.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    """Load `chNN` on first use, so that a chapter pays only for its own checks."""
    if name.startswith("ch") and name[2:].isdigit():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
