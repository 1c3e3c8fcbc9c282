"""Live web pages: MiniWoB++ in real headless Chromium, read through its accessibility tree.

What: `Browser` opens a seeded page, clicks and types with real mouse and keyboard events, and
gives the page as `web_pages.Page`. Needed to record and to check; the book runs without it.
Source: MiniWoB++ (Shi et al. 2017, Liu et al. 2018) and its own reward; the accessibility tree as
WebArena uses it (RLVR-World section 5.2).
Differs from the paper: time is virtual (after each action half a second passes at once, whatever
the machine), animations are off; the goal and the reward display are hidden from the tree; text
that can be clicked but is no link, and icons without a name, get a role; passwords are legible.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import os
import re
import shutil
from pathlib import Path

from rlvr_lite.worlds.web_pages import Action, Element, Page, quote
from rlvr_lite.worlds.web_policy import TEXT_BOXES

HINT = ("live pages need the pages and the driver (pip install 'rlvr-lite[web]') and Chromium "
        "(apt-get install chromium, or name it in the environment variable CHROMIUM)")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
         "--disable-background-networking", "--force-device-scale-factor=1", "--disable-lcd-text",
         "--hide-scrollbars", "--single-process"]  # one process takes half the time
PATIENCE = 30  # seconds; a browser in one process hangs once in ten thousand steps or so
SIZE = (160, 210)  # of a MiniWoB page, in pixels
LAYOUT = {"RootWebArea", "generic", "none", "InlineTextBox", "LineBreak", "paragraph", "LabelText",
          "list", "listitem", "ListMarker", "form", "table", "row", "cell", "rowgroup", "group",
          "rowheader", "columnheader", "gridcell", "MenuListPopup", "tabpanel", "tablist",
          "Section", "sectionheader", "sectionfooter", "region", "status", "menu", "Iframe",
          "LayoutTable", "LayoutTableRow", "LayoutTableCell", "navigation", "strong", "emphasis"}
RENAMED = {"StaticText": "text", "ComboBoxSelect": "combobox", "ListBoxOption": "option",
           "MenuListOption": "option", "image": "img", "spinbutton": "textbox"}
STATES = {"checked": ("unchecked", "checked"), "pressed": ("unpressed", "pressed"),
          "selected": ("unselected", "selected"), "expanded": ("collapsed", "expanded")}

# time stands still between actions; `rlvrPass` lets it pass and runs what is due, in order
CLOCK = """(() => {
  let now = 1e12, next = 1;
  const waiting = new Map(), RealDate = Date;
  const add = (f, wait, every, args) => {
    waiting.set(next, {at: now + Math.max(1, +wait || 0), f, every, args, id: next});
    return next++;
  };
  window.setTimeout = (f, wait, ...args) => add(f, wait, 0, args);
  window.setInterval = (f, wait, ...args) => add(f, wait, Math.max(1, +wait || 0), args);
  window.requestAnimationFrame = f => add(() => f(now), 16, 0, []);
  window.clearTimeout = window.clearInterval = window.cancelAnimationFrame =
    id => { waiting.delete(id); };
  window.Date = class extends RealDate {
    constructor(...args) { if (args.length) super(...args); else super(now); }
    static now() { return now; }
  };
  window.rlvrPass = time => {
    const end = now + time;
    for (;;) {
      const due = [...waiting.values()].sort((a, b) => a.at - b.at || a.id - b.id)[0];
      if (!due || due.at > end) break;
      now = due.at;
      if (due.every) due.at += due.every; else waiting.delete(due.id);
      if (typeof due.f === 'function') due.f(...due.args); else (0, eval)(due.f);
    }
    now = end;
  };
})();"""

START = """(() => {
  if (window.jQuery) jQuery.fx.off = true;
  if (!document.getElementById('rlvr-still')) {
    const style = document.createElement('style');
    style.id = 'rlvr-still';
    style.textContent = '* {transition: none !important; animation: none !important}';
    document.head.append(style);
  }
  document.activeElement.blur();
  core.EPISODE_MAX_TIME = 1e9;
  Math.seedrandom(SEED);
  core.startEpisodeReal();
})()"""

SETTLE = """(() => {
  const set = (e, name, value) => {
    if (e.getAttribute(name) !== value) e.setAttribute(name, value);
  };
  rlvrPass(500);
  document.querySelectorAll('#query, #reward-display, #sync-task-cover, #click-canvas, ' +
      '.ui-helper-hidden-accessible').forEach(e => set(e, 'aria-hidden', 'true'));
  document.querySelectorAll('input[type=password]').forEach(e => { e.type = 'text'; });
  document.querySelectorAll('#wrap *, .ui-dialog *, .ui-autocomplete *').forEach(e => {
    if (e.children.length || e.closest('#query, button, a[href], input, select, textarea, ' +
        '[role=tab], [role=menuitem], [role=option], [role=link]')) return;
    if (e.closest('.ui-autocomplete')) return set(e, 'role', 'menuitem');
    if (getComputedStyle(e).cursor !== 'pointer') return;
    if (e.textContent.trim()) return set(e, 'role', 'link');
    if (e.tagName !== 'SPAN') return;
    set(e, 'role', 'button');
    set(e, 'aria-label', (e.classList[0] || e.id).replaceAll('-', ' '));
    if (e.classList[0] === 'star')
      set(e, 'aria-pressed', String(e.classList.contains('clicked')));
  });
  return [WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL, core.getUtterance()];
})()"""

CHOOSE = """function () {
  const list = this.closest('select');
  if (list.multiple) this.selected = !this.selected; else list.selectedIndex = this.index;
  list.dispatchEvent(new Event('input', {bubbles: true}));
  list.dispatchEvent(new Event('change', {bubbles: true}));
}"""

RELOADED = ("click-menu-2",)  # the other pages leave nothing behind for the next seed


def missing() -> str:
    """What live pages lack here: an empty text where everything is there."""
    lacking = [n for n in ("miniwob", "playwright") if importlib.util.find_spec(n) is None]
    if not executable():
        lacking.append("chromium")
    return f"{' and '.join(lacking)} not found: {HINT}" if lacking else ""


def executable() -> str | None:
    """Chromium: the environment variable `CHROMIUM`, then the search path."""
    given = os.environ.get("CHROMIUM")
    return given or next(filter(None, map(shutil.which, NAMES)), None)


def pages_folder() -> Path:
    """The html files of the `miniwob` package, found without importing it."""
    found = importlib.util.find_spec("miniwob")
    if found is None:
        raise ImportError(missing())
    return Path(next(iter(found.submodule_search_locations))) / "html" / "miniwob"


class Browser:
    """One headless browser with one page; use it in a `with` block.

    Raises:
        ImportError: packages or Chromium are missing.
        TimeoutError: from any method, the browser hangs; open another one.
    """

    def __init__(self):
        if lacking := missing():
            raise ImportError(lacking)
        self._task, self._nodes, self._page, self._reward = "", [], (), 0.0

    def __enter__(self) -> Browser:
        from playwright.async_api import async_playwright

        self._loop = asyncio.new_event_loop()
        self._driver = self._wait(async_playwright().start())
        self._chromium = self._wait(self._driver.chromium.launch(
            executable_path=executable(), headless=True, args=FLAGS))
        self._tab = self._wait(self._chromium.new_page(viewport={"width": 340, "height": 220}))
        self._wait(self._tab.add_init_script(CLOCK))
        self._session = self._wait(self._tab.context.new_cdp_session(self._tab))
        self._send(*((f"{domain}.enable", {}) for domain in ("DOM", "Accessibility")))
        return self

    def __exit__(self, *error) -> None:
        with contextlib.suppress(TimeoutError):
            self._wait(self._chromium.close())
        with contextlib.suppress(TimeoutError):
            self._wait(self._driver.stop())
        self._loop.close()

    def reset(self, task: str, seed: int) -> tuple[str, Page]:
        """Open the page of a task and seed.

        Returns:
            goal, page.

        Raises:
            ValueError: no such task.
        """
        path = pages_folder() / f"{task}.html"
        if not path.is_file():
            raise ValueError(f"MiniWoB++ has no task {task!r}")
        self._send(("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": 335, "y": 215}))
        if task != self._task or task in RELOADED:
            self._wait(self._tab.goto(path.as_uri()))
            self._task = task
        goal = self._look(START.replace("SEED", str(seed)))
        return " ".join(goal.split()), self._page

    def step(self, action: Action) -> Page:
        """Click or type, let half a second pass, and read the page.

        Raises:
            ValueError: an element that is not there, or a text for what is no text box.
        """
        if not 0 < action.id < len(self._page):
            raise ValueError(f"{action}: the page has the elements 1 to {len(self._page) - 1}")
        if action.kind == "type" and self._page[action.id].role not in TEXT_BOXES:
            raise ValueError(f"{action}: element {action.id} is no text box")
        self._click(self._nodes[action.id], self._page[action.id].role)
        if action.kind == "type":
            self._send(("Runtime.evaluate", {"expression": "document.activeElement.select?.()"}))
            self._send(("Input.insertText", {"text": action.text}))
        self._look()
        return self._page

    def reward(self) -> float:
        """The page's own reward in [-1, 1], without MiniWoB's time penalty; 0 until the end."""
        return self._reward

    def screenshot(self, scale: int = 1) -> bytes:
        """The page as PNG, 160 x 210 pixels times `scale`, with the goal above it."""
        area = {"x": 0, "y": 0, "width": SIZE[0], "height": SIZE[1], "scale": scale}
        return base64.b64decode(self._send(("Page.captureScreenshot", {"clip": area}))[0]["data"])

    def _wait(self, work):
        return self._loop.run_until_complete(asyncio.wait_for(work, PATIENCE))

    def _send(self, *commands: tuple[str, dict]) -> list[dict]:
        """Answers to commands of the DevTools protocol, all sent before the first answer."""
        async def all_of_them():
            return await asyncio.gather(*(self._session.send(*command) for command in commands))

        return self._wait(all_of_them())

    def _click(self, node: int, role: str) -> None:
        if role == "option":
            handle = self._send(("DOM.resolveNode", {"backendNodeId": node}))[0]["object"]
            self._send(("Runtime.callFunctionOn", {"objectId": handle["objectId"],
                                                   "functionDeclaration": CHOOSE}))
            return
        try:
            found = self._send(("DOM.scrollIntoViewIfNeeded", {"backendNodeId": node}),
                               ("DOM.getContentQuads", {"backendNodeId": node}))
        except Exception as error:  # the driver's own class; an element without a size
            if "Could not compute" not in str(error) and "not have a layout" not in str(error):
                raise
            return
        quad = found[1]["quads"][0]
        mouse = {"x": sum(quad[::2]) / 4, "y": sum(quad[1::2]) / 4, "button": "left"}
        self._send(*(("Input.dispatchMouseEvent", mouse | event) for event in (
            {"type": "mouseMoved", "button": "none"}, {"type": "mousePressed", "clickCount": 1},
            {"type": "mouseReleased", "clickCount": 1})))

    def _look(self, start: str = "") -> str:
        """Let time pass, read the page and the reward; the goal of a page that starts."""
        script = {"expression": f"{start}; {SETTLE}", "returnByValue": True}
        told, tree = self._send(("Runtime.evaluate", script),
                                ("Accessibility.getFullAXTree", {}))
        if "exceptionDetails" in told:
            raise RuntimeError(f"the page failed: {told['exceptionDetails']}")
        done, self._reward, goal = told["result"]["value"]
        verdict = ("success" if self._reward >= 1 else "failure") if done else "ongoing"
        found = flatten(tree["nodes"])
        self._nodes = [0, *(node for node, _ in found)]
        self._page = (Element("page", "", verdict), *(element for _, element in found))
        return goal


def flatten(tree: list[dict]) -> list[tuple[int, Element]]:
    """Elements of an accessibility tree in reading order, each with its browser-side number.

    Left out: what only gives a layout, pictures without a name, and text that repeats the name
    of the element it belongs to.

    Args:
        tree: nodes as `Accessibility.getFullAXTree` of the DevTools protocol gives them.
    """
    nodes = {node["nodeId"]: node for node in tree}
    found: list[tuple[int, Element]] = []
    labels: set[int] = set()

    def visit(node: dict, above: Element, in_label: bool) -> None:
        role, name = node.get("role", {}).get("value", ""), _text(node, "name")
        role = RENAMED.get(role, role)
        in_label = in_label or role == "LabelText"
        if not (node.get("ignored") or role in LAYOUT or role in ("text", "img") and not name):
            if name and name in above.name and (role == "text" or above.role == "tab"):
                return
            if role == "text" and in_label:
                labels.add(len(found))
            above = Element(role, name, "" if above.role == "combobox" else _state(node, role))
            found.append((node["backendDOMNodeId"], above))
            if role in TEXT_BOXES:
                return
        for child in node.get("childIds", ()):
            if child in nodes:
                visit(nodes[child], above, in_label)

    visit(tree[0], Element(""), False)
    named = {element.name for _, element in found if element.role != "text"}
    return [pair for i, pair in enumerate(found) if i not in labels or pair[1].name not in named]


def _text(node: dict, key: str) -> str:
    """A text of a node in one line; symbols of icon fonts are left out."""
    text = str(node.get(key, {}).get("value", ""))
    return " ".join(re.sub("[\ue000-\uf8ff]", "", text).split())


def _state(node: dict, role: str) -> str:
    """The words of a state, see `Element.state`."""
    found = {p["name"]: p["value"].get("value") for p in node.get("properties", ())}
    words = ["disabled"] if found.get("disabled") else []
    for name, (off, on) in STATES.items():
        if name in found and not (name == "selected" and "expanded" in found):
            if name == "expanded" and role in ("combobox", *TEXT_BOXES):
                continue
            words.append(on if str(found[name]).lower() == "true" else off)
    if role in (*TEXT_BOXES, "combobox"):
        words.append("value " + quote(_text(node, "value")))
    return " ".join(words)
