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

    The resolution falls from 110 to 72 dpi in four steps; after that the colours are reduced to
    a palette of 256.

    Args:
        figure: a `matplotlib.figure.Figure`.
        limit: largest size in bytes.

    Returns:
        The bytes of the PNG; the same figure always gives the same bytes.

    Raises:
        ValueError: the figure does not fit.
    """
    for dpi in DPI:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight",
                       metadata={"Software": None})
        data = buffer.getvalue()
        if len(data) <= limit:
            return data
    from PIL import Image

    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(256).save(small, format="png", optimize=True)
    if len(small.getvalue()) > limit:
        raise ValueError(f"the figure needs {len(small.getvalue())} bytes, more than {limit}; "
                         "draw fewer points or a smaller figsize")
    return small.getvalue()


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
