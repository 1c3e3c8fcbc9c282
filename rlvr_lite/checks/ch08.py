"""Checks of chapter 8: how many lines to write, how often a model is silent, a gain in parts."""

from __future__ import annotations

from collections.abc import Callable

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "how_many": '''\
def how_many(probabilities, true):
    best, most, hits = 0, 0.0, 0.0
    for k, p in enumerate(probabilities, 1):
        hits += p
        value = 2 * hits / (k + true)  # F1 is linear in the hits
        if value > most:
            best, most = k, value
    return best
''',
    "silence_rate": '''\
def silence_rate(sampled, known):
    silent = [lines is not None and set(lines) <= set(known)
              for lines in sampled]
    return sum(silent) / len(silent)
''',
    "split_gain": '''\
def split_gain(base, after):
    free = base["greedy"] - base["sampled"]
    return {"free": free, "rest": after["greedy"] - base["greedy"]}
''',
}

WRONG = {
    "how_many": [
        # whatever is likelier than not
        "def how_many(probabilities, true):\n    return sum(p > 0.5 for p in probabilities)\n",
        # as many lines as the truth has
        "def how_many(probabilities, true):\n    return min(true, len(probabilities))\n",
        # precision
        "def how_many(probabilities, true):\n"
        "    return max(range(1, len(probabilities) + 1),\n"
        "               key=lambda k: sum(probabilities[:k]) / k)\n",
        # recall: everything that has a chance
        "def how_many(probabilities, true):\n    return sum(p > 0 for p in probabilities)\n",
        # of two equal numbers the larger one
        "def how_many(probabilities, true):\n"
        "    return max(range(len(probabilities) + 1),\n"
        "               key=lambda k: (2 * sum(probabilities[:k]) / (k + true), k))\n",
        # half of the F1 *with* the line
        "def how_many(probabilities, true):\n"
        "    k, hits = 0, 0.0\n"
        "    for p in probabilities:\n"
        "        if p <= (hits + 1) / (k + 1 + true):\n"
        "            break\n"
        "        k, hits = k + 1, hits + p\n"
        "    return k\n",
    ],
    "silence_rate": [
        # a cut-off answer counts as silent
        "def silence_rate(sampled, known):\n"
        "    return sum(set(x or []) <= set(known) for x in sampled) / len(sampled)\n",
        # counts lines instead of reading them
        "def silence_rate(sampled, known):\n"
        "    return sum(x is not None and len(x) <= len(known) for x in sampled) / len(sampled)\n",
        # silent means no new line at all
        "def silence_rate(sampled, known):\n"
        "    return sum(x == [] for x in sampled) / len(sampled)\n",
        # everything known must be named
        "def silence_rate(sampled, known):\n"
        "    return sum(x is not None and set(x) == set(known) for x in sampled) / len(sampled)\n",
        # only finished answers in the denominator
        "def silence_rate(sampled, known):\n"
        "    done = [x for x in sampled if x is not None]\n"
        "    return sum(set(x) <= set(known) for x in done) / len(done)\n",
    ],
    "split_gain": [
        # sampled against sampled
        "def split_gain(base, after):\n"
        "    return {'free': base['greedy'] - base['sampled'],\n"
        "            'rest': after['sampled'] - base['sampled']}\n",
        # nothing is free
        "def split_gain(base, after):\n"
        "    return {'free': 0.0, 'rest': after['greedy'] - base['sampled']}\n",
        # the sharpening of the wrong model
        "def split_gain(base, after):\n"
        "    free = after['greedy'] - after['sampled']\n"
        "    return {'free': free, 'rest': after['greedy'] - base['sampled'] - free}\n",
        # the two parts swapped
        "def split_gain(base, after):\n"
        "    free = base['greedy'] - base['sampled']\n"
        "    return {'rest': free, 'free': after['greedy'] - base['greedy']}\n",
    ],
}


@one_line("a line is written if it raises the expected F1")
def how_many(answer: Callable) -> str | None:
    """Exercise 8.1."""
    if call(answer, [1.0, 0.4], 2) != 2:
        return ("with one sure line of two, F1 is 2/3 and half of that 1/3: "
                "a line that is right in 40 of 100 cases helps")
    if call(answer, [1.0, 1.0, 1.0, 0.4], 4) != 3:
        return "three sure lines of four: now a line that is right in 40 of 100 cases hurts"
    if call(answer, [1.0, 0.02, 0.02, 0.02], 4) != 1:
        return "a line that is hardly ever right costs more precision than it finds"
    if call(answer, [0.2, 0.1], 3) != 2:
        return "where little is known, even an unlikely line helps"
    if call(answer, [1.0, 0.5], 1) != 1:
        return "one line or two have the same expected F1 here; take the smaller number"
    if call(answer, [], 3) != 0:
        return "without candidates there is nothing to write"
    return None


@one_line("silent answers are counted")
def silence_rate(answer: Callable) -> str | None:
    """Exercise 8.2."""
    known = ["+[3] button 'Go'", "+[3] text 'Ada'"]
    sampled = [[], ["+[3] text 'Ada'"], list(known), ["+[3] text 'Bo'"],
               [*known, "+[3] text 'Bo'"], None, None, []]
    if abs(call(answer, sampled, known) - 0.5) > 1e-9:
        return ("four of these eight are silent: two name nothing, two only what can be known; "
                "an answer that was cut off is not finished, one with a guess is not silent")
    if abs(call(answer, [["a"], []], []) - 0.5) > 1e-9:
        return "where nothing can be known, only an answer without new lines is silent"
    return None


@one_line("what decoding gives for free is no gain of training")
def split_gain(answer: Callable) -> str | None:
    """Exercise 8.3."""
    base, after = {"sampled": 40.0, "greedy": 50.0}, {"sampled": 51.0, "greedy": 53.0}
    parts = call(answer, base, after)
    if set(parts) != {"free", "rest"}:
        return "return a dict with the keys 'free' and 'rest'"
    if abs(parts["free"] + parts["rest"] - 13.0) > 1e-9:
        return "the parts must add up to the quoted gain, from the sampled base to greedy RLVR"
    if abs(parts["free"] - 10.0) > 1e-9:
        return "free is what the BASE gains when it decodes greedily"
    return None
