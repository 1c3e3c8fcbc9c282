"""Web pages: recorded transitions of real MiniWoB++ pages, as accessibility trees.

What: a page is a list of elements, one a line, as in WebArena: `[3] button 'Login'`. The first
line is the page's own verdict: ongoing, success or failure. An action clicks an element or types
into it. `transitions(split)` gives page, action and next page as recorded in Chromium, and
`difference(before, after)` what a world model has to write: the updated, deleted and new elements.
Splits differ in their *page seeds*; two tasks are in no training data at all.
Source: RLVR-World section 5.2 and appendix A.2 (WebArena pages: new, deleted and updated items).
Differs from the paper: small pages of MiniWoB++ (recorded by `tools/record_web_pages.py`), ids are
line numbers, and a new item names the element it stands after, so that a difference can be
applied to a page and gives the next page exactly.
"""

from __future__ import annotations

import functools
import json
import lzma
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr_lite.paths import checked, data_folder

VISIBLE = ("click-checkboxes", "click-option", "choose-list", "click-scroll-list", "enter-text",
           "enter-password", "login-user", "click-dialog-2", "click-link", "click-button",
           "click-menu-2", "form-sequence-2", "multi-layouts")
HIDDEN = ("click-tab-2-hard", "click-collapsible-2-nodelay", "search-engine", "phone-book",
          "email-inbox-noscroll", "use-autocomplete-nodelay")
HELD_OUT = ("multi-orderings", "login-user-popup")
SPLITS = ("train", "validation", "test", "held_out")
VERDICTS = ("ongoing", "success", "failure")
FOLDER = "web_pages"

_QUOTED = r"'(?:[^'\\]|\\.)*'"
_ELEMENT = re.compile(rf"(?P<role>\S+)(?: (?P<name>{_QUOTED}))?(?: (?P<state>[^'\s].*))?")
_ACTION = re.compile(r"(?P<kind>click|type) \[(?P<id>\d+)\](?: (?P<text>.*))?", re.S)
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n"}


@dataclass(frozen=True)
class Element:
    """One line of a page.

    Attributes:
        role: one word, as the browser names it (`button`, `textbox`, `text`, ...).
        name: what a reader sees or hears; may be empty.
        state: words that can change: `checked`, `unchecked`, `selected`, `unselected`, `pressed`,
            `unpressed`, `expanded`, `collapsed`, `disabled`, `value 'text'`; may be empty. Of the
            first element (role `page`) it is the verdict: `ongoing`, `success`, `failure`.
    """

    role: str
    name: str = ""
    state: str = ""

    def __str__(self) -> str:
        parts = [self.role, quote(self.name) if self.name else "", self.state]
        return " ".join(part for part in parts if part)

    @property
    def value(self) -> str | None:
        """The text in a text box or the choice of a list; None where there is none."""
        found = re.search(rf"value ({_QUOTED})", self.state)
        return unquote(found[1]) if found else None


Page = tuple[Element, ...]


def quote(text: str) -> str:
    """Text between single quotes; quotes, backslashes and line ends in it are escaped."""
    return "'" + "".join(_ESCAPES.get(letter, letter) for letter in text) + "'"


def unquote(text: str) -> str:
    """The inverse of `quote`."""
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text[1:-1])


def read_element(text: str) -> Element:
    """`button 'Login' disabled` as an element.

    Raises:
        ValueError: not the line of an element.
    """
    found = _ELEMENT.fullmatch(text)
    if not found:
        raise ValueError(f"not an element: {text!r}; expected role 'name' state")
    return Element(found["role"], unquote(found["name"]) if found["name"] else "",
                   found["state"] or "")


def write_page(page: Page) -> str:
    """One element a line, with its id: `[3] button 'Login'`."""
    return "\n".join(f"[{i}] {element}" for i, element in enumerate(page))


def read_page(text: str) -> Page:
    """The inverse of `write_page`.

    Raises:
        ValueError: a line is no element, or an id is not the number of its line.
    """
    page = []
    for i, line in enumerate(text.split("\n")):
        number, _, rest = line.partition(" ")
        if number != f"[{i}]":
            raise ValueError(f"line {i} must begin with [{i}], got {line!r}")
        page.append(read_element(rest))
    return tuple(page)


@dataclass(frozen=True)
class Action:
    """`click [3]` or `type [2] some text`; typing replaces what stood there.

    A click on an element of a drop-down list chooses it, one in a list of several choices adds it
    to the choice or takes it away.
    """

    kind: str
    id: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.kind} [{self.id}]" + (f" {self.text}" if self.kind == "type" else "")


def read_action(text: str) -> Action:
    """The inverse of `str(action)`.

    Raises:
        ValueError: not an action.
    """
    found = _ACTION.fullmatch(text)
    if not found or (found["kind"] == "type") != (found["text"] is not None):
        raise ValueError(f"not an action: {text!r}; expected `click [3]` or `type [2] text`")
    return Action(found["kind"], int(found["id"]), found["text"] or "")


# ---- what changes ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """What leads from one page to the next.

    Attributes:
        updated: (id, new state) of elements that keep role and name, in the order of ids.
        deleted: ids, ascending.
        new: (id, element): the element stands after the old element `id`, which is still there;
            elements of the same place in their order.
    """

    updated: tuple[tuple[int, str], ...] = ()
    deleted: tuple[int, ...] = ()
    new: tuple[tuple[int, Element], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.updated or self.deleted or self.new)


def difference(before: Page, after: Page) -> Difference:
    """The smallest difference, counted in items: an update is one, deleted and new are two.

    An element that the page destroys and creates again as it was counts as unchanged.

    Raises:
        ValueError: a page without its first line, the verdict.
    """
    if not (before and after and before[0].role == after[0].role == "page"):
        raise ValueError("a page begins with an element of role page, its verdict")
    pairs = _align(before, after)
    kept = dict(pairs)
    updated = tuple((i, after[j].state) for i, j in pairs if before[i] != after[j])
    deleted = tuple(i for i in range(len(before)) if i not in kept)
    new, place, old = [], 0, {j: i for i, j in pairs}
    for j, element in enumerate(after):
        place = old.get(j, place)
        if j not in old:
            new.append((place, element))
    return Difference(updated, deleted, tuple(new))


def _align(before: Page, after: Page) -> list[tuple[int, int]]:
    """Pairs of elements that correspond, in order: what they save, two lines or one."""
    first = 1  # the verdict always stays
    while first < min(len(before), len(after)) and before[first] == after[first]:
        first += 1
    last = 0
    while last < min(len(before), len(after)) - first and before[-1 - last] == after[-1 - last]:
        last += 1
    old, new = before[first:len(before) - last], after[first:len(after) - last]
    best = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1],
                             _worth(old[i], new[j]) + best[i + 1][j + 1])
    pairs, i, j = [(k, k) for k in range(first)], 0, 0
    while i < len(old) and j < len(new):
        worth = _worth(old[i], new[j])
        if worth and best[i][j] == worth + best[i + 1][j + 1]:
            pairs.append((first + i, first + j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs + [(len(before) - k, len(after) - k) for k in range(last, 0, -1)]


def _worth(old: Element, new: Element) -> int:
    return 2 if old == new else int((old.role, old.name) == (new.role, new.name))


def apply(before: Page, change: Difference) -> Page:
    """The next page.

    Raises:
        ValueError: the difference speaks of elements that are not there, or deletes one that it
            also updates or puts something after.
    """
    updated, deleted = dict(change.updated), set(change.deleted)
    used = set(updated) | {place for place, _ in change.new}
    if wrong := sorted(i for i in used | deleted if not 0 <= i < len(before)):
        raise ValueError(f"there is no element {wrong[0]}; the page has {len(before)}")
    if wrong := sorted(deleted & (used | {0})):
        raise ValueError(f"element {wrong[0]} is deleted and used")
    page = []
    for i, element in enumerate(before):
        if i not in deleted:
            page.append(Element(element.role, element.name, updated.get(i, element.state)))
        page.extend(new for place, new in change.new if place == i)
    return tuple(page)


def write_difference(change: Difference) -> str:
    """The short form that a small model writes; `none` where nothing changes.

    `~[2] value 'anna'` updated: its new state; `-[4]` deleted; `+[3] link 'more'` new, after 3.
    """
    lines = [f"~[{i}] {state}".rstrip() for i, state in change.updated]
    lines += [f"-[{i}]" for i in change.deleted]
    lines += [f"+[{place}] {element}" for place, element in change.new]
    return "\n".join(lines) or "none"


def read_difference(text: str) -> Difference:
    """The inverse of `write_difference`.

    Raises:
        ValueError: a line that is no item.
    """
    updated, deleted, new = [], [], []
    for line in text.split("\n") if text != "none" else ():
        found = re.fullmatch(r"([~+-])\[(\d+)\](?: (.*))?", line)
        if not found or found[1] == "-" and found[3] or found[1] == "+" and not found[3]:
            raise ValueError(f"not an item: {line!r}; expected ~[2] state, -[4] or +[3] element")
        if found[1] == "~":
            updated.append((int(found[2]), found[3] or ""))
        elif found[1] == "-":
            deleted.append(int(found[2]))
        else:
            new.append((int(found[2]), read_element(found[3])))
    return Difference(tuple(updated), tuple(deleted), tuple(new))


def long_form(before: Page, change: Difference) -> dict[str, list[str]]:
    """The paper's sections new, deleted and updated with full lines, for `tasks.web_f1.write`.

    New items carry the id that they have on the next page, the others that of the old page.
    """
    after = apply(before, change)
    place, ids, places = 0, [], [p for p, _ in change.new]
    for i in range(len(before)):
        place += i not in change.deleted
        ids += range(place, place + places.count(i))
        place += places.count(i)
    return {"new": [f"[{j}] {after[j]}" for j in ids],
            "deleted": [f"[{i}] {before[i]}" for i in change.deleted],
            "updated": [f"[{i}] {Element(before[i].role, before[i].name, state)}"
                        for i, state in change.updated]}


# ---- the recording ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Transition:
    """One step on a page: task, page seed, number of the step, goal, page, action, next page."""

    task: str
    seed: int
    step: int
    goal: str
    before: Page
    action: Action
    after: Page


def group(task: str) -> str:
    """`visible`, `hidden` or `held_out`.

    Raises:
        ValueError: an unknown task.
    """
    for name, tasks in (("visible", VISIBLE), ("hidden", HIDDEN), ("held_out", HELD_OUT)):
        if task in tasks:
            return name
    raise ValueError(f"unknown task {task!r}; there are {', '.join(VISIBLE + HIDDEN + HELD_OUT)}")


@functools.lru_cache(maxsize=8)
def transitions(split: str, folder: str | Path | None = None) -> tuple[Transition, ...]:
    """All recorded transitions of a split, task after task, episode after episode.

    Args:
        split: one of `SPLITS`.
        folder: where the recording lies; None: the one that ships with the package.

    Raises:
        ValueError: an unknown split, or a file that is not what was recorded.
        FileNotFoundError: the recording is not there.
    """
    if split not in SPLITS:
        raise ValueError(f"there are the splits {', '.join(SPLITS)}; got {split!r}")
    folder = Path(folder) if folder else data_folder() / FOLDER
    rows = read_lines(folder / f"{split}.jsonl.xz")
    return tuple(step for row in rows for step in read_episode(row))


def read_lines(path: Path) -> list:
    """The JSON lines of a compressed file, whose sha256 must be that of the table beside it.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: the file is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; install the package again, or record it "
                                "with tools/record_web_pages.py")
    checked(path)
    text = lzma.decompress(path.read_bytes()).decode()
    return [json.loads(line) for line in text.split("\n") if line]


@functools.lru_cache(maxsize=100_000)
def _element(text: str) -> Element:
    return read_element(text)


def unpack_page(text: str) -> Page:
    """A page as it stands in the files: its lines without the ids."""
    return tuple(map(_element, text.split("\n")))


def pack_page(page: Page) -> str:
    """The inverse of `unpack_page`."""
    return "\n".join(map(str, page))


def read_episode(row: Sequence) -> Iterable[Transition]:
    """Transitions of an episode: [task, seed, goal, page, action, page, action, page, ...]."""
    task, seed, goal, *rest = row
    before = unpack_page(rest[0])
    for step, (action, page) in enumerate(zip(rest[1::2], rest[2::2])):
        after = unpack_page(page)
        yield Transition(task, seed, step, goal, before, read_action(action), after)
        before = after
