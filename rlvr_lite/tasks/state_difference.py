"""State differences: the answer of a text-game world model.

What: a state is a pair `(objects, score)` in the ByteSized32 format: `objects` is a sequence of
dicts with `name, uuid, type, properties, contains`, `score` a dict with `score, gameOver,
gameWon`. The answer names only what is different after one step:
`{"modified": [whole objects], "removed": [uuids], "score": {} or the whole score}`.
`difference` writes it, `recover` applies it, `extract` reads it from the text of a language
model. The rewards that judge an answer stand in `state_rewards.py`.
Source: RLVR-World section 5.1, appendix A.1 and D; its released code `text_game.py`.
`recover` has two modes. `official` behaves as the released code does: objects that an answer
creates are dropped, entries that cannot be read are skipped, an omitted score is an empty one.
`strict` creates them, refuses a malformed answer, and leaves alone what is not mentioned.
Differs from the paper: its code parses with json_repair and then dirtyjson; here a text that is
JSON already is read by `json`, and only the rest goes through json_repair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

State = tuple[Sequence[dict], dict]          # (objects, score)
Answer = dict[str, Any]                      # {"modified": [...], "removed": [...], "score": {}}

MODES = ("official", "strict")
NOTHING: Answer = {"modified": [], "removed": [], "score": {}}     # the do-nothing answer

_MARKERS = tuple(f"{the}he final {what} is:" for what in ("answer", "state", "game state")
                 for the in "Tt")
_FENCE = re.compile(r"```json\s*([\s\S]*?)\s*```")


# ---------------------------------------------------------------- state -> difference -> state

def difference(state: State, next_state: State) -> Answer:
    """The gold answer: what has to be written to turn `state` into `next_state`.

    Args:
        state: pair (objects, score) before the action.
        next_state: pair (objects, score) after the action and the tick.

    Returns:
        `{"modified", "removed", "score"}`; objects are shared with `next_state`, not copied.
        A created object stands in `modified` under its new uuid. `score` is {} if unchanged.
    """
    objects, score = state
    next_objects, next_score = next_state
    before = {o["uuid"]: o for o in objects}
    modified = []
    for new in next_objects:
        old = before.pop(new["uuid"], None)
        if old is not new and (old is None or not same_object(old, new)):
            modified.append(new)
    return {"modified": modified, "removed": list(before),
            "score": {} if score == next_score else next_score}


def changed(state: State, next_state: State) -> bool:
    """True where anything changes; decides the subset `changed` or `unchanged` of a test row."""
    answer = difference(state, next_state)
    return bool(answer["modified"] or answer["removed"] or answer["score"])


def recover(state: State, answer: Answer, mode: str = "official") -> State:
    """Apply an answer to a state.

    Args:
        state: pair (objects, score); it is not changed, and untouched objects are shared.
        answer: a state difference.
        mode: `official` drops created objects, ignores entries it cannot read, and leaves the
            score empty where the answer omits it; `strict` creates, and reads only sound answers.

    Returns:
        The predicted next state as a pair (list of objects, score).

    Raises:
        ValueError: in `strict` mode, where the answer is malformed: a missing or mistyped part,
            an entry without uuid, a uuid named twice, a removal of an object that is not there.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {MODES}, got {mode!r}")
    apply = apply_official if mode == "official" else apply_strict
    predicted, score = apply(state, answer)
    return list(predicted.values()), score


def same_state(a: State, b: State) -> bool:
    """Equality of two states; the order of objects and of `contains` does not count."""
    left, right = ({o["uuid"]: o for o in s[0]} for s in (a, b))
    return (a[1] == b[1] and left.keys() == right.keys()
            and all(same_object(left[u], right[u]) for u in left))


def same_object(a: dict, b: dict) -> bool:
    """Equality of two objects; the order of `contains` does not count."""
    if a == b:
        return True
    if a.keys() != b.keys() or not same_contains(a.get("contains"), b.get("contains")):
        return False
    return all(same_value(a[key], b[key]) for key in a if key != "contains")


def same_contains(a: Any, b: Any) -> bool:
    """Equality of two lists of names as multisets."""
    return a == b or sorted(a or ()) == sorted(b or ())


def same_value(a: Any, b: Any) -> bool:
    """Equality of two values that takes a list and a tuple of the same things for equal."""
    if a == b:
        return True
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same_value, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same_value(a[key], b[key]) for key in a)
    return False


def apply_official(state: State, answer: Answer) -> tuple[dict, Any]:
    """Predicted objects by uuid, and the predicted score ({} where there is none)."""
    objects, score = state
    edits = {}
    try:
        for entry in answer["modified"]:
            try:
                edits[entry["uuid"]] = entry
            except (TypeError, KeyError, IndexError):
                pass                                  # an entry that cannot be read is skipped
    except TypeError:
        pass                                          # `modified` is not a list: no edit at all
    removed = answer["removed"]
    if not isinstance(removed, (list, tuple, set, dict)):
        removed = ()
    predicted = {o["uuid"]: edits.get(o["uuid"], o)   # only objects that exist are walked:
                 for o in objects if o["uuid"] not in removed}       # a created one is lost here
    if "score" not in answer:
        return predicted, {}
    given = answer["score"]
    if not hasattr(given, "__len__") or len(given) == 0:
        return predicted, score
    if "uuid" in given:                               # read as one more object
        predicted[given["uuid"]] = given
        return predicted, {}
    return predicted, (given if "score" in given else {})


def apply_strict(state: State, answer: Answer) -> tuple[dict, dict]:
    """Predicted objects by uuid and the predicted score; ValueError for a malformed answer."""
    objects, score = state
    if not isinstance(answer, Mapping) or "modified" not in answer or "removed" not in answer:
        raise ValueError('an answer is a dict with "modified", "removed" and "score"')
    modified, removed = answer["modified"], answer["removed"]
    given = answer.get("score") or {}
    if not (isinstance(modified, (list, tuple)) and isinstance(removed, (list, tuple))
            and isinstance(given, Mapping)):
        raise ValueError('"modified" and "removed" are lists, "score" is a dict')
    predicted = {o["uuid"]: o for o in objects}
    try:
        for uuid in removed:
            del predicted[uuid]
        names = {entry["uuid"] for entry in modified}
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"an entry has no uuid, or names no object: {error}") from None
    if len(names) < len(modified) or (removed and not names.isdisjoint(removed)):
        raise ValueError("a uuid is named twice")
    for entry in modified:
        if not isinstance(entry.get("properties"), Mapping) or not _names(entry.get("contains")):
            raise ValueError("an object needs `properties` (a dict) and `contains` (names)")
        predicted[entry["uuid"]] = entry
    return predicted, (given or score)


def _names(contains: Any) -> bool:
    return isinstance(contains, (list, tuple)) and all(isinstance(n, str) for n in contains)


# ------------------------------------------------------------------------------- text -> answer

def extract(text: str) -> Answer | None:
    """Find and read the state difference in the text a language model wrote.

    Tried in this order, as the released code does: what follows the last "The final answer is:"
    (also `state` or `game state`, also with a small t), the last ```json block of at least ten
    characters, the whole text. Python's True, False and None become JSON's; what is still no
    JSON is repaired.

    Returns:
        The answer, or None where no dict with `modified` and `removed` can be read.
    """
    for marker in _MARKERS:
        if marker in text:
            text = text.rsplit(marker, 1)[1].strip()
            break
    else:
        blocks = _FENCE.findall(text)
        if blocks and len(blocks[-1]) >= 10:
            text = blocks[-1]
    text = text.replace("True", "true").replace("False", "false").replace("None", "null")
    answer = read_json(text)
    if isinstance(answer, dict) and "modified" in answer and "removed" in answer:
        return answer
    return None


def read_json(text: str) -> Any | None:
    """Tolerant JSON: `json` first, then json_repair; None where nothing can be read."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    import json_repair
    try:
        return json_repair.loads(text)
    except (ValueError, RecursionError, IndexError, KeyError, TypeError):
        return None


def write(answer: Answer) -> str:
    """An answer as text that `extract` reads back."""
    return "The final answer is: " + json.dumps(answer)
