"""The command line: help with examples, clear errors, tables, contradictions, resume."""

from __future__ import annotations

import copy
import io
import json

import pytest

from rlvr_lite import __main__ as cli
from rlvr_lite.paths import results_folder
from rlvr_lite.verify import contradictions


def record() -> dict:
    rows = [{"method": m, "decoding": "greedy", "subset": "changed", "metric": "exact",
             "mean": v, "low": v - 0.1, "high": v + 0.1, "per_seed": [v - 0.05, v + 0.05],
             "n": 10} for m, v in (("mle", 0.4), ("rlvr", 0.7))]
    differences = [{"a": "rlvr", "b": "mle", "decoding": "greedy", "subset": "changed",
                    "metric": "exact", "mean": 0.3, "low": 0.2, "high": 0.4}]
    return {"experiment": "text_x", "claim": None, "title": "A study", "rows": rows,
            "differences": differences, "cost": [], "paper": {},
            "provenance": {"date": "2026-01-01", "commit": "abc", "device": "cpu",
                           "seeds": [0, 1], "versions": {"torch": "2"}}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "text_x.json").write_text(json.dumps(record()))
    (tmp_path / "notebook_times.json").write_text('{"00_tour": 5}')
    monkeypatch.setattr("rlvr_lite.paths.results_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["train", "evaluate", "results", "checkpoints"])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert f"python -m rlvr_lite {command}" in capsys.readouterr().out.split("examples:")[1]


@pytest.mark.parametrize("words, message", [
    (["train", "nonsense", "mle"], "no study 'nonsense'"),
    (["train", "text_serial", "magic"], "no method 'magic'"),
    (["train", "text_serial", "rlvr", "--folder", "FOLDER"], "train it first"),
    (["train", "text_serial", "mle", "--set", "speed=3"], "speed=3"),
    (["evaluate", "FOLDER/none"], "none"),
    (["evaluate", "FOLDER", "--split", "moon"], "no split 'moon'"),
    (["evaluate", "FOLDER", "--temperature", "-1"], "--temperature"),
    (["results", "text_moon"], "no result named text_moon"),
    (["results", "--verify", "text_moon"], "no result or checkpoint 'text_moon'"),
])
def test_mistakes_end_with_one_line_that_helps(words, message, folder, tmp_path, capsys):
    status = cli.main([w.replace("FOLDER", str(tmp_path)) for w in words])
    err = capsys.readouterr().err
    assert status == 2 and err.startswith("error: ") and message in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["train", "a", "b", "--seed", "-1"], ["fly"], [],
                                   ["evaluate", "x", "--items", "0"],
                                   ["train", "a", "b", "--seed", "one"]])
def test_bad_values_are_refused(words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2 and "usage:" in capsys.readouterr().err


def test_results_are_listed_and_shown(folder, capsys):
    assert cli.main(["results"]) == 0
    assert capsys.readouterr().out.split() == ["text_x", "A", "study"]
    assert cli.main(["results", "text_x"]) == 0
    text = capsys.readouterr().out
    assert "rlvr" in text and "0.7000" in text and "commit abc" in text


def test_a_result_is_shown_by_its_own_metric_and_decoding(folder, capsys):
    other = record()
    for row in other["rows"]:
        row |= {"metric": "lpips", "decoding": "sampled"}
    (folder / "video_x.json").write_text(json.dumps(other))
    assert cli.main(["results", "video_x"]) == 0
    assert "lpips" in capsys.readouterr().out


@pytest.mark.parametrize("words, message", [
    (["text_x", "--metric", "lpisp"], "no metric in text_x 'lpisp'; there are exact"),
    (["text_x", "--decoding", "gredy"], "no decoding in text_x 'gredy'"),
    (["text_x", "--subset", "chnged"], "no subset in text_x 'chnged'"),
    (["--decoding", "greedy"], "name it first"),
    (["video_ranking", "--run"], "rlvr_lite.experiments_ranking"),
    (["scaling_moon", "--run"], "no result 'scaling_moon'"),
    (["text_serial", "--run", "--seeds", "0"], "holds seeds 0, 1; [1] would be lost")])
def test_a_wrong_question_about_results_is_answered(folder, capsys, words, message):
    (folder / "text_serial.json").write_text(json.dumps(record()))
    assert cli.main(["results", *words]) == 2
    assert message in capsys.readouterr().err


def test_results_outside_of_the_studies_say_how_they_are_recorded(capsys):
    from rlvr_lite.experiments_all import JUDGEMENTS, records

    there = {p.stem for p in results_folder().glob("*.json")
             if "rows" in json.loads(p.read_text("utf-8"))}
    here = {*records(), *JUDGEMENTS}
    assert there <= here | set(cli.ELSEWHERE)
    assert not here & set(cli.ELSEWHERE)
    with pytest.raises(SystemExit):
        cli.main(["results", "--help"])
    text = capsys.readouterr().out
    assert all(f"  {name} " in text and how in text for name, how in cli.ELSEWHERE.items())


def test_run_makes_the_studies_first_and_then_judges_their_models(tmp_path, monkeypatch, capsys):
    from rlvr_lite import experiments_all
    from rlvr_lite.experiments_lab import Laboratory

    made = []
    monkeypatch.setattr("rlvr_lite.paths.results_folder", lambda: tmp_path)
    monkeypatch.setattr(Laboratory, "run_all", lambda *_: None)
    monkeypatch.setattr(Laboratory, "summarise", lambda self, name, folder: made.append(name))
    for module in ("policy", "scaling"):
        monkeypatch.setattr(f"rlvr_lite.experiments_{module}.main", made.append)
    assert cli.main(["results", "--run", "--folder", "there", "--seeds", "0", "4"]) == 0
    records = list(experiments_all.records())
    assert made[:len(records)] == records
    policies, *scaling = made[len(records):]
    assert policies[1:6] == ["mle=there/video_base/base-{seed}/model",
                             "rlvr=there/video_multi/rlvr-{seed}/model", "--seeds", "0", "4"]
    assert scaling == [["text"], ["video"], ["video_single"]]
    count = len(records) + len(experiments_all.JUDGEMENTS)
    assert f"result {count} of {count}: scaling_video_single" in capsys.readouterr().out


def test_runs_are_counted(tmp_path, monkeypatch, capsys):
    from rlvr_lite import experiments_text
    from rlvr_lite.experiments_lab import Laboratory

    monkeypatch.setattr(Laboratory, "run_one", lambda self, study, method, seed, _: method)
    experiments_text.LAB.run_all(experiments_text.STUDIES["text_serial"], ["rlvr", "mle"], [0, 1],
                                 tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        f"run {n} of 4: {m}" for n, m in enumerate(("mle", "mle", "rlvr", "rlvr"), 1)]


def test_models_of_other_worlds_are_refused(capsys):
    from rlvr_lite import checkpoints

    assert cli.main(["evaluate", str(checkpoints.folder("web_base"))]) == 2
    assert "model of web_pages" in capsys.readouterr().err
    for load, name in ((checkpoints.load_text_model, "web_base"),
                       (checkpoints.load_web_model, "video_base"),
                       (checkpoints.load_video_model, "text_serial")):
        with pytest.raises(ValueError, match="another world"):
            load(name)


def test_a_consistent_record_passes(folder, capsys):
    assert cli.main(["results", "--verify", "text_x"]) == 0
    assert "1 result(s) are consistent" in capsys.readouterr().out


def change(path: str, value) -> dict:
    wrong = copy.deepcopy(record())
    place, keys = wrong, path.split("/")
    for key in keys[:-1]:
        place = place[int(key) if key.isdigit() else key]
    place[keys[-1]] = value
    return wrong


@pytest.mark.parametrize("path, value, words", [
    ("rows/0/mean", 0.45, "not the mean of its seeds"),
    ("rows/1/low", 0.9, "interval without its mean"),
    ("rows/1/method", "mle", "stands there twice"),
    ("rows/0/per_seed", [0.4], "1 values for 2 seeds"),
    ("differences/0/mean", 0.25, "not the difference of its rows"),
    ("differences/0/b", "trivial", "compares a row that is not there"),
    ("provenance/commit", "", "no commit"),
])
def test_contradictions_are_found(path, value, words):
    assert contradictions(record()) == []
    assert any(words in text for text in contradictions(change(path, value)))


def test_verify_fails_the_command(folder, capsys):
    (folder / "text_x.json").write_text(json.dumps(change("rows/0/mean", 0.45)))
    with pytest.raises(SystemExit) as stop:
        cli.main(["results", "--verify", "text_x"])
    assert stop.value.code == 1


def test_recorded_results_of_the_book_are_consistent():
    for path in results_folder().glob("*.json"):
        found = json.loads(path.read_text("utf-8"))
        assert "rows" not in found or contradictions(found) == [], path.name


def test_progress_on_a_terminal_and_in_a_log():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen, log = Terminal(), io.StringIO()
    for out in (screen, log):
        print("step 50/100 loss 1.2", file=cli.Bar(out))
    assert "[##########----------]  50% step 50/100" in screen.getvalue()
    assert log.getvalue() == "step 50/100 loss 1.2\n"


def test_a_finished_run_is_kept_and_an_interruption_is_explained(tmp_path, monkeypatch, capsys):
    from rlvr_lite import experiments
    from rlvr_lite.experiments_lab import Laboratory

    path = experiments.run_path(tmp_path / "text_serial", "mle", 0)
    calls = []

    def run_one(self, study, method, seed, folder):
        calls.append(method)
        if len(calls) == 1:
            raise KeyboardInterrupt
        experiments.save_run(experiments.Run("mle", 0, {"test": {"greedy": {"exact": [1, 0]}}},
                                             {"test": {"changed": [1, 0]}}), path.parent)

    monkeypatch.setattr(Laboratory, "run_one", run_one)
    words = ["train", "text_serial", "mle", "--folder", str(tmp_path)]
    assert cli.main(words) == 130
    assert "same command goes on" in capsys.readouterr().err
    assert cli.main(words) == 0
    assert "changed 100.0 %" in capsys.readouterr().out
    assert cli.main(words) == 0 and len(calls) == 2
    assert "there already" in capsys.readouterr().out


def test_force_deletes_nothing_before_the_command_can_run(tmp_path, capsys):
    from rlvr_lite import experiments, experiments_lab, experiments_text

    study = experiments_text.STUDIES["text_serial"]
    experiments_lab.check_settings(study, tmp_path)
    path = experiments.run_path(tmp_path / study.name, "rlvr", 0)
    experiments.save_run(experiments.Run("rlvr", 0, {}, {}), path.parent)
    words = ["train", study.name, "rlvr", "--force", "--folder", str(tmp_path)]
    assert cli.main([*words, "--set", "seconds=20"]) == 2
    assert "other settings (seconds)" in capsys.readouterr().err and path.is_file()
    assert cli.main(words) == 2  # there is no base model
    assert "train it first" in capsys.readouterr().err and path.is_file()


def test_a_checkpoint_stays_until_its_successor_is_complete(tmp_path, monkeypatch):
    from rlvr_lite import checkpoints, experiments

    monkeypatch.setattr("rlvr_lite.paths.data_folder", lambda: tmp_path)
    old = tmp_path / "checkpoints" / "text_serial" / "made.json"
    experiments.write_json(old, {"seed": 0})
    experiments.save_run(experiments.Run("mle", 0, {"test": {"greedy": {"exact": [1, 0]}}}, {},
                                         cost={"steps": 1, "cpu_seconds": 1.0}),
                         tmp_path / "runs" / "text_serial")
    with pytest.raises(FileNotFoundError):
        checkpoints.ship("text_serial", tmp_path / "runs")  # its model is not there
    assert old.is_file()


def test_what_is_not_finished_is_named(tmp_path, monkeypatch, capsys):
    from rlvr_lite import experiments, experiments_lab, experiments_text

    monkeypatch.setattr(experiments_lab, "results_folder", lambda: tmp_path)
    for method in ("mle", "rlvr"):
        experiments.save_run(experiments.Run(method, 0, {"test": {"greedy": {"exact": [1, 0]}}},
                                             {}), tmp_path / "runs" / "text_serial")
    path = experiments_text.LAB.summarise("text_serial", tmp_path / "runs")
    assert "no finished run of trivial, mle_continued" in capsys.readouterr().err
    experiments.write_json(path, {"provenance": {"seeds": [0, 1]}})
    with pytest.raises(ValueError, match="would be lost"):
        experiments_text.LAB.summarise("text_serial", tmp_path / "runs")


def test_checkpoints_are_listed_and_rebuilt(tmp_path, monkeypatch, capsys):
    from rlvr_lite import checkpoints, model
    from rlvr_lite.experiments_lab import Laboratory

    shelf, made = tmp_path / "checkpoints", []
    monkeypatch.setattr("rlvr_lite.paths.data_folder", lambda: tmp_path)
    assert cli.main(["checkpoints"]) == 0
    assert "no checkpoint" in capsys.readouterr().out

    def ship(name, runs, seed):
        model.save(model.build(32, width=16, layers=1, heads=2, hidden=16), shelf / name)

    monkeypatch.setattr(Laboratory, "run_one",
                        lambda self, study, method, *_: made.append((study.name, method)))
    monkeypatch.setattr(checkpoints, "ship", ship)
    assert cli.main(["checkpoints", "--rebuild", "--folder", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert made == list(checkpoints.SHIPPED.values())
    assert all(name in text for name in checkpoints.SHIPPED)
    assert "sha256" in text


def test_a_saved_model_is_scored(tmp_path, capsys):
    from rlvr_lite import experiments_text, model

    words = experiments_text.tokenizer().vocab_size
    small = model.build(words, width=16, layers=1, heads=2, hidden=16)
    experiments_text.keep(small, tmp_path / "model")
    command = ["evaluate", str(tmp_path / "model"), "--items", "4", "--study", "text_natural"]
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert "exact" in text and "(4 items)" in text and "%" in text
