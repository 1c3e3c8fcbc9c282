"""Every experiment of the book: which laboratory holds a study, and which one a record."""

from __future__ import annotations

from rlvr_lite import (
    experiments_policy,
    experiments_scaling,
    experiments_text,
    experiments_tokenizers,
    experiments_video,
    experiments_web,
    experiments_web_planning,
)
from rlvr_lite.experiments_lab import Laboratory

LABORATORIES = (experiments_text.LAB, experiments_tokenizers.LAB, experiments_video.LAB,
                experiments_web.LAB, experiments_web_planning.LAB)


def studies() -> dict[str, Laboratory]:
    """Name of a study -> its laboratory."""
    return {name: lab for lab in LABORATORIES for name in lab.studies}


def records() -> dict[str, Laboratory]:
    """Name of a record -> its laboratory."""
    return {name: lab for lab in LABORATORIES for name in lab.records}


# records that judge finished models, in an order in which they can be made
JUDGEMENTS = (experiments_policy.NAME, *(s.name for s in experiments_scaling.RECORDS.values()))


def judge(name: str, seeds: list[int], folder: str) -> None:
    """Write one of `JUDGEMENTS`.

    Args:
        name: policies are judged inside the models of the folder, before and after RLVR; the best
            of N samples is that of the models that ship, whatever the folder holds.
        seeds, folder: of the runs.

    Raises:
        FileNotFoundError: a model is not there.
    """
    if name != experiments_policy.NAME:
        experiments_scaling.main([name.removeprefix("scaling_")])
        return
    experiments_policy.main([
        "--models", f"mle={folder}/{experiments_video.BASE}/base-{{seed}}/model",
        f"rlvr={folder}/video_multi/rlvr-{{seed}}/model", "--seeds", *map(str, seeds),
        "--out", f"{folder}/{name}", "--summarise"])
