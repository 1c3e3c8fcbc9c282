# %% [markdown]
# # Tokenization
#
# {{badge}}
#
# *Runs in {{minutes}} on one CPU core.*
#
# **You will** turn a state into one line of text, train a byte-pair tokenizer
# on the game, see why digits stay apart, write a transition as a question and
# an answer, and count what each choice costs. You do the same for web pages,
# and then for film: round a picture to 64 codes, say what is new in four, cut an
# action into bins, and put everything into one row of ids.
#
# **You need** [chapter 1](01_worlds.ipynb): states, commands, ticks, pages, films.

# %% tags=["setup"]
{{setup}}

# %% [markdown]
# ## A world as one sequence
#
# A sequence model knows only whole numbers in a row. So a template turns the
# state and the action into a *question* $q(s, a)$, and the next state into an
# *answer* $o(s')$; a tokenizer turns both into ids. The model then has one job
# for every world:
#
# $$ p(s' \mid s, a) \;\approx\; p_\theta\big(o(s') \mid q(s, a)\big)
#    = \prod_t p_\theta(o_t \mid q, o_{<t}). \tag{2.1} $$
#
# Nothing in (2.1) knows about ovens, web pages or pixels. That is the whole
# point: what changes from world to world is the tokenizer.

# %% [markdown]
# ## From JSON to a line
#
# The published data write states as JSON. Most of that text never changes: key
# names, unique numbers, types, `isContainer`. A large pretrained model can
# afford to read past it. Ours has a fraction of a million parameters, so we
# write only what can change, in a fixed order, with brackets for what lies
# inside.

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks.text_game import state_line
from rlvr_lite.worlds.text_game import transitions

train = transitions("train", P.scale(tiny=600, full=4000), seed=0)
t = next(t for t in train if t.action == "wait 3"
         and any(oven.values["on"] and oven.contains
                 for oven in t.state.of("Oven")))
print("JSON:", len(t.state.canonical()), "letters")
print(t.state.canonical()[:150], "...")
print("line:", len(state_line(t.state)), "letters")
print(state_line(t.state))

# %% [markdown]
# Nothing that the next state depends on is lost. The name of an object gives its
# type, and the type fixes the order of the values (an oven's are on, open,
# element, temp) and the properties that never change. The decoder takes those,
# and the unique numbers, from the state that it knows.

# %% [markdown]
# ## Byte pairs, learned from the world
#
# Byte-pair encoding starts with single bytes and joins the most frequent pair
# of neighbours again and again {cite}`sennrich2016bpe`. The text is first cut
# into pieces, each a word, a digit or a sign with the blank before it, and no pair
# crosses a cut. Because every byte
# stays in the vocabulary, any text can be encoded, even one that the world
# never wrote. We train on the questions and answers of the training split.

# %% tags=["nbval-check-output"]
import json

from rlvr_lite.tasks.text_game import train_tokenizer

tokenizer = train_tokenizer(train, vocab_size=512)
merges = json.loads(tokenizer.backend.to_str())["model"]["merges"]
print(f"{tokenizer.vocab_size} tokens: 2 special, 256 bytes, "
      f"{len(merges)} merges")
for title, part in (("first", merges[:8]), ("last ", merges[-5:])):
    joined = ["".join(pair).replace("\u0120", "_") for pair in part]
    print(f"{title} merges: {' '.join(joined)}")

# %% [markdown]
# The underscore marks a blank at the start of a piece. We asked for up to 512
# tokens; the tokenizer stopped earlier, because every piece had become one token
# and no pair was left inside a piece (`=>` is two pieces). More merges mean shorter
# questions,
# until there is nothing left to join:

# %%
from rlvr_lite import show
from rlvr_lite.tasks.text_game import question_text

questions = [question_text(t) for t in train[:200]]
sizes = [258, 270, 285, 300, 320, 350, 380, 420, 460, 485]
mean_length = []
for size in sizes:
    small = train_tokenizer(train, vocab_size=size)
    total = sum(len(small.encode(q)) for q in questions)
    mean_length.append(total / len(questions))
show.show_png(show.curves({"question": (sizes, mean_length)},
                          "size of the vocabulary", "tokens, mean", zero=True),
              "Mean length of a question falls steeply with the first hundred "
              "merges and then flattens towards about one token a word.")

# %% [markdown]
# ## Digits stay apart
#
# A tokenizer is free to make `12` one token and `13` another. The model would
# then have to learn from scratch that twelve and thirteen are neighbours. Ours
# never joins digits, so that arithmetic is visible. It costs one token a digit.

# %% tags=["nbval-check-output"]
for text in (" kettle 1 0 12", " wait 13", " thermostat", " <eos>"):
    print(f"{text!r:18}", tokenizer.tokens(text))

# %% [markdown]
# An unknown word falls back to pieces and single letters. And `<eos>` written
# in a text is five characters, not a stop: otherwise a web page could end the
# model's answer by containing that word.

# %% tags=["nbval-check-output"]
texts = [text for t in train for text in (question_text(t),
                                          t.state.canonical())]
texts += ["caf\u00e9, 3 \u20ac\tand a\nnew line", "<pad><eos>", ""]
broken = [s for s in texts if tokenizer.decode(tokenizer.encode(s)) != s]
print(f"{len(texts)} texts, {len(broken)} not restored exactly")

# %% [markdown]
# ## The question and the response
#
# The question ends with the command. The response has two parts. First comes a
# **trace**: what each tick changes, counted down. It is the chain of thought of
# this world, and it is written by a program from the true rules. Behind the
# arrow stands the **answer**, and only the answer is judged.

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks.text_game import TextGameTask, answer_text, trace_text

print("question:", question_text(t))
print("trace   :", trace_text(t))
print("answer  : =>", answer_text(t))

# %%
task = TextGameTask(tokenizer)
asked, gold = task.question(t), task.answer(t)
pieces = [tokenizer.backend.decode([i]) for i in asked + gold[:-1]]
show.show_png(show.token_strip(pieces + ["<eos>"], asked + gold,
                               faint=[True] * len(asked)
                               + [False] * len(gold)),
              "The transition as a row of tokens with their ids. The question "
              "has dashed borders; trace, arrow, answer and the stop token "
              "have solid ones.", 42_000)

# %% [markdown]
# Tokens with a solid border are what the model writes. A dot marks the blank
# that belongs to the piece behind it.
#
# An answer is a list of parts, separated by ` , `. `oven 1 0 1 9` gives an object
# all its values; `cup ( ice )` adds what it now holds; `- ice` removes it;
# `score 1` sets the score; `same` alone means that nothing changes. In a trace,
# `act ...` is what a command does by itself, and a number counts the ticks that
# are left.

# %% [markdown]
# ## The answer is a state difference
#
# Writing down the whole next state would mean copying what did not change, and
# each copied token is a chance to slip. So the paper's answer names only the
# difference: objects that were *modified* (new ones included), objects that
# were *removed*, and the score if it changed. Our line is a short spelling of
# exactly that, and `decode` expands it.

# %% tags=["nbval-check-output"]
difference = task.difference(gold, t)
for key, value in difference.items():
    shown = [f"{o['name']} {o['properties']}" for o in value] \
        if key == "modified" else value
    print(f"{key:9}", shown)
objects, score = task.decode(gold, t)
print("recovers the next state:",
      (objects, score) == ([o.to_json() for o in
                            t.next_state.things.values()],
                           t.next_state.score_json()))

# %% [markdown]
# A prediction that cannot be read is `None`, and later its reward is zero. It
# never raises an error: whatever a model writes is a legal input.

# %% tags=["nbval-check-output"]
for text in (" => oven 1 0 1 6", " => oven hot", " 1 oven 1 0 1 6 ;", " =>"):
    ids = tokenizer.encode(text) + [tokenizer.eos_id]
    found = task.difference(ids, t)
    print(f"{text!r:22}", "unreadable" if found is None else
          f"readable, {len(found['modified'])} object changed")

# %% [markdown]
# ## What a token costs
#
# To compare fairly, JSON gets a tokenizer of its own, trained on JSON with the
# same limit of 512 tokens.

# %%
from rlvr_lite.tokenizers.text import TextTokenizer

texts = [t.state.canonical() for t in train]
json_tokenizer = TextTokenizer.train(texts, 512)
lengths = {
    "state as JSON": [len(json_tokenizer.encode(s)) for s in texts],
    "state as a line": [len(tokenizer.encode(state_line(t.state)))
                        for t in train],
    "trace and answer": [len(task.answer(t)) for t in train],
}
show.show_png(show.histogram(lengths, "tokens (logarithmic)", log=True),
              "Three histograms on a logarithmic axis: a line takes "
              "some twenty tokens, trace and answer a few tens with a long "
              "tail, a state as JSON several hundred.")

# %% tags=["nbval-check-output"]
from statistics import mean

ratio = mean(lengths["state as JSON"]) / mean(lengths["state as a line"])
print(f"JSON needs {ratio:.0f} times as many tokens as the line")
whole = mean(len(tokenizer.encode(state_line(t.next_state))) for t in train)
change = mean(len(tokenizer.encode(answer_text(t))) for t in train)
trace = mean(len(tokenizer.encode(trace_text(t))) for t in train)
print(f"whole next state {whole:.1f} tokens, difference {change:.1f}, "
      f"trace {trace:.1f}")

# %% [markdown]
# A transformer with $N$ weights needs about $2N$ multiplications and additions
# for each token it reads, and the same again, with no chance to work in
# parallel, for each token it writes. The trace is therefore the expensive part:
# it multiplies what one sampled answer costs. Chapter 3 asks what it buys.

# %%
import time

import torch

from rlvr_lite.model import build

model = build(tokenizer.vocab_size, max_tokens=2048)
weights = sum(p.numel() for p in model.parameters())
for label, size in (("line", round(mean(lengths["state as a line"]))),
                    ("JSON", round(mean(lengths["state as JSON"])))):
    ids = torch.randint(2, tokenizer.vocab_size, (8, size))
    with torch.inference_mode():
        model(ids)
        start = time.process_time()
        model(ids)
    spent = (time.process_time() - start) / 8 * 1e3
    print(f"reading one {label}: {size} tokens, "
          f"{2 * weights * size / 1e6:.0f} million operations, "
          f"{spent:.1f} ms")

# %% [markdown]
# ## A page in tokens
#
# A web page is text already: goal, page and action are the question, the
# difference is the answer. The tokenizer is again a BPE, with two changes. Here
# is why.

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks import web_page
from rlvr_lite.worlds import web_pages

steps = web_pages.transitions("train")[::5]
words = web_page.train_tokenizer(steps)
typed = next(s for s in web_pages.transitions("test")
             if (s.task, s.seed) == ("login-user", 200000))
question = web_page.question_text(typed.goal, typed.before, typed.action)
print(question + "=>", web_page.answer_text(typed))
for text in ("[12]", "~[12]", "-[3]"):
    print(f"{text!r:9}", words.tokens(text))
print("ids that are one token:", *(i for i in range(30)
                                   if len(words.encode(f"[{i}]")) == 1))

# %% [markdown]
# **An id is one token**, brackets included. Digits stay apart elsewhere, so that
# a model can compute with them. But nobody computes with an id. It is a name, and
# the model has to find the line that bears it. With one token, this is one
# comparison: the `[2]` that it has written, and the `[2]` at the start of a line.
# (Ids so high that they are rare fall back to digits.)
#
# **A blank after every opening quote.** Most of what an answer says it *copies*, and a
# word can be copied token by token only if it is the same tokens wherever it
# stands. A quote before it would change them:

# %% tags=["nbval-check-output"]
name = typed.action.text
plain = f"[2] textbox value '{name}'"
for text in (f"type [2] {name}", plain, web_page.spaced(plain)):
    print(f"{text:29}", "|".join(words.tokens(text)))
pieces = words.encode(" " + name)
for part, text in (("question", question),
                   ("answer", web_page.answer_text(typed))):
    ids = words.encode(text)
    found = sum(ids[i:i + len(pieces)] == pieces for i in range(len(ids)))
    print(f"{part}: the name stands there {found} time(s), same tokens")

# %% [markdown]
# The blank is put in before encoding (`spaced`) and taken out after decoding; no
# metric ever sees it.
#
# ### The paper's form beside ours
#
# The paper's model writes three sections with whole lines, as WebArena prints
# them. A pretrained model has seen thousands of such pages. Ours, with about a
# million parameters, writes only what the id does not tell: no role and name of an
# updated element, nothing but the id of a deleted one.

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks import web_f1


def long_answer(s):
    change = web_pages.difference(s.before, s.after)
    return web_f1.write(web_pages.long_form(s.before, change))


opened = next(s for s in web_pages.transitions("test")
              if (s.task, s.seed, s.step) == ("click-dialog-2", 200001, 0))
print(opened.goal, "/", opened.action)
print("\n--- the paper's form\n" + long_answer(opened))
print("\n--- ours\n" + web_page.answer_text(opened))

# %% tags=["nbval-check-output"]
long_words = TextTokenizer.train(
    [text for s in steps for text in (long_answer(s), web_page.question_text(
        s.goal, s.before, s.action))], 1024, web_page.PIECES)
test = web_pages.transitions("test")
sizes = {"question": [len(words.encode(web_page.question_text(
    s.goal, s.before, s.action))) for s in test],
    "answer": [len(words.encode(web_page.answer_text(s))) for s in test],
    "answer, the paper's form": [len(long_words.encode(long_answer(s)))
                                 for s in test]}
rows = [[name, f"{mean(found):.1f}", *(sorted(found)[len(found) * k // 100]
                                       for k in (50, 95)), max(found)]
        for name, found in sizes.items()]
show.table(["tokens of", "mean", "median", "95 %", "longest"], rows,
           "Web pages, test split; each form has a tokenizer of its own")

# %% [markdown]
# Half of the answers have a handful of tokens, one line that changes. The long ones
# are pages that open. Both forms say the same, since the long one can be
# computed from the short one and the page. Mind what this means for a reward:
# an answer is judged by *lines*, so a form with other lines is another
# reward. In the long form, even a section in which nothing happens has a line,
# `None` (chapter 5).

# %% [markdown]
# ## A frame is not a text
#
# A frame of the robot film has 12,288 numbers, and byte pairs would not help:
# two neighbours in a picture are almost equal, and what matters is the shape of
# the whole. So we let two small networks find the words. An *encoder* turns the
# frame into a grid of 8 x 8 places with a few numbers each. These are rounded.
# The rounded numbers are the tokens. A *decoder* paints a frame from them. Both
# are trained together, once, to make the painted frame look like the real one
# (L1 + LPIPS), and are never touched again.
#
# Everything in this plan is standard, but for one word: *rounded*.

# %% [markdown]
# ## Rounding: finite scalar quantization
#
# Earlier tokenizers learn a code book of vectors and look up the nearest entry.
# Entries that are never nearest never learn, and die. Finite scalar quantization
# {cite}`mentzer2024fsq` has no code book. It squashes each number $z_i$ into an
# interval with room for $L_i$ whole numbers, and rounds:
#
# $$ \hat z_i = \operatorname{round}\big( \tanh(z_i + s_i)\, \tfrac{L_i - 1}{2}
#    - o_i \big). \tag{2.2} $$
#
# An odd number of levels has a middle, and $s_i = o_i = 0$. An even number has
# none: $o_i = 1/2$ moves everything by half a step, and $s_i$ is chosen so that
# $z_i = 0$ still lands on 0.

# %% tags=["nbval-check-output"]
import math


def squash(z, levels):
    """Into an interval that rounds to `levels` whole numbers."""
    half = (levels - 1) * (1 - 1e-3) / 2  # a hair less: never on the edge
    offset = 0.5 if levels % 2 == 0 else 0.0
    return torch.tanh(z + math.atanh(offset / half)) * half - offset


z = torch.linspace(-3, 3, 9)
print("z       ", *(f"{v:5.2f}" for v in z))
for levels in (5, 8):
    digits = squash(z, levels).round().int()
    print(f"{levels} levels", *(f"{v:5d}" for v in digits))

# %% [markdown]
# Rounding is a staircase: its slope is zero on every step. No gradient would ever
# reach the encoder. The way out is as old as it is bold: round on the way
# forward, and on the way back pretend that you did not. In code, add the rounding
# error as a constant. This is the **straight-through** gradient.

# %% tags=["nbval-check-output"]
def straight_through(bounded):
    return bounded + (bounded.round() - bounded).detach()


for name, rounding in (("round", torch.round),
                       ("straight through", straight_through)):
    z = torch.tensor([0.3], requires_grad=True)
    digit = rounding(squash(z, 5))
    digit.sum().backward()
    print(f"{name:16} value {digit.item():.0f}, gradient {z.grad.item():.2f}")

# %% [markdown]
# The rounded vector *is* the code. To make it one token, read its digits as a
# number, the way in which hours, minutes and seconds are one time of day. With
# the levels 8, 5, 5, 5 the second digit counts 8, the third 40, the fourth 200, and
# there are 1,000 codes.

# %% tags=["nbval-check-output"]
from rlvr_lite.tokenizers.fsq import FSQ

fsq = FSQ((8, 5, 5, 5))
z = torch.tensor([0.9, -2.0, 0.1, 1.5])
digits = (fsq.bound(z).round() + fsq.size // 2).int()
print("digits", digits.tolist(), "weights", fsq.radix.tolist(),
      "code", int((digits * fsq.radix).sum()), "=", int(fsq.index(fsq(z))))
every = torch.arange(fsq.codes)
print("all", fsq.codes, "codes survive the way to digits and back:",
      torch.equal(fsq.index(fsq.values(every)), every))
print("squash is the package's bound:", torch.allclose(
    fsq.bound(z), torch.stack([squash(v, n) for v, n in
                               zip(z, fsq.levels)])))

# %% [markdown]
# ## Every frame on its own, or only what is new
#
# The first of our two video tokenizers is **per-frame**. It looks at one frame
# and writes 64 codes, however little has moved. Seven frames of the same table,
# wall and drawer cost 448 tokens, and the model has to predict each of them.
#
# The second is **compressive**. Encoder and decoder both look at a *context
# frame*, an earlier frame of the clip that the model knows anyway. From every
# place of the new frame, cross-attention looks at all places of the context. Only
# what the context does not tell has to pass through the codes, and there are just
# four of them, a grid of 2 x 2. The decoder paints a new picture $\tilde s$ and
# a mask $m$ between 0 and 1, and keeps the context $c$ where nothing is new:
#
# $$ \hat s = m \odot \tilde s + (1 - m) \odot c. \tag{2.3} $$

# %% tags=["nbval-check-output"]
import numpy as np

from rlvr_lite.experiments_video import video_tokens
from rlvr_lite.tokenizers.frames import to_tensor
from rlvr_lite.worlds.robot_video import TASKS, episodes

tokens = video_tokens()
films = {task: episodes(task, "test") for task in TASKS}
film = films["drawer_open"].frames[0]
known = tokens.compressive.context(to_tensor(film[:1]))
frame = to_tensor(film[14:15])
for name, part, code in (
        ("per-frame", tokens.frames, tokens.frames.encode(frame)),
        ("compressive", tokens.compressive,
         tokens.compressive.encode(frame, known))):
    size = sum(w.numel() for w in part.parameters())
    print(f"{name:11} {size:9,} weights   {code.shape[1]:2} codes:",
          *code[0, :6].tolist(), "..." if code.shape[1] > 6 else "")

# %% [markdown]
# Here is a drawer as it opens. The context of the third row is the first frame of
# the clip, with the drawer shut. In the last row, dark is where the compressive
# tokenizer is wrong.

# %%
from rlvr_lite import show_video


def both(film, times, context=0):
    """Frames of a clip, and what each tokenizer makes of them."""
    frames = to_tensor(film[times])
    known = [z.expand(len(times), -1, -1, -1) for z in
             tokens.compressive.context(to_tensor(film[[context]]))]
    codes = tokens.compressive.encode(frames, known)
    return (frames, tokens.frames.decode(tokens.frames.encode(frames)),
            tokens.compressive.decode(codes, known))


times = [8, 14, 22]
truth, single, few = both(film, times)
show.show_png(show_video.filmstrip(
    {"truth": truth, "per-frame\n64 tokens": single,
     "compressive\n4 tokens": few,
     "difference": show_video.difference(few, truth)},
    [f"frame {t}" for t in times], width=3.4),
    "Four rows of three frames. Both tokenizers show drawer, arm and hand in "
    "the right place. The per-frame one softens every edge. The compressive "
    "one keeps table and wall sharp and smears the open drawer and the "
    "fingers, where the difference is dark.", 34_000)

# %% [markdown]
# Look closely, it is what the world model will be paid for. The arm and the open
# drawer are there, and in the right place. What is thin is in trouble: the handle
# melts into the drawer, the cyan and the white finger are two smudges. Where
# nothing has moved, the compressive frame is *sharper* than the per-frame one, for
# a sixteenth of the tokens: it is the context itself. Its errors sit where
# something is new. Watch out for one kind of them: a mask that does not close
# leaves a ghost of the past, such as a block that still lies where it was before
# it was pushed.

# %% [markdown]
# ### What does one code mean?
#
# Take the codes of frame 14, put in a single code of frame 8, and see which
# pixels move.

# %%
def one_code(codes, at):
    """The codes of the second frame, with code `at` of the first one."""
    mixed = codes[1].clone()
    mixed[at] = codes[0, at]
    return torch.stack([codes[1], mixed])


pair = to_tensor(film[[8, 14]])
twice = [z.expand(2, -1, -1, -1) for z in known]
rows = {"per-frame": tokens.frames.decode(
            one_code(tokens.frames.encode(pair), 8 * 4 + 3)),
        "compressive": tokens.compressive.decode(
            one_code(tokens.compressive.encode(pair, twice), 1), twice)}
show.show_png(show_video.filmstrip(
    {name: np.concatenate([show_video.as_uint8(frames),
                           show_video.difference(frames[:1], frames[1:])])
     for name, frames in rows.items()},
    ["decoded", "one code changed", "what moves"], width=3.6),
    "Two rows. A changed per-frame code alters a small patch around its "
    "place. A changed compressive code alters arm and hand at once, and "
    "leaves the drawer nearly as it was.",
    19_000)

# %% [markdown]
# A per-frame code is a *place*: it paints one patch. A compressive code is closer
# to a *word*, a bit of what the arm does, and one wrong word moves the whole arm.
# Tokens that say more are fewer, and each mistake costs more. Likelihood
# counts both kinds alike; this is one reason to reward pixels (chapter 5).

# %% [markdown]
# ### The floor
#
# What the tokenizer loses, a world model on top of it can hardly bring back. Its
# error on the codes of the true frames is a **floor** under every video result of
# this book; a soft one, as other codes now and then paint a frame a little better
# (chapter 5). It was measured once, on test episodes that no tokenizer has seen. The
# context lies 2, 8 or 20 recorded frames back. *Copy* shows the context frame itself.
# PSNR is $-10 \log_{10}$ of the mean square error of the pixels, in decibels: high is
# good. It is given over all three gaps.

# %%
from rlvr_lite.experiments import find, find_difference, load_result

floors = load_result("video_tokenizers")
gaps, rows = [f"gap of {g} frames" for g in (2, 8, 20)], []
for method in dict.fromkeys(r["method"] for r in floors["rows"]):
    note = floors["notes"].get(method, [{}])[0]
    label = "copy the context" if method == "trivial" else \
        show.method_name(method)
    row = [label, note.get("tokens", "-"), note.get("codes_used", "-"),
           round(note["perplexity"]) if note else "-",
           f"{find(floors, method, metric='psnr')['mean']:.1f}"]
    rows.append(row + [
        f"{100 * find(floors, method, 'greedy', gap, 'lpips')['mean']:.1f}"
        for gap in gaps])
show.table(["tokenizer", "tokens", "codes in use", "perplexity", "PSNR, dB",
            *(f"LPIPS x 100, {gap}" for gap in gaps)], rows,
           "What survives the round trip (test split; of 1,000 codes)")

# %% [markdown]
# Read it by columns: what do four and sixteen times the tokens buy? Read it by
# rows: a per-frame floor does not care about the context, a compressive one rises
# with the distance to it, as more and more is new. Copying lies above the floors
# even at the shortest gap. So there is room for a world model, and the room grows
# with the gap.
#
# The two rows in the middle spend the same sixteen tokens on a frame. Is it worth
# while to be told the context?

# %% tags=["nbval-check-output"]
rows = []
for gap in gaps:
    d = find_difference(floors, "compressive4", "frames4", "greedy", gap,
                        "lpips")
    low, mean, high = (100 * d[k] for k in ("low", "mean", "high"))
    rows.append([gap, f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]", show.reading(
        d, "compressive nearer", "per-frame nearer", lower_is_better=True)])
show.table(["context", "LPIPS x 100", "reading"], rows,
           "Sixteen tokens each: compressive minus per-frame, 95 % intervals")

# %% [markdown]
# It is, as long as the context is near. At twenty frames it is not decided any more:
# so much has moved that knowing the old picture is worth little. The world
# models of this book take the two ends of the first table, 64 tokens once for
# the context and four for each frame behind it. A world model writes its tokens one
# by one, so four of them are a quarter of the work of sixteen.
#
# No code of FSQ can die for want of a gradient. That does not mean that all are
# used alike. The *perplexity* is the number of codes that would carry as much if
# all were equally frequent, and it is far below 1,000: some words are common, most are
# rare, as in any language. (A compressive tokenizer has said few words in all on
# the test split; its count of codes in use is low for that reason, too.)

# %% [markdown]
# ## Actions in bins
#
# Four numbers become four tokens. Each range is cut into 256 bins, and a bin
# stands for its middle. That is all, and still there is a trap: who says what the
# range is? The paper takes the smallest and the largest value of its data set. Let
# one reading in thousands be broken.

# %% tags=["nbval-check-output"]
from rlvr_lite.tokenizers.actions import ActionBins

actions = np.concatenate([f.actions.reshape(-1, 4) for f in films.values()])
broken = actions.copy()
broken[0, 0] = 22.0  # one reading of the first number
for name, seen, outliers in (("clean", actions, 0.0),
                             ("one outlier", broken, 0.0),
                             ("one outlier, ends cut", broken, 0.001)):
    bins = ActionBins.fit(seen, outliers)
    ids = bins.encode(actions)
    error = abs(bins.decode(ids) - actions)[:, 0].mean()
    print(f"{name:22} {bins.low[0]:5.2f} to {bins.high[0]:5.2f}   "
          f"{len(np.unique(ids[:, 0])):3} bins in use   error {error:.4f}")

# %% [markdown]
# One reading in four thousand squeezes all the others into a few bins, and the
# world model no longer hears the difference between a touch and a push. Nothing
# crashes, and no loss looks odd. In the paper's own data some ranges
# are stretched like that. Our simulator clips its actions to -1 ... 1, so we take
# this range; for data from a real robot, take quantiles.

# %% [markdown]
# ## One vocabulary for every modality
#
# Frames and actions are ids now. So that an id always means one thing, every
# modality gets its own block, shifted by an *offset*. The paper's single-step
# video model is put together like this:

# %% tags=["nbval-check-output"]
frame_codes = 7 * 5 * 5 * 5 * 5   # levels of the code book, five dimensions
action_bins, special = 256, 2
tokens_per_frame, action_numbers = 16 * 20, 13
print("vocabulary:", frame_codes + action_bins + special)
question_length = 4 * (tokens_per_frame + action_numbers) + 1  # + start token
answer_length = tokens_per_frame + 1                           # + stop token
print("question:", question_length, "tokens, answer:", answer_length)

# %% [markdown]
# Ours follows its multi-step model. A context frame $z_c$ in per-frame codes, the
# current frame $z_0$ in compressive codes, and the action $b_0$ are the question.
# The answer is frame, action, frame, action:
#
# $$ \underbrace{z_c \; z_0 \; b_0}_{\text{question}} \;
#    \underbrace{z_1 \; b_1 \; z_2 \; b_2 \dots z_H}_{\text{answer}}.
#    \tag{2.4} $$
#
# One step of the model is two recorded frames, so $b_t$ holds two actions:
# eight tokens. There is no stop token; a clip is as long as it is.

# %% tags=["nbval-check-output"]
from rlvr_lite.tasks.robot_video import RobotVideoTask, cut

clip = cut(films["drawer_open"], number=0, context=0, start=8, horizon=7,
           tokens=tokens)
task = RobotVideoTask(tokens, horizon=7)
question, answer, wanted = (task.question(clip), task.answer(clip),
                            task.chosen(clip))
print("offsets: compressive 0, per-frame", tokens.context_offset,
      "bins", tokens.action_offset, "vocabulary", tokens.vocab_size)
print(f"question {len(question)} tokens; answer {len(answer)}, of which the "
      f"model predicts {sum(wanted)} and is given {len(answer)-sum(wanted)}")

# %%
names = [("zc", 4), ("z0", 4), ("b0", 8), ("z1", 4), ("b1", 8), ("z2", 4)]
labels = [name for name, count in names for _ in range(count)]
show.show_png(show.token_strip(labels, (question + answer)[60:][:32],
                               faint=[n not in ("z1", "z2") for n in labels],
                               width=44),
              "A row of tokens: the last four of the context frame, four of "
              "the current frame and eight of an action, all with dashed "
              "borders; then four tokens of the next frame with solid "
              "borders, eight given action tokens, dashed, and four solid "
              "ones of the frame after.", 9_000)

# %% [markdown]
# The strip begins with the last four of the 64 context tokens. Solid borders are
# what the model writes. The actions *inside the answer* are dashed: they are known,
# somebody has decided them, and the model is only asked what follows. They are
# woven into every rollout and carry no loss, no reward and no gradient.
#
# That is the whole translation. From here on a robot film is a row of ids below
# 2,256, and (2.1) does not know that it is one.

# %% [markdown]
# ## Exercises
#
# :::{exercise} One merge
# :label: ex-02-merge
#
# *Goal: do one step of byte-pair encoding · Difficulty: 3/5 · Minutes: 15*
#
# A word is a list of pieces, e.g. `["l", "o", "w"]`. Write `merge_once(words)`:
# find the pair of neighbours that is most frequent over all words (pairs never
# cross the end of a word) and join it wherever it occurs, from left to right.
# Return the new list of words; where no pair is left, the words as they are.
# :::

# %% tags=["exercise"]
def merge_once(words):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch02.merge_once(merge_once)

# %% [markdown]
# :::{solution} ex-02-merge
# :class: dropdown
#
# ```python
# def merge_once(words):
#     from collections import Counter
#     pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
#     if not pairs:
#         return words
#     best = max(pairs, key=lambda pair: pairs[pair])
#     merged = []
#     for word in words:
#         new, i = [], 0
#         while i < len(word):
#             if tuple(word[i:i + 2]) == best:
#                 new.append(word[i] + word[i + 1])
#                 i += 2
#             else:
#                 new.append(word[i])
#                 i += 1
#         merged.append(new)
#     return merged
# ```
# :::

# %% [markdown]
# :::{exercise} Offsets
# :label: ex-02-offsets
#
# *Goal: give every modality its own ids · Difficulty: 1/5 · Minutes: 5*
#
# Write `offsets(sizes)`. `sizes` maps the name of a modality to the number of
# its codes, in order. Ids 0 and 1 are taken by `<pad>` and `<eos>`. Return a
# dict with the first id of each modality, and the size of the vocabulary.
# :::

# %% tags=["exercise"]
def offsets(sizes):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch02.offsets(offsets)

# %% [markdown]
# :::{solution} ex-02-offsets
# :class: dropdown
#
# ```python
# def offsets(sizes):
#     first, start = {}, 2  # 0 and 1 are <pad> and <eos>
#     for name, size in sizes.items():
#         first[name] = start
#         start += size
#     return first, start
# ```
# :::

# %% [markdown]
# :::{exercise} Reading a response
# :label: ex-02-response
#
# *Goal: write the extractor in front of the verifier · Difficulty: 2/5 · Minutes: 10*
#
# Write `read_response(text)`. The answer stands behind the **last** `=>`; its
# parts are separated by `" , "`. Return the parts as a list, without blanks at
# their ends. Without an arrow there is no answer: return `["unreadable"]`.
# :::

# %% tags=["exercise"]
def read_response(text):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch02.read_response(read_response)

# %% [markdown]
# :::{solution} ex-02-response
# :class: dropdown
#
# ```python
# def read_response(text):
#     _, arrow, answer = text.rpartition("=>")
#     if not arrow:
#         return ["unreadable"]
#     return [part.strip() for part in answer.split(" , ")]
# ```
# :::

# %% [markdown]
# :::{exercise} A code from its digits
# :label: ex-02-fsq-code
#
# *Goal: read rounded numbers as one token · Difficulty: 2/5 · Minutes: 10*
#
# Write `fsq_code(rounded, levels)`. `rounded` are the numbers of equation (2.2):
# with $L$ levels they run from $-\lfloor L/2 \rfloor$ upwards. Turn each into a
# digit from 0 to $L - 1$ and return the code, a whole number in which the *first*
# digit counts ones.
# :::

# %% tags=["exercise"]
def fsq_code(rounded, levels):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch02.fsq_code(fsq_code)

# %% [markdown]
# :::{solution} ex-02-fsq-code
# :class: dropdown
#
# ```python
# def fsq_code(rounded, levels):
#     code, weight = 0, 1
#     for value, size in zip(rounded, levels):
#         code += (value + size // 2) * weight
#         weight *= size
#     return code
# ```
# :::

# %% [markdown]
# :::{exercise} An action as a bin
# :label: ex-02-action-bin
#
# *Goal: cut a range without losing its ends · Difficulty: 1/5 · Minutes: 5*
#
# Write `action_bin(value, low, high, bins=256)`: the number of the bin, from 0 to
# `bins - 1`. All bins are equally wide. What lies outside the range goes into the
# first or the last bin, and so does `high` itself.
# :::

# %% tags=["exercise"]
def action_bin(value, low, high, bins=256):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch02.action_bin(action_bin)

# %% [markdown]
# :::{solution} ex-02-action-bin
# :class: dropdown
#
# ```python
# def action_bin(value, low, high, bins=256):
#     share = (value - low) / (high - low)
#     return max(0, min(bins - 1, int(share * bins // 1)))
# ```
# :::

# %% [markdown]
# ## What to inspect
#
# | signal | healthy | if not |
# |---|---|---|
# | texts not restored by decode(encode) | none | the reward judges something the model did not write |
# | tokens per word | close to one | the vocabulary is too small for the world |
# | digits | one token each | arithmetic hides inside tokens |
# | a word in question and answer | the same tokens | copying is harder than it has to be: look at quotes and blanks |
# | longest response | below `max_new` | answers are cut off and count as unreadable |
# | perplexity of the codes | a good part of the book | few words do all the work: fewer codes, or longer training |
# | floor of the video tokenizer | far below the error of copying | train the tokenizer, not the world model |
# | thin things in its frames | visible, in the right place | the reward cannot judge what is not painted |
# | bins in use per action | most of the 256 | the range is set by outliers |
#
# ## Pitfalls
#
# - Training the tokenizer on test data. It leaks which words occur.
# - Reading the *first* arrow. A model may write an arrow in its trace; what
#   counts is what it says last.
# - Letting special tokens be spelled in the text of a world.
# - Judging a video tokenizer by its mean error. The background is most of the
#   picture, and the fingers are a dozen pixels.
# - A context frame from *after* the current one. It would tell the future.
#
# ## Further reading
#
# - RLVR-World {cite}`wu2025rlvr`, section 4.2 (unified sequence modelling),
#   section 5.2 and appendix A.2 (changes of a web page), section 6.1 and
#   appendix A.4 (video tokenizers, bins, equations 7 and 8), appendix D (prompts
#   and responses).
# - Byte-pair encoding {cite}`sennrich2016bpe`; finite scalar quantization
#   {cite}`mentzer2024fsq`.
# - iVideoGPT {cite}`wu2024ivideogpt`, where tokens conditioned on a context frame
#   come from.
