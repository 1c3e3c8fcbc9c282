"""Figures of the book: small PNGs with a text alternative that reaches every reader.

What: `show_png(fig, alt)` puts a figure into the notebook together with its alt text. The text
is stored twice in the output: as plain text (terminal, screen readers, search) and in the
metadata of the image, from where the book writes it into `<img alt="...">`.
"""

from __future__ import annotations

import base64
import io
from typing import Any

LIMIT = 60_000  # bytes of one figure
DPI = (110, 96, 84, 72)


def png(figure: Any, limit: int = LIMIT) -> bytes:
    """Render a matplotlib figure as PNG of at most `limit` bytes.

    The picture gets a palette of 256 colours, or of 64 if it holds no photograph, none of them
    far from the true one (rare colours included: a finger of ten pixels stays as it is). That is
    a third of the size, and nobody sees the difference. The resolution falls from 110 to 72 dpi
    in four steps where it has to.

    Args:
        figure: a `matplotlib.figure.Figure`.
        limit: largest size in bytes.

    Returns:
        The bytes of the PNG; the same figure always gives the same bytes.

    Raises:
        ValueError: the figure does not fit.
    """
    from PIL import Image

    colours = 256 if any(axes.images for axes in figure.axes) else 64
    for dpi in DPI:
        full, small = io.BytesIO(), io.BytesIO()
        figure.savefig(full, format="png", dpi=dpi, bbox_inches="tight",
                       metadata={"Software": None})
        picture = Image.open(full).convert("RGB")
        picture.quantize(colours, Image.Quantize.MAXCOVERAGE, kmeans=2).save(
            small, format="png", optimize=True)
        data = min(full.getvalue(), small.getvalue(), key=len)
        if len(data) <= limit:
            return data
    raise ValueError(f"the figure needs {len(data)} bytes, more than {limit}; "
                     "draw fewer points or a smaller figsize")


def show_png(figure: Any, alt: str, limit: int = LIMIT) -> None:
    """Show a figure in the notebook, with its text alternative, and close it.

    Args:
        figure: a `matplotlib.figure.Figure`.
        alt: one or two sentences that say what is to be seen.
        limit: largest size of the PNG in bytes.

    Raises:
        ValueError: the alt text says nothing (fewer than 15 characters), or the PNG is too big.
    """
    alt = " ".join(str(alt).split())
    if len(alt) < 15:
        raise ValueError("alt must say in a sentence what the figure shows, "
                         f"for a reader who cannot see it; got {alt!r}")
    from IPython.display import display
    from matplotlib import pyplot

    bundle = {"image/png": base64.b64encode(png(figure, limit)).decode("ascii"),
              "text/plain": alt}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})
    pyplot.close(figure)
