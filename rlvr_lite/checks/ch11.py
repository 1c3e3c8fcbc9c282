"""Checks of chapter 11: a margin, the exact odds of a policy, the size of an evaluation."""

from __future__ import annotations

from collections.abc import Callable

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "choose": '''\
def choose(values, margin):
    best = values.index(max(values))
    return best if values[best] > values[0] + margin else 0
''',
    "odds": '''\
def odds(edges, won, node, steps):
    if node in won:
        return 1.0
    if steps == 0:
        return 0.0
    return sum(share * odds(edges, won, after, steps - 1)
               for share, after in edges[node])
''',
    "tasks_needed": '''\
import math


def tasks_needed(before, after):
    variance = before * (1 - before) + after * (1 - after)
    return math.floor((1.96 / (after - before)) ** 2 * variance) + 1
''',
}

WRONG = {
    "choose": [
        # no margin
        "def choose(values, margin):\n    return values.index(max(values))\n",
        # the margin itself is enough
        "def choose(values, margin):\n    best = values.index(max(values))\n"
        "    return best if values[best] >= values[0] + margin else 0\n",
        # compared with the second best instead of the policy's choice
        "def choose(values, margin):\n    best = values.index(max(values))\n"
        "    rest = sorted(values)[-2] if len(values) > 1 else -1e9\n"
        "    return best if values[best] > rest + margin else 0\n",
        # the first that is good enough
        "def choose(values, margin):\n"
        "    return next((i for i, v in enumerate(values) if v > values[0] + margin), 0)\n",
        # of equal ones the last
        "def choose(values, margin):\n"
        "    best = max(range(len(values)), key=lambda i: (values[i], i))\n"
        "    return best if values[best] > values[0] + margin else 0\n",
        # the value instead of the position
        "def choose(values, margin):\n"
        "    return max(values) if max(values) > values[0] + margin else values[0]\n",
    ],
    "odds": [
        # all actions alike
        "def odds(edges, won, node, steps):\n    if node in won:\n        return 1.0\n"
        "    if steps == 0 or not edges[node]:\n        return 0.0\n"
        "    return sum(odds(edges, won, n, steps - 1) for _, n in edges[node])"
        " / len(edges[node])\n",
        # the best action: that is the ceiling
        "def odds(edges, won, node, steps):\n    if node in won:\n        return 1.0\n"
        "    if steps == 0 or not edges[node]:\n        return 0.0\n"
        "    return max(odds(edges, won, n, steps - 1) for _, n in edges[node])\n",
        # the steps do not count down (stopped at twenty)
        "def odds(edges, won, node, steps, deep=20):\n    if node in won:\n        return 1.0\n"
        "    if deep == 0:\n        return 0.0\n"
        "    return sum(s * odds(edges, won, n, steps, deep - 1) for s, n in edges[node])\n",
        # one action only
        "def odds(edges, won, node, steps):\n"
        "    return sum(s for s, n in edges[node] if n in won)\n",
        # one action too few: a win by the last action is not seen
        "def odds(edges, won, node, steps):\n    if steps == 0:\n        return 0.0\n"
        "    if node in won:\n        return 1.0\n"
        "    return sum(s * odds(edges, won, n, steps - 1) for s, n in edges[node])\n",
    ],
    "tasks_needed": [
        # the spread of one agent only
        "import math\n\n\ndef tasks_needed(before, after):\n"
        "    return math.floor((1.96 / (after - before)) ** 2 * before * (1 - before)) + 1\n",
        # the relative gain
        "import math\n\n\ndef tasks_needed(before, after):\n"
        "    v = before * (1 - before) + after * (1 - after)\n"
        "    return math.floor((1.96 / ((after - before) / before)) ** 2 * v) + 1\n",
        # one standard error
        "import math\n\n\ndef tasks_needed(before, after):\n"
        "    v = before * (1 - before) + after * (1 - after)\n"
        "    return math.floor(v / (after - before) ** 2) + 1\n",
        # no square
        "import math\n\n\ndef tasks_needed(before, after):\n"
        "    v = before * (1 - before) + after * (1 - after)\n"
        "    return math.floor(1.96 / abs(after - before) * v ** 0.5) + 1\n",
        # one too few
        "def tasks_needed(before, after):\n"
        "    v = before * (1 - before) + after * (1 - after)\n"
        "    return int((1.96 / (after - before)) ** 2 * v)\n",
    ],
}


@one_line("the policy has its way unless the planner is sure")
def choose(answer: Callable) -> str | None:
    """Exercise 11.1."""
    for values, margin, right, why in (
            ([1.0, 3.0, 2.0], 0.0, 1, "the best value wins where there is no margin"),
            ([1.0, 3.0, 2.0], 2.5, 0, "it beats the first choice by 2 only"),
            ([1.0, 3.0, 2.5], 1.0, 1, "the margin is over the policy's first choice"),
            ([1.0, 2.5, 4.0], 1.0, 2, "of all that pass the margin, the best"),
            ([1.0, 3.0], 2.0, 0, "more than the margin, not as much"),
            ([0.0, 2.0, 2.0], 0.5, 1, "of equal ones, the first"),
            ([5.0, 2.0], 0.0, 0, "the first choice is the best one here")):
        found = call(answer, list(values), margin)
        if found != right:
            return f"values {values}, margin {margin:g}: expected {right}, got {found} ({why})"
    return None


@one_line("no episode had to be simulated")
def odds(answer: Callable) -> str | None:
    """Exercise 11.2."""
    edges = [[(0.5, 1), (0.3, 2), (0.2, 0)], [(0.25, 3), (0.75, 2)], [], []]
    for node, steps, right, why in (
            (3, 0, 1.0, "a node of `won` is won already"),
            (0, 0, 0.0, "without a step nothing is won from the start"),
            (2, 3, 0.0, "an episode that is over stays as it is"),
            (1, 1, 0.25, "one action, weighed by its share"),
            (0, 1, 0.0, "node 3 is two actions away"),
            (0, 2, 0.125, "0.5 to node 1, then 0.25"),
            (0, 3, 0.15, "0.2 of the episodes come back to the start and have two steps left")):
        found = float(call(answer, [list(e) for e in edges], {3}, node, steps))
        if abs(found - right) > 1e-9:
            return f"node {node}, {steps} steps: expected {right:g}, got {found:g} ({why})"
    return None


@one_line("the size of the evaluation is known before it runs")
def tasks_needed(answer: Callable) -> str | None:
    """Exercise 11.3."""
    for before, after, right in ((0.5, 0.6, 189), (0.1, 0.2, 97), (0.3, 0.2, 143)):
        found = call(answer, before, after)
        if found != right:
            return (f"{before:.0%} against {after:.0%}: expected {right}, got {found} "
                    "(solve 1.96 * spread < gain for n)")
    return None
