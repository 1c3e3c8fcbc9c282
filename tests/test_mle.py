"""Maximum likelihood training: the loss by hand, the batches, the best weights, resuming."""

import math

import pytest
import torch

from rlvr_lite import mle
from rlvr_lite import model as M
from rlvr_lite.mle import MLEConfig, train_mle

PAIRS = [([2 + i % 5, 3 + i % 7], [2 + (i + j) % 9 for j in range(1 + i % 6)] + [1])
         for i in range(100)]
QUICK = MLEConfig(steps=12, batch=8, lr=5e-3, warmup=3, validate_every=4)


def tiny():
    return M.build(12, width=16, layers=1, heads=2, hidden=16, max_tokens=32, seed=0)


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b)))


def test_loss_is_the_cross_entropy_of_answer_tokens():
    model, total, count = tiny(), 0.0, 0
    for question, answer in PAIRS[:7]:
        ids = torch.tensor([question + answer])
        labels = torch.tensor([[-100] * len(question) + answer])
        total += model(ids, labels=labels).loss * len(answer)
        count += len(answer)
    torch.testing.assert_close(mle.mle_loss(model, PAIRS[:7]), total / count)


def test_batches_hold_every_row_once_and_similar_lengths():
    lengths = [1 + (i * 37) % 50 for i in range(1000)]
    found = mle.batches(lengths, 10, seed=0, epoch=0)
    assert sorted(i for batch in found for i in batch) == list(range(1000))
    spread = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in found]
    assert sum(spread) / len(spread) < 8, "unsorted batches of ten spread over about 41"
    assert found == mle.batches(lengths, 10, 0, 0) != mle.batches(lengths, 10, 0, 1)
    order = [max(lengths[i] for i in b) for b in found]
    assert order != sorted(order), "batches come in random order"


def test_learning_rate():
    config = MLEConfig(steps=100, lr=1.0, warmup=10)
    assert mle.learning_rate(0, config) == pytest.approx(0.1)
    assert mle.learning_rate(50, config) == pytest.approx(0.5)
    assert mle.learning_rate(99, config) < 0.001
    assert mle.learning_rate(50, MLEConfig(schedule="constant", lr=1.0)) == 1.0


def test_training_learns_and_writes_history():
    model = tiny()
    lines = []
    config = MLEConfig(steps=60, batch=16, lr=1e-2, warmup=5, validate_every=20)
    history = train_mle(model, PAIRS, config, log=lines.append)
    assert [row["step"] for row in history] == [20, 40, 60] and len(lines) == 3
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert history[0]["cpu_seconds"] < history[-1]["cpu_seconds"]


def test_the_best_validated_weights_are_kept():
    model, seen = tiny(), []

    def validate(net):
        seen.append(weights(net))
        return {"score": [0.1, 0.9, 0.3, 0.2][len(seen) - 1]}

    history = train_mle(model, PAIRS, QUICK, validate, best="score", log=None)
    assert [row["score"] for row in history] == [0.1, 0.9, 0.3, 0.2]
    assert all(torch.equal(a, b) for a, b in zip(weights(model), seen[1]))
    assert not torch.equal(seen[1][0], seen[3][0])


def test_patience_stops():
    history = train_mle(tiny(), PAIRS, MLEConfig(steps=40, validate_every=4, patience=2),
                        lambda net: {"score": 0.0}, best="score", log=None)
    assert [row["step"] for row in history] == [0, 4, 8]


@pytest.mark.parametrize("killed_at", [1, 6, 11])
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(tmp_path, killed_at, monkeypatch):
    def validate(net):
        return {"score": -mle.mle_loss(net, PAIRS[:20]).item()}

    whole, part, again = tiny(), tiny(), tiny()
    expected = train_mle(whole, PAIRS, QUICK, validate, best="score", log=None)
    real, calls = mle.mle_loss, []

    def dies(model, pairs):
        if len(pairs) <= QUICK.batch:  # not the validation
            calls.append(1)
            if len(calls) == killed_at + 1:
                raise KeyboardInterrupt
        return real(model, pairs)

    monkeypatch.setattr(mle, "mle_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        train_mle(part, PAIRS, QUICK, validate, best="score", folder=tmp_path, log=None)
    monkeypatch.undo()
    history = train_mle(again, PAIRS, QUICK, validate, best="score", folder=tmp_path, log=None)
    assert equal(whole, again)
    keep = ("step", "lr", "score")
    assert [[row[k] for k in keep] for row in history] == [
        [row[k] for k in keep] for row in expected]
    assert [row["loss"] for row in history[1:]] == [row["loss"] for row in expected[1:]]
    assert math.isnan(history[0]["loss"])


def test_a_finished_run_is_not_repeated(tmp_path):
    first, second = tiny(), tiny()
    a = train_mle(first, PAIRS, QUICK, folder=tmp_path, log=None)
    b = train_mle(second, PAIRS, QUICK, folder=tmp_path, log=None)
    assert a == b and equal(first, second)
    assert [p.name for p in tmp_path.iterdir()] == ["mle_state.pt"]


def test_other_settings_do_not_mix(tmp_path):
    train_mle(tiny(), PAIRS, QUICK, folder=tmp_path, log=None)
    with pytest.raises(ValueError, match="other settings .lr"):
        train_mle(tiny(), PAIRS, MLEConfig(**{**vars(QUICK), "lr": 1.0}), folder=tmp_path)


@pytest.mark.parametrize("call,match", [
    (lambda: train_mle(tiny(), [], QUICK), "at least one pair"),
    (lambda: train_mle(tiny(), [([2], [])], QUICK), "empty"),
    (lambda: train_mle(tiny(), PAIRS, QUICK, best="score"), "needs validate"),
    (lambda: train_mle(tiny(), PAIRS, QUICK, lambda m: {"x": 1}, best="y"), "best='y'"),
    (lambda: MLEConfig(schedule="exp"), "schedule"),
    (lambda: MLEConfig(batch=0), "batch"),
])
def test_bad_values_say_what_to_do(call, match):
    with pytest.raises(ValueError, match=match):
        call()
