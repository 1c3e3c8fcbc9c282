"""Our GRPO loss and its gradients equal those of TRL's GRPOTrainer on a frozen batch."""

from types import SimpleNamespace

import pytest
import torch

from rlvr_lite import lora
from rlvr_lite import model as M
from rlvr_lite.grpo import GRPOConfig, grpo_loss

pytest.importorskip("trl", reason="TRL is not installed (extra `test`): no parity check")

V, B, G, T = 40, 3, 4, 9


class Echo:
    tokenizer = SimpleNamespace(pad_id=0, eos_id=1, vocab_size=V)
    max_new = T

    def question(self, row):
        return row

    def reward(self, ids, row):
        return {"reward": float(len(set(ids) & set(row)))}


def frozen_batch():
    """A model with some LoRA in it, ragged questions, and rollouts of a slightly older policy."""
    g = torch.Generator().manual_seed(0)
    questions = [torch.randint(2, V, (n,), generator=g).tolist() for n in (4, 7, 5)]
    model = lora.add_lora(M.build(V, width=32, layers=2, max_tokens=64, seed=1), rank=4)
    for name, p in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.05, generator=g)
    rollouts = M.sample(model, questions, G, T, generator=g,
                        given=[[(3, [5])], [(3, [6])], [(3, [7])]])
    advantage = torch.randn(B * G, generator=g)
    noise = torch.randn(rollouts.ids.shape, generator=g)
    old = rollouts.logp_old + 0.2 * noise * rollouts.mask
    ref = rollouts.logp_old + 0.3 * noise.flip(0) * rollouts.mask
    return model, questions, rollouts, advantage, old, ref


def gradients(model, value):
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    return dict(zip(names, torch.autograd.grad(
        value, [p for p in model.parameters() if p.requires_grad])))


@pytest.mark.parametrize("beta", [0.0, 0.3])
@pytest.mark.parametrize("loss", ["sequence", "token", "dr_grpo"])  # grpo, dapo, dr_grpo
def test_loss_and_gradients_equal_trl(tmp_path, loss, beta):
    from rlvr_lite.interop.trl import trainer

    model, questions, rollouts, advantage, old, ref = frozen_batch()
    assert rollouts.mask.sum(1).unique().numel() > 1, "the batch should be ragged"
    config = GRPOConfig(steps=1, prompts=B, group=G, loss=loss, beta=beta)

    now = M.logp(model, questions, rollouts.ids, rollouts.mask, G)
    ours, stats = grpo_loss(now, old, advantage, rollouts.mask, ref if beta else None,
                            config.clip, beta, loss, max_tokens=T)
    our_gradients = gradients(model, ours)
    assert stats["clip_fraction"] > 0.05, "the batch should reach the clipping"

    theirs = trainer(model, Echo(), questions, config, tmp_path)
    theirs.current_gradient_accumulation_steps = 1
    prompt_ids, prompt_mask = (z.repeat_interleave(G, 0) for z in M.pad(questions))
    lengths = torch.tensor([len(a) for a in rollouts.answers])[:, None]
    written = torch.arange(rollouts.ids.shape[1]) < lengths
    batch = {"prompt_ids": prompt_ids, "prompt_mask": prompt_mask.long(),
             "completion_ids": rollouts.ids, "completion_mask": written.long(),
             "tool_mask": rollouts.mask.long(), "advantages": advantage,
             "old_per_token_logps": old, "ref_per_token_logps": ref,
             "num_items_in_batch": rollouts.mask.sum()}
    theirs.model.train()
    value = theirs._compute_loss(theirs.model, batch)
    their_gradients = gradients(model, value)

    torch.testing.assert_close(ours, value, rtol=1e-4, atol=1e-6)
    for name, grad in our_gradients.items():
        scale = their_gradients[name].abs().max().item()
        assert scale > 0
        torch.testing.assert_close(grad, their_gradients[name], rtol=1e-4, atol=1e-4 * scale,
                                   msg=name)


def test_trl_trains_on_our_task(tmp_path):
    from rlvr_lite.interop.trl import trainer

    model, questions, *_ = frozen_batch()
    before = [p.detach().clone() for p in model.parameters()]
    theirs = trainer(model, Echo(), questions, GRPOConfig(steps=2, prompts=B, group=G), tmp_path)
    theirs.train()
    assert theirs.state.global_step == 2
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_words_and_ids():
    from rlvr_lite.interop.trl import trainer, word_tokenizer

    tokenizer = word_tokenizer(V)
    assert tokenizer("w2 w39 <eos>")["input_ids"] == [2, 39, 1]
    with pytest.raises(ValueError, match="rejection"):
        trainer(None, None, [], GRPOConfig(method="rejection"), ".")
