"""Checks of chapter 12: a success criterion, the gap, rank correlation, the elites."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "drawer_done": '''\
import numpy as np


def drawer_done(handle, goal, radius):
    return np.abs(handle[:, 1] - goal[:, 1]) <= radius
''',
    "gap": '''\
def gap(inside, real):
    def rate(outcomes):
        return sum(outcomes) / len(outcomes)
    apart = [abs(rate(inside[name]) - rate(real[name])) for name in real]
    return sum(apart) / len(apart)
''',
    "ranks_agree": '''\
import numpy as np


def ranks_agree(inside, real):
    a, b = (np.argsort(np.argsort(rates)) for rates in (inside, real))
    return np.corrcoef(a, b)[0, 1]
''',
    "refit": '''\
def refit(plans, costs, elites):
    best = plans[costs.argsort()[:elites]]
    return best.mean(0), best.std(0)
''',
}

NUMPY = "import numpy as np\n\n\n"

WRONG = {
    "drawer_done": [
        # the distance in space
        NUMPY + "def drawer_done(handle, goal, radius):\n"
        "    return np.linalg.norm(handle - goal, axis=1) <= radius\n",
        # beyond the goal by any distance
        "def drawer_done(handle, goal, radius):\n"
        "    return handle[:, 1] - goal[:, 1] <= radius\n",
        # another axis
        NUMPY + "def drawer_done(handle, goal, radius):\n"
        "    return np.abs(handle[:, 0] - goal[:, 0]) <= radius\n",
        # the first goal for all
        NUMPY + "def drawer_done(handle, goal, radius):\n"
        "    return np.abs(handle[:, 1] - goal[0, 1]) <= radius\n",
        # one verdict for all
        NUMPY + "def drawer_done(handle, goal, radius):\n"
        "    return bool((np.abs(handle[:, 1] - goal[:, 1]) <= radius).all())\n",
    ],
    "gap": [
        # too friendly and too strict cancel out
        "def gap(inside, real):\n"
        "    apart = [sum(inside[n]) / len(inside[n]) - sum(real[n]) / len(real[n])\n"
        "             for n in real]\n    return abs(sum(apart) / len(apart))\n",
        # counts instead of rates
        "def gap(inside, real):\n"
        "    return sum(abs(sum(inside[n]) - sum(real[n])) for n in real) / len(real)\n",
        # the sum
        "def gap(inside, real):\n"
        "    return sum(abs(sum(inside[n]) / len(inside[n]) - sum(real[n]) / len(real[n]))\n"
        "               for n in real)\n",
        # squares
        "def gap(inside, real):\n"
        "    return sum((sum(inside[n]) / len(inside[n]) - sum(real[n]) / len(real[n])) ** 2\n"
        "               for n in real) / len(real)\n",
        # the worst policy only
        "def gap(inside, real):\n"
        "    return max(abs(sum(inside[n]) / len(inside[n]) - sum(real[n]) / len(real[n]))\n"
        "               for n in real)\n",
    ],
    "ranks_agree": [
        # correlation of the rates
        NUMPY + "def ranks_agree(inside, real):\n"
        "    return np.corrcoef(inside, real)[0, 1]\n",
        # the order instead of the ranks
        NUMPY + "def ranks_agree(inside, real):\n"
        "    return np.corrcoef(np.argsort(inside), np.argsort(real))[0, 1]\n",
        # one side is ranked the other way round
        NUMPY + "def ranks_agree(inside, real):\n"
        "    a, b = np.argsort(np.argsort(inside)), np.argsort(np.argsort(-np.array(real)))\n"
        "    return np.corrcoef(a, b)[0, 1]\n",
        # share of equal ranks
        NUMPY + "def ranks_agree(inside, real):\n"
        "    a, b = (np.argsort(np.argsort(rates)) for rates in (inside, real))\n"
        "    return (a == b).mean()\n",
    ],
    "refit": [
        # the worst plans
        "def refit(plans, costs, elites):\n"
        "    best = plans[costs.argsort()[-elites:]]\n"
        "    return best.mean(0), best.std(0)\n",
        # all plans
        "def refit(plans, costs, elites):\n    return plans.mean(0), plans.std(0)\n",
        # the first plans, unsorted
        "def refit(plans, costs, elites):\n"
        "    return plans[:elites].mean(0), plans[:elites].std(0)\n",
        # the spread of everyone: it would never shrink
        "def refit(plans, costs, elites):\n"
        "    best = plans[costs.argsort()[:elites]]\n"
        "    return best.mean(0), plans.std(0)\n",
        # only the best plan
        "def refit(plans, costs, elites):\n"
        "    best = plans[costs.argmin()]\n    return best, best * 0\n",
        # one number for all steps
        "def refit(plans, costs, elites):\n"
        "    best = plans[costs.argsort()[:elites]]\n    return best.mean(), best.std()\n",
    ],
}


@one_line("only the rail counts, on both sides of the goal")
def drawer_done(answer: Callable) -> str | None:
    """Check `drawer_done`."""
    goal = np.array([[0.0, 0.54, 0.09], [0.1, 0.54, 0.09], [0.0, 0.74, 0.09], [-0.1, 0.6, 0.09],
                     [0.0, 0.7, 0.09]])
    handle = goal + [[0.0, 0.02, 0.05], [0.2, -0.01, 0.0], [0.0, -0.08, 0.0], [0.0, 0.06, 0.0],
                     [0.01, 0.0, -0.2]]
    right = [True, True, False, False, True]
    found = np.asarray(call(answer, handle, goal, 0.03))
    if found.shape != (5,):
        return f"expected one verdict for each of 5 handles, got shape {found.shape}"
    for i, (ours, theirs) in enumerate(zip(right, found.tolist())):
        if bool(theirs) != ours:
            gap = ", ".join(f"{z:+.2f}" for z in (handle - goal)[i])
            return f"a handle that is ({gap}) m from its goal: expected {ours}, got {theirs}"
    return None


@one_line("rates compared policy by policy")
def gap(answer: Callable) -> str | None:
    """Check `gap`."""
    cases = [({"a": [1, 1, 0, 0], "b": [0, 0, 0, 0]},
              {"a": [1, 0, 0, 0], "b": [1, 0, 0, 0]}, 0.25),
             ({"a": [1, 0]}, {"a": [1, 1, 0, 0]}, 0.0),
             ({"a": [1], "b": [0, 1, 1, 1], "c": [0, 1]},
              {"a": [1], "b": [0, 0, 0, 1], "c": [1, 1]}, 1 / 3)]
    for inside, real, right in cases:
        found = float(call(answer, dict(inside), dict(real)))
        if abs(found - right) > 1e-9:
            return f"inside {inside}, real {real}: expected {right:.3f}, got {found:.3f}"
    return None


@one_line("the order counts, the distances do not")
def ranks_agree(answer: Callable) -> str | None:
    """Check `ranks_agree`."""
    for inside, real, right in (([0.1, 0.2, 0.9, 0.95], [0.0, 0.5, 0.6, 1.0], 1.0),
                                ([0.9, 0.1, 0.4], [0.1, 0.8, 0.3], -1.0),
                                ([0.3, 0.1, 0.2, 0.9], [0.1, 0.2, 0.3, 0.4], 0.4)):
        found = float(call(answer, list(inside), list(real)))
        if abs(found - right) > 1e-9:
            return f"inside {inside}, real {real}: expected {right:.2f}, got {found:.2f}"
    return None


@one_line("the Gaussian follows the elites")
def refit(answer: Callable) -> str | None:
    """Check `refit`."""
    rng = np.random.default_rng(0)
    for count, elites in ((8, 3), (20, 5)):
        plans, costs = rng.normal(size=(count, 2, 3)), rng.random(count)
        best = plans[np.argsort(costs)[:elites]]
        found = call(answer, plans.copy(), costs.copy(), elites)
        if len(found) != 2:
            return "return two arrays: mean and standard deviation"
        for word, ours, theirs in zip(("mean", "standard deviation"), (best.mean(0), best.std(0)),
                                      map(np.asarray, found)):
            if theirs.shape != ours.shape:
                return f"the {word} must have shape {ours.shape}, got {theirs.shape}"
            if not np.allclose(ours, theirs):
                return (f"{elites} of {count} plans: the {word} of the first number should be "
                        f"{ours[0, 0]:.3f}, got {theirs[0, 0]:.3f}")
    return None
