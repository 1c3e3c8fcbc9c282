"""How a check of an exercise speaks: one line, whatever the answer does.

What: `one_line` turns a function that returns a hint (or None where all is right) into a check
that prints "ok: ...", "wrong: ..." or "not done yet: ..." and never raises.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class NotDone(Exception):
    """The exercise still holds its stub."""


Check = Callable[[Callable], str | None]


def one_line(done: str) -> Callable[[Check], Callable[[Callable], None]]:
    """Decorate a check.

    Args:
        done: what has been achieved, printed after "ok: ".
    """
    def decorate(check: Check) -> Callable[[Callable], None]:
        @functools.wraps(check)
        def run(answer: Callable) -> None:
            name = check.__name__
            try:
                hint = check(answer)
            except NotDone:
                print(f"not done yet: {name} (replace the dots with your code)")
            except Exception as error:  # whatever a student's function raises
                text = " ".join(str(error).split())[:150]
                print(f"wrong: {name} raises {type(error).__name__}: {text}")
            else:
                print(f"wrong: {hint}" if hint else f"ok: {done}")
        return run
    return decorate


def call(answer: Callable, *arguments: Any) -> Any:
    """Run the student's function; a stub (it returns None or ...) raises `NotDone`."""
    value = answer(*arguments)
    if value is None or value is ...:
        raise NotDone
    return value
