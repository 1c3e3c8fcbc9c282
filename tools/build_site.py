"""Build the HTML of the book from notebooks that already have their outputs.

    python tools/build_site.py                              from notebooks/ (committed outputs)
    python tools/build_site.py --notebooks build/executed   from a run of `make book`

Pages are copied to build/site/src together with what browsers would otherwise fetch from a CDN
(MathJax, from the pip package sphinx-mathjax-offline), and rendered by jupyter-book 1.x with
warnings as errors. The result opens from file:// and asks no other host for anything. Nothing
outside build/ is written, and nothing is done when no input changed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from project import BUILD, NOTEBOOKS, ROOT, repository_url, write_atomically

SITE = BUILD / "site"
STAGE = SITE / "src"
HTML = SITE / "_build" / "html"
API_MARK = "<!-- modules: filled by tools/build_site.py -->"
MATHJAX = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2")


def stage(notebooks: Path) -> None:
    """Copy everything that jupyter-book reads to build/site/src.

    Raises:
        FileNotFoundError: a chapter has no executed notebook.
    """
    shutil.rmtree(STAGE, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    shutil.copytree(ROOT / "book", STAGE / "book", ignore=ignore)
    shutil.copytree(ROOT / "results", STAGE / "results", ignore=ignore)
    (STAGE / "notebooks").mkdir()
    listed = (ROOT / "_toc.yml").read_text("utf-8")
    for name in re.findall(r"file: notebooks/(\w+)", listed):
        source = notebooks / f"{name}.ipynb"
        if not source.is_file():
            raise FileNotFoundError(f"{source} is missing; run `make book`")
        shutil.copy(source, STAGE / "notebooks")
    shutil.copy(ROOT / "_toc.yml", STAGE)
    config = (ROOT / "_config.yml").read_text("utf-8")
    config += f'repository:\n  url: {repository_url()}\n  path_to_book: ""\n  branch: main\n'
    write_atomically(STAGE / "_config.yml", config)
    page = STAGE / "book" / "api.md"
    write_atomically(page, page.read_text("utf-8").replace(API_MARK, api_sections()))
    vendor_mathjax(STAGE / "book" / "_static" / "vendor" / "mathjax")


def api_sections() -> str:
    """One section per public module, in the order in which data flows."""
    package = ROOT / "rlvr_lite"
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts) for p in package.rglob("*.py")}
    public = sorted(n for n in names if not any(w.startswith("_") for w in n.split(".")))
    order = ["profile", "paths", "figure", "worlds", "tokenizers", "tasks", "model", "llama",
             "mle", "lora", "grpo", "metrics", "experiments"]

    def place(name: str) -> tuple[int, str]:
        part = name.split(".")[1]
        return (order.index(part) if part in order else len(order), name)

    block = "## {0}\n\n```{{eval-rst}}\n.. automodule:: {0}\n   :members:\n```\n"
    return "\n".join(block.format(name) for name in sorted(public, key=place))


def mathjax_folder() -> Path | None:
    """MathJax 3 in site-packages; None where the package is not installed."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "static" / "mathjax"
    return folder if all((folder / part).exists() for part in MATHJAX) else None


def vendor_mathjax(target: Path, folder: Path | None = None) -> bool:
    """Copy MathJax and its fonts to the static files of the book.

    Without the package the pages are still built: one line says that formulas will show as TeX
    source, and no page asks a CDN.
    """
    folder = folder or mathjax_folder()
    target.mkdir(parents=True, exist_ok=True)
    if folder is None:
        print("MathJax was not found (pip install sphinx-mathjax-offline): "
              "formulas will show as TeX source")
        (target / MATHJAX[0]).write_text("// MathJax was not installed when this was built\n")
        return False
    shutil.copy(folder / MATHJAX[0], target / MATHJAX[0])
    shutil.copytree(folder / MATHJAX[1], target / MATHJAX[1], dirs_exist_ok=True)
    return True


def fingerprint() -> str:
    """Hash of everything that the pages depend on."""
    files = [p for folder in (STAGE, ROOT / "rlvr_lite") for p in folder.rglob("*")
             if p.is_file() and p.suffix in {".py", ".md", ".ipynb", ".yml", ".json", ".css",
                                             ".svg", ".bib", ".js", ".png", ".mp4", ".rst"}]
    files += [ROOT / "constraints.txt", Path(__file__)]
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(files):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def render() -> tuple[int, str]:
    """Run jupyter-book; returns its exit status and its output."""
    shutil.rmtree(SITE / "_build", ignore_errors=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()",
               "build", str(STAGE), "--path-output",
               str(SITE), "-W", "-n", "--keep-going", "--quiet"]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=environment, cwd=SITE)
    return answer.returncode, answer.stdout


def main(argv: list[str] | None = None) -> int:
    """Stage and render; prints the path of index.html; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--notebooks", type=Path, default=NOTEBOOKS,
                        help="folder of executed notebooks")
    parser.add_argument("--force", action="store_true", help="render even if nothing changed")
    options = parser.parse_args(argv)
    try:
        stage(options.notebooks.absolute())
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    stamp, now, index = SITE / "stamp", fingerprint(), HTML / "index.html"
    if stamp.is_file() and stamp.read_text() == now and index.is_file() and not options.force:
        print(index)
        return 0
    stamp.unlink(missing_ok=True)
    print("rendering the pages ...", flush=True)
    status, output = render()
    if status or not index.is_file():
        clean = re.sub(re.escape(str(STAGE)) + "/", "", output)
        print(clean, file=sys.stderr)
        print("the book was not built: fix the warnings above (they count as errors)",
              file=sys.stderr)
        return 1
    write_atomically(stamp, now)
    print(index)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
