"""The rules of conftest.py for notebooks, tried on notebooks that break them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(folder: Path, cells: list, timeout: int = 60) -> tuple[int, str]:
    """Let nbval run a small notebook under the rules of this repository."""
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, folder / "x.ipynb")
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-q",
               "-c", os.devnull, "--rootdir", str(folder), "--nbval-lax", "--nbval-current-env",
               f"--nbval-cell-timeout={timeout}", "--nbval-sanitize-with",
               str(ROOT / "tests" / "nbval_sanitize.cfg"), str(folder / "x.ipynb")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(
        [str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment.pop("PYTEST_XDIST_WORKER", None)
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    return answer.returncode, answer.stdout + answer.stderr


def cell(source: str, text: str | None = None, count: int | None = 1, tags: tuple = ()):
    made = nbformat.v4.new_code_cell(source, execution_count=count)
    if text is not None:
        made.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    made.metadata["tags"] = list(tags)
    return made


CHECK = ("nbval-check-output",)


def test_a_right_notebook_passes_and_its_times_may_differ(tmp_path):
    status, text = run(tmp_path, [cell("print(1 + 1, 'in 0.3 s')", "2 in 1.7 s\n", 1, CHECK)])
    assert status == 0, text


@pytest.mark.parametrize("cells, words", [
    ([cell("print(1 + 2)", "2\n", 1, CHECK)], "1 failed"),
    ([cell("print(0.71)", "0.72\n", 1, CHECK)], "1 failed"),
    ([cell("1 / 0")], "ZeroDivisionError"),
    ([cell("x = 1", count=None)], "never executed"),
])
def test_a_wrong_notebook_fails(tmp_path, cells, words):
    status, text = run(tmp_path, cells)
    assert status == 1 and words in text, text


def test_after_a_timeout_nothing_is_forgiven(tmp_path):
    cells = [cell("import time; time.sleep(30)"), cell("assert False", count=2)]
    status, text = run(tmp_path, cells, timeout=3)
    assert status == 1 and "2 failed" in text and "xfailed" not in text, text


def test_kernels_reach_no_other_machine(tmp_path):
    source = ("import socket\ntry:\n    socket.create_connection(('192.0.2.1', 80), 2)\n"
              "except OSError as error:\n    print('network is blocked' in str(error))\n"
              "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', "
              "'import socket; socket.getaddrinfo(\"example.org\", 80)'], "
              "capture_output=True, text=True).stderr.count('network is blocked'))")
    expected = "True\n1\n"
    status, text = run(tmp_path, [cell(source, expected, 1, CHECK)])
    assert status == 0, text
