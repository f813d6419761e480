"""One HTML file that holds everything it shows: no script, no network, nothing beside it."""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from avjepa.files import write_text
from avjepa.report.images import smallest_encoding, svg_of
from avjepa.report.page_style import STYLE

Cell = str | float | int | None
"""A table's cell: text, a number (shown with up to three decimals), or ``None`` for what was not measured."""

Span = tuple[str, str]
"""``("text", ...)``, ``("bold", ...)`` or ``("code", ...)``."""


@dataclass(frozen=True)
class Picture:
    """One of a gallery."""

    png: bytes
    caption: str
    alt: str
    """What it shows, for those who cannot see it."""


@dataclass
class _Section:
    """A heading and what stands below it, as ``page.html.jinja`` reads it."""

    number: int
    title: str
    blocks: list[dict[str, Any]] = field(default_factory=list)


class ReportPage:
    """Collects sections of text, tables and figures, then writes them as one page with a table of contents.

    The template engine escapes all text. In ``add_text`` and captions, ``**bold**`` and `` `code` `` are marked up, an
    empty line starts a new paragraph, and lines that start with ``- `` are a list.

    Args:
        title: heading of the page.
        subtitle: a line below it.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._sections: list[_Section] = []

    def section(self, title: str) -> None:
        """Start a section; what is added from now on belongs to it."""
        self._sections.append(_Section(len(self._sections) + 1, title))

    def add_text(self, text: str) -> None:
        """Add paragraphs and lists."""
        self._add("prose", paragraphs=_paragraphs(text))

    def add_verdict(self, text: str) -> None:
        """Add a statement that the reader should not miss."""
        self._add("verdict", paragraphs=_paragraphs(text))

    def add_facts(self, facts: Mapping[str, Cell]) -> None:
        """Add names and values in a compact grid."""
        self._add("facts", facts=[(name, _shown(value)) for name, value in facts.items()])

    def add_table(self, rows: Sequence[Sequence[Cell]], header: Sequence[str], caption: str = "") -> None:
        """Add a table; columns whose cells are all numbers, or start like one, are aligned right.

        Raises:
            ValueError: a row is not as long as the header.
        """
        if any(len(row) != len(header) for row in rows):
            raise ValueError(f"table '{caption}': every row needs {len(header)} cells")
        numeric = [all(_looks_numeric(row[column]) for row in rows) for column in range(len(header))]
        columns = [{"heading": h, "numeric": n} for h, n in zip(header, numeric, strict=True)]
        self._add(
            "table", columns=columns, rows=[[_shown(cell) for cell in row] for row in rows], caption=_spans(caption)
        )

    def add_figure(self, figure: Figure, caption: str, alt: str) -> None:
        """Add a chart as a vector graphic that adapts to light and dark screens.

        Args:
            figure: a chart of this package.
            caption: what to see in it.
            alt: what it shows, for those who cannot see it.
        """
        width, height = (round(96 * side) for side in figure.get_size_inches())
        self._add_image("image/svg+xml", svg_of(figure), width, height, caption, alt)

    def add_image(self, picture: bytes, caption: str, alt: str) -> None:
        """Add a PNG or JPEG picture, re-encoded as small as it gets without visible loss."""
        self._add_image(*smallest_encoding(picture), caption, alt)

    def add_gallery(self, pictures: Sequence[Picture], least: float = 17.0) -> None:
        """Add pictures side by side, as many as fit: below each other on a phone.

        Args:
            pictures: of one shape.
            least: how wide each is at least, where the screen is: in widths of a capital letter or so (rem).
        """
        shown = [_image(*smallest_encoding(one.png), one.caption, one.alt) for one in pictures]
        self._add("gallery", pictures=shown, least=least)

    def write(self, path: Path) -> None:
        """Write the page to ``path``; whatever stood there is replaced only by the complete page."""
        write_text(path, self.html())

    def html(self) -> str:
        """The page."""
        return _TEMPLATE.render(
            title=self.title, subtitle=_spans(self.subtitle), style=Markup(STYLE), sections=self._sections
        )

    def _add(self, kind: str, **content: Any) -> None:
        if not self._sections:
            self.section("")
        self._sections[-1].blocks.append({"kind": kind, **content})

    def _add_image(self, media: str, data: bytes, width: int, height: int, caption: str, alt: str) -> None:
        kind = "chart" if media == "image/svg+xml" else "picture"
        self._add(kind, **_image(media, data, width, height, caption, alt))


_TEMPLATE = Environment(
    loader=PackageLoader("avjepa.report", "."),
    autoescape=True,
    undefined=StrictUndefined,
    keep_trailing_newline=True,
).get_template("page.html.jinja")


def _image(media: str, data: bytes, width: int, height: int, caption: str, alt: str) -> dict[str, Any]:
    """An image as the template reads it.

    Raises:
        ValueError: nothing is said to those who cannot see it.
    """
    if not alt.strip():
        raise ValueError(f"picture '{caption}': needs a text for those who cannot see it")
    source = f"data:{media};base64,{base64.b64encode(data).decode()}"
    return {"source": source, "width": width, "height": height, "caption": _spans(caption), "alt": alt}


def _spans(text: str) -> list[Span]:
    """What is marked as code first, then what is bold in the rest."""
    spans: list[Span] = []
    for index, piece in enumerate(re.split(r"`([^`]+)`", text)):
        if index % 2:
            spans.append(("code", piece))
        else:
            parts = re.split(r"\*\*(.+?)\*\*", piece)
            spans += [("bold" if place % 2 else "text", part) for place, part in enumerate(parts) if part]
    return spans


def _paragraphs(text: str) -> list[dict[str, Any]]:
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.splitlines()]
        is_list = bool(lines) and all(line.startswith("- ") for line in lines)
        shown = [line[2:] for line in lines] if is_list else [" ".join(lines)]
        paragraphs.append({"is_list": is_list, "lines": [_spans(line) for line in shown]})
    return paragraphs


def _shown(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "–"
    if isinstance(cell, float):
        return f"{cell:.3f}".rstrip("0").rstrip(".")
    return str(cell)


def _looks_numeric(cell: Cell) -> bool:
    return not isinstance(cell, str) or re.match(r"^([+\-−]?\d|–$)", cell) is not None
