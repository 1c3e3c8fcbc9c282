"""The text game: determinism, round trips, conservation, blocked actions, splits without leaks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random import Random

from rlvr_lite.tasks.state_difference import changed
from rlvr_lite.tasks.text_game import pair
from rlvr_lite.worlds.text_families import FAMILIES, HELD_OUT, SIZES, TRAINED
from rlvr_lite.worlds.text_game import (
    NATURAL, SERIAL, SPLITS, actions, situation, split_of, step, transitions)
from rlvr_lite.worlds.text_state import SWITCHES, TYPES, State

MAY_VANISH = {"Water", "Ice", "Snow", "Food", "Candle"}
MAY_APPEAR = {"Water", "Ice", "Charcoal", "Fruit"}


@st.composite
def plays(draw):
    """A random situation of any family, and a few random commands."""
    rng = Random(draw(st.integers(0, 10**9)))
    family = FAMILIES[draw(st.sampled_from(sorted(FAMILIES)))]
    state = family.build(rng, draw(st.sampled_from(sorted(SIZES))), draw(st.sampled_from([0, 1])))
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        steps.append(step(state, rng.choice(list(actions(state)))))
        state = steps[-1].next_state
    return steps


@settings(max_examples=150, deadline=None)
@given(plays())
def test_the_same_command_always_gives_the_same_state(steps):
    for t in steps:
        again = step(t.state, t.action)
        assert again.next_state.canonical() == t.next_state.canonical()
        assert again.after_action.canonical() == t.after_action.canonical()


@settings(max_examples=150, deadline=None)
@given(plays())
def test_json_round_trip_is_exact(steps):
    for t in steps:
        copy = State.from_json(t.next_state.to_json())
        assert copy == t.next_state and copy.canonical() == t.next_state.canonical()


@settings(max_examples=150, deadline=None)
@given(plays())
def test_a_step_does_not_touch_the_state_it_starts_from(steps):
    for t in steps:
        before = t.state.canonical()
        step(t.state, t.action)
        assert t.state.canonical() == before


@settings(max_examples=300, deadline=None)
@given(plays())
def test_objects_are_conserved(steps):
    for t in steps:
        before, after = t.state, t.next_state
        for name in before.things.keys() - after.things.keys():
            assert before.things[name].type in MAY_VANISH, name
        for name in after.things.keys() - before.things.keys():
            assert after.things[name].type in MAY_APPEAR, name
        for name in before.things.keys() & after.things.keys():
            assert before.things[name].uuid == after.things[name].uuid
        assert len({o.uuid for o in after.things.values()}) == len(after.things)


@settings(max_examples=300, deadline=None)
@given(plays())
def test_every_object_is_in_one_place_and_every_value_in_range(steps):
    for t in steps:
        for state in (t.after_action, *t.ticks):
            held = [n for thing in state.things.values() for n in thing.contains]
            loose = {n for n, thing in state.things.items() if thing.type != "Room"}
            assert sorted(held) == sorted(loose)
            for thing in state.things.values():
                assert tuple(thing.values) == TYPES[thing.type][0]
                for name, value in thing.values.items():
                    assert 0 <= value <= (1 if name in SWITCHES else 9), (thing, name)


def test_one_long_wait_equals_many_short_ones():
    for t in transitions("train", 200, seed=3):
        if t.action.startswith("wait"):
            state = t.state
            for _ in t.ticks:
                state = step(state, "wait 1").next_state
            assert state.to_json()["objects"] == t.next_state.to_json()["objects"]


@settings(max_examples=300, deadline=None)
@given(plays())
def test_where_the_judge_sees_no_change_the_bytes_are_the_same(steps):
    """The judge ignores the order in which things lie; the engine must not shuffle them."""
    for t in steps:
        assert changed(pair(t.state), pair(t.next_state)) == t.changed


def test_at_rest_nothing_changes_byte_for_byte():
    for name, family in FAMILIES.items():
        state = family.build(Random(name), active=0.0)
        t = step(state, "wait 6")
        assert t.next_state.canonical() == state.canonical(), name
        assert not t.changed


def tea() -> State:
    state = State("tea")
    state.add("kitchen", "Room")
    state.add("hall", "Room")
    state.add("agent", "Agent", "kitchen")
    state.add("table", "Surface", "kitchen")
    state.add("kettle", "Kettle", "table", on=0, open=0, charge=5, pressure=0)
    state.add("water", "Water", "kettle", amount=5, heat=2)
    return state


def test_a_kettle_by_hand():
    t = step(tea(), "turn on kettle")
    assert t.after_action.things["kettle"].values["on"] == 1
    assert t.next_state.things["water"].values == {"amount": 5, "heat": 4}
    boiled = step(t.next_state, "wait 3").next_state
    # heat 6, 8 (steams: amount 4, pressure 1), 9 (amount 2, pressure 3)
    assert boiled.things["water"].values == {"amount": 2, "heat": 9}
    assert boiled.things["kettle"].values == {"on": 1, "open": 0, "charge": 1, "pressure": 3}
    assert boiled.won and boiled.score == 2
    dry = step(boiled, "wait 1").next_state
    assert "water" not in dry.things and dry.things["kettle"].values["on"] == 0
    assert dry.over and not dry.won


@pytest.mark.parametrize("first, blocked", [
    ("open kettle", "turn on kettle"),  # nothing starts with an open lid
    ("go to hall", "turn on kettle"),   # not in this room
    ("wait 1", "put kettle in table"),  # cannot be carried
])
def test_blocked_commands_have_no_effect(first, blocked):
    state = step(tea(), first).next_state
    assert step(state, blocked).after_action.canonical() == state.canonical()


@pytest.mark.parametrize("command", ["dance", "turn on moon", "wait 7", "wait x", "take"])
def test_nonsense_is_refused_with_a_hint(command):
    with pytest.raises(ValueError, match="command|objects are|whole number"):
        step(tea(), command)


def test_no_state_is_in_two_splits():
    """The leak test: neither a state nor its situation is shared between splits, and training
    does not even pass through a state of another split."""
    states, situations = {}, {}
    for mix in (SERIAL, NATURAL):
        for split in SPLITS:
            count = 3000 if split == "train" else 400
            for t in transitions(split, count, seed=1, mix=mix):
                assert split_of(t.state) == split
                asked = [t.state, *t.passes] if split == "train" else [t.state]
                for state in asked:
                    assert states.setdefault(state.canonical(), split) == split
                    if split in ("train", "validation", "test"):
                        assert situations.setdefault(situation(state), split) == split


def test_held_out_splits_hold_out_what_they_say():
    assert {t.state.family for t in transitions("families", 50)} == set(HELD_OUT)
    assert {t.state.family for t in transitions("train", 80)} == set(TRAINED)
    assert all(len(t.state.of("Toy")) == SIZES["large"] for t in transitions("layouts", 50))
    seen = {(t.name, x.state.parent(t.name).name) for x in transitions("train", 2000)
            for t in x.state.things.values() if t.type in ("Food", "Clothes", "Toy", "Plant")}
    held = [[(t.name, x.state.parent(t.name).name) for t in x.state.things.values()
             if t.type in ("Food", "Clothes", "Toy", "Plant")]
            for x in transitions("combinations", 200)]
    assert sum(any(p not in seen for p in places) for places in held) / len(held) > 0.8


def test_data_sets_are_reproducible_and_mixed():
    a, b = transitions("test", 100, seed=5), transitions("test", 100, seed=5)
    assert [(x.state.canonical(), x.action) for x in a] == [
        (x.state.canonical(), x.action) for x in b]
    unchanged = sum(not t.changed for t in transitions("test", 600, mix=NATURAL)) / 600
    assert 0.4 < unchanged < 0.7
    assert sum(t.changed for t in transitions("test", 600, mix=SERIAL)) / 600 > 0.8


@pytest.mark.parametrize("call, message", [
    (lambda: transitions("dev", 5), "split must be one of"),
    (lambda: transitions("train", 5, families=("chess",)), "no family chess"),
    (lambda: FAMILIES["tea"].build(Random(0), "huge"), "size must be one of"),
    (lambda: tea().add("water", "Water", "table", amount=1, heat=1), "unique"),
    (lambda: tea().add("cup", "Pot", "table", size=1), "exactly the values"),
])
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
