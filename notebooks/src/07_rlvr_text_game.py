# %% [markdown]
# # RLVR on the text game
#
# {{badge}}
#
# *Runs in {{minutes}} on one CPU core.*
#
# **You will** post-train a world model on verified next states, find out
# where its gain comes from, read a table with honest controls, and judge by
# intervals where reinforcement learning adds to likelihood and where not.
#
# **You need** [chapter 3](03_mle.ipynb) (the base model),
# [chapter 5](05_verifiable_rewards.ipynb) (the rewards) and
# [chapter 6](06_grpo_and_lora.ipynb) (GRPO and LoRA).

# %% tags=["setup"]
{{setup}}

# %% [markdown]
# ## The paper's setting: a biased start
#
# RLVR-World starts from a model that was fine-tuned on 4,237 verified traces,
# and almost all of them are transitions in which *something changes*
# {cite}`wu2025rlvr`. Such a model believes that something always
# changes. In play, most commands change nothing at all.
#
# Our miniature has the same bias, on purpose. The base model of this section
# read traces of changed transitions, and of no others; its test questions come
# from ordinary play.

# %%
from rlvr_lite import show
from rlvr_lite.checkpoints import describe, load_text_model
from rlvr_lite.experiments import find, find_difference, load_result
from rlvr_lite.experiments_text import STUDIES, data

model, task = load_text_model("text_natural")
made = describe("text_natural")
study = STUDIES["text_natural"]  # the settings of the recorded experiment
test = data(study, "test")[:P.scale(tiny=300, full=800)]
print(f"base: {made['parameters']:,} parameters, {made['steps']} MLE steps")
print(f"test: {len(test)} questions, "
      f"{sum(not t.changed for t in test)} of them change nothing")

# %% [markdown]
# We measure exact match, greedy, on three sets: all questions, those that
# change something, those that do not. Beside the model stands the predictor
# that needs no model: *do nothing*.

# %% tags=["nbval-check-output"]
from rlvr_lite.evaluation import answers, mean


def greedy(model):
    """One answer to every test question, and whether it is right."""
    written = [found[0] for found in answers(model, task, test)]
    return written, [task.metrics(a, t)["exact"]
                     for a, t in zip(written, test)]


def subsets(values):
    """Mean over all, changed and unchanged test questions."""
    kept = {"all": [True] * len(test), "changed": [t.changed for t in test],
            "unchanged": [not t.changed for t in test]}
    return {name: mean(v for v, k in zip(values, keep) if k)
            for name, keep in kept.items()}


first, marks = greedy(model)
before = subsets(marks)
nothing = subsets([float(not t.changed) for t in test])
for name in before:
    print(f"{name:10} base {before[name]:5.1%}   "
          f"do nothing {nothing[name]:6.1%}")

# %% [markdown]
# Look at the last line. Where nothing changes, one word is a right answer, *same*,
# and a model that knows most rules of the game fails often: none of its training
# data says that word as an answer.

# %% [markdown]
# ## What RL has to work with
#
# GRPO learns from the difference between answers to the same question. So
# before any training, ask: in how many groups of eight does one answer
# succeed and another fail? Those groups are *live*; the others carry no
# gradient. Pass@8, the chance that at least one of eight is right, says what
# sharpening can find soon: rarer answers turn up only after many groups.

# %% tags=["nbval-check-output"]
from rlvr_lite.evaluation import exploration

asked = data(study, "validation")[:60]
found = exploration(model, task, asked, group=8)
print(f"pass@1 {found['pass_1']:.0%}, pass@8 {found['pass_8']:.0%}, "
      f"live groups {found['live']:.0%}")

# %% [markdown]
# ## Post-training, live
#
# The questions are natural play from the training split, and only the true
# next state is known, no trace. Each step asks 32 questions, samples 8 answers
# each, verifies them, and moves the thin LoRA matrices four times, with a
# quarter of the answers each.

# %%
from rlvr_lite.grpo import GRPOConfig, train_grpo
from rlvr_lite.lora import add_lora, merge

config = GRPOConfig(steps=P.scale(tiny=60, full=1000), prompts=32, group=8,
                    minibatches=4, lr=5e-4, schedule="linear")
learner = add_lora(model, rank=16, alpha=32)
history = train_grpo(learner, task, data(study, "prompts"), config, log=None)
for row in history[::10]:
    print(f"step {row['step']:4}  reward {row['reward']:.2f}  "
          f"live {row['live']:.2f}  length {row['length']:.1f}  "
          f"entropy {row['entropy']:.3f}")

# %%
from rlvr_lite.show import running_mean

steps = [row["step"] for row in history]
show.show_png(
    show.curves({"mean reward": (steps, running_mean(history, "reward")),
                 "live groups": (steps, running_mean(history, "live"))},
                "step", "share", zero=True),
    "The mean reward of the rollouts climbs over the GRPO steps while the "
    "share of live groups falls: as answers agree, the signal dries up.")

# %%
learner = merge(learner)
then, marks = greedy(learner)
after = subsets(marks)
for name in after:
    print(f"{name:10} base {before[name]:5.1%} -> RLVR {after[name]:5.1%}"
          f"   do nothing {nothing[name]:6.1%}")

# %% [markdown]
# How does a model say that nothing changes, when no answer that it read did? RL
# cannot teach what is never sampled. So look at some of the repaired answers.

# %%
from rlvr_lite.tasks.text_game import question_text

repaired = [i for i, t in enumerate(test) if not t.changed
            and task.metrics(then[i], t)["exact"]
            > task.metrics(first[i], t)["exact"]]
for i in repaired[:3]:
    print(question_text(test[i]))
    for name, written in (("base", first), ("RLVR", then)):
        print(f"    {name}:", task.tokenizer.decode(written[i]).strip())

# %% [markdown]
# It writes an object down with the values that it has anyway. Nobody showed it
# that; some samples did it by accident, the verifier paid for them, and the
# accident became a habit. A habit that also spreads: here is how often an answer
# leaves the state as it is.

# %%
from rlvr_lite.tasks.state_difference import same_state
from rlvr_lite.tasks.text_game import pair


def idle(written):
    """Per question: does the answer leave the state as it is?"""
    told = [task.decode(ids, t) for ids, t in zip(written, test)]
    return [float(state is not None and same_state(pair(t.state), state))
            for state, t in zip(told, test)]


for name, written in (("base", first), ("RLVR", then)):
    share = subsets(idle(written))
    print(f"{name}: leaves {share['unchanged']:.0%} of the unchanged states "
          f"alone, and {share['changed']:.1%} of those that change")

# %% [markdown]
# Where did the gain come from? Overall accuracy is a weighted mean of the two
# subsets, with the share $u$ of unchanged questions as weight,
#
# $$ \Delta_\text{all} = u \, \Delta_\text{unchanged}
#    + (1 - u) \, \Delta_\text{changed}, \tag{7.1} $$
#
# so it can be taken apart without any doubt.

# %%
share = sum(not t.changed for t in test) / len(test)
for name, weight in (("unchanged", share), ("changed", 1 - share)):
    part = weight * (after[name] - before[name])  # eq. (7.1)
    print(f"{name:10} contributes {100 * part:+.1f} points")

# %% [markdown]
# ## The paper's table, taken apart
#
# The same arithmetic works on the published numbers. The headline of the
# paper is the gain in overall accuracy:

# %% tags=["nbval-check-output"]
from rlvr_lite import paper

start = paper.TEXT_GAME["SFT (MLE), 1.5B"]
end = paper.TEXT_GAME["RLVR, task-specific reward, 1.5B"]
u = paper.TEST_UNCHANGED / paper.TEST_ROWS
print(f"overall      {start[2]:.2f} -> {end[2]:.2f}")
print(f"unchanged    {u * (end[0] - start[0]):+.1f} of the points")
print(f"changed      {(1 - u) * (end[1] - start[1]):+.1f} of the points")
print(f"do nothing   {paper.do_nothing():.2f}")

# %% [markdown]
# Nearly all of it is learning *not to edit*. That is worth having: it is a
# real bias, and the metric sees it while the likelihood of the biased traces
# does not. But the predictor that does nothing beats both of the fine-tuned
# starting points, and the paper's table does not show it. So in this book the
# headline of a text game is the *changed* subset, and "do nothing" stands in
# every table.

# %% [markdown]
# ## Recorded, with every control
#
# A live run on one seed is an anecdote. The table below was recorded with
# several training seeds and every control at the same CPU time, that of the base
# included. Read it column by column.

# %% tags=["nbval-check-output"]
natural = load_result("text_natural")
show.result_table(natural)

# %%
show.show_png(
    show.result_bars(natural, ["trivial", "mle", "mle_continued",
                               "mle_gold_answers", "rejection_finetuning",
                               "rlvr", "rlvr_task_specific"],
                     ["changed", "unchanged"], xlabel="exact match, greedy"),
    "Exact match of seven methods on changed and unchanged test questions of "
    "the natural mix, with 95 percent intervals.")

# %% [markdown]
# And the differences, paired question by question and seed by seed. The last
# column reads the interval, not the mean: one that holds 0 decides nothing.

# %% tags=["nbval-check-output"]
def difference_table(result, subsets=("all", "changed"), caption=""):
    """RLVR minus each control, in points, with 95 % intervals."""
    rows = [[show.method_name(d["b"]), d["decoding"], d["subset"],
             show.interval_text(d, sign=True),
             show.reading(d, "RLVR ahead", "RLVR behind")]
            for d in result["differences"]
            if d["a"] == "rlvr" and d["metric"] == "exact"
            and d["subset"] in subsets]
    show.table(["RLVR minus", "decoding", "subset", "points", "reading"],
               rows, caption)


difference_table(natural, caption="Text game, natural mix: paired "
                 "differences in points of exact match")

# %% [markdown]
# Two rows decide how to read this section. *MLE, continued* says whether RLVR
# merely trained longer. *MLE on the gold answers* says whether the gain needs
# reinforcement learning at all: it starts from scratch, with the seconds of base
# and RL together, and sees the very next states that RLVR may verify (and those
# of the traces) as plain supervised pairs without a trace. In ordinary play one
# tick can be predicted in one leap. And look at the subset *changed*: a policy
# that learns to leave things alone may pay for it there.

# %% [markdown]
# ## The gain is as large as the bias
#
# How much RLVR gains here was decided before it began, by what the base had read.
# So the study was recorded four times. In three of them a different share of the
# 3,000 traces is of *unchanged* transitions: none, as above; a few; as many as come up in
# play. In one, the first row below, the base learned answers only, without a chain of
# thought. The questions of RL, its seconds and the test are the same.

# %% tags=["nbval-check-output"]
def unchanged_traces(name):
    """How many of a study's traces are of unchanged transitions."""
    return sum(not t.changed for t in data(STUDIES[name], "traces"))


rows = []
for name, what in (("text_direct", "answers only"),
                   ("text_natural", "traces"),
                   ("text_few_unchanged", "traces"),
                   ("text_all_traces", "traces")):
    record = load_result(name)
    gains = [find_difference(record, "rlvr", other, "greedy", "all")
             for other in ("mle", "mle_continued")]
    rows.append([what, unchanged_traces(name),
                 *(f"{100 * find(record, m, 'greedy', subset)['mean']:.1f}"
                   for subset in ("unchanged", "all")
                   for m in ("mle", "rlvr")),
                 *(show.interval_text(gain, sign=True) for gain in gains)])
show.table(["base read", "of 3,000 unchanged", "unchanged: MLE", "RLVR",
            "all: MLE", "RLVR", "RLVR minus MLE", "minus MLE, continued"],
           rows, "Natural play, exact match in %, greedy; the last two "
           "columns in points")

# %% [markdown]
# Read it from top to bottom. Without a chain of thought the base edits most of the
# states that stay as they are, and RLVR gains as many points as the paper's
# headline promises for its task-specific reward (with the binary one, which is ours
# here, the paper gains fewer). With traces the base composes part of the right answers that it
# was never shown, and less is left to gain. Two dozen unchanged traces among
# 3,000 do most of the rest, for nothing but the trouble of writing them. And where the
# traces are those of play, RLVR minus base is not decided.
#
# So the size of such a gain says as much about the demonstrations as about the
# method. And it does not say that reinforcement was needed: training on the gold
# answers is level with RLVR in the second row, and ahead of it in the first. In the third
# row a part of the gain is what more of the same training gives. (The last base is weaker overall than the one before it: with
# the same number of traces, more than half of its own say *same*, and fewer teach
# what changes.)
# %% [markdown]
# ## The paper's own games
#
# The same experiment once more, on the transitions that the paper's benchmark
# publishes: 31 games of ByteSized32 {cite}`wang2024simulators`, a test split
# of 2,954 transitions. A small Llama, trained from scratch, reads a compact line
# of the properties that ever change and answers with the difference. Its base
# saw 3,000 changed transitions and hardly any others (one in a hundred of the
# unchanged); RL asks all training questions, those of the base among them, in the
# paper's own mixes. Accuracy below is exact match under the strict comparison of
# chapter 5; the paper's own columns are under its official one.

# %% tags=["nbval-check-output"]
published = load_result("text_bytesized32")
show.result_table(published, subsets=("all", "changed", "unchanged",
                                      "new_games"))

# %% tags=["nbval-check-output"]
difference_table(published, ("all", "changed"), "The paper's games: paired "
                 "differences in points of exact match")
for decoding in ("greedy", "sampled"):
    for subset in ("all", "changed"):
        d = find_difference(published, "rlvr_natural", "mle_gold_answers",
                            decoding, subset)
        print(f"natural mix minus MLE on the gold answers, {decoding:7} "
              f"{subset:7}", show.interval_text(d, sign=True))

# %% tags=["nbval-check-output"]
rows = []
for method, theirs in (("mle", "SFT (MLE), 1.5B"),
                       ("rlvr", "RLVR, binary reward, 1.5B"),
                       ("rlvr_task_specific",
                        "RLVR, task-specific reward, 1.5B")):
    row = [show.method_name(method)]
    for subset, quoted in zip(("unchanged", "changed", "all"),
                              paper.TEXT_GAME[theirs]):
        ours = 100 * find(published, method, "greedy", subset)["mean"]
        row += [f"{quoted:.1f}", f"{ours:.1f}"]
    rows.append(row)
show.table(["method", "unchanged: paper", "ours", "changed: paper", "ours",
            "all: paper", "ours"], rows,
           f"Accuracy in %; doing nothing gets {paper.do_nothing():.1f}")

# %% [markdown]
# On all questions the binary reward gains here what it gains in the paper, with
# a model thousands of times smaller, in two and a half minutes on a CPU core. The
# price of smallness is paid elsewhere: *all* of our gain is silence learned, and
# on changed states RLVR is behind its base by its interval, where the paper's
# model gets better. The task-specific reward asks only 5 unchanged questions for
# 100 changed ones, so here it learns less silence and loses less knowledge; in the
# paper it learns more of both.
#
# And two rows that the paper does not print. Doing nothing is ahead of the base
# by far, and RLVR passes it by a few points only. Supervised training on the true
# next states of *all* training questions is ahead of RLVR on all questions. But it
# reads the natural mix, and this RLVR asks 40 unchanged questions for 100 changed
# ones. Asked the same natural mix, RLVR is not decided against it, on all
# questions or on changed ones, greedy or sampled. Where the true next state of
# every question is known, and one leap is enough to write it, reinforcement adds
# nothing that could be measured here. In the two games without any training question (*new games*) only silence is worth
# anything, and no method learns enough of it.

# %% [markdown]
# ## Where a chain of thought has to work
#
# The second study makes the leap hard. The actions are `wait n` with up to six
# ticks, and every tick is non-linear: a thermostat, a cut-out, a lid that pops.
# The traces write every tick. They are scarce. Of the base's training the weights
# with the best validation accuracy are kept, and a strong weight decay makes them
# better on new questions (chapter 3). RL gets further questions
# with nothing but their true next states. Those that the base always answers
# right are dropped first; what this screening costs counts as training.

# %% tags=["nbval-check-output"]
serial = load_result("text_serial")
show.result_table(serial)

# %% tags=["nbval-check-output"]
difference_table(serial, ("changed",), "Text game, long waits: paired "
                 "differences on changed questions, in points")

# %%
show.show_png(
    show.result_bars(serial, ["mle", "mle_continued", "mle_gold_answers",
                              "rlvr"],
                     ["changed", "layouts/changed", "combinations/changed"],
                     xlabel="exact match on changed questions, greedy"),
    "Exact match on changed questions of the text game with long waits, for "
    "each method on three test splits, with 95 percent intervals.")

# %% [markdown]
# The argument for RLVR is this. The traces are few, and after enough epochs the
# loss on them is close to zero: further MLE has little left to say. The
# verifier does not need traces. It asks new questions, lets the model think in
# its own words, and rewards the chains that arrive. *MLE on the gold answers*
# sees the very next states that RLVR may verify, as supervised pairs without a
# trace, and has to learn six non-linear ticks in one leap from a few thousand
# of them. How far the argument carries is what the last column of the table
# says.

# %% [markdown]
# The recorded curves ask the same question over time: accuracy on validation
# questions against CPU seconds of training after the base. A curve that is
# still rising at its end has not had its last word.

# %%
lines = {}
for method in ("mle_continued", "rlvr"):
    rows = [r for r in serial["curves"][method] if "validation_exact" in r]
    lines[show.method_name(method)] = (
        [r["cpu_seconds"] for r in rows],
        [r["validation_exact"] for r in rows])
show.show_png(
    show.curves(lines, "CPU seconds after the base",
                "validation accuracy, greedy"),
    "Validation accuracy over training time for continued MLE and for RLVR, "
    "one seed, both starting from the same base.")

# %% [markdown]
# ## If there were a teacher
#
# RLVR needs a verifier and no traces. What if somebody wrote a trace for every
# further question, and made mistakes? Our teacher slips: in one tick out of
# eight a value comes out one too high or too low, and everything after it
# follows from the error. The verifier can also serve as a *filter*: keep the
# traces that end in the true state. The paper builds its start model that way,
# from the verified answers of a large model. Same base, same CPU time, 120
# seconds instead of 450:

# %% tags=["nbval-check-output"]
teacher = load_result("text_teacher")
show.result_table(teacher, subsets=("changed", "layouts", "combinations"))
noisy, kept = (mean(note["teacher_traces"] for note in teacher["notes"][m])
               for m in ("mle_noisy", "mle_filtered"))
print(f"traces of the teacher: {noisy:.0f}, verified {kept:.0f}")

# %% tags=["nbval-check-output"]
difference_table(teacher, ("changed",), "Text game, long waits, 120 s: paired "
                 "differences on changed questions, in points")
for decoding in ("greedy", "sampled"):
    d = find_difference(teacher, "mle_filtered", "mle_noisy", decoding,
                        "changed")
    print(f"verified minus noisy traces, {decoding:7}",
          show.interval_text(d, sign=True))

# %% [markdown]
# Greedy, a teacher, even this one, is worth more than reinforcement. Its traces
# show *how* on questions where RL is only told *whether*, and greedy decoding
# outvotes its errors: they point in all directions, and the truth is the most
# frequent answer. In samples the errors come out. There RLVR is ahead of the noisy
# traces, by an interval that just clears 0, and there the filter pays: a model of
# noisy traces imitates the noise, one of verified traces does not.
# So the verifier has two uses, and filtering comes first. RLVR is for the time
# when the teacher is gone, or was never better than the student.

# %% [markdown]
# ## What changed, read by eye
#
# The base and the RLVR model of one seed ship with the book. First we sort the
# questions by who gets them right. An improvement that breaks as much as it
# repairs would look different from one that repairs.

# %% tags=["nbval-check-output"]
models = {"base": load_text_model("text_serial")[0]}
models["RLVR"], task = load_text_model("text_serial_rlvr")
asked = data(STUDIES["text_serial"], "test")[:P.scale(tiny=200, full=800)]
written = {name: [found[0] for found in answers(m, task, asked)]
           for name, m in models.items()}
right = {name: [task.metrics(a, t)["exact"] == 1
                for a, t in zip(found, asked)]
         for name, found in written.items()}
both = list(zip(right["base"], right["RLVR"]))
for label, pair in (("both right", (True, True)), ("only RLVR", (False, True)),
                    ("only the base", (True, False)),
                    ("both wrong", (False, False))):
    print(f"{label:14} {both.count(pair):4}")

# %% [markdown]
# Now one of the repaired questions, tick by tick, with the answer in the last
# row. Nobody has shown the model this trace. RL has only ever told it whether
# the last state of a trace was right.

# %%
def response(ids):
    """The ticks of a response, then its answer."""
    text = task.tokenizer.decode(ids).replace("=>", "answer:")
    return [line.strip() for line in text.split(";")]


def slips(i):
    """How many lines of the base's response are not the gold ones."""
    gold = response(task.answer(asked[i])[:-1])
    return sum(x != y for x, y in zip(response(written["base"][i]), gold))


# %%
repaired = [i for i, pair in enumerate(both) if pair == (False, True)]
i = max(repaired, key=slips)
print(question_text(asked[i]))
rows = []
for truth, *said in zip(response(task.answer(asked[i])[:-1]),
                        *(response(found[i]) for found in written.values())):
    rows.append([truth, *(line if line == truth else f"WRONG {line}"
                          for line in said)])
show.table(["truth", *models], rows, "A response before and after RL")

# %% [markdown]
# And by the length of the wait. If RL had only learned to shorten its answers or
# to guess, long waits would not gain.

# %% tags=["nbval-check-output"]
rows = []
for n in range(1, 7):
    at_n = [i for i, t in enumerate(asked) if len(t.ticks) == n]
    rows.append([n, len(at_n),
                 *(f"{mean(right[name][i] for i in at_n):.0%}"
                   for name in models)])
show.table(["ticks", "questions", *models], rows,
           "Exact match by number of ticks, greedy, one seed")

# %% [markdown]
# ## What does not generalise
#
# The split *families* is a game that combines two mechanisms which never met
# in training. No method learns it, because nothing in its data asks for it:

# %% tags=["nbval-check-output"]
for method in dict.fromkeys(row["method"] for row in serial["rows"]):
    row = find(serial, method, "greedy", "families")
    print(f"{show.method_name(method):26} {show.interval_text(row)}")

# %% [markdown]
# ## What it cost
#
# RL steps and MLE steps are not the same coin. One GRPO step samples 256
# answers; one MLE step reads 32. The honest unit is time on the same core.

# %% tags=["nbval-check-output"]
rows = [[show.method_name(c["method"]), f"{c['steps']:,.0f}",
         f"{c['samples']:,.0f}", f"{c['cpu_seconds']:.0f}"]
        for c in serial["cost"] if c.get("steps")]
show.table(["method", "steps", "samples", "CPU s"], rows,
           "Training cost after the base; in the row MLE the base itself, in "
           "MLE on the gold answers both together (it starts from scratch)")

# %% [markdown]
# ## Exercises
#
# :::{exercise} Taking a gain apart
# :label: ex-07-decompose
#
# *Goal: say where a gain comes from · Difficulty: 1/5 · Minutes: 5*
#
# Write `decompose(before, after, share)`: the dicts hold accuracies under
# `"unchanged"` and `"changed"`, `share` is the share of unchanged questions.
# Return a dict with the contribution of each subset to the overall gain,
# equation (7.1).
# :::

# %% tags=["exercise"]
def decompose(before, after, share):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch07.decompose(decompose)

# %% [markdown]
# :::{solution} ex-07-decompose
# :class: dropdown
#
# ```python
# def decompose(before, after, share):
#     unchanged = share * (after["unchanged"] - before["unchanged"])
#     changed = (1 - share) * (after["changed"] - before["changed"])
#     return {"unchanged": unchanged, "changed": changed}
# ```
# :::

# %% [markdown]
# :::{exercise} Live groups
# :label: ex-07-live-share
#
# *Goal: know how much signal a batch carries · Difficulty: 1/5 · Minutes: 5*
#
# Write `live_share(groups)`: `groups` is a list of lists of rewards. Return
# the share of groups that carry a gradient.
# :::

# %% tags=["exercise"]
def live_share(groups):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch07.live_share(live_share)

# %% [markdown]
# :::{solution} ex-07-live-share
# :class: dropdown
#
# ```python
# def live_share(groups):
#     live = [max(group) > min(group) for group in groups]
#     return sum(live) / len(live)
# ```
# :::

# %% [markdown]
# :::{exercise} A fair budget
# :label: ex-07-equal-steps
#
# *Goal: give a control the same compute · Difficulty: 2/5 · Minutes: 5*
#
# RL ran for `rl_seconds`. A probe of MLE took `probe_seconds` for
# `probe_steps` steps. Write `equal_steps(rl_seconds, probe_steps,
# probe_seconds)`: how many whole MLE steps fit into the time of RL?
# :::

# %% tags=["exercise"]
def equal_steps(rl_seconds, probe_steps, probe_seconds):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch07.equal_steps(equal_steps)

# %% [markdown]
# :::{solution} ex-07-equal-steps
# :class: dropdown
#
# ```python
# def equal_steps(rl_seconds, probe_steps, probe_seconds):
#     return int(rl_seconds / (probe_seconds / probe_steps))
# ```
# :::

# %% [markdown]
# :::{exercise} A fair verdict
# :label: ex-07-verdict
#
# *Goal: let intervals decide · Difficulty: 2/5 · Minutes: 10*
#
# `differences` maps the name of a control to `(mean, low, high)` of RLVR minus
# that control. Write `verdict(differences)`. Return
# `"better than every control"` if every interval lies above 0;
# `"worse than NAME, NAME"` with the controls whose interval lies below 0, if
# there are any; otherwise `"not decided"`.
# :::

# %% tags=["exercise"]
def verdict(differences):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch07.verdict(verdict)

# %% [markdown]
# :::{solution} ex-07-verdict
# :class: dropdown
#
# ```python
# def verdict(differences):
#     if all(low > 0 for mean, low, high in differences.values()):
#         return "better than every control"
#     lost = [name for name, d in differences.items() if d[2] < 0]
#     if lost:
#         return "worse than " + ", ".join(lost)
#     return "not decided"
# ```
# :::

# %% [markdown]
# ## What to inspect
#
# | signal | healthy | if not |
# |---|---|---|
# | live groups | 30 % or more at the start, falling slowly | near 0: the base is too sure or too weak; raise the temperature, take harder or easier questions |
# | reward | rises, then flattens | it falls: halve the learning rate |
# | share of *same* answers | near the true share | it keeps rising: the policy hides in "nothing changes" |
# | length | steady | it shrinks: the trace is being dropped; check the reward of short answers |
# | entropy | falls slowly | near 0 within a few steps: collapse; lower the learning rate, add KL |
#
# ## Pitfalls
#
# - Quoting the base sampled and RLVR greedy. Compare like with like; greedy
#   decoding of the base is free.
# - Judging RLVR from a base that has not converged. More likelihood is then
#   the better use of the time.
# - Reporting overall accuracy alone. Print "do nothing" and the changed
#   subset.
# - Choosing the checkpoint on the test set, as the paper's code does.
#
# ## Further reading
#
# RLVR-World {cite}`wu2025rlvr`, section 5.1, table 1, and appendix A.1
# for data, rewards and settings.
