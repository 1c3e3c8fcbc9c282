"""Every experiment of the book: which laboratory holds a study, and which one a record."""

from __future__ import annotations

from rlvr_lite import (
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
