# %% [markdown]
# # Verifiable rewards
#
# {{badge}}
#
# *Runs in {{minutes}} on one CPU core.*
#
# **You will** turn a metric into a reward, judge predicted states all or
# nothing and with partial credit, find the holes in two published rewards,
# let a small policy exploit them, judge what a click changes on a web page,
# reward a film for its pixels, and see what likelihood cannot express.
#
# **You need** the states and pages of chapter 1; for the film also its last part,
# and the tokens of chapter 2. No model is trained here.

# %% tags=["setup"]
{{setup}}

# %% [markdown]
# ## A metric becomes a reward
#
# A world model writes tokens, but nobody wants tokens. We want the next state
# to be right. So we decode what the model wrote to a predicted state
# $\hat s'$, and compare it with the true next state $s'$ by the metric $D$
# that we would report anyway. The only thing left is the sign, because some
# metrics are better when they are high and some when they are low:
#
# $$ R = \operatorname{sign}(D)\, D(\hat s', s'), \tag{5.1} $$
#
# with $\operatorname{sign}(D) = -1$ if lower is better, and $+1$ otherwise.
#
# Such a reward is called **verifiable**. A rule computes it from recorded
# data. Nobody's opinion is asked, and no reward model has to be trained.

# %% tags=["nbval-check-output"]
def to_reward(value, lower_is_better=False):
    return -value if lower_is_better else value


for metric, low, good, bad in (("exact match", False, 1.0, 0.0),
                               ("F1 of page changes", False, 0.9, 0.4),
                               ("image distance", True, 0.05, 0.30)):
    r = to_reward(good, low), to_reward(bad, low)
    print(f"{metric:19} good {r[0]:+.2f}   bad {r[1]:+.2f}")

# %% [markdown]
# Three properties decide whether a reward is any use, and this chapter looks
# at each of them.
#
# 1. It is **aligned**: what scores high is what we want, for *every* answer a
#    model could write, and not only for the answers we had in mind.
# 2. It is **reachable**: the true answer gets the full score.
# 3. It has **spread**: different answers to one question score differently.
#    The next chapter learns from differences within a group of answers, and
#    where all of them score the same there is nothing to learn.

# %% [markdown]
# ## An answer is a difference
#
# The paper's text-game model does not write the next state. It writes what is
# *different*: which objects are modified (written in full), which are removed,
# and the score if it changes. Here is a kitchen with a pot on the stove. Ice
# lies in the pot. One tick later the pot is warmer, and the ice has become
# water: one object changes, one vanishes, one is new.

# %%
def thing(uuid, name, inside=(), **properties):
    return {"name": name, "uuid": uuid, "type": name.title(),
            "properties": properties, "contains": list(inside)}


points = {"score": 0, "gameOver": False, "gameWon": False}
stove = thing(1, "stove", ["pot"], isOn=True)
pot, ice = thing(2, "pot", ["ice"], temperature=20), thing(3, "ice", size=1)
state = ([stove, pot, ice], points)

warm_pot = thing(2, "pot", ["water"], temperature=30)
water = thing(4, "water", temperature=2)
melted = ([stove, warm_pot, water], points)

# %% [markdown]
# A state is a pair: a list of objects and the score. This function of the
# package writes the difference. Objects are known by their `uuid`, and what
# is equal is not mentioned.

# %% tags=["package-copy"]
from rlvr_lite.tasks.state_difference import Answer, State, same_object


def difference(state: State, next_state: State) -> Answer:
    objects, score = state
    next_objects, next_score = next_state
    before = {o["uuid"]: o for o in objects}
    modified = []
    for new in next_objects:
        old = before.pop(new["uuid"], None)
        if old is not new and (old is None or not same_object(old, new)):
            modified.append(new)
    return {"modified": modified, "removed": list(before),
            "score": {} if score == next_score else next_score}


# %% tags=["nbval-check-output"]
gold = difference(state, melted)
print("modified:", *(f"\n  {o}" for o in gold["modified"]))
print("removed :", gold["removed"])
print("score   :", gold["score"])

# %% [markdown]
# ## Reading what a model wrote
#
# A language model surrounds its answer with thoughts, fences and apologies.
# The extractor looks for the last "The final answer is:", then for a fenced
# JSON block, and else reads the whole text. Python's `True` and a missing
# brace are forgiven. What has no `modified` and `removed` is no answer.

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks.state_difference import extract

texts = (
    'Ice melts. The final answer is: {"modified": [], "removed": [3]}',
    "The final answer is: {'modified': [{'uuid': 1, 'isOn': True}], "
    "'removed': []",
    'First {"removed": [1]}?\n```json\n{"modified": [], "removed": [2]}\n```',
    'The state is {"temperature": 30}.',
    "Nothing happens.",
)
for text in texts:
    print(extract(text))

# %% [markdown]
# The extractor is part of the reward. If it is too tolerant, a model may learn
# to write several answers and leave the choice to you. If it is too severe,
# good answers earn nothing and the model learns to be brief rather than right.

# %% [markdown]
# ## From the answer back to a state
#
# Now the difference is applied to the current state. The package does this in
# two ways. `official` behaves exactly as the code that was released with the
# paper, and `strict` is ours. On the melting ice they disagree.

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks.state_difference import recover, same_state

for mode in ("official", "strict"):
    predicted = recover(state, gold, mode)
    names = [o["name"] for o in predicted[0]]
    print(f"{mode:8} {names}  right: {same_state(predicted, melted)}")

# %% [markdown]
# The released code walks through the objects that exist and replaces or drops
# them. An object that does not exist yet is never visited, so the water is
# lost. The perfect answer does not lead to the true state. This reward is not
# *reachable* where anything is created.

# %% [markdown]
# ## All or nothing
#
# The first reward of the paper asks whether everything is right, in all
# objects with all their entries, and in the score:
#
# $$ R_\text{binary} = \mathbb{1}\,[\,\hat s' = s'\,]. \tag{5.2} $$
#
# It is aligned by construction (if the comparison is), and it is hard to
# cheat. But it has little spread: an answer with nine right entries of ten
# scores as badly as nonsense. A model that is never exactly right learns
# nothing from it.

# %% [markdown]
# ## Partial credit
#
# The second reward of the paper gives partial credit. It counts entries: every
# property of every object is one, and so is its `contains`. With $a$ the
# share of right entries in objects, $b$ the share in the score, $e$ whether
# all are right, and $c$ the share of right entries *among those that should
# change*,
#
# $$ R_\text{task} = 0.09\,a + 0.01\,b + 0.2\,e + 1.0\,c, \tag{5.3} $$
#
# where the last term is absent if nothing should change. (The paper writes 0.1
# for the first two terms together; its code splits them.) In the published
# states, with about nine objects each, most entries never change, so $a$ is
# close to 1 even for doing nothing. That is why $a$ has a small weight and the
# changes have a large one.
#
# Let us judge four answers to a simpler step, in which only the pot gets warmer
# and the stove goes out.

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks.state_rewards import reward

hot, off = thing(2, "pot", ["ice"], temperature=30), thing(
    1, "stove", ["pot"], isOn=False)
after = ([off, hot, ice], points)
shrunk = thing(3, "ice", size=0)
answers = {"both changes": [hot, off], "one of two": [hot],
           "one too many": [hot, off, shrunk], "nothing": []}
print(f"{'answer':13} binary  task   a     c")
for name, objects in answers.items():
    answer = {"modified": objects, "removed": [], "score": {}}
    binary = reward(state, answer, after, "binary")["reward"]
    task = reward(state, answer, after, "task_specific")
    print(f"{name:13} {binary:4.0f}  {task['reward']:6.3f} "
          f"{task['item']:5.2f} {task['changed']:5.2f}")

# %% [markdown]
# The partial reward has spread: four answers, four scores. Look at the third
# row, though. It changes something that should have stayed, and it still earns
# far more than the answer that found one of two changes. We come back to this.

# %% [markdown]
# ## Five quirks of the released reward
#
# Code that computes a reward is never just the equation. We ran the released
# scorer and found five places where it does something else than one would
# think. Each row below is one of them: an answer, and what the two judges say.

# %%
def answer_of(removed=(), modified=(), score=True):
    answer = {"modified": list(modified), "removed": list(removed)}
    return answer | ({"score": {}} if score else {})


eaten = ([stove, thing(2, "pot", [], temperature=20)], points)
empty_pot, red_pot = eaten[0][1], thing(2, "pot", ["ice"], temperature=30,
                                        colour="red")
warm = ([stove, hot, ice], points)
quirks = {
    "perfect answer, new object": (gold, melted),
    "forgotten removal": (answer_of([], [empty_pot]), eaten),
    "invented property": (answer_of([], [red_pot]), warm),
    "no score in the answer": (answer_of(score=False), state),
    "exception: `contains` is null": (
        answer_of([], [{**hot, "contains": None}]), warm),
}

# %% tags=["nbval-check-output"]
from rlvr_lite import show

rows = []
for name, (answer, truth) in quirks.items():
    cells = [f"{reward(state, answer, truth, kind, mode)['reward']:.2f}"
             for kind in ("binary", "task_specific")
             for mode in ("official", "strict")]
    rows.append([name, *cells])
show.table(["answer", "binary, official", "binary, strict",
            "task, official", "task, strict"], rows)

# %% [markdown]
# - **Created objects are dropped.** The perfect answer loses, so silence about
#   new objects is as good as the truth.
# - **A forgotten removal is free.** The judge looks up every *true* object
#   among the predicted ones. An object too many is never looked at.
# - **An invented property is free in one reward and fatal in the other.** The
#   binary judge looks at true keys only. The partial one looks the invented key
#   up in a table of true keys, fails, and catches the error as "reward 0".
# - **A missing `score` costs everything** under the binary reward, although
#   `"score": {}` means that nothing changed. The partial reward takes the part
#   for the score and the part for being exact.
# - **Every exception is a zero**, whoever is to blame. Here sorting `null`
#   fails. `strict` also gives 0, but on purpose: it refuses a malformed answer.
#
# `strict` closes these holes. Both states must hold the same objects, keys and
# values; creation works; what is not mentioned stays as it was.

# %% [markdown]
# ### How often does it matter?
#
# A quirk may be a curiosity. So we let both judges read answers to all
# published test transitions {cite}`wang2024simulators`: the perfect
# answer, and the perfect answer with one flaw, wherever the flaw can occur.
# Our own test suite repeats these counts. The data are not part of this book
# because they carry no licence; the numbers come from a recorded result.

# %%
from rlvr_lite.experiments import find, load_result

judged = load_result("text_bytesized32_rewards")
names = {"trivial": "do nothing", "gold": "perfect answer",
         "created_object": "perfect, a new object",
         "forgotten_removal": "forgotten removal",
         "extra_property": "invented property", "no_score": "no score"}
rows = []
for method, label in names.items():
    found = [find(judged, method, metric=f"{mode}_{kind}")
             for kind in ("binary", "task_specific")
             for mode in ("official", "strict")]
    rows.append([label, found[0]["n"], *(f"{f['mean']:.4f}" for f in found)])
show.table(["answer", "rows", "binary, official", "binary, strict",
            "task, official", "task, strict"], rows,
           "Mean reward on the published test split")

# %% [markdown]
# Two numbers deserve a second look. The perfect answer does not reach 1 under
# the official binary reward: this is the ceiling for every model in the
# paper's table. And doing nothing is worth more than half of all points under the
# binary reward, and a third of what can be had under the task-specific one,
# because most transitions change nothing. Whatever you train, print this
# baseline beside it, and report the changed transitions on their own.
#
# With the data at hand you can look at single rows:
# `bytesized32.load_test()` in `rlvr_lite.worlds` reads a path, a cache or a
# download, and tells you the ways out when it finds none of them.

# %% [markdown]
# ## Reward-hacking lab
#
# A model does not read our intentions. It is paid by the reward, and it will
# find what the reward pays for. Let us watch this on a policy with just three
# *habits*: does it write removals, does it write new objects, does it invent
# properties? It answers two questions. In one the ice vanishes from the pot, in
# the other water appears in it.

# %%
HABITS = ("writes removals", "writes new objects", "invents properties")
pouring = ([stove, thing(2, "pot", ["ice", "water"], temperature=20),
            ice, water], points)


def answer_with(habits, truth):
    removal, creation, invention = habits
    answer = difference(state, truth)
    known = {o["uuid"] for o in state[0]}
    kept = [o for o in answer["modified"] if creation or o["uuid"] in known]
    if invention:
        kept = [{**o, "properties": {**o["properties"], "colour": "red"}}
                for o in kept]
    return answer | {"modified": kept,
                     "removed": answer["removed"] if removal else []}


def earn(habits, kind, mode):
    return sum(reward(state, answer_with(habits, truth), truth, kind,
                      mode)["reward"] for truth in (eaten, pouring)) / 2


# %% [markdown]
# ### First, look for holes
#
# Three habits make eight policies. We can simply try them all and ask: which
# earn as much as the honest policy (write removals, write new objects, invent
# nothing) without being honest? This is the cheapest test of a reward, and it
# should come before any training run.

# %% tags=["nbval-check-output"]
from itertools import product

honest = (True, True, False)
for mode in ("official", "strict"):
    for kind in ("binary", "task_specific"):
        best = earn(honest, kind, mode)
        holes = [h for h in product((True, False), repeat=3)
                 if h != honest and earn(h, kind, mode) >= best - 1e-9]
        print(f"{mode:8} {kind:13}: {len(holes)} dishonest policies earn "
              "as much as the honest one")

# %% [markdown]
# ### Then, let a policy find them
#
# Now the policy learns. Each habit has a probability $\sigma(z_k)$ and starts at one
# half. In every step the policy draws a group of habits, earns its rewards, and
# moves towards what was better than the group's mean. This is the method of
# the next chapter in ten lines. There is one more ingredient: everything that
# is written costs a little, as length always does in practice. In the last line
# of the loop, `drawn - p` is the gradient of the log-probability of the drawn
# habits with respect to $z$.

# %%
import numpy as np


def practise(kind, mode, steps=400, group=16, lr=0.5, price=0.02, seed=0):
    rng, z, path = np.random.default_rng(seed), np.zeros(3), []
    for _ in range(steps):
        p = 1 / (1 + np.exp(-z))
        path.append(p)
        drawn = rng.random((group, 3)) < p                       # (G, 3)
        r = np.array([earn(d, kind, mode) for d in drawn])
        r = r - price * drawn.sum(1)                             # (G,)
        advantage = (r - r.mean()) / (r.std() + 1e-6)
        z = z + lr * (advantage[:, None] * (drawn - p)).mean(0)
    return np.array(path)                                        # (S, 3)


paths = {mode: practise("binary", mode) for mode in ("official", "strict")}

# %%
from matplotlib import pyplot as plt

fig, axes = plt.subplots(1, 2, figsize=(6.6, 2.8), sharey=True)
for axis, (mode, path) in zip(axes, paths.items()):
    for k, (name, mark) in enumerate(zip(HABITS, "os^")):
        axis.plot(path[:, k], label=name, marker=mark, markevery=80)
    axis.set_title(f"binary, {mode}")
    axis.set_xlabel("step")
axes[0].set_ylabel("probability of the habit")
axes[1].legend(frameon=False, fontsize=8)
fig.tight_layout()
show.show_png(fig, "Under the official reward all three habits fall to "
              "zero: the policy stops writing removals and new objects. "
              "Under the strict reward both rise to one, and only the "
              "invented property dies out.")

# %% tags=["nbval-check-output"]
for mode, path in paths.items():
    print(f"{mode:8}", *(f"{name}: {p:.1f}  "
                         for name, p in zip(HABITS, path[-1])))

# %% [markdown]
# The official reward has taught the policy to stop mentioning objects that
# vanish or appear. Nobody wanted that. The reward did not ask for it either;
# it only failed to notice, and a small price for words did the rest. Why does
# so small a price suffice? Where all answers of a group earn the same, the price
# is the *only* difference between them, and dividing by the spread blows it up
# to full size. The strict judge makes the same policy honest.

# %% [markdown]
# ### A reward for guessing
#
# The second hack needs no bug. Suppose the model is unsure whether a property
# changes, and believes so with probability $p$. If it writes the change and
# is right, the partial reward pays 1.3; if it keeps silent and is right, 0.3.
# A mistake earns the same in both cases. So whoever maximises the expected
# reward should *guess that something changes*, long before it is likely.

# %%
p = np.linspace(0, 1, 101)
entries = 20
wrong = 0.09 * (entries - 1) / entries + 0.01      # one entry is wrong
lines = {"writes the change": (p, p * 1.3 + (1 - p) * wrong),
         "keeps silent": (p, p * wrong + (1 - p) * 0.3)}
fig = show.curves(lines, "probability p that the property changes",
                  "expected task-specific reward")
show.show_png(fig, "Two straight lines over the probability of a change. "
              "Writing the change starts lower but rises steeply, and "
              "overtakes silence at a probability of about 0.15.")

# %% tags=["nbval-check-output"]
ahead = lines["writes the change"][1] > lines["keeps silent"][1]
print(f"task-specific: writing pays from p = {p[ahead][0]:.2f}")
print(f"binary       : writing pays from p = {p[p >= 1 - p][0]:.2f}")

# %% [markdown]
# Is that a flaw? It depends on what you want, and on the algorithm. The
# threshold holds for whoever maximises the *expected reward*. GRPO divides by
# the spread of each group (chapter 6). A question has one truth, so the answers
# "it changes" and "it does not" earn only two different rewards in a group, and
# after the division the gain on a changed question weighs no more than the
# loss on an unchanged one: the threshold is back at one half. Without the
# division (`scale="none"`) it is the one printed above. What partial credit
# still does under GRPO is to rank answers *within* a group, so that a group
# without a perfect answer teaches something too. And the paper, by the way,
# mixes *fewer* unchanged questions in with this reward than with the binary
# one. The exercise *When does a guess pay?* asks for the threshold.

# %% [markdown]
# ## Lists: the F1 of a web page
#
# A click on a web page makes some elements appear, some vanish, and changes
# others. The answer is three lists. With $TP$ the number of predicted items that
# also stand in the truth,
#
# $$ \text{prec} = \frac{TP}{|\text{predicted}|}, \quad
#    \text{rec} = \frac{TP}{|\text{true}|}, \quad
#    F_1 = \frac{2\,\text{prec}\,\text{rec}}{\text{prec}+\text{rec}}. \tag{5.4} $$

# %% tags=["package-copy"]
def _scores(right: int, predicted: int, true: int) -> dict[str, float]:
    precision = right / predicted if predicted else 0.0
    recall = right / true if true else 0.0
    both = precision + recall
    value = 2 * precision * recall / both if both else 0.0
    return {"reward": value, "f1": value, "precision": precision,
            "recall": recall, "predicted": float(predicted),
            "true": float(true)}


# %% [markdown]
# Again the released code has its own opinions. It collects the lines of each
# section in a *set*, so a repeated line is free. And an empty section is
# written as the word `None`, which counts as an item like any other. `strict`
# counts repetitions and does not count `None`; where nothing changes, saying so
# scores 1 (a case of its own, before `_scores`).

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks.web_f1 import f1, write

truth = {"new": ["[7] link 'Cart (1)'"], "updated": ["[3] button 'Add'"]}
right = write(truth)
tried = {"right": right, "right, then: Done.": right + "\nDone.",
         "last line 6 times": right + "\n[3] button 'Add'" * 5,
         "None, None, None": write({})}
print(f"{'answer':20} official  strict")
for name, text in tried.items():
    a, b = (f1(text, write(truth), m)["reward"] for m in ("official",
                                                          "strict"))
    print(f"{name:20} {a:8.3f} {b:7.3f}")

# %% [markdown]
# An answer that says nothing earns a third of the points, because one of the
# three sections is truly empty. A friendly last line costs a seventh. And a
# model that repeats its one sure item loses nothing under `official`, which is
# exactly the kind of repetition that likelihood training is blamed for.

# %% [markdown]
# ### How much is a hole worth?
#
# That was one invented page. On real ones the holes are wider or narrower. We
# let both judges read five answers to every recorded test step, written in the
# paper's form: the perfect answer, the perfect one with a flaw, and two answers
# that know nothing.

# %% tags=["nbval-check-output"]
from rlvr_lite.worlds import web_pages

steps = web_pages.transitions("test")
scored = {}
for t in steps:
    change = web_pages.difference(t.before, t.after)
    gold = web_pages.long_form(t.before, change)
    first = next((name for name in gold if gold[name]), None)
    again = {name: lines * (4 if name == first else 1)
             for name, lines in gold.items()}
    for name, text in (("perfect", write(gold)),
                       ("its first section four times", write(again)),
                       ("a closing line", write(gold) + "\nDone."),
                       ("None, None, None", write({})), ("empty text", "")):
        scored.setdefault(name, []).append(
            [f1(text, write(gold), m)["reward"] for m in ("official",
                                                          "strict")])
rows = [[name, *(f"{mean:.3f}" for mean in np.mean(found, 0))]
        for name, found in scored.items()]
show.table(["answer", "official", "strict"], rows,
           f"Mean F1 over {len(steps)} steps on recorded pages")

# %% [markdown]
# **To say `None` three times is worth more than half of all points.** Most clicks
# change one line, so two of three sections are truly empty, and each empty one is a
# right item. With the long lists of the paper's pages the effect must be smaller, but
# it is there: a model can raise its score by leaving sections empty. Under `strict` the same answer
# earns something only where nothing changes at all. **Repetition is free**
# under `official`, and halves the strict reward. And a closing line, which any
# chatty model writes, is an item like any other, for both judges.
#
# None of this says that the paper's gain is a hack. It says that two numbers belong
# beside an official F1: that of the empty answer, and a strict one.

# %% [markdown]
# ## Films: reward the pixels
#
# A video world model writes codes. The frozen decoder paints them, and the $H$
# painted frames $\hat s_t$ are compared with the recorded ones:
#
# $$ R = -\frac{1}{H} \sum_{t=1}^{H}
#    \big[ L_1(\hat s_t, s_t) + \operatorname{LPIPS}(\hat s_t, s_t) \big].
#    \tag{5.5} $$
#
# The comparison is with the real film, not with what the tokenizer makes of it.
# Two errors are added, and that is no accident. $L_1$ is the mean absolute
# difference of the pixels. LPIPS {cite}`zhang2018lpips` sends both pictures
# through a network that was trained to name objects, and compares what its
# layers $l$ see. There $f^l_{hwc}(x)$ is the value of channel $c$ at the place
# $(h, w)$ of a layer with $H_l \times W_l$ places, after the channels of each place
# have been scaled to length one. The weights $w_{lc}$ were fitted to human
# judgements of likeness:
#
# $$ \operatorname{LPIPS}(x, y) = \sum_l \frac{1}{H_l W_l} \sum_{h, w} \sum_c
#    w_{lc} \big( f^l_{hwc}(x) - f^l_{hwc}(y) \big)^2. \tag{5.6} $$

# %% [markdown]
# ### Which error rewards what?
#
# Nobody has to train a model to find out. Take real frames, spoil them in eight
# ways, and ask the metrics. The first two are honest guesses about a moving arm:
# two frames too slow, which is also what copying shows, and two frames too fast.

# %%
import torch
import torch.nn.functional as F

from rlvr_lite import show_video
from rlvr_lite.tokenizers.frames import to_tensor
from rlvr_lite.worlds.robot_video import episodes

film = episodes("push", "test")
t = 6
slow, truth, fast = (to_tensor(film.frames[:, i]) for i in (t - 2, t, t + 2))
noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
block = (truth[:, :2] > 0.4).all(1, True) & (truth[:, 2:] < 0.31)  # yellow
wide = F.max_pool2d(block.float(), 5, 1, 2).bool()
spoiled = {
    "slow": slow, "fast": fast, "average": (slow + fast) / 2,
    "blur": F.avg_pool2d(F.pad(truth, (1,) * 4, mode="replicate"), 3, 1),
    "shift": truth.roll(1, -1), "noise": (truth + 0.04 * noise).clamp(0, 1),
    "darker": 0.9 * truth,
    "no block": torch.where(wide, truth.median(0).values, truth)}

# %%
shown = 48  # an episode with its arm on the way down
fig, axes = plt.subplots(2, 5, figsize=(5.0, 2.4))
for axis in axes.flat:
    axis.axis("off")
for axis, (name, frames) in zip(axes.flat, {"truth": truth,
                                            **spoiled}.items()):
    axis.imshow(frames[shown].permute(1, 2, 0), interpolation="nearest")
    axis.set_title(name, fontsize=9)
fig.tight_layout(pad=0.3)
show.show_png(fig, "Nine versions of one frame: the truth; the arm where it "
              "was and where it will be; both at once as two pale arms; "
              "blurred; shifted by a pixel; noisy; darker; without the "
              "yellow block.", 27_000)

# %% tags=["nbval-check-output"]
from rlvr_lite.metrics_video import frame_errors
from rlvr_lite.perceptual import perceptual

meaning = ("two frames too slow (copy)", "two frames too fast",
           "average of the two", "blurred, 3 x 3", "one pixel to the right",
           "noise", "ten percent darker", "the block is gone")
rows = []
for label, frames in zip(meaning, spoiled.values()):
    found = {name: value.mean().item() for name, value in
             frame_errors(frames[None], truth, perceptual()).items()}
    rows.append([label, f"{found['l1']:.3f}", f"{found['mse']:.4f}",
                 f"{found['psnr']:.1f}", f"{found['ssim']:.2f}",
                 f"{found['lpips']:.3f}"])
show.table(["what is wrong", "L1", "MSE", "PSNR, dB", "SSIM", "LPIPS"], rows,
           "Five metrics on 60 test frames (PSNR, SSIM: high is good)")

# %% [markdown]
# MSE is the mean square error, PSNR its logarithm (chapter 2). SSIM compares means,
# spreads and correlation in small windows; 1 means equal. Read the columns against
# each other.
#
# - **The average of two guesses has a lower MSE than either guess.** That is no
#   chance: MSE is smallest at the mean of all possible futures. LPIPS ranks it
#   *behind* both.
#   A model that is rewarded by MSE learns to hedge, and its arm dissolves where
#   the future is uncertain. A model that is rewarded by LPIPS commits itself.
# - **Blur is nearly free for MSE and PSNR**, and among the worst for LPIPS. A shift
#   by one pixel, which nobody would notice, is the other way round.
# - **MSE hardly notices that the block is gone.** To take away the only thing in
#   the scene that the task is about costs next to nothing in L1, MSE, PSNR and
#   SSIM: with its margin it is some seventy pixels of 4,096. LPIPS counts objects,
#   not area.
# - **LPIPS is nearly blind to light.** A darker film costs it almost nothing,
#   and there L1 pays attention.
#
# So the two errors of (5.5) watch over each other. It also fits the paper's figure
# 4 c: of five models, each trained on one metric, each is generally best on its own.

# %% [markdown]
# ### How many digits does LPIPS need?
#
# Every reward and every result of this book is computed in fp32. Numbers of half
# the length, bf16, have eight binary digits in place of 24, and some machines are
# much faster with them. What do they cost? Here are two of the eight ways, all 60
# frames of each, judged with both.

# %%
from time import process_time


def lpips_in(frames, half):
    """LPIPS of 60 pairs, and milliseconds a pair, the quickest of three."""
    took = []
    for _ in range(3):
        began = process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            values = perceptual()(frames, truth).float()
        took.append(1000 * (process_time() - began) / len(truth))
    return values, min(took)


for name in ("slow", "darker"):
    (long, slower), (brief, quicker) = (lpips_in(spoiled[name], half)
                                        for half in (False, True))
    off = (brief / long - 1).abs().max()
    print(f"{name:6} fp32 {long.mean():.5f} ({slower:.1f} ms a pair), "
          f"bf16 {brief.mean():.5f} ({quicker:.1f} ms)\n"
          f"       apart: mean {100 * (brief.mean() / long.mean() - 1):+.2f} "
          f"%, the worst pair {100 * off:.2f} %")

# %% [markdown]
# Where frames differ visibly, a pair is off by less than a hundredth of its LPIPS, in
# both directions, so the mean hardly moves. Where the distance itself is tiny, as in
# the darker film, the relative error is larger. Both are small beside the decided
# differences of chapter 9. How much time bf16 saves depends on the processor: without
# instructions for it, it may even take longer. So fp32 stays.

# %% [markdown]
# ### Ask an optimiser for the hole
#
# The eight ways above were our ideas. An optimiser has better ones. Let gradient
# ascent change a real frame as much as it can while LPIPS stays small. It starts
# from a trace of noise.

# %%
lpips, start = perceptual(), truth[shown:shown + 1]
seen = lpips.features(start)
x = (start + 0.02 * noise[:1]).requires_grad_()
adam = torch.optim.Adam([x], lr=0.01)
for _ in range(P.scale(tiny=80, full=400)):
    painted = x.clamp(0, 1)
    loss = 4 * lpips.distance(lpips.features(painted), seen).sum()
    loss = loss - (painted - start).abs().mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
hacked = x.detach().clamp(0, 1)
show.show_png(show_video.filmstrip(
    {"frame": torch.cat([start, hacked])}, ["truth", "hacked"], width=2.8),
    "A frame of the film, and the same frame after gradient ascent: a "
    "carpet of glaring coloured noise lies over everything.", 12_000)

# %%
for name in ("hacked", "slow", "noise"):
    frames = hacked if name == "hacked" else spoiled[name][[shown]]
    found = frame_errors(frames[None], start, lpips, ("lpips", "l1"))
    print(f"{name:7}", *(f"{k} {v.item():.3f}  " for k, v in found.items()))

# %% [markdown]
# Under LPIPS alone this carpet of noise beats an honest guess that comes two
# frames late, and a frame with a fraction of such noise drawn at random. Nobody would
# call it the better prediction. A perceptual metric is a network, and networks
# have blind directions. L1 sees the fraud at once. And a world model cannot paint
# any pixel that it likes: it has to say it in the codes of a frozen tokenizer. That
# protects us more than any formula, and is a good reason for not training
# the decoder along.

# %% [markdown]
# ### Reachable? The floor
#
# The second property of a reward was that the truth earns the full score. Here it
# does not. The codes of the true frame are painted with the tokenizer's own
# error. And are they at least the *best* codes? Replace a single one at random,
# and see how often the reward goes up.

# %% tags=["nbval-check-output"]
from random import Random

from rlvr_lite.experiments_video import video_tokens
from rlvr_lite.tasks.robot_video import RobotVideoTask

film_task = RobotVideoTask(video_tokens(), horizon=1)
some = video_tokens().clips(film, [(n, 0, 4, 1) for n in range(6)])
rng, better, full = Random(0), 0, []
for clip in some:
    gold, tries = film_task.answer(clip), []
    for _ in range(60):
        tries.append(list(gold))
        tries[-1][rng.randrange(4)] = rng.randrange(1000)
    r = [row["reward"] for row in film_task.rewards([gold, *tries],
                                                    [clip] * 61)]
    full.append(r[0])
    better += sum(other > r[0] for other in r[1:])
print(f"reward of the true codes: {np.mean(full):.3f}, not 0")
print(f"single random changes that earn more: {better} of {60 * 6}")

# %% [markdown]
# A few of them do. The encoder was trained to be good on average, and for this
# frame another word says it better. Maximum likelihood would call
# that word wrong; the reward prefers it. The two objectives differ even on the
# true frame.

# %% [markdown]
# ### Standing still
#
# Where nothing moves, the best prediction is the frame before. So let a lazy
# model repeat the codes of the current frame, and compare its reward with that of
# the true codes: in the middle of an expert's episode, and near its end, when
# the arm has come to rest.

# %% tags=["nbval-check-output"]
experts = [n for n in range(len(film)) if film.kind[n] == 0]
print("expert clips  still  true codes  still pays at least as much")
for when, start_at in (("in the middle", 10), ("near the end", 21)):
    some = video_tokens().clips(film, [(n, 0, start_at, 1) for n in experts])
    still, gold = (np.array([row["reward"] for row in film_task.rewards(
        answers, some)]) for answers in (
            [clip.frame_ids[0].tolist() for clip in some],
            [film_task.answer(clip) for clip in some]))
    print(f"{when:13} {still.mean():6.3f} {gold.mean():8.3f} "
          f"{(still >= gold).sum():10} of {len(some)}")

# %% [markdown]
# While the arm moves, laziness costs a lot. At rest it costs nothing, or even
# pays: copying is a policy that the reward does not always punish. If a data
# set rests often, or the gap between two frames is small, this *is* the optimum, and
# rollouts freeze. Three remedies, from good to less good: a gap at which things
# move (ours is two recorded frames); questions in which something happens; and a
# **repetition penalty** (section 6.3 of the paper), which takes from the reward a
# little for every frame whose codes repeat the frame before:

# %% tags=["nbval-check-output"]
for fine in (0.0, 0.05):
    film_task.repetition_penalty = fine
    total = [sum(row["reward"] for row in film_task.rewards(answers, some))
             for answers in ([clip.frame_ids[0].tolist() for clip in some],
                             [film_task.answer(clip) for clip in some])]
    print(f"penalty {fine:.2f}: standing still {total[0] / len(some):.3f}, "
          f"true codes {total[1] / len(some):.3f}")

# %% [markdown]
# Mind the price. The true codes repeat, too, where the arm really rests, and they
# now pay for it: the penalty buys motion with truth. And a reward that judges only
# the *last* frame of a rollout has the opposite hole: whatever happens on the way
# is free, and nobody looks. Chapter 9 measures what the penalty does to a model.

# %% [markdown]
# ## What likelihood cannot say
#
# So far rewards look like a source of trouble. Here is what only they can do.
# Let a click produce two items: one that follows from the page, and one that
# nobody can know, such as the first search result among sixty possible names.
# Consider models that write the unknowable item with probability $w$, and
# guess it uniformly. The likelihood of the recorded answer is
#
# $$ p(o \mid q) = w \cdot \tfrac{1}{60}, \tag{5.7} $$
#
# because every recorded answer *has* a second item. It is largest at $w = 1$:
# maximum likelihood always writes. What would the metric like?

# %% tags=["nbval-check-output"]
N = 60
write_it = (1 / N) * 1 + (1 - 1 / N) * 1 / 2   # both right, or one of two
leave_it = 2 * 1 * 0.5 / (1 + 0.5)             # precision 1, recall 1/2
print(f"expected F1: writes {write_it:.3f}, leaves it out {leave_it:.3f}")

# %%
w = np.linspace(0.02, 1, 50)
fig, axes = plt.subplots(1, 2, figsize=(6.6, 2.6))
axes[0].plot(w, np.log(w / N))
axes[0].set_ylabel("log-likelihood (nats)")
axes[1].plot(w, w * write_it + (1 - w) * leave_it)
axes[1].set_ylabel("expected F1")
for axis in axes:
    axis.set_xlabel("w, how often it writes the unknowable")
fig.tight_layout()
show.show_png(fig, "Left, the log-likelihood rises with the probability w "
              "of writing the unknowable item. Right, the expected F1 falls "
              "with w. The two want opposite things.")

# %% [markdown]
# The two curves have opposite slopes. No amount of data or training time
# changes that, because the recorded answers never show an omission. A reward
# on whole answers can teach it: leave out what you cannot know. It can do so
# only if the model leaves the item out now and then: a policy with $w = 1$
# exactly never tries silence, and so never learns what silence would earn. This
# is not sharpening and not a trick of decoding. Greedy decoding of a perfectly
# trained likelihood model still writes guesses that are right once in sixty
# times.
#
# Remember the direction of the argument. The metric has to *want* the silence.
# If a user needs all items, even guessed ones, then F1 was the wrong metric,
# and optimising it harder makes things worse.

# %% [markdown]
# ### On a real page
#
# Here is such a click, from the recording. A closed section opens. That it is
# *expanded* afterwards follows from the page; the text in it stands nowhere.

# %% tags=["nbval-check-output"]
from dataclasses import replace

from rlvr_lite.tasks.web_page import deducible, items

opened = next(t for t in web_pages.transitions("validation")
              if (t.task, t.seed, t.step)
              == ("click-collapsible-2-nodelay", 100014, 0))
change = web_pages.difference(opened.before, opened.after)
known = deducible(opened, {})
print(web_pages.write_page(opened.before))
print(f"--- {opened.action} leads to\n{web_pages.write_difference(change)}")
(place, element), = change.new
invented = replace(known, new=((place, replace(element, name="Lorem.")),))
print("--- strict F1")
for name, answer in (("all of it", change), ("silence about the text", known),
                     ("an invented text", invented)):
    score = f1(items(answer), items(change), "strict")["f1"]
    print(f"{name:23} {score:.2f}")

# %% [markdown]
# A perfect likelihood model writes some text here, because each of its examples
# has one. Its answer is the last row. The row above is worth more, and no recorded
# answer ever looks like it. Now for all test steps on which something unknowable
# appears: everything else right, and either silence, or an element of the same
# role from another page of the task.

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks.web_page import constant_names

train = web_pages.transitions("train")
always = constant_names(train)


def unknowable(t):
    known = set(deducible(t, always).new)
    return [pair for pair in web_pages.difference(t.before, t.after).new
            if pair not in known]


pool = {}
for t in train[::4]:
    for _, element in unknowable(t):
        pool.setdefault((t.task, element.role), []).append(element)
for name in ("visible", "hidden"):
    asked = [t for t in steps if web_pages.group(t.task) == name]
    print(f"{name:8} tasks: something unknowable in "
          f"{sum(bool(unknowable(t)) for t in asked)} of {len(asked)} steps")

# %% tags=["nbval-check-output"]
rng, found = Random(0), {}
for t in steps:
    if not (dark := unknowable(t)):
        continue
    change = web_pages.difference(t.before, t.after)
    guess = tuple((place, rng.choice(pool[t.task, e.role]))
                  if (place, e) in dark else (place, e)
                  for place, e in change.new)
    guessed = replace(change, new=guess)
    count = len(change.updated) + len(change.deleted) + len(change.new)
    found.setdefault(t.task, []).append(
        [len(dark) / count, *(f1(items(a), items(change), "strict")["f1"]
                              for a in (deducible(t, always), guessed))])
rows = [[task, len(values), *(f"{m:.2f}" for m in np.mean(values, 0))]
        for task, values in found.items()]
show.table(["task", "steps", "unknowable share", "silence", "invention"],
           rows, "Strict F1 where the page does not tell everything")

# %% [markdown]
# Silence wins in every task, although the invention was let off lightly: it was
# told how many elements come, in which place and of which role. Silence is also a
# **ceiling**: without lucky guesses no answer gets above it. Chapter 8 puts it
# beside its models, and asks whether RLVR finds the silence. (A rule of thumb, not
# a theorem. `deducible` calls a name known if it stands anywhere in the question,
# though nobody may be sure that it comes up *here*; and unknown what a model may
# have learned elsewhere, such as the country that *Jers* completes to.)

# %% [markdown]
# ## Exercises
#
# :::{exercise} Partial credit
# :label: ex-05-task-specific
#
# *Goal: write equation 5.3 so that it is right in the corners · Difficulty: 1/5 · Minutes: 5*
#
# Write `task_specific(item, score, exact, right, total)`. `item` and `score`
# are shares, `exact` is 0 or 1, and `right` of `total` entries that should
# change are right. Remember what happens when nothing should change.
# :::

# %% tags=["exercise"]
def task_specific(item, score, exact, right, total):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch05.task_specific(task_specific)

# %% [markdown]
# :::{solution} ex-05-task-specific
# :class: dropdown
#
# ```python
# def task_specific(item, score, exact, right, total):
#     reward = 0.09 * item + 0.01 * score + 0.2 * exact
#     if total > 0:
#         reward += right / total
#     return reward
# ```
# :::

# %% [markdown]
# :::{exercise} A judge without holes
# :label: ex-05-strict-exact
#
# *Goal: compare two states so that nothing is free · Difficulty: 3/5 · Minutes: 15*
#
# Write `strict_exact(predicted, true)` for two lists of objects: 1 if they
# describe the same world, else 0. The order of objects and the order inside
# `contains` must not matter. Everything else must.
# :::

# %% tags=["exercise"]
def strict_exact(predicted, true):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch05.strict_exact(strict_exact)

# %% [markdown]
# :::{solution} ex-05-strict-exact
# :class: dropdown
#
# ```python
# def strict_exact(predicted, true):
#     def tidy(objects):
#         return sorted(({**o, "contains": sorted(o["contains"])}
#                        for o in objects), key=lambda o: o["uuid"])
#     return int(tidy(predicted) == tidy(true))
# ```
#
# Two sorted lists compare both directions at once: an object or a key too many
# on either side makes them unequal. A dictionary by uuid would swallow an
# object that is named twice.
# :::

# %% [markdown]
# :::{exercise} When does a guess pay?
# :label: ex-05-edit-threshold
#
# *Goal: compute the threshold that a reward sets · Difficulty: 3/5 · Minutes: 15*
#
# A state has `n` entries in its objects and the score is right in any case.
# At most one entry changes, with probability $p$. Take the reward as it is,
# before any normalisation. Write `edit_threshold(n)`:
# the $p$ at which writing the change and keeping silent earn the same expected
# official task-specific reward.
# :::

# %% tags=["exercise"]
def edit_threshold(n):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch05.edit_threshold(edit_threshold)

# %% [markdown]
# :::{solution} ex-05-edit-threshold
# :class: dropdown
#
# ```python
# def edit_threshold(n):
#     wrong = 0.09 * (n - 1) / n + 0.01  # one entry of n is wrong
#     gain, cost = 1.3 - wrong, 0.3 - wrong
#     return cost / (gain + cost)
# ```
#
# For large states the threshold tends to one seventh.
# :::

# %% [markdown]
# :::{exercise} F1 that sees repetition
# :label: ex-05-multiset-f1
#
# *Goal: count multisets · Difficulty: 2/5 · Minutes: 10*
#
# Write `multiset_f1(predicted, true)` for two lists of strings. A true item
# can be found once for each time that it stands in `true`. Two empty lists
# are a perfect match.
# :::

# %% tags=["exercise"]
def multiset_f1(predicted, true):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch05.multiset_f1(multiset_f1)

# %% [markdown]
# :::{solution} ex-05-multiset-f1
# :class: dropdown
#
# ```python
# def multiset_f1(predicted, true):
#     if not predicted and not true:
#         return 1.0
#     left = list(true)
#     hits = 0
#     for item in predicted:
#         if item in left:
#             left.remove(item)
#             hits += 1
#     return 2 * hits / (len(predicted) + len(true))
# ```
# :::

# %% [markdown]
# :::{exercise} How sure must you be?
# :label: ex-05-smallest-probability
#
# *Goal: find out when F1 rewards silence · Difficulty: 4/5 · Minutes: 15*
#
# You know `known` items for certain. The truth holds them and one more. Your
# best guess for that one is right with probability $p$. Write
# `smallest_probability(known)`: the $p$ from which writing the guess earns at
# least the expected F1 of leaving it out.
# :::

# %% tags=["exercise"]
def smallest_probability(known):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch05.smallest_probability(smallest_probability)

# %% [markdown]
# :::{solution} ex-05-smallest-probability
# :class: dropdown
#
# ```python
# def smallest_probability(known):
#     silent = 2 * known / (2 * known + 1)
#     # writing gives (known + p) / (known + 1)
#     return silent * (known + 1) - known
# ```
#
# The result is `known / (2 * known + 1)`: half of the F1 that silence earns.
# Here, where the truth surely holds one item more, the rule is exact: write the
# guess if its probability is above half of the F1 that you earn without it.
# Elsewhere it is a rule of thumb. It fails where the truth may be empty, since
# silence then earns 1 (see the next exercise).
# :::

# %% [markdown]
# :::{exercise} How many items to write
# :label: ex-05-how-many
#
# *Goal: choose the answer that a metric wants from what you believe · Difficulty: 4/5 · Minutes: 20*
#
# `chances` holds, for each item that you could write, the probability that it is in the
# truth, the likeliest first. The items are independent, and the truth holds no
# others. Write `how_many(chances)`: how many items, from the front, make the
# expected strict F1 largest; the fewest, where several numbers tie. An empty answer to an
# empty truth scores 1. There are at most eight items, so that all truths can be tried.
# :::

# %% tags=["exercise"]
def how_many(chances):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch05.how_many(how_many)

# %% [markdown]
# :::{solution} ex-05-how-many
# :class: dropdown
#
# ```python
# def how_many(chances):
#     from itertools import product
#     from math import prod
#     expected = [0.0] * (len(chances) + 1)
#     for truth in product((0, 1), repeat=len(chances)):
#         p = prod(c if there else 1 - c for c, there in zip(chances, truth))
#         for k in range(len(chances) + 1):
#             both = k + sum(truth)
#             f1 = 2 * sum(truth[:k]) / both if both else 1.0
#             expected[k] += p * f1
#     best = max(expected)
#     return next(k for k, e in enumerate(expected) if e > best - 1e-9)
# ```
#
# Three items with a chance of 0.4 each are all worth writing; one such item beside
# three sure ones is not, and neither is one alone. No fixed threshold does this.
# :::

# %% [markdown]
# :::{exercise} A reward for a film
# :label: ex-05-film-reward
#
# *Goal: put equation 5.5 and the repetition penalty together · Difficulty: 2/5 · Minutes: 10*
#
# Write `film_reward(l1, lpips, codes, penalty)`. `l1` and `lpips` hold one error
# for each of the H predicted frames. `codes` holds the codes of H + 1 frames,
# a list each; the first one is the current frame. Return the reward (5.5), less
# `penalty` times the share of predicted frames that have the same codes as the
# frame before.
# :::

# %% tags=["exercise"]
def film_reward(l1, lpips, codes, penalty):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch05.film_reward(film_reward)

# %% [markdown]
# :::{solution} ex-05-film-reward
# :class: dropdown
#
# ```python
# def film_reward(l1, lpips, codes, penalty):
#     repeated = [a == b for a, b in zip(codes, codes[1:])]
#     error = sum(l1) + sum(lpips)
#     return -(error + penalty * sum(repeated)) / len(l1)
# ```
# :::

# %% [markdown]
# ## What to inspect
#
# | signal | healthy | if not |
# |---|---|---|
# | reward of the true answer | the maximum, on every row | the reward is not reachable: look for what it cannot express |
# | reward of doing nothing | printed beside every model | accuracy may be mostly "do not edit" |
# | reward of the true answer with one flaw | lower, for every flaw you can think of | a hole: the policy will find it |
# | readable answers | nearly all, and not falling | the extractor is too severe, or the model has learned to break it |
# | reward of an answer that knows nothing | printed beside every F1 | a third or half of the points may be free |
# | what cannot be known | counted: a ceiling for honest answers | a gap below 1 looks like a bad model |
# | parts of the reward | each logged on its own | a rising sum can hide a falling part |
# | reward of copying, by situation | below the true codes while something moves | the frame gap is too small: rollouts will freeze |
# | the object of the task, taken away | costs more than a small shift | the metric looks at area, not at things |
# | spread within a group | some groups with different rewards | all equal: nothing to learn from this question |
#
# ## Pitfalls
#
# - Catching every exception as reward 0. The model is punished for bugs of the
#   judge, and nobody reads the log.
# - Comparing in one direction only. "Every true item is there" and "nothing
#   else is there" are two statements.
# - Testing a reward on good answers. Test it on bad ones, and on good ones with
#   one flaw.
# - One metric for pictures. Each has a blind spot; let an optimiser show it to you.
# - Comparing a painted frame with the tokenizer's version of the truth. The floor
#   disappears from the number, but not from the film.
# - Reporting the reward as the result. The weights of partial credit are a
#   choice; report what a user wants to know.
#
# ## Further reading
#
# - RLVR-World {cite}`wu2025rlvr`, section 4.3 (equation 3: the metric as
#   reward), section 5.1 (equation 4: the task-specific reward), section 5.2
#   (equations 5 and 6: F1), section 6.1 (equations 9 and 10: the reward of a
#   film), section 6.3 (repetition penalty, metrics against each other), appendix
#   A.1 and A.2.
# - ByteSized32 state prediction {cite}`wang2024simulators`, from which the
#   answer format and the comparison come.
# - LPIPS {cite}`zhang2018lpips`: how a distance is fitted to human eyes.
