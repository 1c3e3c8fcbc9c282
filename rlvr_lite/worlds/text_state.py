"""The state of a text game: objects with changing values, one inside another, and a score.

A state is what ByteSized32 publishes: a list of objects (`name, uuid, type, properties,
contains`), the score, and the next free uuid. `State.to_json` writes that form and
`State.from_json` reads it back, byte for byte.

Source: ByteSized32 state prediction (arXiv 2406.06485), used in RLVR-World section 5.1.
Differs from the paper: properties that change are whole numbers from 0 to 9 (switches 0 or 1).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

# type -> (names of the properties that change, in order; properties that never change)
TYPES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "Room": ((), {"isContainer": True}),
    "Agent": ((), {"isContainer": True}),
    "Surface": ((), {"isContainer": True}),
    "Pot": ((), {"isContainer": True, "isMoveable": True}),
    "Toy": ((), {"isMoveable": True}),
    "Kettle": (("on", "open", "charge", "pressure"), {"isContainer": True, "isDevice": True}),
    "Water": (("amount", "heat"), {"isLiquid": True}),
    "Ice": (("size",), {"isMoveable": True}),
    "Snow": (("size",), {}),
    "Oven": (("on", "open", "element", "temp"), {"isContainer": True, "isDevice": True}),
    "Food": (("brown",), {"isMoveable": True}),
    "Charcoal": ((), {"isMoveable": True}),
    "Tap": (("on",), {"isDevice": True}),
    "Drain": (("open",), {}),
    "Tub": (("level",), {}),
    "Floor": (("wet",), {}),
    "Sprinkler": (("on", "tank"), {"isDevice": True}),
    "Plant": (("moisture", "height"), {}),
    "Fruit": ((), {"isMoveable": True}),
    "Lamp": (("on", "charge"), {"isDevice": True, "isMoveable": True}),
    "Charger": (("on",), {"isContainer": True, "isDevice": True}),
    "Book": (("pages",), {"isMoveable": True}),
    "Washer": (("on", "open", "timer"), {"isContainer": True, "isDevice": True}),
    "Clothes": (("dirt", "wet"), {"isMoveable": True}),
    "Fridge": (("on", "open", "motor", "temp"), {"isContainer": True, "isDevice": True}),
    "Candle": (("on", "wax"), {"isDevice": True}),
    "Window": (("open",), {}),
}
SWITCHES = ("on", "open", "element", "motor")  # 0 or 1; every other value lies in 0 ... 9


@dataclass(slots=True)
class Thing:
    """One object; `values` holds the changing properties in the order of `TYPES[type][0]`."""

    name: str
    uuid: int
    type: str
    values: dict[str, int]
    contains: list[str] = field(default_factory=list)

    def copy(self) -> Thing:
        return Thing(self.name, self.uuid, self.type, dict(self.values), list(self.contains))

    def to_json(self) -> dict[str, Any]:
        properties = {**TYPES[self.type][1], **self.values}
        return {"name": self.name, "uuid": self.uuid, "type": self.type,
                "properties": properties, "contains": list(self.contains)}


@dataclass(slots=True)
class State:
    """All objects by name, in the order of their uuid; the score; the family whose goal counts."""

    family: str
    things: dict[str, Thing] = field(default_factory=dict)
    score: int = 0
    over: bool = False
    won: bool = False
    max_uuid: int = 0

    def add(self, name: str, type: str, inside: str | None = None, /, **values: int) -> Thing:
        """Create an object, inside another one unless it is a room."""
        if name in self.things:
            raise ValueError(f"there is already an object named {name!r}: names are unique")
        names = TYPES[type][0]
        if set(values) != set(names):
            raise ValueError(f"{type} {name!r} needs exactly the values {names}, got {values}")
        thing = Thing(name, self.max_uuid, type, {n: values[n] for n in names})
        self.things[name] = thing
        self.max_uuid += 1
        if inside is not None:
            self.things[inside].contains.append(name)
        return thing

    def remove(self, name: str) -> None:
        """Take an object out of the world; what it held stays where it was."""
        thing, parent = self.things.pop(name), self.parent(name)
        if parent is not None:
            at = parent.contains.index(name)
            parent.contains[at:at + 1] = thing.contains

    def parent(self, name: str) -> Thing | None:
        return next((t for t in self.things.values() if name in t.contains), None)

    def room(self, name: str) -> str:
        """The room that holds an object, however deep it lies."""
        while (parent := self.parent(name)) is not None:
            name = parent.name
        return name

    def inside_of(self, name: str, type: str) -> bool:
        """Does an object lie in one of this type, however deep?"""
        while (parent := self.parent(name)) is not None:
            if parent.type == type:
                return True
            name = parent.name
        return False

    def of(self, *types: str) -> list[Thing]:
        return [t for t in self.things.values() if t.type in types]

    def inside(self, thing: Thing, *types: str) -> list[Thing]:
        """Everything in an object, at any depth, of the given types (all types if none)."""
        found = []
        for name in thing.contains:
            child = self.things[name]
            if not types or child.type in types:
                found.append(child)
            found += self.inside(child, *types)
        return found

    def copy(self) -> State:
        return replace(self, things={n: t.copy() for n, t in self.things.items()})

    def score_json(self) -> dict[str, Any]:
        return {"score": self.score, "gameOver": self.over, "gameWon": self.won}

    def to_json(self) -> dict[str, Any]:
        """The ByteSized32 form: a list of objects, the score, and the next free uuid."""
        return {"family": self.family, "objects": [t.to_json() for t in self.things.values()],
                "score": self.score_json(), "max_UUID": self.max_uuid}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> State:
        """The inverse of `to_json`."""
        state = cls(data["family"], score=data["score"]["score"], over=data["score"]["gameOver"],
                    won=data["score"]["gameWon"], max_uuid=data["max_UUID"])
        for o in data["objects"]:
            values = {n: o["properties"][n] for n in TYPES[o["type"]][0]}
            state.things[o["name"]] = Thing(o["name"], o["uuid"], o["type"], values,
                                            list(o["contains"]))
        return state

    def canonical(self) -> str:
        """One string per state: equal strings, equal states, byte for byte."""
        return json.dumps(self.to_json(), separators=(",", ":"))
