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
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer
from rlvr_lite.worlds.text_game import actions, step, transitions

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


def test_gymnasium_accepts_the_video(video):
    check(video)


def test_gymnasium_accepts_the_text_game(text):
    check(text)


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


def test_without_gymnasium_it_says_what_to_install(monkeypatch, video, text):
    monkeypatch.setattr(gym, "gymnasium", None)
    with pytest.raises(ImportError, match="pip install gymnasium"):
        gym.TextGameEnv(text.model, text.task, text.starts)
    with pytest.raises(ImportError, match="pip install gymnasium"):
        gym.VideoEnv(video.model, video.tokens, "push", video.readout, video.first, video.goals)


def test_bad_use_is_refused(video, text):
    with pytest.raises(ValueError, match="starts"):
        gym.VideoEnv(video.model, video.tokens, "push", video.readout, video.first[:2],
                     video.goals)
    with pytest.raises(ValueError, match="start"):
        gym.TextGameEnv(text.model, text.task, [])
    fresh_env = gym.TextGameEnv(text.model, text.task, text.starts)
    with pytest.raises(RuntimeError, match="reset"):
        fresh_env.step(0)
