"""Checks of chapter 5: partial credit, a strict judge, when guesses pay, F1, a film's reward."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "task_specific": '''\
def task_specific(item, score, exact, right, total):
    reward = 0.09 * item + 0.01 * score + 0.2 * exact
    if total > 0:
        reward += right / total
    return reward
''',
    "strict_exact": '''\
def strict_exact(predicted, true):
    def tidy(objects):
        return sorted(({**o, "contains": sorted(o["contains"])}
                       for o in objects), key=lambda o: o["uuid"])
    return int(tidy(predicted) == tidy(true))
''',
    "edit_threshold": '''\
def edit_threshold(n):
    wrong = 0.09 * (n - 1) / n + 0.01  # one entry of n is wrong
    gain, cost = 1.3 - wrong, 0.3 - wrong
    return cost / (gain + cost)
''',
    "multiset_f1": '''\
def multiset_f1(predicted, true):
    if not predicted and not true:
        return 1.0
    left = list(true)
    hits = 0
    for item in predicted:
        if item in left:
            left.remove(item)
            hits += 1
    return 2 * hits / (len(predicted) + len(true))
''',
    "smallest_probability": '''\
def smallest_probability(known):
    silent = 2 * known / (2 * known + 1)
    # writing gives (known + p) / (known + 1)
    return silent * (known + 1) - known
''',
    "how_many": '''\
def how_many(chances):
    from itertools import product
    from math import prod
    expected = [0.0] * (len(chances) + 1)
    for truth in product((0, 1), repeat=len(chances)):
        p = prod(c if there else 1 - c for c, there in zip(chances, truth))
        for k in range(len(chances) + 1):
            both = k + sum(truth)
            f1 = 2 * sum(truth[:k]) / both if both else 1.0
            expected[k] += p * f1
    best = max(expected)
    return next(k for k, e in enumerate(expected) if e > best - 1e-9)
''',
    "film_reward": '''\
def film_reward(l1, lpips, codes, penalty):
    repeated = [a == b for a, b in zip(codes, codes[1:])]
    error = sum(l1) + sum(lpips)
    return -(error + penalty * sum(repeated)) / len(l1)
''',
}

WRONG = {
    "task_specific": [
        # the absent term counts as right
        "def task_specific(item, score, exact, right, total):\n"
        "    return (0.09 * item + 0.01 * score + 0.2 * exact\n"
        "            + (right / total if total else 1.0))\n",
        # the number of right changes instead of their share
        "def task_specific(item, score, exact, right, total):\n"
        "    return 0.09 * item + 0.01 * score + 0.2 * exact + right\n",
        # the weights of objects and score exchanged
        "def task_specific(item, score, exact, right, total):\n"
        "    share = right / total if total else 0\n"
        "    return 0.01 * item + 0.09 * score + 0.2 * exact + share\n",
        # no share for being exact
        "def task_specific(item, score, exact, right, total):\n"
        "    share = right / total if total else 0\n"
        "    return 0.09 * item + 0.01 * score + share\n",
        # divides by zero where nothing changes
        "def task_specific(item, score, exact, right, total):\n"
        "    return 0.09 * item + 0.01 * score + 0.2 * exact + right / total\n",
    ],
    "strict_exact": [
        # order counts
        "def strict_exact(predicted, true):\n    return int(predicted == true)\n",
        # a dictionary swallows an object that is named twice
        "def strict_exact(predicted, true):\n"
        "    def tidy(objects):\n"
        "        return {o['uuid']: {**o, 'contains': sorted(o['contains'])}\n"
        "                for o in objects}\n"
        "    return int(tidy(predicted) == tidy(true))\n",
        # looks at properties and places only, not at names and types
        "def strict_exact(predicted, true):\n"
        "    def tidy(objects):\n"
        "        return sorted((o['uuid'], sorted(o['properties'].items()),\n"
        "                       sorted(o['contains'])) for o in objects)\n"
        "    return int(tidy(predicted) == tidy(true))\n",
        # walks the true objects only: extra objects are free
        "def strict_exact(predicted, true):\n"
        "    p = {o['uuid']: o for o in predicted}\n"
        "    return int(all(o['uuid'] in p and p[o['uuid']]['properties'] == o['properties']\n"
        "                   and sorted(p[o['uuid']]['contains']) == sorted(o['contains'])\n"
        "                   for o in true))\n",
        # walks the true properties only: extra properties are free
        "def strict_exact(predicted, true):\n"
        "    p, t = ({o['uuid']: o for o in z} for z in (predicted, true))\n"
        "    return int(p.keys() == t.keys() and all(\n"
        "        all(p[u]['properties'].get(k) == v for k, v in t[u]['properties'].items())\n"
        "        and sorted(p[u]['contains']) == sorted(t[u]['contains']) for u in t))\n",
        # contains as a set: two eggs are as good as one
        "def strict_exact(predicted, true):\n"
        "    tidy = lambda z: {o['uuid']: {**o, 'contains': set(o['contains'])} for o in z}\n"
        "    return int(tidy(predicted) == tidy(true))\n",
        # forgets contains
        "def strict_exact(predicted, true):\n"
        "    tidy = lambda z: {o['uuid']: o['properties'] for o in z}\n"
        "    return int(tidy(predicted) == tidy(true))\n",
        # only the number of objects
        "def strict_exact(predicted, true):\n    return int(len(predicted) == len(true))\n",
    ],
    "edit_threshold": [
        # the threshold of the binary reward
        "def edit_threshold(n):\n    return 0.5\n",
        # the limit for large n
        "def edit_threshold(n):\n    return 0.2 / 1.4\n",
        # what editing pays for certain
        "def edit_threshold(n):\n    return 0.3 / 1.3\n",
        # forgets the entry that a false alarm spoils
        "def edit_threshold(n):\n"
        "    wrong = 0.09 * (n - 1) / n + 0.01\n"
        "    return 0.2 / (1.3 - wrong + 0.2)\n",
        # gain and cost exchanged
        "def edit_threshold(n):\n"
        "    wrong = 0.09 * (n - 1) / n + 0.01\n"
        "    return (1.3 - wrong) / (1.6 - 2 * wrong)\n",
    ],
    "multiset_f1": [
        # sets: repetition is free
        "def multiset_f1(predicted, true):\n"
        "    if not predicted and not true:\n        return 1.0\n"
        "    hits = len(set(predicted) & set(true))\n"
        "    return 2 * hits / (len(set(predicted)) + len(set(true)))\n",
        # every repetition is a hit
        "def multiset_f1(predicted, true):\n"
        "    if not predicted and not true:\n        return 1.0\n"
        "    return 2 * sum(p in true for p in predicted) / (len(predicted) + len(true))\n",
        # nothing against nothing is zero
        "def multiset_f1(predicted, true):\n"
        "    left, hits = list(true), 0\n"
        "    for p in predicted:\n"
        "        if p in left:\n            left.remove(p)\n            hits += 1\n"
        "    return 2 * hits / max(1, len(predicted) + len(true))\n",
        # precision
        "def multiset_f1(predicted, true):\n"
        "    if not predicted and not true:\n        return 1.0\n"
        "    left, hits = list(true), 0\n"
        "    for p in predicted:\n"
        "        if p in left:\n            left.remove(p)\n            hits += 1\n"
        "    return hits / max(1, len(predicted))\n",
        # recall
        "def multiset_f1(predicted, true):\n"
        "    if not predicted and not true:\n        return 1.0\n"
        "    left, hits = list(true), 0\n"
        "    for p in predicted:\n"
        "        if p in left:\n            left.remove(p)\n            hits += 1\n"
        "    return hits / max(1, len(true))\n",
    ],
    "smallest_probability": [
        # the intuition of accuracy
        "def smallest_probability(known):\n    return 0.5\n",
        # the F1 of silence itself
        "def smallest_probability(known):\n    return 2 * known / (2 * known + 1)\n",
        # precision only
        "def smallest_probability(known):\n    return known / (known + 1)\n",
        # always write
        "def smallest_probability(known):\n    return 0.0\n",
        # forgets that the true list is one longer
        "def smallest_probability(known):\n"
        "    return known / (2 * known) if known else 0.0\n",
    ],
    "how_many": [
        # what is more likely than not
        "def how_many(chances):\n"
        "    return sum(c > 0.5 for c in chances)\n",
        # as many as the truth holds on average
        "def how_many(chances):\n"
        "    return round(sum(chances))\n",
        # all of them
        "def how_many(chances):\n"
        "    return len(chances)\n",
        # F1 of the expected numbers, not the expected F1
        "def how_many(chances):\n"
        "    n = sum(chances)\n"
        "    value = [2 * sum(chances[:k]) / (k + n) if k + n else 1.0\n"
        "             for k in range(len(chances) + 1)]\n"
        "    return value.index(max(value))\n",
        # an empty answer never earns anything
        "def how_many(chances):\n"
        "    from itertools import product\n"
        "    from math import prod\n"
        "    value = [0.0] * (len(chances) + 1)\n"
        "    for truth in product((0, 1), repeat=len(chances)):\n"
        "        p = prod(c if there else 1 - c for c, there in zip(chances, truth))\n"
        "        for k in range(1, len(chances) + 1):\n"
        "            value[k] += p * 2 * sum(truth[:k]) / (k + sum(truth))\n"
        "    return value.index(max(value))\n",
        # expected precision
        "def how_many(chances):\n"
        "    value = [0.0] + [sum(chances[:k]) / k for k in range(1, len(chances) + 1)]\n"
        "    return value.index(max(value))\n",
    ],
    "film_reward": [
        # an error, not a reward
        "def film_reward(l1, lpips, codes, penalty):\n"
        "    repeated = [a == b for a, b in zip(codes, codes[1:])]\n"
        "    return (sum(l1) + sum(lpips) + penalty * sum(repeated)) / len(l1)\n",
        # the sum over frames instead of the mean
        "def film_reward(l1, lpips, codes, penalty):\n"
        "    repeated = [a == b for a, b in zip(codes, codes[1:])]\n"
        "    return -(sum(l1) + sum(lpips)) - penalty * sum(repeated) / len(l1)\n",
        # repetition is paid for, not fined
        "def film_reward(l1, lpips, codes, penalty):\n"
        "    repeated = [a == b for a, b in zip(codes, codes[1:])]\n"
        "    return -(sum(l1) + sum(lpips) - penalty * sum(repeated)) / len(l1)\n",
        # looks at the last two frames only
        "def film_reward(l1, lpips, codes, penalty):\n"
        "    return -(sum(l1) + sum(lpips)) / len(l1) - penalty * (codes[-1] == codes[-2])\n",
        # forgets to compare the first prediction with the current frame
        "def film_reward(l1, lpips, codes, penalty):\n"
        "    repeated = [a == b for a, b in zip(codes[1:], codes[2:])]\n"
        "    return -(sum(l1) + sum(lpips) + penalty * sum(repeated)) / len(l1)\n",
        # divides by the number of frames with the current one
        "def film_reward(l1, lpips, codes, penalty):\n"
        "    repeated = [a == b for a, b in zip(codes, codes[1:])]\n"
        "    return -(sum(l1) + sum(lpips)) / len(l1) - penalty * sum(repeated) / len(codes)\n",
        # a frame repeats when it shares any code
        "def film_reward(l1, lpips, codes, penalty):\n"
        "    repeated = [any(x == y for x, y in zip(a, b)) for a, b in zip(codes, codes[1:])]\n"
        "    return -(sum(l1) + sum(lpips) + penalty * sum(repeated)) / len(l1)\n",
        # any earlier frame counts as repeated
        "def film_reward(l1, lpips, codes, penalty):\n"
        "    repeated = [c in codes[:i] for i, c in enumerate(codes) if i]\n"
        "    return -(sum(l1) + sum(lpips) + penalty * sum(repeated)) / len(l1)\n",
        # judges the last frame only
        "def film_reward(l1, lpips, codes, penalty):\n"
        "    repeated = [a == b for a, b in zip(codes, codes[1:])]\n"
        "    return -l1[-1] - lpips[-1] - penalty * sum(repeated) / len(l1)\n",
    ],
}


def _close(value, truth: float) -> bool:
    return not isinstance(value, bool) and abs(value - truth) < 1e-9


@one_line("task_specific is equation 4, also where nothing should change")
def task_specific(answer: Callable) -> str | None:
    """Corners and random cases of equation 4."""
    rng = random.Random(0)
    cases = [(1, 1, 1, 2, 2), (1, 1, 1, 0, 0), (0.5, 1, 0, 0, 3), (0.9, 2 / 3, 0, 3, 4)]
    cases += [(rng.random(), rng.random(), 0, rng.randrange(4), 4) for _ in range(5)]
    for item, score, exact, right, total in cases:
        truth = 0.09 * item + 0.01 * score + 0.2 * exact + (right / total if total else 0)
        value = call(answer, item, score, exact, right, total)
        if not _close(value, truth):
            return (f"item {item:.2f}, score {score:.2f}, exact {exact}, {right} of {total} "
                    f"changes right: expected {truth:.3f}, got {value!r}")
    return None


def _thing(uuid: int, inside=(), **properties) -> dict:
    return {"name": f"thing {uuid}", "uuid": uuid, "type": "Thing", "properties": properties,
            "contains": list(inside)}


@one_line("strict_exact accepts every order and nothing else")
def strict_exact(answer: Callable) -> str | None:
    """Equal states in another order, and one state for each way to be wrong."""
    box, egg = _thing(1, ["egg", "lid"], on=True), _thing(2, heat=3)
    true = [box, egg]
    cases = [
        ("the same state", true, 1), ("objects in another order", [egg, box], 1),
        ("`contains` in another order", [_thing(1, ["lid", "egg"], on=True), egg], 1),
        ("a wrong value", [box, _thing(2, heat=4)], 0), ("a missing object", [box], 0),
        ("an extra object", [*true, _thing(3)], 0), ("an object twice", [*true, egg], 0),
        ("another name", [box, {**egg, "name": "ball"}], 0),
        ("another type", [box, {**egg, "type": "Toy"}], 0),
        ("an extra property", [box, _thing(2, heat=3, cold=False)], 0),
        ("a missing property", [_thing(1, ["egg", "lid"]), egg], 0),
        ("a name twice in `contains`", [_thing(1, ["egg", "lid", "lid"], on=True), egg], 0),
        ("an empty `contains`", [_thing(1, [], on=True), egg], 0),
    ]
    for what, predicted, truth in cases:
        value = call(answer, predicted, true)
        if value != truth:
            return f"{what} should give {truth}, yours gives {value!r}"
    return None


@one_line("edit_threshold: below it silence pays more, above it the edit")
def edit_threshold(answer: Callable) -> str | None:
    """Against the expected rewards themselves, for several numbers of entries."""
    for n in (1, 2, 5, 10, 50):
        wrong = 0.09 * (n - 1) / n + 0.01
        p = call(answer, n)
        edit, leave = p * 1.3 + (1 - p) * wrong, p * wrong + (1 - p) * 0.3
        if isinstance(p, bool) or abs(edit - leave) > 1e-9:
            return (f"with {n} entries and p = {p:.3f} the edit earns {edit:.3f} and silence "
                    f"{leave:.3f}; at the threshold both are equal")
    return None


@one_line("multiset_f1 lets every true item be found once")
def multiset_f1(answer: Callable) -> str | None:
    """Repetition on both sides, empty lists, random lists."""
    rng = random.Random(1)
    cases = [(["a", "b"], ["b", "a"]), (["a", "a", "a"], ["a"]), (["a"], ["a", "a"]), ([], []),
             ([], ["a"]), (["a"], []), (["a", "c"], ["a", "b", "d"])]
    cases += [(rng.choices("abc", k=4), rng.choices("abc", k=3)) for _ in range(6)]
    for predicted, true in cases:
        hits = (Counter(predicted) & Counter(true)).total()
        both = len(predicted) + len(true)
        truth = 2 * hits / both if both else 1.0
        value = call(answer, list(predicted), list(true))
        if not _close(value, truth):
            return f"predicted {predicted}, true {true}: expected {truth:.3f}, got {value!r}"
    return None


@one_line("smallest_probability is half of the F1 that silence earns")
def smallest_probability(answer: Callable) -> str | None:
    """Against the expected F1 of writing and of silence."""
    for known in (0, 1, 2, 3, 10):
        p = call(answer, known)
        write, silent = (known + p) / (known + 1), 2 * known / (2 * known + 1)
        if isinstance(p, bool) or abs(write - silent) > 1e-9:
            return (f"with {known} known items and p = {p:.3f} writing earns {write:.3f} and "
                    f"silence {silent:.3f}; at the threshold both are equal")
    return None


@one_line("how_many makes the expected F1 largest")
def how_many(answer: Callable) -> str | None:
    """Sure items, doubtful ones alone and together, random beliefs."""
    rng = random.Random(3)
    cases = [[], [0.4], [0.5], [0.6], [0.4] * 3, [1.0, 1.0, 1.0, 0.4], [0.2] * 5, [0.5, 0.5],
             [0.9, 0.5, 0.3], [1.0, 0.34]]
    cases += [sorted((rng.random() for _ in range(n)), reverse=True) for n in (3, 4, 5, 6) * 3]
    for chances in cases:
        expected = [0.0] * (len(chances) + 1)
        for bits in range(2 ** len(chances)):
            there = [bits >> i & 1 for i in range(len(chances))]
            p = math.prod(c if t else 1 - c for c, t in zip(chances, there))
            for k in range(len(chances) + 1):
                both = k + sum(there)
                expected[k] += p * (2 * sum(there[:k]) / both if both else 1.0)
        truth = next(k for k, e in enumerate(expected) if e > max(expected) - 1e-9)
        value = call(answer, list(chances))
        if isinstance(value, bool) or value != truth:
            shown, got = [round(c, 2) for c in chances], [round(e, 3) for e in expected]
            return (f"with chances {shown} the expected F1 of 0, 1, ... items is {got}: write "
                    f"{truth}, yours writes {value!r}")
    return None


@one_line("film_reward is equation 5.5 less the repetition penalty")
def film_reward(answer: Callable) -> str | None:
    """Moving, resting and returning films, one frame and several, with and without a penalty."""
    rng = random.Random(2)
    a, b, c, d = [1, 2, 3, 4], [1, 2, 3, 9], [5, 6, 7, 8], [0, 0, 9, 1]
    for codes in ([a, b], [a, a], [a, b, c, d], [a, a, b, b], [a, b, b, c], [a, c, a, c], [d] * 5):
        frames = len(codes) - 1
        l1, lpips = ([rng.random() for _ in range(frames)] for _ in range(2))
        share = sum(x == y for x, y in zip(codes, codes[1:])) / frames
        for penalty in (0.0, 0.5):
            truth = -sum(x + y for x, y in zip(l1, lpips)) / frames - penalty * share
            value = call(answer, list(l1), list(lpips), [list(z) for z in codes], penalty)
            if not _close(value, truth):
                return (f"{frames} predicted frame(s), {share:.0%} of them repeated, penalty "
                        f"{penalty}: expected {truth:.3f}, got {value!r}")
    return None
