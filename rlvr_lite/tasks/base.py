"""A task turns one world into a sequence problem; every algorithm of the book sees only this.

Source: RLVR-World section 4.2 (question q(s, a), response o(s')) and 4.3 (reward on the
*decoded* prediction). A new world is a class with these methods; `model`, `mle`, `lora` and `grpo`
do not change. To record and to ship its models takes more places: CONTRIBUTING.md lists them.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, full, tensor


@runtime_checkable
class Task(Protocol):
    """The contract between a world and the algorithms.

    Attributes:
        tokenizer: has `pad_id`, `eos_id` (None: every answer has `max_new` tokens), `vocab_size`.
        max_new: longest answer in tokens, the stop token included.
    """

    tokenizer: Any
    max_new: int

    def question(self, transition: Any) -> list[int]:
        """Ids of the state and the action: the prompt."""

    def answer(self, transition: Any) -> list[int]:
        """Ids of the gold answer; the last one is `tokenizer.eos_id`, where there is one."""

    def decode(self, ids: list[int], transition: Any) -> Any | None:
        """Generated ids -> predicted next state; None where they cannot be read."""

    def reward(self, ids: list[int], transition: Any) -> dict[str, float]:
        """The verifiable reward of generated ids, with its parts: {"reward": ..., ...}.

        Whatever a model writes is a legal input: this never raises.
        """

    def metrics(self, ids: list[int], transition: Any) -> dict[str, float]:
        """The numbers that are reported, e.g. {"exact": 0.0}."""


# Beside "reward", the parts may hold "credit": a reward for every token of the answer.
# A task may do some of this at once, where that is cheaper: `rewards(answers, transitions)` and
# `measure(answers, transitions)`. And its answers may hold tokens that are not predicted:
# `given(transition)`, a list of (position, ids), and `chosen(transition)`, a bool per token.
def rewards(task: Task, answers: list[list[int]], transitions: list) -> list[dict[str, float]]:
    """The rewards of many answers, each with its own transition."""
    if hasattr(task, "rewards"):
        return task.rewards(answers, transitions)
    return [task.reward(a, t) for a, t in zip(answers, transitions)]


def measure(task: Task, answers: list[list[int]], transitions: list) -> list[dict[str, float]]:
    """The metrics of many answers, each with its own transition."""
    if hasattr(task, "measure"):
        return task.measure(answers, transitions)
    return [task.metrics(a, t) for a, t in zip(answers, transitions)]


def given(task: Task, transitions: list) -> Tensor | None:
    """Tokens of the answers that are known beforehand, (B, max_new) with -1 elsewhere, or None."""
    if not hasattr(task, "given"):
        return None
    table = full((len(transitions), task.max_new), -1)
    for row, t in enumerate(transitions):
        for start, ids in task.given(t):
            table[row, start:start + len(ids)] = tensor(ids)
    return table


def gold_pair(task: Task, transition: Any) -> tuple:
    """What MLE learns from: (question, answer), and which tokens count where not all do."""
    pair = task.question(transition), task.answer(transition)
    return (*pair, task.chosen(transition)) if hasattr(task, "chosen") else pair
