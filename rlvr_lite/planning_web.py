"""A web agent that plans with a world model: propose, imagine, value, act.

What: the weak policy proposes its k heaviest actions; a dynamics imagines the page that each
leads to, and how likely the page will call it a success or a failure; a goal checker puts a
number on it,
    value = 10 P(success) - 10 P(failure) + progress(goal, imagined page) + 0.3 share    (11.1)
(each P as far as it is trusted, see `believed`), and the best action is done, if it is better
than the policy's own first choice by a margin. With depth 2, an imagined page is worth what the
best action on it would bring, if that is more.
`ModelDynamics` imagines with a world model, `TrueDynamics` looks the page up: the ceiling.
Source: RLVR-World section 5.3, appendix A.3; after the web agent of Chae et al. (2025).
Differs from the paper: no language model but the world model. Rules propose and value; the
verdict is read off the probabilities of the world model, not asked of another model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import torch

from rlvr_lite.llama import pad
from rlvr_lite.model import logp, sample
from rlvr_lite.tasks.web_page import ARROW, WebPageTask, question_text
from rlvr_lite.worlds.web_graphs import DEPTH, DEPTHS, TOP, Graph
from rlvr_lite.worlds.web_pages import Action, Page, write_page
from rlvr_lite.worlds.web_policy import TEXT_BOXES, candidates, named, strings

VERDICTS = ("success", "failure")
ORDINALS = {"radio": "radio button", "checkbox": "checkbox", "textbox": "textbox"}


@dataclass(frozen=True)
class Imagined:
    """Where an action leads: the page, and the chance of each verdict."""

    page: Page
    success: float
    failure: float


Dynamics = Callable[[str, Page, Sequence[Action]], list[Imagined]]


class ModelDynamics:
    """Imagine with a world model, greedily; verdicts as probabilities.

    Args:
        model: the Llama.
        task: how it reads and writes pages.
    """

    def __init__(self, model, task: WebPageTask):
        self.model, self.task = model, task

    @torch.no_grad()
    def __call__(self, goal: str, page: Page, actions: Sequence[Action]) -> list[Imagined]:
        if not actions:
            return []
        words = self.task.tokenizer
        questions = [words.encode(question_text(goal, page, action) + ARROW)
                     for action in actions]
        answers = sample(self.model, questions, 1, self.task.max_new, 0.0,
                         eos_id=words.eos_id).answers
        chance = {verdict: self._chance(questions, f"~[0] {verdict}") for verdict in VERDICTS}
        return [Imagined(self.task.imagined(ids, page), success, failure)
                for ids, success, failure in zip(answers, chance["success"], chance["failure"])]

    def _chance(self, questions: list[list[int]], text: str) -> list[float]:
        """Probability that the answers begin with this text."""
        ids, mask = pad([self.task.tokenizer.encode(text)] * len(questions), side="right")
        return logp(self.model, questions, ids, mask).sum(1).exp().tolist()


class TrueDynamics:
    """Look the next page up in the recorded graph: perfect foresight.

    An action that was not recorded, past the depth of the graph, changes nothing.
    """

    def __init__(self, graph: Graph):
        self.graph, self.nodes = graph, {page: i for i, page in enumerate(graph.pages)}

    def __call__(self, goal: str, page: Page, actions: Sequence[Action]) -> list[Imagined]:
        edges = self.graph.edges[self.nodes[page]]
        found = [self.graph.pages[edges[a]] if a in edges else page for a in actions]
        return [Imagined(after, *(float(after[0].state == v) for v in VERDICTS))
                for after in found]


# ---------------------------------------------------------------- value
def progress(goal: str, page: Page, imagined: Page, seen: set[str] = frozenset()) -> float:
    """How much an imagined page looks like a step towards the goal.

    +1 for each ticked element that the goal asks for, -1 for each that it does not; +0.6 for each
    string of the goal that stands in a text box, 0.5 more or less by `fits`, but -0.3 where it
    stands in another box, too; +0.4 for anything newly visible that the goal names; -0.5 where
    nothing changes, -0.3 for a page that was seen already.
    """
    value = -0.5 * (imagined == page) - 0.3 * (write_page(imagined) in seen)
    before, left = {(e.role, e.name) for e in page}, strings(goal)
    typed = set(left)
    for i, element in enumerate(imagined[1:], 1):
        wanted = wants(goal, imagined, i)
        if {"checked", "selected", "pressed"} & set(element.state.split()):
            value += 1.0 if wanted else -1.0
        if element.value in left and element.value:
            left.remove(element.value)
            value += 0.6 + 0.5 * fits(goal, imagined, i)
        elif element.value in typed and element.value:
            value -= 0.3
        if wanted and element.role != "text" and (element.role, element.name) not in before:
            value += 0.4
    return value


def wants(goal: str, page: Page, i: int) -> bool:
    """Whether a goal names an element, or says which one of its kind: "the 2nd textbox"."""
    place = _ordinal(goal, page, i)
    return named(goal, page[i]) if place is None else place


def _ordinal(goal: str, page: Page, i: int) -> bool | None:
    """None where the goal does not count elements of this kind."""
    word = ORDINALS.get(page[i].role)
    found = re.search(rf"(\d)(?:st|nd|rd|th) {word}", goal) if word else None
    return found and int(found[1]) == sum(e.role == page[i].role for e in page[:i + 1])


def fits(goal: str, page: Page, i: int) -> int:
    """Whether a text box is the place for what stands in it: 1 yes, -1 another one is, 0 unknown.

    The goal may count boxes; otherwise the words beside the string in the goal are compared with
    the labels of the boxes: "directed by Casey" and `Director Name`.
    """
    if (place := _ordinal(goal, page, i)) is not None:
        return 1 if place else -1
    before, _, after = goal.partition(page[i].value)
    near = _stems(" ".join([*before.split()[-2:], *after.split()[:1]]))
    fit = [j for j, e in enumerate(page) if e.role in TEXT_BOXES
           and _stems(e.name or page[j - 1].name) & near]
    return 1 if i in fit else -1 if fit else 0


def _stems(text: str) -> set[str]:
    return {word[:5] for word in re.findall(r"[a-z]{4,}", text.lower())}


@dataclass(frozen=True)
class AgentConfig:
    """Settings of the planner.

    Attributes:
        top: k, candidates that are imagined; no more than were recorded.
        margin: how much better than the policy's first choice another action must be.
        depth: 1, or 2 (what could be done on the imagined page counts, too).
        branch: candidates on an imagined page.
        trust: how far the model's certainty of a verdict is believed; its log-odds are taken
            times this.
    """

    top: int = TOP
    margin: float = 0.0
    depth: int = 1
    branch: int = 3
    trust: float = 1.0

    def __post_init__(self):
        if (not 1 <= self.top <= TOP or self.depth not in (1, 2) or self.branch < 1
                or self.trust <= 0):
            raise ValueError(f"top must be between 1 and {TOP}, branch at least 1, depth 1 or 2, "
                             f"trust above 0; got {self}")


def believed(chance: float, trust: float) -> float:
    """A probability with its log-odds times `trust`: below 1, nearer to one half."""
    return chance ** trust / (chance ** trust + (1 - chance) ** trust)


def worth(goal: str, page: Page, found: Imagined, share: float, seen: set[str],
          trust: float = 1.0) -> float:
    """Equation (11.1), each probability as it is `believed`."""
    success, failure = (believed(p, trust) for p in (found.success, found.failure))
    return 10 * (success - failure) + progress(goal, page, found.page, seen) + 0.3 * share


def plan(goal: str, page: Page, dynamics: Dynamics, config: AgentConfig,
         seen: set[str] = frozenset()) -> list[tuple[float, Action, Imagined]]:
    """Every candidate with its value and the page it is imagined to lead to, the best first."""
    proposed = candidates(goal, page, config.top)
    found = dynamics(goal, page, [action for action, _ in proposed])
    rows = []
    for (action, share), one in zip(proposed, found):
        value = worth(goal, page, one, share, seen, config.trust)
        if config.depth == 2 and one.page != page and one.success < 0.5 and one.failure < 0.5:
            further = candidates(goal, one.page, config.branch)
            then = dynamics(goal, one.page, [action for action, _ in further])
            value = max([value, *(worth(goal, one.page, two, s, seen, config.trust) - 0.1
                                  for (_, s), two in zip(further, then))])
        rows.append((value, action, one))
    best = sorted(rows, key=lambda row: -row[0])
    if rows and best[0][0] <= rows[0][0] + config.margin:
        best.remove(rows[0])
        best.insert(0, rows[0])
    return best


# ---------------------------------------------------------------- agents
Agent = Callable[[str, Page, set[str]], Action | None]  # goal, page, pages seen -> action


def planner(dynamics: Dynamics, config: AgentConfig | None = None) -> Agent:
    """The model-predictive agent."""
    config = config or AgentConfig()

    def act(goal: str, page: Page, seen: set[str]) -> Action | None:
        rows = plan(goal, page, dynamics, config, seen)
        return rows[0][1] if rows else None
    return act


def policy(kind: str, seed: int = 0, top: int = TOP) -> Agent:
    """The weak policy by itself: "first" (its heaviest action), "sampled", or "random"
    (any of its k candidates).

    Raises:
        ValueError: another kind.
    """
    if kind not in ("first", "sampled", "random"):
        raise ValueError(f'kind must be "first", "sampled" or "random", got {kind!r}')
    chance = Random(seed)

    def act(goal: str, page: Page, seen: set[str]) -> Action | None:
        found = candidates(goal, page, top)
        if not found:
            return None
        actions, weights = zip(*found)
        if kind == "first":
            return actions[0]
        return chance.choices(actions, weights if kind == "sampled" else None)[0]
    return act


@dataclass(frozen=True)
class Episode:
    """What an agent did: pages (one more than actions), actions, and whether the page was won."""

    pages: tuple[Page, ...]
    actions: tuple[Action, ...]
    success: bool


def run(graph: Graph, agent: Agent) -> Episode:
    """One episode on a recorded page; the page's own reward says whether it was won."""
    node = 0

    def step(action: Action) -> Page:
        nonlocal node
        node = graph.step(node, action)
        return graph.pages[node]

    pages, actions = _act(graph.goal, graph.reset(), step, graph.depth, agent)
    return Episode(pages, actions, graph.rewards[node] > 0)


def run_live(browser, task: str, seed: int, agent: Agent, depth: int | None = None) -> Episode:
    """The same on a live page; needs the extra `web`.

    Args:
        browser: an open `web_browser.Browser`.
        task, seed: which page.
        agent: as for `run`.
        depth: actions of an episode; None: as many as a recorded graph of the task has.
    """
    goal, page = browser.reset(task, seed)
    pages, actions = _act(goal, page, browser.step, depth or DEPTHS.get(task, DEPTH), agent)
    return Episode(pages, actions, browser.reward() > 0)


def _act(goal: str, page: Page, step: Callable[[Action], Page], depth: int, agent: Agent):
    """Pages and actions of an episode, until its verdict, its last action, or an agent at a
    loss."""
    pages, actions, seen = [page], [], set()
    while len(actions) < depth and pages[-1][0].state == "ongoing":
        seen.add(write_page(pages[-1]))
        action = agent(goal, pages[-1], seen)
        if action is None:
            break
        actions.append(action)
        pages.append(step(action))
    return tuple(pages), tuple(actions)
