# %% [markdown]
# # GRPO and LoRA from scratch
#
# {{badge}}
#
# *Runs in {{minutes}} on one CPU core.*
#
# **You will** compute group-normalised advantages by hand, see what clipping
# and the KL term do to a gradient, explain a loss of zero that still learns,
# build LoRA from two thin matrices, and train a small model with both.
#
# **You need** chapter 3 (log-probabilities of answers) and chapter 5 (rewards).

# %% tags=["setup"]
{{setup}}

# %% [markdown]
# ## The idea in five lines
#
# Chapter 3 taught a model by showing it gold answers. Now nobody shows
# anything. The model writes several answers to the same question, a verifier
# scores each, and the model is pushed towards the answers that scored better
# than its own average. That is all of GRPO:
#
# 1. ask a question $G$ times (a **group** of rollouts),
# 2. score every answer with the verifiable reward,
# 3. compare each answer with the rest of its group: the **advantage**,
# 4. make tokens of good answers likelier, those of bad ones less likely,
# 5. but not too far in one go (clipping), and not too far from the start (KL).
#
# The rest of the chapter takes the five lines one at a time.

# %% [markdown]
# ## Advantages: better than your own group
#
# Let $R_1, \dots, R_G$ be the rewards of one group. The advantage of answer
# $i$ is its reward, centred and scaled by the group itself:
#
# $$ A_i = \frac{R_i - \operatorname{mean}(R)}
#               {\operatorname{std}(R) + \epsilon} \tag{6.1} $$
#
# No second network has to estimate how good a question is on average (PPO
# trains a *critic* for that). The other answers of the group know it. The
# standard deviation is the unbiased one, divided by $G - 1$.

# %% tags=["package-copy"]
import torch
from torch import Tensor


def advantages(
    reward: Tensor, scale: str = "std", eps: float = 1e-6
) -> Tensor:
    # eq. (6.1)
    centred = reward - reward.mean(1, keepdim=True)
    centred = centred.masked_fill(
        (reward == reward[:, :1]).all(1, keepdim=True), 0.0
    )
    return (
        centred
        if scale == "none"
        else centred / (reward.std(1, keepdim=True) + eps)
    )


# %% [markdown]
# Ten numbers: two questions, five answers each, reward 1 for a right answer.

# %% tags=["nbval-check-output"]
reward = torch.tensor([[1., 0, 0, 0, 0],
                       [1., 1, 1, 1, 0]])
for row, a in zip(reward, advantages(reward)):
    print("rewards", row.int().tolist(),
          " advantages", [f"{x:+.2f}" for x in a.tolist()])

# %% [markdown]
# The first question is hard and one answer got it: that answer is pushed up
# strongly, the others down a little. The second is easy and one answer failed:
# now the failure is pushed down strongly. GRPO listens to the *surprise* in a
# group. Within a group the advantages always add up to zero.
#
# ## Groups that teach nothing
#
# If all answers of a group score the same, all advantages are zero, and the
# group adds nothing to the gradient. It does not matter whether all were right
# or all were wrong.

# %%
flat = torch.full((1, 7), 0.1)
print("seven times 0.1: the mean minus 0.1 is",
      f"{(flat.mean() - flat[0, 0]).item():.0e}")
print("advantages:", advantages(flat)[0].tolist())

# %% [markdown]
# The middle line of the function looks pedantic. It is there because the mean
# of seven equal numbers may differ from them in the last bit. Divided by a
# standard deviation of almost nothing, that bit would become a direction.
#
# If an answer is right with probability $p$, a group has spread, and is **live**,
# with probability $1 - p^G - (1 - p)^G$. The rollouts of all other
# groups are paid for and thrown away; our training loop at least leaves them
# out of the update.

# %%
from matplotlib import pyplot as plt

from rlvr_lite import show_png

p = torch.linspace(0, 1, 101)
fig, ax = plt.subplots(figsize=(4.2, 2.4))
for G in (2, 4, 8, 16):
    ax.plot(p, 1 - p ** G - (1 - p) ** G, label=f"G = {G}")
ax.set(xlabel="probability of a right answer", ylabel="share of live groups")
ax.legend()
show_png(fig, alt="Share of groups with spread against the probability of a "
         "right answer, for group sizes 2, 4, 8 and 16: zero at both ends, a "
         "plateau in the middle that widens with the group size.",
         limit=30_000)

# %% [markdown]
# So a model that is always right cannot learn, and neither can one that is
# always wrong. RLVR needs a base that succeeds *sometimes*. A larger group
# helps at the edges, for the price of more rollouts.
#
# ## Why an advantage times a log-probability?
#
# From here on $\pi$ is the model, the *policy*: the $p_\theta(o \mid q)$ of
# chapter 3 with the question left out.
# We want more expected reward, $\sum_o \pi(o) R(o)$. Since
# $\nabla \pi = \pi \nabla \log \pi$, its gradient is
# $\mathbb{E}_{o \sim \pi}[R(o)\, \nabla \log \pi(o)]$: a mean over samples,
# and samples are what we have. This is the **policy gradient**. Taking the
# group's mean off the reward only shrinks its expectation by the factor
# $1 - 1/G$, because $\mathbb{E}[\nabla \log \pi] = 0$, but it scatters far
# less. Dividing by the spread is another matter: it weighs *questions* anew, so
# that very easy and very hard ones count more. Dr. GRPO leaves it out
# (`scale="none"`).
#
# ## The ratio, and why it is clipped
#
# Sampling is expensive, so one batch of rollouts may serve several updates.
# After the first of them the model is no longer the one that wrote the
# answers. The ratio between the two,
#
# $$ r = \frac{\pi(o_t)}{\pi_\text{old}(o_t)}
#      = \exp(\log \pi - \log \pi_\text{old}), $$
#
# tells how far a token has moved. What we maximise is its gain,
#
# $$ J = \min\bigl(r A,\ \operatorname{clip}(r, 1 - c, 1 + c)\, A\bigr).
#    \tag{6.2} $$
#
# Once a token has moved far enough in the right direction, its gain stops
# growing.

# %% tags=["package-copy"]
def clipped_gain(
    logp: Tensor, logp_old: Tensor, advantage: Tensor, clip: float
) -> Tensor:
    ratio = torch.exp(logp - logp_old)  # eq. (6.2)
    held = ratio.clamp(1 - clip, 1 + clip)
    return torch.minimum(ratio * advantage, held * advantage)


# %%
ratio = torch.linspace(0.5, 1.5, 101)
fig, axes = plt.subplots(1, 2, figsize=(6, 2.3), sharex=True)
for ax, A in zip(axes, (1.0, -1.0)):
    gain = clipped_gain(ratio.log(), torch.zeros(101), torch.tensor(A), 0.2)
    ax.plot(ratio, ratio * A, color="#6b6d72", linestyle="--",
            label="without clipping")
    ax.plot(ratio, gain, label="$J$")
    ax.axvspan(0.8, 1.2, alpha=0.12)
    ax.set(title=f"advantage {A:+.0f}", xlabel="ratio r")
axes[0].legend()
show_png(fig, alt="The clipped gain against the ratio. For advantage plus one "
         "it rises up to 1.2 and is flat beyond. For advantage minus one it "
         "is flat below 0.8 and falls beyond.")

# %% [markdown]
# What counts for learning is the slope. Where the curve is flat, a token gets
# no gradient.

# %% tags=["nbval-check-output"]
logp = torch.tensor([0.5, 1.0, 1.5]).log().requires_grad_()
for A in (1.0, -1.0):
    gain = clipped_gain(logp, torch.zeros(3), torch.tensor(A), 0.2)
    slope, = torch.autograd.grad(gain.sum(), logp)
    print(f"advantage {A:+.0f}, ratios 0.5 1.0 1.5: slope",
          [f"{s:+.1f}" for s in slope.tolist()])

# %% [markdown]
# Read the corners. A good token that became *less* likely (ratio 0.5) is
# still pushed up: the minimum clips only what has gone far enough in the right
# direction, never a mistake. With one update per batch, the default of
# `train_grpo`, every ratio is 1 and nothing is ever clipped. The runs of
# chapters 0 and 7 to 9 make four updates per batch, each on a quarter of the
# answers, so the last three meet ratios a little off 1.

# %% [markdown]
# ## The KL term: three estimators
#
# A reward sees only the answer. A model may forget everything else while it
# chases the reward. The KL term ties it to the model it started from, the
# *reference*:
# $\operatorname{KL}(\pi \,\|\, \pi_\text{ref})
#   = \mathbb{E}_{o \sim \pi}[\log \pi(o) - \log \pi_\text{ref}(o)]$.
# We have samples from $\pi$. With $d = \log \pi_\text{ref} - \log \pi$ of the
# sampled token, three estimators are in use:
#
# $$ k_1 = -d, \qquad k_2 = \tfrac{1}{2} d^2, \qquad
#    k_3 = e^d - 1 - d. \tag{6.3} $$

# %% tags=["package-copy"]
def k3(logp: Tensor, logp_ref: Tensor) -> Tensor:
    d = logp_ref - logp  # eq. (6.3)
    return torch.expm1(d) - d


# %% [markdown]
# We try them on pairs of distributions over 20 tokens, at growing distance.
# Bias: is the mean right? Spread: how much does one sample scatter?

# %% tags=["nbval-check-output"]
def kl_estimators(logits, logits_ref):
    lp, ref = logits.log_softmax(-1), logits_ref.log_softmax(-1)
    p, d = lp.exp(), ref - lp
    truth = (p * -d).sum()
    for k in (-d, d ** 2 / 2, torch.expm1(d) - d):
        mean = (p * k).sum()  # exact: all 20 tokens, weighted
        std = (p * (k - mean) ** 2).sum().sqrt()
        yield truth.item(), mean.item(), std.item()


g = torch.Generator().manual_seed(0)
base, push = torch.randn(2, 20, generator=g, dtype=torch.float64)
print("  true KL  k1 bias spread   k2 bias spread   k3 bias spread")
for far in (0.1, 0.3, 1.0):
    found = list(kl_estimators(base, base + far * push))
    cells = [f"{round(m - t, 4) + 0:9.4f} {s:6.3f}" for t, m, s in found]
    print(f"{found[0][0]:9.4f}", *cells)

# %%
fig, axes = plt.subplots(1, 2, figsize=(6, 2.3), sharex=True)
fars = torch.linspace(0.05, 1.5, 40).tolist()
table = torch.tensor([list(kl_estimators(base, base + f * push))
                      for f in fars])  # (40, 3 estimators, 3)
for k in range(3):
    kl = table[:, k, 0]
    axes[0].plot(kl, (table[:, k, 1] - kl) / kl, label=f"k{k + 1}")
    axes[1].plot(kl, table[:, k, 2] / kl, label=f"k{k + 1}")
axes[0].set(xscale="log", xlabel="true KL", ylabel="bias / KL")
axes[1].set(xlabel="true KL", ylabel="spread / KL", yscale="log")
axes[0].legend()
fig.tight_layout()
show_png(fig, alt="Left: bias over KL; k1 and k3 stay at zero, k2 leaves zero "
         "as the distance grows. Right: spread over KL; k1 scatters far more "
         "than k2 and k3 where the KL is small.")

# %% [markdown]
# $k_1$ is right on average, but at small distances a single sample is mostly
# noise, and it may be negative. $k_2$ scatters little, but is biased once the
# models are apart. $k_3$ is unbiased, scatters little, and is never negative:
# it is what the paper uses, and what our log calls `kl`. The main runs of this
# book give it weight 0. Those of text and web train thin LoRA matrices and
# measure it; those of video train all weights and do not. A short budget is
# leash enough.
#
# Two details. First, `expm1` instead of `exp(d) - 1`: near zero all digits
# would cancel. Second, an unbiased *value* does not make an unbiased
# *gradient*: the gradient of $k_3$ is $1 - e^d$ per token, close to the right
# thing only while the models are close. That is good enough for a leash.

# %% tags=["nbval-check-output"]
d = torch.tensor([1e-2, 1e-3, 1e-4])
print("exact      ", [f"{x:.2e}" for x in k3(0 * d.double(), d.double())])
print("exp(d)-1-d ", [f"{x:.2e}" for x in (d.exp() - 1 - d).tolist()])
print("k3         ", [f"{x:.2e}" for x in k3(0 * d, d)])

# %% [markdown]
# ## Three ways to average tokens
#
# A batch holds long and short answers. The loss is an average over their
# tokens, and there are three in use:
#
# $$ \mathcal{L} = \operatorname{average}_{i,t}\bigl(
#    -J_{it} + \beta\, k_{3,it} \bigr), \tag{6.4} $$
#
# where $\beta$ is the weight of the KL term.
#
# **Token mean** counts every token of the batch alike. **Sequence mean** first
# averages within each answer, then over answers. **Dr. GRPO** divides every
# answer by the same constant, the longest allowed length. In the code `total` is
# the size of the whole batch, for when only a part of it is passed in.

# %% tags=["package-copy"]
def average(
    each: Tensor,
    mask: Tensor,
    loss: str,
    max_tokens: int | None = None,
    total: float | None = None,
) -> Tensor:
    each = each.masked_fill(~mask, 0.0)  # eq. (6.4)
    if loss == "token":
        return each.sum() / (total or mask.sum().clamp(min=1))
    length = (
        mask.sum(1).clamp(min=1) if loss == "sequence" else max_tokens
    )
    return (each.sum(1) / length).sum() / (total or len(each))


# %% [markdown]
# Two answers to one question: a right one of 2 tokens, a wrong one of 8. The
# derivative of the loss by each token's gain is that token's weight.

# %% tags=["nbval-check-output"]
mask = torch.arange(8) < torch.tensor([[2], [8]])
print("loss       a token of the short / long answer   whole answers")
for loss in ("token", "sequence", "dr_grpo"):
    each = torch.zeros(2, 8, requires_grad=True)
    w, = torch.autograd.grad(average(each, mask, loss, max_tokens=10), each)
    short, long = w[0, 0].item(), w[1, 0].item()
    print(f"{loss:9}  {short:12.4f} / {long:.4f}      "
          f"{2 * short:17.2f} / {8 * long:.2f}")

# %% [markdown]
# - *Sequence mean*: both answers weigh the same, so each token of the long,
#   wrong answer is punished less. A model can dilute a punishment by writing
#   more.
# - *Token mean*: every token weighs the same, so long answers dominate.
# - *Dr. GRPO*: every token weighs the same, and the weight does not depend on
#   what else happens to be in the batch.
#
# The equation in the paper is the sequence mean. Its code computes the token
# mean, and so do we by default. For video all answers have one length, and the
# three agree up to a factor.

# %% [markdown]
# ## Why is the loss about 0?
#
# Everybody who watches GRPO for the first time asks this. Here is a fresh
# model, a group of answers of equal length, and arbitrary rewards.

# %% tags=["nbval-check-output"]
from rlvr_lite import model as M
from rlvr_lite.grpo import grpo_loss

net = M.build(vocab_size=14, width=32, layers=2, heads=2, hidden=64)
rolls = M.sample(net, [[2, 3, 12], [5, 6, 12]], group=4, max_new=6,
                 eos_id=None, generator=torch.Generator().manual_seed(0))
reward = torch.tensor([[0., 1, 0, 0], [1, 0, 1, 0]])
A = advantages(reward).flatten()  # (2 * 4,)
logp = M.logp(net, [[2, 3, 12], [5, 6, 12]], rolls.ids, rolls.mask, group=4)
loss, _ = grpo_loss(logp, rolls.logp_old, A, rolls.mask)
loss.backward()
norm = sum(p.grad.norm() ** 2 for p in net.parameters()).sqrt().item()
print(f"loss is about zero: {abs(loss.item()) < 1e-5}")
print(f"length of the gradient is not: {norm > 0.1}")

# %% [markdown]
# The ratio is 1 at the moment of sampling, so every token contributes just
# $-A$, and the advantages of a group sum to zero. The *value* of the loss says
# nothing. Its *gradient* is
# $-\sum A \nabla \log \pi$, which is not zero at all: raise what was good,
# lower what was bad. **A GRPO loss is a device for making gradients; watch the
# reward instead.**
#
# Even its sign can mislead. If answers have different lengths, the token mean
# of $-A$ is not exactly zero:

# %% tags=["nbval-check-output"]
mask = torch.arange(8) < torch.tensor([[2], [8]])
zero = torch.zeros(2, 8)
for A, what in (([1., -1.], "the short one"), ([-1., 1.], "the long one")):
    value = grpo_loss(zero, zero, torch.tensor(A), mask)[0].item()
    print(f"better is {what}: first loss {value:+.2f}")

# %% [markdown]
# A first loss above zero only means that the better answers are the shorter
# ones.

# %% [markdown]
# ## LoRA: two thin matrices
#
# Fine-tuning moves every weight. LoRA freezes a weight matrix $W$ (of shape
# out x in) and learns a correction of low rank beside it,
#
# $$ W' = W + s\, B A, \qquad s = \alpha / r, \tag{6.5} $$
#
# with $A$ of shape $r$ x in and $B$ of shape out x $r$. Here $r$ is the *rank*,
# the small inner width, and $\alpha$ a constant. $B$ starts at zero, so the model
# starts as itself. Careful: this $A$ is no advantage, and this $r$ no ratio.

# %%
class LoRALinear(torch.nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear.requires_grad_(False)
        out, into = linear.weight.shape
        self.A = torch.nn.Parameter(torch.randn(rank, into) / into ** 0.5)
        self.B = torch.nn.Parameter(torch.zeros(out, rank))
        self.s = alpha / rank

    def forward(self, x):
        return self.linear(x) + self.s * (x @ self.A.T) @ self.B.T

    def merged(self):
        return self.linear.weight + self.s * self.B @ self.A  # eq. (6.5)


# %% tags=["nbval-check-output"]
torch.manual_seed(0)
layer = LoRALinear(torch.nn.Linear(64, 160, bias=False), rank=4, alpha=8)
x = torch.randn(5, 64)
print("starts as itself:", torch.equal(layer(x), layer.linear(x)))
with torch.no_grad():
    layer.B.normal_()  # as if it had been trained
gap = (x @ layer.merged().T - layer(x)).abs().max().item()
print("merged equals unmerged:", gap < 1e-4)
count = sum(p.numel() for p in layer.parameters() if p.requires_grad)
print(f"trained: {count} of {64 * 160} numbers ({count / 64 / 160:.1%})")

# %% [markdown]
# The package leaves this to `peft` and adds three conveniences: `merged` folds
# the correction in for a while (sampling is then as fast as without LoRA) and
# restores every bit afterwards; `merge` does it for good; `reference` switches
# the correction off, and *is* the start model: the KL term needs no second copy
# of the weights.

# %% tags=["nbval-check-output"]
from rlvr_lite import lora

plain = M.build(vocab_size=14, width=32, layers=2, heads=2, hidden=64)
total = sum(p.numel() for p in plain.parameters())
net = lora.add_lora(plain, rank=4, alpha=8)
trained = [p for p in net.parameters() if p.requires_grad]
print(f"{sum(p.numel() for p in trained)} trained, {total} frozen")

torch.nn.init.normal_(trained[1], std=0.1)  # as if trained: fill one B
before = [p.clone() for p in net.parameters()]
with lora.merged(net):
    pass
print("every bit restored:",
      all(torch.equal(a, b) for a, b in zip(before, net.parameters())))

# %% [markdown]
# ## All of it: learn to count
#
# The toy world: the question is two digits, the answer is each digit's
# successor (9 is followed by 0), then the stop token. A verifier is one line.

# %%
from types import SimpleNamespace


class Successor:
    # ids: 0 pad, 1 stop, 2 to 11 the digits, 12 ends the question
    tokenizer = SimpleNamespace(pad_id=0, eos_id=1, vocab_size=14)
    max_new = 5

    def question(self, digits):
        return [2 + d for d in digits] + [12]

    def answer(self, digits):
        return [2 + (d + 1) % 10 for d in digits] + [1]

    def reward(self, ids, digits):
        return {"reward": float(ids == self.answer(digits))}


task = Successor()
worlds = [[a, b] for a in range(10) for b in range(10)]

# %% [markdown]
# A base model first: a short MLE training, stopped long before it is perfect.
# It has to be right *sometimes*, or no group is live.

# %%
from rlvr_lite.mle import MLEConfig, train_mle


def exact(net):
    rolls = M.sample(net, [task.question(w) for w in worlds], max_new=5,
                     temperature=0)
    right = [a == task.answer(w) for a, w in zip(rolls.answers, worlds)]
    return {"greedy": sum(right) / len(right)}


base = M.build(vocab_size=14, width=32, layers=2, heads=2, hidden=64)
pairs = [(task.question(w), task.answer(w)) for w in worlds]
train_mle(base, pairs, MLEConfig(steps=30, batch=25, lr=1e-2, warmup=5),
          log=None)
print(f"base model: {exact(base)['greedy']:.0%} right (greedy)")

# %% [markdown]
# Now the loop. It is short, because everything in it has been explained.

# %%
def learn(net, weigh, steps, lr=3e-3, B=8, G=8, seed=0):
    params = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=lr, weight_decay=0.0)
    draw = torch.Generator().manual_seed(seed)
    curve = []
    for _ in range(steps):
        batch = [worlds[i] for i in torch.randint(100, (B,), generator=draw)]
        questions = [task.question(w) for w in batch]
        rolls = M.sample(net, questions, G, task.max_new, generator=draw)
        reward = torch.tensor([
            task.reward(a, batch[i // G])["reward"]
            for i, a in enumerate(rolls.answers)]).view(B, G)
        logp = M.logp(net, questions, rolls.ids, rolls.mask, group=G)
        loss, _ = grpo_loss(logp, rolls.logp_old, weigh(reward).flatten(),
                            rolls.mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(reward.mean().item())
    return curve


# %% [markdown]
# There is no held-out set here: the toy only shows that the loop works. The
# argument `weigh` turns rewards into advantages. With eq. (6.1) the loop
# is GRPO. With 1 for right answers and 0 for wrong ones it is **rejection
# fine-tuning**: imitate your own verified answers. Same loop, other advantage.

# %%
import copy

curves, after = {}, {}
for name, weigh in (("GRPO", advantages),
                    ("rejection", lambda r: (r >= 1).float())):
    net = lora.add_lora(copy.deepcopy(base), rank=8, alpha=16)
    curves[name] = learn(net, weigh, steps=200)
    after[name] = exact(net)["greedy"]
    print(f"{name}: {after[name]:.0%} right (greedy)")

# %%
def smooth(curve, n=20):
    return torch.tensor(curve).unfold(0, n, 1).mean(1)


fig, ax = plt.subplots(figsize=(4.4, 2.4))
for name, curve in curves.items():
    ax.plot(range(20, 201), smooth(curve), label=name)
ax.set(xlabel="step", ylabel="reward (mean of 20 steps)", ylim=(0, 1.02))
ax.legend()
show_png(fig, alt="Mean reward against training steps for GRPO and rejection "
         "fine-tuning on the successor task; both rise.")

# %% [markdown]
# Both rise, and on a toy there is little to choose between them. They differ
# in what they do with *wrong* answers: GRPO pushes them down, rejection
# fine-tuning ignores them. They also differ on easy questions: rejection keeps
# imitating right answers where nothing is left to learn. Chapter 7 compares
# the two on a world that deserves it.
#
# Try `lr=1e-2` and look for the point where the reward collapses. Nothing in the
# loss announces it.
#
# ## The package's loop
#
# `rlvr_lite.grpo.train_grpo` is this loop with seat belts: groups without
# spread are not forwarded (unless the KL term is on: it speaks about them,
# too), several updates per batch, KL to the start model, checkpoints that
# resume bit for bit, a log.

# %% tags=["nbval-check-output"]
from rlvr_lite.grpo import GRPOConfig, train_grpo

net = lora.add_lora(copy.deepcopy(base), rank=8, alpha=16)
config = GRPOConfig(steps=100, prompts=8, group=8, lr=3e-3, beta=0.01)
rows = train_grpo(net, task, worlds, config, log=None)
print(sorted(k for k in rows[-1] if not k.endswith(("_s", "_seconds"))))

# %%
fig, axes = plt.subplots(1, 3, figsize=(7, 2.1))
for ax, key in zip(axes, ("reward", "live", "kl")):
    ax.plot(range(20, 101), smooth([row[key] for row in rows]))
    ax.set(xlabel="step", title=key)
fig.tight_layout()
show_png(fig, alt="Three curves of the package's GRPO run against the step: "
         "the reward rises, the share of live groups changes as answers "
         "become right, the KL to the start model grows.", limit=28_000)

# %% [markdown]
# Read the three together. The reward rises to somewhat above one half, and about
# five groups in six are live. (If every question were right with probability one
# half, 99 % would be; some are easier, some harder.) As it goes on rising,
# questions are solved and
# their groups die: the share of live groups is the fuel gauge of RLVR. The KL
# shows how far the model has travelled for it.

# %% [markdown]
# ## Exercises
#
# :::{exercise} How large must a group be?
# :label: ex-06-smallest-group
#
# *Goal: know the fuel gauge · Difficulty: 2/5 · Minutes: 5*
#
# Answers to one question are right with probability `p`, independently, with
# `p` above 0 and below 1. Write `smallest_group(p, share)`: the smallest group
# size `G`, at least 2, for which at least the share `share` (below 1) of the
# groups is live.
# :::

# %% tags=["exercise"]
def smallest_group(p, share):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch06.smallest_group(smallest_group)

# %% [markdown]
# :::{solution} ex-06-smallest-group
# :class: dropdown
#
# ```python
# def smallest_group(p, share):
#     G = 2
#     while 1 - p ** G - (1 - p) ** G < share:
#         G += 1
#     return G
# ```
# :::

# %% [markdown]
# :::{exercise} The gain of one token
# :label: ex-06-gain
#
# *Goal: write eq. (6.2) without PyTorch · Difficulty: 2/5 · Minutes: 10*
#
# Write `gain(ratio, advantage, clip)` for three numbers. The minimum matters:
# mistakes are never clipped.
# :::

# %% tags=["exercise"]
def gain(ratio, advantage, clip):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch06.gain(gain)

# %% [markdown]
# :::{solution} ex-06-gain
# :class: dropdown
#
# ```python
# def gain(ratio, advantage, clip):
#     held = max(1 - clip, min(1 + clip, ratio))
#     return min(ratio * advantage, held * advantage)
# ```
# :::

# %% [markdown]
# :::{exercise} Bug hunt, a model that never stops
# :label: ex-06-answer-mask
#
# *Goal: find a bug that no error message shows · Difficulty: 3/5 · Minutes: 10*
#
# A colleague's model gets better answers every day, and longer ones, until
# every answer is cut off. The loss, the advantages and the verifier are right.
# This is the function that says which tokens enter the loss:
#
# ```python
# def answer_mask(ids, eos=1):
#     mask = []
#     for token in ids:
#         if token == eos:
#             break
#         mask.append(True)
#     return mask + [False] * (len(ids) - len(mask))
# ```
#
# Write it right: a list of `True` and `False`, as long as `ids`, that marks
# exactly the tokens that the model *chose*. Behind the first `eos` there is
# only padding.
# :::

# %% tags=["exercise"]
def answer_mask(ids, eos=1):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch06.answer_mask(answer_mask)

# %% [markdown]
# :::{solution} ex-06-answer-mask
# :class: dropdown
#
# ```python
# def answer_mask(ids, eos=1):
#     stop = ids.index(eos) if eos in ids else len(ids) - 1
#     return [t <= stop for t in range(len(ids))]
# ```
#
# The stop token is a choice like any other. If it is masked, ending at the
# right place never earns anything, while everything else that raises the
# reward may make it less likely by accident.
# :::

# %% [markdown]
# :::{exercise} What a token weighs
# :label: ex-06-token-weight
#
# *Goal: keep the three averages apart · Difficulty: 3/5 · Minutes: 15*
#
# A batch holds answers with `lengths` tokens (a list). Write
# `token_weight(lengths, i, loss, max_tokens)`: the weight of one token of
# answer `i` in the loss, for `"token"`, `"sequence"` and `"dr_grpo"`.
# :::

# %% tags=["exercise"]
def token_weight(lengths, i, loss, max_tokens):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch06.token_weight(token_weight)

# %% [markdown]
# :::{solution} ex-06-token-weight
# :class: dropdown
#
# ```python
# def token_weight(lengths, i, loss, max_tokens):
#     if loss == "token":
#         return 1 / sum(lengths)
#     if loss == "sequence":
#         return 1 / (len(lengths) * lengths[i])
#     return 1 / (len(lengths) * max_tokens)
# ```
# :::

# %% [markdown]
# :::{exercise} The price of a rank
# :label: ex-06-lora-numbers
#
# *Goal: count what LoRA trains · Difficulty: 2/5 · Minutes: 5*
#
# A model has linear layers of the given `shapes`, a list of (out, in). Write
# `lora_numbers(shapes, rank)`: how many numbers LoRA trains.
# :::

# %% tags=["exercise"]
def lora_numbers(shapes, rank):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch06.lora_numbers(lora_numbers)

# %% [markdown]
# :::{solution} ex-06-lora-numbers
# :class: dropdown
#
# ```python
# def lora_numbers(shapes, rank):
#     return sum(rank * (out + into) for out, into in shapes)
# ```
#
# At small widths LoRA saves less than its fame suggests: rank 16 beside a
# 64 x 64 matrix trains half as many numbers as the matrix has.
# :::

# %% [markdown]
# ## What to inspect
#
# | signal | healthy | if not |
# |---|---|---|
# | reward | rises, mean of many steps | look at single answers before you touch the learning rate |
# | loss | small, of any sign | its value means nothing; do not tune by it |
# | share of live groups | 0.3 or more at the start | base too good or too bad; harder or easier questions, larger groups |
# | entropy | falls slowly | collapse: the model stops exploring; smaller learning rate, KL, higher temperature |
# | KL to the start | grows, then flattens | runs away: the reward may be hacked; read answers |
# | clip fraction | 0 with one update per batch, a few % with several | above 20 %: too many updates per batch |
# | length | stable, or explained by the task | look for a loophole in the averaging, or a masked stop token |
#
# ## Pitfalls
#
# - Comparing a model sampled at temperature 1 before training with a greedy one
#   after it. RL sharpens; show both decodings for both.
# - Log-probabilities under another temperature than the one that sampled. The
#   ratio of the first step is then not 1.
# - Padding or given tokens in the loss. Test: change them, and the gradient
#   must not move.
# - A reference model that is the *current* model. The KL is then zero for ever,
#   and looks healthy.
#
# ## Further reading
#
# - RLVR-World {cite}`wu2025rlvr`, section 4.3 and equation 1 (GRPO on world
#   models), appendix A (settings).
# - GRPO {cite}`shao2024deepseekmath`, section 4.1; PPO and its clipping
#   {cite}`schulman2017ppo`; the KL estimators {cite}`schulman2020kl`; the
#   averages: token mean {cite}`yu2025dapo`, a constant {cite}`liu2025drgrpo`.
# - LoRA {cite}`hu2022lora`, section 4.1.
# - The equations of this chapter in code: `rlvr_lite/grpo.py`; the same loss and
#   gradients as TRL's `GRPOTrainer` are a test of this repository. (Newer
#   versions of TRL multiply the KL term by the ratio unless told otherwise,
#   which corrects the gradient of $k_3$.)
