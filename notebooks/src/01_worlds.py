# %% [markdown]
# # Worlds
#
# {{badge}}
#
# *Runs in {{minutes}} on one CPU core.*
#
# **You will** build a state of a text game and look at it as JSON and as a
# drawing, play commands, follow a thermostat through six ticks of time, and
# split the game into training and test data without a leak. Then you read web
# pages as a browser describes them, watch a robot at work, and ask the same
# questions of both recordings: what does an action do, what would a careless
# model get right for free, is the test split new?
#
# **You need** Python, and nothing else from this book.

# %% tags=["setup"]
{{setup}}

# %% [markdown]
# ## What a world model is
#
# A world has a state $s$. An agent does something, an action $a$, and the
# world answers with its next state $s'$. Together with a reward this is a
# Markov decision process, and the part of it that we want to learn is the
# *transition*
#
# $$ p(s' \mid s, a). \tag{1.1} $$
#
# A **world model** is a learned stand-in for this transition. Whoever has a
# good one can try an action in the model before trying it in the world: a
# web agent can ask what a click would do, a robot can ask where its arm would
# end up. That is why the model has to be right about what *changes*, and not
# only likely to sound right.
#
# The reward needs no separate model in this book. It is folded into the
# state: a text game carries its score along like any other value.

# %% [markdown]
# ## Three worlds, one code path
#
# | | text game | web page | robot video |
# |---|---|---|---|
# | state | objects with properties | accessibility tree | 64 x 64 frames |
# | action | a command | click or type | four numbers |
# | truth | a small engine | real pages, recorded | a physics simulator, recorded |
# | tokens | byte pairs | byte pairs | rounded codes of a small network |
# | reward | is the next state exact? | F1 of the changed items | error of the decoded frame |
#
# All three are turned into the same thing, a question and an answer made of
# tokens, and from there on the same model, the same likelihood training and
# the same reinforcement learning serve all of them. This chapter builds the
# first world by hand and then opens the recordings of the other two.

# %% [markdown]
# ## A state, built by hand
#
# Our text game follows ByteSized32 {cite}`wang2024simulators`, the benchmark
# that the paper uses. A state is a list of objects. Each object has a name, a
# unique number, a type, properties, and a list of what it contains. Here is a
# kitchen with an oven that is on, a loaf of bread in it, and a ball in the hall.

# %% tags=["nbval-check-output"]
from rlvr_lite.worlds.text_state import State

state = State("baking")
state.add("kitchen", "Room")
state.add("hall", "Room")
state.add("agent", "Agent", "kitchen")
state.add("table", "Surface", "kitchen")
state.add("oven", "Oven", "kitchen", on=1, open=0, element=1, temp=4)
state.add("bread", "Food", "oven", brown=2)
state.add("ball", "Toy", "hall")
print(len(state.things), "objects; the bread is in the room",
      state.room("bread"))

# %% [markdown]
# As JSON this is what ByteSized32 publishes. Some properties never change
# (`isContainer`), others do (`temp`). In our engine everything that changes is
# a whole number from 0 to 9, so that a very small model can learn it.

# %% tags=["nbval-check-output"]
import json

for thing in state.to_json()["objects"][4:6]:
    print(json.dumps(thing, indent=1))

# %% [markdown]
# JSON is exact and hard to look at. A box inside a box shows the same thing.

# %%
from rlvr_lite import show

show.show_png(show.draw_states([state], ["a state of the game"]),
              "The kitchen as a box; in it the agent, the table and the oven, "
              "in the oven the bread with brown 2. The hall holds a ball.")

# %% [markdown]
# ## One transition: first the action, then time
#
# A step of the game has two halves. The **action** changes what the agent
# touches. Then **time passes**: one *tick* runs every rule of the world once.
# The published data keeps these halves apart too, and for a good reason: a
# model can be right about the door and wrong about the heat.

# %%
from rlvr_lite.worlds.text_game import step

t = step(state, "open oven")
show.show_png(show.draw_states([t.state, t.after_action, t.next_state],
                               ["before", "after: open oven", "one tick on"]),
              "Three copies of the kitchen. The action changes open from 0 to "
              "1; the tick then switches the element off and cools the oven. "
              "Changed boxes have a thick border and the word changed.")

# %% [markdown]
# Not every command works. You cannot put the bread on the table while the oven
# is shut: the command is **blocked**. It has no effect of its own, but time
# passes all the same, and this is where careless models go wrong. They read
# `put bread in table` and move the bread.

# %% tags=["nbval-check-output"]
blocked = step(state, "put bread in table")
print("moved by the action:",
      blocked.after_action.canonical() != blocked.state.canonical())
print("bread lies in      :", blocked.next_state.parent("bread").name)
print("changed in the end :", blocked.changed, "(the tick went on)")

# %% [markdown]
# Objects can appear and vanish. Food that gets too brown is removed, and
# charcoal is created in its place. The wait below spans several ticks: our
# engine allows `wait 1` to `wait 6`, so that one question can ask for a chain
# of small computations. The original games have one tick per action.

# %%
hot = state.copy()
hot.things["oven"].values["temp"] = 8
hot.things["bread"].values["brown"] = 5
burnt = step(hot, "wait 4")
show.show_png(show.draw_states([burnt.state, burnt.next_state],
                               ["before", "after: wait 4"]),
              "Left, the bread in the oven is marked as removed with a dotted "
              "border. Right, charcoal_bread is marked as new with a dashed "
              "border, and the oven has changed.")

# %% [markdown]
# ## A thermostat, tick by tick
#
# The rules are small, but most of them are not linear. The oven's element
# switches on when the oven is cool and off when it is hot, and in between it
# stays as it was. Heating is fast and cooling is slow. So the temperature after
# six ticks cannot be read off in one glance. It has to be worked out, one tick
# after the other.

# %% tags=["nbval-check-output"]
cold = state.copy()
cold.things["oven"].values.update(temp=5, element=0)
wait = step(cold, "wait 6")
path = [cold, *wait.ticks]
temperature = [s.things["oven"].values["temp"] for s in path]
element = [s.things["oven"].values["element"] for s in path]
print("temp   ", *temperature)
print("element", *element)

# %%
show.show_png(show.over_ticks({"temp": temperature, "element": element},
                              bands={"temp": (5, 8)}),
              "Temperature of the oven over six ticks: it rises by two a tick "
              "while the element is on, passes the upper dashed line, then "
              "falls by one a tick while the element is off.")

# %% [markdown]
# The dashed lines are the two thresholds. Between them the same temperature can
# rise or fall, depending on the element. This is called *hysteresis*, and it is
# one of the reasons why a model that guesses the last state directly does worse
# than one that writes down every tick (chapter 3 measures this).

# %% [markdown]
# ## Families
#
# A game of one *family* builds a random situation around one mechanism. Eight
# families are for training. Two are held out: they combine mechanisms that
# never meet during training, so they ask whether a model has learned rules or
# memorised situations.

# %% tags=["nbval-check-output"]
from random import Random

from rlvr_lite.tasks.text_game import state_line
from rlvr_lite.worlds.text_families import FAMILIES

for name, family in FAMILIES.items():
    kind = "held out" if family.held_out else "training"
    example = state_line(family.build(Random(3)))
    print(f"{name:10} {kind:8} {example[:58]}")

# %% [markdown]
# Each line is the beginning of a state in the short form of chapter 2: names,
# values, and brackets around what lies inside. Every family also has a goal,
# and with it a score: brown the bread but do not char it, grow the plant and
# pick its fruit.

# %% [markdown]
# ## Splits without a leak
#
# A model that has seen a test state in training is not predicting, it is
# remembering. So every state belongs to exactly one split. Held-out families,
# larger layouts and held-out pairs of object and place are splits of their own;
# every other state is sent to train, validation or test by a hash of its
# *situation*: every object but the toys and the agent, where it is and its
# values.
#
# There is a second way to leak. A wait of six ticks passes through six states,
# and a worked example writes them all down: it shows how the world goes on from
# each of them. So a training transition may not even *pass through* a state of
# another split.

# %%
from rlvr_lite.worlds.text_game import (
    NATURAL,
    SERIAL,
    SPLITS,
    situation,
    transitions,
)

count = P.scale(tiny=600, full=4000)
data = {split: transitions(split, count, seed=0) for split in SPLITS}
meaning = ["for training", "for choosing: new situations",
           "for reporting: new situations",
           "object in a place never seen in training",
           "four toys instead of one", "two families never trained"]
show.table(["split", "what it is for", "transitions", "distinct states"],
           [[s, m, len(data[s]), len({t.state.canonical() for t in data[s]})]
            for s, m in zip(SPLITS, meaning)],
           "Six splits of the text game")

# %% [markdown]
# The rule is one thing, the data another. So we count. The same test runs in
# the suite of this repository, on more data.

# %% tags=["nbval-check-output"]
trained = [s for t in data["train"] for s in (t.state, *t.passes)]
for split in SPLITS[1:]:
    starts = [t.state for t in data[split]]
    states, situations = (len({*map(of, trained)} & {*map(of, starts)})
                          for of in (State.canonical, situation))
    print(f"{split:13} shares {states} states and {situations} situations "
          "with train")

# %% [markdown]
# In *combinations* and *layouts* a toy may be all that is new. They ask whether
# it confuses the model; a new situation is certain in the other splits only.
#
# One thing the rule does not forbid: a new question may *lead to* a state that
# training has met. Two kettles that boil end alike. A model that has seen such a
# state still has to find out that this question leads there. We count that, too:

# %% tags=["nbval-check-output"]
met = {*map(State.canonical, trained)}
changed = [t for t in data["test"] if t.changed]
ends = sum(t.next_state.canonical() in met for t in changed)
print(f"{ends} of {len(changed)} changed test questions lead to a state that "
      f"one of {len(data['train'])} training transitions passes through")

# %% [markdown]
# The published split of ByteSized32 is weaker here: for every game and every
# verb a few transitions were set aside, and all others of the same games, with
# almost the same states, are training data. It measures how well a model fits
# known games, not how well it carries over to new ones.

# %% [markdown]
# ## How much changes? The do-nothing baseline
#
# The easiest world model says "nothing changes". It is right whenever that is
# true, so its accuracy is the share of unchanged transitions. How large this
# share is depends on what we put into the data, not on anybody's skill.

# %% tags=["nbval-check-output"]
for label, mix in (("serial (long waits)", SERIAL),
                   ("natural (ordinary play)", NATURAL)):
    sample = transitions("test", count, seed=0, mix=mix)
    share = sum(t.changed for t in sample) / len(sample)
    print(f"{label:24} changed {share:.1%}   do nothing is right in "
          f"{1 - share:.1%}")

# %% [markdown]
# (All eight families; the recorded studies of chapter 7 use two or three of them,
# so their shares differ.) Keep this number in sight. A result such as "63 % of all transitions right"
# means nothing until you know what doing nothing would have scored. In this
# book the trivial predictor stands beside every result, and the headline is
# the **changed** subset, on which doing nothing scores zero.

# %% tags=["nbval-check-output"]
from rlvr_lite import paper

print(f"published test split: {paper.TEST_ROWS} transitions, "
      f"{paper.TEST_UNCHANGED} of them unchanged")
print(f"{'do nothing':34} {paper.do_nothing():6.2f} %")
for model, (unchanged, changed, overall) in paper.TEXT_GAME.items():
    print(f"{model:34} {overall:6.2f} %   changed {changed:5.2f} %"
          f"   unchanged {unchanged:6.2f} %")

# %% [markdown]
# ## The published data
#
# The paper trains on ByteSized32 state prediction: small text games such as
# boiling water or washing clothes, crawled by trying every possible command
# after every step of a known solution. The table above holds the paper's own
# accuracies on the published test split, and doing nothing beats several of
# them. Compare the columns: from SFT to RLVR the unchanged questions gain far
# more than the changed ones. Much of what reinforcement learning teaches there
# is *not to edit*. We take this up with the real rows in chapter 5, where `worlds/bytesized32.py`
# reads them. The book does not ship them, because their repository names no
# licence; the loader finds your copy or downloads the published file.

# %% [markdown]
# ## The second world: a web page
#
# A web agent need not look at pixels. It can read what a screen reader reads:
# the browser's **accessibility tree**, a list of elements, each with a role, a
# name and perhaps a state. The paper does so on the sites of WebArena
# {cite}`zhou2024webarena`. Our pages are those of MiniWoB++
# {cite}`liu2018miniwob`: a login form, a menu, an inbox, small, but real HTML
# and JavaScript in a real browser. They were recorded once and are part of this
# book. You need no browser to read them.
#
# ![A yellow box with the goal: enter the username nathalie and a password and press login. Below it two text boxes, nathalie in the first, and a button Login.](../book/images/web/login-user.png)
#
# Here is the same page as a state. One element a line; the number of the line
# is the **id** that actions use.

# %% tags=["nbval-check-output"]
from rlvr_lite.worlds.web_pages import read_page

page = read_page("""\
[0] page ongoing
[1] text 'Username'
[2] textbox value 'nathalie'
[3] text 'Password'
[4] textbox value ''
[5] button 'Login'""")
show.table(["id", "role", "name", "state"],
           [[i, e.role, e.name, e.state] for i, e in enumerate(page)],
           "The picture above as a state")

# %% [markdown]
# Two things differ from the picture. The yellow box is missing: the **goal** is
# no part of the page. It is handed to the agent, and to the world model
# together with its question. And line 0 is new. It is the page's own
# **verdict**: `ongoing`, `success`, or `failure`. MiniWoB++ itself decides when
# an episode is over and what it was worth; `success` is the full reward,
# anything less a failure. So the reward is folded into the state again.
#
# Nothing else may give it away. We look for the goal, and for the display of
# reward and time that MiniWoB++ shows beside each page, in all test pages.

# %% tags=["nbval-check-output"]
from collections import Counter

from rlvr_lite.worlds import web_pages

web = {split: web_pages.transitions(split) for split in web_pages.SPLITS}
steps = web["test"]
display = ("Last reward", "Time left", "Episodes done")
print("transitions:", *(f"{name} {len(web[name])}  " for name in web))
print("test pages that hold the goal   :",
      sum(t.goal in e.name for t in steps for e in t.before))
print("... or the display of the reward:", sum(
    word in e.name for t in steps for e in t.before for word in display))
print("verdict before an action:",
      dict(Counter(t.before[0].state for t in steps)))
print("verdict after an action :",
      dict(Counter(t.after[0].state for t in steps)))

# %% [markdown]
# ### What an action changes
#
# There are two actions: `click [5]`, and `type [2] some text`, which replaces
# what stood there. Most of a page stays as it is, so we write the *difference*
# to the next page. Here is an episode that ends well.

# %% tags=["nbval-check-output"]
from rlvr_lite.worlds.web_pages import apply, difference, write_difference

episode = [t for t in steps if (t.task, t.seed) == ("login-user", 200000)]
print(episode[0].goal)
for t in episode:
    change = write_difference(difference(t.before, t.after))
    print(f"{t.action!s:15} leads to   {change}")

# %% [markdown]
# `~[2]` says that element 2 has a new state. Two more marks are needed when
# elements come and go: `-[3]` deletes one, `+[2] link 'Olin'` puts a new one
# after the old element 2. All ids are those of the page *before*.
#
# ![A search page: a text box with Alan, a button Search, below it three results with blue titles, green addresses and a line of text each, and links to more pages.](../book/images/web/search-engine.png)
#
# Before the click on *Search*, this page ended with the button.

# %% tags=["nbval-check-output"]
after = read_page("""\
[0] page ongoing
[1] textbox value 'Alan'
[2] button 'Search'
[3] link 'Myron'
[4] text 'https://ornarecurabitur.ca'
[5] text 'Pulvinar. Senectus.'
[6] link 'Cristin'
[7] text 'https://porttitor.net'
[8] text 'Lacus, sed euismod.'
[9] link 'Ignacio'
[10] text 'https://www.lorem.tv'
[11] text 'Sed enim, etiam.'
[12] link '1'
[13] link '2'
[14] link '3'
[15] link '>'""")
before = after[:3]
print("click [2] leads to")
print(write_difference(difference(before, after)))

# %% [markdown]
# A difference is only worth something if it leads back to the page: applied to
# the page before, it must give the next one, element by element. And how often is
# there none? That is what doing nothing gets right.

# %% tags=["nbval-check-output"]
for split in ("test", "held_out"):
    changes = [difference(t.before, t.after) for t in web[split]]
    right = sum(apply(t.before, change) == t.after
                for t, change in zip(web[split], changes))
    print(f"{split:8} {right} of {len(changes)} pages recovered; "
          f"nothing changes in {changes.count(web_pages.Difference())}")

# %% [markdown]
# In this world the trivial predictor is weak, since hardly any step leaves
# the page as it was. The difficulty lies elsewhere.

# %% [markdown]
# ### What a page does not tell
#
# Read the search results again. The text box, the button, the links `1`, `2`,
# `3` can be foreseen, by somebody who has seen such pages. *Myron* cannot. No
# model, however good, can know what a page has not shown. So our tasks come in
# groups. In **visible** tasks, goal, page and action settle what changes. In
# **hidden** ones, texts appear that nobody can know. Two more tasks are **held
# out**: no training page is of their kind. The next table counts items a
# step, and calls a new one *unknowable* if its name stands neither in the question
# nor on many other pages of its task.

# %% tags=["nbval-check-output"]
from statistics import mean

from rlvr_lite.tasks.web_page import constant_names, deducible

constant = constant_names(web["train"])
asked = {(t.goal, t.before, t.action) for t in web["train"]}
rows = []
for task in web_pages.VISIBLE + web_pages.HIDDEN + web_pages.HELD_OUT:
    found = [t for s in ("test", "held_out") for t in web[s] if t.task == task]
    pairs = [(difference(t.before, t.after), deducible(t, constant))
             for t in found]
    counts = [mean(numbers) for numbers in zip(*(
        (len(d.updated), len(d.deleted), len(d.new),
         len(d.new) - len(known.new)) for d, known in pairs))]
    seen = mean((t.goal, t.before, t.action) in asked for t in found)
    rows.append([task, web_pages.group(task).replace("_", " "),
                 *(f"{n:.1f}" for n in counts), f"{seen:.0%}"])
show.table(["task", "group", "updated", "deleted", "new", "unknowable",
            "asked in train"], rows, "Items a step, by task")

# %% [markdown]
# ### Is the test split new?
#
# Pages are split by their *page seed*, the number from which MiniWoB++ draws all
# names and texts. No seed is shared. The last column asks the better
# question: which test *questions*, goal, page and action together, also stand in
# the training data? In most tasks hardly one does. In `enter-text` and
# `click-menu-2` nearly all do, because their pages have so little to
# vary: new seeds, old situations. A model that is right there may have learned them by
# heart. Whoever wants to know about new pages looks at the other tasks, and
# at the two held-out ones.
#
# One more warning. A tree is not always the whole state. Open the search of
# `email-inbox-noscroll` and the mails are gone from the page; cancel it, and
# they are back. The page remembers them, its tree does not tell.

# %% [markdown]
# ## The third world: a robot on film
#
# Game and page tell us what is there. A camera does not. The state of our third
# world is a picture of 64 x 64 pixels: 12,288 numbers, and none of them is
# called *drawer*.
#
# Behind the camera runs the physics simulator MuJoCo {cite}`todorov2012mujoco`
# with three tasks of Meta-World {cite}`yu2019metaworld`: open a drawer, close
# it, push a block to a goal. An action is four numbers between -1 and 1. Three
# move the hand in space, the fourth closes the grip. It is held for five steps
# of the simulator, then the camera takes the next frame. An episode has 24
# frames, and so 23 actions between them.
#
# The films were recorded once and are part of this book. You need no simulator
# to read them.

# %% tags=["nbval-check-output"]
from rlvr_lite.worlds.robot_video import KINDS, STATE, TASKS, episodes

films = {task: episodes(task, "test") for task in TASKS}
opening = films["drawer_open"]
for name in ("frames", "actions", "states", "success"):
    array = getattr(opening, name)
    print(f"{name:8} {array.dtype!s:8}", *array.shape)
print("a state :", *STATE)

# %% [markdown]
# `states` is what the simulator knows, in metres, and `success` is the verdict of
# Meta-World at every frame. A world model sees neither. It gets frames and
# actions, like somebody who watches. We keep the truth for ourselves, to judge
# with.

# %%
from rlvr_lite import show_video

times = [0, 8, 14, 23]
show.show_png(show_video.filmstrip(
    {task.replace("_", "-"): film.frames[0, times]
     for task, film in films.items()},
    [f"frame {t}" for t in times], width=5.6),
    "Three rows of four frames. A red robot hand with a cyan and a white "
    "finger pulls a green drawer open by its white handle, pushes such a "
    "drawer shut, and moves a yellow block across the table.")

# %%
show_video.clip({task.replace("_", "-"): film.frames[0, ::2]
                 for task, film in films.items()},
                "Three looping clips of experts. The hand rises, comes down "
                "and pulls the drawer out, pushes it in, or moves the block.")

# %% [markdown]
# ### Failures on purpose
#
# Whom should we film? The paper's robot data come from experts and hold few
# failures. It had to drop two tasks from its policy evaluation (section 6.4),
# because the model imagined grasps that had not succeeded. So our films have four
# kinds of actors: the scripted *expert*; a *noisy* and a *clumsy* one, the expert
# with a little or a lot of noise on its hand; and a *walk*, which leaves the
# expert's path at some moment and drifts off at random.

# %% tags=["nbval-check-output"]
rows = []
for k, kind in enumerate(KINDS):
    row = [kind]
    for film in films.values():
        done = film.success[film.kind == k].any(1)
        row.append(f"{done.sum()} of {len(done)}")
    rows.append(row)
total = [f.success.any(1) for f in films.values()]
rows.append(["all", *(f"{d.sum()} of {len(d)}" for d in total)])
show.table(["who acts", *TASKS], rows, "Episodes with success, test split")

# %% [markdown]
# Closing a drawer forgives a lot, pushing a block next to nothing. A model that
# is to judge policies has to know both kinds of ending.

# %% [markdown]
# ### Is the test split new?
#
# Episodes go to train, validation or test by their *task seed*, the number that
# places the drawer or the block. No seed is shared. But the text game has taught
# us to ask about situations, not about labels. How far is the start of a test
# episode from the nearest start in the training data? The tables beside the films
# answer that; no film has to be decoded.

# %% tags=["nbval-check-output"]
import numpy as np

from rlvr_lite.paths import data_folder

print("task          shared seeds   nearest start in train, mm (mean, most)")
for task, film in films.items():
    train = np.load(data_folder() / "robot_video" / f"{task}_train.npz")
    shared = np.intersect1d(train["task_seed"], film.task_seed)
    here, there = film.states[:, 0, 4:], train["states"][:, 0, 4:]
    gap = np.linalg.norm(here[:, None] - there, axis=-1).min(1) * 1000
    print(f"{task:13} {len(shared):6} {gap.mean():17.1f} {gap.max():8.1f}")

# %% [markdown]
# The two drawers move along one line, and 320 training seeds cover that line
# densely. Their test split therefore asks about new *motions*, hardly about new
# *places*: an expert's test film has a near twin in the training data, the film of
# a clumsy actor has none. A block can lie anywhere on a piece of the table, and
# its goal too; there the test starts are truly new. A rule such as "split by
# seed" says nothing by itself. Measure it.

# %% [markdown]
# ### What an action does
#
# The three numbers of an action say where the hand should go. Does it? Let
# $x_t$ be the position of the hand and $a_t$ the action that leads from frame
# $t$ to frame $t + 1$, both along one axis. We fit
#
# $$ x_{t+1} - x_t \approx \alpha\, a_t + \beta\, a_{t-1}. \tag{1.2} $$

# %% tags=["nbval-check-output"]
push = films["push"]
moved = 1000 * np.diff(push.states[:, :, 0], axis=1)[:, 1:].ravel()
now, before = push.actions[:, 1:, 0].ravel(), push.actions[:, :-1, 0].ravel()
for name, columns in (("this action", [now]),
                      ("this and the one before", [now, before])):
    fit, left, *_ = np.linalg.lstsq(np.stack(columns, 1), moved)
    print(f"{name:23}", *(f"{w:5.1f} mm" for w in fit),
          f"  explains {1 - left[0] / (moved ** 2).sum():.0%}")

# %%
from matplotlib import pyplot as plt

fig, axes = plt.subplots(1, 2, figsize=(5.0, 2.1), sharey=True)
for axis, x, label in ((axes[0], now, "this action"),
                       (axes[1], fit @ [now, before] / fit.sum(),
                        "this and the one before")):
    axis.plot(x, moved, ".", markersize=1.5, rasterized=True)
    axis.set_xlabel(label)
axes[0].set_ylabel("hand moves, mm")
fig.tight_layout()
show.show_png(fig, "Two clouds of points, the motion of the hand over the "
              "action. Over the present action the cloud is broad. Over a "
              "mean of this action and the one before it is a narrow line.")

# %% [markdown]
# More than half of an action arrives a frame late: the hand has inertia. So **one
# frame is not the whole state**. Two frames that look the same may go on
# differently, depending on what was done just before. A world model that sees a
# single frame and an action cannot know, however well it is trained. In the
# language of section 4.1 of the paper, the order $k$ of the process is more than
# one, and the remaining spread is not the model's fault.

# %% [markdown]
# ### Copy the last frame
#
# The trivial model of the text game says that nothing changes. On film it shows
# the current frame again. How wrong is that? We measure two distances between
# frames: **L1**, the mean absolute difference of pixels, and **LPIPS**
# {cite}`zhang2018lpips`, which compares what a trained network sees in both
# pictures, and agrees far better with human eyes. Chapter 5 takes it apart.

# %% tags=["nbval-check-output"]
from rlvr_lite.metrics_video import frame_errors
from rlvr_lite.perceptual import perceptual
from rlvr_lite.tokenizers.frames import to_tensor

start, rows = 6, []
for gap in (1, 2, 4, 8, 16):
    row = []
    for film in films.values():
        shown, truth = (to_tensor(film.frames[:, t])
                        for t in (start, start + gap))
        found = frame_errors(shown[None], truth, perceptual(),
                             ("lpips", "l1"))
        row.append([found[name].mean().item() for name in found])
    rows.append([gap, *(f"{error:.3f}" for pair in zip(*row)
                        for error in pair)])
show.table(["frames ahead", *(f"{name}, {task}" for name in ("LPIPS", "L1")
                              for task in TASKS)],
           rows, "Error of showing the current frame instead, test split")

# %% [markdown]
# Both errors grow with the gap, and ever more slowly: once the arm has left its
# old place altogether, being farther away costs little more. In the two drawer
# tasks LPIPS still rises by half or more from 8 to 16 frames, where L1 has nearly
# stopped; in *push* both flatten alike.
#
# Two lessons. First, the gap decides how strong the trivial predictor is. One
# frame ahead it is hard to beat, and a model that beats it by little has perhaps
# learned to copy. From here on, one step of the world model is *two* recorded
# frames. Second, no number means anything without this one beside it. It plays
# the part that doing nothing plays in the text game.

# %% [markdown]
# ## Exercises
#
# :::{exercise} What doing nothing scores
# :label: ex-01-do-nothing
#
# *Goal: compute the trivial baseline of a data set · Difficulty: 1/5 · Minutes: 5*
#
# Write `do_nothing_accuracy(transitions)`: the share of transitions whose next
# state equals the state before. Compare the states themselves; do not use
# `transition.changed`. `State.canonical()` gives one string per state.
# :::

# %% tags=["exercise"]
def do_nothing_accuracy(transitions):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch01.do_nothing_accuracy(do_nothing_accuracy)

# %% [markdown]
# :::{solution} ex-01-do-nothing
# :class: dropdown
#
# ```python
# def do_nothing_accuracy(transitions):
#     same = [t.state.canonical() == t.next_state.canonical()
#             for t in transitions]
#     return sum(same) / len(same)
# ```
# :::

# %% [markdown]
# :::{exercise} The rule behind the oven
# :label: ex-01-thermostat
#
# *Goal: write a transition rule that holds in every case · Difficulty: 2/5 · Minutes: 10*
#
# Write `thermostat(temp, element)` for an oven that is on and shut. It returns
# the pair `(temp, element)` after one tick. The element goes on at 5 or below,
# off at 8 or above, and otherwise stays. Then the temperature rises by 2 if
# the element is on and falls by 1 if it is off. It never leaves 0 to 9.
# :::

# %% tags=["exercise"]
def thermostat(temp, element):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch01.thermostat(thermostat)

# %% [markdown]
# :::{solution} ex-01-thermostat
# :class: dropdown
#
# ```python
# def thermostat(temp, element):
#     if temp <= 5:
#         element = 1
#     elif temp >= 8:
#         element = 0
#     temp += 2 if element else -1
#     return max(0, min(9, temp)), element
# ```
# :::

# %% [markdown]
# :::{exercise} A leak test
# :label: ex-01-leak
#
# *Goal: find states that two data sets share · Difficulty: 2/5 · Minutes: 10*
#
# Write `leaked(train, test)`: how many *transitions* of `test` start in a state
# that also occurs in `train`, as a state before **or** after a transition. A
# model that was trained on `train` has seen those states.
# :::

# %% tags=["exercise"]
def leaked(train, test):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch01.leaked(leaked)

# %% [markdown]
# :::{solution} ex-01-leak
# :class: dropdown
#
# ```python
# def leaked(train, test):
#     seen = set()
#     for t in train:
#         seen.add(t.state.canonical())
#         seen.add(t.next_state.canonical())
#     return sum(t.state.canonical() in seen for t in test)
# ```
# :::

# %% [markdown]
# :::{exercise} The next page
# :label: ex-01-next-page
#
# *Goal: apply a difference whose ids all mean the old page · Difficulty: 3/5 · Minutes: 15*
#
# A page is a list of lines without ids. Write
# `next_page(lines, updated, deleted, new)` and return the list of the next page.
# `updated` maps an id to its new line, `deleted` is a set of ids, `new` a list of
# pairs (id, line): the line stands after the old element `id`. Several new
# lines of one place keep their order. All ids are positions in `lines`, which
# must not be changed.
# :::

# %% tags=["exercise"]
def next_page(lines, updated, deleted, new):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch01.next_page(next_page)

# %% [markdown]
# :::{solution} ex-01-next-page
# :class: dropdown
#
# ```python
# def next_page(lines, updated, deleted, new):
#     page = []
#     for i, line in enumerate(lines):
#         if i not in deleted:
#             page.append(updated.get(i, line))
#         page += [text for place, text in new if place == i]
#     return page
# ```
#
# A new list is built. Whoever deletes and inserts in place moves all the lines
# behind, and the next id already means another element.
# :::

# %% [markdown]
# :::{exercise} What copying costs
# :label: ex-01-copy-error
#
# *Goal: compute the trivial baseline of a film · Difficulty: 2/5 · Minutes: 10*
#
# Write `copy_error(frames, gap)`: `frames` has the shape (F, H, W, 3) and holds
# whole numbers from 0 to 255, as `uint8`. Show every frame in place of the one
# that comes `gap` frames later, and return the mean L1 distance over all pairs
# and pixels, in units where white minus black is 1.
# :::

# %% tags=["exercise"]
def copy_error(frames, gap):
    ...  # your code


# %% tags=["check", "nbval-check-output"]
rlvr_lite.checks.ch01.copy_error(copy_error)

# %% [markdown]
# :::{solution} ex-01-copy-error
# :class: dropdown
#
# ```python
# def copy_error(frames, gap):
#     pixels = frames.astype(float) / 255  # uint8 would wrap around below 0
#     return float(abs(pixels[gap:] - pixels[:-gap]).mean())
# ```
#
# `uint8` has no negative numbers: 10 - 12 is 254 there. Most bugs of image
# metrics begin with a difference of two such arrays.
# :::

# %% [markdown]
# ## What to inspect
#
# | signal | healthy | if not |
# |---|---|---|
# | shared states, train and test | none | the split rule looks at the wrong part of the state |
# | share of changed transitions | stated beside every accuracy | accuracy may be the do-nothing baseline in disguise |
# | blocked actions | present in every split | the model never learns that commands can fail |
# | created and removed objects | present in train and test | the answer format is never tested on them |
# | pages recovered from their difference | all of them | the answer format cannot say everything that happens |
# | test questions that also stand in training | few, task by task | a task measures memory: read its number with care |
# | success by actor | successes *and* failures in every task | the model shows a success to whoever acts |
# | nearest start in train | far, in the units of the world | a split by seed is not yet a split by situation |
# | error of copying at your gap | stated beside every video metric | a low LPIPS may only mean that little moves |
#
# ## Pitfalls
#
# - Reporting overall accuracy alone. It moves with the share of unchanged
#   transitions, which is a choice of whoever made the data.
# - Splitting transitions instead of states. Two commands in the same state
#   share almost everything.
# - Forgetting that time passes after a blocked command.
# - Taking a new seed for a new page.
# - Leaving goal or reward on the page. A model finds them before you do.
# - Filming experts only.
# - Taking one frame for a state. What moves has a velocity.
#
# ## Further reading
#
# - RLVR-World {cite}`wu2025rlvr`, section 4.1 (world models as transitions),
#   appendix A.1 (text-game data), section 5.2 and appendix A.2 (web pages),
#   section 6.1 and appendix A.4 (robot video), section 6.4 (why failures are
#   needed).
# - ByteSized32 state prediction {cite}`wang2024simulators`, where the two halves
#   of a transition are measured apart.
# - MiniWoB++ {cite}`liu2018miniwob`: more than a hundred small web tasks; WebArena
#   {cite}`zhou2024webarena`: whole sites, which the paper uses.
# - Meta-World {cite}`yu2019metaworld`: fifty tasks, of which we film three.
