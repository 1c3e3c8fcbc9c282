"""State differences and their rewards on small made-up states: properties, quirks, extraction."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr_lite.tasks import state_difference as sd
from rlvr_lite.tasks.state_rewards import reward

# ------------------------------------------------------------------------------ random states

VALUE = st.one_of(st.booleans(), st.integers(0, 5), st.none(), st.sampled_from(["hot", "cold"]),
                  st.lists(st.integers(0, 2), max_size=2),
                  st.dictionaries(st.sampled_from("ab"), st.lists(st.none(), max_size=2),
                                  max_size=2))
NAMES = st.lists(st.sampled_from(["egg", "pot", "lid", "water"]), max_size=4)


def objects_strategy(uuids):
    return st.tuples(*(st.fixed_dictionaries({
        "name": st.sampled_from(["egg", "pot"]), "uuid": st.just(u),
        "type": st.sampled_from(["Food", "Pot"]),
        "properties": st.dictionaries(st.sampled_from(["on", "heat", "links"]), VALUE),
        "contains": NAMES}) for u in uuids))


SCORE = st.fixed_dictionaries({"score": st.integers(0, 2), "gameOver": st.booleans(),
                               "gameWon": st.booleans()})
STATE = st.tuples(st.sets(st.integers(0, 6), min_size=1).flatmap(
    lambda us: st.permutations(sorted(us)).flatmap(objects_strategy)), SCORE)


def pairs():
    """Two related states: the second keeps some objects of the first, edits, adds, removes."""
    def mix(both):
        (left, score), (right, other), keep = both
        by_uuid = {o["uuid"]: o for o in left}
        kept = [by_uuid[o["uuid"]] if o["uuid"] in by_uuid and o["uuid"] in keep else o
                for o in right]
        return (left, score), (kept, score if 0 in keep else other)
    return st.tuples(STATE, STATE, st.sets(st.integers(0, 6))).map(mix)


@settings(max_examples=80, deadline=None)
@given(pairs())
def test_strict_round_trip_restores_every_state(pair):
    state, after = copy.deepcopy(pair)
    before = copy.deepcopy(state)
    answer = sd.difference(state, after)
    assert sd.same_state(sd.recover(state, answer, "strict"), after)
    assert state == before, "recover must not edit its input"
    assert sd.changed(state, after) != sd.same_state(state, after)
    for kind, top in (("binary", 1.0), ("task_specific", None)):
        parts = reward(state, answer, after, kind, "strict")
        assert parts["exact"] == parts["item"] == parts["score"] == 1.0
        if top is None:
            top = 1.3 if answer["modified"] or answer["removed"] else 0.3
        assert parts["reward"] == pytest.approx(top)


@settings(max_examples=80, deadline=None)
@given(pairs())
def test_an_answer_survives_its_text(pair):
    state, after = pair
    answer = sd.difference(state, after)
    assert sd.extract(sd.write(answer)) == json.loads(json.dumps(answer))
    assert sd.extract(f"I think ...\n```json\n{json.dumps(answer)}\n```") is not None


@settings(max_examples=80, deadline=None)
@given(pairs(), pairs())
def test_strict_is_one_only_for_the_true_state_and_never_above_official(first, second):
    state, after = first
    answer = sd.difference(state, second[1])          # the truth of some other transition
    strict = reward(state, answer, after, "binary", "strict")["reward"]
    official = reward(state, answer, after, "binary", "official")["reward"]
    assert strict == float(sd.same_state(second[1], after))
    created = {o["uuid"] for o in after[0]} - {o["uuid"] for o in state[0]}
    if not created:
        assert strict <= official


@settings(max_examples=80, deadline=None)
@given(STATE, st.recursive(st.one_of(st.none(), st.booleans(), st.integers(0, 3), st.text("a1")),
                           lambda x: st.lists(x, max_size=3) | st.dictionaries(
                               st.sampled_from(["modified", "removed", "score", "uuid",
                                                "properties", "contains"]), x), max_leaves=8))
def test_rewards_never_raise_on_model_output(state, junk):
    for answer in (junk, {"modified": junk, "removed": [], "score": {}},
                   {"modified": [junk], "removed": junk, "score": junk}, json.dumps(junk)):
        for kind in ("binary", "task_specific"):
            for mode in ("official", "strict"):
                value = reward(state, answer, state, kind, mode)["reward"]
                assert 0 <= value <= 1.3


# ------------------------------------------------------------------- the quirks, one at a time

def thing(uuid, name, contains=(), **properties):
    return {"name": name, "uuid": uuid, "type": name.title(), "properties": properties,
            "contains": list(contains)}


POINTS = {"score": 0, "gameOver": False, "gameWon": False}
POT, STOVE = thing(1, "pot", ["ice"], heat=0), thing(2, "stove", on=False)
ICE = thing(3, "ice", melted=False)
HOT = thing(1, "pot", ["ice"], heat=9)
STATE0 = ([POT, STOVE, ICE], POINTS)


def both(state, answer, after, kind="binary"):
    return tuple(reward(state, answer, after, kind, mode)["reward"]
                 for mode in ("official", "strict"))


def test_created_objects_are_lost_under_official_only():
    after = ([*STATE0[0], thing(4, "steam", heat=9)], POINTS)
    answer = sd.difference(STATE0, after)
    assert [o["uuid"] for o in answer["modified"]] == [4]
    assert len(sd.recover(STATE0, answer, "official")[0]) == 3
    assert both(STATE0, answer, after) == (0, 1)


def test_a_forgotten_removal_is_free_under_official_only():
    after = ([thing(1, "pot", [], heat=0), STOVE], POINTS)
    gold = sd.difference(STATE0, after)
    assert gold["removed"] == [3]
    assert both(STATE0, gold, after) == (1, 1)
    assert both(STATE0, {**gold, "removed": []}, after) == (1, 0)
    assert both(STATE0, {**gold, "removed": []}, after, "task_specific")[0] == pytest.approx(1.3)


def test_an_extra_property_is_free_under_binary_and_fatal_under_task_specific():
    after = ([HOT, STOVE, ICE], POINTS)
    extra = sd.difference(STATE0, ([thing(1, "pot", ["ice"], heat=9, colour="red"), STOVE, ICE],
                                   POINTS))
    assert both(STATE0, extra, after) == (1, 0)
    official, strict = both(STATE0, extra, after, "task_specific")
    assert official == 0
    # strict: 6 entries of pot (5 right), 4 of stove, 4 of ice: name, type, contains, properties
    assert strict == pytest.approx(0.09 * 12 / 13 + 0.01 + 1.0)


def test_an_omitted_score_scores_zero_under_official_only():
    answer = {"modified": [], "removed": []}
    assert both(STATE0, answer, STATE0) == (0, 1)
    official, strict = both(STATE0, answer, STATE0, "task_specific")
    assert official == pytest.approx(0.09)
    assert strict == pytest.approx(0.3)


def test_unreadable_answers_score_zero():
    for answer in (None, "", "no json here", "{", '{"modified": []}', {"removed": []}, [], 7):
        assert both(STATE0, answer, STATE0) == (0, 0)


def test_task_specific_arithmetic_by_hand():
    after = ([HOT, thing(2, "stove", on=True), ICE], {**POINTS, "score": 1})
    answer = {"modified": [HOT], "removed": [], "score": {}}
    # official entries: pot 2, stove 2, ice 2; wrong: stove.on; score: 2 of 3; changes: 1 of 2
    assert both(STATE0, answer, after, "task_specific")[0] == pytest.approx(
        0.09 * 5 / 6 + 0.01 * 2 / 3 + 1 / 2)
    # strict entries also hold name and type: 4 each, 11 of 12 right
    assert both(STATE0, answer, after, "task_specific")[1] == pytest.approx(
        0.09 * 11 / 12 + 0.01 * 2 / 3 + 1 / 2)


def test_strict_counts_creation_and_removal_among_the_changes():
    after = ([HOT, STOVE, thing(4, "water", wet=True)], POINTS)
    only_hot = {"modified": [HOT], "removed": [], "score": {}}
    gold = sd.difference(STATE0, after)
    assert reward(STATE0, gold, after, "task_specific", "strict")["changed"] == 1
    # should change: pot.heat; water's name, type and wet; the ice that is gone -> 1 of 5
    assert reward(STATE0, only_hot, after, "task_specific", "strict")["changed"] == \
        pytest.approx(1 / 5)


def test_a_property_that_vanishes():
    before = ([thing(1, "pot", heat=1, lid=True)], POINTS)
    after = ([thing(1, "pot", heat=1)], POINTS)
    gold = sd.difference(before, after)
    assert both(before, gold, after, "task_specific") == (pytest.approx(0.3), pytest.approx(1.3))
    assert both(before, sd.NOTHING, after) == (1, 0)      # official does not see the old key


def test_order_of_contains_and_objects_does_not_count():
    a = thing(1, "box", ["x", "y"], on=1)
    b = thing(1, "box", ["y", "x"], on=1)
    assert not sd.changed(([a, ICE], POINTS), ([ICE, b], POINTS))
    assert both(([a], POINTS), sd.NOTHING, ([b], POINTS)) == (1, 1)


@pytest.mark.parametrize("answer", [
    {"modified": [], "removed": [9], "score": {}},              # removes what is not there
    {"modified": [HOT, HOT], "removed": [], "score": {}},                # named twice
    {"modified": [HOT], "removed": [1], "score": {}},                    # edited and removed
    {"modified": [{"name": "pot"}], "removed": [], "score": {}},         # no uuid
    {"modified": [{"uuid": 1}], "removed": [], "score": {}},             # no properties
    {"modified": {}, "removed": [], "score": {}},
    {"modified": [], "removed": 3, "score": {}},
    {"modified": [], "removed": [], "score": 5},
    {"modified": []},
])
def test_strict_refuses_malformed_answers(answer):
    with pytest.raises(ValueError):
        sd.recover(STATE0, answer, "strict")
    assert reward(STATE0, answer, STATE0, "task_specific", "strict")["reward"] == 0


def test_unknown_kind_or_mode_is_an_error_of_the_caller():
    for bad in ({"kind": "exact"}, {"mode": "lenient"}):
        with pytest.raises(ValueError, match="one of"):
            reward(STATE0, sd.NOTHING, STATE0, **bad)
    with pytest.raises(ValueError, match="one of"):
        sd.recover(STATE0, sd.NOTHING, "lenient")


# --------------------------------------------------------------------------------- extraction

GOOD = '{"modified": [], "removed": [3], "score": {}}'
ANSWER = {"modified": [], "removed": [3], "score": {}}


@pytest.mark.parametrize("text", [
    f"The final answer is: {GOOD}",
    f"the final game state is: {GOOD}",
    f"The final answer is: {{}} no, wait. The final answer is:\n{GOOD}",
    f"First ```json\n{{\"a\": 1}}\n``` then ```json\n{GOOD}\n```",
    GOOD,
    GOOD.replace('"', "'"),                               # a Python repr
    GOOD.replace("}}", "}"),                              # a missing brace is repaired
    f"The final answer is: ```json\n{GOOD}\n```",
    f"The final answer is: {GOOD} I hope this helps.",
])
def test_extract_finds_the_last_answer(text):
    assert sd.extract(text) == ANSWER


def test_extract_reads_python_words():
    found = sd.extract("The final answer is: {'modified': [{'uuid': 1, 'on': True, 'x': None, "
                       "'off': False}], 'removed': [], 'score': {}}")
    assert found["modified"] == [{"uuid": 1, "on": True, "x": None, "off": False}]


@pytest.mark.parametrize("text", ["", "nothing", "[]", "{}", '{"modified": []}', "[[[[", "5"])
def test_extract_gives_none_where_there_is_no_answer(text):
    assert sd.extract(text) is None
