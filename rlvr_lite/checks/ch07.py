"""Checks of chapter 7: where a gain comes from, live groups, a fair budget, a fair verdict."""

from __future__ import annotations

from collections.abc import Callable

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "decompose": '''\
def decompose(before, after, share):
    unchanged = share * (after["unchanged"] - before["unchanged"])
    changed = (1 - share) * (after["changed"] - before["changed"])
    return {"unchanged": unchanged, "changed": changed}
''',
    "live_share": '''\
def live_share(groups):
    live = [max(group) > min(group) for group in groups]
    return sum(live) / len(live)
''',
    "equal_steps": '''\
def equal_steps(rl_seconds, probe_steps, probe_seconds):
    return int(rl_seconds / (probe_seconds / probe_steps))
''',
    "verdict": '''\
def verdict(differences):
    if all(low > 0 for mean, low, high in differences.values()):
        return "better than every control"
    lost = [name for name, d in differences.items() if d[2] < 0]
    if lost:
        return "worse than " + ", ".join(lost)
    return "not decided"
''',
}

WRONG = {
    "decompose": [
        # forgets the shares
        "def decompose(before, after, share):\n"
        "    return {k: after[k] - before[k] for k in ('unchanged', 'changed')}\n",
        # shares swapped
        "def decompose(before, after, share):\n"
        "    return {'unchanged': (1 - share) * (after['unchanged'] - before['unchanged']),\n"
        "            'changed': share * (after['changed'] - before['changed'])}\n",
        # only the end, not the gain
        "def decompose(before, after, share):\n"
        "    return {'unchanged': share * after['unchanged'],\n"
        "            'changed': (1 - share) * after['changed']}\n",
        # before minus after
        "def decompose(before, after, share):\n"
        "    return {'unchanged': share * (before['unchanged'] - after['unchanged']),\n"
        "            'changed': (1 - share) * (before['changed'] - after['changed'])}\n",
    ],
    "live_share": [
        # counts groups with any success, also those that are all right
        "def live_share(groups):\n    return sum(max(g) > 0 for g in groups) / len(groups)\n",
        # mean reward
        "def live_share(groups):\n"
        "    return sum(sum(g) / len(g) for g in groups) / len(groups)\n",
        # a count instead of a share
        "def live_share(groups):\n    return sum(max(g) > min(g) for g in groups)\n",
        # the dead ones
        "def live_share(groups):\n"
        "    return sum(max(g) == min(g) for g in groups) / len(groups)\n",
    ],
    "equal_steps": [
        # as many steps as RL had seconds
        "def equal_steps(rl_seconds, probe_steps, probe_seconds):\n    return int(rl_seconds)\n",
        # upside down
        "def equal_steps(rl_seconds, probe_steps, probe_seconds):\n"
        "    return int(probe_seconds / probe_steps * rl_seconds)\n",
        # the probe is not a single step
        "def equal_steps(rl_seconds, probe_steps, probe_seconds):\n"
        "    return int(rl_seconds / probe_seconds)\n",
    ],
    "verdict": [
        # looks at the mean only
        "def verdict(differences):\n"
        "    if all(d[0] > 0 for d in differences.values()):\n"
        "        return 'better than every control'\n"
        "    lost = [n for n, d in differences.items() if d[2] < 0]\n"
        "    return 'worse than ' + ', '.join(lost) if lost else 'not decided'\n",
        # one control is enough
        "def verdict(differences):\n"
        "    if any(d[1] > 0 for d in differences.values()):\n"
        "        return 'better than every control'\n"
        "    lost = [n for n, d in differences.items() if d[2] < 0]\n"
        "    return 'worse than ' + ', '.join(lost) if lost else 'not decided'\n",
        # never admits a loss
        "def verdict(differences):\n"
        "    if all(d[1] > 0 for d in differences.values()):\n"
        "        return 'better than every control'\n"
        "    return 'not decided'\n",
        # an undecided control counts as lost
        "def verdict(differences):\n"
        "    if all(d[1] > 0 for d in differences.values()):\n"
        "        return 'better than every control'\n"
        "    lost = [n for n, d in differences.items() if d[1] < 0]\n"
        "    return 'worse than ' + ', '.join(lost) if lost else 'not decided'\n",
    ],
}


@one_line("a gain splits into the part of each subset")
def decompose(answer: Callable) -> str | None:
    """Exercise 7.1."""
    before, after = {"unchanged": 40.0, "changed": 20.0}, {"unchanged": 80.0, "changed": 30.0}
    parts = call(answer, before, after, 0.75)
    if set(parts) != {"unchanged", "changed"}:
        return "return a dict with the keys 'unchanged' and 'changed'"
    if abs(parts["unchanged"] + parts["changed"] - 32.5) > 1e-9:
        return "the two parts must add up to the overall gain (32.5 points in the test case)"
    if abs(parts["unchanged"] - 30.0) > 1e-9:
        return "weigh each subset by its own share of the test items"
    return None


@one_line("only groups with a spread carry a gradient")
def live_share(answer: Callable) -> str | None:
    """Exercise 7.2."""
    groups = [[1, 1, 1], [0, 0, 0], [1, 0, 0], [0.3, 1.3, 0.3]]
    if abs(call(answer, groups) - 0.5) > 1e-9:
        return "a group that is all right, or all wrong, has no spread: two of the four are live"
    if abs(call(answer, [[0.0, 0.0], [1.0, 1.0]])) > 1e-9:
        return "equal rewards are dead whatever their value"
    return None


@one_line("both sides get the same compute")
def equal_steps(answer: Callable) -> str | None:
    """Exercise 7.3."""
    if call(answer, 120.0, 60, 3.0) != 2400:
        return "60 steps in 3 s are 0.05 s a step; 120 s buy 2,400 of them"
    if call(answer, 100.0, 10, 4.0) != 250:
        return "divide the budget by the seconds of ONE step"
    return None


@one_line("an interval decides, not a mean")
def verdict(answer: Callable) -> str | None:
    """Exercise 7.4."""
    won = {"mle": (9.0, 6.0, 12.0), "more mle": (4.0, 1.0, 7.0)}
    open_case = {"mle": (9.0, 6.0, 12.0), "more mle": (2.0, -1.0, 5.0)}
    lost = {"mle": (9.0, 6.0, 12.0), "more mle": (-4.0, -6.0, -2.0)}
    if call(answer, won) != "better than every control":
        return "here every interval lies above 0"
    if call(answer, open_case) != "not decided":
        return "an interval that holds 0 decides nothing, however nice its mean"
    if call(answer, lost) != "worse than more mle":
        return "an interval below 0 is a loss, and the reader wants to know against whom"
    return None
