"""GRPO: the equations by hand, what may and may not enter the loss, the loop, resuming."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch

from rlvr_lite import grpo, lora
from rlvr_lite import model as M
from rlvr_lite.grpo import GRPOConfig, advantages, grpo_loss, k3, train_grpo


class Successor:
    """Toy task: answer every digit with the next one, then stop."""

    tokenizer = SimpleNamespace(pad_id=0, eos_id=1, vocab_size=14)
    max_new = 5

    def question(self, digits):
        return [2 + d for d in digits] + [12]

    def answer(self, digits):
        return [2 + (d + 1) % 10 for d in digits] + [1]

    def reward(self, ids, digits):
        gold = self.answer(digits)
        share = sum(a == b for a, b in zip(ids, gold)) / len(gold)
        return {"reward": share, "exact": float(ids == gold)}


TASK = Successor()
DIGITS = [[i % 10, (i * 7) % 10] for i in range(40)]
QUICK = GRPOConfig(steps=6, prompts=4, group=4, lr=3e-3)


def tiny(seed=0):
    return M.build(14, width=16, layers=1, heads=2, hidden=16, max_tokens=32, seed=seed)


def adapted():
    return lora.add_lora(tiny(), rank=4)


def state(model):
    return {n: p.detach().clone() for n, p in model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[n], b[n]) for n in a)


def tensor(*rows):
    return torch.tensor(rows, dtype=torch.float)


# ---------------------------------------------------------------- equations
def test_advantages_by_hand():
    reward = tensor([0, 0, 1, 1], [0, 0, 0, 4], [1, 1, 1, 1])
    a = math.sqrt(1 / 3)  # unbiased std of 0 0 1 1
    expected = tensor([-0.5 / a, -0.5 / a, 0.5 / a, 0.5 / a], [-0.5, -0.5, -0.5, 1.5],
                      [0, 0, 0, 0])
    torch.testing.assert_close(advantages(reward), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(advantages(reward, "none"), tensor(
        [-0.5, -0.5, 0.5, 0.5], [-1, -1, -1, 3], [0, 0, 0, 0]))


def test_equal_rewards_give_exactly_zero():
    """0.1 has no exact mean in binary; rounding must not become a direction."""
    assert (advantages(torch.full((1, 7), 0.1)) == 0).all()
    assert (advantages(torch.full((1, 7), 0.1), "none") == 0).all()


def test_k3_by_hand_and_near_zero():
    d = torch.tensor([1.0, -1.0, 0.0])
    expected = torch.tensor([math.e - 2, 1 / math.e, 0.0])
    torch.testing.assert_close(k3(torch.zeros(3), d), expected)
    small = torch.tensor([1e-3, -1e-3, 1e-4, -1e-4])
    torch.testing.assert_close(k3(torch.zeros(4), small), small ** 2 / 2, rtol=2e-3, atol=0)
    assert (k3(torch.zeros(9), torch.linspace(-1e-6, 1e-6, 9)) >= 0).all()
    logp = torch.zeros(1, requires_grad=True)
    k3(logp, torch.tensor([0.5])).backward()
    torch.testing.assert_close(logp.grad, torch.tensor([1 - math.exp(0.5)]))


LOGP = tensor([-1.0, -2.0, -3.0], [-0.5, -1.5, 0.0])
OLD = LOGP - tensor([math.log(1.5), math.log(0.5), 0.0], [math.log(1.1), math.log(1.5), 0.0])
MASK = torch.tensor([[True, True, True], [True, True, False]])
A = torch.tensor([1.0, -2.0])
# ratios 1.5 .5 1 | 1.1 1.5; per token -min(rA, clip(r)A): -1.2 -.5 -1 | 2.2 3.0
EACH = tensor([-1.2, -0.5, -1.0], [2.2, 3.0, 0.0])


@pytest.mark.parametrize("loss,expected", [
    ("token", EACH.sum() / 5),
    ("sequence", (EACH[0].sum() / 3 + EACH[1].sum() / 2) / 2),
    ("dr_grpo", EACH.sum() / 10 / 2),
])
def test_loss_by_hand(loss, expected):
    value, stats = grpo_loss(LOGP, OLD, A, MASK, loss=loss, max_tokens=10)
    torch.testing.assert_close(value, expected)
    assert stats["clip_fraction"] == pytest.approx(1 / 5), "only 1.5 at A = 1 is held back"


def test_kl_term_by_hand():
    ref = LOGP + tensor([0.1, 0.2, 0.0], [0.0, -0.3, 5.0])
    value, stats = grpo_loss(LOGP, LOGP, torch.zeros(2), MASK, ref, beta=0.5)
    kl = sum(math.exp(d) - d - 1 for d in (0.1, 0.2, -0.3)) / 5
    assert value.item() == pytest.approx(0.5 * kl, rel=1e-4)
    assert stats["kl"] == pytest.approx(kl, rel=1e-4)


def test_clipped_tokens_have_no_gradient():
    logp = LOGP.clone().requires_grad_()
    grpo_loss(logp, OLD, A, MASK)[0].backward()
    ratio = torch.exp(LOGP - OLD)
    expected = -(ratio * A[:, None]) / 5 * MASK
    expected[0, 0] = 0.0  # ratio 1.5 with A > 0: far enough already
    torch.testing.assert_close(logp.grad, expected)


def test_the_loss_is_zero_on_the_first_step_while_its_gradient_is_not():
    model, asked = tiny(), [TASK.question(d) for d in DIGITS[:3]]
    rollouts = M.sample(model, asked, 4, 5, eos_id=None,
                        generator=torch.Generator().manual_seed(0))
    reward = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    now = M.logp(model, asked, rollouts.ids, rollouts.mask, 4)
    value, _ = grpo_loss(now, rollouts.logp_old, advantages(reward).flatten(), rollouts.mask)
    value.backward()
    assert abs(value.item()) < 1e-5
    assert max(p.grad.abs().max() for p in model.parameters()) > 1e-3


def test_masked_tokens_never_enter_the_loss():
    """Whatever stands at given or padded positions, loss and gradient stay the same."""
    results = []
    for junk in (0.0, 3.0):
        logp = LOGP.clone()
        logp[~MASK] = junk
        logp.requires_grad_()
        value, stats = grpo_loss(logp, OLD, A, MASK, LOGP - junk * ~MASK - 0.1, beta=0.1)
        value.backward()
        assert (logp.grad[~MASK] == 0).all()
        results.append((value.item(), stats, logp.grad.tolist()))
    assert results[0] == results[1]


def test_given_tokens_get_no_gradient_from_training():
    """From the sampler to the loss: tokens the model did not choose are read, never trained."""
    model = tiny()
    asked = [TASK.question(d) for d in DIGITS[:2]]
    rollouts = M.sample(model, asked, 4, 4, eos_id=None, given=[[(1, [13, 13])]] * 2,
                        generator=torch.Generator().manual_seed(0))
    assert (rollouts.ids[:, 1:3] == 13).all() and not rollouts.mask[:, 1:3].any()
    now = M.logp(model, asked, rollouts.ids, rollouts.mask, 4)
    assert (now[:, 1:3] == 0).all()
    wrong = M.logp(model, asked, rollouts.ids, torch.ones_like(rollouts.mask), 4)
    torch.testing.assert_close(wrong[rollouts.mask], now[rollouts.mask])
    value, _ = grpo_loss(now, rollouts.logp_old, torch.ones(8), rollouts.mask)
    grad = torch.autograd.grad(value, now)[0]
    assert (grad[:, 1:3] == 0).all() and (grad[rollouts.mask] != 0).all()


# ---------------------------------------------------------------- the loop
@pytest.mark.parametrize("make", [tiny, adapted])
def test_training_raises_the_reward(make):
    model = make()
    config = GRPOConfig(steps=60, prompts=8, group=8, lr=1e-2)
    history = train_grpo(model, TASK, DIGITS, config, log=None)
    first, last = (sum(r["reward"] for r in rows) / 10 for rows in (history[:10], history[-10:]))
    assert last > first + (0.15 if make is tiny else 0.07)
    assert history[-1]["samples"] == 60 * 64 and history[-1]["tokens"] > 0
    assert {"step", "reward", "exact", "live", "kl", "entropy", "clip_fraction", "length",
            "cpu_seconds", "samples"} <= set(history[-1])


def test_rejection_finetuning_raises_the_reward():
    config = GRPOConfig(steps=60, prompts=8, group=8, lr=1e-2, method="rejection", threshold=0.5)
    history = train_grpo(tiny(), TASK, DIGITS, config, log=None)
    assert sum(r["reward"] for r in history[-10:]) > sum(r["reward"] for r in history[:10]) + 1.5


def test_rejection_imitates_verified_answers_only():
    run = grpo._Run(tiny(), TASK, GRPOConfig(method="rejection", threshold=0.7), None, None)
    assert run.weigh(tensor([0.0, 0.7, 1.0, 0.69])).tolist() == [[0, 1, 1, 0]]


class Constant(Successor):
    def reward(self, ids, digits):
        return {"reward": 0.3}


def test_groups_without_spread_change_nothing():
    model = adapted()
    before = state(model)
    history = train_grpo(model, Constant(), DIGITS, QUICK, log=None)
    assert same(before, state(model)) and [row["live"] for row in history] == [0.0] * 6


@pytest.mark.parametrize("loss", ["token", "sequence", "dr_grpo"])
def test_skipping_dead_groups_is_only_saved_work(loss, monkeypatch):
    """The update with dead groups left out equals the one over the whole batch."""
    config = GRPOConfig(prompts=4, group=4, loss=loss, lr=1e-2)
    run = grpo._Run(tiny(), TASK, config, None, None)
    questions = [TASK.question(d) for d in DIGITS[:4]]
    rollouts = M.sample(run.model, questions, 4, 5, generator=torch.Generator().manual_seed(0))
    reward = tensor([0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [2, 0, 1, 1])
    advantage = advantages(reward)
    forwarded = []
    real = grpo.logp
    monkeypatch.setattr(grpo, "logp", lambda model, q, *rest: forwarded.append(len(q)) or real(
        model, q, *rest))
    monkeypatch.setattr(run, "descend", lambda value: value.backward())
    found = run.update(questions, rollouts, advantage, False)
    assert forwarded == [2] and found["live"] == 0.5
    ours = [p.grad.clone() for p in run.model.parameters()]
    run.model.zero_grad()
    now = real(run.model, questions, rollouts.ids, rollouts.mask, 4)
    grpo_loss(now, rollouts.logp_old, advantage.flatten(), rollouts.mask, loss=loss,
              max_tokens=TASK.max_new)[0].backward()
    for a, p in zip(ours, run.model.parameters()):
        torch.testing.assert_close(a, p.grad, rtol=1e-4, atol=1e-6)


def test_with_a_kl_term_dead_groups_take_part():
    model = adapted()
    for p in model.parameters():
        if p.requires_grad:
            torch.nn.init.normal_(p, std=0.2, generator=torch.Generator().manual_seed(0))
    history = train_grpo(model, Constant(), DIGITS, GRPOConfig(
        steps=30, prompts=4, group=4, lr=1e-2, beta=1.0), log=None)
    assert history[-1]["kl"] < 0.5 * history[0]["kl"], "pulled back to the start model"


@pytest.mark.parametrize("make", [tiny, adapted])
def test_kl_keeps_the_policy_near_the_start(make):
    drift = {}
    for beta in (1e-6, 1.0):
        config = GRPOConfig(steps=40, prompts=4, group=8, lr=1e-2, beta=beta)
        history = train_grpo(make(), TASK, DIGITS, config, log=None)
        assert history[0]["kl"] == pytest.approx(0.0, abs=1e-6)
        drift[beta] = sum(row["kl"] for row in history[-5:])
    assert drift[1.0] < 0.5 * drift[1e-6]


def test_a_given_reference_is_used():
    far = tiny(seed=5)
    config = GRPOConfig(steps=1, prompts=4, group=4, beta=0.1)
    history = train_grpo(tiny(), TASK, DIGITS, config, log=None, reference=far)
    assert history[0]["kl"] > 0.1


def test_kl_is_measured_at_validations_even_without_a_kl_term():
    history = train_grpo(adapted(), TASK, DIGITS, QUICK, validate_every=3, log=None)
    assert [row["kl"] is None for row in history] == [True, True, False, True, True, False]


def test_minibatches_are_separate_updates():
    counts = []
    run = grpo._Run(tiny(), TASK, GRPOConfig(prompts=4, group=4, minibatches=2), None, None)
    real = run.descend
    run.descend = lambda value: counts.append(1) or real(value)
    run.one_step(DIGITS, False)
    assert len(counts) == 2


def test_validation_rows_budget_and_log():
    lines = []
    history = train_grpo(tiny(), TASK, DIGITS, QUICK, lambda m: {"score": 1.0}, 2,
                         log=lines.append)
    assert [row["step"] for row in history] == [0, 1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in history if "score" in row] == [0, 2, 4, 6]
    assert len(lines) == 4 and "reward" in lines[1] and "seconds" not in lines[1]
    config = GRPOConfig(steps=100_000, prompts=4, group=4)
    short = train_grpo(tiny(), TASK, DIGITS, config, lambda m: {"score": 1.0}, log=None,
                       budget_cpu_seconds=0.3)
    assert 1 < len(short) < 1000 and "score" in short[-1]
    assert short[-2]["cpu_seconds"] < 0.3 <= short[-1]["cpu_seconds"]


def test_questions_are_drawn_once_per_epoch():
    seen = [x for step in range(5) for x in grpo.draw(list(range(20)), 4, 3, step)]
    assert sorted(seen) == list(range(20))
    later = [x for step in range(5, 10) for x in grpo.draw(list(range(20)), 4, 3, step)]
    assert sorted(later) == list(range(20)) and later != seen
    assert len(grpo.draw([1, 2, 3], 10, 0, 0)) == 10, "more questions than there are"


@pytest.mark.parametrize("make", [tiny, adapted])
@pytest.mark.parametrize("killed_at", [1, 4])
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(tmp_path, make, killed_at):
    config = GRPOConfig(steps=6, prompts=4, group=4, lr=3e-3, beta=0.05, minibatches=2,
                        schedule="linear")

    class Dies(Successor):
        left = killed_at * 16 + 7  # in the middle of a batch

        def reward(self, ids, digits):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().reward(ids, digits)

    whole, part, again = make(), make(), make()
    expected = train_grpo(whole, TASK, DIGITS, config, log=None)
    with pytest.raises(KeyboardInterrupt):
        train_grpo(part, Dies(), DIGITS, config, validate_every=2, folder=tmp_path, log=None)
    assert (tmp_path / "grpo_state.pt").exists() == (killed_at > 1)
    history = train_grpo(again, TASK, DIGITS, config, validate_every=2, folder=tmp_path, log=None)
    assert same(state(whole), state(again))

    def stable(rows):
        return [{k: v for k, v in row.items() if not k.endswith(("_s", "_seconds"))}
                for row in rows]

    assert stable(history) == stable(expected)


def test_other_settings_do_not_mix(tmp_path):
    train_grpo(tiny(), TASK, DIGITS, QUICK, folder=tmp_path, log=None)
    other = copy.replace(QUICK, lr=1.0) if hasattr(copy, "replace") else GRPOConfig(
        **{**vars(QUICK), "lr": 1.0})
    with pytest.raises(ValueError, match="other settings .lr"):
        train_grpo(tiny(), TASK, DIGITS, other, folder=tmp_path, log=None)


@pytest.mark.parametrize("call,match", [
    (lambda: GRPOConfig(loss="mean"), "loss='mean'"),
    (lambda: GRPOConfig(group=1), "at least 2"),
    (lambda: GRPOConfig(minibatches=17), "minibatches"),
    (lambda: GRPOConfig(lr=0), "above 0"),
    (lambda: GRPOConfig(temperature=0), "above 0"),
    (lambda: grpo_loss(LOGP, OLD, A, MASK, beta=0.1), "needs logp_ref"),
    (lambda: grpo_loss(LOGP, OLD, A, MASK, loss="dr_grpo"), "max_tokens"),
    (lambda: train_grpo(tiny(), TASK, [], QUICK), "empty"),
])
def test_bad_values_say_what_to_do(call, match):
    with pytest.raises(ValueError, match=match):
        call()
