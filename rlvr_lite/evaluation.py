"""What a model answers and how often it is right: the same for every task.

`answers` writes greedy or sampled answers to a list of transitions, `scores` judges one answer
each, `exploration` says before any training what RL would have to work with.
Source: RLVR-World section 5 reports means of such scores; table 5 for the decoding.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from rlvr_lite.metrics import pass_at_k
from rlvr_lite.model import sample
from rlvr_lite.tasks.base import Task, given, measure


def answers(model, task: Task, items: list, temperature: float = 0.0,
            group: int = 1, seed: int = 0, batch: int = 64,
            top_k: int = 0) -> list[list[list[int]]]:
    """`group` answers to every question; questions of similar length share a batch."""
    order = sorted(range(len(items)), key=lambda i: len(task.question(items[i])))
    generator = torch.Generator(model.device).manual_seed(seed)
    found: list = [None] * len(items)
    for start in range(0, len(order), batch):
        rows = order[start:start + batch]
        rollouts = sample(model, [task.question(items[i]) for i in rows], group, task.max_new,
                          temperature, top_k, eos_id=task.tokenizer.eos_id, generator=generator,
                          given=given(task, [items[i] for i in rows]))
        for at, i in enumerate(rows):
            found[i] = rollouts.answers[at * group:(at + 1) * group]
    return found


def scores(model, task: Task, items: list, temperature: float = 0.0, seed: int = 0,
           top_k: int = 0, batch: int = 64) -> dict[str, list[float]]:
    """Metric -> one value per item.

    Raises:
        ValueError: there is no item to score.
    """
    if not items:
        raise ValueError("there is no item to score")
    found = answers(model, task, items, temperature, 1, seed, batch, top_k)
    rows = measure(task, [a[0] for a in found], items)
    return {name: [row[name] for row in rows] for name in rows[0]}


def mean(values: Iterable[float]) -> float:
    """Mean of at least one number."""
    values = list(values)
    return sum(values) / len(values)


def spread(found: list, count: int | None) -> list:
    """So many of them at even distances (None: all): test items are sorted by task."""
    count = min(count or len(found), len(found))
    return [found[i * len(found) // count] for i in range(count)]


def exploration(model, task: Task, items: list, group: int = 8) -> dict:
    """What RL has to work with, sampled at T = 1.

    Returns:
        {"pass_1", "pass_<group>", "live"}: the chance that one answer is right, that one of a
        group is, and the share of groups in which some are right and some wrong.
    """
    right = [sum(task.metrics(a, t)["exact"] for a in found) for found, t in
             zip(answers(model, task, items, 1.0, group), items)]
    return {"pass_1": mean(r / group for r in right),
            f"pass_{group}": mean(pass_at_k(int(r), group, group) for r in right),
            "live": mean(0 < r < group for r in right)}
