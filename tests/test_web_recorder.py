"""The recorder of web pages: its bookkeeping and graphs without a browser, its pages in one."""

from __future__ import annotations

import collections
import hashlib
import subprocess
import sys

import pytest

import record_web_pages as recorder
from rlvr_lite import planning_web
from rlvr_lite.checkpoints import load_web_model
from rlvr_lite.paths import data_folder
from rlvr_lite.worlds import web_browser, web_graphs, web_pages, web_policy, web_solvers
from rlvr_lite.worlds.web_pages import Action, Element, read_lines, transitions

SHIPPED = data_folder() / web_pages.FOLDER
needs_browser = pytest.mark.skipif(bool(web_browser.missing()), reason=web_browser.missing())
GRAPHS = SHIPPED / "graphs.jsonl.xz"
needs_graphs = pytest.mark.skipif(not GRAPHS.is_file(), reason="no action graphs recorded yet")


class FalseBrowser:
    """Three boxes to tick and a button that is content with the first one ticked alone."""

    def __init__(self):
        self.resets = self.steps = 0

    def reset(self, task, seed):
        self.resets += 1
        self.seed, self.ticked, self.verdict = seed, [False] * 3, "ongoing"
        return f'Select "a{seed}" and click Submit.', self.page()

    def page(self):
        boxes = [Element("checkbox", f"{'abc'[i]}{self.seed}", "checked" if on else "unchecked")
                 for i, on in enumerate(self.ticked)]
        return (Element("page", "", self.verdict), *boxes, Element("button", "Submit"))

    def step(self, action):
        assert self.verdict == "ongoing" and 0 < action.id < 5
        self.steps += 1
        if action.id < 4:
            self.ticked[action.id - 1] ^= True
        else:
            self.verdict = "success" if self.ticked == [True, False, False] else "failure"
        return self.page()

    def reward(self):
        return {"ongoing": 0.0, "success": 1.0, "failure": -1.0}[self.verdict]


# ---- without a browser -----------------------------------------------------------------------


def test_an_episode_depends_on_task_and_seed_only():
    rows = [recorder.record_episode(FalseBrowser(), "click-checkboxes", seed) for seed in (5, 6)]
    again = FalseBrowser()
    assert recorder.record_episode(again, "click-checkboxes", 6) == rows[1]
    assert recorder.record_episode(again, "click-checkboxes", 5) == rows[0] != rows[1]
    found = list(web_pages.read_episode(rows[0]))
    assert found[0].before[1] == Element("checkbox", "a5", "unchecked")
    assert 0 < len(found) <= recorder.STEPS


def test_goals_that_show_an_icon_are_left_out(monkeypatch):
    assert recorder.suited("Click the item labeled Save.")
    monkeypatch.setattr(FalseBrowser, "reset", lambda *a: ("Click the item with the icon.", ()))
    assert recorder.record_episode(FalseBrowser(), "click-menu-2", 0) is None


def test_parts_are_kept_and_assembled(tmp_path, monkeypatch):
    """A run that was stopped goes on; the files hold every part, and the loader reads them."""
    monkeypatch.setattr(recorder, "PART", 7)
    tasks, counts = ("click-checkboxes", "click-option", "multi-orderings"), \
        {"train": 2, "validation": 1, "test": 1, "held_out": 1}
    monkeypatch.setattr(web_solvers, "solve", lambda task, goal, page: None)
    parts, out, browser = tmp_path / "parts", tmp_path / "out", FalseBrowser()
    recorder.record(browser, tasks, parts, counts)
    assert len(list(parts.iterdir())) == 2 * 4 + 1
    first = browser.resets
    recorder.record(browser, tasks, parts, counts)
    assert browser.resets == first, "nothing is recorded twice"
    recorder.part_path(parts, "train", 1, "click-option").unlink()
    recorder.record(browser, tasks, parts, counts)
    assert first < browser.resets < 2 * first
    recorder.assemble(tasks, parts, out, counts)
    assert sorted(p.name for p in out.iterdir()) == [
        "LICENSE.txt", "held_out.jsonl.xz", "sha256.txt", "test.jsonl.xz", "train.jsonl.xz",
        "validation.jsonl.xz"]
    steps = transitions("train", out)
    assert [t.task for t in steps] == sorted(t.task for t in steps) and len(steps) >= 28
    assert {t.seed // 1000 for t in steps} == {0, 1}
    table = dict(line.split()[::-1] for line in (out / "sha256.txt").read_text().splitlines())
    assert table["test.jsonl.xz"] == hashlib.sha256(
        (out / "test.jsonl.xz").read_bytes()).hexdigest()


def test_a_graph_by_hand():
    """Eight states of three boxes, each with its end: 16 pages; 8 x 4 actions, 8 of them last."""
    browser = FalseBrowser()
    graph = web_graphs.explore(browser, "click-option", 3, top=4, depth=9)
    assert len(graph.pages) == len(set(graph.pages)) == 16
    assert sum(map(len, graph.edges)) == 32 and graph.solvable()
    assert graph.rewards.count(1.0) == 1 and graph.rewards.count(-1.0) == 7
    assert browser.resets < 12 and browser.steps < 60, "it goes on from where it is"
    assert web_graphs.unpack_graph(web_graphs.pack_graph(graph)) == graph
    node = graph.step(graph.step(0, Action("click", 1)), Action("click", 4))
    assert graph.pages[node][0].state == "success" and graph.rewards[node] == 1
    assert graph.distances()[node] == 2
    with pytest.raises(ValueError, match="no actions left"):
        graph.step(node, Action("click", 1))


def test_a_short_graph_ends_after_its_steps():
    graph = web_graphs.explore(FalseBrowser(), "click-option", 3, top=4, depth=2)
    near = graph.distances()
    assert max(near) == 2
    for page, edges, distance in zip(graph.pages, graph.edges, near):
        assert bool(edges) == (page[0].state == "ongoing" and distance < 2)


def test_a_page_that_remembers_more_is_refused(monkeypatch):
    """Here the button works only after the third click, whatever the page shows."""
    step = FalseBrowser.step

    def forgetful(self, action):
        page = step(self, action)
        return page if self.steps % 3 else (page[0], Element("text", f"{self.steps}"), *page[1:])

    monkeypatch.setattr(FalseBrowser, "step", forgetful)
    with pytest.raises(ValueError, match="remembers"):
        web_graphs.explore(FalseBrowser(), "click-option", 3, top=4, depth=9)


def test_weights_of_the_policy_by_hand():
    page = (Element("page", "", "ongoing"), Element("textbox", "", "value ''"),
            Element("textbox", "", "value 'ann'"), Element("button", "Login"),
            Element("button", "Help", "disabled"), Element("text", "Login"))
    found = web_policy.candidates('Enter "ann" and press login.', page)
    weights = {str(action): weight * 8.05 for action, weight in found}
    assert weights == pytest.approx({"click [3]": 6, "type [1] ann": 2, "click [5]": 0.05})
    assert web_policy.strings("Search for drama movies directed by Li from year 1999.") == [
        "drama", "Li", "1999"]
    assert web_policy.named("Click Ok.", Element("button", "ok"))
    assert not web_policy.named("Click Okay.", Element("button", "ok"))


@pytest.mark.parametrize("task", web_pages.VISIBLE + web_pages.HIDDEN + web_pages.HELD_OUT)
def test_solvers_know_every_recorded_page(task):
    """Episodes that follow the solver from first to last step end in success."""
    split = "held_out" if task in web_pages.HELD_OUT else "train"
    episodes, unknown = collections.defaultdict(list), 0
    for t in transitions(split):
        if t.task == task:
            action = web_solvers.solve(task, t.goal, t.before)
            unknown += action is None
            episodes[t.seed].append((action == t.action, t.after[0].state))
    ends = [found[-1][1] for found in episodes.values() if all(same for same, _ in found)]
    assert unknown < 0.03 * sum(map(len, episodes.values()))
    assert ends.count("failure") == 0 and ends.count("success") >= 10


def test_little_of_the_test_split_was_trained_on():
    """Other seeds, mostly other pages; two tasks have only a few dozen pages in all."""
    trained = {(t.goal, t.before, t.action) for t in transitions("train")}
    shares = {}
    for task in web_pages.VISIBLE + web_pages.HIDDEN:
        steps = [t for t in transitions("test") if t.task == task]
        shares[task] = sum((t.goal, t.before, t.action) in trained for t in steps) / len(steps)
    few = [shares.pop(task) for task in ("click-menu-2", "enter-text")]
    assert min(few) > 0.9 and max(shares.values()) < 0.15
    assert sum(shares.values()) / len(shares) < 0.03


@needs_graphs
def test_recorded_graphs_are_closed():
    """An agent that keeps to the candidates never leaves its graph, and can win almost always."""
    found = web_graphs.graphs()
    tasks = {graph.task for graph in found}
    assert len(found) >= 220 and len(tasks) >= 14 and tasks >= set(web_pages.HELD_OUT)
    assert sum(graph.solvable() for graph in found) > 0.95 * len(found)
    seen = {(t.task, t.seed) for split in web_pages.SPLITS for t in transitions(split)}
    for graph in found:
        assert (graph.task, graph.seed) not in seen
        near = graph.distances()
        for page, edges, distance, reward in zip(graph.pages, graph.edges, near, graph.rewards):
            over = page[0].state != "ongoing"
            assert (page[0].state == "success") == (reward >= 1) and (over or reward == 0)
            wanted = [] if over or distance == graph.depth else [
                action for action, _ in web_policy.candidates(graph.goal, page, web_graphs.TOP)]
            assert sorted(map(str, edges)) == sorted(map(str, wanted))
            assert all(0 <= node < len(graph.pages) for node in edges.values())


def test_tree_of_the_browser_by_hand():
    """Layout and repeated text go; labels of named boxes go; states become words."""
    def node(i, role, name="", children=(), value=None, **properties):
        return {"nodeId": str(i), "role": {"value": role}, "name": {"value": name},
                "backendDOMNodeId": 100 + i, "childIds": list(map(str, children)),
                "properties": [{"name": k, "value": {"value": v}} for k, v in properties.items()]
                } | ({"value": {"value": value}} if value is not None else {})

    tree = [node(0, "RootWebArea", "Title", (1, 4, 6, 8, 9)),
            node(1, "LabelText", "", (2, 3)), node(2, "checkbox", "A", checked="true"),
            node(3, "StaticText", "A"), node(4, "button", "Go", (5,), disabled=True),
            node(5, "StaticText", "Go"), node(6, "textbox", "", (7,), value="it's \ue001x"),
            node(7, "StaticText", "it's"), node(8, "img"),
            node(9, "combobox", "", (10,), value="B", expanded=False),
            node(10, "option", "B", selected=True)]
    assert [(i, str(element)) for i, element in web_browser.flatten(tree)] == [
        (102, "checkbox 'A' checked"), (104, "button 'Go' disabled"),
        (106, r"textbox value 'it\'s x'"), (109, "combobox value 'B'"), (110, "option 'B'")]


def test_without_browser_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(web_browser.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(web_browser, "executable", lambda: None)
    with pytest.raises(ImportError, match=r"rlvr-lite\[web\].*chromium"):
        web_browser.Browser()


def test_the_command_says_what_it_can_do():
    answer = subprocess.run([sys.executable, recorder.__file__, "--tasks", "fly"],
                            capture_output=True, text=True)
    assert answer.returncode == 2 and "invalid choice: 'fly'" in answer.stderr
    assert "--check" in answer.stderr and "--graphs" in answer.stderr


def test_only_licensed_text_ships():
    names = sorted(path.name for path in SHIPPED.iterdir())
    assert set(names) <= {"LICENSE.txt", "README.md", "sha256.txt", "graphs.jsonl.xz",
                          *(f"{split}.jsonl.xz" for split in web_pages.SPLITS)}
    text = (SHIPPED / "LICENSE.txt").read_text()
    assert all(owner in text for owner in ("OpenAI", "Stanford", "Farama", "MIT License"))


# ---- in Chromium -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    with web_browser.Browser() as opened:
        yield opened


@needs_browser
@pytest.mark.parametrize("task", web_pages.VISIBLE + web_pages.HIDDEN + web_pages.HELD_OUT)
def test_the_recording_can_be_repeated(task, browser):
    """Episodes of what ships, recorded again, in another order: the same bytes. A second try is
    allowed: on a machine that is very busy the mouse has once come late."""
    split = "held_out" if task in web_pages.HELD_OUT else "test"
    rows = [row for row in read_lines(SHIPPED / f"{split}.jsonl.xz") if row[0] == task][:3]
    for row in rows[::-1]:
        again = recorder.record_episode(browser, *row[:2])
        assert again == row or recorder.record_episode(browser, *row[:2]) == row, again


@needs_browser
@needs_graphs
@pytest.mark.parametrize("task", ["login-user", "click-menu-2", "login-user-popup"])
def test_a_graph_is_what_the_live_page_does(task, browser):
    """The same actions lead to the same pages and the same reward."""
    graph = next(graph for graph in web_graphs.graphs() if graph.task == task)
    goal, page = browser.reset(task, graph.seed)
    assert (goal, page) == (graph.goal, graph.pages[0])
    node = 0
    for _ in range(graph.depth):  # a graph may have circles
        if graph.edges[node]:
            action = next(reversed(graph.edges[node]))
            node = graph.step(node, action)
            assert browser.step(action) == graph.pages[node]
    assert browser.reward() == graph.rewards[node]


@needs_browser
@needs_graphs
@pytest.mark.parametrize("task", ["click-checkboxes", "enter-password", "click-tab-2-hard"])
def test_an_agent_does_the_same_on_the_live_page(task, browser):
    """Replay of recorded graphs measures what the agent really achieves."""
    for graph in [graph for graph in web_graphs.graphs() if graph.task == task][:2]:
        for agent in (planning_web.policy("first"),
                      planning_web.planner(planning_web.TrueDynamics(graph))):
            assert (planning_web.run_live(browser, task, graph.seed, agent)
                    == planning_web.run(graph, agent))


@needs_browser
@needs_graphs
@pytest.mark.parametrize("task", ["login-user", "click-tab-2-hard", "login-user-popup"])
def test_a_planner_with_the_shipped_model_does_the_same_on_the_live_page(task, browser):
    """What chapter 11 replays for a world model happens in Chromium, too: pages, actions, end."""
    graph = next(graph for graph in web_graphs.graphs() if graph.task == task)
    dynamics = planning_web.ModelDynamics(*load_web_model("web_base"))
    replayed = planning_web.run(graph, planning_web.planner(dynamics))
    assert replayed.actions
    live = planning_web.run_live(browser, task, graph.seed, planning_web.planner(dynamics))
    assert live == replayed


@needs_browser
def test_the_live_page_refuses_what_cannot_be_done(browser):
    browser.reset("login-user", 1)
    with pytest.raises(ValueError, match="no text box"):
        browser.step(Action("type", 1, "a"))
    with pytest.raises(ValueError, match="elements 1 to"):
        browser.step(Action("click", 99))
    with pytest.raises(ValueError, match="no task"):
        browser.reset("make-coffee", 1)
    assert browser.screenshot()[:4] == b"\x89PNG"
