"""Record the web pages that ship with the package, from real MiniWoB++ pages in real Chromium.

    apt-get install chromium; pip install -e ".[web]"
    python tools/record_web_pages.py                  transitions, about half an hour
    python tools/record_web_pages.py --graphs         action graphs, about half an hour
    python tools/record_web_pages.py --screenshots    a few pictures for the book
    python tools/record_web_pages.py --check 40       record 40 episodes again and compare

Reproducible: an episode depends on its task and page seed only. A run that was stopped goes on
where it was (parts lie in build/web_pages); `--assemble` writes the files from the parts.
"""

from __future__ import annotations

import argparse
import io
import json
import lzma
import os
import random
import sys
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from project import write_checksums  # noqa: E402

from rlvr_lite.worlds import web_graphs, web_policy, web_solvers  # noqa: E402
from rlvr_lite.worlds.web_browser import Browser  # noqa: E402
from rlvr_lite.worlds.web_pages import (  # noqa: E402
    FOLDER,
    HELD_OUT,
    HIDDEN,
    SPLITS,
    VISIBLE,
    pack_page,
    read_lines,
    write_page,
)

OUT = ROOT / "rlvr_lite" / "data" / FOLDER
PART = 60  # transitions in one file of a run under way, or a few more
PARTS = {"train": 18, "validation": 2, "test": 3, "held_out": 5}  # of each task
FIRST_SEED = {"train": 0, "validation": 100_000, "test": 200_000, "held_out": 300_000}
GRAPHS = ("enter-text", "click-dialog-2", "click-link", "click-button", "enter-password",
          "click-option", "choose-list", "login-user", "click-menu-2", "click-tab-2-hard",
          "login-user-popup", "click-checkboxes", "form-sequence-2", "click-scroll-list",
          "multi-layouts", "multi-orderings")  # tasks with action graphs, small ones first
FIRST_GRAPH, GRAPHS_EACH = 400_000, 20
PICTURES = (("login-user", 400_001, 1), ("click-checkboxes", 403_000, 1),
            ("click-tab-2-hard", 407_000, 0), ("click-collapsible-2-nodelay", 400_002, 1),
            ("search-engine", 400_001, 2))  # task, seed, solver steps
STEPS = 8  # an episode has at most so many
SOLVER_EPISODES, SOLVER_STEPS, POLICY_STEPS = 0.34, 0.85, 0.55
LICENSE = """The texts of these pages were recorded from the tasks of MiniWoB++
(https://github.com/Farama-Foundation/miniwob-plusplus), under the MIT License:

Copyright (c) 2016 OpenAI
Copyright (c) 2018 Stanford University
Copyright (c) 2022 Farama Foundation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def tasks_of(split: str) -> tuple[str, ...]:
    """The tasks of a split; the held-out ones stand in one split only."""
    return HELD_OUT if split == "held_out" else VISIBLE + HIDDEN


def suited(goal: str) -> bool:
    """Goals that show an icon instead of naming it cannot be understood from their text."""
    return not goal.endswith("with the icon.")


def record_episode(browser, task: str, seed: int) -> list | None:
    """[task, seed, goal, page, action, page, action, page, ...]; None where the goal is unsuited.

    A third of the episodes follow the solver most of the time, the others mix the weak policy
    with any action at all.
    """
    goal, page = browser.reset(task, seed)
    if not suited(goal):
        return None
    chance = random.Random(f"{task} {seed}")
    skilled = chance.random() < SOLVER_EPISODES
    row = [task, seed, goal, pack_page(page)]
    for _ in range(STEPS):
        action = None
        if skilled and chance.random() < SOLVER_STEPS:
            action = web_solvers.solve(task, goal, page)
        elif not skilled and chance.random() > POLICY_STEPS:
            action = web_policy.explore(goal, page, chance)
        action = action or web_policy.sample(goal, page, chance)
        if action is None:
            break
        page = browser.step(action)
        row += [str(action), pack_page(page)]
    return row


def record_part(browser, task: str, split: str, number: int) -> list[list]:
    """Episodes with about `PART` transitions in all."""
    rows, made, seed = [], 0, FIRST_SEED[split] + 1000 * number
    while made < PART:
        row = record_episode(browser, task, seed)
        seed += 1
        if row and len(row) > 4:
            rows.append(row)
            made += (len(row) - 4) // 2
    return rows


def part_path(parts: Path, split: str, number: int, task: str) -> Path:
    return parts / f"{split}_{number:02}_{task}.jsonl.xz"


def record(browser, tasks, parts: Path, counts: dict[str, int]) -> None:
    """All parts that are not there yet; tasks take turns, so that any moment has all of them."""
    todo = [(split, number, task) for number in range(max(counts.values())) for split in SPLITS
            for task in tasks_of(split) if number < counts[split] and task in tasks]
    todo = [job for job in todo if not part_path(parts, *job).is_file()]
    start, made = time.time(), 0
    for place, (split, number, task) in enumerate(todo, 1):
        rows = record_part(browser, task, split, number)
        write_lines(rows, part_path(parts, split, number, task))
        made += sum((len(row) - 4) // 2 for row in rows)
        print(f"{place}/{len(todo)} {split} {number} {task}: {made} transitions, "
              f"{made / (time.time() - start):.1f} a second", flush=True)


def record_graphs(browser, tasks, parts: Path, count: int) -> None:
    """`count` action graphs of each task, from the first seeds whose goal is suited."""
    start, made = time.time(), 0
    for number in range(count):
        for task in (task for task in GRAPHS if task in tasks):
            path = graph_path(parts, task, number)
            if path.is_file():
                continue
            seed = next(seed for seed in range(FIRST_GRAPH + 1000 * number, 10 ** 9)
                        if suited(browser.reset(task, seed)[0]))
            graph = web_graphs.explore(browser, task, seed)
            write_lines([web_graphs.pack_graph(graph)], path)
            made += 1
            print(f"{number + 1}/{count} {task}: {len(graph.pages)} pages, solvable "
                  f"{graph.solvable()}, {(time.time() - start) / made:.1f} s each", flush=True)


def graph_path(parts: Path, task: str, number: int) -> Path:
    return parts / f"graph_{number:02}_{task}.jsonl.xz"


def screenshots(browser, out: Path) -> None:
    """Small pictures of pages, each with its goal, actions and tree in pages.json beside them."""
    told = {}
    for task, seed, steps in PICTURES:
        goal, page = browser.reset(task, seed)
        actions = []
        for _ in range(steps):
            actions.append(web_solvers.solve(task, goal, page))
            page = browser.step(actions[-1])
        image = Image.open(io.BytesIO(browser.screenshot(scale=2))).convert("RGB")
        packed = io.BytesIO()
        image.quantize(10, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
        write_bytes(out / f"{task}.png", packed.getvalue())
        told[task] = {"seed": seed, "goal": goal, "actions": list(map(str, actions)),
                      "page": write_page(page).split("\n")}
        print(f"{task}.png: {len(packed.getvalue())} bytes")
    write_bytes(out / "pages.json", (json.dumps(told, indent=1) + "\n").encode())


def write_lines(rows: list, path: Path) -> None:
    """JSON lines, compressed, in one step."""
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
                   for row in rows)
    write_bytes(path, lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    new.write_bytes(content)
    os.replace(new, path)


def assemble(tasks, parts: Path, out: Path, counts: dict[str, int]) -> None:
    """The files from the parts, task after task; a split without any part stays as it is.

    Raises:
        SystemExit: of a split only some parts are there.
    """
    for split in SPLITS:
        paths = [part_path(parts, split, number, task) for task in tasks_of(split)
                 if task in tasks for number in range(counts[split])]
        there = [path for path in paths if path.is_file()]
        if there and len(there) < len(paths):
            sys.exit(f"{split}: {len(there)} of {len(paths)} parts lie in {parts}; the same "
                     "command without --assemble records the others")
        if there:
            write_lines([row for path in there for row in read_lines(path)],
                        out / f"{split}.jsonl.xz")
    rows = [row for task in GRAPHS for path in sorted(parts.glob(f"graph_??_{task}.jsonl.xz"))
            for row in read_lines(path)]
    if rows:
        write_lines(rows, out / "graphs.jsonl.xz")
    write_bytes(out / "LICENSE.txt", LICENSE.encode())
    write_checksums(out, ".xz")


def check(browser, out: Path, count: int) -> int:
    """Record episodes of the shipped files again.

    Returns:
        how many differ.
    """
    rows = [row for split in SPLITS for row in read_lines(out / f"{split}.jsonl.xz")]
    chosen = random.Random(0).sample(rows, min(count, len(rows)))
    wrong = [row[:2] for row in chosen if record_episode(browser, *row[:2]) != row]
    print(f"{len(chosen) - len(wrong)} of {len(chosen)} episodes are the same; others: {wrong}")
    return len(wrong)


def work(chosen: argparse.Namespace, counts: dict[str, int]) -> bool:
    """What was asked for, in one browser; False where the browser hangs."""
    try:
        with Browser() as browser:
            if chosen.check:
                sys.exit(check(browser, chosen.out, chosen.check) > 0)
            elif chosen.screenshots:
                screenshots(browser, ROOT / "book" / "images" / "web")
            elif chosen.graphs:
                record_graphs(browser, chosen.tasks, chosen.parts, GRAPHS_EACH)
            else:
                record(browser, chosen.tasks, chosen.parts, counts)
    except TimeoutError:
        return False
    return True


def main() -> None:
    everything = VISIBLE + HIDDEN + HELD_OUT
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", choices=everything, default=list(everything))
    for split, count in PARTS.items():
        parser.add_argument(f"--{split.replace('_', '-')}", type=int, default=count,
                            help=f"parts of {PART} transitions of each task")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--parts", type=Path, default=ROOT / "build" / FOLDER)
    parser.add_argument("--assemble", action="store_true", help="no browser: parts to files")
    parser.add_argument("--graphs", action="store_true", help="action graphs, no transitions")
    parser.add_argument("--screenshots", action="store_true", help="pictures, nothing else")
    parser.add_argument("--check", type=int, metavar="N", help="record N episodes again")
    chosen = parser.parse_args()
    counts = {split: getattr(chosen, split) for split in SPLITS}
    if set(chosen.tasks) < set(everything) and chosen.out == OUT and not chosen.check:
        parser.error("some of the tasks would take the place of the whole recording that ships; "
                     "name another folder with --out")
    if chosen.assemble:
        return assemble(chosen.tasks, chosen.parts, chosen.out, counts)
    while not work(chosen, counts):
        print("the browser hangs; another one goes on", flush=True)
    if not chosen.screenshots:
        assemble(chosen.tasks, chosen.parts, chosen.out, counts)


if __name__ == "__main__":
    main()
