"""The published ByteSized32 transitions as a sequence problem for a small model.

A published state has 2,000 characters; most of them never change. A question here names every
object once, nested as they lie in each other, with those of its properties that change anywhere
in the training data; an answer is a list of edits, or `same`:

    boil-water # kitchen ( agent stove isOn no ( pot temperature 20 ) ) # score 0 > turn on stove :
    stove . isOn = yes ; pot . temperature = 22

Edits: `x . p = v` (also `x . p / k = v` inside a dict, v = `gone` deletes), `x > y` (x moves into
y), `- x`, `+ 0 Type name > y` (a new object with the first free uuid), `x ~ name` (renamed),
`score 1 won over`. `read_answer` turns them into the state difference of RLVR-World, which
`state_rewards` judges; only that difference counts, never the spelling.
Source: RLVR-World section 5.1, appendix A.1; the data of arXiv 2406.06485.
Differs from the paper: its prompt has 16,000 characters (rules, two examples, the JSON state)
for a pretrained model of 1.5 B parameters; here constants are implied by the game, and no rules
are given: a model from scratch has to learn them from the transitions.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from rlvr_lite.tasks.state_difference import changed, difference
from rlvr_lite.tasks.state_rewards import KINDS, MODES, reward
from rlvr_lite.tokenizers.text import TextTokenizer
from rlvr_lite.worlds.bytesized32 import State, Transition

_ID = re.compile(r" \(ID: (\d+)\)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
_WORDS = {"yes": True, "no": False, "none": None}
_GONE = object()


# ---------------------------------------------------------------- what is worth saying
class Schema:
    """What the training data teach about the games, before any learning.

    Attributes:
        dynamic: game -> type -> names of the properties that change there, sorted.
        anywhere: names of all properties that change in some game (for games never seen).
        templates: game -> type -> usual properties of an object at its creation.
    """

    def __init__(self, dynamic: dict, templates: dict):
        self.dynamic, self.templates = dynamic, templates
        self.anywhere = sorted({p for types in dynamic.values()
                                for names in types.values() for p in names})

    @classmethod
    def learn(cls, transitions: Iterable[Transition]) -> Schema:
        """Read the schema off training transitions."""
        first: dict[tuple, Any] = {}
        dynamic: dict = defaultdict(lambda: defaultdict(set))
        created: dict = defaultdict(Counter)
        for t in transitions:
            known = {o["uuid"] for o in t.state.objects}
            for o in t.state.objects + t.next_state.objects:
                names = dynamic[t.game][o["type"]]
                for p, value in o["properties"].items():
                    if first.setdefault((t.game, o["uuid"], o["type"], p), value) != value:
                        names.add(p)
            for o in t.next_state.objects:
                if o["uuid"] not in known:
                    created[t.game, o["type"]][json.dumps(o["properties"])] += 1
        templates: dict = defaultdict(dict)
        for (game, kind), seen in created.items():
            templates[game][kind] = json.loads(seen.most_common(1)[0][0])
        return cls({g: {k: sorted(n) for k, n in types.items()} for g, types in dynamic.items()},
                   dict(templates))

    def properties(self, game: str, thing: dict) -> list[str]:
        """The properties of an object that a question tells."""
        if game in self.dynamic:
            return self.dynamic[game].get(thing["type"], [])
        return [p for p in self.anywhere if p in thing["properties"]]

    def template(self, game: str, kind: str) -> dict:
        return self.templates.get(game, {}).get(kind, {})

    def to_json(self) -> dict:
        return {"dynamic": self.dynamic, "templates": self.templates}

    @classmethod
    def from_json(cls, data: dict) -> Schema:
        return cls(data["dynamic"], data["templates"])


def handles(objects: Iterable[dict]) -> dict[int, str]:
    """A short unique name per uuid: the name without its id, or with it where two are alike."""
    names = {o["uuid"]: o["name"] for o in objects}
    stems = Counter(_ID.sub("", name) for name in names.values())
    return {u: _ID.sub("", n) if stems[_ID.sub("", n)] == 1 else _ID.sub(r" \1", n)
            for u, n in names.items()}


# ---------------------------------------------------------------- values <-> text
def _text(value: Any, short: dict[str, str]) -> str:
    if value is True or value is False or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (int, float)):
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, (list, tuple)):
        return "[ " + " , ".join(_text(v, short) for v in value) + " ]"
    if isinstance(value, dict):
        return "{ " + " , ".join(f"{short.get(k, k)} / {_text(v, short)}"
                                 for k, v in value.items()) + " }"
    return short.get(value, value)


def _value(text: str, full: dict[str, str]) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text or "e" in text else int(text)
    inside = text[2:-2]
    if text.startswith("[ ") and text.endswith(" ]"):
        return [_value(v, full) for v in inside.split(" , ")] if inside.strip() else []
    if text.startswith("{ ") and text.endswith(" }"):
        pairs = [p.split(" / ", 1) for p in inside.split(" , ")] if inside.strip() else []
        return {full.get(k, k): _value(v, full) for k, v in pairs}
    return full.get(text, text)


# ---------------------------------------------------------------- question
def question_text(t: Transition, schema: Schema) -> str:
    """State and action on one line."""
    short = handles(t.state.objects)
    names = {o["name"]: short[o["uuid"]] for o in t.state.objects}
    by_name = {o["name"]: o for o in t.state.objects}
    inside = {n for o in t.state.objects for n in o["contains"]}

    def tell(thing: dict) -> str:
        words = [short[thing["uuid"]]]
        for p in schema.properties(t.game, thing):
            value = thing["properties"].get(p)
            entries = [(f"{p} / {names.get(k, k)}", v) for k, v in value.items()] \
                if isinstance(value, dict) else [(p, value)]
            words += [f"{key} {_text(v, names)}" for key, v in entries if v not in
                      (None, [None, None])]
        children = [tell(by_name[n]) for n in thing["contains"] if n in by_name]
        return " ".join(words) + (f" ( {' , '.join(children)} )" if children else "")

    world = " , ".join(tell(o) for o in t.state.objects if o["name"] not in inside)
    return f"{t.game} # {world} # {_score(t.state.score)} > {_action(t, names)} :"


def _action(t: Transition, names: dict[str, str]) -> str:
    """The command with short names; the longest name goes first."""
    longest_first = sorted(names, key=len, reverse=True)
    pattern = "|".join(re.escape(name) for name in longest_first) or "$^"
    return re.sub(pattern, lambda found: names[found.group()], t.action)


def _score(score: dict) -> str:
    return (f"score {_text(score['score'], {})}" + " won" * score["gameWon"]
            + " over" * score["gameOver"])


# ---------------------------------------------------------------- answer -> edits
def answer_text(t: Transition, schema: Schema) -> str:
    """The gold edits, or `same`."""
    before, after = t.state, t.next_state
    short = _all_handles(t)
    names = {o["name"]: short[o["uuid"]] for s in (before, after) for o in s.objects}
    old = {o["uuid"]: o for o in before.objects}
    new = {o["uuid"]: o for o in after.objects}
    was, now = _parents(before.objects), _parents(after.objects)
    edits = [f"- {short[u]}" for u in old if u not in new]
    for u, thing in sorted(new.items()):
        where = f" > {short[now[u]]}" if u in now else ""
        if u not in old:
            edits.append(f"+ {u - t.uuid_base} {thing['type']} "
                         f"{_stem(thing)}{where}")
            props = schema.template(t.game, thing["type"])
        else:
            if thing["name"] != old[u]["name"]:
                edits.append(f"{short[u]} ~ {_ID.sub(' #', thing['name'])}")
            if was.get(u) != now.get(u):
                edits.append(f"{short[u]}{where or ' > nowhere'}")
            props = old[u]["properties"]
        edits += [f"{short[u]} . {e}" for e in _property_edits(props, thing["properties"], names)]
    if before.score != after.score:
        edits.append(_score(after.score))
    return " ; ".join(edits) or "same"


def _property_edits(old: dict, new: dict, names: dict[str, str]) -> list[str]:
    edits = []
    for p in sorted({**old, **new}):
        a, b = old.get(p, _GONE), new.get(p, _GONE)
        if a is not _GONE and b is not _GONE and a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            for k in sorted({**a, **b}):
                if a.get(k, _GONE) != b.get(k, _GONE):
                    value = _text(b[k], names) if k in b else "gone"
                    edits.append(f"{p} / {names.get(k, k)} = {value}")
        else:
            edits.append(f"{p} = {'gone' if b is _GONE else _text(b, names)}")
    return edits


def _all_handles(t: Transition) -> dict[int, str]:
    """Handles of the current objects; a created one is called `new` and its offset."""
    short = handles(t.state.objects)
    for o in t.next_state.objects:
        short.setdefault(o["uuid"], f"new {o['uuid'] - t.uuid_base}")
    return short


def _stem(thing: dict) -> str:
    """`water (ID: 12)` of uuid 12 as `water #`, any other name as it is."""
    return _ID.sub(lambda m: " #" if int(m.group(1)) == thing["uuid"] else m.group(),
                   thing["name"])


def _parents(objects: Iterable[dict]) -> dict[int, int]:
    uuid = {o["name"]: o["uuid"] for o in objects}
    return {uuid[n]: o["uuid"] for o in objects for n in o["contains"] if n in uuid}


# ---------------------------------------------------------------- edits -> difference
class _Draft:
    """A state under edit, by uuid; copies an object when it is first touched."""

    def __init__(self, t: Transition):
        self.t, self.score = t, t.state.score
        self.things = {o["uuid"]: o for o in t.state.objects}
        self.parent = _parents(t.state.objects)
        short = handles(t.state.objects)
        self.uuid = {h: u for u, h in short.items()}
        self.full = {short[o["uuid"]]: o["name"] for o in t.state.objects}
        self.touched: set[int] = set()

    def touch(self, u: int) -> dict:
        if u not in self.touched:
            o = self.things[u]
            self.things[u] = {**o, "properties": dict(o["properties"])}
            self.touched.add(u)
        return self.things[u]

    def find(self, handle: str) -> int:
        u = self.uuid[handle]
        if u not in self.things:
            raise KeyError(handle)
        return u

    def edit(self, text: str, schema: Schema) -> None:
        """One edit; KeyError or ValueError where it makes no sense."""
        if text.startswith("score "):
            number, *flags = text.split()[1:]
            self.score = {"score": _value(number, {}), "gameOver": "over" in flags,
                          "gameWon": "won" in flags}
        elif text.startswith("- "):
            u = self.find(text[2:])
            del self.things[u]
            self.parent.pop(u, None)
        elif text.startswith("+ "):
            self.create(text[2:], schema)
        elif " . " in text:
            handle, rest = text.split(" . ", 1)
            self.assign(self.touch(self.find(handle))["properties"], rest)
        elif " ~ " in text:
            handle, name = text.split(" ~ ", 1)
            u = self.find(handle)
            self.touch(u)["name"] = name.replace(" #", f" (ID: {u})")
        else:
            handle, place = text.split(" > ", 1)
            u = self.find(handle)
            self.parent.pop(u, None)
            if place != "nowhere":
                self.parent[u] = self.find(place)

    def create(self, text: str, schema: Schema) -> None:
        head, _, place = text.partition(" > ")
        offset, kind, name = head.split(" ", 2)
        u = self.t.uuid_base + int(offset)
        if u in self.things:
            raise ValueError(f"uuid {u} exists")
        name = name.replace(" #", f" (ID: {u})")
        self.things[u] = {"name": name, "uuid": u, "type": kind, "contains": [],
                          "properties": dict(schema.template(self.t.game, kind))}
        self.touched.add(u)
        self.uuid[f"new {offset}"] = u
        self.full[f"new {offset}"] = name
        if place:
            self.parent[u] = self.find(place)

    def assign(self, properties: dict, text: str) -> None:
        path, value = text.split(" = ", 1)
        p, _, key = path.partition(" / ")
        if key:
            inner = properties[p] = dict(properties[p])
            key = self.full.get(key, key)
            if value == "gone":
                del inner[key]
            else:
                inner[key] = _value(value, self.full)
        elif value == "gone":
            del properties[p]
        else:
            properties[p] = _value(value, self.full)

    def state(self) -> State:
        """The edited state; `contains` is rebuilt where it is not what it was."""
        inside = defaultdict(list)
        for u, parent in self.parent.items():
            inside[parent].append(self.things[u]["name"])
        objects = []
        for u, o in self.things.items():
            if sorted(inside[u]) != sorted(o["contains"]):
                o = {**o, "contains": inside[u]}
            objects.append(o)
        return State(tuple(objects), self.score)


def read_answer(text: str, t: Transition, schema: Schema) -> dict[str, Any] | None:
    """Edits -> state difference; None where an edit cannot be carried out."""
    draft = _Draft(t)
    if text != "same":
        try:
            for edit in text.split(" ; "):
                draft.edit(edit, schema)
        except (KeyError, ValueError, IndexError, TypeError, RecursionError):
            return None
    return difference(t.state, draft.state())


# ---------------------------------------------------------------- the task
class ByteSized32Task:
    """Questions, answers and rewards of the published transitions (see `tasks.base.Task`).

    Args:
        tokenizer: from `ByteSized32Task.learn`, or loaded.
        schema: from the same training data.
        kind: "binary" or "task_specific" (RLVR-World eq. 4).
        mode: "official" or "strict" scoring of `reward`; `metrics` always reports both.
        max_new: longest answer in tokens.

    Raises:
        ValueError: for an unknown kind or mode.
    """

    def __init__(self, tokenizer: TextTokenizer, schema: Schema, kind: str = "binary",
                 mode: str = "strict", max_new: int = 120):
        if kind not in KINDS or mode not in MODES:
            raise ValueError(f"kind must be one of {KINDS} and mode one of {MODES}, "
                             f"got {kind!r} and {mode!r}")
        self.tokenizer, self.schema, self.max_new = tokenizer, schema, max_new
        self.kind, self.mode = kind, mode

    @classmethod
    def learn(cls, transitions: list[Transition], vocab_size: int = 1500,
              **settings) -> ByteSized32Task:
        """Schema and tokenizer from training transitions; `settings` go to the constructor."""
        schema = Schema.learn(transitions)
        corpus = (text for t in transitions
                  for text in (question_text(t, schema), " " + answer_text(t, schema)))
        return cls(TextTokenizer.train(corpus, vocab_size), schema, **settings)

    def question(self, transition: Transition) -> list[int]:
        return self.tokenizer.encode(question_text(transition, self.schema))

    def answer(self, transition: Transition) -> list[int]:
        text = " " + answer_text(transition, self.schema)
        return self.tokenizer.encode(text) + [self.tokenizer.eos_id]

    def decode(self, ids: list[int], transition: Transition) -> dict | None:
        """The predicted state difference; None where nothing can be read."""
        if self.tokenizer.eos_id not in ids:
            return None                                # cut off: not an answer
        text = self.tokenizer.decode(ids).removeprefix(" ")
        return read_answer(text, transition, self.schema)

    def reward(self, ids: list[int], transition: Transition) -> dict[str, float]:
        return reward(transition.state, self.decode(ids, transition), transition.next_state,
                      self.kind, self.mode)

    def metrics(self, ids: list[int], transition: Transition) -> dict[str, float]:
        """`exact` (strict), `official` (as in the paper), `same` (said: no change), `readable`."""
        answer = self.decode(ids, transition)
        state, after = transition.state, transition.next_state
        return {"exact": reward(state, answer, after, "binary", "strict")["exact"],
                "official": reward(state, answer, after, "binary", "official")["exact"],
                "same": float(answer is not None and not any(answer.values())),
                "readable": float(answer is not None)}


def is_changed(transition: Transition) -> bool:
    """The subset of a test row: does anything change in objects or score?"""
    return changed(transition.state, transition.next_state)
