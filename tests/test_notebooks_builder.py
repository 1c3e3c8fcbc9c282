"""The notebook builder on a small book of its own: order, errors, bytes, no network."""

from __future__ import annotations

import json

import pytest

import build_notebooks as builder

SOURCE = '''# %% [markdown]
# # Title
#
# {{badge}}
#
# Runs in {{minutes}}.

# %% tags=["setup"]
{{setup}}

# %% tags=["nbval-check-output"]
print("one")
print(1 + 1)
'''


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A checkout with one chapter, in a folder of its own."""
    sources, notebooks = tmp_path / "notebooks" / "src", tmp_path / "notebooks"
    sources.mkdir(parents=True)
    monkeypatch.setattr(builder, "SOURCES", sources)
    monkeypatch.setattr(builder, "NOTEBOOKS", notebooks)
    monkeypatch.setattr(builder, "EXECUTED", tmp_path / "build")
    monkeypatch.setattr(builder, "TIMES", tmp_path / "times.json")
    monkeypatch.setattr(builder, "fingerprint", lambda name: (sources / f"{name}.py").read_text())
    monkeypatch.setattr(builder.read_source, "__defaults__", (None, sources))
    monkeypatch.setattr(builder.parity, "__defaults__", (sources, notebooks))
    monkeypatch.setattr(builder.execute, "__defaults__",
                        (notebooks, builder.execute.__defaults__[1]))
    (sources / "00_a.py").write_text(SOURCE)
    return tmp_path


def test_built_once_then_unchanged_then_the_same_bytes(folders):
    path = folders / "notebooks" / "00_a.ipynb"
    assert "2 cells" in builder.build("00_a", commit=True, force=False)
    first = path.read_bytes()
    assert builder.parity("00_a") == []
    assert builder.build("00_a", commit=True, force=False) == "unchanged"
    assert "2 cells" in builder.build("00_a", commit=True, force=True)
    assert path.read_bytes() == first
    book = json.loads(first)
    assert [c.get("execution_count") for c in book["cells"]] == [None, 1, 2]
    assert book["cells"][2]["outputs"][0]["text"] == "one\n2\n"
    assert "Runs in about" in book["cells"][0]["source"]


def test_the_book_run_changes_no_committed_file(folders):
    builder.build("00_a", commit=False, force=False)
    assert not (folders / "notebooks" / "00_a.ipynb").exists()
    assert not (folders / "times.json").exists()
    assert (folders / "build" / "00_a.ipynb").is_file()


def test_an_edited_source_is_noticed(folders):
    builder.build("00_a", commit=True, force=False)
    (folders / "notebooks" / "src" / "00_a.py").write_text(SOURCE.replace("1 + 1", "1 + 2"))
    assert "cell 3 differs" in builder.parity("00_a")[0]


def test_prose_is_renewed_without_running_but_code_is_not(folders):
    builder.build("00_a", commit=True, force=False)
    source = folders / "notebooks" / "src" / "00_a.py"
    source.write_text(SOURCE.replace("# # Title", "# # A better title"))
    assert builder.parity("00_a") != [] and builder.refill("00_a") is True
    assert builder.parity("00_a") == [] and builder.refill("00_a") is False
    source.write_text(SOURCE.replace("1 + 1", "1 + 2"))
    with pytest.raises(builder.NotebookError, match="changed in the source"):
        builder.refill("00_a")


@pytest.mark.parametrize("line, words", [
    ("boom = 1 / 0", ["00_a", "cell 3", "'boom = 1 / 0'", "ZeroDivisionError", "src/00_a.py"]),
    ("import sys; print('x', file=sys.stderr)", ["00_a", "cell 3", "stderr"]),
    ("import socket; socket.create_connection(('192.0.2.1', 80), 3)", ["network is blocked"]),
])
def test_a_failing_cell_is_named(folders, line, words):
    (folders / "notebooks" / "src" / "00_a.py").write_text(
        SOURCE.replace('print("one")\n', "").replace("print(1 + 1)", line))
    with pytest.raises(builder.NotebookError) as error:
        builder.build("00_a", commit=True, force=False)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\x1b" not in str(error.value)
    assert not (folders / "notebooks" / "00_a.ipynb").exists()


def test_a_source_without_set_up_cell_is_refused(folders):
    (folders / "notebooks" / "src" / "00_a.py").write_text("# %%\nprint(1)\n")
    with pytest.raises(builder.NotebookError, match="badge"):
        builder.build("00_a", commit=True, force=False)


def test_unknown_chapters_are_refused():
    with pytest.raises(SystemExit, match="no chapter starts with '99'"):
        builder.choose(["99"])


@pytest.mark.parametrize("seconds, words", [
    (None, "a time not measured yet"), (3, "about 5 seconds"), (41, "about 45 seconds"),
    (95, "about 2 minutes"), (140, "about 2.5 minutes"),
])
def test_times_in_words(seconds, words):
    assert builder.minutes(seconds) == words


def test_small_changes_of_the_time_change_no_page():
    assert not builder.moved(60, 66) and builder.moved(60, 95) and builder.moved(None, 1)
