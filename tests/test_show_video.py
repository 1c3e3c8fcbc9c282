"""Filmstrips and clips: shapes are checked, differences are where they are, alt texts arrive."""

import base64
import io
import re

import numpy as np
import pytest
import torch

from rlvr_lite import show_video


def frames(count=3, value=100):
    return np.full((count, 64, 64, 3), value, np.uint8)


def test_frames_come_as_pixels_or_as_tensors():
    tensor = torch.full((2, 3, 64, 64), 0.5)
    assert show_video.as_uint8(tensor).shape == (2, 64, 64, 3)
    assert show_video.as_uint8(tensor)[0, 0, 0].tolist() == [128] * 3
    assert show_video.as_uint8(tensor * 4).max() == 255  # clipped, not wrapped around
    for wrong in (np.zeros((2, 64, 64)), np.zeros((2, 64, 64, 3)), torch.zeros(3, 64, 64)):
        with pytest.raises(ValueError, match="uint8 or a tensor"):
            show_video.as_uint8(wrong)


def test_a_difference_is_pale_where_frames_agree_and_dark_where_they_do_not():
    other = frames()
    other[1, 10:20, 30:40] = 255
    found = show_video.difference(other, frames())
    pale = show_video.EQUAL
    assert pale < 255 and (found[0] == pale).all(), "the page is white: a frame needs an edge"
    assert found[1, 15, 35].tolist() == [120, 20, 60] and found[1, 25, 35].tolist() == [pale] * 3
    faint = show_video.difference(frames(value=101), frames())
    assert pale - 5 < faint.mean() < pale


def test_a_filmstrip_has_its_rows_and_heads():
    figure = show_video.filmstrip({"truth": frames(), "MLE": frames(value=9)}, ["1", "2", "3"])
    assert [a.get_ylabel() for a in figure.axes] == ["truth", "MLE"]
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["1", "2", "3"]
    wide = 3 * 64 + 2 * show_video.GAP
    assert figure.axes[0].images[0].get_array().shape == (64, wide, 3)
    with pytest.raises(ValueError, match="same number of frames"):
        show_video.filmstrip({"a": frames(3), "b": frames(2)})
    with pytest.raises(ValueError, match="same number of frames"):
        show_video.filmstrip({"a": frames(3)}, ["1"])


def test_a_clip_loops_through_all_frames_and_says_what_it_shows(monkeypatch):
    from PIL import Image

    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    moving = np.stack([np.full((64, 64, 3), v, np.uint8) for v in (0, 90, 200)])
    show_video.clip({"truth": moving, "MLE": moving[::-1]}, "A square gets brighter and darker.")
    page = shown[0]["text/html"]
    assert 'alt="A square gets brighter and darker."' in page and "truth | MLE" in page
    data = re.search(r"base64,([^\"]+)", page)[1]
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.n_frames == 3 and picture.info["loop"] == 0
    assert picture.size == (2 * (128 + show_video.GAP), 128)
    for rows, alt in (({"a": frames(3), "b": frames(2)}, "Two clips side by side."),
                      ({"a": frames(3)}, "clip")):
        with pytest.raises(ValueError, match="sentence"):
            show_video.clip(rows, alt)
