"""Verifiable rewards for state differences, each one twice: `official` and `strict`.

What: an answer (see `state_difference.py`) is applied to the current state, and the predicted
next state is compared with the true one, entry by entry. An entry is one property of one object,
or its `contains`; the three entries of the score are counted apart.
    binary         R = 1 where every entry is right, else 0
    task-specific  R = 0.09 item + 0.01 score + 0.2 exact + changed          (eq. 4)
Source: RLVR-World section 5.1, equation 4; its released code `text_game.py`.
- `official` behaves as the released code does, quirks included: created objects are dropped, a
  forgotten removal costs nothing, an extra property is free under the binary reward and turns
  the task-specific reward into 0, an omitted `score` makes all three entries of the score wrong,
  and an exception scores 0.
- `strict` closes those holes: the predicted and the true state must hold the same objects with
  the same names, types, keys and values; creation works; what is not mentioned stays.
Differs from the paper: nothing in `official`; `strict` is ours. Both take 1, 1.0 and true for
the same value, as Python's `==` does, and ignore the order of `contains`.
"""

from __future__ import annotations

from rlvr_lite.tasks.state_difference import (
    MODES,
    Answer,
    State,
    apply_official,
    apply_strict,
    extract,
    same_contains,
    same_value,
)

KINDS = ("binary", "task_specific")

# Eq. 4: 0.1 * accuracy of everything + 0.2 * all right + 1.0 * accuracy of what should change;
# the released code splits the 0.1 into objects (0.09) and score (0.01).
W_ITEM, W_SCORE, W_EXACT, W_CHANGED = 0.09, 0.01, 0.2, 1.0


def reward(state: State, answer: Answer | str | None, next_state: State,
           kind: str = "binary", mode: str = "official") -> dict[str, float]:
    """The verifiable reward of one answer, with its parts.

    Args:
        state, next_state: pairs (objects, score) before and after the step.
        answer: a state difference, or the text of one, or None where nothing could be read.
        kind: `binary` is 1 where all is right, else 0. `task_specific` is eq. 4:
            0.09 item + 0.01 score + 0.2 exact + changed.
        mode: `official` or `strict`.

    Returns:
        `reward`; `exact` 0 or 1; `item` and `score`, the fractions of object entries and of score
        entries that are right; `changed`, the fraction right among the entries that should
        change (0 if none should, and under `binary`, which does not ask); `readable` 0 or 1.
        Never raises on model output: what cannot be judged has reward 0.

    Raises:
        ValueError: for an unknown kind or mode.
    """
    if kind not in KINDS or mode not in MODES:
        raise ValueError(f"kind must be one of {KINDS} and mode one of {MODES}, "
                         f"got {kind!r} and {mode!r}")
    if isinstance(answer, str):
        answer = extract(answer)
    try:
        if answer is None or "modified" not in answer or "removed" not in answer:
            return _parts()
        if mode == "official":
            return _judge_official(state, answer, next_state, kind)
        return _judge_strict(state, answer, next_state, kind)
    except (TypeError, KeyError, ValueError, IndexError, AttributeError, ZeroDivisionError,
            RecursionError):
        return _parts()


def _parts(item=0.0, score=0.0, change=0.0, kind="binary", readable=0.0) -> dict[str, float]:
    exact = float(item == 1 and score == 1)
    if kind == "binary":
        value = exact
    else:
        value = W_ITEM * item + W_SCORE * score + W_EXACT * exact + W_CHANGED * change
    return {"reward": value, "exact": exact, "item": item, "score": score, "changed": change,
            "readable": readable}


def _mean(marks: list[bool]) -> float:
    return sum(marks) / len(marks) if marks else 0.0


def _judge_official(state: State, answer: Answer, next_state: State, kind: str) -> dict:
    """Walk the objects of the *target* only, and of each only the keys of the target."""
    predicted, score = apply_official(state, answer)
    target, target_score = next_state
    n_right = n_wrong = 0
    for new in target:
        guess = predicted.get(new["uuid"])
        if guess is new or guess == new:
            n_right += len(new["properties"]) + 1
        elif guess is None:
            n_wrong += 1                              # a missing object is one error
        else:
            right, wrong = _count_official(guess, new)
            n_right, n_wrong = n_right + right, n_wrong + wrong
    item = n_right / (n_right + n_wrong)
    points = sum(key in score and score[key] == value for key, value in target_score.items())
    points /= len(target_score)
    if kind == "binary":
        return _parts(item, points, readable=1.0)
    try:
        marks = _changes_official(state, predicted, next_state)
    except TypeError:                                 # `properties` is no dict: as if missing
        marks = []
    return _parts(item, points, _mean(marks), kind, 1.0)


def _count_official(guess: dict, new: dict) -> tuple[int, int]:
    right = total = 0
    if "properties" in guess:
        values = guess["properties"]
        total = len(new["properties"])
        right = sum(key in values and same_value(values[key], value)
                    for key, value in new["properties"].items())
    else:
        total = 1
    if "contains" in guess:
        right += sorted(guess["contains"]) == sorted(new["contains"])
    return right, total + 1 - right


def _changes_official(state: State, predicted: dict, next_state: State) -> list[bool]:
    """One mark for each property (or `contains`) that should change, of objects that stay.

    Raises:
        KeyError: where a predicted object has a property that neither the current nor the true
            object has: the released code stumbles over it and the reward is 0.
    """
    before = {o["uuid"]: o for o in state[0]}
    marks, unknown = [], None
    for new in next_state[0]:
        guess = predicted.get(new["uuid"])
        if guess is None:
            continue
        if "properties" not in guess:                 # the code gives up the whole term
            return []
        old = before[new["uuid"]]                     # a created object never gets this far
        if guess is old and old is new:
            continue
        had, has, says = old["properties"], new["properties"], guess["properties"]
        for key, value in has.items():
            if key not in had or not same_value(had[key], value):
                marks.append(key in says and same_value(says[key], value))
        for key in says:
            if key not in has:
                marks.append(False)                   # it should have gone ...
                unknown = unknown if key in had else key                 # ... or was never there
        if not same_contains(old["contains"], new["contains"]):
            marks.append(same_contains(guess.get("contains", []), new["contains"]))
    if unknown is not None:
        raise KeyError(unknown)
    return marks


def _judge_strict(state: State, answer: Answer, next_state: State, kind: str) -> dict:
    """Both states must hold the same objects with the same keys and the same values."""
    predicted, score = apply_strict(state, answer)
    target, target_score = next_state
    n_right = n_wrong = found = 0
    for new in target:
        guess = predicted.get(new["uuid"])
        if guess is None:
            n_wrong += 1
            continue
        found += 1
        if guess is new or guess == new:
            n_right += len(new["properties"]) + len(new) - 2     # not `uuid`, not `properties`
        else:
            marks = _marks(guess, new)
            right = sum(marks.values())
            n_right, n_wrong = n_right + right, n_wrong + len(marks) - right
    n_wrong += len(predicted) - found                 # hallucinated, or not removed
    item = n_right / (n_right + n_wrong)
    keys = target_score.keys() | score.keys()
    points = sum(key in score and key in target_score and score[key] == target_score[key]
                 for key in keys) / len(keys)
    if kind == "binary":
        return _parts(item, points, readable=1.0)
    change = _mean(_changes_strict(state, predicted, next_state))
    return _parts(item, points, change, kind, 1.0)


def _marks(guess: dict, new: dict) -> dict[tuple, bool]:
    """Right or wrong for every key that one of two objects has (not the uuid)."""
    marks = {}
    for key in guess.keys() | new.keys():
        if key == "properties":
            says, has = guess.get(key, {}), new[key]
            for name in says.keys() | has.keys():
                marks[key, name] = (name in says and name in has
                                    and same_value(says[name], has[name]))
        elif key == "contains":
            marks[key, ""] = same_contains(guess.get(key), new.get(key))
        elif key != "uuid":
            marks[key, ""] = key in guess and key in new and guess[key] == new[key]
    return marks


def _changes_strict(state: State, predicted: dict, next_state: State) -> list[bool]:
    """One mark for every entry that should change: edited, created and removed ones."""
    gone = {o["uuid"]: o for o in state[0]}
    marks = []
    for new in next_state[0]:
        old = gone.pop(new["uuid"], None)
        if old is new or old == new:
            continue
        should = _marks(old if old is not None else {"uuid": new["uuid"]}, new)
        guess = predicted.get(new["uuid"])
        right = _marks(guess, new) if guess is not None else {}
        # an entry that neither the guess nor the truth has was rightly deleted
        marks += [right.get(key, guess is not None)
                  for key, same in should.items() if not same]
    return marks + [uuid not in predicted for uuid in gone]
