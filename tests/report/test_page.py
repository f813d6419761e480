"""One page, whole and by itself."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from avjepa.report.curves import curves_figure
from avjepa.report.images import smallest_encoding, svg_of
from avjepa.report.page import ReportPage
from avjepa.report.style import INK

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Reader(HTMLParser):
    """Checks that elements nest, and collects text, attributes and ids."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def values(self, tag: str, name: str) -> list[str]:
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]


def picture(width: int = 40, height: int = 30) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def chart() -> Figure:
    return curves_figure({"run": {"train/loss": ([1, 2, 3], [3.0, 2.0, 1.0])}})


@pytest.fixture
def page(chart: Figure) -> ReportPage:
    page = ReportPage("Scores & <losses>", "of a `run`")
    page.section("First <section>")
    page.add_text(
        "One **bold** paragraph,\nstill the same.\n\n- an item\n- another with `a < b & **c**`\n\n<script>x()</script>"
    )
    page.add_facts({"torch": "2.13 <cpu>", "steps": 400, "missing": None})
    page.add_table([["car", 0.5, "12.0 ± 1.5"], ["<b>", None, float("nan")]], ["class", "AP", "mean"], "A & B")
    page.section("Figures")
    page.add_figure(chart, "a curve", 'alt "quoted" <text>')
    page.add_image(picture(), "a picture", "noise")
    return page


def test_the_page_is_well_formed_and_escaped(page: ReportPage) -> None:
    html = page.html()
    reader = Reader(html)
    assert html.startswith("<!DOCTYPE html>") and reader.values("html", "lang") == ["en"]
    assert "<script" not in html and "<b>" not in html
    for text in ("Scores & <losses>", "First <section>", "<script>x()</script>", "a < b & **c**", "2.13 <cpu>", "<b>"):
        assert text in reader.text, text
    assert 'alt "quoted" <text>' in reader.values("img", "alt")
    assert "<strong>bold</strong>" in html and html.count("<li>an item</li>") == 1


HOSTILE = """</style></section>"><script>alert('x')</script>{{ 7 * 7 }}{% raw %}&amp;"""


def test_names_of_strangers_are_text_wherever_they_stand(chart: Figure) -> None:
    """A scene or a class of somebody's data set may be called anything."""
    page = ReportPage(HOSTILE, HOSTILE)
    page.section(HOSTILE)
    page.add_text(f"{HOSTILE}\n\n- {HOSTILE}\n- **{HOSTILE}**")
    page.add_verdict(HOSTILE)
    page.add_facts({HOSTILE: HOSTILE})
    page.add_table([[HOSTILE]], [HOSTILE], HOSTILE)
    page.add_figure(chart, HOSTILE, HOSTILE)
    page.add_image(picture(), HOSTILE, HOSTILE)
    html = page.html()
    reader = Reader(html)
    assert "<script" not in html and reader.values("img", "alt") == [HOSTILE] * 2
    # title twice, subtitle, contents, heading, three of prose, verdict, two facts, three of the table, two captions
    assert reader.text.count(HOSTILE) == 16
    assert {tag for tag, _, _ in reader.attributes} <= {
        "html", "meta", "nav", "a", "section", "div", "dl", "th", "td", "figure", "img", "p"
    }  # fmt: skip


def test_the_page_needs_nothing_else(page: ReportPage) -> None:
    html = page.html()
    reader = Reader(html)
    sources = reader.values("img", "src")
    assert len(sources) == 2 and all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"https?:|url\(|@import|<link|<iframe|<object", html)
    ids = reader.values("section", "id")
    assert len(set(ids)) == len(ids)
    assert [f"#{name}" for name in ids] == reader.values("a", "href")


def test_images_decode(page: ReportPage) -> None:
    svg, raster = (source.split(",", 1) for source in Reader(page.html()).values("img", "src"))
    assert svg[0] == "data:image/svg+xml;base64" and b"</svg>" in base64.b64decode(svg[1])
    image = Image.open(io.BytesIO(base64.b64decode(raster[1])))
    assert image.size == (40, 30)


def test_numbers_are_aligned_and_missing_ones_dashed(page: ReportPage) -> None:
    html = page.html()
    assert '<th scope="col">class</th><th scope="col" class="number">AP</th>' in html
    assert '<td class="number">0.5</td>' in html
    assert Reader(html).text.count("–") == 3
    with pytest.raises(ValueError, match="3 cells"):
        page.add_table([[1, 2]], ["a", "b", "c"])


def test_a_failed_report_leaves_the_old_one(page: ReportPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    page.write(path)
    old = path.read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", lambda self, target: (_ for _ in ()).throw(OSError("disk full")))
    page.add_text("more")
    with pytest.raises(OSError, match="disk full"):
        page.write(path)
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_charts_follow_light_and_dark(chart: Figure) -> None:
    text = svg_of(chart).decode()
    assert INK not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert "var(--ink)" in text and "prefers-color-scheme:dark" in text and "<metadata" not in text
    assert svg_of(chart) == svg_of(chart)


def test_the_smaller_encoding_wins() -> None:
    flat = io.BytesIO()
    Image.new("RGBA", (300, 200), (10, 200, 30, 255)).save(flat, "PNG")
    assert smallest_encoding(flat.getvalue())[0] == "image/png"
    media, data, width, height = smallest_encoding(picture(3000, 500))
    assert media == "image/jpeg" and (width, height) == (1700, 283)
    assert Image.open(io.BytesIO(data)).size == (1700, 283)
