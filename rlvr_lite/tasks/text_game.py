"""The text game as a sequence problem: a state and a command in, a state difference out.

A question is one line: every object with its changing values, what lies in it in brackets, the
score, the command. A response is an optional *rule trace* (the chain of thought: what the action
changes, then one line per tick, counted down) and the answer after `=>`:

    kitchen ( agent table kettle 1 0 3 0 ( water 4 6 ) ) hall ( ball ) score 1 > wait 2 :
    2 kettle 1 0 2 0 , water 4 8 ; 1 kettle 1 0 1 1 , water 3 8 ;
    => kettle 1 0 1 1 , water 3 8 , score 2 won over

The answer is a compact spelling of the paper's difference `{"modified", "removed", "score"}`
and is judged as that: `decode` expands it, `state_rewards` compares.
Source: RLVR-World section 5.1 and appendix A.1, D.
Differs from the paper: the trace is written by a program from the true rules, not distilled from
DeepSeek-R1; the JSON is abbreviated, so that a model of 0.2 M parameters can read it.
"""

from __future__ import annotations

from typing import Any

from rlvr_lite.tasks.state_difference import recover
from rlvr_lite.tasks.state_rewards import KINDS, MODES, reward
from rlvr_lite.tokenizers.text import TextTokenizer
from rlvr_lite.worlds.text_game import Transition
from rlvr_lite.worlds.text_state import TYPES, State, Thing

ARROW = " =>"


# ---------------------------------------------------------------- state -> line
def values(thing: Thing) -> str:
    return " ".join([thing.name, *map(str, thing.values.values())])


def nested(state: State, thing: Thing) -> str:
    """An object, its values, and in brackets what it holds."""
    if not thing.contains:
        return values(thing)
    inside = " ".join(nested(state, state.things[name]) for name in thing.contains)
    return f"{values(thing)} ( {inside} )"


def score_line(state: State) -> str:
    return f"score {state.score}" + " won" * state.won + " over" * state.over


def state_line(state: State) -> str:
    """A whole state on one line: the rooms with everything in them, then the score."""
    rooms = " ".join(nested(state, room) for room in state.of("Room"))
    return f"{rooms} {score_line(state)}"


def changes_line(before: State, after: State, score: bool) -> str:
    """What differs between two states, or `same`: objects, `- name` for removed ones, score."""
    parts = []
    for thing in after.things.values():
        old = before.things.get(thing.name)
        if old is None or old.values != thing.values or old.contains != thing.contains:
            line = values(thing)
            if old is None and thing.contains or old and old.contains != thing.contains:
                line += f" ( {''.join(n + ' ' for n in thing.contains)})"
            parts.append(line)
    parts += [f"- {name}" for name in before.things if name not in after.things]
    if score and score_line(before) != score_line(after):
        parts.append(score_line(after))
    return " , ".join(parts) if parts else "same"


def question_text(transition: Transition) -> str:
    return f"{state_line(transition.state)} > {transition.action} :"


def trace_text(transition: Transition) -> str:
    """The chain of thought: the action's own effect, then every tick, counted down to 1."""
    lines, before, left = [], transition.state, len(transition.ticks)
    if not transition.action.startswith("wait "):
        lines.append(f" act {changes_line(before, transition.after_action, False)} ;")
        before = transition.after_action
    for tick in transition.ticks:
        lines.append(f" {left} {changes_line(before, tick, False)} ;")
        before, left = tick, left - 1
    return "".join(lines)


def answer_text(transition: Transition) -> str:
    return changes_line(transition.state, transition.next_state, True)


# ---------------------------------------------------------------- line -> difference
CREATED = {"water": "Water", "ice": "Ice", "charcoal": "Charcoal", "fruit": "Fruit"}


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit()  # isdigit alone also takes superscripts


def read_answer(text: str, state: State) -> dict[str, Any] | None:
    """A compact answer as the paper's difference; None where it cannot be read."""
    answer: dict[str, Any] = {"modified": [], "removed": [], "score": {}}
    words = text.split()
    if words == ["same"]:
        return answer
    free = state.max_uuid
    for part in " ".join(words).split(" , "):
        name, *rest = part.split(" ")
        if name == "-" and len(rest) == 1 and rest[0] in state.things:
            answer["removed"].append(state.things[rest[0]].uuid)
        elif name == "score" and rest and _is_number(rest[0]) and not answer["score"] \
                and rest[1:] in ([], ["won"], ["over"], ["won", "over"]):
            answer["score"] = {"score": int(rest[0]), "gameOver": "over" in rest[1:],
                               "gameWon": "won" in rest[1:]}
        else:
            thing = _read_thing(name, rest, state.things.get(name), free)
            if thing is None:
                return None
            free += thing["uuid"] == free
            answer["modified"].append(thing)
    return answer


def _read_thing(name: str, rest: list[str], old: Thing | None, free: int) -> dict | None:
    """`kettle 1 0 3 0` or `cup ( ice )` as a whole object; new objects are known by their name."""
    kind = old.type if old is not None else CREATED.get(name.split("_")[0])
    if kind is None:
        return None
    names, static = TYPES[kind]
    numbers, tail = rest[:len(names)], rest[len(names):]
    if len(numbers) < len(names) or not all(map(_is_number, numbers)):
        return None
    contains = list(old.contains) if old is not None else []
    if tail:
        if tail[0] != "(" or tail[-1] != ")":
            return None
        contains = tail[1:-1]
    return {"name": name, "uuid": old.uuid if old is not None else free, "type": kind,
            "properties": {**static, **dict(zip(names, map(int, numbers)))},
            "contains": contains}


def pair(state: State) -> tuple[list[dict], dict]:
    """A state in the form of `state_difference`: (objects, score)."""
    return [t.to_json() for t in state.things.values()], state.score_json()


# ---------------------------------------------------------------- the task
class TextGameTask:
    """Questions, answers and rewards of the text game (the contract is `tasks.base.Task`).

    Args:
        tokenizer: from `train_tokenizer`, or loaded.
        trace: whether gold answers carry the rule trace.
        reward: "binary" or "task_specific" (RLVR-World eq. 4).
        mode: "strict" or "official" scoring.
        max_new: longest answer in tokens.
    """

    def __init__(self, tokenizer: TextTokenizer, trace: bool = True, reward: str = "binary",
                 mode: str = "strict", max_new: int = 150):
        if reward not in KINDS or mode not in MODES:
            raise ValueError(f"reward must be one of {KINDS} and mode one of {MODES}, "
                             f"got {reward!r} and {mode!r}")
        self.tokenizer, self.trace, self.max_new = tokenizer, trace, max_new
        self.kind, self.mode = reward, mode
        self._pairs: dict[int, tuple] = {}

    def question(self, transition: Transition) -> list[int]:
        """Ids of the state and the command."""
        return self.tokenizer.encode(question_text(transition))

    def answer(self, transition: Transition) -> list[int]:
        """Ids of the gold response, `<eos>` included."""
        trace = trace_text(transition) if self.trace else ""
        text = f"{trace}{ARROW} {answer_text(transition)}"
        return self.tokenizer.encode(text) + [self.tokenizer.eos_id]

    def difference(self, ids: list[int], transition: Transition) -> dict | None:
        """Generated ids -> the predicted difference; None where it cannot be read."""
        if self.tokenizer.eos_id not in ids:
            return None  # an answer that was cut off is no answer
        _, arrow, answer = self.tokenizer.decode(ids).rpartition(ARROW)
        return read_answer(answer, transition.state) if arrow else None

    def decode(self, ids: list[int], transition: Transition):
        """Generated ids -> the predicted next state (objects, score), or None."""
        found = self.difference(ids, transition)
        if found is None:
            return None
        try:
            return recover(pair(transition.state), found, "strict")
        except ValueError:
            return None

    def reward(self, ids: list[int], transition: Transition) -> dict[str, float]:
        """The verifiable reward with its parts (see `state_rewards.reward`)."""
        before, after = self._states(transition)
        return reward(before, self.difference(ids, transition), after, self.kind, self.mode)

    def metrics(self, ids: list[int], transition: Transition) -> dict[str, float]:
        """Exact match under both scorings; whether the answer says `same`; length in tokens."""
        before, after = self._states(transition)
        found = self.difference(ids, transition)
        nothing = found is not None and not any(found.values())
        return {"exact": reward(before, found, after, "binary", "strict")["exact"],
                "official": reward(before, found, after, "binary", "official")["exact"],
                "readable": float(found is not None), "same": float(nothing),
                "length": float(len(ids))}

    def _states(self, transition: Transition) -> tuple:
        """JSON of both states, made once per transition; unchanged objects are shared."""
        key = id(transition)
        if key not in self._pairs:
            before, after = pair(transition.state), pair(transition.next_state)
            known = {o["uuid"]: o for o in before[0]}
            shared = [known[o["uuid"]] if known.get(o["uuid"]) == o else o for o in after[0]]
            self._pairs[key] = (transition, before, (shared, after[1]))  # keeps the id alive
        return self._pairs[key][1:]


def train_tokenizer(transitions: list[Transition], vocab_size: int = 512) -> TextTokenizer:
    """BPE on the questions and responses of a training split."""
    return TextTokenizer.train((text for t in transitions for text in (
        question_text(t), f"{trace_text(t)}{ARROW} {answer_text(t)}")), vocab_size)
