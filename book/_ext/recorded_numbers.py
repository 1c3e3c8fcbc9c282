"""How a recorded number is printed: shares in percent, errors times 100, with its interval.

Shared by the sentences of the book (`book_local.py`) and tools/make_results_page.py.
"""

from __future__ import annotations

# metrics that are shares, or between 0 and 1 like them, and are printed in percent
SHARES = ("exact", "official", "same", "readable", "repetition", "still", "success", "f1",
          "precision", "recall", "verdict", "repeats", "invented", "gap", "agree", "achieved",
          "lpips_share", "memory_ratio")
# factor and format of metrics that are no shares; as the paper prints them
UNITS = {"lpips": (100, ".2f"), "l1": (100, ".2f"), "mse": (100, ".3f"), "ssim": (100, ".1f"),
         "psnr": (1, ".2f"), "motion": (1, ".2f"), "peak": (1, ".0f"), "tokens": (1, ",.0f"),
         "ratio": (1, ".1f"), "regret": (100, ".2f"), "object": (100, ".2f"),
         "hand": (100, ".2f")}  # the last three in metres: as centimetres


def is_share(metric: str) -> bool:
    return metric in SHARES or metric.endswith("_binary")


def unit(metric: str) -> tuple[float, str]:
    """Factor and format of a metric: shares in percent, errors times 100."""
    if is_share(metric):
        return 100, ".1f"
    return UNITS.get(metric.split("_")[0], (1, ".3f"))


def scale_of(metric: str) -> str:
    """What has to be said about the factor of a metric."""
    return " (%)" if is_share(metric) else " (x 100)" if unit(metric)[0] == 100 else ""


def interval(row: dict, sign: bool = False) -> str:
    """Mean and 95 % interval without a unit; `sign` is for differences."""
    scale, form = unit(row["metric"])
    form = ("+" if sign else "") + form
    mean, low, high = (f"{row[k] * scale:{form}}" for k in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def in_words(row: dict) -> str:
    """The same with its unit: shares in percent, differences of shares in points."""
    text = interval(row, sign="a" in row)
    if not is_share(row["metric"]):
        return text + scale_of(row["metric"])
    return f"{text} points" if "a" in row else text.replace(" [", " % [")
