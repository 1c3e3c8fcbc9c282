"""Scripted solvers of the web tasks: what a skilled user would do next on a page.

What: `solve(task, goal, page)` reads goal and page like anyone else and gives the next action, or
None where it does not know one. The recorder takes a quarter of its steps from here, so that pages
that end well are not rare.
Source: none; the tasks are MiniWoB++'s (Shi et al. 2017, Liu et al. 2018).
Differs from the paper: its web data come from a language model alone.
"""

from __future__ import annotations

import re

from rlvr_lite.worlds.web_pages import Action, Page
from rlvr_lite.worlds.web_policy import TEXT_BOXES, strings


def solve(task: str, goal: str, page: Page) -> Action | None:
    """The next action of a skilled user; None where the episode is over or nothing is known."""
    if page[0].state != "ongoing":
        return None
    return SOLVERS[task](goal, page)


def _ids(page: Page, *roles: str) -> list[int]:
    return [i for i, element in enumerate(page) if element.role in roles]


def _click(page: Page, name: str, *roles: str) -> Action | None:
    """A click on the first element of that name."""
    found = [i for i in _ids(page, *(roles or ("button", "link", "tab", "menuitem", "heading")))
             if page[i].name == name]
    return Action("click", found[0]) if found else None


def _fill(page: Page, texts: list[str]) -> Action | None:
    """Type the first text that does not stand in its box yet."""
    for i, text in zip(_ids(page, *TEXT_BOXES), texts):
        if page[i].value != text:
            return Action("type", i, text)
    return None


def _between(goal: str, start: str, end: str) -> str:
    return goal.partition(start)[2].partition(end)[0]


def _tick(goal: str, page: Page) -> Action | None:
    """Check boxes, radio buttons and lists: choose what is named, undo what is not, submit."""
    end = next(e for e in (" from the ", " and click") if e in goal)
    wanted = _between(goal, "Select ", end).split(", ")
    whole = ", ".join(wanted)
    for i in _ids(page, "checkbox", "radio", "option"):
        element = page[i]
        on = element.state in ("checked", "selected")
        want = element.name in wanted or element.name == whole
        if want != on and (want or element.role != "radio"):
            return Action("click", i)
    return _click(page, "Submit")


def _choose(goal: str, page: Page) -> Action | None:
    wanted = _between(goal, "Select ", " from the list")
    box = _ids(page, "combobox")[0]
    return _click(page, wanted, "option") if page[box].value != wanted else _click(page, "Submit")


def _type(goal: str, page: Page) -> Action | None:
    """Quoted strings into the boxes, in order; a single one into all; then the button."""
    if cancel := _click(page, "Cancel"):
        return cancel  # the pop-up
    boxes, texts = _ids(page, *TEXT_BOXES), strings(goal)
    action = _fill(page, texts if len(texts) == len(boxes) else texts[:1] * len(boxes))
    return action or Action("click", _ids(page, "button")[0])


def _quoted(goal: str, page: Page) -> Action | None:
    """Click what is quoted."""
    name = strings(goal)[0]
    return _click(page, name) or (_click(page, "Close") if name == "x" else None)


def _menu(goal: str, page: Page) -> Action | None:
    name = strings(goal)[-1]
    return _click(page, name) or _click(page, "Playback") or _click(page, "Menu")


def _form(goal: str, page: Page) -> Action | None:
    """`Check the 3rd radio button and enter the number "27" into the 1st textbox.`"""
    first, last = (int(n) - 1 for n in re.findall(r"(\d)(?:st|nd|rd|th)", goal))
    radio, box = _ids(page, "radio")[first], _ids(page, *TEXT_BOXES)[last]
    number = strings(goal)[0]
    if page[radio].state != "checked":
        return Action("click", radio)
    return Action("type", box, number) if page[box].value != number else _click(page, "Submit")


def _movies(goal: str, page: Page) -> Action | None:
    """Genre, director and year into the boxes whose label says so; the label may stand after."""
    found = re.fullmatch(r"Search for (\S+) movies directed by (.+) from year (\d+)\.", goal)
    texts = dict(zip(("genre", "direct", "year", "date"), (*found.groups(), found[3])))
    boxes, labels = _ids(page, *TEXT_BOXES), [i for i in _ids(page, "text")
                                              if page[i].name != "Movie Search"]
    for box, label in zip(boxes, labels):
        text = next((t for key, t in texts.items() if key in page[label].name.lower()), "")
        if text and page[box].value != text:
            return Action("type", box, text)
    return Action("click", _ids(page, "button", "link")[-1])


def _unfold(goal: str, page: Page) -> Action | None:
    """The link if it can be seen, else the tab after the open one."""
    if action := _click(page, strings(goal)[0], "link"):
        return action
    tabs = _ids(page, "tab")
    last = max((k for k, i in enumerate(tabs) if page[i].state == "expanded"), default=-1)
    return Action("click", tabs[(last + 1) % len(tabs)])


def _search(goal: str, page: Page) -> Action | None:
    name, number = strings(goal)[0], int(re.search(r"(\d)(?:st|nd|rd|th)", goal)[1]) - 1
    if page[1].value != name:
        return Action("type", 1, name)
    links = _ids(page, "link")
    pages = [i for i in links if page[i].name in ("<", "1", "2", "3", ">")]
    if not links:
        return _click(page, "Search")
    shown = 0 if page[pages[0]].name != "<" else 2 if page[pages[-1]].name != ">" else 1
    if shown != number // 3:
        return _click(page, str(number // 3 + 1), "link")
    return Action("click", links[number % 3])


def _contact(goal: str, page: Page) -> Action | None:
    name = _between(goal, "Find ", " in the contact book")
    if page[1].name == name:
        order = ("phone", "email", "address")
        which = next(k for k, word in enumerate(order) if f"their {word}" in goal)
        return Action("click", _ids(page, "link")[which])
    return _click(page, ">") or _click(page, "<")


def _mail(goal: str, page: Page) -> Action | None:
    """Star and trash stand behind the sender; reply and forward want the mail opened."""
    name = re.search(r"email by (\w+)", goal)[1]
    kind = next(k for k in ("reply", "forward", "trash", "star") if k in goal)
    if action := _click(page, f"send {kind}"):
        text = strings(goal) if kind == "reply" else [re.search(r" to (\S+)\.$", goal)[1]]
        return _fill(page, text) or action
    if kind in ("reply", "forward") and (action := _click(page, kind.capitalize())):
        return action
    if cancel := _click(page, "search cancel"):
        return cancel
    sender = next((i for i in _ids(page, "link", "text") if page[i].name == name), None)
    if sender is None:
        return _click(page, "close email") or _click(page, "close forward") or \
            _click(page, "close reply")
    if kind in ("reply", "forward"):
        return Action("click", sender)
    after = [i for i in _ids(page, "button") if page[i].name == kind and
             (i > sender or page[sender].role == "text")]
    return Action("click", after[0]) if after else None


def _complete(goal: str, page: Page) -> Action | None:
    """Type the beginning, then choose the first offer with the right end."""
    start, *end = strings(goal)
    box = _ids(page, *TEXT_BOXES)[0]
    value = page[box].value
    if value.startswith(start) and value.endswith("".join(end)):
        return _click(page, "Submit")
    offers = [i for i in _ids(page, "menuitem")
              if page[i].name.startswith(start) and page[i].name.endswith("".join(end))]
    return Action("click", offers[0]) if offers else Action("type", box, start)


SOLVERS = {
    "click-checkboxes": _tick, "click-option": _tick, "click-scroll-list": _tick,
    "choose-list": _choose, "enter-text": _type, "enter-password": _type, "login-user": _type,
    "login-user-popup": _type, "click-dialog-2": _quoted, "click-link": _quoted,
    "click-button": _quoted, "click-menu-2": _menu, "form-sequence-2": _form,
    "multi-layouts": _movies, "multi-orderings": _movies, "click-tab-2-hard": _unfold,
    "click-collapsible-2-nodelay": _unfold, "search-engine": _search, "phone-book": _contact,
    "email-inbox-noscroll": _mail, "use-autocomplete-nodelay": _complete,
}
