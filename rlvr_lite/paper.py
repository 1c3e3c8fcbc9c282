"""Numbers of RLVR-World that this book quotes, each with the place where it stands.

What: plain constants. Chapters and the results page print them from here, so that a quoted number
is written once and can be checked once. `measured` marks what the paper does not say and what was
counted on its published data instead.
Source: RLVR-World (arXiv 2505.13934, version 2), tables 1, 2, 3, 5, 6, 8, 12 and 13,
appendices A.1 and B.
"""

from __future__ import annotations

# accuracy in percent on the published test split of ByteSized32: unchanged, changed, overall
TEXT_GAME = {
    "R1-Distill-Qwen-1.5B": (11.98, 0.08, 7.11),
    "SFT (MLE), 1.5B": (38.88, 24.21, 32.87),
    "RLVR, binary reward, 1.5B": (73.57, 33.14, 57.01),
    "RLVR, task-specific reward, 1.5B": (83.66, 33.80, 63.24),
    "SFT (MLE), 7B": (65.94, 31.32, 51.76),
    "RLVR, binary reward, 7B": (83.08, 40.33, 65.53),
    "GPT-4": (73.90, 51.60, 64.76),
}

TEXT_GAIN = 30.7  # points, as the introduction says; table 1 gives 63.24 - 32.87

# the published test split, counted (measured; the paper prints the number of rows only)
TEST_ROWS, TEST_UNCHANGED = 2954, 1744


def do_nothing() -> float:
    """Accuracy in percent of the answer "nothing changes" on the published test split."""
    return 100 * TEST_UNCHANGED / TEST_ROWS


def text_game_rows() -> dict[str, dict[str, float] | str]:
    """The 1.5 B rows by this book's names of methods, as `paper` of a result wants them."""
    rows = {"sft": "SFT (MLE), 1.5B", "rlvr": "RLVR, binary reward, 1.5B",
            "rlvr_task_specific": "RLVR, task-specific reward, 1.5B"}
    found: dict = {ours: dict(zip(("unchanged", "changed", "all"), TEXT_GAME[theirs]))
                   for ours, theirs in rows.items()}
    found["trivial"] = {"unchanged": 100.0, "changed": 0.0, "all": round(do_nothing(), 2)}
    return found | {"unit": "% exact under `official`, 2,954 published test transitions, 1.5 B "
                    "parameters; RL on 100 changed and 40 (binary) or 5 (task-specific) unchanged "
                    "questions"}


# single-step and multi-step video prediction on RT-1, table 3: repetition in percent, MSE x 100,
# PSNR in dB, SSIM x 100, LPIPS x 100
VIDEO = {
    "single": {"mle": (None, 0.336, 25.3, 81.7, 13.0), "rlvr": (None, 0.287, 25.9, 83.1, 12.2)},
    "multi": {"mle": (48.6, 0.659, 23.1, 80.9, 14.8),
              "repetition_rejection": (0.0, 0.593, 23.3, 81.0, 14.4),
              "rlvr": (9.9, 0.486, 24.1, 82.4, 13.4),
              "rlvr_repetition_penalty": (0.0, 0.506, 24.0, 82.2, 13.7)},
}
VIDEO_GAIN = {"single": 6.0, "multi": 9.2}  # percent of LPIPS; 9.2 from numbers not rounded


# cost of the video models: (steps, sequences per step, GPU hours) of MLE and of RLVR; table 8 and
# appendix B. A step of RL samples 128 questions x 16 answers; 200 steps took the hours given.
VIDEO_TRAINING = {
    "one frame ahead": {"mle": (990_000, 32, 530), "rlvr": (200, 128 * 16, 14)},
    "seven frames ahead": {"mle": (450_000, 32, 500), "rlvr": (200, 128 * 16, 40)}}

# GPU hours of MLE and of RLVR, appendix B (text and video: A100; web: A100, then H100)
GPU_HOURS = {"text game": (26, 180), "web pages": (136, 200)} | {
    f"video, {ahead.removesuffix(' ahead')}": (cost["mle"][2], cost["rlvr"][2])
    for ahead, cost in VIDEO_TRAINING.items()}


def video_rows(setting: str) -> dict:
    """One half of table 3 by this book's names of methods."""
    names = ("repetition", "mse", "psnr", "ssim", "lpips")
    found: dict = {method: {n: v for n, v in zip(names, values) if v is not None}
                   for method, values in VIDEO[setting].items()}
    return found | {"unit": "repetition in %, MSE, SSIM and LPIPS (VGG) x 100, PSNR in dB; RT-1, "
                    "256 x 320 pixels, sampled with T = 1, top-k 100; 138 M parameters"}


# web pages of WebArena, table 2: precision, recall, F1, success of the planning agent (812 tasks)
WEB = {"mle": (48.99, 56.05, 49.94, 12.06), "rlvr": (72.77, 64.55, 65.11, 14.29)}
WEB_SOURCE = "RLVR-World, table 2 (WebArena)"
WEB_GAIN = {"f1": 15.1, "success": 18.4}  # points of F1; relative percent of success
WEB_AGENT_BY_SITE = {  # success in percent of the agent with SFT (MLE), with RLVR; table 6
    "Shopping": (18.23, 21.88), "CMS": (11.54, 10.99), "Reddit": (4.39, 6.14),
    "GitLab": (6.63, 10.71), "Map": (19.53, 20.31)}


def web_rows() -> dict:
    """The F1 half of table 2 by this book's names of methods."""
    found: dict = {method: dict(zip(("precision", "recall", "f1"), values))
                   for method, values in WEB.items()}
    return found | {"unit": "%, official F1 of new, deleted and updated items; WebArena, 1.5 B "
                    "parameters"}


def web_agent_rows() -> dict:
    """Success of the planning agent in table 2."""
    return {method: {"success": values[3]} for method, values in WEB.items()} | {
        "unit": "% of 812 WebArena tasks; policy and value are DeepSeek-V3"}


# ---- planning in a video model by the cross-entropy method, table 12: success in percent
PLANNING = {"mle": 80.0, "rlvr": 86.0}


def planning_rows() -> dict:
    """Success of table 12."""
    return {method: {"all": value} for method, value in PLANNING.items()} | {
        "unit": "% of PushT starts"}


# ---- judging policies inside a model, table 13: success in percent of RT-1 and RT-1-X
STAGES = ("Begin", "RT-1-X", "15 %", "Converged")
POLICIES = {
    "open": {"real": (0.0, 51.9, 70.4, 81.5), "SIMPLER-VM": (0.0, 29.6, 46.3, 60.1),
             "MLE": (4.4, 18.8, 50.0, 48.9), "RLVR": (3.3, 33.3, 62.2, 62.2)},
    "close": {"real": (0.0, 74.1, 88.9, 92.6), "SIMPLER-VM": (27.8, 89.1, 66.7, 86.1),
              "MLE": (20.0, 56.7, 76.7, 81.1), "RLVR": (18.9, 71.1, 78.9, 88.9)}}


def policy_gap(method: str) -> float:
    """Mean distance of a row of `POLICIES` from the real one, in points of success."""
    return sum(abs(a - b) for table in POLICIES.values()
               for a, b in zip(table[method], table["real"])) / (len(POLICIES) * len(STAGES))


def gain(after: str, before: str) -> dict[str, float]:
    """Points gained between two rows of `TEXT_GAME`, by subset."""
    a, b = TEXT_GAME[after], TEXT_GAME[before]
    return {name: a[i] - b[i] for i, name in enumerate(("unchanged", "changed", "overall"))}
