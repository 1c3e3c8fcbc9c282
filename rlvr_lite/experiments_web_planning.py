"""Web agents in numbers: the same pages, policy and value, with different world models inside.

Every agent plays the recorded action graphs, and the page's own reward says whether it won.
`policy` acts without any model, `oracle` plans with the true pages (the ceiling); the others plan
with a model of the study of that name. Three studies:
    web_planning           with the models of `web_pages`
    web_planning_mistakes  with the models of `web_few_mistakes`; how far the planner trusts an
                           imagined verdict is chosen on validation pages, too
    web_planning_one_step  the same, but no planner looks two steps ahead

    python -m rlvr_lite.experiments_web_planning web_planning --seeds 0 1 2 --folder runs
    python -m rlvr_lite.experiments_web_planning web_planning --summarise --folder runs

Source: RLVR-World section 5.3, table 2 (12.06 % to 14.29 % of 812 WebArena tasks).
Differs from the paper: the rows without a world model and with a perfect one; per-task results;
the planner's settings are chosen on graphs that no test episode uses.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rlvr_lite import experiments_web, paper
from rlvr_lite.evaluation import mean
from rlvr_lite.experiments import Comparison, Run
from rlvr_lite.experiments_lab import Laboratory, Record, log_of, model_folder
from rlvr_lite.planning_web import (
    Agent,
    AgentConfig,
    Dynamics,
    Imagined,
    ModelDynamics,
    TrueDynamics,
    planner,
    policy,
    run,
)
from rlvr_lite.worlds.web_graphs import Graph, graphs
from rlvr_lite.worlds.web_pages import Action, Page, group

MODELS = ("mle", "mle_continued", "mle_gold_answers", "rlvr")


@dataclass(frozen=True)
class PlanningStudy:
    """What all agents share.

    Attributes:
        models: the study whose models are planned with.
        validation: graphs of each task, the first ones, on which the planner is chosen.
        margins, depths, trusts: what it is chosen from.
    """

    name: str
    title: str
    models: str = "web_pages"
    validation: int = 4
    margins: tuple[float, ...] = (0.0, 0.5, 2.0)
    depths: tuple[int, ...] = (1, 2)
    trusts: tuple[float, ...] = (1.0,)
    claim: str | None = None
    paper: dict = field(hash=False, default_factory=dict)


STUDIES = {s.name: s for s in (
    PlanningStudy("web_planning", "Web agents that plan with a world model", claim="web_mpc",
                  paper=paper.web_agent_rows()),
    PlanningStudy("web_planning_mistakes", "Web agents, models of demonstrations and few mistakes",
                  models="web_few_mistakes", trusts=(1.0, 0.5), claim="web_mpc_mistakes",
                  paper=paper.web_agent_rows()),
)}
STUDIES["web_planning_one_step"] = replace(
    STUDIES["web_planning_mistakes"], name="web_planning_one_step", depths=(1,),
    title="Web agents that look one step ahead", claim="web_mpc_one_step")


@functools.lru_cache(maxsize=2)
def pages(study: PlanningStudy, part: str) -> list[Graph]:
    """The graphs of "validation" or "test", task after task."""
    by_task = defaultdict(list)
    for graph in graphs():
        by_task[graph.task].append(graph)
    cut = slice(study.validation) if part == "validation" else slice(study.validation, None)
    return [graph for found in by_task.values() for graph in found[cut]]


def play(found: list[Graph], agent_of: Callable[[Graph], Agent]) -> dict[str, list[float]]:
    """One episode on every graph."""
    episodes = [run(graph, agent_of(graph)) for graph in found]
    return {"success": [float(e.success) for e in episodes],
            "actions": [float(len(e.actions)) for e in episodes]}


def report(study: PlanningStudy, seed: int, name: str, agent_of: Callable[[Graph], Agent]) -> Run:
    """A method's episodes on all test graphs."""
    found = pages(study, "test")
    tasks = {task: [int(g.task == task) for g in found]
             for task in dict.fromkeys(g.task for g in found)}
    groups = {part: [int(group(g.task) == part) for g in found]
              for part in ("visible", "hidden", "held_out")}
    return Run(name, seed, {"test": {"greedy": play(found, agent_of)}},
               {"test": {k: v for k, v in (groups | tasks).items() if any(v)}})


def planned(study: PlanningStudy, seed: int, name: str,
            dynamics_of: Callable[[Graph], Dynamics]) -> Run:
    """An agent that plans; its settings are those that win most on the validation graphs."""
    def agent_of(margin: float, depth: int, trust: float) -> Callable[[Graph], Agent]:
        config = AgentConfig(margin=margin, depth=depth, trust=trust)
        return lambda graph: planner(dynamics_of(graph), config)
    chances = {key: mean(play(pages(study, "validation"), agent_of(*key))["success"])
               for key in itertools.product(study.margins, study.depths, study.trusts)}
    best = max(chances, key=lambda k: (chances[k], -k[1]))
    chosen = dict(zip(("margin", "depth", "trust"), best))
    log_of(study, name, seed)(str(chosen))
    found = report(study, seed, name, agent_of(*best))
    found.notes = chosen | {"validation": [[*key, value] for key, value in chances.items()]}
    return found


def remembered(dynamics: Dynamics) -> Dynamics:
    """The same dynamics; what was imagined once is not imagined again."""
    known: dict[tuple, Imagined] = {}

    def imagine(goal: str, page: Page, actions: Sequence[Action]) -> list[Imagined]:
        new = [action for action in actions if (goal, page, action) not in known]
        known.update(((goal, page, action), found)
                     for action, found in zip(new, dynamics(goal, page, new)))
        return [known[goal, page, action] for action in actions]
    return imagine


def with_model(study: PlanningStudy, seed: int, folder: Path, name: str) -> Run:
    """Plan with a model of the study's `models`."""
    place = model_folder(study.models, name, seed, folder)
    dynamics = remembered(ModelDynamics(*experiments_web.load_kept(place)))
    return planned(study, seed, name, lambda graph: dynamics)


def oracle(study: PlanningStudy, seed: int, folder: Path) -> Run:
    """Plan with the true next pages."""
    return planned(study, seed, "oracle", TrueDynamics)


def without_model(study: PlanningStudy, seed: int, folder: Path, name: str, kind: str) -> Run:
    """The weak policy by itself."""
    agent = policy(kind, seed)
    return replace(report(study, seed, name, lambda graph: agent), notes={"kind": kind})


METHODS: dict[str, Callable[..., Run]] = {
    "random": functools.partial(without_model, name="random", kind="random"),
    "policy": functools.partial(without_model, name="policy", kind="first"),
    "policy_sampled": functools.partial(without_model, name="policy_sampled", kind="sampled"),
    **{name: functools.partial(with_model, name=name) for name in MODELS},
    "oracle": oracle,
}


def comparisons(methods: list[str]) -> list[Comparison]:
    """RLVR against every other agent, the base and the true pages against the policy alone, and
    gold answers against the base."""
    found = [Comparison("rlvr", m, ("greedy",)) for m in methods
             if "rlvr" in methods and m != "rlvr"]
    pairs = (("mle", "policy"), ("oracle", "policy"), ("mle_gold_answers", "mle"))
    return found + [Comparison(*pair, ("greedy",)) for pair in pairs if set(pair) <= set(methods)]


PARTS = ("visible", "hidden", "held_out")
AGENTS = tuple(METHODS)
RECORDS = {
    "web_planning": Record("web_planning", tuple(m for m in AGENTS if m != "mle_gold_answers"),
                           metrics=("success", "actions")),
    **{name: Record(name, AGENTS, metrics=("success", "actions"), subsets=PARTS)
       for name in ("web_planning_mistakes", "web_planning_one_step")}}
LAB = Laboratory(STUDIES, METHODS, RECORDS, comparisons, metric="success")


if __name__ == "__main__":
    LAB.main(__doc__.split("\n")[0])
