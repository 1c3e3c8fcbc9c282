# %% [markdown]
# # The whole loop in one sitting
#
# {{badge}}
#
# *Runs in {{minutes}} on one CPU core.*
#
# **You will** ask a small world model a question, verify its answer, sample a
# group of answers, turn their rewards into advantages, post-train the model for
# a minute, and compare before and after. Then you will read the recorded
# results, with their controls.
#
# **You need** nothing but a browser or Python. Each step has its own chapter.

# %% tags=["setup"]
{{setup}}

# %% [markdown]
# ## A world and its model
#
# The world is a small text game: rooms, an oven, a kettle, a lamp, each with a
# few values that change by action and by time. The model is a Llama of a
# fraction of a million weights. It was trained by maximum likelihood on worked
# examples, until its accuracy on validation data hardly rose any more. All of
# these examples are transitions in which something *changes*, as nearly all of
# the paper's are. The model ships with the book.

# %% tags=["nbval-check-output"]
from rlvr_lite.checkpoints import load_text_model

model, task = load_text_model("text_natural")
weights = sum(p.numel() for p in model.parameters())
print(f"{weights:,} weights, {task.tokenizer.vocab_size} tokens")

# %% [markdown]
# ## State and action: the question
#
# The model is asked what the world will look like after an action. `wait` and a
# number lets so many ticks of time pass.

# %%
from rlvr_lite import show
from rlvr_lite.experiments_text import STUDIES, data

study = STUDIES["text_natural"]   # the settings of the recorded experiment
test = data(study, "test")[:P.scale(tiny=300, full=400)]
t = next(t for t in test if len(t.ticks) == 3 and len(
         t.next_state.things) == len(t.state.things) and t.changed)
show.show_png(show.draw_states([t.state, t.next_state],
                               ["the state", f"the truth after {t.action}"]),
              "Two drawings of a kitchen as boxes in boxes: the state, and "
              "the true state after the wait with its changes marked.")

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks.text_game import answer_text, question_text

print("question:", question_text(t))
print("truth   :", answer_text(t))

# %% [markdown]
# The question is the state on one line, with its values in a fixed order, and
# the command. The answer names only what is different.

# %% [markdown]
# ## The answer, and a reward that can be verified
#
# The model writes a trace, one line a tick, and then the answer behind an
# arrow. The answer is decoded into a state and compared with the true next
# state. That comparison is the whole reward; nothing about it is learned:
#
# $$ R = \mathbf{1}[\,\text{decoded state} = \text{true state}\,]. \tag{0.1} $$
#
# ($\mathbf{1}[\dots]$ is 1 if the statement in the brackets holds, else 0.)

# %%
from rlvr_lite.model import sample

ids = sample(model, [task.question(t)], max_new=task.max_new,
             temperature=0).answers[0]
print("model :", task.tokenizer.decode(ids))
print("reward:", task.reward(ids, t)["reward"])

# %% tags=["nbval-check-output"]
same = task.tokenizer.encode(" => same") + [task.tokenizer.eos_id]
for name, answer in (("the true answer", task.answer(t)),
                     ("'nothing changes'", same), ("silence", [])):
    print(f"reward of {name:18} {task.reward(answer, t)['reward']}")

# %% [markdown]
# ## A group of answers
#
# Now the model answers the same question eight times, drawn at random from its
# own distribution. Where some answers are right and others wrong, there is
# something to learn: make the right ones more likely. GRPO, group relative
# policy optimization, measures each answer against its own group,
#
# $$ A_i = \frac{R_i - \operatorname{mean}(R)}{\operatorname{std}(R)}. \tag{0.2} $$
#
# ($\operatorname{std}$ divides by the number of answers less one. A tiny constant is
# added to it, so that a group of equal rewards gets 0; see chapter 6.)

# %%
import torch

from rlvr_lite.grpo import advantages

generator = torch.Generator().manual_seed(0)
for t in test:
    group = sample(model, [task.question(t)], group=8, temperature=1.0,
                   max_new=task.max_new, generator=generator).answers
    reward = torch.tensor([[task.reward(a, t)["reward"] for a in group]])
    if 3 <= reward.sum() <= 6:
        break
advantage = advantages(reward)[0]                          # (G,), eq. (0.2)
print("truth:", answer_text(t))
said = [task.tokenizer.decode(a).rpartition("=>")[2].strip() for a in group]
rows = [[text.encode("ascii", "backslashreplace").decode()[:40],
         f"{r:.0f}", f"{x:+.2f}"]
        for text, r, x in zip(said, reward[0], advantage)]
show.table(["answer", "reward", "advantage"], rows,
           f"Eight answers to: {question_text(t)}")

# %% [markdown]
# `same` means that nothing changes. The base has never read that word as an
# answer. But an answer that writes out an object with the values it already has
# says the same thing, and is just as right: states are compared, not letters.
# And an answer may run away into nonsense: at
# temperature 1 the unlikely tokens get their turn, too, down to single bytes
# that are no letter. (Long answers are cut short here; each such byte is shown
# as `\ufffd`.)
#
# A group in which all answers are right, or all are wrong, has advantage zero
# everywhere and teaches nothing. The share of *live* groups is the first thing
# to look at before any reinforcement learning.

# %% [markdown]
# ## Post-training, live
#
# Each step draws thirty-two new questions from ordinary play, samples eight
# answers to each, verifies them, and moves the weights of a thin LoRA adapter
# (low-rank adaptation: two slim matrices beside every frozen one). That is
# reinforcement learning from verifiable rewards, RLVR. No worked example is
# needed any more: only questions, and a verifier that knows the true next
# state.

# %%
import copy
from dataclasses import replace

from rlvr_lite.grpo import train_grpo
from rlvr_lite.lora import add_lora, merge

policy = add_lora(copy.deepcopy(model), rank=16, alpha=32)
config = replace(study.rl, steps=P.scale(tiny=80, full=400))
history = train_grpo(policy, task, data(study, "prompts"), config, log=None)
policy = merge(policy)
last = history[-1]
print(f"{last['step']} steps, {last['samples']:,} verified answers, "
      f"{last['cpu_seconds']:.0f} CPU seconds")

# %%
from rlvr_lite.evaluation import mean, scores

at = [row["step"] for row in history]


def running(key, width=10):
    values = [row[key] for row in history]
    return [mean(values[max(0, i - width + 1):i + 1])
            for i in range(len(values))]


show.show_png(show.curves({"reward (share of right answers)":
                           (at, running("reward")),
                           "live groups": (at, running("live"))},
                          "GRPO steps (mean of the last ten)", "share"),
              "Over the steps of the live run the share of right sampled "
              "answers rises, while the share of live groups falls.")

# %% [markdown]
# ## Before and after, on held-out questions
#
# The test questions come from situations that occur in no training data. Both
# models are asked greedily and by sampling, and doing nothing is asked too.

# %%
from dataclasses import asdict

import numpy as np

from rlvr_lite.metrics import bootstrap, paired_difference


def share(interval, sign=False):
    """A share with its interval, in percent."""
    return show.interval_text(asdict(interval), sign=sign)


found = {(name, label): np.array(scores(m, task, test, temperature)["exact"])
         for label, temperature in (("greedy", 0.0), ("sampled", 1.0))
         for name, m in (("base (MLE)", model), ("after RLVR", policy))}
changed = np.array([t.changed for t in test])
subsets = {"changed": changed, "unchanged": ~changed,
           "all": np.full(len(test), True)}

# %%
rows = [["do nothing", "-", *(share(bootstrap((~changed[s]).astype(float)))
                              for s in subsets.values())]]
rows += [[*key, *(share(bootstrap(x[s])) for s in subsets.values())]
         for key, x in found.items()]
for label in ("greedy", "sampled"):
    a, b = (found[name, label] for name in ("after RLVR", "base (MLE)"))
    rows.append(["difference", label,
                 *(share(paired_difference(a[s], b[s]), sign=True)
                   for s in subsets.values())])
show.table(["model", "decoding", *subsets], rows,
           f"One live run, {len(test)} test questions: exactly right in % "
           "[95 % interval]; differences in points")

# %% [markdown]
# Overall the model has improved within a minute. Now look at the columns beside
# it. The gain comes from the questions where *nothing* changes: the base model,
# raised on changes, kept editing there, and RL has taught it to leave the state
# alone. On the changed questions it has gained nothing. Look at the intervals of
# the differences there: where one lies below zero, the model has paid for its
# new caution. In the paper's table most of the gain lies in the unchanged part,
# too, although there the changed part rises as well. This is the reason why
# this book reports the changed subset first, with doing nothing beside
# everything.

# %% [markdown]
# ## The recorded result, with its controls
#
# The recorded experiments run with several seeds, and ask the question that a
# before-and-after comparison cannot answer: *would something simpler have done
# the same?* The controls get the same processor time after the base:
#
# - **MLE, continued**: go on with likelihood training on the worked examples.
# - **MLE on the gold answers**: a new model, trained on the true next states that
#   the verifier knows, without traces, for the time of base and RL together.
# - **Rejection fine-tuning**: sample, verify, and imitate the right answers.
#
# In one more row RLVR is paid by the paper's *task-specific reward*, which
# gives an answer partial credit for what is right in it (chapter 5).
#
# First the setting that you have just seen:

# %% tags=["nbval-check-output"]
from rlvr_lite.experiments import load_result

natural = load_result("text_natural")
show.result_table(natural, subsets=("changed", "unchanged", "all"))

# %% [markdown]
# Then a setting in which leaving the state alone does not help: few worked
# examples, and long waits whose ticks have to be worked through one by one.

# %% tags=["nbval-check-output"]
serial = load_result("text_serial")
show.result_table(serial, subsets=("changed", "all"))

# %% tags=["nbval-check-output"]
rows = [[name, d["subset"], f"RLVR - {show.method_name(d['b'])}",
         show.interval_text(d, sign=True)]
        for name, result, subsets in (
            ("ordinary play", natural, ("all", "changed")),
            ("long waits", serial, ("changed",)))
        for d in result["differences"]
        if d["a"] == "rlvr" and d["subset"] in subsets
        and d["metric"] == "exact" and d["decoding"] == "greedy"
        and d["b"] != "trivial"]
show.table(["setting", "questions", "difference", "points [95 % interval]"],
           rows, "Paired differences, greedy")

# %% [markdown]
# A difference counts when its interval stays on one side of zero. Read the
# tables together. In ordinary play RLVR beats its base over all questions and
# loses to it on the changed ones, and two simpler methods come out level with
# it: rejection fine-tuning, and plain training on the gold answers, which the
# verifier has to know anyway. On long waits, where an answer has to be worked
# out step by step and worked examples are scarce, RLVR is ahead of more MLE and
# of MLE on the gold answers, and again level with rejection fine-tuning: what
# pays there is to sample and verify, by whichever of the two methods.
# [Chapter 7](07_rlvr_text_game.ipynb) discusses why.

# %% [markdown]
# ## Where to go from here
#
# | step of the loop | chapter |
# |---|---|
# | the worlds, their splits, the do-nothing baseline | [1](01_worlds.ipynb) |
# | from a state to tokens | [2](02_tokenization.ipynb) |
# | likelihood, and where it stops | [3](03_mle.ipynb) |
# | likelihood on robot video | [4](04_mle_robot_video.ipynb) |
# | rewards, and how models cheat them | [5](05_verifiable_rewards.ipynb) |
# | GRPO and LoRA from their equations | [6](06_grpo_and_lora.ipynb) |
# | the experiment with all controls: text game | [7](07_rlvr_text_game.ipynb) |
# | the same on web pages | [8](08_rlvr_web_pages.ipynb) |
# | the same on robot video | [9](09_rlvr_robot_video.ipynb) |
# | what scales, what transfers, what it costs | [10](10_analyses.ipynb) |
# | a web agent that plans | [11](11_planning_web_agent.ipynb) |
# | policies judged, and plans made, inside a video model | [12](12_policies_and_planning.ipynb) |
#
# ## What to inspect
#
# | signal | healthy | if not |
# |---|---|---|
# | live groups at the start | three in ten or more | the base is too sure or too weak; RL will stand still |
# | reward against validated accuracy | both rise | reward alone: look for a hole in the verifier |
# | greedy beside sampled | both reported | sampled alone credits RL with what a lower temperature gives |
#
# ## Pitfalls
#
# - Stopping likelihood training early and calling the rest a gain of RL.
# - Counting an RL step like a likelihood step. One step here samples and judges
#   two hundred and fifty-six answers.
# - Forgetting what doing nothing scores.
#
# ## Further reading
#
# - RLVR-World {cite}`wu2025rlvr`, sections 4.2 and 4.3 (the method), 5.1 (text
#   games).
