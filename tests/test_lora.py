"""LoRA: merged equals unmerged, and afterwards not one bit has moved."""

import pytest
import torch

from rlvr_lite import lora
from rlvr_lite import model as M

IDS = torch.tensor([[3, 7, 2, 9, 4, 4, 8]])


@pytest.fixture
def adapted():
    model = lora.add_lora(M.build(20, seed=1), rank=4, alpha=8)
    for i, (name, p) in enumerate(model.named_parameters()):
        if "lora_B" in name:
            torch.nn.init.normal_(p, std=0.1, generator=torch.Generator().manual_seed(i))
    return model


def bits(model):
    return {n: p.detach().clone() for n, p in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def test_a_fresh_adapter_changes_nothing():
    plain = M.build(20, seed=1)
    before = plain(IDS).logits
    adapted = lora.add_lora(plain)
    assert torch.equal(adapted(IDS).logits, before)


def test_only_thin_matrices_are_trained(adapted):
    names = [n for n, p in adapted.named_parameters() if p.requires_grad]
    assert names and all("lora_" in n for n in names)
    # 3 layers; q, k, v, o: 64 -> 64; gate, up: 64 -> 160; down: 160 -> 64
    count = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert count == 3 * 4 * (4 * (64 + 64) + 3 * (64 + 160))


def test_merged_logits_equal_unmerged(adapted):
    before = adapted(IDS).logits
    with lora.merged(adapted) as plain:
        inside = plain(IDS).logits
    torch.testing.assert_close(inside, before, rtol=1e-4, atol=1e-5)
    start = M.build(20, seed=1)(IDS).logits
    assert (inside - start).abs().max() > 1e-2, "the adapter must matter in this test"


def test_restoring_is_bit_exact(adapted):
    before = bits(adapted)
    for _ in range(3):
        with lora.merged(adapted):
            assert not same(bits(adapted), before)
    assert same(bits(adapted), before)
    with pytest.raises(RuntimeError, match="stop"), lora.merged(adapted):
        raise RuntimeError("stop")
    assert same(bits(adapted), before)


def test_sampling_inside_and_outside_merged_agrees(adapted):
    draw = [M.sample(adapted, [[3, 4]], 4, 8, generator=torch.Generator().manual_seed(0))]
    with lora.merged(adapted):
        draw.append(M.sample(adapted, [[3, 4]], 4, 8,
                             generator=torch.Generator().manual_seed(0)))
    assert draw[0].answers == draw[1].answers


def test_reference_is_the_start_model(adapted):
    with lora.reference(adapted) as start:
        inside = start(IDS).logits
        ids, mask = M.pad([[5, 6, 1]], side="right")
        score = M.logp(start, [[3, 4]], ids, mask)
    plain = M.build(20, seed=1)
    assert torch.equal(inside, plain(IDS).logits)
    torch.testing.assert_close(score, M.logp(plain, [[3, 4]], ids, mask))
    assert not torch.equal(adapted(IDS).logits, inside)


def test_merge_for_good(adapted):
    before = adapted(IDS).logits
    plain = lora.merge(adapted)
    torch.testing.assert_close(plain(IDS).logits, before, rtol=1e-4, atol=1e-5)
    assert type(plain).__name__ == "LlamaForCausalLM"
    assert all(p.requires_grad for p in plain.parameters())
    assert lora.merge(plain) is plain
    lora.add_lora(plain)  # and it can carry a new adapter


def test_plain_models_pass_through():
    plain = M.build(20)
    with lora.merged(plain) as inside:
        assert inside is plain


@pytest.mark.parametrize("call,match", [
    (lambda m: lora.add_lora(M.build(20), rank=0), "rank"),
    (lambda m: lora.add_lora(m), "already"),
    (lambda m: lora.add_lora(m.get_base_model()), "already"),
    (lambda m: lora.reference(M.build(20)).__enter__(), "deepcopy"),
])
def test_bad_values_say_what_to_do(adapted, call, match):
    with pytest.raises(ValueError, match=match):
        call(adapted)
