"""Checks of chapter 6: live groups, the clipped gain, the stop token, averages, LoRA."""

from __future__ import annotations

import random
from collections.abc import Callable

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "smallest_group": '''\
def smallest_group(p, share):
    G = 2
    while 1 - p ** G - (1 - p) ** G < share:
        G += 1
    return G
''',
    "gain": '''\
def gain(ratio, advantage, clip):
    held = max(1 - clip, min(1 + clip, ratio))
    return min(ratio * advantage, held * advantage)
''',
    "answer_mask": '''\
def answer_mask(ids, eos=1):
    stop = ids.index(eos) if eos in ids else len(ids) - 1
    return [t <= stop for t in range(len(ids))]
''',
    "token_weight": '''\
def token_weight(lengths, i, loss, max_tokens):
    if loss == "token":
        return 1 / sum(lengths)
    if loss == "sequence":
        return 1 / (len(lengths) * lengths[i])
    return 1 / (len(lengths) * max_tokens)
''',
    "lora_numbers": '''\
def lora_numbers(shapes, rank):
    return sum(rank * (out + into) for out, into in shapes)
''',
}

WRONG = {
    "smallest_group": [
        # forgets the groups that are all wrong
        "def smallest_group(p, share):\n"
        "    G = 2\n"
        "    while 1 - p ** G < share:\n"
        "        G += 1\n"
        "    return G\n",
        # forgets the groups that are all right
        "def smallest_group(p, share):\n"
        "    G = 2\n"
        "    while 1 - (1 - p) ** G < share:\n"
        "        G += 1\n"
        "    return G\n",
        # one too many: more than the share, not at least
        "def smallest_group(p, share):\n"
        "    G = 2\n"
        "    while 1 - p ** G - (1 - p) ** G <= share:\n"
        "        G += 1\n"
        "    return G\n",
        # starts with a group that cannot be live, and stops there when the share is small
        "def smallest_group(p, share):\n"
        "    G = 1\n"
        "    while 1 - p ** G - (1 - p) ** G < share:\n"
        "        G += 1\n"
        "    return G\n",
        # right for a coin only
        "def smallest_group(p, share):\n"
        "    G = 2\n"
        "    while 1 - 2 * 0.5 ** G < share:\n"
        "        G += 1\n"
        "    return G\n",
    ],
    "gain": [
        # clips mistakes, too
        "def gain(ratio, advantage, clip):\n"
        "    return max(1 - clip, min(1 + clip, ratio)) * advantage\n",
        # no clipping
        "def gain(ratio, advantage, clip):\n    return ratio * advantage\n",
        # the maximum
        "def gain(ratio, advantage, clip):\n"
        "    held = max(1 - clip, min(1 + clip, ratio))\n"
        "    return max(ratio * advantage, held * advantage)\n",
        # clips on one side only
        "def gain(ratio, advantage, clip):\n"
        "    return min(ratio, 1 + clip) * advantage\n",
        # the minimum before the advantage: wrong where it is negative
        "def gain(ratio, advantage, clip):\n"
        "    held = max(1 - clip, min(1 + clip, ratio))\n"
        "    return min(ratio, held) * advantage\n",
    ],
    "answer_mask": [
        # the bug: the stop token is masked
        "def answer_mask(ids, eos=1):\n"
        "    stop = ids.index(eos) if eos in ids else len(ids)\n"
        "    return [t < stop for t in range(len(ids))]\n",
        # everything, padding included
        "def answer_mask(ids, eos=1):\n    return [True] * len(ids)\n",
        # the padding is 0, but 0 may be chosen, and behind eos may stand anything
        "def answer_mask(ids, eos=1):\n    return [t != 0 for t in ids]\n",
        # up to the last eos
        "def answer_mask(ids, eos=1):\n"
        "    stop = max([i for i, t in enumerate(ids) if t == eos], default=len(ids) - 1)\n"
        "    return [i <= stop for i in range(len(ids))]\n",
        # only ever the stop token 1
        "def answer_mask(ids, eos=1):\n"
        "    stop = ids.index(1) if 1 in ids else len(ids) - 1\n"
        "    return [t <= stop for t in range(len(ids))]\n",
        # crashes without a stop token, or forgets the case
        "def answer_mask(ids, eos=1):\n"
        "    return [eos in ids and t <= ids.index(eos) for t in range(len(ids))]\n",
    ],
    "token_weight": [
        # token mean for all
        "def token_weight(lengths, i, loss, max_tokens):\n    return 1 / sum(lengths)\n",
        # forgets the mean over answers
        "def token_weight(lengths, i, loss, max_tokens):\n"
        "    if loss == 'token':\n        return 1 / sum(lengths)\n"
        "    return 1 / (lengths[i] if loss == 'sequence' else max_tokens)\n",
        # dr_grpo with the length of the answer
        "def token_weight(lengths, i, loss, max_tokens):\n"
        "    if loss == 'token':\n        return 1 / sum(lengths)\n"
        "    return 1 / (len(lengths) * lengths[i])\n",
        # dr_grpo with the longest answer of the batch
        "def token_weight(lengths, i, loss, max_tokens):\n"
        "    if loss == 'token':\n        return 1 / sum(lengths)\n"
        "    if loss == 'sequence':\n        return 1 / (len(lengths) * lengths[i])\n"
        "    return 1 / (len(lengths) * max(lengths))\n",
        # the weight of the whole answer
        "def token_weight(lengths, i, loss, max_tokens):\n"
        "    if loss == 'token':\n        return lengths[i] / sum(lengths)\n"
        "    return 1 / len(lengths)\n",
    ],
    "lora_numbers": [
        # all of the weights
        "def lora_numbers(shapes, rank):\n    return sum(o * i for o, i in shapes)\n",
        # only one of the two matrices
        "def lora_numbers(shapes, rank):\n    return sum(rank * i for o, i in shapes)\n",
        # the rank counted twice
        "def lora_numbers(shapes, rank):\n"
        "    return sum(rank * rank * (o + i) for o, i in shapes)\n",
        # the first layer only
        "def lora_numbers(shapes, rank):\n    return rank * (shapes[0][0] + shapes[0][1])\n",
    ],
}


def _close(value: object, truth: float) -> bool:
    return (not isinstance(value, bool) and isinstance(value, (int, float))
            and abs(value - truth) <= 1e-9 * max(1.0, abs(truth)))


@one_line("smallest_group grows where answers are nearly always right or wrong")
def smallest_group(answer: Callable) -> str | None:
    """A coin (where two answers suffice exactly), both edges, and a small share."""
    for p, share, truth in ((0.5, 0.5, 2), (0.5, 0.75, 3), (0.1, 0.5, 7), (0.9, 0.5, 7),
                            (0.3, 0.9, 7), (0.02, 0.3, 18), (0.5, 0.0, 2)):
        value = call(answer, p, share)
        if value != truth or isinstance(value, bool):
            return f"p = {p}, share {share}: expected {truth}, got {value!r}"
    return None


@one_line("gain holds back what went far enough, and never a mistake")
def gain(answer: Callable) -> str | None:
    """Both signs of the advantage, on both sides of the clipping range."""
    for ratio in (1.0, 1.1, 1.5, 0.9, 0.5, 0.8, 1.2):
        for advantage in (1.0, -1.0, 2.5, -0.3, 0.0):
            for clip in (0.2, 0.3):
                held = max(1 - clip, min(1 + clip, ratio))
                truth = min(ratio * advantage, held * advantage)
                value = call(answer, ratio, advantage, clip)
                if not _close(value, truth):
                    return (f"ratio {ratio}, advantage {advantage:+.1f}, clip {clip}: expected "
                            f"{truth:+.3f}, got {value!r}")
    return None


@one_line("answer_mask marks every choice, the stop token included")
def answer_mask(answer: Callable) -> str | None:
    """With padding, without a stop token, with zeros that were chosen, another stop token."""
    cases = [([5, 6, 1, 0, 0], 1, 3), ([5, 6, 7], 1, 3), ([1, 0, 0], 1, 1), ([5, 0, 6, 1], 1, 4),
             ([5, 1, 7, 1, 0], 1, 2), ([5, 1, 9, 0], 9, 3)]
    for ids, eos, chosen in cases:
        truth = [i < chosen for i in range(len(ids))]
        value = call(answer, list(ids), eos)
        if [bool(v) for v in value] != truth:
            hint = " (is choosing to stop no choice?)" if len(value) == len(ids) and (
                eos in ids and not value[ids.index(eos)]) else ""
            return f"ids {ids}, eos {eos}: expected {truth}, got {list(value)!r}{hint}"
    return None


@one_line("token_weight: by tokens, by answers, by a constant")
def token_weight(answer: Callable) -> str | None:
    """Random lengths; all weights of a batch add up to what they should."""
    rng = random.Random(0)
    for lengths in ([2, 8], [5], [rng.randint(1, 9) for _ in range(6)]):
        truths = {"token": lambda n, z=lengths: 1 / sum(z),
                  "sequence": lambda n, z=lengths: 1 / (len(z) * n),
                  "dr_grpo": lambda n, z=lengths: 1 / (len(z) * 10)}
        for loss, weight in truths.items():
            for i, n in enumerate(lengths):
                value = call(answer, list(lengths), i, loss, 10)
                if not _close(value, weight(n)):
                    return (f"lengths {lengths}, answer {i}, {loss!r}, max_tokens 10: expected "
                            f"{weight(n):.4f}, got {value!r}")
    return None


@one_line("lora_numbers: rank times the two sides of every matrix")
def lora_numbers(answer: Callable) -> str | None:
    """Square and oblong layers, several ranks."""
    for shapes in ([(64, 64)], [(160, 64), (64, 160)], [(3, 5), (7, 2), (4, 4)]):
        for rank in (1, 4, 16):
            truth = sum(rank * (out + into) for out, into in shapes)
            value = call(answer, list(shapes), rank)
            if not _close(value, truth):
                return f"shapes {shapes}, rank {rank}: expected {truth}, got {value!r}"
    return None
