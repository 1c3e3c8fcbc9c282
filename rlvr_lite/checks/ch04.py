"""Checks of chapter 4: the mask of given tokens, repetition, the way from trivial to floor."""

from __future__ import annotations

from collections.abc import Callable

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "mask": '''\
def mask(horizon, frame, action):
    first = [True] * frame
    return first + ([False] * action + first) * (horizon - 1)
''',
    "repetition_rate": '''\
def repetition_rate(clips):
    return sum(clip[-1] == clip[-2] for clip in clips) / len(clips)
''',
    "closed": '''\
def closed(model, trivial, floor):
    return (trivial - model) / (trivial - floor)
''',
}

WRONG = {
    "mask": [
        # an action behind every frame, also the last
        "def mask(horizon, frame, action):\n"
        "    return ([True] * frame + [False] * action) * horizon\n",
        # the other way round
        "def mask(horizon, frame, action):\n    first = [False] * frame\n"
        "    return first + ([True] * action + first) * (horizon - 1)\n",
        # the actions first
        "def mask(horizon, frame, action):\n"
        "    return ([False] * action + [True] * frame) * horizon\n",
        # forgets the actions
        "def mask(horizon, frame, action):\n    return [True] * frame * horizon\n",
    ],
    "repetition_rate": [
        # any two neighbours
        "def repetition_rate(clips):\n"
        "    return sum(any(a == b for a, b in zip(c, c[1:])) for c in clips) / len(clips)\n",
        # the first two
        "def repetition_rate(clips):\n    return sum(c[0] == c[1] for c in clips) / len(clips)\n",
        # a share of frames
        "def repetition_rate(clips):\n"
        "    pairs = [a == b for c in clips for a, b in zip(c, c[1:])]\n"
        "    return sum(pairs) / len(pairs)\n",
        # a count
        "def repetition_rate(clips):\n    return sum(c[-1] == c[-2] for c in clips)\n",
        # the first token only
        "def repetition_rate(clips):\n"
        "    return sum(c[-1][0] == c[-2][0] for c in clips) / len(clips)\n",
    ],
    "closed": [
        # the way that is left
        "def closed(model, trivial, floor):\n    return (model - floor) / (trivial - floor)\n",
        # of the trivial predictor alone
        "def closed(model, trivial, floor):\n    return (trivial - model) / trivial\n",
        # clipped
        "def closed(model, trivial, floor):\n"
        "    return max(0.0, (trivial - model) / (trivial - floor))\n",
    ],
}


@one_line("frames count, actions do not")
def mask(answer: Callable) -> str | None:
    """Check `mask`."""
    for numbers in ((1, 4, 8), (3, 2, 1), (2, 1, 3)):
        found = list(call(answer, *numbers))
        h, f, a = numbers
        right = ([True] * f + [False] * a) * (h - 1) + [True] * f
        if found != right:
            return (f"for {h} frames of {f} tokens and actions of {a}, expected {len(right)} "
                    f"values, {sum(right)} of them True, frames first; got {found}")
    return None


@one_line("the last two frames decide")
def repetition_rate(answer: Callable) -> str | None:
    """Check `repetition_rate`."""
    moving = [[1, 2], [1, 3], [2, 3]]
    frozen = [[1, 2], [4, 4], [4, 4]]
    paused = [[1, 2], [1, 2], [5, 2]]
    for clips, right in (([moving, frozen], 0.5), ([paused, moving], 0.0), ([frozen], 1.0),
                         ([moving, [[1, 2], [3, 4], [3, 5]], frozen, paused], 0.25)):
        found = call(answer, clips)
        if abs(found - right) > 1e-9:
            return f"for {clips} the rate is {right}, got {found}"
    return None


@one_line("a metric has two ends")
def closed(answer: Callable) -> str | None:
    """Check `closed`."""
    for numbers, right in (((0.08, 0.16, 0.0), 0.5), ((0.16, 0.16, 0.02), 0.0),
                           ((0.02, 0.16, 0.02), 1.0), ((0.3, 0.2, 0.1), -1.0)):
        found = call(answer, *numbers)
        if abs(found - right) > 1e-9:
            return (f"model {numbers[0]}, trivial {numbers[1]}, floor {numbers[2]}: "
                    f"expected {right}, got {found}")
    return None
