"""The forward pass, the sampler and logp against Hugging Face and against plain arithmetic."""

import pytest
import torch

from rlvr_lite import lora  # before transformers, see rlvr_lite._compat
from rlvr_lite import model as M
from rlvr_lite.llama import read, run, weights
from transformers import LlamaConfig, LlamaForCausalLM

V = 40


def noisy(model, seed=0):
    """A model whose norms and LoRA matrices are not the trivial ones of the start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "norm" in name or "lora_B" in name:
                p.add_(torch.randn(p.shape, generator=generator) * 0.2)
    return model


@pytest.fixture
def model():
    return noisy(M.build(V, max_tokens=128, seed=1))


@pytest.fixture
def adapted():
    return noisy(lora.add_lora(noisy(M.build(V, max_tokens=128, seed=1)), rank=4))


def questions(count=5, low=3, high=12, seed=0):
    g = torch.Generator().manual_seed(seed)
    sizes = torch.randint(low, high, (count,), generator=g).tolist()
    return [torch.randint(2, V, (n,), generator=g).tolist() for n in sizes]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def plain_logp(model, question, answer, temperature=1.0):
    """One row through the Hugging Face forward."""
    ids = torch.tensor([question + answer])
    logits = model(ids).logits[0] / temperature
    before = logits.log_softmax(-1)[len(question) - 1:-1]
    return before.gather(1, ids[0, len(question):, None])[:, 0]


def test_forward_equals_hugging_face(model):
    ids = torch.tensor(questions(3, 9, 10))
    hidden, _ = read(weights(model, 9), ids)
    ours = hidden @ weights(model, 9).head.T
    torch.testing.assert_close(ours, model(ids).logits, rtol=1e-4, atol=1e-5)


def test_forward_with_grouped_query_attention_and_scaled_rotary_positions():
    config = LlamaConfig(
        vocab_size=V, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, tie_word_embeddings=False,
        rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 5000.0})
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    ids = torch.tensor(questions(3, 9, 10))
    w = weights(model, 9)
    torch.testing.assert_close(read(w, ids)[0] @ w.head.T, model(ids).logits,
                               rtol=1e-4, atol=1e-5)
    rollouts = M.sample(model, questions(), 3, 8, generator=rng())
    again = M.logp(model, questions(), rollouts.ids, rollouts.mask, 3)
    torch.testing.assert_close(again, rollouts.logp_old, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logp_equals_the_plain_forward(adapted, group, temperature):
    asked = questions()
    rollouts = M.sample(adapted, asked, group, 9, temperature, generator=rng(3))
    ours = M.logp(adapted, asked, rollouts.ids, rollouts.mask, group, temperature)
    for i, answer in enumerate(rollouts.answers):
        expected = plain_logp(adapted, asked[i // group], answer, temperature)
        torch.testing.assert_close(ours[i, :len(answer)], expected, rtol=1e-4, atol=2e-5)
        assert (ours[i, len(answer):] == 0).all()


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_gradients_through_the_shared_prefix_equal_the_plain_ones(kind, model, adapted):
    net = adapted if kind == "lora" else model
    asked, group = questions(), 4
    rollouts = M.sample(net, asked, group, 7, generator=rng(3))
    weight = torch.randn(rollouts.ids.shape, generator=rng(5)) * rollouts.mask
    trained = {n: p for n, p in net.named_parameters() if p.requires_grad}

    def gradients(value):
        return dict(zip(trained, torch.autograd.grad(value, list(trained.values()))))

    def close(a, b, tolerance):
        for name in trained:
            gap = (a[name] - b[name]).abs().max() / b[name].abs().max()
            assert gap < tolerance, f"{name}: {gap}"

    def ours():
        return gradients((M.logp(net, asked, rollouts.ids, rollouts.mask, group) * weight).sum())

    plain = sum((plain_logp(net, asked[i // group], a) * weight[i, :len(a)]).sum()
                for i, a in enumerate(rollouts.answers))
    close(ours(), gradients(plain), 1e-4)  # Hugging Face computes its norms in fp32
    net.double()
    repeated = [q for q in asked for _ in range(group)]
    single = M.logp(net, repeated, rollouts.ids, rollouts.mask)
    trained = {n: p for n, p in net.named_parameters() if p.requires_grad}
    close(ours(), gradients((single * weight).sum()), 1e-9)


def test_logp_takes_left_padded_tensors(model):
    asked = questions()
    ids, mask = M.pad(asked)
    answer, answer_mask = M.pad([[5, 6, 1]] * len(asked), side="right")
    a = M.logp(model, asked, answer, answer_mask)
    b = M.logp(model, ids, answer, answer_mask)
    assert torch.equal(a, b) and mask.sum() == sum(map(len, asked))


def test_sampled_logp_equals_the_full_forward(adapted):
    """The cache of the sampler and a fresh forward agree, finished rows and all."""
    asked = questions(6)
    rollouts = M.sample(adapted, asked, 5, 40, generator=rng(7))
    lengths = {len(a) for a in rollouts.answers}
    assert len(lengths) > 4 and min(lengths) < 10, "the test needs rows that end early"
    again = M.logp(adapted, asked, rollouts.ids, rollouts.mask, 5)
    torch.testing.assert_close(again, rollouts.logp_old, rtol=1e-4, atol=2e-5)


def test_greedy_rows_equal_generate(adapted):
    asked = questions(8)
    ours = M.sample(adapted, asked, 1, 30, temperature=0)
    with lora.merged(adapted) as plain:
        for question, answer in zip(asked, ours.answers):
            theirs = plain.generate(torch.tensor([question]), max_new_tokens=30, do_sample=False,
                                    eos_token_id=1, pad_token_id=0)[0, len(question):]
            assert answer == theirs.tolist()


def test_rollouts_have_the_promised_form(model):
    rollouts = M.sample(model, questions(4), 3, 20, generator=rng(1))
    assert len(rollouts.answers) == 12 and rollouts.ids.shape == rollouts.mask.shape
    for answer, ids, mask in zip(rollouts.answers, rollouts.ids, rollouts.mask):
        assert 1 not in answer[:-1]
        assert answer[-1] == 1 or len(answer) == 20
        assert ids[:len(answer)].tolist() == answer and (ids[len(answer):] == 0).all()
        assert mask.tolist() == [True] * len(answer) + [False] * (len(ids) - len(answer))
    assert (rollouts.logp_old[~rollouts.mask] == 0).all()


def test_an_answer_does_not_depend_on_its_neighbours(model):
    """Compacting the batch must not change what the remaining rows write."""
    asked = questions(6)
    free = M.sample(model, asked, 2, 25, generator=rng(4))
    fixed = M.sample(model, asked, 2, 25, eos_id=None, generator=rng(4))
    for short, long in zip(free.answers, fixed.answers):
        assert len(long) == 25 and long[:len(short)] == short


def test_seeds(model):
    draws = [M.sample(model, questions(), 2, 10, generator=rng(s)).answers for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("temperature,top_k", [(1.0, 0), (0.5, 0), (1.5, 3)])
def test_samples_follow_the_distribution(temperature, top_k):
    """Chi-square of 6,000 first tokens over a vocabulary of 8."""
    tiny = M.build(8, width=16, layers=1, heads=2, hidden=16, seed=3)
    question, count = [2, 5, 3], 6000
    rollouts = M.sample(tiny, [question], count, 1, temperature, top_k, generator=rng(0))
    seen = torch.bincount(rollouts.ids[:, 0], minlength=8).double()
    logits = tiny(torch.tensor([question])).logits[0, -1].double() / temperature
    full = logits.softmax(-1)
    p = full.clone()
    if top_k:
        p[p < p.topk(top_k)[0][-1]] = 0
        assert (seen[p == 0] == 0).all()
    expected = count * p[p > 0] / p.sum()
    chi = ((seen[p > 0] - expected) ** 2 / expected).sum().item()
    assert chi < 24.3, "99.9 % quantile at 7 degrees of freedom"
    old = full.float().log()[rollouts.ids[:, 0]]
    torch.testing.assert_close(rollouts.logp_old[:, 0], old, rtol=1e-4, atol=1e-5)


def test_given_tokens_are_woven_in_and_masked(adapted):
    """Two model tokens, a given block of two, two model tokens; forms of `given` agree."""
    asked, group = questions(3), 4
    blocks = [[(2, [7, 8])], [(2, [9, 1])], [(2, [3, 3])]]
    table = torch.full((3, 6), -1)
    for row, [(start, ids)] in enumerate(blocks):
        table[row, start:start + 2] = torch.tensor(ids)
    forms = [blocks, table, table.repeat_interleave(group, 0)]
    runs = [M.sample(adapted, asked, group, 6, eos_id=None, generator=rng(2), given=form)
            for form in forms]
    assert runs[0].answers == runs[1].answers == runs[2].answers
    found = runs[0]
    assert (found.mask == torch.tensor([1, 1, 0, 0, 1, 1], dtype=torch.bool)).all()
    for i, answer in enumerate(found.answers):
        assert answer[2:4] == blocks[i // group][0][1] and len(answer) == 6
    again = M.logp(adapted, asked, found.ids, found.mask, group)
    torch.testing.assert_close(again, found.logp_old, rtol=1e-4, atol=2e-5)
    assert (found.logp_old[:, 2:4] == 0).all()


def test_given_tokens_at_different_places_per_row(model):
    asked = questions(2)
    rollouts = M.sample(model, asked, 1, 5, eos_id=None, generator=rng(2),
                        given=[[(0, [4])], [(1, [6, 6]), (4, [2])]])
    assert rollouts.answers[0][0] == 4 and rollouts.answers[1][1:3] == [6, 6]
    assert rollouts.mask.tolist() == [[False, True, True, True, True],
                                      [True, False, False, True, False]]
    again = M.logp(model, asked, rollouts.ids, rollouts.mask)
    torch.testing.assert_close(again, rollouts.logp_old, rtol=1e-4, atol=2e-5)


def test_save_and_load(tmp_path, model):
    for _ in range(2):  # the second time replaces the first
        M.save(model, tmp_path / "m")
    again = M.load(tmp_path / "m")
    ids = torch.tensor(questions(2, 6, 7))
    assert torch.equal(model(ids).logits, again(ids).logits)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert any(p.suffix == ".safetensors" for p in (tmp_path / "m").iterdir())
    with pytest.raises(FileNotFoundError, match="no model in"):
        M.load(tmp_path / "nothing")


def test_build_is_reproducible_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    a, b, c = M.build(V, seed=1), M.build(V, seed=1), M.build(V, seed=2)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(a.lm_head.weight, b.lm_head.weight)
    assert not torch.equal(a.lm_head.weight, c.lm_head.weight)
    assert a.lm_head.weight is a.model.embed_tokens.weight


def test_pad():
    ids, mask = M.pad([[5], [6, 7, 8]])
    assert ids.tolist() == [[0, 0, 5], [6, 7, 8]]
    assert mask.tolist() == [[False, False, True], [True, True, True]]
    assert M.pad([[5], [6, 7]], 9, "right")[0].tolist() == [[5, 9], [6, 7]]


@pytest.mark.parametrize("call,match", [
    (lambda m: M.build(10, width=30), "multiple of 2"),
    (lambda m: M.pad([[1]], side="top"), "side must be"),
    (lambda m: M.sample(m, []), "at least one"),
    (lambda m: M.sample(m, [[2], []]), "at least one"),
    (lambda m: M.sample(m, [[2]], temperature=-1), "at least 0"),
    (lambda m: M.sample(m, [[2]], group=0), "at least 1"),
    (lambda m: M.sample(m, [[2]], max_new=128), "max_tokens"),
    (lambda m: M.sample(m, [[2]], max_new=4, given=torch.zeros(1, 3).long()), "given must be"),
    (lambda m: M.logp(m, [[2]], torch.ones(2, 3).long(), torch.ones(2, 3).bool()), "group"),
    (lambda m: M.logp(m, [[2]], torch.ones(1, 3).long(), torch.ones(1, 3).bool(),
                      temperature=0), "temperature"),
])
def test_bad_values_say_what_to_do(model, call, match):
    with pytest.raises(ValueError, match=match):
        call(model)


def test_another_architecture_is_refused():
    from transformers import GPT2Config, GPT2LMHeadModel
    other = GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2))
    with pytest.raises(ValueError, match="must be a Llama"):
        M.sample(other, [[2]])


def test_run_reads_several_answers_in_one_row(model):
    """`run` gets its attention from outside; here: nothing but the token itself."""
    w = weights(model, 4)
    alone = run(w, torch.tensor([[5]]), torch.tensor([[0]]), lambda i, q, k, v: v)
    row = run(w, torch.tensor([[5, 9]]), torch.tensor([[0, 0]]), lambda i, q, k, v: v)
    torch.testing.assert_close(row[:, :1], alone)


def test_rows_of_rollouts_are_cut_to_their_own_longest():
    ids = torch.arange(12).view(3, 4)
    mask = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 1]]).bool()
    rollouts = M.Rollouts([], ids, mask, ids.float())
    for rows, width in (([0], 2), ([0, 1], 3), ([1, 2], 4)):
        got_ids, got_mask, got_logp = rollouts.tensors(torch.tensor(rows))
        assert torch.equal(got_ids, ids[rows, :width]) and torch.equal(got_logp, got_ids.float())
        assert torch.equal(got_mask, mask[rows, :width]) and not mask[rows, width:].any()
