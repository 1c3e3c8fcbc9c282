# %% [markdown]
# # Maximum likelihood on robot video
#
# {{badge}}
#
# *Runs in {{minutes}} on one CPU core.*
#
# **You will** let a world model dream a robot's next seven frames, see where
# its dreams go wrong, tell the tokenizer's error from the model's own, and
# measure how little the likelihood of tokens says about the pixels.
#
# **You need** [chapter 2](02_tokenization.ipynb) (frames as tokens) and
# [chapter 3](03_mle.ipynb) (the MLE objective).

# %% tags=["setup"]
{{setup}}

# %% [markdown]
# ## The same objective, other tokens
#
# Nothing about maximum likelihood changes. The question is a context frame, the
# current frame and an action; the answer is frame, action, frame, action, ...
# to the end of the clip. The actions are recorded, not predicted. So they
# carry no loss {cite}`wu2025rlvr`:
#
# $$ J(\theta) = \sum_{t=1}^{H} \sum_{i=1}^{n}
#    \log p_\theta(z_t^i \mid z_c, z_0, b_0, z_1, b_1, \dots,
#    z_{t-1}, b_{t-1}, z_t^{<i}), \tag{4.1} $$
#
# with $H$ frames of $n$ tokens each; the other symbols are those of chapter 2.

# %% tags=["nbval-check-output"]
from rlvr_lite import show, show_video
from rlvr_lite.checkpoints import describe, load_video_model
from rlvr_lite.experiments_video import data

model, task = load_video_model("video_base", horizon=7)
made = describe("video_base")
test = data("test", 1, 7)
print(f"{made['parameters']:,} parameters, trained for {made['steps']} MLE "
      "steps, the best weights kept")
print(f"{len(test)} test clips, {task.horizon} frames each, "
      f"{task.tokens} tokens a frame")

# %% tags=["nbval-check-output"]
clip = test[3]
question, answer = task.question(clip), task.answer(clip)
print(f"question: {len(question)} tokens (64 context, {task.tokens} current "
      f"frame, {len(question) - 64 - task.tokens} action)")
chosen = task.chosen(clip)
print(f"answer  : {len(answer)} tokens, {sum(chosen)} of them predicted")

# %% [markdown]
# ## A first dream
#
# The model sees the first frame and the actions that were really executed. It
# has to write the seven frames that follow. The last row shows where the
# prediction differs from the truth.

# %%
from rlvr_lite.evaluation import answers


def dream(clip, temperature, seed=0):
    """One predicted clip, as frames."""
    ids = answers(model, task, [clip], temperature, seed=seed)[0][0]
    return show_video.as_uint8(task.decode(ids, clip))


truth = clip.frames(1, 7)
greedy = dream(clip, 0.0)
rows = {"truth": truth, "greedy": greedy, "sampled": dream(clip, 1.0),
        "greedy\ndifference": show_video.difference(greedy, truth)}
show.show_png(show_video.filmstrip(rows, [f"{t}" for t in range(1, 8)]),
              "Four filmstrips of seven frames: the truth, the greedy dream, "
              "a sampled dream, and where the greedy one differs.")

# %% [markdown]
# The same as a moving picture:

# %%
show_video.clip(
    {name: rows[name] // 36 * 36  # few colours, a small file
     for name in ("truth", "greedy", "sampled")},
    "Three looping clips side by side: the truth, the greedy dream and the "
    "sampled dream of the same seven frames.", scale=1)

# %% [markdown]
# ## Three numbers to stand beside
#
# A distance of 0.08 means nothing on its own. Three comparisons give it a
# meaning: *copying* the current frame, which needs no model; the *floor*, which
# is what the tokenizer makes of the true frames; and the same model with
# another decoding. They were recorded with several seeds. *Best* is the
# temperature and top-k with the lowest LPIPS on validation clips; on test clips
# it need not win.

# %% tags=["nbval-check-output"]
from rlvr_lite.experiments import find, load_result

multi = load_result("video_multi")


def row(method, decoding, metric="lpips"):
    """A recorded mean with its interval, times 100."""
    found = find(multi, method, decoding, "all", metric)
    return [f"{100 * found[k]:.2f}" for k in ("mean", "low", "high")]


table = [["copy the current frame", "-", *row("trivial", "greedy")],
         *[["MLE", d, *row("mle", d)] for d in ("sampled", "best", "greedy")],
         ["tokenizer floor", "-", *row("floor", "greedy")]]
show.table(["predictor", "decoding", "LPIPS x 100", "low", "high"], table,
           "Seven frames ahead, test clips, mean over frames")

# %% [markdown]
# The distance between MLE and the floor is what a world model on these tokens
# can still gain. The distance between *sampled* and *greedy* is what sharper
# decoding gains without any training. Keep both in mind when chapter 9 claims
# an improvement.

# %% [markdown]
# ## Is the base at its plateau?
#
# A comparison with a base that was stopped too early proves nothing: every
# further training would help. So the whole curve of the base belongs in the
# book. The likelihood of held-out frames decides where to stop.

# %%
rows = [r for r in multi["curves"]["mle"] if "validation_logp" in r]
steps = [r["step"] for r in rows]
show.show_png(
    show.curves({"held-out clips":
                 (steps, [-r["validation_logp"] for r in rows])},
                "MLE step", "nats per frame token"),
    "Negative log-probability of validation frames over MLE steps: it falls "
    "steeply, then flattens.")

# %%
late = rows[1:]
show.show_png(
    show.curves({name: ([r["step"] for r in late],
                        [r[f"validation_lpips_{name}"] for r in late])
                 for name in ("sampled", "greedy")},
                "MLE step", "LPIPS, seven frames", zero=True),
    "LPIPS of dreamed validation clips over MLE steps, sampled and greedy; "
    "the greedy curve lies below the sampled one.")

# %% [markdown]
# Yes. The likelihood of held-out clips is best half way and a little worse
# afterwards; LPIPS hardly moves from there on. The weights of the best
# likelihood are the base of the video chapters.

# %% [markdown]
# ## Teacher forcing and rollout
#
# In training the model always sees the *true* frames of the past. In a rollout
# it sees its own. The difference is measured easily: predict frame $t$ once
# from the true past, once from the dreamed one. The true past is given as the
# actions are, as a part of the answer that the model does not choose.

# %%
from rlvr_lite.evaluation import mean, scores, spread
from rlvr_lite.experiments_video import video_tokens
from rlvr_lite.tasks.robot_video import ACTION_TOKENS, RobotVideoTask


class TrueFrames(RobotVideoTask):
    """The same task; everything before frame `asked` is given."""

    asked = 1

    def given(self, clip):
        known = (self.asked - 1) * (self.tokens + ACTION_TOKENS)
        past = [(0, self.answer(clip)[:known])] if known else []
        return past + [g for g in super().given(clip) if g[0] >= known]


# %%
some = spread(test, P.scale(tiny=45, full=180))
rollout = scores(model, task, some)
true_past, forced = TrueFrames(video_tokens(), horizon=7), []
frames = range(1, 8)
for t in frames:
    true_past.asked = t
    forced.append(mean(scores(model, true_past, some)[f"lpips_{t}"]))
own = [mean(rollout[f"lpips_{t}"]) for t in frames]
show.show_png(
    show.curves({"own frames (rollout)": (frames, own),
                 "true frames (teacher forcing)": (frames, forced)},
                "frame", "LPIPS, greedy", zero=True),
    "LPIPS of frames one to seven: with the true past it rises little, "
    "with the dreamed past it rises with every frame.")

# %% [markdown]
# Errors pile up. The model was never trained on its own mistakes: the
# likelihood of equation (4.1) only ever asks about the next frame after a true
# past. A reward on the whole rollout does ask.

# %% [markdown]
# ## Repetition
#
# Language models repeat themselves, and video models do, too: copying the
# tokens of the last frame is a likely answer when little moves. The paper reports
# it of nearly half of the base's rollouts (table 3). It gives no formula; its code
# rejects a rollout whose last two frames have the same tokens, and those we count.

# %% tags=["nbval-check-output"]
from rlvr_lite import paper

print(f"the paper's base: {paper.VIDEO['multi']['mle'][0]} %")
for decoding in ("sampled", "best", "greedy"):
    found = find(multi, "mle", decoding, "all", "repetition")
    still = find(multi, "mle", decoding, "all", "still")
    print(f"{decoding:8} repetition {100 * found['mean']:5.1f} %   "
          f"moving frames that hardly move {100 * still['mean']:5.1f} %")

# %% [markdown]
# The sharper the decoding, the more often the model stands still. A frame of
# the paper has 80 tokens, ours has four, so the rates do not compare; what
# causes them does.

# %% [markdown]
# ## What likelihood does not see
#
# All tokens are equal before equation (4.1): a wrong code costs the same,
# whether it shifts the gripper by a pixel or removes the drawer. To see how
# much that matters, dream one clip many times. Each dream has a log-probability
# and a distance to the truth.

# %%
import numpy as np

from rlvr_lite.model import sample
from rlvr_lite.tasks.base import given

group = P.scale(tiny=32, full=64)
links = []
for c in spread(some, P.scale(tiny=12, full=60)):
    rolled = sample(model, [task.question(c)], group, task.max_new, 1.0,
                    eos_id=None, given=given(task, [c]))
    logp = rolled.logp_old.sum(1).numpy()
    lpips = [m["lpips"] for m in task.measure(rolled.answers, [c] * group)]
    links.append((logp, np.array(lpips)))
rho = [np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1]
       for a, b in links]
print(f"rank correlation of log-probability and LPIPS within a clip: "
      f"mean {np.mean(rho):+.2f}, between {min(rho):+.2f} and {max(rho):+.2f}")

# %% [markdown]
# A perfect surrogate would have a correlation of minus one: the likelier a
# dream, the closer to the truth. What the model believes to be likely and what
# looks right are related, but far from the same. That gap is the room
# in which a verifiable reward can work.

# %%
gains = [(lp[logp.argmax()], lp.mean(), lp.min()) for logp, lp in links]
likely, average, closest = np.mean(gains, 0)
print(f"mean dream              {100 * average:.2f}")
print(f"likeliest of {group}         {100 * likely:.2f}")
print(f"closest of {group}           {100 * closest:.2f}   (LPIPS x 100)")

# %% [markdown]
# To take the likeliest dream is no safe way to a close one: on so few clips it
# may come out above or below the mean. The closest is far better than both. A
# model that put its probability where the closest dreams are would need no luck.

# %% [markdown]
# ## Exercises
#
# :::{exercise} The mask
# :label: ex-04-mask
#
# *Goal: keep given tokens out of the loss · Difficulty: 1/5 · Minutes: 5*
#
# Write `mask(horizon, frame, action)`: a list of booleans for an answer of
# `horizon` frames with `frame` tokens each, and `action` given tokens between
# two frames; `True` where a token is predicted.
# :::

# %% tags=["exercise"]
def mask(horizon, frame, action):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch04.mask(mask)

# %% [markdown]
# :::{solution} ex-04-mask
# :class: dropdown
#
# ```python
# def mask(horizon, frame, action):
#     first = [True] * frame
#     return first + ([False] * action + first) * (horizon - 1)
# ```
# :::

# %% [markdown]
# :::{exercise} Repetition rate
# :label: ex-04-repetition
#
# *Goal: write a metric that can be trusted · Difficulty: 2/5 · Minutes: 10*
#
# Write `repetition_rate(clips)`: each clip is a list of frames, each frame a
# list of tokens, the first frame being the current one. Return the share of
# clips whose *last two* frames have the same tokens.
# :::

# %% tags=["exercise"]
def repetition_rate(clips):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch04.repetition_rate(repetition_rate)

# %% [markdown]
# :::{solution} ex-04-repetition
# :class: dropdown
#
# ```python
# def repetition_rate(clips):
#     return sum(clip[-1] == clip[-2] for clip in clips) / len(clips)
# ```
# :::

# %% [markdown]
# :::{exercise} How much of the way
# :label: ex-04-closed
#
# *Goal: read a metric between its ends · Difficulty: 1/5 · Minutes: 5*
#
# Write `closed(model, trivial, floor)`: the share of the way from the trivial
# predictor to the floor that a model has gone, for a metric where lower is
# better. 0 at the trivial predictor, 1 at the floor; it may be negative.
# :::

# %% tags=["exercise"]
def closed(model, trivial, floor):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch04.closed(closed)

# %% [markdown]
# :::{solution} ex-04-closed
# :class: dropdown
#
# ```python
# def closed(model, trivial, floor):
#     return (trivial - model) / (trivial - floor)
# ```
# :::

# %% [markdown]
# ## What to inspect
#
# | signal | healthy | if not |
# |---|---|---|
# | held-out log-probability | rising, then flat | still rising: train on; falling: stop earlier |
# | LPIPS against copying | clearly below | the frame gap is too small, or the model too weak |
# | LPIPS against the floor | a gap to close | no gap: better tokens first, not a better model |
# | LPIPS by frame | rises slowly | steep: errors pile up |
# | motion (predicted change of pixels, divided by the true one) | near one | below: the model prefers to stand still |
#
# ## Pitfalls
#
# - Comparing a sampled model with a greedy one. Compare like with like.
# - Letting the given actions into the loss: the model learns to predict the
#   robot's operator.
# - Quoting the distance to the *decoded* true frame. It hides the floor.
# - A base that is stopped early. Any further training will look like a gain.
#
# ## Further reading
#
# - RLVR-World {cite}`wu2025rlvr`, section 6.1 and appendix A.4 (video world
#   models, tokenizers, sequences).
