"""Oracles on the published ByteSized32 test split: 2,954 transitions of 31 games."""

import copy
import hashlib
import http.server
import json
import lzma
import os
import threading
from pathlib import Path

import pytest

from rlvr_lite.tasks.state_difference import NOTHING, changed, difference, recover, same_state
from rlvr_lite.tasks.state_rewards import reward
from rlvr_lite.worlds import bytesized32

SHARED = Path(os.environ.get("RLVR_SHARED_DATA",
                             Path(__file__).resolve().parents[2] / "shared" / "data"))
CRAWL = SHARED / "bytesized32_sp_crawl.jsonl.xz"
needs_data = pytest.mark.skipif(
    not (SHARED / bytesized32.TEST_NAME).is_file(),
    reason=f"the published test split is not at {SHARED}: set RLVR_SHARED_DATA to its folder")


@pytest.fixture(scope="module")
def rows():
    return bytesized32.load_test(SHARED)


@pytest.fixture(scope="module")
def golds(rows):
    return [difference(t.state, t.next_state) for t in rows]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def rewards(rows, answers, kind="binary", mode="official"):
    return [reward(t.state, a, t.next_state, kind, mode)["reward"]
            for t, a in zip(rows, answers, strict=True)]


def removes(t):
    return {o["uuid"] for o in t.state.objects} - {o["uuid"] for o in t.next_state.objects}


def creates(t):
    return {o["uuid"] for o in t.next_state.objects} - {o["uuid"] for o in t.state.objects}


@needs_data
def test_the_published_split_is_the_papers(rows):
    assert len(rows) == bytesized32.TEST_ROWS == 2954
    assert len({t.game for t in rows}) == 31
    assert len({t.verb for t in rows}) >= 40
    assert sum(changed(t.state, t.next_state) for t in rows) == 1210


@needs_data
@pytest.mark.parametrize("mode", ["official", "strict"])
def test_do_nothing_scores_59_percent(rows, mode):
    scores = rewards(rows, [NOTHING] * len(rows), mode=mode)
    by_change = {True: [], False: []}
    for t, score in zip(rows, scores, strict=True):
        by_change[changed(t.state, t.next_state)].append(score)
    assert len(by_change[False]) == 1744 and len(by_change[True]) == 1210
    assert round(100 * mean(scores), 2) == 59.04
    assert mean(by_change[False]) == 1 and mean(by_change[True]) == 0


@needs_data
def test_creation_is_unsolvable_under_official_and_solvable_under_strict(rows, golds):
    official = rewards(rows, golds)
    assert round(100 * mean(official), 2) == 98.27
    lost = [t for t, score in zip(rows, official, strict=True) if score == 0]
    assert len(lost) == 51 and all(creates(t) for t in lost)
    assert sum(bool(creates(t)) for t in rows) == 51
    assert set(rewards(rows, golds, mode="strict")) == {1.0}


@needs_data
def test_the_gold_answer_restores_every_state(rows, golds):
    for t, gold in zip(rows, golds, strict=True):
        assert same_state(recover(t.state, gold, "strict"), t.next_state)


@needs_data
def test_forgotten_removals(rows, golds):
    cases = [(t, {**gold, "removed": []}) for t, gold in zip(rows, golds, strict=True)
             if removes(t) and not creates(t)]
    some, answers = zip(*cases, strict=True)
    assert len(cases) == 30
    assert rewards(some, answers) == [1.0] * 30
    assert rewards(some, answers, mode="strict") == [0.0] * 30


@needs_data
def test_extra_properties(rows):
    """1,103 rows, as in the data scripts, which take another order of `contains` for an edit."""
    cases = []
    for t in rows:
        before = {o["uuid"]: o for o in t.state.objects}
        edits = [o for o in t.next_state.objects if o != before.get(o["uuid"])]
        if edits and not creates(t):
            edits = copy.deepcopy(edits)
            edits[0]["properties"]["invented"] = True
            score = t.next_state.score if t.next_state.score != t.state.score else {}
            cases.append((t, {"modified": edits, "removed": sorted(removes(t)), "score": score}))
    some, answers = zip(*cases, strict=True)
    assert len(cases) == 1103
    assert rewards(some, answers) == [1.0] * 1103
    assert rewards(some, answers, "task_specific") == [0.0] * 1103
    assert rewards(some, answers, mode="strict") == [0.0] * 1103
    partial = rewards(some, answers, "task_specific", "strict")      # costs, but is not fatal
    assert all(0.08 < r < 1.1 for r in partial) and mean(partial) > 1


@needs_data
def test_mean_task_specific_rewards(rows, golds):
    """The data scripts split by objects alone: 1,818 and 1,136 rows."""
    moved = [changed((t.state.objects, {}), (t.next_state.objects, {})) for t in rows]
    assert sum(moved) == 1136
    idle = rewards(rows, [NOTHING] * len(rows), "task_specific")
    gold = rewards(rows, golds, "task_specific")
    found = [round(mean(r for r, m in zip(scores, moved, strict=True) if m is which), 3)
             for scores in (idle, gold) for which in (False, True)]
    assert found == [0.292, 0.096, 0.300, 1.291]


@needs_data
def test_an_answer_as_text_scores_the_same(rows, golds):
    for t, gold in list(zip(rows, golds, strict=True))[::25]:
        text = "Let me think. The final answer is: " + repr(gold)        # a Python repr
        for kind in ("binary", "task_specific"):
            assert reward(t.state, text, t.next_state, kind) == \
                reward(t.state, gold, t.next_state, kind)


@needs_data
def test_a_missing_score_costs_everything(rows, golds):
    for t, gold in list(zip(rows, golds, strict=True))[::10]:
        answer = {k: v for k, v in gold.items() if k != "score"}
        assert reward(t.state, answer, t.next_state)["reward"] == 0


@needs_data
def test_the_crawl_without_the_test_split(rows):
    if not CRAWL.is_file():
        pytest.skip(f"no crawl at {CRAWL}")
    crawl = list(bytesized32.read(CRAWL))
    assert len(crawl) == 14592
    kept = bytesized32.without(crawl, rows)
    assert 10_000 < len(kept) < 14_592
    assert not {t.key for t in kept} & {t.key for t in rows}
    assert len({t.key for t in kept}) == len(kept)
    train, validation = bytesized32.split_by_state(kept, 0.1)
    assert 0.05 < len(validation) / len(kept) < 0.15
    assert not {t.key[:2] for t in train} & {t.key[:2] for t in validation}


# ------------------------------------------------------------------- finding and reading files

def small_row(**changes):
    state = {"objects": [{"name": "pot", "uuid": 1, "type": "Pot", "properties": {"on": False},
                          "contains": []}], "max_UUID": 2, "lastAction": "look"}
    points = {"score": 0, "gameOver": False, "gameWon": False}
    return {"current_state": state, "action_state": {**state, "lastAction": "turn on pot"},
            "tick_state": state, "current_score_state": points, "next_score_state": points,
            "game": "tiny", "state_id": 7, **changes}


def test_reads_plain_and_compressed_lines(tmp_path):
    text = json.dumps(small_row()) + "\n\n" + json.dumps(small_row(state_id=8)) + "\n"
    (tmp_path / "a.jsonl").write_text(text)
    with lzma.open(tmp_path / "a.jsonl.xz", "wt") as file:
        file.write(text)
    for name in ("a.jsonl", "a.jsonl.xz"):
        first, second = bytesized32.read(tmp_path / name)
        assert (first.game, first.action, first.verb) == ("tiny", "turn on pot", "turn")
        assert (first.state_id, second.state_id, first.uuid_base) == (7, 8, 2)
        assert first.state.objects[0] is second.next_state.objects[0], "equal objects are shared"
        assert bytesized32.without([first, second], []) == [first]
        assert bytesized32.without([first], [second]) == []


def test_a_broken_line_is_named(tmp_path):
    bad = small_row()
    del bad["tick_state"]
    for line in (json.dumps(bad), "{not json"):
        (tmp_path / "a.jsonl").write_text(json.dumps(small_row()) + "\n" + line)
        with pytest.raises(ValueError, match="line 2"):
            list(bytesized32.read(tmp_path / "a.jsonl"))


def test_a_path_that_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="ways out"):
        bytesized32.load_test(tmp_path / "nowhere.zip")
    (tmp_path / bytesized32.TEST_NAME).write_bytes(b"something else")
    with pytest.raises(ValueError, match="SHA-256"):
        bytesized32.load_test(tmp_path)


def test_offline_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        bytesized32.load_test(cache=tmp_path, mirrors=["http://127.0.0.1:9/a.zip"], timeout=2)
    message = str(error.value)
    assert "127.0.0.1:9" in message and "ways out" in message and "load_test(path)" in message
    with pytest.raises(FileNotFoundError, match="ways out"):
        bytesized32.load_test(cache=tmp_path, download=False)


def test_cache_folder_order(monkeypatch, tmp_path):
    monkeypatch.setenv("RLVR_CACHE", str(tmp_path / "env"))
    assert bytesized32.cache_folder() == tmp_path / "env"
    assert bytesized32.cache_folder(tmp_path) == tmp_path
    monkeypatch.delenv("RLVR_CACHE")
    assert bytesized32.cache_folder() == Path.home() / ".cache" / "rlvr_lite"


def test_download_tries_mirrors_checks_and_caches(monkeypatch, tmp_path):
    content = b"the published bytes"
    monkeypatch.setattr(bytesized32, "SHA256", hashlib.sha256(content).hexdigest())
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path == "/missing":
                return self.send_error(404)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content if self.path == "/good" else b"tampered")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_port}"
    try:
        mirrors = [host + "/missing", host + "/tampered", host + "/good"]
        path = bytesized32.find_test(cache=tmp_path, mirrors=mirrors, timeout=5)
        assert path == tmp_path / bytesized32.TEST_NAME and path.read_bytes() == content
        assert asked == ["/missing", "/tampered", "/good"]
        assert bytesized32.find_test(cache=tmp_path, mirrors=[]) == path     # now from the cache
        assert len(asked) == 3 and [p.name for p in tmp_path.iterdir()] == [path.name]
    finally:
        server.shutdown()
        server.server_close()
