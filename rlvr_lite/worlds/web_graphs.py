"""Closed action graphs: real pages that an agent can act on without a browser.

What: for one task and page seed every page that a few actions can lead to, if the actions are
those that `web_policy.candidates(goal, page, TOP)` proposes. Nodes are pages, edges actions, the
last pages carry the page's own reward. `graphs()` gives those that ship with the package; an agent
that keeps to the candidates and to `depth` steps never leaves its graph.
Source: the web agent of RLVR-World section 5.3 acts in the live WebArena.
Differs from the paper: recorded once by `tools/record_web_pages.py --graphs`, then replayed; five
candidates a page, not the three most frequent of twenty proposals. Pages with the same tree are
one node; only a page that has shown its pop-up once counts as another one.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr_lite.paths import data_folder
from rlvr_lite.worlds.web_pages import (
    FOLDER,
    Action,
    Page,
    pack_page,
    read_action,
    read_lines,
    unpack_page,
)
from rlvr_lite.worlds.web_policy import candidates

TOP = 5  # candidates of a page
DEPTH = 5  # actions of an episode, at most; more where a task needs more
POPUP = "Exit to home page?"  # MiniWoB++ shows it once an episode
DEPTHS = {"click-checkboxes": 7, "phone-book": 6, "click-scroll-list": 4}


@dataclass(frozen=True)
class Graph:
    """All that can happen on one page.

    Attributes:
        task, seed, goal: which page.
        depth: an episode has at most so many actions.
        pages: the nodes; the first is the start.
        edges: of each node, action -> node; empty where the episode is over (the page's verdict
            says so) or `depth` actions are used up.
        rewards: of each node, the page's own reward in [-1, 1]; 0 before the end.
    """

    task: str
    seed: int
    goal: str
    depth: int
    pages: tuple[Page, ...]
    edges: tuple[dict[Action, int], ...]
    rewards: tuple[float, ...]

    def reset(self) -> Page:
        """The first page, for a new episode."""
        return self.pages[0]

    def step(self, node: int, action: Action) -> int:
        """The node that an action leads to.

        Raises:
            ValueError: not a candidate there, or the episode is over.
        """
        if action not in self.edges[node]:
            raise ValueError(f"{action} was not recorded here; there are "
                             f"{', '.join(map(str, self.edges[node])) or 'no actions left'}")
        return self.edges[node][action]

    def distances(self) -> list[int]:
        """Of each node, the fewest actions that lead to it."""
        return _distances([list(edges.values()) for edges in self.edges])

    def solvable(self) -> bool:
        """Whether some candidates lead to success."""
        return any(page[0].state == "success" for page in self.pages)


def _distances(edges: Sequence[Sequence[int]]) -> list[int]:
    found, front = {0: 0}, [0]
    for node in front:
        for other in edges[node]:
            if other not in found:
                found[other] = found[node] + 1
                front.append(other)
    return [found[node] for node in range(len(edges))]


def explore(browser, task: str, seed: int, top: int = TOP, depth: int | None = None) -> Graph:
    """Try every candidate on every page, going on from where the browser is while it can.

    Args:
        browser: has `reset(task, seed)`, `step(action)` and `reward()`, as `web_browser.Browser`.
        task, seed: which page.
        top: candidates of a page.
        depth: actions of an episode; None: what `DEPTHS` says of the task.

    Raises:
        ValueError: the same actions from the same tree led to two different pages.
    """
    depth = depth or DEPTHS.get(task, DEPTH)
    goal, page = browser.reset(task, seed)
    pages: dict[tuple[Page, bool], int] = {}
    edges: list[dict[Action, int]] = []
    untried: list[list[Action]] = []
    rewards: list[float] = []

    def node_of(page: Page, before: int | None = None) -> int:
        popup = any(element.name == POPUP for element in page)
        key = page, popup or before is not None and list(pages)[before][1]
        if key not in pages:
            pages[key] = len(pages)
            edges.append({})
            untried.append([action for action, _ in candidates(goal, page, top)])
            rewards.append(browser.reward())
        return pages[key]

    here = node_of(page)
    while True:
        near = _distances([list(found.values()) for found in edges])
        ends = {node for node in range(len(edges)) if untried[node] and near[node] < depth}
        if not ends:
            shown = tuple(page for page, _ in pages)
            return Graph(task, seed, goal, depth, shown, tuple(edges), tuple(rewards))
        path = _path(edges, here, ends)
        if path is None:
            browser.reset(task, seed)
            here, path = 0, _path(edges, 0, ends)
        for action in path:
            new = node_of(browser.step(action), here)
            if new != edges[here][action]:
                raise ValueError(f"{task} {seed}: the page remembers more than its tree shows")
            here = new
        action = untried[here].pop()  # the least likely first: it rarely ends the episode
        new = edges[here][action] = node_of(browser.step(action), here)
        here = new


def _path(edges: list[dict[Action, int]], start: int, ends: set[int]) -> list[Action] | None:
    """The fewest actions from a node to any of `ends`; None where none leads there."""
    came: dict[int, tuple[int, Action] | None] = {start: None}
    front = [start]
    for node in front:
        if node in ends:
            path = []
            while came[node]:
                node, action = came[node]
                path.append(action)
            return path[::-1]
        for action, other in edges[node].items():
            if other not in came:
                came[other] = (node, action)
                front.append(other)
    return None


def pack_graph(graph: Graph) -> list:
    """A graph as JSON: [task, seed, goal, depth, pages, edges, rewards]."""
    return [graph.task, graph.seed, graph.goal, graph.depth, [pack_page(p) for p in graph.pages],
            [{str(action): node for action, node in edges.items()} for edges in graph.edges],
            list(graph.rewards)]


def unpack_graph(row: Sequence) -> Graph:
    """The inverse of `pack_graph`."""
    task, seed, goal, depth, pages, edges, rewards = row
    return Graph(task, seed, goal, depth, tuple(map(unpack_page, pages)),
                 tuple({read_action(a): node for a, node in found.items()} for found in edges),
                 tuple(map(float, rewards)))


@functools.lru_cache(maxsize=2)
def graphs(folder: str | Path | None = None) -> tuple[Graph, ...]:
    """All recorded graphs; their page seeds are in no split of the transitions.

    Raises:
        FileNotFoundError: the recording is not there.
        ValueError: the file is damaged.
    """
    folder = Path(folder) if folder else data_folder() / FOLDER
    return tuple(map(unpack_graph, read_lines(folder / "graphs.jsonl.xz")))
