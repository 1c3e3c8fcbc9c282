"""Facts of the repository that other tools derive: its public URL, version and chapters.

The public URL stands in one place, `[project.urls] Repository` in pyproject.toml. A fork or a
class changes that line and runs `make url`; badges, launch buttons, the Colab install line, the
README and CITATION.cff follow. Standard library only (set-up imports this too).
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "notebooks" / "src"
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "build"
EXECUTED = BUILD / "executed"
TIMES = ROOT / "results" / "notebook_times.json"
FOLLOWERS = ("README.md", "CITATION.cff", "CONTRIBUTING.md", "CHANGELOG.md")


def read_project(root: Path = ROOT) -> dict:
    """The `[project]` table of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def repository_url(root: Path = ROOT) -> str:
    """Public address of the repository, without a slash at the end.

    Raises:
        ValueError: the address is not one of GitHub, which Colab links need.
    """
    url = read_project(root)["urls"]["Repository"].rstrip("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise ValueError(f"pyproject.toml: [project.urls] Repository is {url!r}; "
                         "write https://github.com/OWNER/REPOSITORY")
    return url


def slug(root: Path = ROOT) -> str:
    """OWNER/REPOSITORY."""
    return repository_url(root).removeprefix("https://github.com/")


def colab_url(name: str, root: Path = ROOT) -> str:
    """Address that opens notebook `name` in Colab."""
    return (f"https://colab.research.google.com/github/{slug(root)}"
            f"/blob/main/notebooks/{name}.ipynb")


def badge(name: str, root: Path = ROOT) -> str:
    """The badge line of a notebook."""
    return f"[![Open in Colab](../book/_static/colab-badge.svg)]({colab_url(name, root)})"


def setup_cell(root: Path = ROOT) -> str:
    """The set-up cell, the same text in every notebook."""
    tag = f"v{read_project(root)['version']}"
    return "\n".join([
        "import sys",
        'if "google.colab" in sys.modules:',
        f"    %pip install -q git+{repository_url(root)}@{tag}",
        "import rlvr_lite",
        "P = rlvr_lite.start()",
    ])


def chapters(root: Path = ROOT) -> list[str]:
    """Names of the notebooks that have a source, in order."""
    return sorted(path.stem for path in (root / "notebooks" / "src").glob("[0-9][0-9]_*.py"))


def write_atomically(path: Path, text: str) -> bool:
    """Write a text file in one step; False where it already has this content."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
    return True


def write_checksums(folder: Path, *suffixes: str) -> None:
    """`sha256.txt` of the files with these suffixes, which the loaders compare with; files
    under way (`.tmp` in the name) do not count."""
    files = sorted(p for p in folder.iterdir() if p.suffix in suffixes and ".tmp" not in p.name)
    write_atomically(folder / "sha256.txt", "".join(
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in files))


def with_url(text: str, old: str, root: Path = ROOT) -> str:
    """A page that shows the repository's address `old`, with the address of now."""
    return re.sub(re.escape(old.removeprefix("https://github.com")) + r"(?![\w-])",
                  "/" + slug(root), text)


def shown_url(text: str) -> str | None:
    """The address that README.md shows today: that of its link named "repository"."""
    match = re.search(r"\[repository\]\((https://github\.com/[\w.-]+/[\w.-]+)\)", text)
    return match[1] if match else None


def main() -> None:
    """Bring the pages that show the address in step with pyproject.toml."""
    old = shown_url((ROOT / "README.md").read_text("utf-8"))
    if old is None:
        raise SystemExit("README.md has no link named [repository](https://github.com/...)")
    for name in FOLLOWERS:
        path = ROOT / name
        if path.is_file() and write_atomically(path, with_url(path.read_text("utf-8"), old)):
            print(f"{name}: now {repository_url()}")


if __name__ == "__main__":
    main()
