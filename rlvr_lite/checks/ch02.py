"""Checks of chapter 2: one BPE merge, reading an answer, one vocabulary for all modalities."""

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
