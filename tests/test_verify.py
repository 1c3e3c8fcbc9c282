"""Verification of what ships: an intact checkpoint holds; damage, swaps and gaps are told."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from rlvr_lite import __main__ as cli
from rlvr_lite import checkpoints, experiments_video, experiments_web, model, paths, verify
from rlvr_lite.evaluation import mean, scores
from rlvr_lite.perceptual import Perceptual
from rlvr_lite.tasks import robot_policies
from rlvr_lite.tasks.robot_video import RobotVideoTask, VideoTokens, clips
from rlvr_lite.tasks.web_page import train_tokenizer
from rlvr_lite.tokenizers.compressive import CompressiveTokenizer
from rlvr_lite.tokenizers.frames import FrameTokenizer
from rlvr_lite.worlds.web_pages import transitions
from synthetic_video import episodes

FEW = 24  # test items


def recorded() -> dict[str, dict]:
    found = {p.stem: json.loads(p.read_text("utf-8"))
             for p in paths.results_folder().glob("*.json")}
    return {name: record for name, record in found.items() if "rows" in record}


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty shelf in place of the package's, and a way to put copies there."""
    true = checkpoints.folder("")

    def put(name: str):
        return shutil.copytree(true / name, tmp_path / "checkpoints" / name)

    monkeypatch.setattr(checkpoints, "data_folder", lambda: tmp_path)
    return put


def edit(path, change) -> None:
    """Change the tensors of a file of weights."""
    weights = load_file(path)
    change(weights)
    save_file(weights, path, {"format": "pt"})


def halve_a_layer(weights: dict) -> None:
    for name in weights:
        if "layers.0." in name and "proj" in name:
            weights[name] = weights[name] / 2


def forget_the_decoder(weights: dict) -> None:
    for name in weights:
        if weights[name].ndim == 4:
            weights[name] = weights[name].roll(1, 0)


def result(study: str, method: str, metric: str, value: float, width: float) -> dict:
    """Records with one row, of three seeds; the checkpoint is the first, and not the mean."""
    mid = value + 0.1
    row = {"method": method, "decoding": "greedy", "subset": "all", "metric": metric, "n": 100,
           "mean": mid, "low": mid - width / 2, "high": mid + width / 2,
           "per_seed": [value, mid, mid + 0.1]}
    return {study: {"experiment": study, "rows": [row], "differences": [], "title": "A study",
                    "provenance": {"seeds": [0, 1, 2], "date": "2026-01-01", "commit": "abc",
                                   "device": "cpu", "versions": {"torch": "2"}}}}


def note(place, metric: str, value: float) -> None:
    (place / "made.json").write_text(json.dumps({"seed": 0, f"test_{metric}_greedy": value}))


# ---- the text game ---------------------------------------------------------------------------


def test_an_intact_checkpoint_holds_and_a_damaged_one_does_not(shelf):
    place = shelf("text_serial")
    found = verify.check("text_serial", recorded(), FEW)
    assert (found.verdict, found.reason, found.items) == ("holds", "", FEW)
    assert abs(found.now - found.recorded) <= found.tolerance < 0.5
    edit(place / "model.safetensors", halve_a_layer)
    found = verify.check("text_serial", recorded(), FEW)
    assert found.verdict == "off" and "recorded run" in found.reason
    assert found.now < found.recorded - found.tolerance


def test_files_that_are_cut_off_or_gone_are_told_without_a_crash(shelf):
    assert verify.check("text_serial", recorded(), FEW).verdict == "missing"
    place = shelf("text_serial")
    weights = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(weights[:len(weights) // 2])
    found = verify.check("text_serial", recorded(), FEW)
    assert found.verdict == "unreadable" and found.reason and found.now is None
    (place / "config.json").unlink()
    found = verify.check("text_serial", recorded(), FEW)
    assert found.verdict == "missing" and "make checkpoints" in found.reason
    (place / "made.json").write_text("{")
    assert verify.check("text_serial", recorded(), FEW).verdict == "unreadable"


def test_a_result_that_is_not_there_is_told(shelf):
    shelf("text_serial")
    records = recorded()
    found = verify.check("text_serial", {}, FEW)
    assert found.verdict == "missing" and "results text_serial --run" in found.reason
    records["text_serial"]["rows"] = []
    found = verify.check("text_serial", records, FEW)
    assert found.verdict == "missing" and "seed 0" in found.reason


# ---- what is allowed -------------------------------------------------------------------------


def answers(monkeypatch, values: list[float], total: int = 100) -> None:
    monkeypatch.setitem(verify.EXPERIMENTS, "text_serial",
                        ("exact", lambda name, study, items: (values, total)))


@pytest.mark.parametrize("now, verdict", [
    (0.500, "holds"), (0.503, "holds"), (0.497, "holds"), (0.507, "off"), (0.493, "off"),
    (float("nan"), "off")])
def test_a_tenth_of_half_the_interval_is_allowed(now, verdict, shelf, monkeypatch):
    place = shelf("text_serial")
    note(place, "exact", 0.5)
    answers(monkeypatch, [now] * 100)
    records = result("text_serial", "mle", "exact", 0.5, width=0.1)
    assert verify.check("text_serial", records).verdict == verdict


def test_a_checkpoint_of_another_run_is_off_whatever_it_scores(shelf, monkeypatch):
    place = shelf("text_serial")
    answers(monkeypatch, [0.5] * 100)
    records = result("text_serial", "mle", "exact", 0.5, width=0.1)
    note(place, "exact", 0.51)
    found = verify.check("text_serial", records)
    assert found.verdict == "off" and "0.51" in found.reason
    (place / "made.json").write_text('{"seed": 0}')
    assert verify.check("text_serial", records).verdict == "off"


def test_some_items_may_miss_the_mean_of_all_by_more():
    row = {"low": 0.4, "high": 0.6}
    allowed = [verify.tolerance(row, items, 100) for items in (100, 50, 10, 1)]
    assert allowed == sorted(allowed) and allowed[0] == pytest.approx(0.01, abs=1e-5)
    assert allowed[1] == pytest.approx(0.01 + 3 * 0.1 / 1.96, abs=1e-5)


def test_a_base_and_its_rlvr_model_cannot_be_taken_for_each_other():
    records, compared = recorded(), 0
    for study, method in checkpoints.SHIPPED.values():
        if method == "rlvr" and study in records:
            metric, _ = verify.EXPERIMENTS[study]
            base, after = (verify.of_seed(records, study, m, metric, 0)
                           for m in ("mle", "rlvr"))
            for row in (base[0], after[0]):
                assert abs(base[1] - after[1]) > 1.5 * verify.tolerance(row, 1, 1), study
            compared += 1
    assert compared >= 3


def test_items_are_spread_over_the_test_split():
    assert verify.spread(list(range(10)), 4) == [0, 2, 5, 7]
    for count in (None, 10, 11):
        assert verify.spread(list(range(10)), count) == list(range(10))


def test_every_shipped_checkpoint_can_be_verified():
    assert {study for study, _ in checkpoints.SHIPPED.values()} <= set(verify.EXPERIMENTS)


# ---- video and web ---------------------------------------------------------------------------


def test_a_video_tokenizer_holds_and_a_damaged_one_does_not(shelf):
    name = "video_tokenizers/frames8"
    place = shelf(name)
    assert verify.check(name, recorded(), 12).verdict == "holds"
    edit(place / "tokenizer.safetensors", forget_the_decoder)
    found = verify.check(name, recorded(), 12)
    assert found.verdict == "off" and found.now > found.recorded
    (place / "tokenizer.safetensors").unlink()
    assert verify.check(name, recorded(), 12).verdict == "missing"


def test_a_video_model_is_judged_by_its_rollouts(shelf, tmp_path, monkeypatch):
    torch.manual_seed(0)
    tokens = VideoTokens(FrameTokenizer(4, width=16).eval(),
                         CompressiveTokenizer(2, width=16).eval())
    test, lpips = clips(replace(episodes(4), split="test"), tokens, 1, 0, 2), Perceptual(None)
    study = replace(experiments_video.STUDIES["video_multi"], horizon=2)
    monkeypatch.setitem(experiments_video.STUDIES, "video_multi", study)
    monkeypatch.setattr(experiments_video, "video_tokens", lambda: tokens)
    monkeypatch.setattr(experiments_video, "data", lambda *_: test)
    monkeypatch.setattr("rlvr_lite.tasks.robot_video.perceptual", lambda: lpips)
    place = tmp_path / "checkpoints" / "video_base"
    place.parent.mkdir()
    small = model.build(tokens.vocab_size, width=16, layers=1, heads=2, hidden=16)
    model.save(small.half(), place)
    values = scores(model.load(place), RobotVideoTask(tokens, 2), test)["lpips"]
    note(place, "lpips", mean(values))
    records = result("video_multi", "mle", "lpips", mean(values), width=1e-3)
    assert verify.check("video_base", records).verdict == "holds"
    found = verify.check("video_base", result("video_multi", "mle", "lpips",
                                              mean(values) + 0.01, width=1e-3))
    assert found.verdict == "off"


def test_a_web_model_is_judged_by_its_f1(shelf, tmp_path, monkeypatch):
    words = train_tokenizer(transitions("test")[:200])
    monkeypatch.setattr(experiments_web, "tokenizer", lambda: words)
    place = tmp_path / "checkpoints" / "web_base"
    place.parent.mkdir()
    small = model.build(words.vocab_size, width=16, layers=1, heads=2, hidden=16,
                        max_tokens=1024)
    experiments_web.keep(small.half(), place)
    note(place, "f1", 0.0)
    study = replace(experiments_web.STUDIES["web_pages"], test_items=4)
    monkeypatch.setitem(experiments_web.STUDIES, "web_pages", study)
    records = result("web_pages", "mle", "f1", 0.0, width=1e-3)
    found = verify.check("web_base", records)
    assert (found.verdict, found.items, found.now) == ("holds", 4, 0.0)
    note(place, "f1", 0.8)
    records = result("web_pages", "mle", "f1", 0.8, width=1e-3)
    assert verify.check("web_base", records).verdict == "off"


# ---- policies and read-outs ------------------------------------------------------------------


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """A copy of the folder of policies in place of the package's."""
    place = shutil.copytree(robot_policies.path_of("push", "mid").parent, tmp_path / "policies")
    monkeypatch.setattr(robot_policies, "data_folder", lambda: tmp_path)
    return place


def test_a_policy_holds_and_a_neighbour_in_its_place_does_not(networks):
    for level in ("begin", "mid"):
        found = verify.check_network(f"policies/push_{level}", {})
        assert (found.verdict, found.items) == ("holds", 40) and found.now < found.tolerance
    shutil.copy(networks / "push_converged.safetensors", networks / "push_mid.safetensors")
    found = verify.check_network("policies/push_mid", {})
    assert found.verdict == "off" and found.now > 2 * found.tolerance
    (networks / "push_mid.safetensors").write_bytes(b"cut off")
    assert verify.check_network("policies/push_mid", {}).verdict == "unreadable"
    (networks / "push_mid.safetensors").unlink()
    assert verify.check_network("policies/push_mid", {}).verdict == "missing"


def test_a_readout_holds_and_that_of_another_task_does_not(networks):
    name = "policies/drawer_open_readout"
    found = verify.check_network(name, recorded())
    assert (found.verdict, found.items) == ("holds", 280)
    other = networks / "push_readout.safetensors"
    shutil.copy(other, networks / "drawer_open_readout.safetensors")
    assert verify.check_network(name, recorded()).verdict == "off"
    assert verify.check_network(name, {}).verdict == "missing"


def test_every_shipped_network_can_be_verified():
    shipped = robot_policies.path_of("push", "mid").parent.glob("*.safetensors")
    assert {f"policies/{p.stem}" for p in shipped} == set(verify.NETWORKS)


# ---- the command -----------------------------------------------------------------------------


def test_the_command_prints_a_table_and_fails_where_something_is_off(shelf, tmp_path, monkeypatch,
                                                                     capsys):
    place, results = shelf("text_serial"), tmp_path / "results"
    results.mkdir()
    note(place, "exact", 0.5)
    monkeypatch.setattr("rlvr_lite.paths.results_folder", lambda: results)
    records = result("text_serial", "mle", "exact", 0.5, width=0.1)
    (results / "text_serial.json").write_text(json.dumps(records["text_serial"]))

    answers(monkeypatch, [1.0, 0.0], total=2)
    assert cli.main(["results", "--verify", "text_serial"]) == 0
    text = capsys.readouterr().out
    assert "1 result(s) are consistent" in text and "1 of 1 checkpoint(s) hold" in text
    line = next(line for line in text.splitlines() if line.startswith("text_serial "))
    assert line.split()[1:6] == ["exact", "2", "0.50000", "0.50000", "0.00500"]
    assert line.endswith("holds") and "step 0/1 text_serial" in text

    answers(monkeypatch, [1.0, 1.0], total=2)
    with pytest.raises(SystemExit) as stop:
        cli.main(["results", "text_serial", "--verify"])
    text = capsys.readouterr().out
    assert stop.value.code == 1 and "  off\n" in text and "0 of 1 checkpoint(s) hold" in text
    with pytest.raises(SystemExit) as stop:
        cli.main(["results", "--verify", "web_rlvr", "video_base"])
    text = capsys.readouterr().out
    assert stop.value.code == 1 and text.count("  missing\n") == 2 and "consistent" not in text
    assert cli.main(["results", "--verify", "moon"]) == 2
    assert "no result or checkpoint 'moon'" in capsys.readouterr().err


def test_without_names_everything_is_verified(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr("rlvr_lite.paths.results_folder", lambda: tmp_path)
    monkeypatch.setattr(verify, "check", lambda name, records, items: asked.append((name, items))
                        or verify.Check(name, "exact", now=0.5))
    monkeypatch.setattr(verify, "check_network", lambda name, records: asked.append(name)
                        or verify.Check(name, "actions", now=0.0))
    assert cli.main(["results", "--verify", "--items", "7"]) == 0
    assert asked == [*((name, 7) for name in checkpoints.SHIPPED), *verify.NETWORKS]
    assert torch.get_num_threads() >= 1 and "done" in capsys.readouterr().out
