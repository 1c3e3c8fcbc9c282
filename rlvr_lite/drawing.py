"""Drawings of states and token strips: what a world model reads and writes, to look at.

What: `draw_state` draws a state of the text game as boxes inside boxes; beside another state it
marks what changed by words and line styles, never by colour alone. `token_strip` draws a text
with a border around every token.
Source: RLVR-World figure 2 shows the same idea (a world as tokens) as a diagram.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr_lite.worlds.text_state import State, Thing

LINE, PAD, INDENT = 1.0, 0.28, 0.7  # text line, gap and step to the right, in lines
WIDE, INCHES = 13.0, 0.185  # width of a drawing in lines; height of a line
INK, CHANGED, FILL, MARKED = "#222222", "#00224e", "#f7f7f2", "#fdeec4"
STYLES = {"": (INK, 0.8, "-"), "changed": (CHANGED, 2.4, "-"), "moved": (CHANGED, 2.4, "-"),
          "new": (CHANGED, 2.4, "--"), "removed": (CHANGED, 2.4, ":")}


# ---------------------------------------------------------------- states
@dataclass
class Box:
    """One object on the page: its lines of text, how it differs, and the boxes in it."""

    title: str
    lines: list[str]
    mark: str = ""
    children: list[Box] = field(default_factory=list)

    @property
    def height(self) -> float:
        inside = sum(child.height + PAD for child in self.children)
        return LINE * (1 + len(self.lines)) + PAD * (1 + bool(self.children)) + inside


def mark_of(state: State, thing: Thing, other: State | None, later: bool) -> str:
    """How an object differs from the other state: "", changed, moved, new or removed.

    Values are marked in the later state only, where both of them can be read.
    """
    if other is None:
        return ""
    twin = other.things.get(thing.name)
    if twin is None:
        return "new" if later else "removed"
    here, there = state.parent(thing.name), other.parent(thing.name)
    if getattr(here, "name", None) != getattr(there, "name", None):
        return "moved"
    return "changed" if later and twin.values != thing.values else ""


def boxes(state: State, other: State | None = None, later: bool = True,
          width: int = 23) -> list[Box]:
    """The rooms of a state as nested boxes.

    Args:
        state: what is drawn.
        other: the state to compare with; None draws without marks.
        later: whether `state` comes after `other` (it decides between "new" and "removed").
        width: letters in a line of values.
    """
    def box(thing: Thing) -> Box:
        mark = mark_of(state, thing, other, later)
        twin = other.things.get(thing.name) if other is not None else None
        parts = []
        for name, value in thing.values.items():
            old = twin.values[name] if twin is not None else value
            parts.append(f"{name} {old}\u2192{value}" if later and old != value
                         else f"{name} {value}")
        lines = textwrap.wrap("  ".join(p.replace(" ", "\u00a0") for p in parts), width)
        inside = [box(state.things[name]) for name in thing.contains]
        return Box(thing.name, lines, mark, inside)
    return [box(room) for room in state.of("Room")]


def draw_boxes(axes: Any, rooms: list[Box], title: str = "", width: float = WIDE) -> float:
    """Draw boxes from the top down; returns the height that they take, in lines."""
    from matplotlib.patches import FancyBboxPatch

    def draw(box: Box, left: float, top: float, wide: float) -> None:
        color, thick, style = STYLES[box.mark]
        axes.add_patch(FancyBboxPatch(
            (left, top - box.height), wide, box.height, boxstyle="round,pad=0,rounding_size=0.25",
            facecolor=MARKED if box.mark else FILL, edgecolor=color, linewidth=thick,
            linestyle=style))
        name = f"{box.title}  [{box.mark}]" if box.mark else box.title
        axes.text(left + 0.35, top - 0.62 * LINE, name, va="center", fontsize=8,
                  fontweight="bold", color=INK)
        y = top - LINE
        for line in box.lines:
            axes.text(left + 0.35, y - 0.42 * LINE, line, va="center", fontsize=8,
                      family="monospace", color=INK)
            y -= LINE
        y -= PAD
        for child in box.children:
            draw(child, left + INDENT, y, wide - INDENT - PAD)
            y -= child.height + PAD

    top = 0.0
    for room in rooms:
        draw(room, 0.0, top, width)
        top -= room.height + 2 * PAD
    axes.set_xlim(-0.3, width + 0.3)
    axes.set_title(title, fontsize=9, loc="left")
    axes.axis("off")
    return -top


def draw_states(states: Sequence[State], titles: Sequence[str], compare: bool = True) -> Any:
    """A figure with states, two in a row; each is compared with the one before it.

    Args:
        states: one or more states.
        titles: one title for each.
        compare: mark what changed. The first state is compared with the second one, and only
            shows what will be removed or moved.

    Returns:
        A matplotlib figure, narrow enough to be read on a phone.

    Raises:
        ValueError: there are not as many titles as states.
    """
    from matplotlib import pyplot

    if not states or len(states) != len(titles):
        raise ValueError(f"draw_states needs as many titles as states, got {len(titles)} "
                         f"and {len(states)}")
    drawn = []
    for i, state in enumerate(states):
        other = None if not compare or len(states) == 1 else states[i - 1] if i else states[1]
        drawn.append(boxes(state, other, later=i > 0))
    columns = min(2, len(states))
    rows = [drawn[i:i + columns] for i in range(0, len(drawn), columns)]
    heights = [max(sum(room.height + 2 * PAD for room in d) for d in row) for row in rows]
    figure, axes = pyplot.subplots(
        len(rows), columns, squeeze=False, height_ratios=heights,
        figsize=(2.4 * columns, INCHES * sum(heights) + 0.4 * len(rows)))
    for i, axis in enumerate(axes.flat):
        axis.axis("off")
        if i < len(drawn):
            draw_boxes(axis, drawn[i], titles[i])
            axis.set_ylim(-heights[i // columns], 0.3)
    figure.tight_layout()
    return figure


# ---------------------------------------------------------------- tokens
def token_strip(tokens: Sequence[str], ids: Sequence[int] | None = None, width: float = 50.0,
                faint: Sequence[bool] | None = None) -> Any:
    """A text as a row of boxes, one a token; a blank at the start of a token is drawn as a dot.

    Args:
        tokens: the pieces, from `TextTokenizer.tokens`.
        ids: written small under each piece where given.
        width: letters in a row before it breaks.
        faint: True for tokens to set back (e.g. the question, which carries no loss); their
            border is dashed.

    Returns:
        A matplotlib figure.
    """
    from matplotlib import pyplot
    from matplotlib.patches import Rectangle

    step, places, x, row = (2.3 if ids is not None else 1.5), [], 0.0, 0
    for token in tokens:
        letters = max(len(token), 1) + 0.7
        if x + letters > width and x > 0:
            x, row = 0.0, row + 1
        places.append((x, row, letters))
        x += letters
    figure, axes = pyplot.subplots(figsize=(0.095 * width, 0.21 * step * (row + 1) + 0.1))
    for i, (token, (x, row, letters)) in enumerate(zip(tokens, places)):
        back = bool(faint[i]) if faint is not None else False
        color = "#ffffff" if back else ("#fdeec4", "#dfe5ee")[i % 2]
        axes.add_patch(Rectangle((x, -step * row - 1.15), letters, 1.15, facecolor=color,
                                 edgecolor="#999999" if back else INK, linewidth=0.8,
                                 linestyle="--" if back else "-"))
        axes.text(x + letters / 2, -step * row - 0.62, token.replace(" ", "\u00b7"), ha="center",
                  va="center", fontsize=7.5, family="monospace", color=INK)
        if ids is not None:
            axes.text(x + letters / 2, -step * row - 1.58, str(ids[i]), ha="center", va="center",
                      fontsize=5.5, color="#555555")
    axes.set_xlim(-0.2, width + 0.2)
    axes.set_ylim(-step * (row + 1) + 0.1, 0.15)
    axes.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    return figure
