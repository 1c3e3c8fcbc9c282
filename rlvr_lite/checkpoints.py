"""Models that ship with the package, so that a chapter can start where hours of training ended.

A checkpoint is a folder `rlvr_lite/data/checkpoints/<name>/` with a Hugging Face model
(safetensors, fp32), the tokenizer and a note on how it was made. `make checkpoints` rebuilds
them: it runs the experiments that `SHIPPED` names and calls `ship`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from rlvr_lite.experiments import load_run, run_path, write_json
from rlvr_lite.experiments_text import keep, load_kept, model_folder
from rlvr_lite.model import load
from rlvr_lite.paths import data_folder

SHIPPED = {  # name: study and method, seed 0
    "text_serial": ("text_serial", "mle"),
    "text_natural": ("text_natural", "mle"),
    "text_serial_rlvr": ("text_serial", "rlvr"),
}


def folder(name: str) -> Path:
    """Where a checkpoint lies, whether or not it exists."""
    return data_folder() / "checkpoints" / name


def available() -> list[str]:
    """Names of the checkpoints that are there."""
    return sorted(p.parent.name for p in folder("").glob("*/config.json"))


def load_text_model(name: str = "text_serial", trace: bool = True, **options):
    """A model of a text experiment, with its task.

    Args:
        name: "text_serial" (long waits) or "text_natural" (ordinary play), the MLE bases, or
            "text_serial_rlvr", the first one after RL.
        trace, options: go to `TextGameTask`, e.g. `reward="task_specific"`.

    Returns:
        (model, task).

    Raises:
        FileNotFoundError: no such checkpoint.
    """
    place = folder(name)
    if not (place / "config.json").is_file():
        raise FileNotFoundError(f"no checkpoint named {name!r} (there are: "
                                f"{', '.join(available()) or 'none'}); `make checkpoints` "
                                "builds them")
    return load_kept(place, trace, **options)


def describe(name: str) -> dict:
    """How a checkpoint was made: experiment, method, seed, steps, accuracy on the test split."""
    return json.loads((folder(name) / "made.json").read_text())


def ship(name: str, runs: str | Path, seed: int = 0) -> Path:
    """Copy the model of a finished run into the package."""
    study, method = SHIPPED[name]
    model = load(model_folder(study, method, seed, Path(runs)))
    run = load_run(run_path(Path(runs) / study, method, seed))
    place = folder(name)
    shutil.rmtree(place, ignore_errors=True)
    keep(model, place)
    (place / "generation_config.json").unlink(missing_ok=True)
    exact = run.scores["test"]["greedy"]["exact"]
    write_json(place / "made.json", {
        "experiment": study, "method": method, "seed": seed, "steps": run.cost["steps"],
        "cpu_seconds": run.cost["cpu_seconds"], "test_exact_greedy": sum(exact) / len(exact),
        "parameters": sum(p.numel() for p in model.parameters())})
    return place
