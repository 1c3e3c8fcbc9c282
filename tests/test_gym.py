"""A world model as gymnasium.Env: gymnasium's own checker, and that the model is what answers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from rlvr_lite.interop import gym
from rlvr_lite.model import build
from rlvr_lite.policy_evaluation import Dream, distance
from rlvr_lite.tasks.robot_policies import ReadOut, fresh
from rlvr_lite.tasks.robot_video import SKIP, VideoTokens
from rlvr_lite.tasks.text_game import TextGameTask, state_line, train_tokenizer
from rlvr_lite.tasks.web_page import WebPageTask
from rlvr_lite.tasks.web_page import train_tokenizer as train_web_tokenizer
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer
from rlvr_lite.worlds import web_pages
from rlvr_lite.worlds.text_game import actions, step, transitions
from rlvr_lite.worlds.web_pages import Action, Element, Transition, difference, write_page
from rlvr_lite.worlds.web_policy import candidates

MISSING = "gymnasium is not installed: pip install gymnasium"


def check(env) -> None:
    checker = pytest.importorskip("gymnasium.utils.env_checker", reason=MISSING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*does not have a spec|.*alternative render.*")
        checker.check_env(env, skip_render_check=True)


@pytest.fixture(scope="module")
def video():
    pytest.importorskip("gymnasium", reason=MISSING)
    torch.manual_seed(0)
    tokens = VideoTokens(*(p.eval().requires_grad_(False) for p in (
        FrameTokenizer(8, width=16), CompressiveTokenizer(2, width=16))))
    model = build(tokens.vocab_size, 32, 2, 4, 48, max_tokens=256, seed=1)
    first = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3)).astype(np.uint8)
    return gym.VideoEnv(model, tokens, "push", fresh(ReadOut, 0).eval(), first,
                        np.tile([0.0, 0.9, 0.02], (3, 1)), steps=4, render_mode="rgb_array")


@pytest.fixture(scope="module")
def text():
    pytest.importorskip("gymnasium", reason=MISSING)
    found = transitions("train", 12)
    task = TextGameTask(train_tokenizer(found, 300), max_new=40)
    model = build(task.tokenizer.vocab_size, 32, 2, 4, 48, max_tokens=512, seed=1)
    return gym.TextGameEnv(model, task, [t.state for t in found], steps=5, render_mode="ansi")


GOAL = "Select Ada and click Submit."


def page(ada: str, verdict: str = "ongoing") -> web_pages.Page:
    return (Element("page", state=verdict), Element("radio", "Ada", ada),
            Element("radio", "Bo", "unchecked"), Element("button", "Submit"))


START, ADA = page("unchecked"), page("checked")
TICK, SUBMIT = Action("click", 1), Action("click", 3)


@pytest.fixture(scope="module")
def web():
    pytest.importorskip("gymnasium", reason=MISSING)
    steps = [Transition("click-option", 0, 0, GOAL, START, TICK, ADA),
             Transition("click-option", 0, 1, GOAL, ADA, SUBMIT, page("checked", "success"))]
    task = WebPageTask(train_web_tokenizer(steps, 300), max_new=30)
    model = build(task.tokenizer.vocab_size, 32, 2, 4, 48, max_tokens=512, seed=1)
    return gym.WebPageEnv(model, task, [(GOAL, START), (GOAL, ADA)], steps=4, render_mode="ansi")


def says(env, monkeypatch, after) -> None:
    """Let the model answer, in its own words, that a page follows; a text is written as it is."""
    words = env.task.tokenizer

    class Found:
        answers = [words.encode(after) + [words.eos_id] if isinstance(after, str)
                   else env.task.write(difference(env.state, after))]
    monkeypatch.setattr(gym, "sample", lambda *a, **k: Found)


def test_gymnasium_accepts_the_video(video):
    check(video)


def test_gymnasium_accepts_the_text_game(text):
    check(text)


def test_gymnasium_accepts_the_web_page(web):
    check(web)


def test_the_video_is_the_models_dream(video):
    frame, info = video.reset(seed=3, options={"start": 1})
    assert info["start"] == 1 and np.array_equal(frame, video.render())
    video.sampling["temperature"] = 0.0
    frame, info = video.reset(seed=3, options={"start": 1})
    dream = Dream(video.model, video.tokens, video.first[1][None], 4, temperature=0.0)
    assert np.array_equal(frame, dream.frames[0])
    action = np.linspace(-1, 1, 8).astype(np.float32)
    for count in range(1, 5):
        frame, reward, terminated, truncated, info = video.step(action)
        assert np.array_equal(frame, dream.step(action.reshape(1, SKIP, 4))[0])
        assert reward == pytest.approx(-distance("push", info["object"], info["goal"]))
        assert not terminated and truncated == (count == 4)
    video.sampling["temperature"] = 1.0


def test_the_video_terminates_on_success(video, monkeypatch):
    video.reset(seed=0)
    monkeypatch.setattr(video, "goals", video.readout.read(video.dream.frames)[:, 3:].repeat(3, 0))
    monkeypatch.setattr(video.readout, "read", lambda frames: np.concatenate(
        [np.zeros((1, 3)), video.goals[:1]], 1))
    _, reward, terminated, _, _ = video.step(np.zeros(8, np.float32))
    assert terminated and reward == pytest.approx(0)


def test_the_text_game_does_what_the_model_says(text, monkeypatch):
    """With a model that is always right, the dream is the game."""
    line, info = text.reset(seed=0, options={"start": 2})
    state = text.starts[2]
    assert line == state_line(state) == text.render()
    assert info["commands"] == list(actions(state))
    monkeypatch.setattr(gym.TextGameEnv, "predict",
                        lambda self, command: step(self.state, command).next_state)
    for number in (0, 5, 10 ** 6):
        command = info["commands"][number] if number < len(info["commands"]) else "wait 1"
        truth = step(state, command).next_state
        line, reward, over, _, info = text.step(number)
        assert line == state_line(truth) and reward == truth.score - state.score
        assert over == truth.over and info["command"] == command
        state = truth


def test_an_answer_is_read_as_the_task_reads_it(text, monkeypatch):
    """The gold answer leads to the true next state, nonsense changes nothing."""
    truth = transitions("train", 12)[0]
    text.reset(seed=0, options={"start": 0})

    class Found:
        answers = [text.task.answer(truth)]
    monkeypatch.setattr(gym, "sample", lambda *a, **k: Found)
    assert state_line(text.predict(truth.action)) == state_line(truth.next_state)
    Found.answers = [text.task.tokenizer.encode("no idea") + [text.task.tokenizer.eos_id]]
    before = state_line(text.state)
    line, reward, _, _, info = text.step(0)
    assert line == before and reward == 0 and info["readable"] is False


def test_the_web_page_does_what_the_model_says(web, monkeypatch):
    """Two right answers win: the page, the proposals, the verdict and its reward."""
    tree, info = web.reset(seed=0, options={"start": 0})
    assert tree == write_page(START) == web.render() and info["goal"] == GOAL
    proposed = [action for action, _ in candidates(GOAL, START, 5)]
    assert info["actions"] == list(map(str, proposed)) and info["action"] == ""
    says(web, monkeypatch, ADA)
    tree, reward, over, _, info = web.step(proposed.index(TICK))
    assert (tree, reward, over) == (write_page(ADA), 0, False)
    assert info["action"] == "click [1]" and info["readable"]
    says(web, monkeypatch, page("checked", "success"))
    tree, reward, over, truncated, info = web.step(info["actions"].index("click [3]"))
    assert (reward, over, truncated) == (1, True, False) and "page success" in tree
    assert info["actions"] == [], "nothing is left to do"


def test_the_web_page_fails_waits_and_does_not_believe_everything(web, monkeypatch):
    web.reset(seed=0, options={"start": 0})
    for wrong in ("~[0] celebrated", "~[1] " + "e" * gym.LONGEST):
        says(web, monkeypatch, wrong)
        tree, reward, over, _, info = web.step(0)
        assert (tree, reward, over) == (write_page(START), 0, False) and not info["readable"]
    says(web, monkeypatch, "~[1] checked\nno such line")
    tree, _, _, _, info = web.step(0)
    assert tree == write_page(ADA) and info["readable"], "what can be read counts"
    web.reset(seed=0, options={"start": 0})
    says(web, monkeypatch, page("unchecked", "failure"))
    for _ in range(3):
        tree, _, over, truncated, info = web.step(4)
        assert tree == write_page(START) and info["action"] == "", "there is no fifth proposal"
        assert not over and not truncated
    _, reward, over, truncated, _ = web.step(0)
    assert (reward, over, truncated) == (-1, True, True)


def test_the_web_page_asks_as_the_task_does(web, monkeypatch):
    """The question is that of the transition; an answer that was cut off changes nothing."""
    web.reset(seed=0, options={"start": 1})
    asked = []

    class Cut:
        answers = [web.task.write(difference(ADA, page("checked", "success")))[:-1]]
    monkeypatch.setattr(gym, "sample", lambda model, questions, *a, **k: asked.extend(
        questions) or Cut)
    tree, _, _, _, info = web.step(0)
    chosen = candidates(GOAL, ADA, 5)[0][0]
    assert asked == [web.task.question(Transition("", 0, 0, GOAL, ADA, chosen, ADA))]
    assert tree == write_page(ADA) and info["readable"] is False


def test_without_gymnasium_it_says_what_to_install(monkeypatch, video, text, web):
    monkeypatch.setattr(gym, "gymnasium", None)
    with pytest.raises(ImportError, match="pip install gymnasium"):
        gym.TextGameEnv(text.model, text.task, text.starts)
    with pytest.raises(ImportError, match="pip install gymnasium"):
        gym.WebPageEnv(web.model, web.task, web.starts)
    with pytest.raises(ImportError, match="pip install gymnasium"):
        gym.VideoEnv(video.model, video.tokens, "push", video.readout, video.first, video.goals)


def test_bad_use_is_refused(video, text, web):
    with pytest.raises(ValueError, match="starts"):
        gym.VideoEnv(video.model, video.tokens, "push", video.readout, video.first[:2],
                     video.goals)
    with pytest.raises(ValueError, match="start"):
        gym.TextGameEnv(text.model, text.task, [])
    for starts in ([], [(GOAL, page("checked", "success"))]):
        with pytest.raises(ValueError, match="ongoing"):
            gym.WebPageEnv(web.model, web.task, starts)
    for fresh_env in (gym.TextGameEnv(text.model, text.task, text.starts),
                      gym.WebPageEnv(web.model, web.task, web.starts)):
        with pytest.raises(RuntimeError, match="reset"):
            fresh_env.step(0)
