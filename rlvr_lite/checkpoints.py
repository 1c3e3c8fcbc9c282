"""Models that ship with the package, so that a chapter can start where hours of training ended.

A checkpoint is a folder `rlvr_lite/data/checkpoints/<name>/`: a Hugging Face model (safetensors;
fp32 for the text game, else fp16) or a video tokenizer, with a note on how it was made.
`make checkpoints` rebuilds them: it runs the experiments that `SHIPPED` names and calls `ship`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Container
from pathlib import Path

from rlvr_lite import experiments_text, experiments_video, experiments_web
from rlvr_lite.evaluation import mean
from rlvr_lite.experiments import load_run, run_path, write_json
from rlvr_lite.experiments_lab import model_folder, run_folder
from rlvr_lite.model import load, save
from rlvr_lite.paths import data_folder

SHIPPED = {  # name: study and method, seed 0; in an order in which they can be made
    "text_serial": ("text_serial", "mle"),
    "text_natural": ("text_natural", "mle"),
    "text_serial_rlvr": ("text_serial", "rlvr"),
    "video_tokenizers/frames8": ("video_tokenizers", "frames8"),
    "video_tokenizers/compressive2": ("video_tokenizers", "compressive2"),
    "video_base": ("video_multi", "mle"),
    "video_single_rlvr": ("video_single", "rlvr"),
    "video_multi_rlvr": ("video_multi", "rlvr"),
    "web_base": ("web_pages", "mle"),
    "web_rlvr": ("web_pages", "rlvr"),
}


def folder(name: str) -> Path:
    """Where a checkpoint lies, whether or not it exists."""
    return data_folder() / "checkpoints" / name


def available() -> list[str]:
    """Names of the checkpoints that are there."""
    return sorted(p.parent.name for p in folder("").glob("*/config.json"))


def existing(name: str, studies: Container[str]) -> Path:
    """Folder of a checkpoint that is there and belongs to one of the studies.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: it is a model of another world.
    """
    if name in SHIPPED and SHIPPED[name][0] not in studies:
        raise ValueError(f"{name!r} is a model of {SHIPPED[name][0]}, of another world; there are "
                         f"{', '.join(n for n, (s, _) in SHIPPED.items() if s in studies)}")
    if not (folder(name) / "config.json").is_file():
        raise FileNotFoundError(f"no checkpoint named {name!r} (there are: "
                                f"{', '.join(available()) or 'none'}); `make checkpoints` "
                                "builds them")
    return folder(name)


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
        ValueError: it is a model of another world.
    """
    return experiments_text.load_kept(existing(name, experiments_text.STUDIES), trace, **options)


def load_video_model(name: str = "video_base", horizon: int = 7, **options):
    """A model of a video experiment, with its task.

    Args:
        name: "video_base" (MLE), "video_single_rlvr" or "video_multi_rlvr" (the same after RL).
        horizon, options: go to `RobotVideoTask`.

    Returns:
        (model, task).

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: it is a model of another world.
    """
    place = existing(name, experiments_video.STUDIES)
    tokens = experiments_video.video_tokens()
    return load(place), experiments_video.RobotVideoTask(tokens, horizon, **options)


def load_web_model(name: str = "web_base", **options):
    """A model of the web experiment, with its task.

    Args:
        name: "web_base" (MLE) or "web_rlvr" (the same after RL).
        options: go to `WebPageTask`, e.g. `mode="official"`.

    Returns:
        (model, task).

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: it is a model of another world.
    """
    return experiments_web.load_kept(existing(name, experiments_web.STUDIES), **options)


def describe(name: str) -> dict:
    """How a checkpoint was made: experiment, method, seed, steps, accuracy on the test split."""
    return json.loads((folder(name) / "made.json").read_text())


def ship(name: str, runs: str | Path, seed: int = 0) -> Path:
    """Copy the model (or tokenizer) of a finished run into the package."""
    study, method = SHIPPED[name]
    run = load_run(run_path(Path(runs) / study, method, seed))
    note = {"experiment": study, "method": method, "seed": seed, "steps": run.cost["steps"],
            "cpu_seconds": run.cost["cpu_seconds"]}
    place = folder(name).with_name(f"{name}.new")  # takes the old one's place when it is complete
    shutil.rmtree(place, ignore_errors=True)
    scores = run.scores["test"]["greedy"]
    if study == "video_tokenizers":
        shutil.copytree(run_folder(study, method, seed, Path(runs)) / "tokenizer", place)
        note |= {"test_lpips": mean(scores["lpips"]), "parameters": run.notes["parameters"]}
    elif study in experiments_video.STUDIES:
        model = load(experiments_video.model_place(study, method, seed, Path(runs)))
        note |= {"test_lpips_greedy": mean(scores["lpips"]), "parameters": size(model)}
        save(model.half(), place)  # half the size; `load` reads it as fp32
    elif study in experiments_web.STUDIES:
        model = load(model_folder(study, method, seed, Path(runs)))
        note |= {"test_f1_greedy": mean(scores["f1"]), "parameters": size(model)}
        experiments_web.keep(model.half(), place)
    else:
        model = load(model_folder(study, method, seed, Path(runs)))
        note |= {"test_exact_greedy": mean(scores["exact"]), "parameters": size(model)}
        experiments_text.keep(model, place)
    (place / "generation_config.json").unlink(missing_ok=True)
    write_json(place / "made.json", note)
    shutil.rmtree(folder(name), ignore_errors=True)
    return place.replace(folder(name))


def size(model) -> int:
    return sum(p.numel() for p in model.parameters())
