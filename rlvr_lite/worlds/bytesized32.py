"""The published ByteSized32 state-prediction transitions: real text games as ground truth.

What: a loader. One row is one step of one game: the objects and the score before, the action,
the objects after the action, and the objects and the score after time has passed (the tick).
Source: "Can Language Models Serve as Text-Based World Simulators?" (arXiv 2406.06485), the data
of RLVR-World section 5.1 and appendix A.1. The published test split has 2,954 rows of 31 games.
The book does not ship the data (its repository names no licence). It is looked for in this
order: a path you give, the cache (`$RLVR_CACHE`, else `~/.cache/rlvr_lite`), a download.
Differs from the paper: its 150,672 training rows are not published as a file; a crawl of the
games in the same row format (`.jsonl`, `.jsonl.xz` or `.zip`) can be read beside the test split.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rlvr_lite import paths

SHA256 = "c9f7adaa7c505bffa06ea60d9b8efc4206ce1c4bf8c71a374b21d24360a43137"
TEST_NAME = "bytesized32_sp_test.zip"
TEST_ROWS = 2954
_COMMIT = "0d5a741146c9d156f92930d5254c0d5e16facc0d"
_FILE = "cognitiveailab/GPT-simulator"
MIRRORS = (
    f"https://raw.githubusercontent.com/{_FILE}/{_COMMIT}/data/test.zip",
    f"https://github.com/{_FILE}/raw/{_COMMIT}/data/test.zip",
    f"https://cdn.jsdelivr.net/gh/{_FILE}@{_COMMIT}/data/test.zip",
)


class State(NamedTuple):
    """`objects` (dicts with name, uuid, type, properties, contains) and `score` (a dict)."""

    objects: tuple[dict, ...]
    score: dict


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a game. States share the objects that did not change; never edit them.

    Attributes:
        game: name of the game, e.g. "boil-water".
        action: the command.
        state: objects and score before the action.
        next_state: objects and score after the action and the tick.
        after_action: the objects between the action and the tick.
        uuid_base: the uuid that the next created object gets.
        state_id: number of the row within its game.
    """

    game: str
    action: str
    state: State
    next_state: State
    after_action: tuple[dict, ...]
    uuid_base: int
    state_id: int

    @property
    def verb(self) -> str:
        """First word of the action."""
        return self.action.split(" ", 1)[0]

    @property
    def key(self) -> tuple[str, str, str]:
        """(game, state, action): what a model sees; equal keys are the same question."""
        return (self.game, state_key(self.state), self.action)


def state_key(state: State) -> str:
    """A digest of objects and score; objects and their `contains` count in any order."""
    objects = sorted(({**o, "contains": sorted(o["contains"])} for o in state.objects),
                     key=lambda o: o["uuid"])
    text = json.dumps([objects, state.score], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def load_test(path: str | Path | None = None, cache: str | Path | None = None,
              download: bool = True, mirrors: Iterable[str] = MIRRORS,
              timeout: float = 20.0) -> list[Transition]:
    """The published test split.

    Args:
        path: the published zip, or a folder that holds it as `bytesized32_sp_test.zip`.
        cache: folder for the downloaded file (default: $RLVR_CACHE or ~/.cache/rlvr_lite).
        download: False stops before the network.
        mirrors: addresses, tried in this order.
        timeout: seconds for each of them.

    Returns:
        2,954 transitions.

    Raises:
        FileNotFoundError: a given path does not exist, or the file cannot be had; the message
            names the ways out.
        ValueError: a file is there, but it is not the published one (SHA-256).
    """
    return list(read(find_test(path, cache, download, mirrors, timeout)))


def find_test(path: str | Path | None = None, cache: str | Path | None = None,
              download: bool = True, mirrors: Iterable[str] = MIRRORS,
              timeout: float = 20.0) -> Path:
    """The path of the checked test zip; arguments and errors as in `load_test`."""
    if path is not None:
        path = Path(path)
        path = path / TEST_NAME if path.is_dir() else path
        if not path.is_file():
            raise FileNotFoundError(f"no ByteSized32 test split at {path}; " + _ways_out())
        return _checked(path)
    cached = cache_folder(cache) / TEST_NAME
    if cached.is_file():
        return _checked(cached)
    if not download:
        raise FileNotFoundError(f"no ByteSized32 test split at {cached}; " + _ways_out())
    failures = []
    for address in mirrors:
        try:
            return _download(address, cached, timeout)
        except (OSError, ValueError) as error:          # no network, time-out, 404, wrong bytes
            failures.append(f"  {address}: {error}")
    raise FileNotFoundError("the ByteSized32 test split could not be downloaded:\n"
                            + "\n".join(failures) + "\n" + _ways_out())


def cache_folder(cache: str | Path | None = None) -> Path:
    """The folder of downloads: the argument, else that of `paths.cache_folder`."""
    return Path(cache) if cache else paths.cache_folder()


def _ways_out() -> str:
    return (f"ways out: (1) with a network, call load_test() again; (2) on any machine, fetch "
            f"{MIRRORS[0]} (350 kB), then call load_test(path) or put it at "
            f"{cache_folder() / TEST_NAME}; (3) do without: no chapter of the book needs it")


def _checked(path: Path) -> Path:
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"{path} is not the published test split (SHA-256 {SHA256[:16]}... is "
                         "expected); delete it and load again")
    return path


def _download(address: str, target: Path, timeout: float) -> Path:
    with urllib.request.urlopen(address, timeout=timeout) as reply:
        data = reply.read(10_000_000)
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ValueError("the bytes are not those of the published file (SHA-256 differs)")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + f".{os.getpid()}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, target)
    return target


# ------------------------------------------------------------------------------------- reading

def read(path: str | Path) -> Iterator[Transition]:
    """Transitions of a `.jsonl`, `.jsonl.xz` or `.zip` file in the published row format.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is not such a row; file and line are named.
    """
    pool: dict[str, dict] = {}                    # objects by their JSON: equal ones are shared
    with _lines(Path(path)) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield _transition(json.loads(line), pool)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {number}: not a ByteSized32 transition "
                                 f"({type(error).__name__}: {error})") from error


@contextmanager
def _lines(path: Path) -> Iterator[Iterable[str]]:
    if not path.is_file():
        raise FileNotFoundError(f"no transitions at {path}; for the test split {_ways_out()}")
    if path.suffix == ".xz":
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            yield lines
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".jsonl")]
            if len(names) != 1:
                raise ValueError(f"{path} should hold one .jsonl file, it holds {names}")
            with archive.open(names[0]) as raw:
                yield io.TextIOWrapper(raw, encoding="utf-8")
    else:
        with open(path, encoding="utf-8") as lines:
            yield lines


def _transition(row: dict, pool: dict[str, dict]) -> Transition:
    def shared(objects: list[dict]) -> tuple[dict, ...]:
        return tuple(pool.setdefault(json.dumps(o), o) for o in objects)

    return Transition(
        game=row["game"], action=row["action_state"]["lastAction"],
        state=State(shared(row["current_state"]["objects"]), row["current_score_state"]),
        next_state=State(shared(row["tick_state"]["objects"]), row["next_score_state"]),
        after_action=shared(row["action_state"]["objects"]),
        uuid_base=row["current_state"]["max_UUID"], state_id=row["state_id"])


# ------------------------------------------------------------------------------------ splitting

def without(rows: Iterable[Transition], other: Iterable[Transition]) -> list[Transition]:
    """The rows whose (game, state, action) does not stand in `other`; each question once.

    A crawl visits the states of the test split again: train only on what is left here.
    """
    seen = {t.key for t in other}
    kept = []
    for t in rows:
        key = t.key
        if key not in seen:
            seen.add(key)
            kept.append(t)
    return kept


def split_by_state(rows: Iterable[Transition], share: float = 0.1
                   ) -> tuple[list[Transition], list[Transition]]:
    """(training, validation): whole (game, state) groups go to one side, by their digest.

    Args:
        rows: transitions.
        share: fraction of the states that goes to validation, in 0 ... 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is a fraction in 0 ... 1, got {share}")
    sides: tuple[list, list] = ([], [])
    for t in rows:
        digest = hashlib.sha256(f"{t.game}/{state_key(t.state)}".encode()).digest()
        sides[int.from_bytes(digest[:4], "big") < share * 2 ** 32].append(t)
    return sides
