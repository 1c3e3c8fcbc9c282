# %% [markdown]
# # RLVR on robot video
#
# {{badge}}
#
# *Runs in {{minutes}} on one CPU core.*
#
# **You will** post-train a video world model on the pixels that it paints,
# compare like with like, and read the recorded experiments: one frame ahead,
# seven frames ahead, with every control.
#
# **You need** [chapter 4](04_mle_robot_video.ipynb) (the base model),
# [chapter 5](05_verifiable_rewards.ipynb) (the reward) and
# [chapter 6](06_grpo_and_lora.ipynb) (GRPO).

# %% tags=["setup"]
{{setup}}

# %% [markdown]
# ## Why not simply backpropagate?
#
# The metric is differentiable: LPIPS has a gradient with respect to pixels, and
# the decoder has one with respect to its codes. But between model and decoder
# stands a *choice of tokens*, and a choice has no gradient. The pipeline is not
# end-to-end. Reinforcement learning needs no gradient through it: it samples
# tokens, lets the frozen decoder paint them, and rewards what looks right
# {cite}`wu2025rlvr`:
#
# $$ R_i = -\frac{1}{H} \sum_{t=1}^{H}
#    \left[ L_1(\hat s_t^i, s_t) + \mathrm{LPIPS}(\hat s_t^i, s_t) \right].
#    \tag{9.1} $$
#
# (The paper's equation 10 has the sum, its code the mean. After the division by
# the spread of the group they are the same.)

# %% tags=["nbval-check-output"]
from rlvr_lite import show, show_video
from rlvr_lite.checkpoints import load_video_model
from rlvr_lite.experiments_video import STUDIES, video_tokens
from rlvr_lite.tasks.robot_video import clips
from rlvr_lite.worlds.robot_video import episodes

model, task = load_video_model("video_base", horizon=1)
study = STUDIES["video_single"]
prompts, test = (clips(episodes("drawer_open", split), video_tokens(),
                       per_episode=2, horizon=1)
                 for split in ("train", "test"))
print(f"{len(prompts)} questions, {len(test)} test clips of drawer_open, "
      f"one frame ahead, {task.tokens} tokens")

# %% [markdown]
# ## What RL has to work with
#
# Sixteen dreams of the same next frame, rewarded. Within a group the frames
# differ by their tokens only, so the spread of the rewards is what GRPO
# can learn from. The best of sixteen shows how far choosing alone would carry.

# %% tags=["nbval-check-output"]
from rlvr_lite.evaluation import answers, mean, scores
from rlvr_lite.tasks.base import rewards

some = prompts[::40]
groups = answers(model, task, some, 1.0, group=16)
spread, average, best = [], [], []
for clip, group in zip(some, groups):
    errors = [-p["reward"] for p in rewards(task, group, [clip] * 16)]
    spread.append(max(errors) - min(errors))
    average.append(mean(errors))
    best.append(min(errors))
print(f"L1 + LPIPS: mean {mean(average):.3f}, best of 16 {mean(best):.3f}, "
      f"spread within a group {mean(spread):.3f}")
print(f"groups without any spread: {sum(s < 1e-4 for s in spread)} "
      f"of {len(some)}")

# %% [markdown]
# Unlike an exact match, this reward is hardly ever the same for a whole group:
# almost every group is live.

# %% [markdown]
# ## Post-training, live
#
# The same function as in chapters 6 and 7, with another task. Questions are
# training clips; the true next frame is known; the tokenizer stays frozen. A
# minute of training is short. Each step asks about other clips, so the reward of a
# step is mostly the luck of its clips. We judge the model before and after on the
# same test clips.

# %% tags=["nbval-check-output"]
def lpips_of(model):
    """LPIPS x 100 on the test clips, sampled and greedy."""
    return {name: 100 * mean(scores(model, task, test, t)["lpips"])
            for name, t in (("sampled", 1.0), ("greedy", 0.0))}


before = lpips_of(model)
print("  ".join(f"{k} {v:.2f}" for k, v in before.items()))

# %%
import copy
from dataclasses import replace

from rlvr_lite.grpo import train_grpo

learner = copy.deepcopy(model)
config = replace(study.rl, steps=P.scale(tiny=40, full=800))
history = train_grpo(learner, task, prompts, config, log=None)
for row in history[::8]:
    print(f"step {row['step']:3}  reward {row['reward']:.4f}  "
          f"LPIPS {100 * row['lpips']:.2f}  entropy {row['entropy']:.2f}")

# %%
from rlvr_lite.show import running_mean

steps = [row["step"] for row in history]
show.show_png(
    show.curves({"100 x LPIPS of the samples":
                 (steps, [100 * v for v in running_mean(history, "lpips")]),
                 "entropy, nats": (steps, running_mean(history, "entropy"))},
                "GRPO step", "see legend", zero=True),
    "Over forty GRPO steps the LPIPS of the sampled frames scatters with the "
    "clips that are asked, and the entropy of the policy falls.")

# %%
after = lpips_of(learner)
for name in before:
    print(f"{name:8} {before[name]:.2f} -> {after[name]:.2f}   "
          f"({100 * (after[name] / before[name] - 1):+.1f} %)")

# %% [markdown]
# ## Sharpening is not learning
#
# Read both lines. When entropy falls, samples come closer to the greedy
# answer, and the *sampled* number improves even if the model has learned
# nothing new. A lower temperature would do the same for free. So a claim about
# RLVR needs two comparisons: sampled against sampled, and each model under the
# decoding that suits it best, chosen on validation clips. Here the sampled number
# falls further than the greedy one, in one run without an interval. The recorded
# runs decide.

# %% [markdown]
# ## Recorded: one frame ahead
#
# Everything below was recorded with several seeds, on test episodes: other
# random seeds for where things start, other actions. A block of the test split
# never starts where one of training did; a drawer may stand nearly where
# another one stood, because drawers are moved along one line only.

# %%
from rlvr_lite.experiments import find, load_result


def results_table(result, metric="lpips", factor=100, caption=""):
    """Methods down, decodings across."""
    rows = []
    for method in dict.fromkeys(r["method"] for r in result["rows"]):
        cells = [show.method_name(method)]
        for decoding in ("sampled", "best", "greedy"):
            try:
                r = find(result, method, decoding, "all", metric)
            except KeyError:
                cells.append("-")
                continue
            low, high = factor * r["low"], factor * r["high"]
            cells.append(f"{factor * r['mean']:.2f} [{low:.2f}, {high:.2f}]")
        rows.append(cells)
    show.table(["method", "sampled", "best decoding", "greedy"], rows, caption)


single = load_result("video_single")
results_table(single, caption="One frame ahead: LPIPS x 100, lower is better "
              "(five clips of every test episode)")

# %% tags=["nbval-check-output"]
def against(result, other, metric="lpips"):
    """RLVR minus another method, like with like, in percent of the other."""
    rows = []
    for d in result["differences"]:
        if (d["a"], d["b"], d["subset"], d["metric"]) == (
                "rlvr", other, "all", metric):
            same = "greedy" if other == "trivial" else d["decoding"]
            base = find(result, other, same, "all", metric)["mean"]
            low, mid, high = (f"{100 * d[k] / base:+.1f} %"
                              for k in ("low", "mean", "high"))
            rows.append([d["decoding"], mid, f"[{low}, {high}]", show.reading(
                d, "RLVR ahead", "RLVR behind", lower_is_better=True)])
    show.table(["decoding", "change", "95 %", "reading"], rows,
               f"RLVR against {show.method_name(other)}: {metric}")


against(single, "mle")
against(single, "mle_continued")

# %% [markdown]
# Sampled, the error falls by about an eighth. Greedy and at the best
# decoding the means lean the same way, and nothing is decided: of three seeds two
# gained and one did not.
#
# Two rows above need a word. *Do nothing* copies the current frame: a sharp
# picture of the wrong moment, which no model of this table beats one frame ahead.
#
# *MLE, continued* was allowed the seconds of RL, here as in the next section, but
# stopped by itself before they were used up:

# %% tags=["nbval-check-output"]
multi = load_result("video_multi")
for result in (single, multi):
    spent = {c["method"]: c.get("cpu_seconds") for c in result["cost"]}
    print(f"{result['title']}, CPU seconds after the base:", ", ".join(
        f"{show.method_name(m)} {spent[m]:.0f}"
        for m in ("mle_continued", "rlvr")))

# %% [markdown]
# The rule that ended it is *early stopping*: five validations in a row found no
# better weights. Is the comparison still fair? The model keeps its best weights
# of the whole run, those of the base included, judged by the LPIPS of greedy
# validation rollouts: a choice by the very metric, which RLVR does not get.
# The weights after them, which the last five validations saw, were no better.
# So the seconds that it left unused are hardly the reason why it gained so
# little.
#
# ## Likelihood overfits, reinforcement goes on
#
# What happened to the weights after the best ones? Here are the validation clips of
# one seed, while both methods go on learning from the same training clips.

# %%
validated = {show.method_name(method): [
    r for r in single["curves"][method] if "validation_logp" in r]
    for method in ("mle_continued", "rlvr")}
show.show_png(
    show.curves({name: ([r["cpu_seconds"] for r in rows],
                        [100 * r["validation_lpips_greedy"] for r in rows])
                 for name, rows in validated.items()},
                "CPU seconds after the base",
                "LPIPS x 100 of validation clips, greedy"),
    "The greedy LPIPS of validation clips against CPU seconds: that of MLE, "
    "continued, rises steeply, that of RLVR falls slowly.")

# %% tags=["nbval-check-output"]
for method, rows in validated.items():
    print(method, f"after {rows[-1]['cpu_seconds']:.0f} s:")
    for name, key in (("LPIPS x 100, greedy", "validation_lpips_greedy"),
                      ("LPIPS x 100, sampled", "validation_lpips_sampled")):
        print(f"  {name:24} {100 * rows[0][key]:5.2f} -> "
              f"{100 * rows[-1][key]:5.2f}")
    print(f"  {'log-probability':24} {rows[0]['validation_logp']:5.2f} -> "
          f"{rows[-1]['validation_logp']:5.2f} nats a token")
late = [r["lpips"] for r in single["curves"]["rlvr"] if "lpips" in r][-20:]
print(f"RLVR, rollouts on training clips at the end: "
      f"{100 * sum(late) / len(late):.2f}")

# %% [markdown]
# The base was stopped where its validation loss was lowest. Beyond that point more
# likelihood learns the recorded clips by heart, and its frames of other clips get
# worse. RL asks about the same clips again and again, and its frames of other clips
# do not suffer; on validation clips they get better, if slowly. The paper
# reports the same of its smallest data sets (table 9). Both methods make
# the *true tokens* of validation clips less likely. For MLE that is the failure. For RL it
# is the point: it gives up tokens that are hard to guess, and gains pictures that
# are near.
#
# RL is not immune. Its rollouts on training clips end near the floor of the
# tokenizer, about half as far from the truth as those on validation clips. Most of what
# it learns holds for the clips that it was asked about. What is scarce here
# is not seconds but episodes.

# %% [markdown]
# ## Recorded: seven frames ahead
#
# Now the model's own frames are its past, and the reward asks about the rollout:
# about three of its seven frames, to save time, drawn anew for every group. On
# average that is the same reward. Each token is credited with the mean over the
# judged frames from its own one on, the *process supervision* of GRPO
# {cite}`shao2024deepseekmath`: a token cannot help a frame that was painted
# before it.

# %%
results_table(multi, caption="Seven frames ahead: LPIPS x 100, mean over "
              "frames, lower is better")

# %% tags=["nbval-check-output"]
against(multi, "mle")
against(multi, "mle_continued")

# %% [markdown]
# Where in the rollout does the difference lie?

# %%
frames = range(1, 8)
lines = {}
for method in ("mle", "rlvr"):
    rows = [find(multi, method, "sampled", "all", f"lpips_{t}")
            for t in frames]
    lines[show.method_name(method)] = (frames, *(
        [100 * r[k] for r in rows] for k in ("mean", "low", "high")))
show.show_png(
    show.curves(lines, "frame", "LPIPS x 100, sampled", zero=True),
    "LPIPS of frames one to seven for the base and for RLVR, both sampled, "
    "with 95 percent bands; both rise with the frame.")

# %% [markdown]
# The gap grows from half a point at the first frame to more than two at the
# last. That alone does not show that RL has learned about rollouts: whoever
# paints a single frame better also feeds on better frames afterwards.
#
# ### The same with LoRA
#
# All weights were trained above. Here is the study once more with an adapter of rank
# 32 and a learning rate of its own, five times as high; bases, seconds and clips are
# those from above.

# %% tags=["nbval-check-output"]
lora = load_result("video_lora")
results_table(lora, caption="Seven frames ahead, LoRA: LPIPS x 100, lower is "
              "better")
against(lora, "mle")
against(lora, "mle_continued")

# %% [markdown]
# The means are close to those of all weights. Sampled and at the best decoding the
# adapter is ahead of the base and of *MLE, continued* (which trains all weights here,
# too), each time by about as much as above. Greedy, against the base, the interval just
# touches zero; all weights just cleared it. It is no fair race between the two: this
# run was made on a faster machine, which took a third more steps in the same
# seconds. (The section on three levers compares them on one machine.) So the gain
# appears with both ways to train, from the same three bases and on the same clips.

# %% [markdown]
# ## Look at it
#
# Numbers do not show whether a drawer is open. The clip below is the test clip
# on which, of those compared, RLVR is ahead of the base by most.

# %%
from rlvr_lite.experiments_video import data

base, task7 = load_video_model("video_base")
tuned, _ = load_video_model("video_multi_rlvr")
shown = data("test", 1, 7)[::P.scale(tiny=6, full=1)]
dreams = {name: [a[0] for a in answers(m, task7, shown, 1.0, seed=1)]
          for name, m in (("MLE", base), ("RLVR", tuned))}
lpips = {name: [m["lpips"] for m in task7.measure(found, shown)]
         for name, found in dreams.items()}
gaps = [a - b for a, b in zip(lpips["MLE"], lpips["RLVR"])]
i = max(range(len(shown)), key=lambda i: gaps[i])
clip, truth = shown[i], shown[i].frames(1, 7)
rows = {"truth": truth}
for name, found in dreams.items():
    rows[name] = show_video.as_uint8(task7.decode(found[i], clip))
    rows[f"{name}\ndifference"] = show_video.difference(rows[name], truth)
show.show_png(show_video.filmstrip(rows, [f"{t}" for t in range(1, 8)]),
              "Filmstrips of seven frames: the truth, the dream of the base "
              "and of the RLVR model, each with its difference to the truth.")
print(f"RLVR closer to the truth in {sum(g > 0 for g in gaps)} "
      f"of {len(gaps)} clips")

# %% [markdown]
# That was the best case, chosen to make the difference visible. Here is the
# median one, as a clip.

# %%
order = sorted(range(len(shown)), key=lambda i: gaps[i])
clip = shown[order[len(order) // 2]]
i = order[len(order) // 2]
show_video.clip(
    {name: show_video.as_uint8(frames) // 36 * 36  # few colours, a small file
     for name, frames in [("truth", clip.frames(1, 7)), *(
         (name, task7.decode(found[i], clip))
         for name, found in dreams.items())]},
    "Three looping clips side by side: the truth, a dream of the MLE base and "
    "a dream of the RLVR model, for the clip with the median difference.",
    scale=1)

# %% [markdown]
# ## Repetition
#
# The paper's most striking number is the repetition rate: nearly half of the
# base's rollouts repeat their last frame, and a tenth after RLVR (table 3). Two
# further remedies stand beside it there: to reject repeating samples, and to
# punish repetition in the reward.

# %% tags=["nbval-check-output"]
results_table(multi, "repetition", caption="Rollouts whose last two frames "
              "have the same tokens, in % (best of *repetitions rejected*: "
              "T = 0.5)")
results_table(multi, "motion", caption="Predicted motion divided by true "
              "motion, in %")

# %% [markdown]
# RLVR does not repeat less here: no difference is decided, under any decoding.
# The sampled base hardly repeats at all, so there was little to cure, and greedy
# decoding repeats as often after RL as before. The second table holds a warning.
# The samples of RLVR move about a tenth less than those of the base: a part of
# their lower LPIPS is caution.

# %% [markdown]
# ## Three levers
#
# Three changes, recorded from the same bases with 200 seconds a method in place
# of 700: three times as much MLE; LoRA (rank 32, with a learning rate of its
# own) in place of all weights; and the penalty of the paper's section 6.3, a
# twentieth of reward for a rollout in which every frame repeats the one before.
# (The rows *groups of 4* and *groups of 32*, in place of 16, are for chapter 10.)

# %% tags=["nbval-check-output"]
levers = load_result("video_levers")
results_table(levers, caption="Seven frames ahead, 200 s: LPIPS x 100")
results_table(levers, "repetition", caption="Rollouts whose last two frames "
              "have the same tokens, in %")

# %% tags=["nbval-check-output"]
for other in ("mle", "mle_continued_3x", "rlvr_lora",
              "rlvr_repetition_penalty"):
    against(levers, other)

# %% [markdown]
# *More MLE* could have trained for 600 seconds and stopped by itself half way: early
# stopping found no better weights, and for one seed none better than those it
# started from. Two hundred seconds of RL are ahead of it under every decoding but
# one, where the interval just reaches zero. *LoRA* is level with all weights: in
# video it costs nothing, where on text it did (chapter 10). And the *penalty* has
# nothing to punish. Sampled rollouts, which RL learns from, hardly repeat, so
# repetition under greedy decoding stays where it was, and nothing is lost either.
# A penalty acts on what is sampled.

# %% [markdown]
# ## Few episodes
#
# What is scarce here is episodes. So the last experiment has fewer still: 24
# training episodes of each task in place of 320, a base of its own, stopped where its
# validation loss is lowest, and again at most 200 seconds for every method. Beside *MLE,
# continued*, whose weights are chosen by their validation rollouts, stands a row in
# which nobody chooses: all seconds, and the last weights.

# %% tags=["nbval-check-output"]
few = load_result("video_small")
results_table(few, caption="24 episodes of each task, seven frames ahead, "
              "200 s: LPIPS x 100")

# %% tags=["nbval-check-output"]
for other in ("mle", "mle_continued", "mle_to_the_end", "trivial"):
    against(few, other)

# %% [markdown]
# Likelihood has little more to give here. Whether its best or its last weights are
# kept, 200 seconds on, its frames are on average farther from the truth than the current frame,
# copied seven times. RLVR learns from the same few clips, and it is ahead of every
# row of likelihood under every decoding, greedy as well. So this is more than
# sharpening. (Between RLVR and copying nothing is decided.) The paper, too, finds that
# RL goes on where likelihood overfits its smallest data sets (table 9). What has
# RLVR learned that likelihood has not? A part of the answer is in how much moves:

# %% tags=["nbval-check-output"]
rows = []
for method in ("floor", "mle", "mle_to_the_end", "rlvr",
               "rlvr_repetition_penalty"):
    rows.append([show.method_name(method), *(
        f"{find(few, method, 'greedy', 'all', metric)['mean']:.2f}"
        for metric in ("motion", "still", "repetition"))])
show.table(["greedy", "motion / true motion", "moving frames that stand still",
            "rollouts that end in two same frames"], rows,
           "Seven frames ahead, 24 episodes of each task")
for metric in ("lpips", "repetition"):
    against(few, "rlvr_repetition_penalty", metric)

# %% [markdown]
# The base moves too much, more than half as much again as the truth: it has to guess,
# and it guesses boldly. On average RLVR has taken that back. In its greedy dreams more
# than a third of the moving frames stand still, and nearly half of all rollouts end in
# two identical frames. (Sampled ones rarely do, and gain as well: it is only a part.) To the reward that is right: a movement at the wrong place is farther from
# the truth than none. It is the video twin of silence on a web page (chapter 8):
# where likelihood guesses, a metric may prefer to abstain. Whoever wants to plan with such
# a model may prefer the guess.
#
# So here RLVR has *made* the repetitions that it cures in the paper. RL mends what its
# reward sees. The penalty of the last section has something to see now: with it, greedy,
# about a third fewer rollouts end in two identical frames, and what that costs in LPIPS is
# not decided.
#
# ### The same bases, one frame ahead
#
# The same three bases, asked for the next frame only: at most 300 seconds for each
# method, and five clips of every test episode.

# %% tags=["nbval-check-output"]
next_frame = load_result("video_small_single")
results_table(next_frame, caption="24 episodes of each task, one frame "
              "ahead, 300 s: LPIPS x 100")
for other in ("mle", "mle_continued", "trivial"):
    against(next_frame, other)

# %% [markdown]
# Like with like RLVR takes about a fifth off the LPIPS of greedy frames, and more off sampled
# ones. No other gain of this chapter is as large, in percent. Now read the row of copying. One
# frame ahead little has moved, and the current frame is far nearer to the truth than
# anything that these models paint. A large gain may be that of a poor model.

# %% [markdown]
# ## What it cost
#
# A few hundred steps instead of hundreds of thousands: that compares coins of
# different value. One GRPO step of the recorded runs paints and judges more
# frames than an MLE step reads clips. The table shows steps, samples and time;
# *MLE, continued* is the one that stopped early.

# %% tags=["nbval-check-output"]
rows = [[show.method_name(c["method"]), f"{c['steps']:,.0f}",
         f"{c['samples']:,.0f}", f"{c['cpu_seconds']:.0f}"]
        for c in multi["cost"] if c.get("steps")]
show.table(["method", "steps", "samples", "CPU s"], rows,
           "Seven frames ahead: training after the base "
           "(the base itself in the row MLE)")

# %% [markdown]
# ## What was not tried
#
# Chapter 1 says that one frame is not the whole state, and yet our question holds
# a single current frame. What two would gain, we have not tried; nor, on video, a
# KL term or a reward that judges the last frame only. Each is a small change in
# code: a `Clip` that knows the frame before its first one, a `question` that gives
# it, and a new base; `beta` of `GRPOConfig`; the `places` that `RobotVideoTask`
# judges. Try one, and compare as above: like with like, beside *MLE, continued*,
# with several seeds.

# %% [markdown]
# ## Exercises
#
# :::{exercise} Reward to go
# :label: ex-09-togo
#
# *Goal: credit a token with what it can influence · Difficulty: 2/5 · Minutes: 10*
#
# Write `reward_to_go(frames)`: `frames` holds the rewards of the predicted
# frames of one rollout, first frame first. Return a list of the same length:
# for each frame the *mean* of the rewards from that frame on.
# :::

# %% tags=["exercise"]
def reward_to_go(frames):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch09.reward_to_go(reward_to_go)

# %% [markdown]
# :::{solution} ex-09-togo
# :class: dropdown
#
# ```python
# def reward_to_go(frames):
#     n = len(frames)
#     return [sum(frames[t:]) / (n - t) for t in range(n)]
# ```
# :::

# %% [markdown]
# :::{exercise} Like with like
# :label: ex-09-like
#
# *Goal: refuse an unfair comparison · Difficulty: 2/5 · Minutes: 10*
#
# Write `claims(base, tuned)`: both are dicts from decoding to LPIPS, with the
# keys "sampled" and "best". Return "learning" if the tuned model is lower
# under both decodings, "sharpening" if only its samples are lower, and
# "no gain" otherwise.
# :::

# %% tags=["exercise"]
def claims(base, tuned):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch09.claims(claims)

# %% [markdown]
# :::{solution} ex-09-like
# :class: dropdown
#
# ```python
# def claims(base, tuned):
#     better = {d: tuned[d] < base[d] for d in ("sampled", "best")}
#     if better["sampled"] and better["best"]:
#         return "learning"
#     return "sharpening" if better["sampled"] else "no gain"
# ```
# :::

# %% [markdown]
# ## What to inspect
#
# | signal | healthy | if not |
# |---|---|---|
# | reward of the samples | rises slowly for hundreds of steps | flat: learning rate, group size, spread |
# | entropy | falls, but not to zero | collapse: less rate, a KL term, more prompts |
# | greedy metric on validation | follows after the sampled one | only sharpening so far |
# | motion | stays near one | the policy plays safe by standing still |
#
# ## Pitfalls
#
# - A reward on some frames only, always the same ones: the others decay.
# - Decoded frames outside of [0, 1]: clip them before they are judged.
# - Training tokenizer and policy together: the reward moves under your feet.
# - One clip shown as proof. Show how it was chosen.
#
# ## Further reading
#
# - RLVR-World {cite}`wu2025rlvr`, section 6.1, table 3, figure 3; section 6.3
#   (repetition penalty).
# - GRPO with process supervision {cite}`shao2024deepseekmath`, section 4.1.
