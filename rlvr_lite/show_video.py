"""Filmstrips and clips of robot video, for readers and for screen readers.

What: `filmstrip` lays frames out in rows (truth, prediction, difference), `clip` plays the same
rows as a small looping picture, `difference` turns the gap of two frames into a picture.
Source: RLVR-World figures 6 and 9 (ground truth, base and RLVR in rows).
Differs from the paper: differences are drawn, not left to the eye.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlvr_lite.tokenizers.frames import to_uint8

GAP = 2  # white pixels between frames
EQUAL = 236  # grey of a pixel without difference: on white the frame would have no edge


def as_uint8(frames: Any) -> np.ndarray:
    """Frames as (F, H, W, 3) uint8; takes that, or a tensor (F, 3, H, W) in [0, 1].

    Raises:
        ValueError: another shape.
    """
    if hasattr(frames, "detach") and frames.ndim == 4:
        frames = to_uint8(frames)
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError("frames must be (F, H, W, 3) uint8 or a tensor (F, 3, H, W) in [0, 1]; "
                         f"got {frames.dtype} {frames.shape}")
    return frames


def difference(frames: Any, truth: Any) -> np.ndarray:
    """Where frames differ from the truth, as pictures: pale grey is equal, dark is far off."""
    gap = np.abs(as_uint8(frames).astype(int) - as_uint8(truth)).max(-1, keepdims=True)
    dark = np.clip(gap / 110.0, 0, 1)                               # 110 of 255: fully dark
    return np.rint(EQUAL - dark * (EQUAL - np.array([120, 20, 60]))).astype(np.uint8)


def _row(frames: np.ndarray) -> np.ndarray:
    """Frames side by side, with white gaps: (H, F (W + gap) - gap, 3)."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=255)
    return np.concatenate(list(padded), 1)[:, :-GAP]


def filmstrip(rows: Mapping[str, Any], heads: Sequence[str] | None = None,
              width: float = 7.0) -> Any:
    """Rows of frames with their names on the left.

    Args:
        rows: name -> frames, all with the same number of frames (see `as_uint8`).
        heads: one word above each column.
        width: of the figure, in inches.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: rows of different length, or heads that do not fit.
    """
    from matplotlib import pyplot

    strips = {name: as_uint8(frames) for name, frames in rows.items()}
    counts = {len(f) for f in strips.values()}
    if len(counts) != 1 or (heads is not None and len(heads) not in counts):
        raise ValueError("all rows and the heads need the same number of frames; got "
                         f"{ {n: len(f) for n, f in strips.items()} }, heads {heads}")
    count, size = counts.pop(), next(iter(strips.values())).shape[1]
    height = width * 0.84 / count * len(strips) + 0.3
    figure, axes = pyplot.subplots(len(strips), 1, figsize=(width, height), squeeze=False)
    for axis, (name, frames) in zip(axes[:, 0], strips.items()):
        axis.imshow(_row(frames), interpolation="nearest", aspect="equal")
        axis.set_yticks([])
        axis.set_xticks([])
        axis.grid(False)
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        for spine in axis.spines.values():
            spine.set_visible(False)
    if heads is not None:
        top = axes[0, 0]
        places = [i * (size + GAP) + size / 2 for i in range(count)]
        top.xaxis.tick_top()
        top.set_xticks(places, heads, fontsize=8)
        top.tick_params(length=0)
    figure.subplots_adjust(left=0.16, right=1, top=0.93, bottom=0.01, hspace=0.04)
    return figure


def clip(rows: Mapping[str, Any], alt: str, scale: int = 2, milliseconds: int = 350) -> None:
    """Show rows of frames as one looping picture, the rows side by side in their order.

    Args:
        rows: name -> frames, all with the same number of frames; the names go into a line
            above the picture.
        alt: what is to be seen, in a sentence or two.
        scale: whole-number enlargement.
        milliseconds: of each frame.

    Raises:
        ValueError: rows of different length, or an alt text that says nothing.
    """
    from IPython.display import display
    from PIL import Image

    strips = [as_uint8(frames) for frames in rows.values()]
    if len({len(s) for s in strips}) != 1 or len(alt.split()) < 4:
        raise ValueError("all rows need the same number of frames, and alt must say in a sentence "
                         "what is to be seen")
    pictures = []
    for frames in zip(*strips):
        wide = _row(np.stack(frames))
        size = (wide.shape[1] * scale, wide.shape[0] * scale)
        pictures.append(Image.fromarray(wide).resize(size, Image.Resampling.BICUBIC))
    buffer = io.BytesIO()
    pictures[0].save(buffer, "webp", save_all=True, append_images=pictures[1:], loop=0,
                     quality=60, method=6,
                     duration=[milliseconds] * (len(pictures) - 1) + [3 * milliseconds])
    alt = " ".join(alt.split())
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    names = " | ".join(rows)
    display({"text/html": f'<figure><figcaption>{names}</figcaption><img alt="{alt}" '
                          f'src="data:image/webp;base64,{data}"></figure>',
             "text/plain": f"{names}: {alt}"}, raw=True)
