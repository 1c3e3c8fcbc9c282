"""The web task: questions, answers that survive whatever a model writes, rewards, ceilings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_lite.tasks.base import Task
from rlvr_lite.tasks.web_f1 import f1
from rlvr_lite.tasks.web_page import (
    WebPageTask,
    answer_text,
    constant_names,
    deducible,
    imagined_page,
    items,
    official_items,
    question_text,
    read_items,
    spaced,
    train_tokenizer,
    unspaced,
)
from rlvr_lite.worlds.web_pages import (
    HIDDEN,
    VISIBLE,
    Action,
    Difference,
    Element,
    Transition,
    apply,
    difference,
    transitions,
    write_difference,
)

ONGOING = Element("page", state="ongoing")
BEFORE = (ONGOING, Element("text", "Results"), Element("link", "Ada Li"), Element("link", "Bo"),
          Element("textbox", state="value ''"), Element("tab", "More", "collapsed"))
AFTER = (ONGOING, Element("text", "Results"), Element("link", "Bo"),
         Element("textbox", state="value 'it\\'s'"), Element("tab", "More", "expanded"),
         Element("text", "Nobody knows"), Element("link", "Bo"))


def step(before=BEFORE, after=AFTER, seed=0):
    return Transition("click-link", seed, 0, 'Open "Bo".', before, Action("click", 5), after)


TASK = WebPageTask(train_tokenizer([step()], 300))


@pytest.fixture
def task():
    return TASK


def ids_of(task, text):
    return task.tokenizer.encode(text) + [task.tokenizer.eos_id]


def test_the_task_keeps_the_contract(task):
    assert isinstance(task, Task)
    assert task.answer(step())[-1] == task.tokenizer.eos_id
    assert task.decode(task.answer(step()), step()) == AFTER
    assert task.reward(task.answer(step()), step())["reward"] == 1.0


def test_a_question_says_goal_page_action_and_target():
    lines = question_text("Open \"Bo\".", BEFORE, Action("type", 4, "Bo")).split("\n")
    assert lines[0] == "Open \" Bo\"." and lines[3] == "[2] link ' Ada Li'"
    assert lines[-2] == "type [4] textbox value ' ' : Bo"
    assert "nothing" in question_text("", BEFORE, Action("click", 99))


def test_a_word_is_one_token_wherever_it_stands():
    task = WebPageTask(train_tokenizer([step()] * 3, 400))
    question = task.tokenizer.tokens(question_text('Open "Bo".', BEFORE, Action("click", 3)))
    assert question.count(" Bo") == 3 and "[3]" in [t.strip() for t in question]


NAMES = st.text("ab 'Z\"\\\n[]~0", max_size=6).map(str.strip)
ELEMENTS = st.builds(Element, st.sampled_from(["link", "text"]), NAMES,
                     st.sampled_from(["", "checked", "value ''", "value 'x y'"]))
PAGES = st.lists(ELEMENTS, max_size=6).map(lambda found: (ONGOING, *found))


@settings(max_examples=200, deadline=None)
@given(PAGES, PAGES)
def test_spaces_after_quotes_are_undone(before, after):
    text = write_difference(difference(before, after))
    assert unspaced(spaced(text)) == text
    assert f1(items(difference(before, after)), items(difference(before, after)),
              "strict")["f1"] == 1.0


@settings(max_examples=200, deadline=None)
@given(st.text("~+-[]0123459 'abnone\nlikx", max_size=60))
def test_whatever_is_written_is_judged(text):
    ids = ids_of(TASK, text)
    for mode in ("strict", "official"):
        assert 0 <= WebPageTask(TASK.tokenizer, mode).reward(ids, step())["reward"] <= 1
    page = TASK.decode(ids, step())
    assert page[0].role == "page"
    assert set(TASK.metrics(ids, step())) >= {"f1", "verdict", "invented"}


def test_what_the_page_does_not_allow_is_left_out():
    wild = Difference(((1, "checked"), (77, "checked")), (0, 3, 99),
                      ((3, Element("link", "new")), (50, Element("link", "lost"))))
    page = imagined_page(BEFORE, wild)
    assert page[0] == ONGOING and page[1].state == "checked"
    assert [e.name for e in page if e.role == "link"] == ["Ada Li", "new"]
    change = difference(BEFORE, AFTER)
    assert imagined_page(BEFORE, change) == apply(BEFORE, change) == AFTER


def test_an_answer_that_was_cut_off_scores_nothing(task):
    cut = task.answer(step())[:-1]
    assert task.reward(cut, step())["reward"] == 0 and task.decode(cut, step()) is None
    assert task.metrics(cut, step())["verdict"] == 0


def test_silence_pays_where_nothing_can_be_known(task):
    """The structural case: an invented line costs precision, a missing one does not."""
    silent = "~[4] value 'it\\'s'\n~[5] expanded\n-[2]"
    invents = silent + "\n+[5] text 'Everybody'\n+[5] link 'Cy'"
    scores = {name: task.metrics(ids_of(task, spaced(text)), step())
              for name, text in (("silent", silent), ("invents", invents))}
    assert scores["silent"]["f1"] == pytest.approx(2 * 3 / (3 + 5))
    assert scores["invents"]["f1"] == pytest.approx(2 * 3 / (5 + 5))
    assert scores["invents"]["invented"] == 1 and scores["silent"]["invented"] == 0


def test_the_official_metric_takes_none_and_repeats(task):
    """All-`None` scores a third where one thing appeared and one changed; repeats are free."""
    after = (ONGOING, *BEFORE[1:5], Element("tab", "More", "expanded"), Element("text", "x"))
    one = step(after=after)
    official = WebPageTask(task.tokenizer, "official")
    assert official.reward(ids_of(task, "none"), one)["reward"] == pytest.approx(1 / 3)
    assert task.reward(ids_of(task, "none"), one)["reward"] == 0
    right, twice = "~[5] expanded\n+[5] text ' x'", "~[5] expanded\n~[5] expanded\n+[5] text ' x'"
    assert official.reward(ids_of(task, twice), one)["reward"] == 1
    assert task.reward(ids_of(task, right), one)["reward"] == 1
    assert task.reward(ids_of(task, twice), one)["reward"] == pytest.approx(0.8)
    assert task.metrics(ids_of(task, twice), one)["repeats"] == 1
    assert official_items({"new": [], "deleted": ["[1]"], "updated": []})["new"] == ["None"]


def test_nothing_changes_and_saying_so_is_right(task):
    same = step(after=BEFORE)
    assert answer_text(same) == "none"
    assert task.reward(ids_of(task, "none"), same)["reward"] == 1
    assert task.reward(ids_of(task, "~[5] expanded"), same)["reward"] == 0


def test_the_verdict_is_judged_by_itself(task):
    done = step(after=(Element("page", state="success"), *BEFORE[1:]))
    assert task.metrics(ids_of(task, "~[0] success\n-[2]"), done)["verdict"] == 1
    assert task.metrics(ids_of(task, "~[0] failure"), done)["verdict"] == 0
    assert task.metrics(ids_of(task, "~[0] success"), step())["verdict"] == 0


def test_deducible_keeps_what_is_seen_typed_or_constant():
    some = step()
    known = deducible(some, {})
    assert [e.name for _, e in known.new] == ["Bo"]
    assert known.updated == difference(BEFORE, AFTER).updated
    constant = constant_names([step(seed=s) for s in range(20)])
    assert constant == {"click-link": {"Nobody knows", "Bo"}}
    assert deducible(some, constant) == difference(BEFORE, AFTER)
    assert constant_names([step(seed=0)] * 30) == {}


def test_the_ceiling_of_every_recorded_task():
    """All that can be known: everything on visible tasks, on hidden ones a good part of it."""
    constant = constant_names(transitions("train"))
    found = {task: [] for task in VISIBLE + HIDDEN}
    for t in transitions("test"):
        found[t.task].append(f1(items(deducible(t, constant)),
                                items(difference(t.before, t.after)), "strict")["f1"])
    assert all(len(values) > 150 for values in found.values())
    assert {task: min(found[task]) for task in VISIBLE} == dict.fromkeys(VISIBLE, 1.0)
    means = {task: sum(found[task]) / len(found[task]) for task in HIDDEN}
    assert all(0.6 < value < 0.99 for value in means.values()), means


def test_lines_of_no_form_count_as_wrong_items():
    found = read_items("hello\n~[1] checked\n\nnone")
    assert found == {"new": [], "deleted": [], "updated": ["hello", "[1] checked"]}


def test_an_unknown_mode_is_refused(task):
    with pytest.raises(ValueError, match="strict"):
        WebPageTask(task.tokenizer, "loose")
