"""The house: the package stays light, layers point one way, set-up decides right, one address."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import project
from rlvr_lite import _compat, figure, paths, profile

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = sorted(p for p in (ROOT / "rlvr_lite").rglob("*.py"))
ALGORITHMS = ("model", "mle", "lora", "grpo", "llama", "sampling")


def tracked() -> list[Path]:
    """Files of the repository; new ones that git does not ignore count too."""
    answer = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True)
    if answer.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in answer.stdout.splitlines() if (ROOT / line).is_file()]


def texts(files: list[Path]) -> dict[str, str]:
    found = {}
    for path in files:
        try:
            found[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


# ---- torchvision -----------------------------------------------------------------------------


def broken(path: str) -> object:
    raise OSError("libtorch_cuda.so: cannot open shared object file")


def cpu_build(monkeypatch) -> None:
    monkeypatch.setattr(_compat.torch.version, "cuda", None)


def test_operators_are_declared_where_the_library_cannot_be_loaded(monkeypatch):
    cpu_build(monkeypatch)
    import torch

    assert _compat.patch_torchvision(["_C.so"], broken, "rlvr_lite_test_broken") is True
    assert torch.ops.rlvr_lite_test_broken.nms.default is not None
    assert torch.ops.rlvr_lite_test_broken.qnms.default is not None


def test_a_matching_torchvision_is_left_alone(monkeypatch):
    cpu_build(monkeypatch)
    import torch

    assert _compat.patch_torchvision(["_C.so"], lambda path: None, "rlvr_lite_test_fits") is False
    with pytest.raises(AttributeError):
        torch.ops.rlvr_lite_test_fits.nms  # noqa: B018


def test_nothing_to_do_without_torchvision_or_with_cuda(monkeypatch):
    cpu_build(monkeypatch)
    assert _compat.patch_torchvision([], broken, "rlvr_lite_test_none") is False
    monkeypatch.setattr(_compat.torch.version, "cuda", "13.0")
    assert _compat.patch_torchvision(["_C.so"], broken, "rlvr_lite_test_cuda") is False


def test_a_second_call_does_not_define_twice(monkeypatch):
    cpu_build(monkeypatch)
    assert _compat.patch_torchvision(["_C.so"], broken, "rlvr_lite_test_twice") is True
    assert _compat.patch_torchvision(["_C.so"], broken, "rlvr_lite_test_twice") is False


def test_peft_and_lpips_import_after_the_package():
    code = ("import sys, rlvr_lite; light = 'transformers' not in sys.modules; "
            "import peft, lpips; print(light)")
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert answer.stdout.strip() == "True", answer.stdout + answer.stderr


# ---- profile, figures, paths -----------------------------------------------------------------


def test_profile_scales_and_the_environment_goes_first(monkeypatch):
    monkeypatch.delenv("RLVR_PROFILE", raising=False)
    assert profile.get_profile().scale(tiny=1, full=9) == 1
    assert profile.get_profile("full").scale(tiny=1, full=9) == 9
    monkeypatch.setenv("RLVR_PROFILE", "full")
    assert profile.get_profile("tiny").name == "full"
    monkeypatch.setenv("RLVR_PROFILE", "huge")
    with pytest.raises(ValueError, match="RLVR_PROFILE"):
        profile.get_profile()


def test_start_seeds_and_says_one_line(capsys):
    import torch

    profile.start("07")
    first = torch.rand(3)
    profile.start("07")
    assert torch.equal(first, torch.rand(3)) and torch.get_num_threads() == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0] == lines[1] and "tiny" in lines[0]
    assert not re.search(r"\d{4}-\d\d", lines[0])


def test_show_png_keeps_the_alt_text(monkeypatch):
    from matplotlib import pyplot

    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((a, k)))
    fig, axes = pyplot.subplots()
    axes.plot([1, 2, 4])
    figure.show_png(fig, "A line that rises\n from one to four.")
    (bundle,), options = shown[0]
    assert bundle["text/plain"] == "A line that rises from one to four."
    assert options["metadata"]["image/png"]["alt"] == bundle["text/plain"]
    assert len(bundle["image/png"]) * 3 // 4 <= figure.LIMIT
    with pytest.raises(ValueError, match="alt"):
        figure.show_png(fig, "a figure")


def test_a_figure_that_does_not_fit_is_refused():
    import numpy as np
    from matplotlib import pyplot

    fig, axes = pyplot.subplots()
    axes.imshow(np.random.default_rng(0).random((300, 300)), interpolation="nearest")
    assert len(figure.png(fig)) <= figure.LIMIT
    with pytest.raises(ValueError, match="bytes"):
        figure.png(fig, limit=2000)
    pyplot.close(fig)


def test_a_wheel_carries_code_data_and_results(tmp_path):
    """What Colab installs: every module, every data file, every recorded result."""
    source = tmp_path / "source"
    for path in tracked():
        parts = path.relative_to(ROOT)
        if parts.parts[0] in {"rlvr_lite", "results"} or str(parts) in {
                "pyproject.toml", "README.md", "LICENSE", "LICENSE-PROSE"}:
            (source / parts).parent.mkdir(parents=True, exist_ok=True)
            (source / parts).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation",
               "--no-index", "--quiet", "-w", str(tmp_path), str(source)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    expected = {str(p.relative_to(source)) for p in (source / "rlvr_lite").rglob("*")
                if p.is_file()}
    expected |= {f"rlvr_lite/recorded/{p.name}" for p in (source / "results").glob("*.json")}
    assert expected <= names, sorted(expected - names)[:10]


def test_results_are_found_in_a_checkout_and_in_an_installed_package(tmp_path, monkeypatch):
    assert paths.results_folder() == ROOT / "results"
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "site-packages" / "rlvr_lite")
    with pytest.raises(FileNotFoundError, match="install the package again"):
        paths.results_folder()
    (paths.PACKAGE / "recorded").mkdir(parents=True)
    assert paths.results_folder() == paths.PACKAGE / "recorded"


# ---- shape of the code -----------------------------------------------------------------------

ORDER = [  # from left to right; modules of one row may import each other
    "_compat paths profile paper figure", "worlds metrics perceptual", "tokenizers", "tasks",
    "llama sampling", "model", "evaluation mle lora", "grpo reconstruction",
    "planning policy_evaluation",
    "experiments", "checkpoints drawing experiments_scaling show",
    "checks experiments_all interop verify", "__init__ __main__",
]
RANK = {name: place for place, row in enumerate(ORDER) for name in row.split()}


def rank_of(module: str) -> int:
    name = module.split(".")[1] if "." in module else "__init__"
    return RANK.get(name, RANK.get(name.split("_")[0], 99))


def test_no_lint():
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise"]
    answer = subprocess.run([*command, "."], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports, in functions and by relative names, too."""
    found, package = set(), path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            if module == "rlvr_lite":
                found |= {f"rlvr_lite.{alias.name}" for alias in node.names}
            else:
                found.add(module)
    constants = {"rlvr_lite.__version__"}  # no module
    return {name for name in found if name.startswith("rlvr_lite.")} - constants


def test_imports_are_found_wherever_they_stand(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "rlvr_lite" / "tasks" / "x.py"
    path.parent.mkdir(parents=True)
    path.write_text("import rlvr_lite.grpo\nfrom .. import show\nfrom ..worlds import y\n"
                    "from . import base\nfrom .base import z\nimport os\n"
                    "def f():\n    from rlvr_lite.mle import train\n"
                    "    from rlvr_lite import lora\n")
    assert imported(path) == {f"rlvr_lite.{name}" for name in (
        "grpo", "show", "worlds", "tasks", "tasks.base", "mle", "lora")}


@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: str(p.relative_to(ROOT)))
def test_data_flows_one_way(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    rank = rank_of(module.removesuffix(".__init__"))
    assert rank < 99, f"{module}: give it a place in the order (RANK in this test)"
    wrong = [name for name in imported(path) if rank_of(name) > rank]
    assert not wrong, f"{module} imports rightwards: {wrong}"


@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path):
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree) or not tree.body, f"{path.name}: say first what this file is"
    if path.stem in ALGORITHMS:
        assert text.count("\n") <= 350, f"{path.name}: an algorithm fits on 350 lines"
        if path.stem != "llama":
            assert "Differs from the paper" in ast.get_docstring(tree)
    wide = [i for i, line in enumerate(text.splitlines(), 1) if len(line) > 99]
    assert not wide, f"{path.name}: lines {wide} are longer than 99 columns"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            lines = node.end_lineno - (first.end_lineno if doc else node.lineno)
            assert lines <= 40, f"{path.name}: {node.name} has {lines} lines, more than 40"


def test_packages_are_listed():
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {".".join(p.parent.relative_to(ROOT).parts) for p in PACKAGE
             if p.name == "__init__.py"}
    assert set(listed) == there | {"rlvr_lite.recorded"}


# ---- versions --------------------------------------------------------------------------------

COLAB = {  # preinstalled in Google Colab (googlecolab/backend-info, pip-freeze, 2026-08)
    "torch": "2.11.0", "transformers": "5.15.0", "peft": "0.20.0", "numpy": "2.1.3",
    "ipywidgets": "7.7.1", "matplotlib": "3.10.0",
}


def test_colab_keeps_its_own_packages():
    needed = {r.name: r for r in map(Requirement, project.read_project()["dependencies"])}
    for name, version in COLAB.items():
        assert needed[name].specifier.contains(version), f"{name} {version} would be replaced"
    assert "==" not in str(needed["torch"]) and "<" not in str(needed["torch"])
    assert "torchvision" not in needed and "datasets" not in needed and "trl" not in needed


def pins() -> dict[str, str]:
    import setup

    return setup.pins()


def test_exact_versions():
    found = pins()
    assert found["jupyter-book"] == "1.0.4.post1"
    assert (found["torch"], found["torchvision"]) == ("2.13.0", "0.28.0")
    assert not [name for name in found if name.startswith(("nvidia", "triton", "cuda"))]
    declared = project.read_project()
    wanted = declared["dependencies"] + [
        line for extra in ("book", "test") for line in declared["optional-dependencies"][extra]]
    for requirement in map(Requirement, wanted):
        version = found.get(requirement.name.lower().replace("_", "-"))
        assert version and requirement.specifier.contains(version), requirement


def test_conda_environment_uses_the_same_constraints():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    lines = next(d for d in environment["dependencies"] if isinstance(d, dict))["pip"]
    assert lines == ["-c constraints.txt", "-e .[book,test]"]


def test_citation_and_version_agree():
    import rlvr_lite

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == project.read_project()["version"] == rlvr_lite.__version__
    assert f"## {rlvr_lite.__version__}" in (ROOT / "CHANGELOG.md").read_text()


# ---- one address -----------------------------------------------------------------------------

ADDRESS = re.compile(r"(?:https://github\.com|git\+https://github\.com|/github)/"
                     r"([\w.-]+/[\w.-]*rlvr[\w-]*)")
MAY_SHOW = {"pyproject.toml", *project.FOLLOWERS}


def test_the_address_stands_in_one_place():
    for name, text in texts(tracked()).items():
        if name.startswith("tests/"):
            continue
        ours = {m.removesuffix(".git").rstrip(".") for m in ADDRESS.findall(text)
                if not m.lower().startswith("thuml/")}
        if ours:
            assert name in MAY_SHOW or name.startswith("notebooks/") and name.endswith(".ipynb"), \
                f"{name} spells out {ours}; derive it (tools/project.py)"
            assert ours == {project.slug()}, f"{name}: {ours}; run `make url`"


def test_a_fork_changes_one_line(tmp_path):
    text = (ROOT / "pyproject.toml").read_text()
    line = 'Repository = "https://github.com/a-class/my-rlvr"'
    (tmp_path / "pyproject.toml").write_text(re.sub(r"Repository = .*", line, text))
    assert project.slug(tmp_path) == "a-class/my-rlvr"
    assert "git+https://github.com/a-class/my-rlvr@v" in project.setup_cell(tmp_path)
    assert "/github/a-class/my-rlvr/blob/main/notebooks/00_tour.ipynb" in project.badge(
        "00_tour", tmp_path)
    for name in project.FOLLOWERS:
        new = project.with_url((ROOT / name).read_text(), project.repository_url(), tmp_path)
        assert not [m for m in ADDRESS.findall(new) if m == project.slug()], name
    page = "see https://github.com/thuml/RLVR-World and https://github.com/huggingface/trl"
    assert project.with_url(page, project.repository_url(), tmp_path) == page


def test_an_address_that_colab_cannot_open_is_refused(tmp_path):
    text = (ROOT / "pyproject.toml").read_text()
    line = 'Repository = "https://example.org/book"'
    (tmp_path / "pyproject.toml").write_text(re.sub(r"Repository = .*", line, text))
    with pytest.raises(ValueError, match="github.com/OWNER"):
        project.slug(tmp_path)


def test_no_file_names_a_machine():
    folders = "|".join(["work", "tmp", "root", "home", "opt", "Users", "mnt"])
    machine = re.compile(rf"(?<![\w.:/~-])/(?:{folders})/[\w.-]+")
    wrong = {name: machine.findall(text)[:3] for name, text in texts(tracked()).items()
             if machine.search(text)}
    assert not wrong, wrong


def test_repository_stays_small():
    size = sum(path.stat().st_size for path in tracked())
    assert size <= 40e6, f"{size / 1e6:.1f} MB"


# ---- the network is blocked ------------------------------------------------------------------


def test_connections_are_refused_here_and_in_children():
    code = """
import socket
for attempt in (lambda: socket.create_connection(("192.0.2.1", 80), 2),
                lambda: socket.getaddrinfo("example.org", 80),
                lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53))):
    try:
        attempt()
    except OSError as error:
        assert "network is blocked" in str(error), error
    else:
        raise SystemExit("a connection left this machine")
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), 2)
print("blocked")
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "blocked", answer.stderr
    exec(code, {})


# ---- results on the pages --------------------------------------------------------------------

MEASURED = re.compile(r"\d+\.\d+|\d+(?:\.\d+)?\s?%")
GENERATED = re.compile(r"\{(?:result|paper|eq|numref|doc|ref|cite|term)\}`[^`]*`|`[^`]*`"
                       r"|\[[^\]]*\]\([^)]*\)")


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.md")), ids=lambda p: p.name)
def test_numbers_on_pages_come_from_results(path):
    """Measured numbers (decimals, percentages, numbers in tables) are never typed by hand.

    They come from {result} and {results-table}; numbers of the paper stand in {paper}. The
    glossary may give healthy ranges, in its table column of that name.
    """
    text = re.sub(r"^(```|~~~).*?^\1", "", path.read_text("utf-8"), flags=re.S | re.M)
    text = re.sub(r"<!-- generated: start.*generated: end -->", "", text, flags=re.S)
    wrong = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = GENERATED.sub("", line)
        if path.name == "glossary.md":
            continue
        bare = re.sub(r"\b(?:Python|arXiv|CC BY|section|eq\.)[ :]*\d[\d., and or]*", "", bare)
        table = bare.lstrip().startswith("|") and re.search(r"\d", bare)
        if MEASURED.search(bare) or table:
            wrong.append(f"{path.name}:{number}: {line.strip()[:90]}")
    assert not wrong, "\n".join(wrong)


def test_results_follow_the_schema():
    for path in sorted((ROOT / "results").glob("*.json")):
        record = json.loads(path.read_text())
        if path.name == "notebook_times.json":
            assert all(isinstance(v, int) and v > 0 for v in record.values())
            continue
        missing = {"experiment", "claim", "title", "rows", "differences", "cost", "paper",
                   "provenance"} - set(record)
        assert not missing, f"{path.name}: {missing}"
        for row in record["rows"]:
            assert {"method", "decoding", "subset", "metric", "mean", "low", "high", "per_seed",
                    "n"} <= set(row), (path.name, row)
            assert row["low"] - 1e-9 <= row["mean"] <= row["high"] + 1e-9, (path.name, row)
