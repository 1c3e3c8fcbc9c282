"""A weak policy for web pages: it knows no task, reads the goal, and proposes actions.

What: `candidates(goal, page)` gives actions with weights: elements that the goal names come first,
text boxes get strings of the goal, buttons and tabs are tried, plain text hardly ever. It sees
ids, names and states only, never what lies behind the page.
Source: the policy of RLVR-World's web agent (section 5.3, appendix A.3), a language model that
is asked 20 times; its most frequent actions are simulated.
Differs from the paper: a few rules take the place of the language model; the weights are what its
frequencies would be.
"""

from __future__ import annotations

import random
import re

from rlvr_lite.worlds.web_pages import Action, Element, Page

TEXT_BOXES = ("textbox", "searchbox")
BASE = {"button": 1.5, "tab": 2.0, "menuitem": 1.0, "link": 1.0, "checkbox": 1.0, "radio": 1.0,
        "option": 0.75, "text": 0.05, "heading": 0.05}
OTHER = 0.02  # any other role
NAMED = 4.0  # how much more often an element that the goal names is tried
DONE = 0.2  # ... an element that is ticked, chosen or unfolded already
UNIFORM = {"text": 0.15, "heading": 0.3, "listbox": 0.15, "combobox": 0.15, "dialog": 0.15}
# words of a goal that say what to do, not with what
COMMON = set("""
    a an and are as at be box button by check choose click correct create database delete
    dialog directed down e-mail email end ends enter expand field fields find first following
    for form forward from icon in inbox into is it item items its label labeled list link links
    login mail mark menu movies named navigate nothing of on one open or page password press
    radio result reply search section sections select starts submit switch tab tabs text
    textbox that the their them then this to tree type use user username using with year your
    between below important number 1st 2nd 3rd 4th 5th 6th 7th 8th 9th trash star book contact
    phone address scroll both verify option director genre movie
""".split())


def strings(goal: str) -> list[str]:
    """What one might type for a goal: its quoted strings; where there is none, its rare words."""
    quoted = re.findall(r'"([^"]*)"', goal)
    if quoted:
        return list(dict.fromkeys(quoted))
    words = [w.strip(".,:;") for w in goal.split()]
    return list(dict.fromkeys(w for w in words if w and w.lower() not in COMMON))


def named(goal: str, element: Element) -> bool:
    """Whether the goal names an element, as whole words and in any case."""
    name = element.name.strip()
    return bool(name) and re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)",
                                    goal.lower()) is not None


def candidates(goal: str, page: Page, top: int | None = None) -> list[tuple[Action, float]]:
    """Actions with weights that sum to 1, the heaviest first; of equal ones, in page order.

    Args:
        goal: what the page asks for.
        page: what is there.
        top: keep this many only (the weights still sum to 1).

    Returns:
        An empty list where the episode is over or nothing can be done.
    """
    if page[0].state != "ongoing":
        return []
    found: list[tuple[Action, float]] = []
    empty_boxes = 0
    for i, element in enumerate(page[1:], 1):
        if "disabled" in element.state:
            continue
        if element.role in TEXT_BOXES:
            weight = DONE if element.value else 2.0 if not empty_boxes else 0.6
            empty_boxes += not element.value
            found += [(Action("type", i, text), weight) for text in strings(goal)
                      if text != element.value]
        else:
            found.append((Action("click", i), _weight(goal, element)))
    found.sort(key=lambda pair: -pair[1])
    found = found[:top]
    total = sum(weight for _, weight in found)
    return [(action, weight / total) for action, weight in found]


def _weight(goal: str, element: Element) -> float:
    weight = BASE.get(element.role, OTHER)
    if named(goal, element) and element.role != "text":
        weight *= NAMED
    done = re.search(r"(?<!un)(?:checked|selected|pressed)|expanded", element.state)
    return weight * DONE if done else weight


def sample(goal: str, page: Page, chance: random.Random) -> Action | None:
    """One action of the weak policy; None where nothing can be done."""
    found = candidates(goal, page)
    if not found:
        return None
    actions, weights = zip(*found)
    return chance.choices(actions, weights)[0]


def explore(goal: str, page: Page, chance: random.Random) -> Action | None:
    """Any action, all elements alike but for plain text, which is clicked rarely."""
    if page[0].state != "ongoing" or len(page) < 2:
        return None
    weights = [UNIFORM.get(element.role, 1.0) for element in page[1:]]
    i = chance.choices(range(1, len(page)), weights)[0]
    if page[i].role in TEXT_BOXES and "disabled" not in page[i].state:
        texts = strings(goal) or [""]
        return Action("type", i, chance.choice(texts))
    return Action("click", i)
