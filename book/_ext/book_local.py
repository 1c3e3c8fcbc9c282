"""Sphinx extension of this book: results from results/*.json, chapter numbers, alt texts, no CDNs.

    ```{results-table} text_changed          a table of recorded numbers
    :subset: changed                          (filters: method, decoding, subset, metric)
    ```
    {result}`text_changed:rlvr/greedy/changed/exact`      one recorded number in a sentence
    {result}`text_changed:rlvr-mle/greedy/changed/exact`  a recorded difference
    {paper}`+30.7`                                        a number quoted from the paper
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from recorded_numbers import in_words
from sphinx.util.docutils import SphinxDirective, SphinxRole

COLUMNS = ("method", "decoding", "subset", "metric")


# ---- recorded numbers ------------------------------------------------------------------------


def load(source: Path, name: str) -> dict:
    """One results file; ValueError with the names that exist where it is missing."""
    path = source / "results" / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
        raise ValueError(f"results/{name}.json does not exist (there are: {known})")
    return json.loads(path.read_text(encoding="utf-8"))


def select(rows: list[dict], filters: dict[str, str]) -> list[dict]:
    """Rows whose columns are among the words of each filter."""
    chosen = {k: v.replace(",", " ").split() for k, v in filters.items() if v}
    return [r for r in rows if all(r.get(k) in words for k, words in chosen.items())]


class ResultsTable(SphinxDirective):
    """`{results-table} NAME`: rows or, with :differences:, paired differences of a result."""

    required_arguments = 1
    option_spec = {k: directives.unchanged for k in COLUMNS} | {
        "caption": directives.unchanged, "differences": directives.flag,
        "a": directives.unchanged, "b": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Build the table."""
        try:
            record = load(Path(self.env.srcdir), self.arguments[0])
        except ValueError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        self.env.note_dependency(f"results/{self.arguments[0]}.json")
        paired = "differences" in self.options
        keys = (("a", "b") if paired else ("method",)) + COLUMNS[1:]
        filters = {k: self.options.get(k, "") for k in keys}
        rows = select(record["differences" if paired else "rows"], filters)
        if not rows:
            return [self.state.document.reporter.warning(
                f"no row of results/{self.arguments[0]}.json matches {filters}",
                line=self.lineno)]
        varying = [k for k in keys if k in ("a", "b", "method") or len({r[k] for r in rows}) > 1]
        fixed = ", ".join(str(rows[0][k]) for k in keys if k not in varying)
        heads = [*varying, "a minus b [95 %]" if paired else "mean [95 %]"]
        heads += ["items"] if any("n" in r for r in rows) else []
        body = [[str(r[k]).replace("_", " ") for k in varying] + [in_words(r)]
                + ([str(r.get("n", ""))] if "items" in heads else []) for r in rows]
        caption = self.options.get("caption") or record.get("title", self.arguments[0])
        return [table(f"{caption} ({fixed})" if fixed else caption, heads, body)]


def table(caption: str, heads: list[str], body: list[list[str]]) -> nodes.table:
    """A docutils table."""
    group = nodes.tgroup(cols=len(heads))
    group += [nodes.colspec(colwidth=1) for _ in heads]

    def line(cells: list[str]) -> nodes.row:
        entries = [nodes.entry("", nodes.paragraph(text=cell)) for cell in cells]
        return nodes.row("", *entries)

    group += nodes.thead("", line(heads))
    group += nodes.tbody("", *[line(cells) for cells in body])
    return nodes.table("", nodes.title(text=caption), group, classes=["results"])


class Result(SphinxRole):
    """`{result}` role: FILE:METHOD/DECODING/SUBSET/METRIC, or A-B for a difference."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Look the number up."""
        try:
            name, _, path = self.text.partition(":")
            record = load(Path(self.env.srcdir), name)
            text = look_up(record, path)
        except (ValueError, KeyError) as error:
            return [], [self.inliner.reporter.warning(f"{self.text}: {error}", line=self.lineno)]
        self.env.note_dependency(f"results/{name}.json")
        return [nodes.inline(text, text, classes=["result"])], []


def look_up(record: dict, path: str) -> str:
    """The number behind METHOD/DECODING/SUBSET/METRIC.

    Raises:
        ValueError: not exactly one row matches.
    """
    parts = path.split("/", 2)
    if len(parts) != 3 or "/" not in parts[2]:
        raise ValueError("write FILE:METHOD/DECODING/SUBSET/METRIC")
    parts[2:] = parts[2].rsplit("/", 1)  # a subset may contain a slash: "family/changed"
    who = dict(zip(("a", "b"), parts[0].split("-"))) if "-" in parts[0] else {"method": parts[0]}
    wanted = who | dict(zip(COLUMNS[1:], parts[1:]))
    pool = record["differences"] if "a" in who else record["rows"]
    rows = [r for r in pool if all(r.get(k) == v for k, v in wanted.items())]
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} rows match {wanted}")
    return in_words(rows[0])


class Paper(SphinxRole):
    """`{paper}` role: a number that the paper reports, marked as such."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Mark the text."""
        return [nodes.inline(self.text, self.text, classes=["paper-number"])], []


# ---- pages without external loads, figures with alt ------------------------------------------


def local_scripts(app, page, template, context, doctree) -> None:
    """Drop scripts that would load from elsewhere (thebe) and those that are listed twice."""
    seen, kept = set(), []
    for script in context.get("script_files", []):
        attributes = getattr(script, "attributes", {})
        key = (str(getattr(script, "filename", script) or ""), attributes.get("body"))
        if key in seen or "thebe" in " ".join(map(str, key)).lower():
            continue
        seen.add(key)
        kept.append(script)
    context["script_files"] = kept
    context["css_files"] = [c for c in context.get("css_files", []) if "thebe" not in str(
        getattr(c, "filename", c))]


def number_chapters(app, doctree) -> None:
    """Titles of chapters begin with the number of their file: 07_rlvr_text_game is chapter 7."""
    file = re.match(r"notebooks/(\d+)_", app.env.docname)
    if file:
        next(doctree.findall(nodes.title)).insert(0, nodes.Text(f"{int(file[1])}. "))


INTERVAL = re.compile(r"\[([+\u2212-]?\d[\d.,]*), ([+\u2212-]?\d[\d.,]*)\]")


def keep_together(body: str) -> str:
    """HTML in which no line ends inside the brackets of an interval; program text stays."""
    parts = re.split(r"(<pre.*?</pre>)", body, flags=re.DOTALL)
    parts[::2] = [INTERVAL.sub("[\\1,\u00a0\\2]", part) for part in parts[::2]]
    return "".join(parts)


def whole_intervals(app, page, template, context, doctree) -> None:
    """Keep the intervals of a page together."""
    if "body" in context:
        context["body"] = keep_together(context["body"])


def keep_alt_text() -> None:
    """Let myst-nb take the alt text of a figure from the metadata of its output."""
    from myst_nb.core.render import NbElementRenderer

    original = NbElementRenderer.render_image

    def render_image(self, data):
        images = original(self, data)
        alt = data.output_metadata.get(data.mime_type, {}).get("alt")
        if alt:
            for image in images:
                image["alt"] = alt
        return images

    NbElementRenderer.render_image = render_image


FENCE = "\0"  # stands for three backticks while single ones are handled
LITERAL = re.compile(r"(?<!`)`([^`]+)`(?!`)")


def plain_docstring(app, what, name, thing, options, lines: list[str]) -> None:
    """Docstrings are written for readers of the code; let Sphinx read them without surprises.

    A module's text is shown as it stands. Elsewhere `code` becomes literal, and signs that
    mean something to reStructuredText are escaped.
    """
    if what == "module":
        lines[:] = [".. code-block:: text", "", *("   " + line for line in lines), ""]
        return
    text = "\n".join(lines).replace("```", FENCE)
    pieces = re.split(r"(``[^`]+``)", LITERAL.sub(r"``\1``", text))
    for i in range(0, len(pieces), 2):
        pieces[i] = re.sub(r"(?<!\\)([*|`])", r"\\\1", pieces[i])
        pieces[i] = re.sub(r"(\w)_(?=\W|$)", r"\1\\_", pieces[i])
    lines[:] = "".join(pieces).replace(FENCE, r"\`\`\`").split("\n")


def setup(app) -> dict:
    """Register everything with Sphinx."""
    app.add_directive("results-table", ResultsTable)
    app.add_role("result", Result())
    app.add_role("paper", Paper())
    app.connect("autodoc-process-docstring", plain_docstring, priority=100)
    app.connect("doctree-read", number_chapters, priority=100)  # before titles are collected
    app.connect("html-page-context", local_scripts, priority=900)
    app.connect("html-page-context", whole_intervals)
    keep_alt_text()
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
