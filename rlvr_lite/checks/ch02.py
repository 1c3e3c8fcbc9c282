"""Checks of chapter 2: a BPE merge, reading an answer, one vocabulary, FSQ codes, action bins."""

from __future__ import annotations

from collections.abc import Callable

from rlvr_lite.checks.report import call, one_line

SOLUTIONS = {
    "merge_once": '''\
def merge_once(words):
    from collections import Counter
    pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
    if not pairs:
        return words
    best = max(pairs, key=lambda pair: pairs[pair])
    merged = []
    for word in words:
        new, i = [], 0
        while i < len(word):
            if tuple(word[i:i + 2]) == best:
                new.append(word[i] + word[i + 1])
                i += 2
            else:
                new.append(word[i])
                i += 1
        merged.append(new)
    return merged
''',
    "read_response": '''\
def read_response(text):
    _, arrow, answer = text.rpartition("=>")
    if not arrow:
        return ["unreadable"]
    return [part.strip() for part in answer.split(" , ")]
''',
    "offsets": '''\
def offsets(sizes):
    first, start = {}, 2  # 0 and 1 are <pad> and <eos>
    for name, size in sizes.items():
        first[name] = start
        start += size
    return first, start
''',
    "fsq_code": '''\
def fsq_code(rounded, levels):
    code, weight = 0, 1
    for value, size in zip(rounded, levels):
        code += (value + size // 2) * weight
        weight *= size
    return code
''',
    "action_bin": '''\
def action_bin(value, low, high, bins=256):
    share = (value - low) / (high - low)
    return max(0, min(bins - 1, int(share * bins // 1)))
''',
}

WRONG = {
    "merge_once": [
        # merges the most frequent piece with its neighbour only once per word
        "def merge_once(words):\n"
        "    from collections import Counter\n"
        "    pairs = Counter(p for w in words for p in zip(w, w[1:]))\n"
        "    best = max(pairs, key=lambda p: pairs[p])\n"
        "    out = []\n"
        "    for w in words:\n"
        "        w = list(w)\n"
        "        for i in range(len(w) - 1):\n"
        "            if (w[i], w[i + 1]) == best:\n"
        "                w[i:i + 2] = [w[i] + w[i + 1]]\n"
        "                break\n"
        "        out.append(w)\n"
        "    return out\n",
        # takes the rarest pair
        "def merge_once(words):\n"
        "    from collections import Counter\n"
        "    pairs = Counter(p for w in words for p in zip(w, w[1:]))\n"
        "    best = min(pairs, key=lambda p: pairs[p])\n"
        "    out = []\n"
        "    for w in words:\n"
        "        new, i = [], 0\n"
        "        while i < len(w):\n"
        "            step = 2 if tuple(w[i:i + 2]) == best else 1\n"
        "            new.append(''.join(w[i:i + step])); i += step\n"
        "        out.append(new)\n"
        "    return out\n",
        # does nothing
        "def merge_once(words):\n    return words\n",
        # joins every word whole
        "def merge_once(words):\n    return [[''.join(w)] for w in words]\n",
        # counts pairs across the end of a word
        "def merge_once(words):\n"
        "    from collections import Counter\n"
        "    flat = [p for w in words for p in w]\n"
        "    pairs = Counter(zip(flat, flat[1:]))\n"
        "    best = max(pairs, key=lambda p: pairs[p])\n"
        "    out = []\n"
        "    for w in words:\n"
        "        new, i = [], 0\n"
        "        while i < len(w):\n"
        "            step = 2 if tuple(w[i:i + 2]) == best else 1\n"
        "            new.append(''.join(w[i:i + step])); i += step\n"
        "        out.append(new)\n"
        "    return out\n",
    ],
    "read_response": [
        # the first arrow
        "def read_response(text):\n"
        "    _, arrow, answer = text.partition('=>')\n"
        "    return [p.strip() for p in answer.split(' , ')] if arrow else ['unreadable']\n",
        # keeps the blanks
        "def read_response(text):\n"
        "    _, arrow, answer = text.rpartition('=>')\n"
        "    return answer.split(' , ') if arrow else ['unreadable']\n",
        # a trace without an answer counts as one
        "def read_response(text):\n"
        "    return [p.strip() for p in text.rpartition('=>')[2].split(' , ')]\n",
        # splits at every blank
        "def read_response(text):\n"
        "    _, arrow, answer = text.rpartition('=>')\n"
        "    return answer.split() if arrow else ['unreadable']\n",
        # reads the trace
        "def read_response(text):\n"
        "    trace, arrow, _ = text.rpartition('=>')\n"
        "    return [p.strip() for p in trace.split(' , ')] if arrow else ['unreadable']\n",
    ],
    "offsets": [
        # forgets the special tokens
        "def offsets(sizes):\n"
        "    first, start = {}, 0\n"
        "    for name, size in sizes.items():\n"
        "        first[name] = start; start += size\n"
        "    return first, start\n",
        # everything starts at the same id
        "def offsets(sizes):\n"
        "    return {name: 2 for name in sizes}, 2 + sum(sizes.values())\n",
        # one id is shared by neighbours
        "def offsets(sizes):\n"
        "    first, start = {}, 2\n"
        "    for name, size in sizes.items():\n"
        "        first[name] = start; start += size - 1\n"
        "    return first, start\n",
        # the order of size instead of the given order
        "def offsets(sizes):\n"
        "    first, start = {}, 2\n"
        "    for name in sorted(sizes, key=sizes.get):\n"
        "        first[name] = start; start += sizes[name]\n"
        "    return first, start\n",
        # the last id instead of the size of the vocabulary
        "def offsets(sizes):\n"
        "    first, start = {}, 2\n"
        "    for name, size in sizes.items():\n"
        "        first[name] = start; start += size\n"
        "    return first, start - 1\n",
    ],
    "fsq_code": [
        # forgets that the numbers start below zero
        "def fsq_code(rounded, levels):\n"
        "    code, weight = 0, 1\n"
        "    for value, size in zip(rounded, levels):\n"
        "        code += value * weight; weight *= size\n"
        "    return code\n",
        # the last digit counts ones
        "def fsq_code(rounded, levels):\n"
        "    code = 0\n"
        "    for value, size in zip(rounded, levels):\n"
        "        code = code * size + value + size // 2\n"
        "    return code\n",
        # the weights of the next place: 8, 40, 200, 1000
        "def fsq_code(rounded, levels):\n"
        "    code, weight = 0, 1\n"
        "    for value, size in zip(rounded, levels):\n"
        "        weight *= size; code += (value + size // 2) * weight\n"
        "    return code\n",
        # one base for all digits
        "def fsq_code(rounded, levels):\n"
        "    return sum((v + n // 2) * max(levels) ** i\n"
        "               for i, (v, n) in enumerate(zip(rounded, levels)))\n",
        # an even number of levels is centred like an odd one
        "def fsq_code(rounded, levels):\n"
        "    code, weight = 0, 1\n"
        "    for value, size in zip(rounded, levels):\n"
        "        code += (value + (size - 1) // 2) * weight; weight *= size\n"
        "    return code\n",
    ],
    "action_bin": [
        # the upper end gets a bin of its own
        "def action_bin(value, low, high, bins=256):\n"
        "    return int((value - low) / (high - low) * bins)\n",
        # rounds: the bins at both ends are half as wide
        "def action_bin(value, low, high, bins=256):\n"
        "    share = (value - low) / (high - low)\n"
        "    return max(0, min(bins - 1, round(share * (bins - 1))))\n",
        # one bin too few
        "def action_bin(value, low, high, bins=256):\n"
        "    share = (value - low) / (high - low)\n"
        "    return max(0, min(bins - 1, int(share * (bins - 1))))\n",
        # wraps around at the ends
        "def action_bin(value, low, high, bins=256):\n"
        "    return int((value - low) / (high - low) * bins) % bins\n",
        # always 256 bins
        "def action_bin(value, low, high, bins=256):\n"
        "    share = (value - low) / (high - low)\n"
        "    return max(0, min(255, int(share * 256)))\n",
        # the range starts at zero
        "def action_bin(value, low, high, bins=256):\n"
        "    return max(0, min(bins - 1, int(value / high * bins)))\n",
    ],
}


@one_line("merge_once joins the most frequent pair everywhere")
def merge_once(answer: Callable) -> str | None:
    """Words with one most frequent pair each, perhaps twice in a word; no pair at all."""
    cases = [([["l", "o", "w"], ["l", "o", "t"]], [["lo", "w"], ["lo", "t"]]),
             ([["a", "n", "a", "n", "a", "s"], ["a", "n", "d"]],
              [["an", "an", "a", "s"], ["an", "d"]]),
             ([["a"], ["b"]], [["a"], ["b"]]),
             ([["he", "at"], ["he", "at"], ["w", "he", "at"]],
              [["heat"], ["heat"], ["w", "heat"]]),
             ([["b", "a"], ["b", "a"], ["b", "a"], ["a", "b", "x"], ["b", "x"]],
              [["ba"], ["ba"], ["ba"], ["a", "b", "x"], ["b", "x"]]),
             ([["y"], ["x"], ["y"], ["x"], ["y"], ["x"], ["y"], ["x", "z"], ["x", "z"]],
              [["y"], ["x"], ["y"], ["x"], ["y"], ["x"], ["y"], ["xz"], ["xz"]])]
    for words, truth in cases:
        value = [list(w) for w in call(answer, [list(w) for w in words])]
        if value != truth:
            return f"{words} should become {truth}, yours gives {value}"
    return None


@one_line("read_response finds the answer behind the last arrow")
def read_response(answer: Callable) -> str | None:
    """A trace and an answer, two arrows, no arrow, nothing changed."""
    cases = {" 1 oven 1 0 1 6 ; => oven 1 0 1 6 , bread 3": ["oven 1 0 1 6", "bread 3"],
             " => same": ["same"],
             " 2 tub 5 => tub 5 ; 1 tub 4 ; => tub 4 , score 1": ["tub 4", "score 1"],
             " 1 tub 4 , floor 1 ;": ["unreadable"],
             " => - water , score 0 over ": ["- water", "score 0 over"]}
    for text, truth in cases.items():
        value = call(answer, text)
        if value != truth:
            return f"{text!r} should be read as {truth}, yours gives {value!r}"
    return None


@one_line("offsets gives every modality its own ids")
def offsets(answer: Callable) -> str | None:
    """The paper's video vocabulary, and others."""
    cases = [({"frame": 4375, "action": 256}, ({"frame": 2, "action": 4377}, 4633)),
             ({"text": 485}, ({"text": 2}, 487)),
             ({"text": 500, "action": 256, "frame": 1000},
              ({"text": 2, "action": 502, "frame": 758}, 1758))]
    for sizes, truth in cases:
        value = call(answer, dict(sizes))
        if tuple(value) != truth:
            return f"{sizes} should give {truth}, yours gives {value!r}"
    return None


@one_line("fsq_code reads digits in mixed radix, as the package does")
def fsq_code(answer: Callable) -> str | None:
    """Every code of three sets of levels, against the quantizer of the package."""
    import torch

    from rlvr_lite.tokenizers.fsq import FSQ

    for levels in ((8, 5, 5, 5), (3, 4), (7, 5, 6)):
        quantizer = FSQ(levels)
        values = quantizer.values(torch.arange(quantizer.codes))
        rounded = (values * (quantizer.size // 2)).round().long().tolist()
        for truth in range(0, quantizer.codes, max(1, quantizer.codes // 60)):
            value = call(answer, list(rounded[truth]), levels)
            if isinstance(value, bool) or value != truth:
                return (f"{rounded[truth]} with the levels {levels} is code {truth}, yours gives "
                        f"{value!r}")
    return None


@one_line("action_bin has equal bins and swallows what lies outside")
def action_bin(answer: Callable) -> str | None:
    """The middle of every bin, both ends, and values outside."""
    for low, high, bins in ((-1.0, 1.0, 256), (0.5, 2.5, 4), (-3.0, 22.0, 10)):
        wide = (high - low) / bins
        cases = [(low + (i + part) * wide, i) for i in range(bins) for part in (0.1, 0.5, 0.9)]
        cases += [(low, 0), (high, bins - 1), (low - 0.3 * wide, 0), (low - 7, 0),
                  (high + 7, bins - 1)]
        for number, truth in cases:
            value = call(answer, number, low, high, bins)
            if isinstance(value, bool) or value != truth:
                return (f"{number:.3f} of {low:g} to {high:g} in {bins} bins lies in bin {truth}, "
                        f"yours gives {value!r}")
    return None
