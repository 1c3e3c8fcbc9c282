"""The planning web agent: on a hand-made graph, with perfect, blind and wrong dynamics."""

from __future__ import annotations

import pytest

from rlvr_lite.model import build
from rlvr_lite.planning_web import (
    AgentConfig,
    Imagined,
    ModelDynamics,
    TrueDynamics,
    believed,
    plan,
    planner,
    policy,
    progress,
    run,
)
from rlvr_lite.tasks.web_page import WebPageTask, train_tokenizer
from rlvr_lite.worlds.web_graphs import Graph
from rlvr_lite.worlds.web_pages import Action, Element, Transition, write_page

GOAL = "Select Ada and click Submit."


def page(ada, bo, verdict="ongoing"):
    return (Element("page", state=verdict), Element("radio", "Ada", ada),
            Element("radio", "Bo", bo), Element("button", "Submit"))


START, ADA, BO = page("unchecked", "unchecked"), page("checked", "unchecked"), page(
    "unchecked", "checked")
WON, LOST = page("checked", "unchecked", "success"), page("unchecked", "unchecked", "failure")
CLICK = [Action("click", i) for i in range(4)]


@pytest.fixture
def graph():
    edges = [{CLICK[1]: 1, CLICK[2]: 2, CLICK[3]: 4}, {CLICK[1]: 1, CLICK[2]: 2, CLICK[3]: 3},
             {CLICK[1]: 1, CLICK[2]: 2, CLICK[3]: 4}, {}, {}]
    return Graph("click-option", 0, GOAL, 4, (START, ADA, BO, WON, LOST), tuple(edges),
                 (0.0, 0.0, 0.0, 0.8, -1.0))


def test_perfect_foresight_wins(graph):
    episode = run(graph, planner(TrueDynamics(graph)))
    assert episode.success and episode.actions == (CLICK[1], CLICK[3])
    assert episode.pages == (START, ADA, WON)


def test_a_wrong_verdict_misleads(graph):
    """A dynamics that takes failure for success submits at once."""
    def wrong(goal, here, actions):
        return [Imagined(one.page, one.failure, one.success)
                for one in TrueDynamics(graph)(goal, here, actions)]
    episode = run(graph, planner(wrong))
    assert not episode.success and episode.actions == (CLICK[3],)


def test_less_trust_brings_a_verdict_nearer_to_one_half():
    assert believed(0.9, 1.0) == pytest.approx(0.9)
    assert believed(0.9, 0.5) == pytest.approx(0.75)  # odds of 9 become odds of 3
    assert [believed(p, 0.5) for p in (0.0, 0.5, 1.0)] == [0.0, 0.5, 1.0]


def test_less_trust_in_verdicts_leaves_more_to_progress(graph):
    """The model is rather sure that Submit wins; that Ada is ticked is worth +1."""
    def hopeful(goal, page, actions):
        true = TrueDynamics(graph)(goal, page, actions)
        return [Imagined(one.page, 0.6, 0.4) if action == CLICK[3] and page == START else
                Imagined(one.page, 0.5, 0.5) for action, one in zip(actions, true)]

    chosen = [plan(GOAL, START, hopeful, AgentConfig(trust=trust))[0][1] for trust in (2.0, 0.1)]
    assert chosen == [CLICK[3], CLICK[1]]


def test_the_margin_falls_back_to_the_policy(graph):
    first = policy("first")(GOAL, START, set())
    assert plan(GOAL, START, TrueDynamics(graph), AgentConfig(margin=1e9))[0][1] == first
    best = plan(GOAL, START, TrueDynamics(graph), AgentConfig())
    assert best[0][1] == CLICK[1]
    assert {row[1] for row in best} == set(CLICK[1:])


def test_two_steps_see_further(graph):
    """Without any help from progress, only the second step shows where success lies."""
    rows = {row[1]: row[0] for row in plan(GOAL, START, TrueDynamics(graph), AgentConfig(depth=2))}
    assert rows[CLICK[1]] > 9 > rows[CLICK[2]]
    single = {row[1]: row[0] for row in plan(GOAL, START, TrueDynamics(graph), AgentConfig())}
    assert single[CLICK[1]] < 9


def test_progress_counts_what_the_goal_names():
    assert progress(GOAL, START, ADA) == pytest.approx(1.0)
    assert progress(GOAL, START, BO) == pytest.approx(-1.0)
    assert progress(GOAL, START, START) == pytest.approx(-0.5)
    typed = (*START, Element("textbox", state="value 'Bo B'"))
    assert progress('Type "Bo B".', START, typed) == pytest.approx(0.6)
    shown = (*START, Element("link", "Submit"))
    assert progress(GOAL, START, shown) == pytest.approx(0.4)


def test_pages_seen_before_are_worth_less(graph):
    assert progress(GOAL, START, ADA, {write_page(ADA)}) == pytest.approx(0.7)


def test_policies(graph):
    assert run(graph, policy("first")).actions
    acts = {policy("random", seed)(GOAL, START, set()) for seed in range(20)}
    assert acts == set(CLICK[1:])
    with pytest.raises(ValueError, match="kind"):
        policy("best")
    assert policy("first")(GOAL, WON, set()) is None


def test_the_world_model_imagines_pages_and_verdicts():
    words = train_tokenizer([Transition("click-option", 0, 0, GOAL, START, CLICK[1], ADA)], 300)
    model = build(words.vocab_size, 16, 1, 2, 32, seed=0, max_tokens=512)
    dynamics = ModelDynamics(model, WebPageTask(words, max_new=8))
    found = dynamics(GOAL, START, CLICK[1:])
    assert len(found) == 3
    for one in found:
        assert one.page[0].role == "page" and 0 <= one.success <= 1 and 0 <= one.failure <= 1
    assert dynamics(GOAL, START, []) == []


def test_a_trained_model_is_as_good_as_the_truth(graph):
    """Learn the graph by heart; the agent then wins with the model."""
    from rlvr_lite.mle import MLEConfig, train_mle
    steps = [Transition("click-option", 0, 0, GOAL, graph.pages[i], a, graph.pages[j])
             for i, edges in enumerate(graph.edges) for a, j in edges.items()]
    task = WebPageTask(train_tokenizer(steps, 400), max_new=24)
    model = build(task.tokenizer.vocab_size, 48, 2, 4, 96, seed=0, max_tokens=512)
    train_mle(model, [(task.question(t), task.answer(t)) for t in steps],
              MLEConfig(steps=150, batch=9, lr=3e-3), log=None)
    dynamics = ModelDynamics(model, task)
    assert dynamics(GOAL, ADA, [CLICK[3]])[0].success > 0.9
    assert run(graph, planner(dynamics)).success


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"top": 0}, {"depth": 3}, {"branch": 0}, {"top": 99}):
        with pytest.raises(ValueError):
            AgentConfig(**wrong)


def test_progress_knows_where_a_string_belongs():
    """Each string counts once, and more in the box whose label the goal speaks of."""
    goal = 'Search for drama movies directed by Moran from year 1975.'
    boxes = (Element("page", state="ongoing"), Element("text", "Year:"),
             Element("textbox", state="value ''"), Element("text", "Director Name"),
             Element("textbox", state="value ''"))

    def typed(**texts):
        return tuple(Element("textbox", state=f"value '{texts[f'b{i}']}'") if f"b{i}" in texts
                     else e for i, e in enumerate(boxes))
    assert progress(goal, boxes, typed(b2="1975")) == pytest.approx(1.1)
    assert progress(goal, boxes, typed(b2="Moran")) == pytest.approx(0.1)
    assert progress(goal, boxes, typed(b2="drama")) == pytest.approx(0.6)
    assert progress(goal, boxes, typed(b2="1975", b4="1975")) == pytest.approx(0.8)
    counted = 'Enter the number "7" into the 2nd textbox.'
    assert progress(counted, boxes, typed(b4="7")) == pytest.approx(1.1)
    assert progress(counted, boxes, typed(b2="7")) == pytest.approx(0.1)


def test_progress_counts_elements_without_a_name():
    goal = "Check the 2nd radio button."

    def ticked(j):
        return (Element("page", state="ongoing"), *(
            Element("radio", state="checked" if i == j else "unchecked") for i in range(3)))
    assert progress(goal, ticked(None), ticked(1)) == pytest.approx(1.0)
    assert progress(goal, ticked(None), ticked(0)) == pytest.approx(-1.0)
