"""Speed of the video world: sampling beside `generate`, and what a GRPO step is spent on.

    make bench             # or: python tools/bench_video.py --repeats 5

One run, one thread, the shipped base model and tokenizers, real clips; CPU seconds of this
process. `generate` cannot weave in given tokens, so the two are compared one frame ahead. The
contenders take turns. Writes results/bench_video.json.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from bench_common import PARTS, grpo_steps, parser, record, row, take_turns, write
import torch

from rlvr_lite import experiments_video, model as M
from rlvr_lite.checkpoints import load_video_model
from rlvr_lite.tokenizers.frames import to_tensor

B, G = 16, 16


class Bench:
    """The shared ingredients: the shipped base and clips of the validation split."""

    def __init__(self):
        self.model, self.task = load_video_model("video_base", horizon=1)
        self.clips = experiments_video.data("validation", 1, 7)
        self.questions = [self.task.question(c) for c in self.clips[:B]]

    def contenders(self) -> dict[str, Callable[[int], float]]:
        """Name -> function of a seed that does the work once and returns its units of work."""
        return {"our sampler": self.our_sampler, "generate": self.generate,
                "decoding": self.decoding, "LPIPS": self.lpips}

    def our_sampler(self, seed: int) -> float:
        M.sample(self.model, self.questions, G, self.task.max_new, eos_id=None,
                 generator=torch.Generator().manual_seed(seed))
        return B * G

    def generate(self, seed: int) -> float:
        torch.manual_seed(seed)
        ids = torch.tensor(self.questions)
        with torch.no_grad():
            self.model.generate(ids, attention_mask=torch.ones_like(ids), num_return_sequences=G,
                                do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                                max_new_tokens=self.task.max_new, eos_token_id=None,
                                pad_token_id=0)
        return B * G

    def decoding(self, seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        tokens = self.task.tokenizer.compressive
        codes = torch.randint(tokens.fsq.codes, (64, tokens.tokens), generator=generator)
        with torch.no_grad():
            known = tokens.context(to_tensor(self.clips[0].context_frame()[None]))
            tokens.decode(codes, [z.expand(64, -1, -1, -1) for z in known])
        return 64

    def lpips(self, seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        frames = torch.rand(64, 3, 64, 64, generator=generator)
        with torch.no_grad():
            found = self.task.lpips.features(frames)
            self.task.lpips.distance(found, [f[:1] for f in found])
        return 64

    def step(self, name: str, steps: int) -> dict[str, list[float]]:
        """Seconds of sampling, reward and update of some GRPO steps of a study."""
        study = experiments_video.STUDIES[name]
        task = experiments_video.task_for(study, judged=study.judged, credit="frame")
        rows = grpo_steps(self.model, task, self.clips, study.rl, steps)
        return {part: [r[f"{part}_s"] for r in rows] for part in PARTS}


def report(bench: Bench, repeats: int) -> dict:
    """Print the table; return the contents of results/bench_video.json."""
    found, rows = take_turns(bench.contenders(), repeats), []
    for name, values in found.items():
        rows.append(row(name, "milliseconds", [1e3 * v for v in values]))
        print(f"{name:<14} {1e3 * statistics.median(values):7.2f} ms a frame")
    ratios = [a / b for a, b in zip(found["generate"], found["our sampler"])]
    rows.append(row("generate / our sampler", "ratio", ratios))
    print(f"generate / our sampler: {statistics.median(ratios):.1f}")
    for name in ("video_single", "video_multi"):
        study, parts = experiments_video.STUDIES[name], bench.step(name, max(2, repeats // 2))
        judged = study.rl.prompts * study.rl.group * (study.judged or study.horizon)
        whole = sum(statistics.median(v) for v in parts.values())
        share = judged * statistics.median(found["LPIPS"]) / whole
        for part, values in parts.items():
            rows.append(row(f"GRPO step of {name}: {part}", "seconds", values))
            print(f"  {name} {part:<7} {statistics.median(values):6.2f} s")
        rows.append(row(f"GRPO step of {name}", "lpips_share", [share]))
        print(f"  {name} LPIPS is {share:.0%} of a step of {whole:.2f} s ({judged} frames)")
    config = {"prompts": B, "group": G,
              "parameters": sum(p.numel() for p in bench.model.parameters())}
    return record("bench_video", "CPU time of the video world", rows, config)


def main() -> None:
    options = parser(__doc__).parse_args()
    torch.set_num_threads(1)
    write(report(Bench(), options.repeats), options)


if __name__ == "__main__":
    main()
