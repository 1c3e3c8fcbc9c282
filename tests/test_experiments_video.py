"""The video experiments, end to end, on synthetic clips with tiny random tokenizers."""

from dataclasses import replace

import pytest
import torch

from rlvr_lite import experiments, experiments_tokenizers, experiments_video, paper
from rlvr_lite.experiments_all import records, studies
from rlvr_lite.experiments_lab import Record, run_folder
from rlvr_lite.grpo import GRPOConfig
from rlvr_lite.mle import MLEConfig
from rlvr_lite.perceptual import Perceptual
from rlvr_lite.reconstruction import ReconstructionConfig
from rlvr_lite.tasks.robot_video import RobotVideoTask, VideoTokens, clips
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer
from synthetic_video import episodes


@pytest.fixture
def world(monkeypatch, tmp_path):
    """Three synthetic tasks instead of the recording, one of 4 episodes each."""
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    tokens = VideoTokens(FrameTokenizer(4, width=16).eval(),
                         CompressiveTokenizer(2, width=16).eval())
    lpips = Perceptual(None)

    def data(split, per_episode, horizon=None):
        seed = ("train", "validation", "test").index(split)
        return clips(replace(episodes(4, seed), split=split), tokens, per_episode, 0, horizon)

    monkeypatch.setattr(experiments_video, "video_tokens", lambda: tokens)
    monkeypatch.setattr(experiments_video, "data", data)
    monkeypatch.setattr("rlvr_lite.tasks.robot_video.perceptual", lambda: lpips)
    return tmp_path / "runs"


def small(name: str, **changes):
    """A study of a few steps."""
    study = replace(
        experiments_video.STUDIES[name], seconds=2.0, per_episode=2, width=16, layers=1, hidden=16,
        base=MLEConfig(steps=4, batch=4, validate_every=2),
        rl=GRPOConfig(steps=2, prompts=2, group=2, minibatches=1, lr=1e-3), **changes)
    return study


METHODS = ("trivial", "floor", "mle", "repetition_rejection", "mle_continued", "rlvr",
           "rlvr_lora", "rlvr_repetition_penalty")


def test_every_method_runs_and_becomes_a_record(world, monkeypatch):
    study = small("video_multi", horizon=3, judged=2)
    monkeypatch.setitem(experiments_video.STUDIES, "video_multi", study)
    lab = replace(experiments_video.LAB, prepare=experiments_video.video_tokens, records={
        "video_multi": Record("video_multi", METHODS, metrics=experiments_video.METRICS)})
    lab.run_all(study, list(METHODS), [0], world)
    monkeypatch.setattr("rlvr_lite.experiments_lab.results_folder", lambda: world)
    path = lab.summarise("video_multi", world)
    result = experiments.json.loads(path.read_text())
    assert result["claim"] == "video_lpips_multi" and result["paper"]["rlvr"]["lpips"] == 13.4
    found = {r["method"]: r["mean"] for r in result["rows"] if r["metric"] == "lpips"
             and r["subset"] == "all" and r["decoding"] in ("greedy", "sampled")}
    assert set(found) == set(METHODS) and all(v >= 0 for v in found.values())
    pairs = {(d["a"], d["b"], d["decoding"]) for d in result["differences"]}
    assert ("rlvr", "mle", "best") in pairs and ("rlvr", "repetition_rejection", "greedy") not in \
        pairs
    assert ("rlvr", "repetition_rejection", "sampled") in pairs
    assert {r["subset"] for r in result["rows"]} == {"all", "push"}


def test_both_studies_share_one_base(world):
    multi, single = small("video_multi", horizon=3, judged=None), small("video_single")
    experiments_video.LAB.run_one(multi, "mle", 0, world)
    made = run_folder(experiments_video.BASE, "mle", 0, world) / "model" / "model.safetensors"
    before = made.stat().st_mtime_ns
    run = experiments.load_run(experiments_video.LAB.run_one(single, "mle", 0, world))
    assert made.stat().st_mtime_ns == before
    assert set(run.scores["test"]) == {"greedy", "sampled", "best"}
    assert run.notes["best"] in [list(d) for d in experiments_video.DECODINGS]


def test_a_study_of_few_episodes_has_clips_and_a_base_of_its_own(world, monkeypatch):
    monkeypatch.setattr(experiments_video, "TASKS", ("push",))
    monkeypatch.setattr(experiments_video, "episodes", lambda task, split: episodes(4, 0))
    experiments_video.training.cache_clear()
    study = small("video_small", horizon=3, judged=None)
    with pytest.raises(ValueError, match="4 training episodes of a task, got episodes=24"):
        experiments_video.training(study)
    study = replace(study, episodes=2)
    assert {clip.number for clip in experiments_video.training(study)} == {0, 2}
    assert len(experiments_video.training(replace(study, episodes=None))) == 2 * len(
        experiments_video.training(study))
    experiments_video.LAB.run_one(study, "mle", 0, world)
    run = experiments.load_run(experiments_video.LAB.run_one(study, "mle_to_the_end", 0, world))
    assert run.cost["steps"] == run.history[-1]["step"] >= 20, "no early end"
    assert (world / "video_small_base" / "base-0" / "model").is_dir()
    assert not (world / experiments_video.BASE).exists()
    single = replace(small("video_small_single", horizon=1), episodes=2)
    made = (world / "video_small_base" / "base-0" / "history.json").stat().st_mtime_ns
    experiments_video.LAB.run_one(single, "mle", 0, world)
    assert (world / "video_small_base" / "base-0" / "history.json").stat().st_mtime_ns == made


def test_a_base_of_another_size_is_not_taken_for_this_one(world):
    study = small("video_multi", horizon=3, judged=None)
    experiments_video.base_model(study, 0, world)
    with pytest.raises(ValueError, match="width"):
        experiments_video.base_model(replace(study, width=32), 0, world)


def test_an_episode_is_one_test_item_however_many_clips_it_has(world, monkeypatch):
    study = small("video_single", test_clips=3)
    counts = iter(range(100))
    monkeypatch.setattr(RobotVideoTask, "judge",
                        lambda self, frames, clip: {"lpips": float(next(counts))})
    run = experiments_video.trivial(study, 0, world)
    assert run.scores["test"]["greedy"]["lpips"] == [1.0, 4.0, 7.0, 10.0]
    assert run.subsets["test"]["push"] == [1, 1, 1, 1]


def test_rejection_keeps_what_does_not_repeat(world, monkeypatch):
    study = small("video_multi", horizon=3, judged=None)
    experiments_video.LAB.run_one(study, "mle", 0, world)
    step = 4 + 8  # tokens of a frame and of the actions behind it
    first = [5, 6, 7, 8] + 8 * [2000]
    frozen = first + first + [5, 6, 7, 8]
    moving = first + first + [5, 6, 7, 9]
    task = RobotVideoTask(experiments_video.video_tokens(), 3)
    clip = experiments_video.data("test", 1, 3)[0]
    assert len(frozen) == task.max_new == 2 * step + 4
    assert task.repeats(frozen, clip) and not task.repeats(moving, clip)
    kept = []
    monkeypatch.setattr(experiments_video, "answers",
                        lambda model, task, items, *a: [[frozen, moving, frozen] for _ in items])
    monkeypatch.setattr(RobotVideoTask, "measure", lambda self, answers, some: [
        kept.append(a) or {"lpips": 0.0} for a in answers])
    experiments_video.repetition_rejection(study, 0, world, tries=3)
    assert kept and all(a == moving for a in kept)
    monkeypatch.setattr(experiments_video, "answers",
                        lambda model, task, items, *a: [[frozen] * 3 for _ in items])
    kept.clear()
    experiments_video.repetition_rejection(study, 0, world, tries=3)
    assert kept and all(a == frozen for a in kept)  # nothing better was found


def test_tokenizers_are_trained_judged_and_recorded(world, monkeypatch):
    for module in (experiments_tokenizers,):
        monkeypatch.setattr(module, "episodes", lambda task, split: replace(
            episodes(3, ("train", "test").index(split)), task=task))
        monkeypatch.setattr(module, "perceptual", lambda: Perceptual(None))
    study = experiments_tokenizers.TokenizerStudy(
        training=ReconstructionConfig(steps=2, batch=2, log_every=1))
    for kind in ("trivial", "compressive2"):
        experiments_tokenizers.LAB.run_one(study, kind, 0, world)
    run = experiments.load_run(experiments.run_path(world / study.name, "compressive2", 0))
    assert len(run.scores["test"]["greedy"]["lpips"]) == 3 * 3 * 3
    assert sum(run.subsets["test"]["gap of 8 frames"]) == 9 and run.notes["tokens"] == 4
    assert 1 <= run.notes["perplexity"] <= run.notes["codes_used"] <= run.notes["codes"]
    place = run_folder(study.name, "compressive2", 0, world) / "tokenizer"
    assert CompressiveTokenizer.load(place).tokens == 4


def test_all_laboratories_are_known():
    assert {"text_serial", "video_multi", "video_tokenizers"} <= set(studies())
    assert {"text_sweeps", "video_single", "video_tokenizers"} <= set(records())
    for name, lab in records().items():
        record = lab.records[name]
        assert record.study in lab.studies and set(record.methods) <= set(lab.methods), name


def test_the_papers_table_has_the_papers_gain():
    gain = 1 - paper.VIDEO["multi"]["rlvr"][-1] / paper.VIDEO["multi"]["mle"][-1]
    assert 100 * gain == pytest.approx(paper.VIDEO_GAIN["multi"], abs=0.5)
    assert paper.video_rows("single")["mle"] == {"mse": 0.336, "psnr": 25.3, "ssim": 81.7,
                                                 "lpips": 13.0}


def test_one_model_for_each_metric_is_judged_by_all(world, monkeypatch):
    study = small("video_metrics")
    monkeypatch.setitem(experiments_video.STUDIES, "video_metrics", study)
    methods = ["mle", "rlvr_l1", "rlvr_ssim"]
    lab = replace(experiments_video.LAB, prepare=experiments_video.video_tokens)
    lab.run_all(study, methods, [0], world)
    monkeypatch.setattr("rlvr_lite.experiments_lab.results_folder", lambda: world)
    result = experiments.json.loads(lab.summarise("video_metrics", world).read_text())
    assert result["claim"] is None and not result["paper"]
    assert {r["metric"] for r in result["rows"]} == set(experiments_video.JUDGES)
    pairs = {(d["a"], d["b"], d["decoding"]) for d in result["differences"]}
    assert {("rlvr_l1", "rlvr_ssim", "sampled"), ("rlvr_ssim", "rlvr_l1", "sampled"),
            ("rlvr_ssim", "mle", "greedy")} <= pairs
    assert ("rlvr_l1", "rlvr_ssim", "greedy") not in pairs
