# %% [markdown]
# # Maximum likelihood
#
# {{badge}}
#
# *Runs in {{minutes}} on one CPU core.*
#
# **You will** compute the likelihood of one answer by hand, train a small world
# model on one family of games, measure it greedy and sampled, and find the
# places where a better likelihood is not a better prediction. Last, you open
# the base model of web pages and see where its loss comes from.
#
# **You need** [chapter 2](02_tokenization.ipynb): questions, answers, traces.

# %% tags=["setup"]
{{setup}}

# %% [markdown]
# ## The objective
#
# The world model reads the question $q$ and writes the answer $o$, token by
# token. Maximum likelihood raises the probability that it gives to the answer
# that the world gave (equation 2 of the paper):
#
# $$ J(\theta) = \log p_\theta(o \mid q)
#    = \sum_{t=1}^{|o|} \log p_\theta(o_t \mid q, o_{<t}). \tag{3.1} $$
#
# Two things are easy to overlook. The question carries no loss: we do not want
# a model of which commands people type. And $o_{<t}$ are the *true* earlier
# tokens, also in places where the model would have written something else.
# Training with the true past is called **teacher forcing**.

# %%
from rlvr_lite.model import build
from rlvr_lite.tasks.text_game import TextGameTask, train_tokenizer
from rlvr_lite.worlds.text_game import transitions

family = ("baking",)
train = transitions("train", P.scale(800, 8000), 0, families=family)
validation = transitions("validation", 150, 0, families=family)
test = transitions("test", P.scale(400, 2000), 0, families=family)
tokenizer = train_tokenizer(train, vocab_size=400)
task = TextGameTask(tokenizer)
model = build(tokenizer.vocab_size, width=64, layers=3, seed=0)

# %% [markdown]
# ## One example by hand
#
# The logits at position $t$ speak about the token at position $t + 1$. So the
# first answer token is predicted where the last question token stands.

# %% tags=["nbval-check-output"]
import math

import torch

question, answer = task.question(train[1]), task.answer(train[1])
ids = torch.tensor([question + answer])                    # (1, T)
with torch.inference_mode():
    logp = model(ids).logits[0, :-1].log_softmax(-1)       # (T-1, V)
chosen = logp.gather(1, ids[0, 1:, None])[:, 0]            # (T-1,)
of_answer = chosen[len(question) - 1:]                     # eq. (3.1)
print(f"{len(question)} question tokens, {len(answer)} answer tokens")
print(f"log p(answer) = {of_answer.sum():.2f}, "
      f"a token {of_answer.mean():.3f}")
print(f"guessing among {tokenizer.vocab_size} tokens: "
      f"{-math.log(tokenizer.vocab_size):.3f}")

# %% [markdown]
# The untrained model is somewhat worse than a guess among all tokens, because
# its random logits are not even. The package computes the same number for a
# whole batch, with all padding masked. One number, two ways:

# %% tags=["nbval-check-output"]
from rlvr_lite.mle import mle_loss

with torch.inference_mode():
    loss = mle_loss(model, [(question, answer)]).item()
print("by hand and by the package agree:",
      abs(loss + of_answer.mean().item()) < 1e-4)

# %% [markdown]
# ## Judging a prediction
#
# The loss cannot tell us whether the predicted state is right, because it never
# looks at a prediction. For that the model has to *write* an answer, the answer
# has to be decoded into a state, and the state has to be compared with the
# truth. We do this greedily (always the most likely token) and sampled (drawn
# from the model's own distribution, temperature 1).

# %%
from rlvr_lite.model import sample


def exact(model, task, items, temperature=0.0):
    """1 where the decoded next state is right, for every item."""
    rollouts = sample(model, [task.question(t) for t in items],
                      max_new=task.max_new, temperature=temperature,
                      generator=torch.Generator().manual_seed(0))
    return [task.metrics(answer, t)["exact"]
            for answer, t in zip(rollouts.answers, items)]


def share(values):
    return sum(values) / len(values)


# %% tags=["nbval-check-output"]
trivial = share([not t.changed for t in test])
print(f"untrained {share(exact(model, task, test[:50])):.1%}, "
      f"do nothing {trivial:.1%}")

# %% [markdown]
# ## Training, live
#
# We validate two numbers on held-out questions: the negative log-likelihood of
# the true answers, in nats a token, and the exact match of the greedy
# predictions. The weights with the best validated exact match are kept.

# %%
from rlvr_lite.mle import MLEConfig, train_mle

steps = P.scale(tiny=600, full=4000)


def fit(model, task):
    """Train on the traces (or plain answers) of `train`."""
    pairs = [(task.question(t), task.answer(t)) for t in train]
    held = [(task.question(t), task.answer(t)) for t in validation]

    def validate(model):
        with torch.inference_mode():
            nll = mle_loss(model, held).item()
        return {"nll": nll, "exact": share(exact(model, task, validation))}

    config = MLEConfig(steps=steps, batch=16, validate_every=steps // 12)
    return train_mle(model, pairs, config, validate, best="exact", log=None)


history = fit(model, task)
print(f"{history[-1]['cpu_seconds']:.0f} CPU seconds of training")

# %%
from rlvr_lite import show

at = [row["step"] for row in history[1:]]
losses = {"training": (at, [row["loss"] for row in history[1:]]),
          "validation": (at, [row["nll"] for row in history[1:]])}
show.show_png(show.curves(losses, "updates", "nats per token", zero=True),
              "Training and validation loss fall together at first; later the "
              "training loss goes on towards zero while the validation loss "
              "flattens.")

# %%
right = {"greedy exact match": (at, [row["exact"] for row in history[1:]])}
show.show_png(show.curves(right, "updates", "share right, validation",
                          flat={"do nothing": share(
                              [not t.changed for t in validation])},
                          zero=True),
              "Greedy exact match on validation data starts where doing "
              "nothing is, rises steeply, and flattens at the end.")

# %% [markdown]
# Look at the two figures together. (A training point is the mean over the
# updates since the last one, so it lags a little behind.) Most of the fall of the loss comes first,
# when the model learns what an answer looks like: names, brackets, the
# countdown. By then hardly more is right than doing nothing would get. Exact
# match moves later, when the rules are learned: it still gains ten points and
# more where the validation loss has nearly stopped falling.

# %%
rows = []
for label, temperature in (("greedy", 0.0), ("sampled, T = 1", 1.0)):
    found = exact(model, task, test, temperature)
    changed = [x for x, t in zip(found, test) if t.changed]
    rows.append([f"MLE, {label}", f"{share(found):.1%}",
                 f"{share(changed):.1%}"])
rows.append(["do nothing", f"{trivial:.1%}", "0.0%"])
show.table(["method", "all", "changed"], rows,
           f"Exact next state on {len(test)} test transitions, one seed")

# %% [markdown]
# The same model gives two numbers, depending on how it is asked. Sampling adds
# the chance of a slip at every token. An RLVR model is sharper, so its two
# numbers lie closer together. Comparing a *sampled* MLE model with a sharpened
# RLVR model would credit the method with what a lower temperature gives for
# free. From here on every comparison is greedy against greedy, and sampled
# against sampled.

# %% [markdown]
# ## What the trace buys
#
# The second model gets the same questions and the same number of updates, but
# its answers carry no trace: it has to leap to the last state.

# %%
leap = TextGameTask(tokenizer, trace=False)
other = build(tokenizer.vocab_size, width=64, layers=3, seed=0)
fit(other, leap)
rows = []
for name, m, k in (("trace, then answer", model, task),
                   ("answer only", other, leap)):
    size = share([len(k.answer(t)) for t in test])
    rows.append([name, f"{size:.0f}", f"{share(exact(m, k, test)):.1%}",
                 f"{share(exact(m, k, test, 1.0)):.1%}"])
show.table(["answers", "tokens", "greedy", "sampled"], rows,
           "What working through the ticks is worth (one seed)")

# %% [markdown]
# The transformer spends a fixed amount of computation on each token. Six ticks
# of a thermostat need six small steps, one after the other, and the trace gives
# them room. How far does this lead carry? With more examples a model can learn
# whole tables by heart. Chapter 7 gives the trace-free model more of them (*MLE
# on the gold answers*); see there how far it comes.

# %% [markdown]
# ## Errors compound
#
# The price of the trace: a wrong tick spoils all that follow. We follow the
# generated traces tick by tick and count how many are still right.

# %%
from rlvr_lite.tasks.text_game import trace_text

waits = [t for t in test if t.action == "wait 6"]
rollouts = sample(model, [task.question(t) for t in waits],
                  max_new=task.max_new, temperature=1.0,
                  generator=torch.Generator().manual_seed(1))
alive = [1.0]
for tick in range(1, 7):
    same = [tokenizer.decode(answer).split(";")[:tick]
            == trace_text(t).split(";")[:tick]
            for answer, t in zip(rollouts.answers, waits)]
    alive.append(share(same))
alone = [alive[1] ** tick for tick in range(7)]
show.show_png(show.curves({"sampled traces": (range(7), alive),
                           "first tick, to the power of n":
                           (range(7), alone)},
                          "tick", "share still right", zero=True),
              "The share of traces without an error falls for three ticks, "
              "much as if each failed independently with the rate of the "
              "first one, and hardly any more afterwards.")

# %% [markdown]
# Ticks are not independent. A trace that is right so far is more often one of an
# easy question, such as an oven at rest, and goes on being right.

# %%
greedy = exact(model, task, test)
rows = []
for n in range(1, 7):
    at_n = [i for i, t in enumerate(test) if t.action == f"wait {n}"]
    nothing = share([not test[i].changed for i in at_n])
    rows.append([f"wait {n}", len(at_n),
                 f"{share([greedy[i] for i in at_n]):.0%}",
                 f"{nothing:.0%}"])
show.table(["action", "n", "MLE, greedy", "do nothing"], rows,
           "Exact match by length of the wait")

# %% [markdown]
# The rows do not fall with n as the figure does. The table is greedy, and with
# some sixty questions a row, ten points are noise. Something else can be
# measured, though: *healing*. A world that comes to rest (a cold oven, a burnt
# loaf) forgives, because many paths end in the same state.

# %%
final = [task.metrics(answer, t)["exact"]
         for answer, t in zip(rollouts.answers, waits)]
healed = share([right and not clean for right, clean in zip(final, same)])
print(f"wait 6, sampled: trace right to the end {alive[6]:.0%}, "
      f"last state right {share(final):.0%}, "
      f"in spite of a wrong trace {healed:.0%}")

# %% [markdown]
# ## When likelihood and the metric part ways
#
# Here is the smallest world in which maximum likelihood cannot win, ten lines
# long. The next state is 7 in forty of a hundred cases and something else in
# the others. A likelihood model learns these chances perfectly, and then draws
# from them. But the metric asks for one prediction, and for that one should
# always say 7.

# %% tags=["nbval-check-output"]
chance = torch.tensor([.05, .05, .05, .05, .1, .1, .1, .4, .05, .05])
logits = torch.zeros(10, requires_grad=True)
optimizer = torch.optim.SGD([logits], lr=2.0)
nll, hits = [], []
for step in range(60):
    p = logits.softmax(-1)
    loss = -(chance * p.log()).sum()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    nll.append(loss.item())
    hits.append((chance * p).sum().item())
print(f"NLL {nll[0]:.2f} -> {nll[3]:.2f} -> {nll[-1]:.2f} (its floor)")
print(f"sampled accuracy {hits[0]:.2f} -> {hits[3]:.2f} -> {hits[-1]:.2f}; "
      f"always saying 7: {chance.max():.2f}")

# %% [markdown]
# The likelihood arrives at its floor, and the sampled accuracy stops far below
# what is possible. No amount of further likelihood training changes that, since
# the model is already perfect in its own terms. Greedy decoding repairs this
# toy, because its answer has a single token. It is no cure for answers of many
# tokens, where the most likely next token need not lead to the most likely
# state, but it is the first thing to try, and so each table has a greedy row.
#
# Our text game is deterministic, and a perfect model of it would have no such
# gap. A model that is *not* perfect has it wherever it is unsure. The reward of
# chapter 5 speaks about exactly that: the decoded prediction, judged by the
# metric.

# %% [markdown]
# ## The validation plateau
#
# Before reinforcement learning starts, likelihood training must have finished.
# Otherwise RLVR gets credit for what a few more epochs would have brought. The
# recorded base model of this book was trained for a fixed number of updates,
# with a learning rate that falls to zero and a strong weight decay, and the
# weights that validated best were kept:

# %%
from rlvr_lite.experiments import load_result

curve = load_result("text_serial")["curves"]["mle"]
at = [row["step"] for row in curve]
show.show_png(show.curves(
    {"validation, greedy": (at, [r["validation_exact"] for r in curve])},
    "updates", "share right", zero=True),
    "Recorded training of the base model: greedy exact match on validation "
    "data rises steeply, then slowly, and is nearly flat at the end.")

# %% tags=["nbval-check-output"]
top = max(curve, key=lambda row: row["validation_exact"])
print(f"best validated accuracy {top['validation_exact']:.1%} "
      f"at update {top['step']} of {at[-1]}")
print(f"training loss {top['loss']:.4f} there, "
      f"{curve[-1]['loss']:.4f} at the end")

# %% [markdown]
# Two warnings. A curve that bends because its learning rate runs out is no proof
# of a plateau: whether likelihood training that goes on from here would gain
# more has to be measured, and chapter 7 does (*MLE, continued*). And a training
# loss close to zero is no merit. Without weight decay the same model learns its
# few traces by heart: it ends with a lower training loss, fewer right answers
# on new questions, and no doubt left. A model that never doubts never tries
# anything else, and reinforcement learning has nothing to choose from.

# %% [markdown]
# ## The same on web pages
#
# Nothing in (3.1) knows which world it is about. For web pages the question
# is goal, page and action, the answer is the list of what changes
# ([chapter 2](02_tokenization.ipynb)), and trainer, loss and validation are the
# same. The pages need a larger model and more updates than a chapter has time
# for. So the base model ships with the book, and its training was recorded.
#
# An answer is a list, so the metric gives partial credit: **F1**, the harmonic
# mean of precision (which share of the written items is right) and recall (which
# share of the true items was written).

# %%
from rlvr_lite.checkpoints import describe, load_web_model

web_model, web_task = load_web_model("web_base")
recorded = load_result("web_pages")
curve = recorded["curves"]["mle"]
print(f"web_base: {describe('web_base')['parameters']:,} parameters, "
      f"{describe('web_base')['steps']} updates")
at = [row["step"] for row in curve]
lines = {f"{name} tasks": (at, [row[f"validation_f1_{name}"] for row in curve])
         for name in ("visible", "hidden")}
show.show_png(show.curves(lines, "updates", "F1, validation, greedy",
                          zero=True),
              "Recorded training of the web model: validated F1 over the "
              "updates, one line for visible tasks and, well below it at the "
              "end, one for hidden tasks.")

# %% tags=["nbval-check-output"]
for decoding, methods in (("greedy", ["trivial", "mle", "ceiling"]),
                          ("sampled", ["mle"])):
    show.result_table(recorded, methods, ("visible", "hidden"), decoding, "f1",
                      f"Web pages, strict F1 in %, {decoding}, test split")

# %% [markdown]
# On *visible* tasks goal, page and action settle what changes; on *hidden* ones
# texts appear that stand nowhere. The *ceiling* belongs to no model: it
# writes whatever the page allows to know, and is silent about the rest. So the
# lower curve cannot rise to 100 %, whatever the model. But MLE does not reach the
# ceiling either, and training it longer is no remedy. Look at what it pays for.
#
# We split the loss (3.1) of true answers by line: what can be known, and what
# cannot.

# %%
from rlvr_lite.experiments_web import constant, data
from rlvr_lite.tasks.web_page import deducible
from rlvr_lite.worlds.web_pages import difference, group


def nats_by_line(t):
    """Minus log p of each line of the true answer, given all before it."""
    question, answer = web_task.question(t), web_task.answer(t)
    ids = torch.tensor([question + answer])
    with torch.inference_mode():
        logp = web_model(ids).logits[0, :-1].log_softmax(-1)
    paid = -logp.gather(1, ids[0, 1:, None])[len(question) - 1:, 0]
    lines = [0.0]
    for token, nats in zip(answer, paid.tolist()):
        lines[-1] += nats
        if web_task.tokenizer.decode([token]) == "\n":
            lines.append(0.0)
    return lines


# %%
def can_be_known(t):
    """For each line of the answer, whether the page allows to know it."""
    change, known = difference(t.before, t.after), deducible(t, constant())
    certain = len(change.updated) + len(change.deleted)
    return [True] * max(certain, not change.new) + [
        item in known.new for item in change.new]


# %%
asked = [t for t in data("test") if group(t.task) == "hidden"]
asked = asked[::P.scale(tiny=8, full=1)]
paid = {True: [], False: []}
for t in asked:
    for nats, known in zip(nats_by_line(t), can_be_known(t), strict=True):
        paid[known].append(nats)
total = sum(map(sum, paid.values()))
rows = [[name, len(paid[known]), f"{share(paid[known]):.2f}",
         f"{sum(paid[known]) / total:.0%}"]
        for name, known in (("can be known", True), ("cannot", False))]
show.table(["lines of the true answer", "lines", "nats a line",
            "share of the loss"], rows,
           f"Where the loss of {len(asked)} hidden test pages comes from")

# %% [markdown]
# They are the fewer lines, and they make most of the loss. Most of it cannot be
# saved: as in the toy above, a loss at its floor has no slope. All that likelihood
# can learn about these lines is *which* names and filler words are frequent. And
# it never learns to leave them out, because in every example they are there. Let
# the model speak.

# %%
opened = next(t for t in data("validation") if (t.task, t.seed, t.step)
              == ("click-collapsible-2-nodelay", 100014, 0))
print("truth  :", web_task.tokenizer.decode(web_task.answer(opened)[:-1])
      .replace("\n", "\n         "))
silent = web_task.write(deducible(opened, {}))
silence = web_task.metrics(silent, opened)["f1"]
for temperature in (0.0, 1.0):
    written = sample(web_model, [web_task.question(opened)],
                     max_new=web_task.max_new, temperature=temperature,
                     generator=torch.Generator().manual_seed(0)).answers[0]
    text = web_task.tokenizer.decode(written).removesuffix("<eos>")
    print(f"T = {temperature:.0f}  :", text.replace("\n", "\n         "))
    print(f"         F1 {web_task.metrics(written, opened)['f1']:.2f}; "
          f"silence about the text would earn {silence:.2f}")

# %% [markdown]
# The section that opens is known, its text is not, and the model writes one all the
# same, in mock Latin. Its greedy answer falls into a loop and is cut off; an answer
# without an end counts 0, its right first line included. The sampled one ends and
# looks like the truth. As a prediction it is still worth less than silence. Chapter 5 makes this precise, and chapter 8 asks whether
# a reward on whole answers can teach it.

# %% [markdown]
# ## Exercises
#
# :::{exercise} The masked loss
# :label: ex-03-masked-loss
#
# *Goal: compute equation (3.1) without touching the question · Difficulty: 3/5 · Minutes: 10*
#
# Write `masked_loss(logits, ids, question_length)`: `logits` (T, V) are the
# outputs of a model that has read `ids` (T,); the first `question_length` ids
# are the question. Return the mean negative log-probability of the answer
# tokens.
# :::

# %% tags=["exercise"]
def masked_loss(logits, ids, question_length):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch03.masked_loss(masked_loss)

# %% [markdown]
# :::{solution} ex-03-masked-loss
# :class: dropdown
#
# ```python
# def masked_loss(logits, ids, question_length):
#     logp = logits.log_softmax(-1)
#     # the logits at position t speak about the token at position t + 1
#     chosen = logp[:-1].gather(1, ids[1:, None])[:, 0]
#     return -chosen[question_length - 1:].mean()
# ```
# :::

# %% [markdown]
# :::{exercise} Stopping in time
# :label: ex-03-best-row
#
# *Goal: choose a checkpoint on validation data · Difficulty: 2/5 · Minutes: 10*
#
# Write `best_row(values, patience)`. `values` are validated accuracies in the
# order of training. Go through them; stop once `patience` values have passed
# without a new best one (a tie is not better). Return the index of the best
# value seen until then.
# :::

# %% tags=["exercise"]
def best_row(values, patience):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch03.best_row(best_row)

# %% [markdown]
# :::{solution} ex-03-best-row
# :class: dropdown
#
# ```python
# def best_row(values, patience):
#     best = 0
#     for i, value in enumerate(values):
#         if value > values[best]:
#             best = i
#         elif i - best >= patience:
#             break
#     return best
# ```
# :::

# %% [markdown]
# :::{exercise} What one tick must be worth
# :label: ex-03-per-tick
#
# *Goal: turn accuracy after n ticks into accuracy per tick · Difficulty: 1/5 · Minutes: 5*
#
# Suppose every tick is right with the same probability, independently of the
# others, and errors never heal. Write `per_tick(accuracy, ticks)`: the
# probability that one tick must have, so that all are right with probability
# `accuracy`.
# :::

# %% tags=["exercise"]
def per_tick(accuracy, ticks):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch03.per_tick(per_tick)

# %% [markdown]
# :::{solution} ex-03-per-tick
# :class: dropdown
#
# ```python
# def per_tick(accuracy, ticks):
#     return accuracy ** (1 / ticks)
# ```
# :::

# %% [markdown]
# ## What to inspect
#
# | signal | healthy | if not |
# |---|---|---|
# | loss of the untrained model | at or somewhat above the log of the vocabulary size | far above: the initial weights are too large |
# | loss after a few dozen updates | well above zero | near zero at once: the model is asked for a token that it has already read |
# | validated exact match | rising, then flat | still rising: train on before any RL |
# | training loss below validation loss | a little | a lot: the model memorises; stop, or get more traces |
# | greedy above sampled | a few points | a large gap: lower the temperature before praising RL |
# | loss, split into what can be known and what cannot | the first part is small | train on: there is still something to learn |
# | share of readable answers | near one | the answers are cut off, or training has just begun |
#
# ## Pitfalls
#
# - Choosing the checkpoint on test data. The paper's text model was chosen by
#   its test curve; here validation data choose, and test data report.
# - Loss on the question tokens. It looks like more signal; it trains a model
#   of questions.
# - Calling a model trained because its loss is low. Ask it for predictions.
# - Calling it untrained because its loss is high. What nobody can know keeps a
#   loss high for ever.
#
# ## Further reading
#
# - RLVR-World {cite}`wu2025rlvr`, section 4.2 and equation 2 (likelihood),
#   section 4.3 (why likelihood is only a surrogate), section 5.2 (web pages),
#   figure 7 (choice of the checkpoint).
