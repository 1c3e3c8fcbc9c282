"""Checks of chapter 1: two trivial baselines, a transition rule, a leak test, the next page."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rlvr_lite.checks.report import call, one_line
from rlvr_lite.worlds import web_pages
from rlvr_lite.worlds.text_game import NATURAL, step, transitions
from rlvr_lite.worlds.text_state import State

SOLUTIONS = {
    "do_nothing_accuracy": '''\
def do_nothing_accuracy(transitions):
    same = [t.state.canonical() == t.next_state.canonical()
            for t in transitions]
    return sum(same) / len(same)
''',
    "thermostat": '''\
def thermostat(temp, element):
    if temp <= 5:
        element = 1
    elif temp >= 8:
        element = 0
    temp += 2 if element else -1
    return max(0, min(9, temp)), element
''',
    "leaked": '''\
def leaked(train, test):
    seen = set()
    for t in train:
        seen.add(t.state.canonical())
        seen.add(t.next_state.canonical())
    return sum(t.state.canonical() in seen for t in test)
''',
    "next_page": '''\
def next_page(lines, updated, deleted, new):
    page = []
    for i, line in enumerate(lines):
        if i not in deleted:
            page.append(updated.get(i, line))
        page += [text for place, text in new if place == i]
    return page
''',
    "copy_error": '''\
def copy_error(frames, gap):
    pixels = frames.astype(float) / 255  # uint8 would wrap around below 0
    return float(abs(pixels[gap:] - pixels[:-gap]).mean())
''',
}

WRONG = {
    "do_nothing_accuracy": [
        # the share that changed
        "def do_nothing_accuracy(transitions):\n"
        "    return sum(t.state.canonical() != t.next_state.canonical()\n"
        "               for t in transitions) / len(transitions)\n",
        # a count, not a share
        "def do_nothing_accuracy(transitions):\n"
        "    return sum(t.state.canonical() == t.next_state.canonical()\n"
        "               for t in transitions)\n",
        # looks at the action only, and forgets the tick
        "def do_nothing_accuracy(transitions):\n"
        "    same = [t.state.canonical() == t.after_action.canonical()\n"
        "            for t in transitions]\n"
        "    return sum(same) / len(same)\n",
        # compares objects instead of their content
        "def do_nothing_accuracy(transitions):\n"
        "    return sum(t.state is t.next_state for t in transitions) / len(transitions)\n",
        # ignores the score
        "def do_nothing_accuracy(transitions):\n"
        "    same = [t.state.to_json()['score'] == t.next_state.to_json()['score']\n"
        "            for t in transitions]\n"
        "    return sum(same) / len(same)\n",
    ],
    "thermostat": [
        # no hysteresis
        "def thermostat(temp, element):\n"
        "    element = int(temp <= 5)\n"
        "    return max(0, min(9, temp + (2 if element else -1))), element\n",
        # the temperature moves before the element
        "def thermostat(temp, element):\n"
        "    temp = max(0, min(9, temp + (2 if element else -1)))\n"
        "    element = 1 if temp <= 5 else 0 if temp >= 8 else element\n"
        "    return temp, element\n",
        # never clamps
        "def thermostat(temp, element):\n"
        "    element = 1 if temp < 5 else 0 if temp >= 8 else element\n"
        "    return temp + (2 if element else -1), element\n",
        # thresholds are exclusive
        "def thermostat(temp, element):\n"
        "    element = 1 if temp < 5 else 0 if temp > 8 else element\n"
        "    return max(0, min(9, temp + (2 if element else -1))), element\n",
        # the pair in the wrong order
        "def thermostat(temp, element):\n"
        "    element = 1 if temp <= 5 else 0 if temp >= 8 else element\n"
        "    return element, max(0, min(9, temp + (2 if element else -1)))\n",
    ],
    "leaked": [
        # only states before a transition
        "def leaked(train, test):\n"
        "    seen = {t.state.canonical() for t in train}\n"
        "    return sum(t.state.canonical() in seen for t in test)\n",
        # counts distinct states instead of transitions
        "def leaked(train, test):\n"
        "    seen = {s.canonical() for t in train for s in (t.state, t.next_state)}\n"
        "    return len(seen & {t.state.canonical() for t in test})\n",
        # compares state and action together
        "def leaked(train, test):\n"
        "    seen = {(t.state.canonical(), t.action) for t in train}\n"
        "    return sum((t.state.canonical(), t.action) in seen for t in test)\n",
        # says yes or no
        "def leaked(train, test):\n"
        "    seen = {s.canonical() for t in train for s in (t.state, t.next_state)}\n"
        "    return any(t.state.canonical() in seen for t in test)\n",
        # counts the wrong side
        "def leaked(train, test):\n"
        "    seen = {t.state.canonical() for t in test}\n"
        "    return sum(t.state.canonical() in seen for t in train)\n",
    ],
    "next_page": [
        # deletes in place: the ids behind move
        "def next_page(lines, updated, deleted, new):\n"
        "    page = [updated.get(i, line) for i, line in enumerate(lines)]\n"
        "    for i in sorted(deleted):\n"
        "        page.pop(i)\n"
        "    for place, text in reversed(new):\n"
        "        page.insert(place + 1, text)\n"
        "    return page\n",
        # new lines of one place in the wrong order
        "def next_page(lines, updated, deleted, new):\n"
        "    page = []\n"
        "    for i, line in enumerate(lines):\n"
        "        if i not in deleted:\n"
        "            page.append(updated.get(i, line))\n"
        "        page += [text for place, text in reversed(new) if place == i]\n"
        "    return page\n",
        # before the element instead of after it
        "def next_page(lines, updated, deleted, new):\n"
        "    page = []\n"
        "    for i, line in enumerate(lines):\n"
        "        page += [text for place, text in new if place == i]\n"
        "        if i not in deleted:\n"
        "            page.append(updated.get(i, line))\n"
        "    return page\n",
        # forgets the updates
        "def next_page(lines, updated, deleted, new):\n"
        "    page = []\n"
        "    for i, line in enumerate(lines):\n"
        "        page += [line] * (i not in deleted)\n"
        "        page += [text for place, text in new if place == i]\n"
        "    return page\n",
        # all new lines at the end
        "def next_page(lines, updated, deleted, new):\n"
        "    page = [updated.get(i, line) for i, line in enumerate(lines) if i not in deleted]\n"
        "    return page + [text for _, text in new]\n",
        # one new line a place
        "def next_page(lines, updated, deleted, new):\n"
        "    page, after = [], dict(new)\n"
        "    for i, line in enumerate(lines):\n"
        "        page += [updated.get(i, line)] * (i not in deleted)\n"
        "        page += [after[i]] * (i in after)\n"
        "    return page\n",
        # right, but the old page is lost
        "def next_page(lines, updated, deleted, new):\n"
        "    page = []\n"
        "    for i, line in enumerate(lines):\n"
        "        page += [updated.get(i, line)] * (i not in deleted)\n"
        "        page += [text for place, text in new if place == i]\n"
        "    lines[:] = page\n"
        "    return lines\n",
    ],
    "copy_error": [
        # uint8 wraps around: 10 - 12 is 254
        "def copy_error(frames, gap):\n"
        "    return abs(frames[gap:] - frames[:-gap]).mean() / 255\n",
        # still in grey values
        "def copy_error(frames, gap):\n"
        "    pixels = frames.astype(float)\n"
        "    return abs(pixels[gap:] - pixels[:-gap]).mean()\n",
        # always the next frame
        "def copy_error(frames, gap):\n"
        "    pixels = frames.astype(float) / 255\n"
        "    return abs(pixels[1:] - pixels[:-1]).mean()\n",
        # the first frame in place of all others
        "def copy_error(frames, gap):\n"
        "    pixels = frames.astype(float) / 255\n"
        "    return abs(pixels[gap:] - pixels[0]).mean()\n",
        # the mean square: L2, not L1
        "def copy_error(frames, gap):\n"
        "    pixels = frames.astype(float) / 255\n"
        "    return ((pixels[gap:] - pixels[:-gap]) ** 2).mean()\n",
        # errors of both signs cancel
        "def copy_error(frames, gap):\n"
        "    pixels = frames.astype(float) / 255\n"
        "    return abs((pixels[gap:] - pixels[:-gap]).mean())\n",
        # the film is taken as a ring: its end is compared with its beginning
        "def copy_error(frames, gap):\n"
        "    import numpy as np\n"
        "    pixels = frames.astype(float) / 255\n"
        "    return abs(np.roll(pixels, gap, 0) - pixels).mean()\n",
    ],
}


@one_line("do_nothing_accuracy counts what stayed the same")
def do_nothing_accuracy(answer: Callable) -> str | None:
    """The share of unchanged transitions, on three mixtures."""
    data = transitions("validation", 60, seed=5, mix=NATURAL)
    only = [t for t in data if t.changed]
    for rows in (data, data[:7], only):
        value, truth = call(answer, rows), sum(not t.changed for t in rows) / len(rows)
        if isinstance(value, bool) or abs(value - truth) > 1e-9:
            return (f"on {len(rows)} transitions it gives {value!r}, and {truth:.4f} of them do "
                    "not change (after the action and the tick)")
    return None


@one_line("thermostat agrees with the engine in all 20 cases")
def thermostat(answer: Callable) -> str | None:
    """Every temperature and both positions of the element, against the engine."""
    for temp in range(10):
        for element in (0, 1):
            state = State("baking")
            state.add("kitchen", "Room")
            state.add("oven", "Oven", "kitchen", on=1, open=0, element=element, temp=temp)
            v = step(state, "wait 1").next_state.things["oven"].values
            value = call(answer, temp, element)
            if tuple(value) != (v["temp"], v["element"]):
                return (f"from temp {temp}, element {element} the engine goes to temp "
                        f"{v['temp']}, element {v['element']}; yours gives {tuple(value)}")
    return None


@one_line("leaked finds every shared state")
def leaked(answer: Callable) -> str | None:
    """Planted leaks: states before, states after, one of them twice."""
    train = transitions("train", 40, seed=1)
    clean = transitions("test", 20, seed=1)
    before = step(train[0].state, "wait 1")
    again = step(train[0].state, "wait 2")
    after = step(train[3].next_state, "wait 1")
    other = step(train[4].state, "go to hall")
    for rows, truth in ((clean, 0), (clean + [before], 1), (clean + [after], 1),
                        (clean + [before, again, after, other], 4)):
        value = call(answer, train, rows)
        if isinstance(value, bool) or value != truth:
            return (f"{truth} of {len(rows)} test transitions start in a state of the training "
                    f"data, yours counts {value!r}")
    return None


@one_line("next_page leads from every page to the next one")
def next_page(answer: Callable) -> str | None:
    """Small cases that can be read, then recorded pages."""
    cases = [(["a", "b", "c"], {}, set(), []), (["a", "b", "c"], {1: "B"}, set(), []),
             (["a", "b", "c", "d"], {3: "D"}, {1, 2}, []),
             (["a", "b"], {}, set(), [(0, "x"), (0, "y"), (1, "z")]),
             (["a", "b", "c", "d"], {0: "A"}, {1}, [(0, "x"), (2, "y"), (2, "z")])]
    for t in web_pages.transitions("validation")[::25]:
        change = web_pages.difference(t.before, t.after)
        cases.append(([str(e) for e in t.before],
                      {i: str(web_pages.Element(t.before[i].role, t.before[i].name, state))
                       for i, state in change.updated}, set(change.deleted),
                      [(place, str(e)) for place, e in change.new]))
    for lines, updated, deleted, new in cases:
        truth = []
        for i, line in enumerate(lines):
            truth += [] if i in deleted else [updated.get(i, line)]
            truth += [text for place, text in new if place == i]
        given = list(lines)
        value = call(answer, given, dict(updated), set(deleted), list(new))
        if value != truth:
            what = (f"from {lines} with updated {updated}, deleted {sorted(deleted)}, new {new}"
                    if len(lines) < 5 else f"on a recorded page of {len(lines)} elements")
            return f"{what} the next page is {truth}, yours gives {value!r}"[:600]
        if given != lines:
            return "the old page was changed; build a new list"
    return None


@one_line("copy_error is the L1 distance of frames that lie gap apart")
def copy_error(answer: Callable) -> str | None:
    """A rising and a falling grey, and noise: three gaps each."""
    rng = np.random.default_rng(0)
    grey = np.ones((7, 4, 4, 3), np.uint8)
    ramp = np.arange(10, 80, 10, dtype=np.uint8)[:, None, None, None]
    films = {"a film that gets brighter": grey * ramp, "one that gets darker": grey * ramp[::-1],
             "a film of noise": rng.integers(0, 256, (7, 4, 4, 3)).astype(np.uint8)}
    for what, frames in films.items():
        for gap in (1, 2, 5):
            found = [frames[t].astype(float) - frames[t + gap].astype(float)
                     for t in range(len(frames) - gap)]
            truth = float(np.abs(found).mean()) / 255
            value = call(answer, frames.copy(), gap)
            if isinstance(value, bool) or abs(value - truth) > 1e-6:
                return (f"{what}, gap {gap}: the mean L1 distance is {truth:.4f}, yours gives "
                        f"{value!r}")
    return None
