"""Notebooks as they are committed: parity with the source, form, exercises, package copies."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

import build_notebooks
import project

ROOT = Path(__file__).resolve().parent.parent
NAMES = project.chapters()
MEASURED_TOTAL = 17 * 60  # seconds of the whole book
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def book(name):
    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert path.is_file(), f"run tools/build_notebooks.py {name[:2]}"
    return nbformat.read(path, as_version=4)


def code(book) -> list:
    return [c for c in book.cells if c.cell_type == "code"]


def tagged(book, tag: str) -> list:
    return [c for c in book.cells if tag in c.metadata.get("tags", [])]


def prose(book) -> str:
    """Markdown of a notebook without code blocks."""
    text = "\n\n".join(c.source for c in book.cells if c.cell_type == "markdown")
    return re.sub(r"^ *(```|~~~).*?^ *\1", "", text, flags=re.S | re.M)


def parse(source: str) -> ast.Module:
    """A cell as Python; IPython's own syntax becomes calls."""
    return ast.parse(TransformerManager().transform_cell(source))


def test_every_notebook_has_a_source_and_the_other_way_round():
    committed = sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))
    assert committed == NAMES


@each
def test_source_and_notebook_agree(name):
    assert build_notebooks.parity(name) == []


@each
def test_outputs_are_complete_and_clean(name, book):
    nbformat.validate(book)
    assert [c.execution_count for c in code(book)] == list(range(1, len(code(book)) + 1))
    for cell in code(book):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert path.stat().st_size <= 250_000, f"{path.stat().st_size} bytes"
    assert "widgets" not in book.metadata


@each
def test_metadata_is_normalised(name, book):
    assert set(book.metadata) == {"colab", "kernelspec", "language_info"}
    for cell in book.cells:
        assert set(cell.metadata) <= {"tags", "mystnb"}
    assert len({c.id for c in book.cells}) == len(book.cells)
    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert path.read_text("utf-8") == build_notebooks.dump(book), "written by another tool"


@each
def test_head_and_set_up_cell(name, book):
    head, second = book.cells[0], book.cells[1]
    assert head.cell_type == "markdown" and head.source.startswith("# ")
    assert project.badge(name) in head.source
    opened = re.search(r"blob/main/(notebooks/[\w]+\.ipynb)", head.source)[1]
    assert (ROOT / opened).is_file() and opened == f"notebooks/{name}.ipynb"
    assert (ROOT / "book" / "_static" / "colab-badge.svg").is_file()
    assert "**You will**" in head.source and "**You need**" in head.source
    assert "{{" not in head.source and "not measured" not in head.source
    assert second.metadata.tags == ["setup"] and second.source == project.setup_cell()
    assert second.source.count("\n") < 6 and len(tagged(book, "setup")) == 1


@each
def test_cells_fit_on_a_phone(name, book):
    for cell in code(book):
        lines = cell.source.splitlines()
        start = cell.source[:60]
        assert len(lines) <= 25, f"{len(lines)} lines: {start!r}"
        wide = [line for line in lines if len(line) > 79]
        assert not wide, f"wider than 79 columns: {wide}"
        for node in ast.walk(parse(cell.source)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 40


@each
def test_headings_go_step_by_step(name, book):
    levels = [len(m) for m in re.findall(r"^(#+) ", prose(book), re.M)]
    assert levels[0] == 1 and levels.count(1) == 1
    for above, below in zip(levels, levels[1:]):
        assert below <= above + 1, f"a heading of level {below} follows one of level {above}"


@each
def test_closing_sections(name, book):
    last = [t.lower() for t in re.findall(r"^## (.+)$", prose(book), re.M)]
    for title in ("what to inspect", "pitfalls", "further reading"):
        assert any(title in heading for heading in last), f"no section {title!r}"


@each
def test_every_image_has_a_text(name, book):
    for cell in code(book):
        for output in cell.outputs:
            for kind in [k for k in output.get("data", {}) if k.startswith("image/")]:
                assert kind == "image/png", "PNG only; SVG breaks the comparison of outputs"
                alt = output.metadata.get(kind, {}).get("alt", "")
                assert len(alt) >= 15, f"use show_png(fig, alt=...): {cell.source[:60]!r}"
                assert len(output.data[kind]) * 3 / 4 <= 60_000
            html = str(output.get("data", {}).get("text/html", ""))
            for image in re.findall(r"<img[^>]*>", html):
                assert re.search(r'alt="[^"]{15,}', image)
    for alt, _ in re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", prose(book)):
        assert alt.strip()


@each
def test_enough_cells_are_compared(name, book):
    cells = code(book)
    share = len(tagged(book, "nbval-check-output")) / len(cells)
    assert share >= 0.30, f"{share:.0%} of the code cells are tagged nbval-check-output"
    for cell in tagged(book, "nbval-check-output"):
        assert cell.outputs, f"nothing to compare: {cell.source[:60]!r}"
    assert not tagged(book, "raises-exception") and not tagged(book, "nbval-skip")


@each
def test_no_output_names_a_machine(name, book):
    folders = "|".join(["work", "tmp", "root", "home", "opt", "Users"])
    text = json.dumps([c.get("outputs", []) for c in book.cells])
    assert not re.findall(rf"(?<![\w.:/~+-])/(?:{folders})/[\w.-]+", re.sub(
        r'"image/png": "[^"]*"', "", text))


# ---- exercises -------------------------------------------------------------------------------

CARD = re.compile(r"\*Goal: .+ · Difficulty: [1-5]/5 · Minutes: \d+\*")


@each
def test_exercises_have_card_stub_check_and_solution(name, book):
    number = name[:2]
    labels = []
    for i, cell in enumerate(book.cells):
        if cell.cell_type != "markdown":
            continue
        for label in re.findall(r":::\{exercise\}[^:]*?:label: (\S+)", cell.source, re.S):
            labels.append(label)
            assert label.startswith(f"ex-{number}-"), label
            assert CARD.search(cell.source), f"{label}: no card *Goal · Difficulty · Minutes*"
            stub, check = book.cells[i + 1], book.cells[i + 2]
            assert "exercise" in stub.metadata.get("tags", []), label
            assert "check" in check.metadata.get("tags", []), label
            text = "".join(o.get("text", "") for o in check.outputs)
            assert text.startswith("not done yet: ") and text.count("\n") == 1, (label, text)
    solved = re.findall(r":::\{solution\} (\S+)\n:class: dropdown", "\n".join(
        c.source for c in book.cells if c.cell_type == "markdown"))
    assert sorted(solved) == sorted(labels) and len(set(labels)) == len(labels)
    assert len(tagged(book, "exercise")) == len(tagged(book, "check")) == len(labels)


# ---- functions that also live in the package -------------------------------------------------


def plain(node: ast.AST) -> str:
    """A definition as its syntax tree, docstrings and annotations of layout left out."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner):
            inner.body = inner.body[1:] or [ast.Pass()]
    return ast.dump(node)


def package_definitions() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in (ROOT / "rlvr_lite").rglob("*.py"):
        if "checks" in path.parts:
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.setdefault(node.name, []).append(plain(node))
    return found


@each
def test_package_copies_are_identical(name, book):
    package = package_definitions()
    for cell in code(book):
        tags = cell.metadata.get("tags", [])
        nodes = [n for n in parse(cell.source).body
                 if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        if "package-copy" in tags:
            assert nodes, f"no definition in {cell.source[:60]!r}"
        for node in nodes:
            known = package.get(node.name, [])
            if "package-copy" in tags:
                assert known, f"{node.name} does not live in the package"
                assert plain(node) in known, f"{node.name} differs from the package"
            elif "exercise" not in tags and "own-version" not in tags:
                assert not known, (f"{node.name} also lives in the package: tag the cell "
                                   "package-copy (identical) or own-version (on purpose)")


# ---- sources ---------------------------------------------------------------------------------


@each
def test_source_has_no_leftovers(name):
    text = (ROOT / "notebooks" / "src" / f"{name}.py").read_text("utf-8")
    comments = [t.string for t in tokenize.generate_tokens(io.StringIO(text).readline)
                if t.type == tokenize.COMMENT]
    assert not [c for c in comments if re.search(r"\b(TODO|FIXME|XXX)\b", c)]
    assert not re.search(r"\btqdm\b|ipywidgets", text)


def test_measured_time_of_the_book():
    times = build_notebooks.read_times()
    assert set(times) == set(NAMES), "run make notebooks"
    assert sum(times.values()) <= MEASURED_TOTAL, times
