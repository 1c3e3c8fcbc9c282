"""Checks of chapter 9: reward to go, and comparing like with like."""

from __future__ import annotations

from collections.abc import Callable

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "reward_to_go": '''\
def reward_to_go(frames):
    n = len(frames)
    return [sum(frames[t:]) / (n - t) for t in range(n)]
''',
    "claims": '''\
def claims(base, tuned):
    better = {d: tuned[d] < base[d] for d in ("sampled", "best")}
    if better["sampled"] and better["best"]:
        return "learning"
    return "sharpening" if better["sampled"] else "no gain"
''',
}

WRONG = {
    "reward_to_go": [
        # sums
        "def reward_to_go(frames):\n    return [sum(frames[t:]) for t in range(len(frames))]\n",
        # what lies behind
        "def reward_to_go(frames):\n"
        "    return [sum(frames[:t + 1]) / (t + 1) for t in range(len(frames))]\n",
        # without the frame itself
        "def reward_to_go(frames):\n"
        "    return [sum(frames[t + 1:]) / max(1, len(frames) - t - 1)\n"
        "            for t in range(len(frames))]\n",
        # divided by all frames
        "def reward_to_go(frames):\n"
        "    return [sum(frames[t:]) / len(frames) for t in range(len(frames))]\n",
        # the same for everyone
        "def reward_to_go(frames):\n    return [sum(frames) / len(frames)] * len(frames)\n",
    ],
    "claims": [
        # looks at samples only
        "def claims(base, tuned):\n"
        "    return 'learning' if tuned['sampled'] < base['sampled'] else 'no gain'\n",
        # compares samples with the best decoding
        "def claims(base, tuned):\n"
        "    return 'learning' if tuned['best'] < base['sampled'] else 'no gain'\n",
        # higher is better
        "def claims(base, tuned):\n"
        "    better = {d: tuned[d] > base[d] for d in ('sampled', 'best')}\n"
        "    if better['sampled'] and better['best']:\n        return 'learning'\n"
        "    return 'sharpening' if better['sampled'] else 'no gain'\n",
        # any gain is learning
        "def claims(base, tuned):\n"
        "    return 'learning' if any(tuned[d] < base[d] for d in base) else 'no gain'\n",
    ],
}


@one_line("each frame with what follows it")
def reward_to_go(answer: Callable) -> str | None:
    """Check `reward_to_go`."""
    for frames in ([-1.0, -2.0, -3.0], [0.5], [0.0, -4.0]):
        found = list(call(answer, list(frames)))
        n = len(frames)
        right = [sum(frames[t:]) / (n - t) for t in range(n)]
        if len(found) != n or any(abs(a - b) > 1e-9 for a, b in zip(found, right)):
            return f"for {frames} expected {right}, got {found}"
    return None


@one_line("sharpening and learning are told apart")
def claims(answer: Callable) -> str | None:
    """Check `claims`."""
    base = {"sampled": 0.08, "best": 0.06}
    for tuned, right in (({"sampled": 0.07, "best": 0.05}, "learning"),
                         ({"sampled": 0.065, "best": 0.061}, "sharpening"),
                         ({"sampled": 0.065, "best": 0.06}, "sharpening"),
                         ({"sampled": 0.09, "best": 0.07}, "no gain"),
                         ({"sampled": 0.085, "best": 0.055}, "no gain")):
        found = call(answer, dict(base), tuned)
        if found != right:
            return f"base {base}, tuned {tuned}: expected {right!r}, got {found!r}"
    return None
