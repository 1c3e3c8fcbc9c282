"""The command line: `python -m rlvr_lite train | evaluate | results | checkpoints`.

What: one run of one method with progress and resume, the score of a saved model, the recorded
results as tables (and whether they are consistent), the models that ship with the package.
Every command has `--help` with examples. Mistakes end with one line that says what to do.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

TRAIN = """examples:
  python -m rlvr_lite train text_serial mle                  the base model, seed 0
  python -m rlvr_lite train text_serial rlvr --seed 1        GRPO from the base of seed 1
  python -m rlvr_lite train text_natural mle --folder runs_short
  python -m rlvr_lite train text_natural rlvr --set seconds=20 --folder runs_short

`seconds` is the time of a method after its base; the base makes a fixed number of steps, which
takes minutes on text and longer elsewhere. A wrong name lists the studies or methods there are.
A run that was stopped goes on where its last checkpoint is: repeat the command."""
EVALUATE = """examples:
  python -m rlvr_lite evaluate rlvr_lite/data/checkpoints/text_serial_rlvr
  python -m rlvr_lite evaluate rlvr_lite/data/checkpoints/text_serial --split layouts
  python -m rlvr_lite evaluate runs/text_natural/rlvr-0/model --study text_natural

The first two ship with the package. For models of web pages and of video:
  python -m rlvr_lite results --verify web_base"""
RESULTS = """examples:
  python -m rlvr_lite results                     names and titles
  python -m rlvr_lite results text_serial         its table (--decoding, --subset, --metric)
  python -m rlvr_lite results --verify            are the files consistent, and do the models that
                                                  ship score what was recorded? (minutes)
  python -m rlvr_lite results --verify video_base --items 60    one of them, on some test items
  python -m rlvr_lite results text_serial --run   run the experiment (hours), then record it:
                                                  results/text_serial.json is written anew
  python -m rlvr_lite results --run               the same for all results that need no further
                                                  software (about 20 CPU hours)

--run without a name makes every result but these, which need more than the package:
{elsewhere}
It ends with the results that judge finished models: policy_evaluation those of --folder, scaling_*
those that ship (`checkpoints --rebuild` with the same --folder puts new ones in their place)."""
CHECKPOINTS = """examples:
  python -m rlvr_lite checkpoints                 what ships with the package
  python -m rlvr_lite checkpoints --rebuild       train every shipped model that --folder lacks
                                                  (hours), and put it in its place"""


# ---- progress --------------------------------------------------------------------------------


class Bar(io.TextIOBase):
    """Standard output that shows the last log line of a training, with a bar if it can.

    On a terminal the lines of a run replace each other; elsewhere they are kept as they are.
    """

    def __init__(self, out, steps: int | None = None):
        self.out, self.steps, self.waiting = out, steps, ""

    def write(self, text: str) -> int:
        """Take text; whole lines are shown."""
        *lines, self.waiting = (self.waiting + text).split("\n")
        for line in lines:
            self.show(line)
        return len(text)

    def show(self, line: str) -> None:
        """One log line."""
        step = re.search(r"\bstep\s+(\d+)(?:\s*/\s*(\d+))?", line)
        if not self.out.isatty():
            print(line, file=self.out, flush=True)
            return
        total = int(step[2]) if step and step[2] else self.steps
        bar = draw(int(step[1]), total) if step and total else ""
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{(bar + line)[:width]}", end="", file=self.out, flush=True)


def draw(done: int, total: int, width: int = 20) -> str:
    """A bar: `[####----]  50% `."""
    share = min(1.0, done / total)
    full = round(width * share)
    return f"[{'#' * full}{'-' * (width - full)}] {share:4.0%} "


@contextlib.contextmanager
def progress(steps: int | None = None) -> Iterator[None]:
    """Show the log of a training as progress."""
    out = sys.stdout
    with contextlib.redirect_stdout(Bar(out, steps)):
        yield
    if out.isatty():
        print(file=out)


# ---- commands --------------------------------------------------------------------------------


WITHOUT_BASE = ("mle", "trivial", "floor", "ceiling")  # methods that start from no model


def train(options: argparse.Namespace) -> None:
    """One method with one seed; finished runs are left as they are."""
    from rlvr_lite import experiments, experiments_lab
    from rlvr_lite.experiments_all import studies

    lab = studies()[one_of(options.study, studies(), "study")]
    study = lab.changed_study(options.study, options.set)
    one_of(options.method, lab.methods, "method")
    folder = Path(options.folder)
    path = experiments.run_path(folder / study.name, options.method, options.seed)
    if path.is_file() and not options.force:
        print(f"{path} is there already; --force runs it again")
        return
    experiments_lab.check_settings(study, folder)
    bases = lab.base(study.name)
    base = experiments_lab.model_folder(bases, "mle", options.seed, folder)
    based = "mle" in lab.methods and hasattr(study, "base")  # agents and tokenizers have none
    if based and options.method not in WITHOUT_BASE and not base.is_dir():
        raise FileNotFoundError(
            f"{options.method} starts from the base model of seed {options.seed}; train it first: "
            f"python -m rlvr_lite train {study.name} mle --seed {options.seed} "
            f"--folder {options.folder}")
    if options.force:  # its checkpoints, too
        home = bases if options.method == "mle" else study.name
        shutil.rmtree(experiments_lab.run_folder(home, options.method, options.seed, folder),
                      ignore_errors=True)
        path.unlink(missing_ok=True)
    with progress(study.base.steps if options.method == "mle" and based else None):
        lab.run_one(study, options.method, options.seed, options.folder)
    run = json.loads(path.read_text())
    for split, by_decoding in run["scores"].items():
        first = next(iter(by_decoding.values()))  # greedy, where there is that
        line(split, {k: v for k, v in first.items() if k == lab.metric},
             run["subsets"].get(split, {}))
    print(path)


def evaluate(options: argparse.Namespace) -> None:
    """Exact match of a saved model on one split."""
    from rlvr_lite import evaluation, experiments_text

    studies = experiments_text.STUDIES
    study = studies[one_of(options.study, studies, "study")]
    one_of(options.split, ("test", "validation", *experiments_text.EXTRA_SPLITS), "split")
    if options.temperature < 0:
        raise ValueError("--temperature must be 0 (greedy) or more")
    items = experiments_text.data(study, options.split)[:options.items]
    note = Path(options.model) / "made.json"  # beside the models that ship
    if note.is_file() and (made := json.loads(note.read_text())["experiment"]) not in studies:
        raise ValueError(f"{options.model} is a model of {made}; this command scores models of "
                         f"{', '.join(studies)}. Try: python -m rlvr_lite results --verify "
                         f"{Path(options.model).name}")
    trained, task = experiments_text.load_kept(options.model)
    found = evaluation.scores(trained, task, items, options.temperature, options.seed)
    changed = [int(t.changed) for t in items]
    line(options.split, found, {"changed": changed, "unchanged": [1 - c for c in changed]})


# results that need the games' files, the simulator or a quiet machine -> how they are recorded
ELSEWHERE = {
    "text_bytesized32": "python -m rlvr_lite.experiments_bytesized32 --help",
    "text_bytesized32_rewards": "python -m rlvr_lite.experiments_bytesized32 --help",
    "video_planning": "python -m rlvr_lite.experiments_planning --help",
    "video_planning_training": "python -m rlvr_lite.experiments_planning --help",
    "video_ranking": "python -m rlvr_lite.experiments_ranking --help",
    "bench_text": "make bench", "bench_video": "make bench", "bench_roofline": "make bench"}
SHARES = ("exact", "official", "same", "f1", "success")  # shown in percent


def line(split: str, values: dict[str, list[float]], subsets: dict[str, list[int]]) -> None:
    """Print a split's means, over all items and over each subset."""
    for metric, row in values.items():
        show = mean if metric in SHARES else lambda some: f"{sum(some) / len(some):.4f}"
        parts = [f"all {show(row)}"]
        for name, mask in subsets.items():
            kept = [v for v, keep in zip(row, mask) if keep]
            parts += [f"{name} {show(kept)}"] if kept else []
        print(f"{split:<14}{metric:<14}{'   '.join(parts)}   ({len(row)} items)")


def mean(values: list[float]) -> str:
    """Mean as a percentage."""
    return f"{100 * sum(values) / len(values):5.1f} %"


def one_of(name: str, known: Iterable[str], what: str) -> str:
    """The name, if it is known.

    Raises:
        ValueError: it is not; the message lists the known ones.
    """
    if name not in known:
        raise ValueError(f"no {what} {name!r}; there are {', '.join(known)}")
    return name


def results(options: argparse.Namespace) -> None:
    """Show, verify or make the recorded results."""
    from rlvr_lite.paths import results_folder

    if options.run:
        run(options)
        return
    folder = results_folder()
    records = {p.stem: json.loads(p.read_text("utf-8")) for p in sorted(folder.glob("*.json"))}
    records = {k: v for k, v in records.items() if "rows" in v}
    if options.verify:
        verify(options.names, records, options.items)
        return
    if unknown := set(options.names) - set(records):
        raise ValueError(f"no result named {', '.join(sorted(unknown))}; "
                         f"there are {', '.join(records) or 'none yet'}")
    if not options.names and (options.decoding or options.subset or options.metric):
        raise ValueError("--decoding, --subset and --metric belong to a result; name it first: "
                         "python -m rlvr_lite results text_serial --subset changed")
    for name in options.names:
        show(records[name], options)
    for name in () if options.names else records:
        print(f"{name:<28}{records[name]['title']}")


def run(options: argparse.Namespace) -> None:
    """Run what the named results need, and record them; all that can be, where none is named.

    Raises:
        ValueError: an unknown name, one of another command, or seeds that would be lost.
    """
    from rlvr_lite.experiments_all import JUDGEMENTS, judge, records
    from rlvr_lite.experiments_lab import keep_seeds
    from rlvr_lite.paths import results_folder

    labs = records()
    names = options.names or [*labs, *JUDGEMENTS]
    for name in names:
        if name in ELSEWHERE:
            raise ValueError(f"{name} is recorded by another command: {ELSEWHERE[name]}")
        one_of(name, (*labs, *JUDGEMENTS), "result")
        if not name.startswith("scaling_"):
            keep_seeds(results_folder() / f"{name}.json", options.seeds)
    for count, name in enumerate(names, 1):
        print(f"result {count} of {len(names)}: {name}", flush=True)
        if name in JUDGEMENTS:
            judge(name, options.seeds, options.folder)
            continue
        record = labs[name].records[name]
        labs[name].run_all(labs[name].studies[record.study], list(record.methods), options.seeds,
                           options.folder, options.jobs)
        print(labs[name].summarise(name, options.folder))


def verify(names: list[str], records: dict[str, dict], items: int | None) -> None:
    """Say whether results are consistent and shipped models score what was recorded.

    A name is that of a result (is its file consistent?), of a checkpoint (is it as good as it
    was?), or of both.

    Raises:
        ValueError: a name that is neither.
        SystemExit: with 1, where something is off or missing.
    """
    from rlvr_lite import verify as judge
    from rlvr_lite.checkpoints import SHIPPED

    for name in names:
        one_of(name, {**records, **SHIPPED, **judge.NETWORKS}, "result or checkpoint")
    files = [name for name in records if name in names or not names]
    wrong = [f"{name}: {text}" for name in files for text in judge.contradictions(records[name])]
    if files:
        print("\n".join(wrong) if wrong else f"{len(files)} result(s) are consistent")
    chosen = [name for name in (*SHIPPED, *judge.NETWORKS) if name in names or not names]
    if chosen:
        with progress():
            found = judge.verify(chosen, records, items)
        print(judge.table(found))
        wrong += [c.name for c in found if c.verdict != "holds"]
        print(f"{sum(c.verdict == 'holds' for c in found)} of {len(found)} checkpoint(s) hold")
    if wrong:
        raise SystemExit(1)


def show(record: dict, options: argparse.Namespace) -> None:
    """Print rows of a result as a table: if nothing is asked, its first metric, greedy.

    Raises:
        ValueError: a decoding, subset or metric that the result does not have.
    """
    known = {k: list(dict.fromkeys(r[k] for r in record["rows"]))
             for k in ("metric", "decoding", "subset")}
    asked = {k: [one_of(v, known[k], f"{k} in {record['experiment']}")
                 for v in getattr(options, k)] for k in known}
    greedy = ["greedy"] if "greedy" in known["decoding"] else known["decoding"]
    asked = {"metric": known["metric"][:1], "decoding": greedy, "subset": known["subset"]} | {
        k: v for k, v in asked.items() if v}
    rows = [r for r in record["rows"] if all(r[k] in asked[k] for k in asked)]
    made = record["provenance"]
    print(f"\n{record['title']}\n({made['date']}, commit {made['commit']}, "
          f"{len(made['seeds'])} seeds, 95 % intervals)\n")
    print(f"{'method':<24}{'decoding':<10}{'subset':<24}{'metric':<12}{'mean':>8}  interval")
    for r in rows:
        print(f"{r['method']:<24}{r['decoding']:<10}{r['subset']:<24}{r['metric']:<12}"
              f"{r['mean']:8.4f}  [{r['low']:.4f}, {r['high']:.4f}]")


def checkpoints(options: argparse.Namespace) -> None:
    """List or rebuild the models that ship with the package."""
    from rlvr_lite import checkpoints as shelf
    from rlvr_lite.paths import data_folder

    if options.rebuild:
        from rlvr_lite.experiments_all import studies

        for name, (study, method) in shelf.SHIPPED.items():
            lab = studies()[study]
            study = lab.studies[study]
            with progress(study.base.steps if method == "mle" else None):
                lab.run_one(study, method, 0, options.folder)
            shelf.ship(name, options.folder, 0)
    shipped = data_folder() / "checkpoints"
    files = sorted(shipped.rglob("*.safetensors"))
    print("\n".join(describe(p, shipped) for p in files) or "no checkpoint is there yet")


def describe(path: Path, folder: Path) -> str:
    """Name, size and hash of a checkpoint."""
    data = path.read_bytes()
    name = path.relative_to(folder).as_posix()
    return f"{name:<44}{len(data) / 1e6:6.2f} MB  sha256 {hashlib.sha256(data).hexdigest()[:12]}"


# ---- arguments -------------------------------------------------------------------------------


def seed(text: str) -> int:
    """A seed: an integer from 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("a seed is 0 or more")
    return value


def count(text: str) -> int:
    """A number of things: an integer from 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def arguments() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(prog="python -m rlvr_lite",
                                     description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(run: Callable, help: str, examples: str) -> Callable:
        made = commands.add_parser(run.__name__, help=help, description=help, epilog=examples,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
        made.set_defaults(run_command=run)
        return made.add_argument

    train_arguments(command(train, "train one method of a study with one seed", TRAIN))
    evaluate_arguments(command(evaluate, "score a saved model of a text study", EVALUATE))
    others = "\n".join(f"  {name:<26}{how}" for name, how in ELSEWHERE.items())
    results_arguments(command(results, "show, verify or make the recorded results",
                              RESULTS.format(elsewhere=others)))
    add = command(checkpoints, "list or rebuild the models that ship", CHECKPOINTS)
    add("--rebuild", action="store_true", help="train them anew (hours)")
    add("--folder", default="runs", help="where the training is kept (default: runs)")
    return parser


def train_arguments(add: Callable) -> None:
    """Arguments of `train`."""
    add("study", help="e.g. text_serial")
    add("method", help="e.g. mle, mle_continued, rlvr")
    add("--seed", type=seed, default=0)
    add("--folder", default="runs", help="where runs are kept (default: runs)")
    add("--set", nargs="+", default=[], metavar="NAME=NUMBER",
        help="other settings of the study, e.g. seconds=60")
    add("--force", action="store_true", help="run again what is finished")


def evaluate_arguments(add: Callable) -> None:
    """Arguments of `evaluate`."""
    add("model", help="folder with config.json, model.safetensors and tokenizer.json")
    add("--study", default="text_serial")
    add("--split", default="test")
    add("--items", type=count, default=200, help="how many (default: 200)")
    add("--temperature", type=float, default=0.0, help="0 is greedy")
    add("--seed", type=seed, default=0)


def results_arguments(add: Callable) -> None:
    """Arguments of `results`."""
    add("names", nargs="*")
    add("--decoding", nargs="+", default=[], help="default: greedy")
    add("--subset", nargs="+", default=[], help="default: all there are")
    add("--metric", nargs="+", default=[], help="default: the first of the result")
    add("--verify", action="store_true",
        help="look for contradictions, and score the shipped models again")
    add("--items", type=count, help="--verify: so many test items of each (default: all)")
    add("--run", action="store_true", help="run the experiments (hours)")
    add("--seeds", nargs="+", type=seed, default=[0, 1, 2])
    add("--folder", default="runs")
    add("--jobs", type=count, default=2, help="processes (default: 2)")


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 (failed), 2 (mistake), 130 (stopped)."""
    options = arguments().parse_args(argv)
    try:
        options.run_command(options)
    except (ValueError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # e.g. `| head` has read enough
        sys.stdout = io.StringIO()
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
