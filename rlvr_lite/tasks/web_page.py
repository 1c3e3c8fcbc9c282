"""Web pages as a sequence problem: a page and an action in, what changes out.

A question is the goal, the page with one element a line, and the action with the line that it
acts on. The answer has one item a line: updated, deleted and new elements, or `none`:

    Select Ada and click Submit.
    [0] page ongoing
    [1] radio ' Ada' unchecked
    [2] radio ' Bo' checked
    [3] button ' Submit'
    click [1] radio ' Ada' unchecked
    => ~[1] checked
    ~[2] unchecked

`read_items` takes whatever a model writes: every line is an item, a line of no known form is a
wrong one. The reward is the F1 of the items, `strict` or `official` (see `web_f1`).
Source: RLVR-World section 5.2, equations 5 and 6, appendix A.2 and D.
Differs from the paper: no chain of thought; short lines without the words that the id already
says (`long_form` gives the paper's own text), for a model of about a million parameters; a new
item says after which element it stands.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from rlvr_lite.tasks.web_f1 import MODES, SECTIONS, Items, f1
from rlvr_lite.tokenizers.text import TextTokenizer
from rlvr_lite.worlds.web_pages import (
    Action,
    Difference,
    Page,
    Transition,
    apply,
    difference,
    read_difference,
    write_difference,
)

ARROW = " =>"
MARKS = {"~": "updated", "-": "deleted", "+": "new"}
# As for the text game, but an id with its brackets is one piece, the same wherever it stands.
PIECES = r"\[\d+\]| ?\d| ?[A-Za-z_]+| ?[^\sA-Za-z_\d\[]|\s|\["


# ---------------------------------------------------------------- text
def spaced(text: str, quotes: str = "'") -> str:
    """A blank after every opening quote, so that a word is one and the same token everywhere."""
    return re.sub(rf"(^| )([{quotes}])(?=\S)", r"\1\2 ", text, flags=re.M)


def unspaced(text: str) -> str:
    """The inverse of `spaced` for the lines of pages and differences."""
    return re.sub(r"(^| )(') ", r"\1\2", text, flags=re.M)


def question_text(goal: str, page: Page, action: Action) -> str:
    """Goal, page and action as the model reads them."""
    lines = [f"[{i}] {element}" for i, element in enumerate(page)]
    target = str(page[action.id]) if action.id < len(page) else "nothing"
    typed = f" : {action.text}" if action.kind == "type" else ""
    lines.append(f"{action.kind} [{action.id}] {target}{typed}")
    return "\n".join([spaced(goal, "'\""), *map(spaced, lines)]) + "\n"


def answer_text(transition: Transition) -> str:
    return spaced(write_difference(difference(transition.before, transition.after)))


def read_items(text: str) -> Items:
    """What a model wrote -> section -> lines; a line of no known form is an item of "updated"."""
    found: Items = {section: [] for section in SECTIONS}
    for line in unspaced(text).split("\n"):
        if line and line != "none":
            section = MARKS.get(line[0])
            found[section or "updated"].append(line[1:] if section else line)
    return found


def items(change: Difference) -> Items:
    """The items of a difference, in the same form."""
    return read_items(spaced(write_difference(change)))


def official_items(found: Items) -> Items:
    """As the paper writes it: an empty section says `None`, which its metric takes for an item."""
    return {section: lines or ["None"] for section, lines in found.items()}


# ---------------------------------------------------------------- what can be known
def constant_names(training: Iterable[Transition], pages: int = 20) -> dict[str, set[str]]:
    """Per task, the names of new elements that came up on at least so many page seeds.

    What a task always shows (the entries of a fixed menu) can be learned; what differs from page
    to page cannot.
    """
    seeds: dict[tuple[str, str], set[int]] = {}
    for t in training:
        for _, element in difference(t.before, t.after).new:
            seeds.setdefault((t.task, element.name), set()).add(t.seed)
    found: dict[str, set[str]] = {}
    for (task, name), where in seeds.items():
        if len(where) >= pages:
            found.setdefault(task, set()).add(name)
    return found


def deducible(transition: Transition, constant: dict[str, set[str]]) -> Difference:
    """The part of the true difference that the question allows to know.

    Left out are new elements whose name stands neither on the page nor in goal or action, and is
    not constant. F1 of this part against the whole is a ceiling for honest answers.
    """
    change = difference(transition.before, transition.after)
    seen = " ".join([transition.goal, str(transition.action), *map(str, transition.before)])
    known = constant.get(transition.task, set())
    new = tuple((place, e) for place, e in change.new if e.name in known or e.name in seen)
    return Difference(change.updated, change.deleted, new)


# ---------------------------------------------------------------- the task
class WebPageTask:
    """Questions, answers and rewards of web pages (the contract is `tasks.base.Task`).

    Args:
        tokenizer: from `train_tokenizer`, or loaded.
        mode: which F1 is the reward, "strict" or "official".
        max_new: longest answer in tokens.

    Raises:
        ValueError: an unknown mode.
    """

    def __init__(self, tokenizer: TextTokenizer, mode: str = "strict", max_new: int = 176):
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, got {mode!r}")
        self.tokenizer, self.mode, self.max_new = tokenizer, mode, max_new
        self._gold: dict[int, tuple] = {}

    def question(self, transition: Transition) -> list[int]:
        """Ids of goal, page and action."""
        text = question_text(transition.goal, transition.before, transition.action)
        return self.tokenizer.encode(text + ARROW)

    def answer(self, transition: Transition) -> list[int]:
        """Ids of the gold answer, `<eos>` included."""
        return self.write(difference(transition.before, transition.after))

    def write(self, change: Difference) -> list[int]:
        """Ids of any difference as an answer, `<eos>` included."""
        return self.tokenizer.encode(spaced(write_difference(change))) + [self.tokenizer.eos_id]

    def read(self, ids: list[int]) -> Items | None:
        """Generated ids -> items; None where the answer was cut off."""
        if self.tokenizer.eos_id not in ids:
            return None
        return read_items(self.tokenizer.decode(ids))

    def difference(self, ids: list[int]) -> Difference | None:
        """Generated ids -> difference, without lines that cannot be read; None if cut off."""
        found = self.read(ids)
        if found is None:
            return None
        kept = []
        for mark, section in MARKS.items():
            for line in found[section]:
                try:
                    read_difference(mark + line)
                except ValueError:
                    continue
                kept.append(mark + line)
        return read_difference("\n".join(kept) or "none")

    def decode(self, ids: list[int], transition: Transition) -> Page | None:
        """Generated ids -> the predicted next page; items that the page does not allow are left
        out. None where the answer was cut off."""
        change = self.difference(ids)
        return None if change is None else imagined_page(transition.before, change)

    def imagined(self, ids: list[int], before: Page) -> Page:
        """The same for any page; an answer that was cut off changes nothing."""
        return imagined_page(before, self.difference(ids) or Difference())

    def reward(self, ids: list[int], transition: Transition) -> dict[str, float]:
        """F1 with precision and recall; 0 for an answer that was cut off."""
        found = self.read(ids)
        if self.mode == "official":
            found = found and official_items(found)
        return f1(found, self._truth(transition)[self.mode], self.mode)

    def metrics(self, ids: list[int], transition: Transition) -> dict[str, float]:
        """Strict and official F1, and where it comes from.

        `exact` (all items right, none more), `verdict` (ongoing, success or failure right),
        `repeats` and `invented` (1 for an answer with a repeated line, with a wrong new item),
        `items` (how many lines), `length` in tokens.
        """
        truth, found = self._truth(transition), self.read(ids)
        strict = f1(found, truth["strict"], "strict")
        lines = Counter((s, x) for s in SECTIONS for x in (found or {}).get(s, ()))
        wrong = lines - Counter((s, x) for s in SECTIONS for x in truth["strict"][s])
        verdict = next((x for s, x in lines if s == "updated" and x.startswith("[0] ")), None)
        true = next((x for x in truth["strict"]["updated"] if x.startswith("[0] ")), None)
        return {"f1": strict["f1"], "precision": strict["precision"], "recall": strict["recall"],
                "official": f1(found and official_items(found), truth["official"],
                               "official")["f1"],
                "exact": float(found is not None and strict["f1"] == 1.0),
                "verdict": float(found is not None and verdict == true),
                "repeats": float(any(n > 1 for n in lines.values())),
                "invented": float(any(s == "new" for s, _ in wrong)),
                "items": float(lines.total()), "length": float(len(ids))}

    def _truth(self, transition: Transition) -> dict[str, Items]:
        """Gold items for both metrics, made once per transition."""
        key = id(transition)
        if key not in self._gold:
            gold = items(difference(transition.before, transition.after))
            self._gold[key] = (transition, {"strict": gold, "official": official_items(gold)})
        return self._gold[key][1]


def imagined_page(before: Page, change: Difference) -> Page:
    """`apply`, for a difference that a model wrote: what the page does not allow is left out."""
    there = range(len(before))
    updated = tuple({i: s for i, s in change.updated if i in there}.items())
    deleted = tuple(sorted({i for i in change.deleted if i in there and i > 0}))
    gone = set(deleted)
    return apply(before, Difference(
        tuple(u for u in updated if u[0] not in gone), deleted,
        tuple((max(j for j in range(place + 1) if j not in gone), e)
              for place, e in change.new if place in there)))


def train_tokenizer(training: Iterable[Transition], vocab_size: int = 1024) -> TextTokenizer:
    """BPE on the questions and answers of a training split."""
    return TextTokenizer.train((text for t in training for text in (
        question_text(t.goal, t.before, t.action) + ARROW, answer_text(t))), vocab_size, PIECES)
