"""The built pages: no other host, working links, texts for images, a phone's width.

They are built once from the committed outputs, as `make render` does.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

import build_site
import project

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import book_local  # noqa: E402

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
                 if p), None)
browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def html() -> Path:
    """Folder of the pages, built with warnings as errors."""
    answer = subprocess.run([sys.executable, str(ROOT / "tools" / "build_site.py")],
                            capture_output=True, text=True, cwd=ROOT)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    index = Path(answer.stdout.strip().splitlines()[-1])
    assert index.is_file() and index.name == "index.html"
    return index.parent


@pytest.fixture(scope="module")
def pages(html) -> dict[Path, BeautifulSoup]:
    found = {p: BeautifulSoup(p.read_text("utf-8"), "html.parser") for p in html.rglob("*.html")
             if "_static" not in p.parts}
    assert len(found) >= 5
    return found


def toc() -> list[str]:
    table = yaml.safe_load((ROOT / "_toc.yml").read_text())
    names = [table["root"]]
    for part in table["parts"]:
        names += [chapter["file"] for chapter in part["chapters"]]
    return names


def test_table_of_contents_names_every_page_and_only_pages():
    there = {f"notebooks/{name}" for name in project.chapters()}
    there |= {f"book/{p.stem}" for p in (ROOT / "book").glob("*.md")}
    assert set(toc()) == there and len(toc()) == len(set(toc()))
    notebooks = [n for n in toc() if n.startswith("notebooks/")]
    assert notebooks == sorted(notebooks)


def test_pages_load_nothing_from_elsewhere(pages):
    loads = {"script": "src", "img": "src", "iframe": "src", "video": "src", "source": "src",
             "audio": "src", "embed": "src", "object": "data"}
    wrong = []
    for path, page in pages.items():
        for tag, attribute in loads.items():
            wrong += [(path.name, n[attribute]) for n in page.find_all(tag, **{attribute: True})
                      if re.match(r"(https?:)?//", n[attribute])]
        wrong += [(path.name, n["href"]) for n in page.find_all("link", href=True)
                  if re.match(r"(https?:)?//", n["href"]) and "canonical" not in n.get("rel", [])]
        for script in page.find_all("script", src=False):
            wrong += [(path.name, m) for m in re.findall(
                r"https?://[\w.-]*(?:unpkg|jsdelivr|cdnjs|googleapis|gstatic)[\w./-]*",
                script.get_text())]
    assert not wrong, wrong[:10]


def test_style_sheets_load_nothing_from_elsewhere(html):
    wrong = []
    for path in html.rglob("*.css"):
        wrong += [(path.name, url) for url in re.findall(
            r"""(?:url\(|@import)\s*['"]?((?:https?:)?//[^'")\s]+)""", path.read_text("utf-8"))]
    assert not wrong, wrong


def test_links_lead_somewhere(pages, html):
    anchors = {path: {n["id"] for n in page.find_all(id=True)} |
               {n["name"] for n in page.find_all("a", attrs={"name": True})}
               for path, page in pages.items()}
    wrong = []
    for path, page in pages.items():
        for tag, attribute in (("a", "href"), ("img", "src"), ("script", "src"), ("link", "href"),
                               ("source", "src"), ("video", "src")):
            for node in page.find_all(tag, **{attribute: True}):
                link = urllib.parse.urlsplit(node[attribute])
                if link.scheme or link.netloc or node[attribute] in ("#", ""):
                    continue
                target = (path.parent / urllib.parse.unquote(link.path)).resolve() \
                    if link.path else path
                if not target.is_file():
                    wrong.append((path.name, node[attribute]))
                elif link.fragment and target in anchors and urllib.parse.unquote(
                        link.fragment) not in anchors[target] | {"", "top"}:
                    wrong.append((path.name, node[attribute]))
    assert not wrong, wrong[:10]


def test_links_are_relative_so_that_pages_open_from_a_folder(pages):
    for path, page in pages.items():
        for node in page.find_all(["a", "img", "script", "link"]):
            link = node.get("href") or node.get("src") or ""
            assert not re.match(r"/(?!/)", link), (path.name, link)


def test_every_image_has_a_text(pages):
    wrong = [(path.name, str(image)[:120]) for path, page in pages.items()
             for image in page.find_all("img") if not image.get("alt", "").strip()
             or re.search(r"[0-9a-f]{40}|\.png$", image["alt"])]
    assert not wrong, wrong[:10]


def test_pages_say_their_language_and_have_one_title(pages, html):
    for path, page in pages.items():
        if path == html / "index.html":
            continue  # the redirect to the first page
        assert page.html.get("lang") == "en", path.name
        assert page.title.get_text().strip()
        article = page.find("article")
        if path.stem in {name.split("/")[1] for name in toc()}:
            assert len(article.find_all("h1")) == 1, path.name


def test_formulas_come_with_the_pages(pages, html):
    bundle = html / "_static" / "vendor" / "mathjax" / "tex-mml-chtml.js"
    assert bundle.stat().st_size > 500_000
    assert len(list((bundle.parent / "output").rglob("*.woff"))) > 20
    for page in pages.values():
        for script in page.find_all("script", src=True):
            if "mathjax" in script["src"].lower():
                assert "vendor/mathjax" in script["src"]


def test_without_mathjax_pages_are_still_built(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build_site, "mathjax_folder", lambda: None)
    assert build_site.vendor_mathjax(tmp_path) is False
    assert "formulas will show as TeX" in capsys.readouterr().out
    assert (tmp_path / "tex-mml-chtml.js").is_file()


def test_chapters_carry_the_numbers_of_their_files(pages):
    for name in [n.split("/")[1] for n in toc() if n.startswith("notebooks/")]:
        page = next(p for path, p in pages.items() if path.stem == name)
        number = f"{int(name[:2])}. "
        assert page.find("article").h1.get_text().startswith(number), name
        assert page.find("nav", class_="bd-docs-nav").find(
            "li", class_="current").get_text().strip().startswith(number), name


def test_intervals_are_not_torn(pages):
    for path, page in pages.items():
        if path.stem in {"results", "checklist", "07_rlvr_text_game"}:
            cells = [n.get_text() for n in page.find("article").find_all(["td", "p"])]
            assert any(re.search(r"\d \[[+-]?[\d.]+,\u00a0", cell) for cell in cells), path.stem
            assert not [c for c in cells if re.search(r"\[[+-]?[\d.]+, [+-]?[\d.]+\]", c)]


@pytest.mark.parametrize("html, kept", [
    ("<td>76.4 [73.9, 79.7]</td>", "<td>76.4 [73.9,\u00a079.7]</td>"),
    ("-1 [-2, +1,000.5] points", "-1 [-2,\u00a0+1,000.5] points"),
    ("[\u22122.0, 1] <pre>[1, 2]</pre>", "[\u22122.0,\u00a01] <pre>[1, 2]</pre>"),
    ("[1, 2, 3] and [a, b]", "[1, 2, 3] and [a, b]")])
def test_intervals_are_kept_together_outside_of_program_text(html, kept):
    assert book_local.keep_together(html) == kept


def test_results_in_sentences_have_the_units_of_the_results_page():
    row = {"decoding": "greedy", "subset": "all", "metric": "f1", "mean": .764, "low": .739,
           "high": .797}
    frames = row | {"metric": "lpips", "mean": -.0153, "low": -.0209, "high": .005}
    record = {"rows": [row | {"method": "mle"}],
              "differences": [r | {"a": "rlvr", "b": "mle"} for r in (row, frames)]}
    assert book_local.look_up(record, "mle/greedy/all/f1") == "76.4 % [73.9, 79.7]"
    assert book_local.look_up(
        record, "rlvr-mle/greedy/all/f1") == "+76.4 [+73.9, +79.7] points"
    assert book_local.look_up(
        record, "rlvr-mle/greedy/all/lpips") == "-1.53 [-2.09, +0.50] (x 100)"


def test_launch_buttons_lead_to_the_repository(pages):
    for name in [n.split("/")[1] for n in toc() if n.startswith("notebooks/")]:
        page = next(p for path, p in pages.items() if path.stem == name)
        links = {a["href"] for a in page.find_all("a", href=True)}
        assert project.colab_url(name) in links


def test_nothing_is_rendered_twice(html):
    index = html / "index.html"
    before = index.stat().st_mtime_ns
    subprocess.run([sys.executable, str(ROOT / "tools" / "build_site.py")], check=True,
                   capture_output=True, cwd=ROOT)
    assert index.stat().st_mtime_ns == before


# ---- in a browser ----------------------------------------------------------------------------

FRAME = """<!doctype html><meta charset="utf-8"><body style="margin:0"><pre id="out"></pre>
<script>
const pages = PAGES, out = [];
async function visit(url) {
  const frame = document.createElement("iframe");
  frame.width = 390; frame.height = 844; frame.src = url;
  const loaded = new Promise(done => frame.onload = done);
  document.body.append(frame);
  await loaded;
  await new Promise(done => setTimeout(done, 1500));
  const page = frame.contentDocument;
  out.push({url, scroll: page.documentElement.scrollWidth, inner: frame.contentWindow.innerWidth,
            formulas: page.querySelectorAll("mjx-container").length,
            math: page.querySelectorAll(".math").length});
  frame.remove();
}
(async () => {
  for (const url of pages) await visit(url);
  document.getElementById("out").textContent = "RESULT" + JSON.stringify(out) + "END";
})();
</script>"""


@browser
def test_a_phone_shows_the_pages_without_a_network(html, tmp_path):
    """390 px: the page never scrolls sideways; formulas are set; no request leaves the folder."""
    urls = [(html / f"{name}.html").as_uri() for name in toc()]
    (tmp_path / "frame.html").write_text(FRAME.replace("PAGES", json.dumps(urls)))
    log = tmp_path / "net.json"
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu",
               "--disable-web-security", "--allow-file-access-from-files",
               "--disable-site-isolation-trials",
               "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking",
               "--disable-component-update", "--no-first-run", "--disable-sync",
               f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
               "--virtual-time-budget=120000", "--window-size=1200,900", "--dump-dom",
               (tmp_path / "frame.html").as_uri()]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = re.search(r"RESULT(\[.*\])END", answer.stdout)
    assert found, answer.stdout[-500:] + answer.stderr[-500:]
    rows = json.loads(found[1].replace("&amp;", "&"))
    assert len(rows) == len(urls)
    for row in rows:
        assert row["inner"] == 390 and row["scroll"] <= 390, row
        assert row["formulas"] >= (row["math"] > 0), row
    asked = set(re.findall(r'"url":"(https?://[^"]+)"', log.read_text("utf-8")))
    browsers_own = re.compile(r"https?://[\w.-]*(google|gvt1|chromium)[\w.-]*/")
    assert not {url for url in asked if not browsers_own.match(url)}, asked
