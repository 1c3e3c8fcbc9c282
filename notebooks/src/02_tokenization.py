# %% [markdown]
# # Tokenization
#
# {{badge}}
#
# *Runs in {{minutes}} on one CPU core.*
#
# **You will** turn a state into one line of text, train a byte-pair tokenizer
# on the game, see why digits stay apart, write a transition as a question and
# an answer, and count what each choice costs.
#
# **You need** [chapter 1](01_worlds.ipynb): states, commands, ticks.

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
# of neighbours again and again {cite}`sennrich2016bpe`. Because every byte
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
# tokens; the tokenizer stopped earlier, because every word of these texts had
# become one token and no pair was left. More merges mean shorter questions,
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
              "have solid ones.")

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
# ## One vocabulary for every modality
#
# Frames and actions become ids too: frames through a learned code book, each
# number of an action through 256 bins. So that an id always means one thing,
# every modality gets its own block, shifted by an *offset*. The paper's
# single-step video model is put together like this:

# %% tags=["nbval-check-output"]
frame_codes = 7 * 5 * 5 * 5 * 5   # levels of the code book, five dimensions
action_bins, special = 256, 2
tokens_per_frame, action_numbers = 16 * 20, 13
print("vocabulary:", frame_codes + action_bins + special)
question_length = 4 * (tokens_per_frame + action_numbers) + 1  # + start token
answer_length = tokens_per_frame + 1                           # + stop token
print("question:", question_length, "tokens, answer:", answer_length)

# %% [markdown]
# Text needs no offset of its own as long as it is alone. The video chapters
# come back to this idea, and the second exercise builds it.

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
# ## What to inspect
#
# | signal | healthy | if not |
# |---|---|---|
# | texts not restored by decode(encode) | none | the reward judges something the model did not write |
# | tokens per word | close to one | the vocabulary is too small for the world |
# | digits | one token each | arithmetic hides inside tokens |
# | longest response | below `max_new` | answers are cut off and count as unreadable |
#
# ## Pitfalls
#
# - Training the tokenizer on test data. It leaks which words occur.
# - Reading the *first* arrow. A model may write an arrow in its trace; what
#   counts is what it says last.
# - Letting special tokens be spelled in the text of a world.
#
# ## Further reading
#
# - RLVR-World {cite}`wu2025rlvr`, section 4.2 (unified sequence modelling),
#   appendix D (prompts and responses).
# - Byte-pair encoding {cite}`sennrich2016bpe`.
