"""F1 of predicted page changes: the verifiable reward of the web world, official and strict.

What: an answer lists what a click changes on a page, one item per line, in three sections
("New items:", "Deleted items:", "Updated items:", empty ones say `None`). An item counts if the
same line stands in the same section of the truth:
    precision P = TP / |predicted|,  recall R = TP / |true|,  F1 = 2 P R / (P + R)   (eq. 5, 6)
Source: RLVR-World section 5.2, equations 5 and 6, appendix A.2; its released `web_agent.py`.
- `official` behaves as the released code does: sections are sets, so a repeated line is free; the
  word `None` is an item like any other; nothing predicted scores 0 even where nothing happens.
- `strict` takes multisets, so that a repeated line costs precision; `None` is no item; where
  nothing changes, saying so scores 1 (the paper's formula for two empty sets); a text without
  any section header cannot be read and scores 0.
Differs from the paper: nothing in `official` (its Hungarian matching with cost 0 for equal lines
and exclusion of all others is the size of an intersection).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

SECTIONS = ("new", "deleted", "updated")
HEADERS = {f"{s.capitalize()} items:": s for s in SECTIONS}
MODES = ("official", "strict")

Items = dict[str, list[str]]


def parse(text: str) -> Items | None:
    """Read the three sections of an answer.

    Lines are stripped and empty ones skipped; what stands before the first header (the chain of
    thought) is ignored. `None` lines are kept: `f1` decides what they mean.

    Args:
        text: what the model wrote.

    Returns:
        section -> lines in their order, or None where there is no header at all.
    """
    found: Items = {s: [] for s in SECTIONS}
    section = None
    for line in map(str.strip, text.splitlines()):
        header = next((h for h in HEADERS if line.startswith(h)), None)
        if header is not None:
            section = HEADERS[header]
        elif line and section is not None:
            found[section].append(line)
    return found if section is not None else None


def write(items: Mapping[str, Iterable[str]]) -> str:
    """Sections as text; an empty section says `None`."""
    return "\n\n".join("\n".join([header, *(items.get(section) or ["None"])])
                       for header, section in HEADERS.items())


def f1(answer: str | Mapping[str, Iterable[str]] | None, truth: str | Mapping[str, Iterable[str]],
       mode: str = "official") -> dict[str, float]:
    """F1 of an answer against the truth.

    Args:
        answer: text of a model, or section -> lines, or None (unreadable).
        truth: the same for the true changes.
        mode: `official` or `strict`.

    Returns:
        `reward` (= `f1`), `precision`, `recall`, `predicted` and `true` (numbers of items).

    Raises:
        ValueError: an unknown mode, or a truth that cannot be read.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {MODES}, got {mode!r}")
    gold, guess = (parse(z) if isinstance(z, str) else z for z in (truth, answer))
    if gold is None:
        raise ValueError("the truth has no section header; expected " + ", ".join(HEADERS))
    gold = _count(gold, mode)
    if guess is None:
        return _scores(0, 0, gold.total())
    guess = _count(guess, mode)
    if mode == "strict" and not guess and not gold:
        return _scores(1, 1, 1) | {"predicted": 0.0, "true": 0.0}
    return _scores((guess & gold).total(), guess.total(), gold.total())


def _count(items: Mapping[str, Iterable[str]], mode: str) -> Counter:
    """(section, line) -> how often; official: at most once, and an empty section holds nothing
    unless the word `None` is written."""
    if mode == "official":
        return Counter({(s, line) for s in SECTIONS for line in items.get(s, ())})
    return Counter((s, line) for s in SECTIONS for line in items.get(s, ()) if line != "None")


def _scores(right: int, predicted: int, true: int) -> dict[str, float]:
    precision = right / predicted if predicted else 0.0
    recall = right / true if true else 0.0
    both = precision + recall
    value = 2 * precision * recall / both if both else 0.0
    return {"reward": value, "f1": value, "precision": precision, "recall": recall,
            "predicted": float(predicted), "true": float(true)}
