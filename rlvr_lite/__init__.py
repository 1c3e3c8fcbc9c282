"""rlvr_lite: world models with verifiable rewards, RLVR-World (arXiv 2505.13934) in miniature.

Data flows one way: worlds -> tokenizers -> tasks -> model, mle, lora, grpo -> experiments.
Every module is one idea and imports only what stands to its left. This file stays light: it
imports neither transformers nor peft, so `import rlvr_lite` must come before theirs and may.
"""

from rlvr_lite import _compat  # noqa: F401  (first: it must run before torchvision is imported)
from rlvr_lite import checks
from rlvr_lite.figure import show_png
from rlvr_lite.paths import repository_folder, results_folder
from rlvr_lite.profile import Profile, get_profile, start

__version__ = "0.1.0"
__all__ = [
    "Profile",
    "checks",
    "get_profile",
    "repository_folder",
    "results_folder",
    "show_png",
    "start",
]
