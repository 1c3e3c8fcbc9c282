"""Checks of chapter 3: the loss behind a masked question, early stopping, compounding errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "masked_loss": '''\
def masked_loss(logits, ids, question_length):
    logp = logits.log_softmax(-1)
    # the logits at position t speak about the token at position t + 1
    chosen = logp[:-1].gather(1, ids[1:, None])[:, 0]
    return -chosen[question_length - 1:].mean()
''',
    "best_row": '''\
def best_row(values, patience):
    best = 0
    for i, value in enumerate(values):
        if value > values[best]:
            best = i
        elif i - best >= patience:
            break
    return best
''',
    "per_tick": '''\
def per_tick(accuracy, ticks):
    return accuracy ** (1 / ticks)
''',
}

WRONG = {
    "masked_loss": [
        # the question is not masked
        "def masked_loss(logits, ids, question_length):\n"
        "    logp = logits.log_softmax(-1)\n"
        "    return -logp[:-1].gather(1, ids[1:, None]).mean()\n",
        # no shift: the logits are asked about the token that they have read
        "def masked_loss(logits, ids, question_length):\n"
        "    logp = logits.log_softmax(-1).gather(1, ids[:, None])[:, 0]\n"
        "    return -logp[question_length:].mean()\n",
        # one token too late
        "def masked_loss(logits, ids, question_length):\n"
        "    logp = logits.log_softmax(-1)[:-1].gather(1, ids[1:, None])[:, 0]\n"
        "    return -logp[question_length:].mean()\n",
        # a sum instead of a mean
        "def masked_loss(logits, ids, question_length):\n"
        "    logp = logits.log_softmax(-1)[:-1].gather(1, ids[1:, None])[:, 0]\n"
        "    return -logp[question_length - 1:].sum()\n",
        # the sign
        "def masked_loss(logits, ids, question_length):\n"
        "    logp = logits.log_softmax(-1)[:-1].gather(1, ids[1:, None])[:, 0]\n"
        "    return logp[question_length - 1:].mean()\n",
        # no normalisation
        "def masked_loss(logits, ids, question_length):\n"
        "    logp = logits[:-1].gather(1, ids[1:, None])[:, 0]\n"
        "    return -logp[question_length - 1:].mean()\n",
    ],
    "best_row": [
        # the last row
        "def best_row(values, patience):\n    return len(values) - 1\n",
        # the best one of all, without patience
        "def best_row(values, patience):\n"
        "    return max(range(len(values)), key=lambda i: values[i])\n",
        # the row at which training stopped
        "def best_row(values, patience):\n"
        "    best = 0\n"
        "    for i, value in enumerate(values):\n"
        "        if value > values[best]:\n"
        "            best = i\n"
        "        elif i - best >= patience:\n"
        "            return i\n"
        "    return best\n",
        # the lowest value
        "def best_row(values, patience):\n"
        "    return min(range(len(values)), key=lambda i: values[i])\n",
        # a tie moves the best row
        "def best_row(values, patience):\n"
        "    best = 0\n"
        "    for i, value in enumerate(values):\n"
        "        if value >= values[best]:\n"
        "            best = i\n"
        "        elif i - best >= patience:\n"
        "            break\n"
        "    return best\n",
    ],
    "per_tick": [
        "def per_tick(accuracy, ticks):\n    return accuracy / ticks\n",
        "def per_tick(accuracy, ticks):\n    return accuracy ** ticks\n",
        "def per_tick(accuracy, ticks):\n    return 1 - (1 - accuracy) / ticks\n",
        "def per_tick(accuracy, ticks):\n    return accuracy\n",
    ],
}


@one_line("masked_loss counts the answer tokens, and only them")
def masked_loss(answer: Callable) -> str | None:
    """Against the plain formula, on random logits and three lengths of the question."""
    generator = torch.Generator().manual_seed(0)
    for length, total in ((1, 4), (3, 5), (5, 12)):
        logits = torch.randn(total, 7, generator=generator) * 2
        ids = torch.randint(0, 7, (total,), generator=generator)
        truth = torch.nn.functional.cross_entropy(logits[length - 1:-1], ids[length:]).item()
        value = float(call(answer, logits, ids, length))
        if not math.isclose(value, truth, rel_tol=1e-4, abs_tol=1e-5):
            return (f"with {length} question tokens and {total - length} answer tokens the loss "
                    f"is {truth:.4f}, yours gives {value:.4f}")
    return None


@one_line("best_row stops in time and goes back to the best weights")
def best_row(answer: Callable) -> str | None:
    """A plateau, a late rise that patience does not live to see, a tie."""
    cases = [([.1, .4, .6, .5, .55], 3, 2), ([.1, .5, .4, .4, .4, .9], 3, 1),
             ([.2, .2, .1], 5, 0), ([.1, .3, .2, .5, .4], 2, 3), ([.7], 1, 0),
             ([.5, .5, .5, .5, .9], 3, 0)]
    for values, patience, truth in cases:
        value = call(answer, list(values), patience)
        if value != truth:
            return (f"validated {values} with patience {patience}: row {truth} is kept, "
                    f"yours says {value!r}")
    return None


@one_line("per_tick undoes the compounding")
def per_tick(answer: Callable) -> str | None:
    """p to the power of the ticks is the accuracy again."""
    for accuracy, ticks in ((0.5, 1), (0.5, 6), (0.9, 3), (1.0, 6), (0.01, 2)):
        value = float(call(answer, accuracy, ticks))
        if not math.isclose(value ** ticks, accuracy, rel_tol=1e-6):
            return (f"{accuracy} right after {ticks} ticks: yours gives {value:.4f} a tick, which "
                    f"would be {value ** ticks:.4f} after {ticks}")
    return None
