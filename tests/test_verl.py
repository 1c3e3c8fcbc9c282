"""The bridge to verl: rows that it can read, and rewards that agree with ours."""

import json
import re

import pytest

from rlvr_lite.interop.verl import compute_score, gold_answer, rows
from rlvr_lite.paths import repository_folder
from rlvr_lite.worlds import text_game, web_pages

TEXT = text_game.transitions("test", 60, seed=3, mix=text_game.NATURAL)
WEB = list(web_pages.transitions("test"))[:60]


def score(row, answer):
    return compute_score(row["data_source"], answer, row["reward_model"]["ground_truth"],
                         extra_info=row["extra_info"])


@pytest.mark.parametrize("found", [TEXT, WEB], ids=["text", "web"])
def test_gold_answers_score_one_and_rows_survive_json(found):
    made = rows(found)
    assert json.loads(json.dumps(made)) == made and len(made) == len(found)
    assert {"data_source", "prompt", "ability", "reward_model", "extra_info"} == made[0].keys()
    for row in made:
        assert score(row, "Let me think.\n" + gold_answer(row)) == 1


@pytest.mark.parametrize("found", [TEXT, WEB], ids=["text", "web"])
def test_the_prompt_tells_state_and_action_but_not_the_answer(found):
    for row, t in zip(rows(found), found):
        prompt = row["prompt"][0]["content"]
        assert str(t.action) in prompt
        assert gold_answer(row) not in prompt


def test_doing_nothing_is_right_only_where_nothing_changes():
    nothing = 'The final answer is: {"modified": [], "removed": [], "score": {}}'
    right = [score(row, nothing) == 1 for row in rows(TEXT)]
    assert right == [not t.changed for t in TEXT]
    assert 0 < sum(right) < len(right)


def test_what_cannot_be_read_scores_nothing():
    for answer in ("", "I do not know.", "The final answer is: {"):
        assert [score(row, answer) for row in rows(TEXT[:5]) + rows(WEB[:5])] == [0] * 10


def test_the_official_metric_is_asked_for_by_name():
    """The word None is an item for the paper's metric, and none for the strict one."""
    quiet = [t for t in WEB if t.before != t.after]
    empty = "New items:\nNone\n\nDeleted items:\nNone\n\nUpdated items:\nNone"
    strict = [score(row, empty) for row in rows(quiet)]
    official = [score(row, empty) for row in rows(quiet, official=True)]
    assert set(strict) == {0.0} and max(official) > 0


def test_other_worlds_and_sources_are_refused():
    with pytest.raises(TypeError, match="text game or of web pages, got int"):
        rows([7])
    with pytest.raises(ValueError, match="text_game or web_page"):
        compute_score("robot_video", "", "")


def test_the_code_of_the_page_runs_up_to_the_trainer(monkeypatch):
    """What the book shows is executed, with a stand-in for the trainer that needs a GPU."""
    trl = pytest.importorskip("trl", reason="TRL is not installed (extra `test`)")
    page = (repository_folder() / "book" / "beyond.md").read_text("utf-8")
    code = next(part for part in re.findall(r"```python\n(.*?)```", page, re.S) if "trl" in part)
    made = {}

    class Trainer:
        def __init__(self, model, reward_funcs, args, train_dataset):
            made.update(judge=reward_funcs, data=train_dataset, group=args.num_generations)

        def train(self):
            made["trained"] = True

    monkeypatch.setattr(trl, "GRPOTrainer", Trainer)
    exec(code.replace("3000", "16").replace('GRPOConfig("out"', 'GRPOConfig("out", use_cpu=True, '
                                            'bf16=False'), {})
    row = made["data"][0]
    nothing = [{"role": "assistant", "content": '{"modified": [], "removed": [], "score": {}}'}]
    before, after = json.loads(row["truth"])
    assert made["judge"]([nothing], [row["source"]], [row["truth"]]) == [float(before == after)]
    assert made["trained"] and made["group"] == 8
