"""verl: the rewards of this book for the trainer that the paper uses.

What: `rows` writes questions for a pretrained language model, one dict per transition, in the
form of verl's parquet files; `compute_score` is the function that verl calls on every answer. The
answers are the paper's long forms (a JSON state difference, three sections of page items), so the
judges are `state_rewards.reward` and `web_f1.f1`, without a tokenizer of ours.

    import pandas
    from rlvr_lite.interop.verl import rows
    from rlvr_lite.worlds.text_game import transitions
    pandas.DataFrame(rows(transitions("train", 3000))).to_parquet("train.parquet")

and in verl's configuration `custom_reward_function.path` = this file. The verdict is the strict
one; `data_source` "text_game/official" or "web_page/official" asks for the paper's own.
Source: RLVR-World section 4.3, appendix A; verl's documentation of custom reward functions.
Differs from the paper: two shapes of prompt in place of three, without worked examples. Nobody
has trained with it for this book: that needs a GPU and a pretrained model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rlvr_lite.tasks import web_f1
from rlvr_lite.tasks.state_difference import difference
from rlvr_lite.tasks.state_rewards import reward
from rlvr_lite.tasks.text_game import pair
from rlvr_lite.tasks.web_page import items
from rlvr_lite.worlds import text_game, web_pages

TEXT = """You simulate a text game. Its state is a list of objects and a score:
{state}
The player's command is: {action}
Say what is different afterwards. End with one line, "The final answer is: " and a JSON object
with "modified" (every changed or new object, whole), "removed" (uuids) and "score" (the whole
score, or an empty object if it stays)."""

WEB = """You simulate a web page. The user's goal is: {goal}
The page, one element per line:
{page}
The action is: {action}
Say what is different afterwards, in three sections, one line per element, None where a section
is empty:
New items:
Deleted items:
Updated items:"""


def _text_row(t: text_game.Transition) -> tuple[str, str, str]:
    before, after = pair(t.state), pair(t.next_state)
    state = json.dumps({"objects": before[0], "score": before[1]})
    return "text_game", TEXT.format(state=state, action=t.action), json.dumps([before, after])


def _web_row(t: web_pages.Transition) -> tuple[str, str, str]:
    prompt = WEB.format(goal=t.goal, page=web_pages.write_page(t.before), action=t.action)
    return "web_page", prompt, web_f1.write(items(web_pages.difference(t.before, t.after)))


def rows(transitions: Iterable[text_game.Transition | web_pages.Transition], split: str = "train",
         official: bool = False) -> list[dict[str, Any]]:
    """Transitions of either world as rows of a verl data set.

    Args:
        transitions: of the text game or of web pages.
        split: a label that verl keeps.
        official: judged by the paper's own metric instead of the strict one.

    Raises:
        TypeError: something else than a transition of these two worlds.
    """
    found = []
    for number, t in enumerate(transitions):
        if not isinstance(t, (text_game.Transition, web_pages.Transition)):
            raise TypeError("verl's language models read text: expected transitions of the text "
                            f"game or of web pages, got {type(t).__name__}")
        source, prompt, truth = (_text_row if isinstance(t, text_game.Transition) else _web_row)(t)
        found.append({"data_source": source + "/official" * official,
                      "prompt": [{"role": "user", "content": prompt}], "ability": "world_model",
                      "reward_model": {"style": "rule", "ground_truth": truth},
                      "extra_info": {"split": split, "index": number}})
    return found


def compute_score(data_source: str, solution_str: str, ground_truth: str,
                  extra_info: dict | None = None, **_: Any) -> float:
    """The verifiable reward of one answer, between 0 and 1; the signature is verl's.

    Args:
        data_source, ground_truth: as `rows` writes them.
        solution_str: what the model wrote, its thoughts included.
        extra_info: not used.

    Raises:
        ValueError: a data source that `rows` does not write.
    """
    world, _, mode = data_source.partition("/")
    mode = mode or "strict"
    if world == "text_game":
        before, after = json.loads(ground_truth)
        return reward(before, solution_str, after, "binary", mode)["reward"]
    if world == "web_page":
        return web_f1.f1(solution_str, ground_truth, mode)["reward"]
    raise ValueError(f"data_source must begin with text_game or web_page, got {data_source!r}")


def gold_answer(row: dict[str, Any]) -> str:
    """The right answer to a row of `rows`, e.g. to fine-tune on before RL."""
    truth = row["reward_model"]["ground_truth"]
    if row["data_source"].startswith("web_page"):
        return truth
    before, after = json.loads(truth)
    return "The final answer is: " + json.dumps(difference(before, after))
