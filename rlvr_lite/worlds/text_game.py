"""A small deterministic text game in the style of ByteSized32: the first world's ground truth.

An action is a command. One transition has two steps, as in the published data: the *action*
changes what the agent touches (or is blocked), then *time passes*: one tick after every action,
n ticks in `wait n`. The state stands in `text_state`, what commands and time do in `text_rules`,
which games exist in `text_families`; this file plays them and makes the data sets.

Source: ByteSized32 state prediction (arXiv 2406.06485), used in RLVR-World section 5.1.
Differs from the paper: games are generated from a seed, values are small whole numbers, and one
action may span several ticks, so that a transition can ask for serial computation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from zlib import crc32

from .text_families import FAMILIES, HELD_OUT, SIZES, TRAINED
from .text_rules import act, tick
from .text_state import TYPES, State

MAX_WAIT = 6
LOOSE = ("Food", "Book", "Clothes", "Pot", "Toy", "Plant")  # what can stand in several places


@dataclass(frozen=True, slots=True)
class Transition:
    """One question and its truth: `ticks` are the states after the action and after each tick."""

    state: State
    action: str
    after_action: State
    ticks: tuple[State, ...]

    @property
    def next_state(self) -> State:
        return self.ticks[-1]

    @property
    def passes(self) -> tuple[State, ...]:
        """Every state on the way: after the action and after each tick."""
        return self.after_action, *self.ticks

    @property
    def stays_in_train(self) -> bool:
        """Is every state on the way one of the training split?"""
        return all(split_of(state) == "train" for state in self.passes)

    @property
    def changed(self) -> bool:
        return self.state.canonical() != self.next_state.canonical()


def actions(state: State) -> Iterator[str]:
    """All commands a player could type here, sensible or not, in a fixed order."""
    yield from (f"wait {n}" for n in range(1, MAX_WAIT + 1))
    yield from (f"go to {room.name}" for room in state.of("Room"))
    for thing in state.things.values():
        static = TYPES[thing.type][1]
        if static.get("isDevice"):
            yield from (f"turn on {thing.name}", f"turn off {thing.name}")
        if "open" in thing.values:
            yield from (f"open {thing.name}", f"close {thing.name}")
        if static.get("isMoveable"):
            yield f"take {thing.name}"
            for place in state.things.values():
                if TYPES[place.type][1].get("isContainer") and place.type != "Agent" \
                        and place is not thing:
                    yield f"put {thing.name} in {place.name}"


def step(state: State, action: str,
         disturb: Callable[[State], None] | None = None) -> Transition:
    """Play one command.

    Args:
        state: is not changed.
        action: one of the forms of `actions`; a legal command that cannot be done now (a shut
            door, a hot pot) is *blocked*: it has no effect, but time passes all the same.
        disturb: called on the state after every tick; it may spoil it, which makes the wrong
            transition that a careless teacher would write down.
    Raises:
        ValueError: the text is no command of this game.
    """
    count = _ticks_of(action)
    now = state.copy()
    if not action.startswith("wait "):
        act(now, action)
    after_action, ticks = now.copy(), []
    for _ in range(count):
        tick(now)
        if disturb is not None:
            disturb(now)
        ticks.append(now.copy())
    _renumber(now, state)
    FAMILIES[now.family].update_score(now)
    ticks[-1] = now
    return Transition(state, action, after_action, tuple(ticks))


def _renumber(now: State, before: State) -> None:
    """New objects take the next free uuids in order; what came and went leaves no gap."""
    now.max_uuid = before.max_uuid
    for thing in now.things.values():
        if thing.name not in before.things:
            thing.uuid = now.max_uuid
            now.max_uuid += 1


def _ticks_of(action: str) -> int:
    if not action.startswith("wait "):
        return 1
    number = action.removeprefix("wait ")
    if not number.isdigit() or not 1 <= int(number) <= MAX_WAIT:
        raise ValueError(f"{action!r}: wait takes a whole number from 1 to {MAX_WAIT}")
    return int(number)


# ---------------------------------------------------------------- data sets
SPLITS = ("train", "validation", "test", "combinations", "layouts", "families")


@dataclass(frozen=True)
class Mix:
    """What a data set looks like; every field is a probability.

    Attributes:
        active: share of situations in which something is going on already.
        wait: share of `wait n` among the actions.
    """

    active: float = 0.95
    wait: float = 0.9


SERIAL = Mix(active=0.95, wait=0.9)   # long waits: every tick has to be worked through
NATURAL = Mix(active=0.2, wait=0.25)  # ordinary play: much of it changes nothing


def split_of(state: State) -> str:
    """The one split to which a state belongs, so that no state is ever in two.

    Held-out families, large layouts and held-out (object, place) combinations, those of toys
    included, are splits of their own; every other state goes to train (80 %), validation or test
    (10 % each) by the hash of its situation: among these, two states that differ only in where a
    toy lies are in the same split.
    """
    if FAMILIES[state.family].held_out:
        return "families"
    if len(state.of("Toy")) > SIZES["small"]:
        return "layouts"
    if any(_held_out(thing.name, state.parent(thing.name).name) for thing in state.of(*LOOSE)):
        return "combinations"
    bucket = crc32(situation(state).encode()) % 10
    return "train" if bucket < 8 else "validation" if bucket == 8 else "test"


def situation(state: State) -> str:
    """What matters for the dynamics: every object but the toys and the agent, where and how."""
    return " ".join(f"{t.name}@{getattr(state.parent(t.name), 'name', '')}{[*t.values.values()]}"
                    for t in state.things.values() if t.type not in ("Toy", "Agent"))


def _held_out(name: str, place: str) -> bool:
    """About one (object, place) pair in six is never seen in training."""
    return crc32(f"{name} in {place}".encode()) % 6 == 0


def transitions(split: str, count: int, seed: int = 0, mix: Mix = SERIAL,
                families: tuple[str, ...] | None = None) -> list[Transition]:
    """A data set of distinct transitions, the same for the same arguments.

    In the training split no (state, action) pair comes twice, and no transition passes through a
    state of another split, not even between two ticks: a trace would show how it goes on from
    there. In all others no (situation, action) pair comes twice, so that a hundred test items are
    a hundred different questions.

    Args:
        split: one of `SPLITS`.
        count: how many transitions.
        seed: another seed gives another sample of the same split.
        mix: how much is going on (`SERIAL` or `NATURAL`).
        families: take only these; default all families of the split.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    names = families or (HELD_OUT if split == "families" else TRAINED)
    if unknown := set(names) - set(FAMILIES):
        raise ValueError(f"no family {', '.join(sorted(unknown))}; "
                         f"there are {', '.join(FAMILIES)}")
    rng, size = Random(f"{split} {seed} {mix}"), "large" if split == "layouts" else "small"
    found, seen, tries = [], set(), 0
    while len(found) < count:
        tries += 1
        if tries > 1000 * (count + 10):
            raise ValueError(f"the split {split!r} has no {count} transitions of {names}; "
                             f"found {len(found)}: ask for fewer")
        state = FAMILIES[names[len(found) % len(names)]].build(rng, size, mix.active)
        if split_of(state) != split:
            continue
        action = _choose(state, rng, mix)
        key = (state.canonical() if split == "train" else situation(state)), action
        if key in seen:
            continue
        seen.add(key)
        transition = step(state, action)
        if split != "train" or transition.stays_in_train:
            found.append(transition)
    return found


def _choose(state: State, rng: Random, mix: Mix) -> str:
    if rng.random() < mix.wait:
        return f"wait {rng.randint(1, MAX_WAIT)}"
    return rng.choice([a for a in actions(state) if not a.startswith("wait ")])
