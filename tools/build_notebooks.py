"""Build the notebooks: notebooks/src/NN_name.py -> executed notebook with outputs.

    python tools/build_notebooks.py            execute what changed, write notebooks/*.ipynb
    python tools/build_notebooks.py 05 06      only these chapters
    python tools/build_notebooks.py --book     execute into build/executed, commit nothing
    python tools/build_notebooks.py --check    sources and committed notebooks must agree
    python tools/build_notebooks.py --refill   renew prose, badges and set-up cells without a run
    python tools/build_notebooks.py --force    execute even where no input changed

The source is the only edited file. The builder fills `{{badge}}`, `{{minutes}}` and `{{setup}}`,
executes with the network blocked and profile "tiny", refuses output on stderr, and writes a
notebook without timestamps: the same run gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from project import (
    EXECUTED,
    NOTEBOOKS,
    ROOT,
    SOURCES,
    TIMES,
    badge,
    chapters,
    setup_cell,
    write_atomically,
)

CELL_TIMEOUT = 900  # seconds
LARGEST = 250_000  # bytes of one notebook
KEPT_CELL_METADATA = ("tags", "mystnb")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(Exception):
    """A notebook that cannot be built; the message names notebook, cell and reason."""


# ---- source -> notebook without outputs ------------------------------------------------------


def minutes(seconds: float | None) -> str:
    """A measured time in words, coarse enough to stay the same from run to run."""
    if seconds is None:
        return "a time not measured yet"
    if seconds < 90:
        return f"about {max(5, 5 * math.ceil(seconds / 5))} seconds"
    return f"about {math.ceil(seconds / 30) / 2:g} minutes"


def read_times() -> dict[str, float]:
    """Measured seconds per notebook."""
    return json.loads(TIMES.read_text("utf-8")) if TIMES.is_file() else {}


def read_source(name: str, seconds: float | None = None, sources: Path = SOURCES):
    """Read a py:percent source as a notebook, placeholders filled, cell ids stable.

    Raises:
        NotebookError: the source has no set-up cell or no badge line.
    """
    text = (sources / f"{name}.py").read_text("utf-8")
    book = jupytext.reads(text, fmt="py:percent")
    fills = {"{{badge}}": badge(name), "{{minutes}}": minutes(seconds), "{{setup}}": setup_cell()}
    for needed in ("{{badge}}", "{{setup}}"):
        if needed not in text:
            raise NotebookError(f"{name}: the source has no {needed} (see CONTRIBUTING.md)")
    seen: dict[str, int] = {}
    for cell in book.cells:
        for mark, value in fills.items():
            cell.source = cell.source.replace(mark, value)
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
        if "{{minutes}}" in text and minutes(seconds) in cell.source:
            digest = "head"  # its text changes with every measurement
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = f"{name[:2]}-{digest}" + (f"-{seen[digest]}" if seen[digest] > 1 else "")
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in KEPT_CELL_METADATA}
    book.metadata = {
        "colab": {"toc_visible": True},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    book.nbformat, book.nbformat_minor = 4, 5
    return book


def parity(name: str, sources: Path = SOURCES, notebooks: Path = NOTEBOOKS) -> list[str]:
    """Differences between a source and its committed notebook; empty where they agree."""
    path = notebooks / f"{name}.ipynb"
    if not path.is_file():
        return [f"{name}: no notebook; run tools/build_notebooks.py {name[:2]}"]
    ours = read_source(name, read_times().get(name), sources)
    theirs = nbformat.read(path, as_version=4)
    wrong = []
    if len(ours.cells) != len(theirs.cells):
        wrong.append(f"{name}: {len(ours.cells)} cells in the source, {len(theirs.cells)} built")
    for number, (a, b) in enumerate(zip(ours.cells, theirs.cells), 1):
        same = (a.cell_type == b.cell_type and a.source == b.source
                and a.metadata.get("tags", []) == b.metadata.get("tags", []))
        if not same:
            wrong.append(f"{name}: cell {number} differs from its source: "
                         f"{first_line(a.source)!r} / {first_line(b.source)!r}")
    return wrong


def first_line(source: str) -> str:
    """First line of a cell, for messages."""
    return (source.strip().splitlines() or ["(empty cell)"])[0][:70]


# ---- execution -------------------------------------------------------------------------------


def kernel_environment() -> dict[str, str]:
    """Environment of a kernel: no network, one thread, the package of this checkout."""
    path = [str(ROOT / "tools" / "offline"), str(ROOT)]
    path += [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RLVR_PROFILE")}
    return environment | {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
        "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false", "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def execute(name: str, book, folder: Path = NOTEBOOKS,
            progress: Callable[[int, int], None] = lambda done, of: None) -> float:
    """Run all cells of a notebook in place.

    Args:
        name: for messages.
        book: the notebook; its outputs are replaced.
        folder: working directory of the kernel.
        progress: called with (cells done, cells) after each cell.

    Returns:
        CPU seconds, start of the kernel included: what a reader waits on an idle machine, and
        the same on a busy one.

    Raises:
        NotebookError: a cell failed, ran too long, or wrote to stderr.
    """
    begin, count = children_seconds(), len(book.cells)
    client = NotebookClient(
        book, timeout=CELL_TIMEOUT, kernel_name="python3", record_timing=False,
        resources={"metadata": {"path": str(folder)}}, log_level="CRITICAL",
        extra_arguments=["--log-level=40"],
        on_cell_executed=lambda cell, cell_index, execute_reply: progress(cell_index + 1, count))
    try:
        client.execute(env=kernel_environment())
    except CellExecutionError:
        raise NotebookError(failure(name, book)) from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise NotebookError(f"{name}: {ANSI.sub('', str(error))}") from None
    tidy(name, book)
    return children_seconds() - begin


def children_seconds() -> float:
    """CPU seconds of all finished child processes: the kernels."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def failure(name: str, book) -> str:
    """Notebook, cell and traceback of the first cell that failed."""
    for number, cell in enumerate(book.cells, 1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                trace = ANSI.sub("", "\n".join(output.traceback))
                return (f"{name}: cell {number} failed ({first_line(cell.source)!r} in "
                        f"notebooks/src/{name}.py)\n{trace}")
    return f"{name}: a cell failed without an error output"


def tidy(name: str, book) -> None:
    """Normalise outputs: streams joined, no counts from the kernel, no volatile metadata."""
    count = 0
    for number, cell in enumerate(book.cells, 1):
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in KEPT_CELL_METADATA}
        kept = []
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                raise NotebookError(f"{name}: cell {number} writes to stderr, which readers see "
                                    f"as a red box; remove its cause:\n{output.text[:2000]}")
            if "metadata" in output:
                alts = {"image/png": {"alt": output.metadata["image/png"]["alt"]}} \
                    if "alt" in output.metadata.get("image/png", {}) else {}
                output.metadata = nbformat.from_dict(alts)
            if output.get("execution_count") is not None:
                output.execution_count = count
            if kept and output.output_type == "stream" == kept[-1].output_type:
                kept[-1].text += output.text
            else:
                kept.append(output)
        cell.outputs = kept


# ---- what changed ----------------------------------------------------------------------------


def fingerprint(name: str) -> str:
    """Hash of everything that the outputs of a notebook depend on."""
    files = [SOURCES / f"{name}.py", ROOT / "constraints.txt", ROOT / "tools/build_notebooks.py"]
    files += [p for p in (ROOT / "rlvr_lite").rglob("*")
              if p.is_file() and p.suffix != ".pyc" and p.name != "__main__.py"]
    files += [p for p in (ROOT / "results").glob("*.json") if p != TIMES]
    digest = hashlib.sha256(f"{sys.version}\n{setup_cell()}".encode())
    for path in sorted(files):
        if path.is_file():
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def dump(book) -> str:
    """A notebook as text, always in the same form."""
    nbformat.validate(book)
    return json.dumps(book, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def build(name: str, commit: bool, force: bool, label: str = "") -> str:
    """Execute one notebook if its inputs changed; returns what was done, for the log.

    Args:
        name: chapter, e.g. "05_verifiable_rewards".
        commit: also write notebooks/NAME.ipynb and the measured time.
        force: execute even where nothing changed.
        label: start of the progress line.

    Raises:
        NotebookError: see `execute`; nothing is written then.
    """
    stamp, result = EXECUTED / f"{name}.json", EXECUTED / f"{name}.ipynb"
    now, times = fingerprint(name), read_times()
    known = json.loads(stamp.read_text("utf-8")) if stamp.is_file() and result.is_file() else {}
    if known.get("fingerprint") == now and not force:
        seconds, note = known["seconds"], "unchanged"
        book = nbformat.read(result, as_version=4)
    else:
        book = read_source(name)
        seconds = execute(name, book, progress=show_progress(label, name))
        note = f"{sum(c.cell_type == 'code' for c in book.cells)} cells, {seconds:.0f} CPU s"
    if commit and moved(times.get(name), seconds):
        times[name] = math.ceil(seconds)
        write_atomically(TIMES, json.dumps(times, indent=1, sort_keys=True) + "\n")
    for cell, filled in zip(book.cells, read_source(name, times.get(name)).cells):
        cell.source, cell.id = filled.source, filled.id
    text = dump(book)
    if len(text.encode()) > LARGEST:
        raise NotebookError(f"{name}: {len(text.encode())} bytes, more than {LARGEST}; "
                            "draw smaller figures or print less")
    write_atomically(result, text)
    write_atomically(stamp, json.dumps({"fingerprint": now, "seconds": seconds}) + "\n")
    if commit:
        write_atomically(NOTEBOOKS / f"{name}.ipynb", text)
    return note


def moved(old: float | None, new: float) -> bool:
    """Whether a new measurement is worth a new number on the page."""
    return old is None or abs(new - old) > max(10.0, 0.35 * old)


def show_progress(label: str, name: str) -> Callable[[int, int], None]:
    """A progress line per notebook: rewritten on a terminal, one dot per cell in a log."""
    def show(done: int, of: int) -> None:
        if sys.stdout.isatty():
            print(f"\r{label}{name}: cell {done} of {of} ", end="", flush=True)
        else:
            print(".", end="", flush=True)
    return show


def refill(name: str) -> bool:
    """Renew prose, badge, time and set-up cell of a committed notebook; True if it changed.

    Raises:
        NotebookError: code differs from the source too, so it must be executed.
    """
    path = NOTEBOOKS / f"{name}.ipynb"
    book = nbformat.read(path, as_version=4)
    ours = read_source(name, read_times().get(name))
    if len(ours.cells) != len(book.cells):
        raise NotebookError(f"{name}: the source has other cells; run tools/build_notebooks.py")
    for old, new in zip(book.cells, ours.cells):
        volatile = "setup" in new.metadata.get("tags", []) or new.cell_type == "markdown"
        if old.cell_type != new.cell_type or old.source != new.source and not volatile:
            raise NotebookError(f"{name}: {first_line(new.source)!r} changed in the source; "
                                f"run tools/build_notebooks.py {name[:2]}")
        old.source, old.id = new.source, new.id
    return write_atomically(path, dump(book))


# ---- command line ----------------------------------------------------------------------------


def choose(wanted: list[str]) -> list[str]:
    """Chapters whose name starts with one of the words; all where none is given."""
    names = chapters()
    for word in wanted:
        if not any(name.startswith(word) for name in names):
            raise SystemExit(f"no chapter starts with {word!r}; there are: {', '.join(names)}")
    return [n for n in names if not wanted or any(n.startswith(w) for w in wanted)]


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and build; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("chapters", nargs="*", help="e.g. 05 (default: all)")
    parser.add_argument("--book", action="store_true", help="change no committed file")
    parser.add_argument("--check", action="store_true", help="only compare with the sources")
    parser.add_argument("--refill", action="store_true", help="renew prose, badges, set-up cells")
    parser.add_argument("--force", action="store_true", help="execute everything")
    options = parser.parse_args(argv)
    names, wrong = choose(options.chapters), []
    for number, name in enumerate(names, 1):
        label = f"[{number}/{len(names)}] "
        try:
            if options.check:
                wrong += parity(name)
                continue
            print(f"{label}{name} ", end="", flush=True)
            if options.refill:
                note = "renewed" if refill(name) else "unchanged"
            else:
                note = build(name, not options.book, options.force, label)
            clear = "\r\x1b[K" if sys.stdout.isatty() else " "
            print(f"{clear}{label}{name}: {note}" if sys.stdout.isatty() else f" {note}")
        except NotebookError as error:
            print(" FAILED")
            wrong.append(str(error))
    if wrong:
        print("\n".join(["", *wrong]), file=sys.stderr)
        print(f"\n{len(wrong)} problem(s)", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
