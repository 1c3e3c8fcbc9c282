"""The text task: gold answers are exact, readings are tolerant, rewards cannot be fooled."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_lite.tasks.base import Task
from rlvr_lite.tasks.state_difference import difference, same_state
from rlvr_lite.tasks.text_game import (
    TextGameTask, answer_text, pair, question_text, read_answer, trace_text, train_tokenizer)
from rlvr_lite.worlds.text_game import NATURAL, SPLITS, transitions

TRAIN = transitions("train", 600)
TOKENIZER = train_tokenizer(TRAIN)
TASK = TextGameTask(TOKENIZER)
EVERY = [t for split in SPLITS for mix in (NATURAL, None)
         for t in transitions(split, 60, 2, *(() if mix is None else (mix,)))]


def gold_difference(t) -> dict:
    """The true answer in the paper's form."""
    return difference(pair(t.state), pair(t.next_state))


def ids(text: str) -> list[int]:
    return TOKENIZER.encode(text) + [TOKENIZER.eos_id]


def test_it_is_a_task():
    assert isinstance(TASK, Task)


@pytest.mark.parametrize("trace", [True, False])
def test_gold_answers_earn_everything_and_rebuild_the_next_state(trace):
    task = TextGameTask(TOKENIZER, trace)
    for t in EVERY:
        answer = task.answer(t)
        assert answer[-1] == TOKENIZER.eos_id and len(answer) <= 200
        assert task.reward(answer, t)["reward"] == 1.0, question_text(t)
        assert same_state(task.decode(answer, t), pair(t.next_state))
        assert task.difference(answer, t) == gold_difference(t)


def test_the_answer_same_is_right_exactly_where_nothing_changes():
    for t in EVERY:
        assert TASK.reward(ids(" => same"), t)["reward"] == float(not t.changed)
        assert (answer_text(t) == "same") == (not t.changed)


def test_task_specific_reward_pays_1_3_for_change_and_0_3_for_rest():
    task = TextGameTask(TOKENIZER, reward="task_specific")
    for t in EVERY:
        best = 1.3 if gold_difference(t)["modified"] or gold_difference(t)["removed"] else 0.3
        assert task.reward(task.answer(t), t)["reward"] == pytest.approx(best)


def test_official_scoring_cannot_see_created_objects_and_forgives_forgotten_removals():
    official = TextGameTask(TOKENIZER, mode="official")
    created = removed = 0
    for t in transitions("test", 600):
        gone = [n for n in t.state.things if n not in t.next_state.things]
        new = [n for n in t.next_state.things if n not in t.state.things]
        if new:
            created += 1
            assert official.reward(official.answer(t), t)["reward"] == 0.0
        elif gone:
            removed += 1
            text = " , ".join(p for p in answer_text(t).split(" , ") if not p.startswith("- "))
            assert official.reward(ids(f" => {text}"), t)["reward"] == 1.0
            assert TASK.reward(ids(f" => {text}"), t)["reward"] == 0.0
    assert created > 5 and removed > 5


def test_one_wrong_digit_costs_the_reward():
    for t in EVERY:
        text = answer_text(t)
        for at, letter in enumerate(text):
            if letter.isdigit():
                wrong = text[:at] + str((int(letter) + 1) % 10) + text[at + 1:]
                assert TASK.reward(ids(f" => {wrong}"), t)["reward"] == 0.0
                break


def test_the_trace_is_not_judged_only_the_answer():
    t = next(t for t in EVERY if t.changed)
    assert TASK.reward(ids(f" nonsense 7 7 => {answer_text(t)}"), t)["reward"] == 1.0


def test_an_answer_that_was_cut_off_is_no_answer():
    t = EVERY[0]
    assert TASK.reward(TASK.answer(t)[:-1], t)["reward"] == 0.0


def test_traces_count_down_and_end_where_the_answer_begins():
    for t in EVERY:
        lines = trace_text(t).split(" ;")[:-1]
        ticks = [line.split()[0] for line in lines if line.split()[0] != "act"]
        assert ticks == [str(n) for n in range(len(t.ticks), 0, -1)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, TOKENIZER.vocab_size - 1), max_size=40), st.integers(0, 20))
def test_whatever_a_model_writes_is_judged_and_nothing_raises(noise, which):
    t = EVERY[which]
    for kind in ("binary", "task_specific"):
        for mode in ("official", "strict"):
            parts = TextGameTask(TOKENIZER, reward=kind, mode=mode).reward(noise + [1], t)
            assert 0.0 <= parts["reward"] <= 1.3
    assert set(TASK.metrics(noise, t)) >= {"exact", "official", "same", "readable"}


def test_what_cannot_be_read_is_none():
    state = EVERY[0].state
    for text in ("", "moon 3", "- moon", "score", "score x", "table (", "same same",
                 "hall ( ball", " , "):
        assert read_answer(text, state) is None, text


def test_unknown_rewards_are_refused():
    with pytest.raises(ValueError, match="task_specific"):
        TextGameTask(TOKENIZER, reward="bleu")
