"""What commands do and what time does: the dynamics of the text game, one rule a function.

`act` is the first half of a transition (RLVR-World appendix A.1 calls it the change by action),
`tick` the second (the change by time). Every rule reads and writes small whole numbers; most are
deliberately *not* linear (a thermostat, a float switch, a lid that pops), so that six ticks cannot
be guessed in one leap: they have to be worked through.
"""

from __future__ import annotations

from collections.abc import Callable

from .text_state import TYPES, State, Thing

ROOM_TEMPERATURE = 2
HOT = 7  # what holds something this hot cannot be taken


def clamp(value: int) -> int:
    return max(0, min(9, value))


# ---------------------------------------------------------------- the action
def act(state: State, action: str) -> bool:
    """Carry out a command in place; False where it is blocked and changes nothing."""
    words = action.split(" ")
    if words[:2] == ["go", "to"] and len(words) == 3:
        return _go(state, words[2])
    if words[0] == "turn" and len(words) == 3 and words[1] in ("on", "off"):
        return _switch(state, words[2], "on", int(words[1] == "on"))
    if words[0] in ("open", "close") and len(words) == 2:
        return _switch(state, words[1], "open", int(words[0] == "open"))
    if words[0] == "take" and len(words) == 2:
        return _move(state, words[1], "agent")
    if words[0] == "put" and len(words) == 4 and words[2] == "in":
        return _move(state, words[1], words[3])
    raise ValueError(f"{action!r} is no command: write wait 3, go to hall, turn on kettle, "
                     "open oven, take egg or put egg in oven")


def _named(state: State, name: str) -> Thing:
    if name not in state.things:
        raise ValueError(f"there is no {name!r} here; the objects are {', '.join(state.things)}")
    return state.things[name]


def _reachable(state: State, thing: Thing) -> bool:
    """In the agent's room and not behind a shut door."""
    if state.room(thing.name) != state.room("agent"):
        return False
    parent = state.parent(thing.name)
    return parent is None or (parent.values.get("open", 1) == 1 and _reachable(state, parent))


def _go(state: State, room: str) -> bool:
    target, here = _named(state, room), state.parent("agent")
    if target.type != "Room" or target is here:
        return False
    here.contains.remove("agent")
    target.contains.append("agent")
    return True


def _switch(state: State, name: str, which: str, value: int) -> bool:
    thing = _named(state, name)
    blocked = (which not in thing.values or thing.values[which] == value
               or not _reachable(state, thing))
    empty = any(thing.values.get(n) == 0 for n in ("charge", "tank", "wax"))
    if blocked or (which == "on" and value == 1 and (empty or thing.values.get("open") == 1)):
        return False  # no battery, no water, no wax; nothing starts with an open door or lid
    if which == "open" and value == 1 and thing.type == "Washer" and thing.values["on"]:
        return False  # a running washer is locked
    thing.values[which] = value
    if which == "on" and value == 1 and thing.type == "Washer":
        thing.values["timer"] = 5
    return True


def _move(state: State, name: str, into: str) -> bool:
    thing, place = _named(state, name), _named(state, into)
    static, parent = TYPES[thing.type][1], state.parent(name)
    if not static.get("isMoveable") or not TYPES[place.type][1].get("isContainer"):
        return False
    if place is parent or place in state.inside(thing) or place is thing:
        return False
    if not (_reachable(state, thing) and _reachable(state, place)):
        return False
    if place.values.get("open", 1) == 0:
        return False
    if into == "agent" and any(t.values.get("heat", 0) >= HOT for t in state.inside(thing)):
        return False
    parent.contains.remove(name)
    place.contains.append(name)
    return True


# ---------------------------------------------------------------- the tick
def tick(state: State) -> None:
    """Let one unit of time pass, in place: every rule once, in the order of the objects."""
    for thing in list(state.things.values()):
        if thing.name in state.things:  # an earlier rule may have removed it
            rule = TICKS.get(thing.type)
            if rule is not None:
                rule(state, thing)


def _heat_water(state: State, water: Thing, gain: int) -> None:
    """A little water heats fast; near boiling it steams away; left alone it cools down."""
    amount, heat = water.values["amount"], water.values["heat"]
    if gain > 0:
        heat += gain + (amount <= 3)
    elif gain < 0:
        heat += gain
    elif heat != ROOM_TEMPERATURE:
        heat += 1 if heat < ROOM_TEMPERATURE else -1
    water.values["heat"] = clamp(heat)
    if water.values["heat"] >= 8:
        water.values["amount"] -= 1 if water.values["heat"] == 8 else 2
        if water.values["amount"] <= 0:
            state.remove(water.name)


def kettle(state: State, thing: Thing) -> None:
    """Battery, lid, steam pressure and a cut-out."""
    v, water = thing.values, next(iter(state.inside(thing, "Water")), None)
    if v["on"]:
        v["charge"] -= 1
    if water is not None:
        _heat_water(state, water, 2 if v["on"] else 0)
    if water is None or water.name not in state.things:
        v["on"] = 0  # never heat an empty kettle
    elif water.values["heat"] >= 8 and not v["open"]:
        v["pressure"] += 1 + (water.values["heat"] == 9)
    if v["pressure"] >= 4:
        v["open"], v["pressure"] = 1, 0  # the lid pops
    if v["charge"] == 0 or v["open"]:
        v["on"] = 0


def oven(state: State, thing: Thing) -> None:
    """A thermostat switches the element; hot air browns the food, and then chars it."""
    v = thing.values
    if v["on"] and not v["open"]:
        v["element"] = 1 if v["temp"] <= 5 else 0 if v["temp"] >= 8 else v["element"]
    else:
        v["element"] = 0
    v["temp"] = clamp(v["temp"] + (2 if v["element"] else -3 if v["open"] else -1))
    for food in state.inside(thing, "Food"):
        food.values["brown"] += 2 if v["temp"] >= 8 else 1 if v["temp"] >= 6 else 0
        if food.values["brown"] >= 8:
            inside = state.parent(food.name).name
            state.remove(food.name)
            state.add(f"charcoal_{food.name}", "Charcoal", inside)


def tub(state: State, thing: Thing) -> None:
    """Tap in, drain out (faster when full), overflow, and a float that shuts the tap."""
    tap, drain, floor = state.of("Tap")[0], state.of("Drain")[0], state.of("Floor")[0]
    level = thing.values["level"] + (2 if tap.values["on"] else 0)
    if drain.values["open"]:
        level -= 3 if level > 6 else 1
    if level > 9:
        floor.values["wet"] = clamp(floor.values["wet"] + 1)
        tap.values["on"] = int(floor.values["wet"] < 2)
    elif floor.values["wet"] and not tap.values["on"]:
        floor.values["wet"] -= 1
    thing.values["level"] = clamp(level)


def sprinkler(state: State, thing: Thing) -> None:
    """Water for every plant in the room while the tank lasts."""
    if not thing.values["on"]:
        return
    thing.values["tank"] -= 1
    for plant in state.of("Plant"):
        plant.values["moisture"] = clamp(plant.values["moisture"] + 2)
    if thing.values["tank"] == 0:
        thing.values["on"] = 0


def plant(state: State, thing: Thing) -> None:
    """Grows when neither dry nor soaked (and in the light); a tall one bears fruit."""
    v, lamps = thing.values, state.of("Lamp")
    light = not lamps or any(lamp.values["on"] for lamp in lamps)
    if v["moisture"] == 0:
        v["height"] = clamp(v["height"] - 1)
    elif v["moisture"] <= 6 and light:
        v["height"] += 1
    v["moisture"] = clamp(v["moisture"] - (2 if v["height"] >= 5 else 1))
    if v["height"] >= 8:
        fruit = f"fruit_{thing.name}"
        v["height"] = 4
        if fruit not in state.things:
            state.add(fruit, "Fruit", state.parent(thing.name).name)


def lamp(state: State, thing: Thing) -> None:
    """Light drains the battery, faster while it is full; a running charger fills it."""
    v, parent = thing.values, state.parent(thing.name)
    if v["on"]:
        v["charge"] -= 2 if v["charge"] >= 6 else 1
        for book in state.of("Book"):
            if book.values["pages"]:
                book.values["pages"] -= 1
        if v["charge"] == 0:
            v["on"] = 0
    if parent.type == "Charger" and parent.values["on"]:
        v["charge"] += 2 if v["charge"] <= 4 else 1
        if v["charge"] >= 9:
            v["charge"], parent.values["on"] = 9, 0


def washer(state: State, thing: Thing) -> None:
    """Washes while the timer is high, spins at the end, then stops."""
    v = thing.values
    if not v["on"]:
        return
    v["timer"] -= 1
    for clothes in state.inside(thing, "Clothes"):
        c = clothes.values
        if v["timer"] >= 2:
            c["dirt"], c["wet"] = clamp(c["dirt"] - (3 if c["dirt"] > 5 else 2)), 9
        else:
            c["wet"] = clamp(c["wet"] - 3)
    if v["timer"] == 0:
        v["on"] = 0


def clothes(state: State, thing: Thing) -> None:
    """Dries on the line: fast while dripping, then slowly."""
    if state.parent(thing.name).type == "Surface" and thing.values["wet"]:
        thing.values["wet"] -= 2 if thing.values["wet"] > 4 else 1


def fridge(state: State, thing: Thing) -> None:
    """A motor with hysteresis cools; water in the cold turns into ice."""
    v = thing.values
    v["motor"] = 0 if not v["on"] or v["temp"] <= 1 else 1 if v["temp"] >= 4 else v["motor"]
    if v["motor"]:
        v["temp"] += 1 if v["open"] else -1
    elif v["temp"] < 5 or v["open"]:
        v["temp"] += 2 if v["open"] else 1
    v["temp"] = min(v["temp"], 6)
    for water in state.inside(thing, "Water"):
        if v["temp"] <= 4:
            water.values["heat"] = clamp(water.values["heat"] - (2 if v["temp"] <= 2 else 1))
        if water.values["heat"] == 0:
            size, inside = water.values["amount"], state.parent(water.name).name
            state.remove(water.name)
            state.add("ice", "Ice", inside, size=size)


def ice(state: State, thing: Thing) -> None:
    """Melts outside the fridge, drop by drop."""
    if state.inside_of(thing.name, "Fridge"):
        return
    thing.values["size"] -= 2 if thing.values["size"] > 5 else 1
    if thing.values["size"] <= 0:
        state.remove(thing.name)


def candle(state: State, thing: Thing) -> None:
    """Burns down; a draught blows a small flame out; it warms every pot."""
    v, windows = thing.values, state.of("Window")
    if v["on"] and v["wax"] <= 3 and any(w.values["open"] for w in windows):
        v["on"] = 0
    if v["on"]:
        v["wax"] -= 1
    for pot in state.of("Pot"):
        _warm(state, pot, v["on"])
    if v["wax"] == 0:
        state.remove(thing.name)


def _warm(state: State, pot: Thing, burning: int) -> None:
    """Snow melts into water; only when it is gone does the water get warm."""
    snow = next(iter(state.inside(pot, "Snow")), None)
    water = next(iter(state.inside(pot, "Water")), None)
    if snow is not None and burning:
        snow.values["size"] -= 2 if snow.values["size"] > 4 else 1
        if water is None:
            water = state.add("water", "Water", pot.name, amount=0, heat=0)
        water.values["amount"] = clamp(water.values["amount"] + 1)
        if snow.values["size"] <= 0:
            state.remove(snow.name)
    elif water is not None and snow is None:
        _heat_water(state, water, 1 if burning else 0)


TICKS: dict[str, Callable[[State, Thing], None]] = {
    "Kettle": kettle, "Oven": oven, "Tub": tub, "Sprinkler": sprinkler, "Plant": plant,
    "Lamp": lamp, "Washer": washer, "Clothes": clothes, "Fridge": fridge, "Ice": ice,
    "Candle": candle}
