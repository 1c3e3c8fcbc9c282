"""A task turns one world into a sequence problem; every algorithm of the book sees only this.

Source: RLVR-World section 4.2 (question q(s, a), response o(s')) and 4.3 (reward on the
*decoded* prediction). A new world is a class with these methods and a row in the registry of
experiments; `model`, `mle`, `lora` and `grpo` do not change.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Task(Protocol):
    """The contract between a world and the algorithms.

    Attributes:
        tokenizer: has `pad_id`, `eos_id`, `vocab_size`, `encode` and `decode`.
        max_new: longest answer in tokens, the stop token included.
    """

    tokenizer: Any
    max_new: int

    def question(self, transition: Any) -> list[int]:
        """Ids of the state and the action: the prompt."""

    def answer(self, transition: Any) -> list[int]:
        """Ids of the gold answer; the last one is `tokenizer.eos_id`."""

    def decode(self, ids: list[int], transition: Any) -> Any | None:
        """Generated ids -> predicted next state; None where they cannot be read."""

    def reward(self, ids: list[int], transition: Any) -> dict[str, float]:
        """The verifiable reward of generated ids, with its parts: {"reward": ..., ...}.

        Whatever a model writes is a legal input: this never raises.
        """

    def metrics(self, ids: list[int], transition: Any) -> dict[str, float]:
        """The numbers that are reported, e.g. {"exact": 0.0}."""
