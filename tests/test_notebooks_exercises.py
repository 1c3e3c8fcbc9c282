"""Exercise checks: each accepts its solution and the notebook's, and rejects wrong answers."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(p.stem for p in (ROOT / "rlvr_lite" / "checks").glob("ch[0-9][0-9].py"))
CASES = [(m, n) for m in MODULES
         for n in sorted(importlib.import_module(f"rlvr_lite.checks.{m}").SOLUTIONS)]


def load(module: str):
    return importlib.import_module(f"rlvr_lite.checks.{module}")


def answer(source: str):
    """The last thing that a source defines: the student's answer."""
    tree = ast.parse(source)
    space: dict = {}
    exec(compile(tree, "answer", "exec"), space)
    for node in reversed(tree.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            return space[node.name]
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            return space[node.targets[0].id]
    raise AssertionError(f"defines nothing: {source!r}")


def verdict(module: str, name: str, source: str, capsys) -> str:
    capsys.readouterr()
    getattr(load(module), name)(answer(source))
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1, f"a check prints one line, not {printed!r}"
    return printed


@pytest.mark.parametrize("module, name", CASES)
def test_the_solution_is_accepted(module, name, capsys):
    assert verdict(module, name, load(module).SOLUTIONS[name], capsys).startswith("ok: ")


@pytest.mark.parametrize("module, name", CASES)
def test_wrong_answers_are_rejected(module, name, capsys):
    wrong = load(module).WRONG[name]
    assert len({w.strip() for w in wrong}) >= 3, "list at least three different wrong answers"
    for source in wrong:
        printed = verdict(module, name, source, capsys)
        assert printed.startswith("wrong: "), f"accepted:\n{source}\n{printed}"


@pytest.mark.parametrize("module, name", CASES)
def test_a_stub_and_a_crash_do_not_stop_a_notebook(module, name, capsys):
    for stub in ("def f(*a, **k):\n    return ...", "def f(*a, **k):\n    return None"):
        assert verdict(module, name, stub, capsys).startswith("not done yet: ")
    crash = verdict(module, name, "def f(*a, **k):\n    raise KeyError('x')", capsys)
    assert crash.startswith("wrong: ")


@pytest.mark.parametrize("module", MODULES)
def test_every_solution_has_wrong_answers_and_a_place_in_the_chapter(module):
    checks, number = load(module), module[2:]
    assert set(checks.SOLUTIONS) == set(checks.WRONG)
    path = next((ROOT / "notebooks").glob(f"{number}_*.ipynb"), None)
    if path is None:
        pytest.skip(f"chapter {number} is not written yet")
    book = nbformat.read(path, as_version=4)
    called, shown = set(), {}
    for cell in book.cells:
        if "check" in cell.metadata.get("tags", []):
            called |= set(re.findall(rf"ch{number}\.(\w+)\(", cell.source))
        for label, block in re.findall(
                r":::\{solution\} ex-\d\d-(\S+)\n.*?```python\n(.*?)```", cell.source, re.S):
            shown[label.replace("-", "_")] = block
    assert called == set(checks.SOLUTIONS), "each check is called once in its chapter"
    for name, source in checks.SOLUTIONS.items():
        blocks = [shown[name]] if name in shown else list(shown.values())
        trees = {ast.dump(ast.parse(block)) for block in blocks}
        assert ast.dump(ast.parse(source)) in trees, f"{name}: the chapter shows another solution"


def test_every_chapter_with_exercises_has_checks():
    for path in (ROOT / "notebooks" / "src").glob("[0-9]*.py"):
        if ":::{exercise}" in path.read_text("utf-8"):
            assert f"ch{path.stem[:2]}" in MODULES, path.name
