"""The games: which objects stand where, and what winning means.

Eight families are for training (each has its own mechanism), two are held out (`greenhouse` and
`breakfast` combine mechanisms that never meet in training). A family builds a random situation
from a seeded generator; `size` adds things that only stand in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .text_state import State

Goal = Callable[[State], tuple[int, bool, bool]]  # score, won, lost

TOYS = ("ball", "key", "hat", "doll", "coin")
FOODS = ("bread", "potato", "egg", "pie")
PLANTS = ("bean", "rose", "melon")
CLOTHES = ("shirt", "sock", "towel")
BOOKS = ("novel", "atlas", "comic")
VESSELS = ("cup", "pan", "jar")
SIZES = {"small": 1, "large": 4}  # number of toys


@dataclass(frozen=True)
class Family:
    """One kind of game: `furnish(state, rng, room)` puts its objects into the main room."""

    name: str
    room: str
    furnish: Callable[[State, Random, str], None]
    goal: Goal
    held_out: bool = False

    def update_score(self, state: State) -> None:
        """Milestones reached now, and whether the game is won or lost."""
        state.score, state.won, lost = self.goal(state)
        state.over = state.won or lost

    def build(self, rng: Random, size: str = "small", active: float = 1.0) -> State:
        """A random situation.

        Args:
            rng: the only source of chance.
            size: "small" or "large" (how many toys lie about).
            active: probability that things are going on; otherwise all is at rest.
        """
        if size not in SIZES:
            raise ValueError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
        state = State(self.name)
        state.add(self.room, "Room")
        state.add("hall", "Room")
        state.add("agent", "Agent", "hall" if rng.random() < 0.1 else self.room)
        state.add("table", "Surface", self.room)
        self.furnish(state, rng, self.room)
        for toy in rng.sample(TOYS, SIZES[size]):
            state.add(toy, "Toy", rng.choice((self.room, "hall", "table", "agent")))
        if rng.random() >= active:
            _rest(state)
        self.update_score(state)
        return state


def _rest(state: State) -> None:
    """Nothing is on, open, hot, wet or growing: the next tick changes nothing."""
    calm = {"Water": {"heat": 2}, "Oven": {"temp": 0}, "Fridge": {"temp": 5},
            "Plant": {"moisture": 0, "height": 0}, "Clothes": {"wet": 0}, "Floor": {"wet": 0}}
    for thing in state.things.values():
        for name in ("on", "open", "element", "motor"):
            if name in thing.values:
                thing.values[name] = 0
        thing.values.update(calm.get(thing.type, {}))


def _chance(rng: Random, p: float) -> int:
    return int(rng.random() < p)


# ---------------------------------------------------------------- mechanisms to furnish with
def add_kettle(state: State, rng: Random, room: str) -> None:
    charge = rng.randint(0, 9)
    is_open = _chance(rng, 0.2)
    on = int(charge > 0 and not is_open and rng.random() < 0.85)
    state.add("kettle", "Kettle", rng.choice((room, "table")), on=on, open=is_open,
              charge=charge, pressure=rng.randint(0, 3))
    state.add("water", "Water", "kettle", amount=rng.randint(1, 9), heat=rng.randint(0, 9))


def add_oven(state: State, rng: Random, room: str) -> None:
    is_open = _chance(rng, 0.2)
    on = int(not is_open and rng.random() < 0.8)
    state.add("oven", "Oven", room, on=on, open=is_open, element=int(on and _chance(rng, 0.6)),
              temp=rng.randint(0, 9))
    food = rng.choice(FOODS)
    place = rng.choice(("oven", "oven", "oven", "table", "agent"))
    state.add(food, "Food", place, brown=rng.randint(0, 6))


def add_bath(state: State, rng: Random, room: str) -> None:
    state.add("tub", "Tub", room, level=rng.randint(0, 9))
    state.add("tap", "Tap", room, on=_chance(rng, 0.75))
    state.add("drain", "Drain", room, open=_chance(rng, 0.5))
    state.add("floor", "Floor", room, wet=rng.choice((0, 0, 0, 1, 2, 4)))


def add_sprinkler(state: State, rng: Random, room: str) -> None:
    tank = rng.randint(0, 9)
    state.add("sprinkler", "Sprinkler", room, on=int(tank > 0 and rng.random() < 0.7), tank=tank)


def add_plant(state: State, rng: Random, room: str) -> None:
    name = rng.choice(PLANTS)
    state.add(name, "Plant", rng.choice((room, "table")), moisture=rng.randint(0, 9),
              height=rng.randint(0, 7))
    if rng.random() < 0.15:
        state.add(f"fruit_{name}", "Fruit", rng.choice((room, "table", "agent")))


def add_lamp(state: State, rng: Random, room: str) -> None:
    charge = rng.randint(0, 9)
    state.add("charger", "Charger", room, on=_chance(rng, 0.6))
    state.add("lamp", "Lamp", rng.choice((room, "charger", "charger", "table", "agent")),
              on=int(charge > 0 and rng.random() < 0.7), charge=charge)


def add_book(state: State, rng: Random, room: str) -> None:
    state.add(rng.choice(BOOKS), "Book", rng.choice((room, "table", "agent")),
              pages=rng.randint(0, 9))


def add_laundry(state: State, rng: Random, room: str) -> None:
    on, is_open = _chance(rng, 0.7), _chance(rng, 0.5)
    state.add("washer", "Washer", room, on=on, open=int(not on and is_open),
              timer=rng.randint(1, 5) if on else 0)
    state.add("line", "Surface", room)
    for name in rng.sample(CLOTHES, rng.randint(1, 2)):
        state.add(name, "Clothes", rng.choice(("washer", "washer", "line", "table", "agent")),
                  dirt=rng.randint(0, 9), wet=rng.randint(0, 9))


def add_fridge(state: State, rng: Random, room: str) -> None:
    is_open = _chance(rng, 0.25)
    on = _chance(rng, 0.85)
    state.add("fridge", "Fridge", room, on=on, open=is_open, motor=int(on and _chance(rng, 0.5)),
              temp=rng.randint(0, 6))
    vessel = rng.choice(VESSELS)
    state.add(vessel, "Pot", rng.choice(("fridge", "fridge", "fridge", "table", "agent")))
    if rng.random() < 0.75:
        state.add("water", "Water", vessel, amount=rng.randint(1, 9), heat=rng.randint(1, 6))
    else:
        state.add("ice", "Ice", vessel, size=rng.randint(1, 9))


def add_candle(state: State, rng: Random, room: str) -> None:
    state.add("window", "Window", room, open=_chance(rng, 0.4))
    vessel = rng.choice(VESSELS)
    state.add(vessel, "Pot", rng.choice((room, "table")))
    if rng.random() < 0.7:
        state.add("snow", "Snow", vessel, size=rng.randint(1, 9))
    if rng.random() < 0.6 or "snow" not in state.things:
        state.add("water", "Water", vessel, amount=rng.randint(1, 6), heat=rng.randint(0, 8))
    state.add("candle", "Candle", room, on=_chance(rng, 0.8), wax=rng.randint(1, 9))


def together(*parts: Callable[[State, Random, str], None]):
    """A family with several mechanisms."""
    def furnish(state: State, rng: Random, room: str) -> None:
        for part in parts:
            part(state, rng, room)
    return furnish


# ---------------------------------------------------------------- goals
def _value(state: State, type: str, name: str, default: int = 0) -> int:
    return next((t.values[name] for t in state.of(type)), default)


def tea(state: State) -> tuple[int, bool, bool]:
    """Boil the water, but do not boil it away."""
    heat = _value(state, "Water", "heat")
    score = (heat >= 5) + (heat >= 8)
    return score, score == 2, not state.of("Water")


def baking(state: State) -> tuple[int, bool, bool]:
    """Brown, but not charred."""
    brown = _value(state, "Food", "brown")
    score = (brown >= 3) + (brown >= 5)
    return score, score == 2, bool(state.of("Charcoal"))


def bathing(state: State) -> tuple[int, bool, bool]:
    """A bath of level 5 to 7 that holds its water, and a dry floor."""
    level = _value(state, "Tub", "level")
    holds = not _value(state, "Tap", "on") and not _value(state, "Drain", "open")
    score = (level >= 3) + (5 <= level <= 7)
    return score, score == 2 and holds, _value(state, "Floor", "wet") >= 2


def gardening(state: State) -> tuple[int, bool, bool]:
    """Grow the plant and pick its fruit."""
    fruit = state.of("Fruit")
    score = (_value(state, "Plant", "height") >= 5) + bool(fruit)
    picked = any(state.parent(f.name).type == "Agent" for f in fruit)
    return score, picked, False


def reading(state: State) -> tuple[int, bool, bool]:
    """Read the book to its end by the light of the lamp."""
    pages = _value(state, "Book", "pages")
    score = (pages <= 4) + (pages == 0)
    return score, score == 2, False


def washing(state: State) -> tuple[int, bool, bool]:
    """Everything clean, everything dry."""
    clean = all(t.values["dirt"] == 0 for t in state.of("Clothes"))
    dry = all(t.values["wet"] == 0 for t in state.of("Clothes"))
    return clean + dry, clean and dry, False


def freezing(state: State) -> tuple[int, bool, bool]:
    """Make ice, or keep it."""
    ice = bool(state.of("Ice"))
    return ice + (ice or _value(state, "Water", "heat", 9) <= 2), ice, False


def melting(state: State) -> tuple[int, bool, bool]:
    """Melt the snow and warm the water before the candle is gone."""
    melted, warm = not state.of("Snow"), _value(state, "Water", "heat") >= 5
    return melted + (melted and warm), melted and warm, not state.of("Candle")


def breakfast(state: State) -> tuple[int, bool, bool]:
    """Tea and something baked."""
    (a, won_a, lost_a), (b, won_b, lost_b) = tea(state), baking(state)
    return a + b, won_a and won_b, lost_a or lost_b


FAMILIES: dict[str, Family] = {f.name: f for f in (
    Family("tea", "kitchen", add_kettle, tea),
    Family("baking", "kitchen", add_oven, baking),
    Family("bathing", "bathroom", add_bath, bathing),
    Family("gardening", "garden", together(add_sprinkler, add_plant), gardening),
    Family("reading", "study", together(add_lamp, add_book), reading),
    Family("washing", "cellar", add_laundry, washing),
    Family("freezing", "kitchen", add_fridge, freezing),
    Family("melting", "cabin", add_candle, melting),
    Family("greenhouse", "garden", together(add_sprinkler, add_plant, add_lamp), gardening,
           held_out=True),
    Family("breakfast", "kitchen", together(add_kettle, add_oven), breakfast, held_out=True),
)}
TRAINED = tuple(name for name, f in FAMILIES.items() if not f.held_out)
HELD_OUT = tuple(name for name, f in FAMILIES.items() if f.held_out)
