"""One HTML file that holds everything it shows: no script, no network, nothing beside it."""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from avjepa.files import write_text
from avjepa.report.images import smallest_encoding, svg_of
from avjepa.report.page_style import STYLE

Cell = str | float | int | None
"""A table's cell: text, a number (shown with up to three decimals), or ``None`` for what was not measured."""


class ReportPage:
    """Collects sections of text, tables and figures, then writes them as one page with a table of contents.

    All text is escaped. In ``add_text`` and captions, ``**bold**`` and `` `code` `` are marked up, an empty line starts
    a new paragraph, and lines that start with ``- `` are a list.

    Args:
        title: heading of the page.
        subtitle: a line below it.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._sections: list[tuple[str, list[str]]] = []

    def section(self, title: str) -> None:
        """Start a section; what is added from now on belongs to it."""
        self._sections.append((title, []))

    def add_text(self, text: str) -> None:
        """Add paragraphs and lists."""
        self._add(_blocks(text))

    def add_verdict(self, text: str) -> None:
        """Add a statement that the reader should not miss."""
        self._add(f'<div class="verdict">{_blocks(text)}</div>')

    def add_facts(self, facts: Mapping[str, Cell]) -> None:
        """Add names and values in a compact grid."""
        pairs = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(_shown(v))}</dd></div>" for k, v in facts.items())
        self._add(f'<dl class="facts">{pairs}</dl>')

    def add_table(self, rows: Sequence[Sequence[Cell]], header: Sequence[str], caption: str = "") -> None:
        """Add a table; columns whose cells are all numbers, or start like one, are aligned right.

        Raises:
            ValueError: a row is not as long as the header.
        """
        if any(len(row) != len(header) for row in rows):
            raise ValueError(f"table '{caption}': every row needs {len(header)} cells")
        numeric = [all(_looks_numeric(row[column]) for row in rows) for column in range(len(header))]
        kinds = [' class="number"' if n else "" for n in numeric]
        head = "".join(f'<th scope="col"{k}>{escape(h)}</th>' for h, k in zip(header, kinds, strict=True))
        body = "".join(
            "<tr>"
            + "".join(f"<td{k}>{escape(_shown(cell))}</td>" for cell, k in zip(row, kinds, strict=True))
            + "</tr>\n"
            for row in rows
        )
        title = f"<caption>{_inline(caption)}</caption>" if caption else ""
        self._add(
            f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'
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

    def write(self, path: Path) -> None:
        """Write the page to ``path``; whatever stood there is replaced only by the complete page."""
        write_text(path, self.html())

    def html(self) -> str:
        """The page."""
        contents = "".join(
            f'<li><a href="#part-{n}">{escape(title)}</a></li>'
            for n, (title, _) in enumerate(self._sections, 1)
            if title
        )
        parts = "\n".join(
            f'<section id="part-{n}">'
            + (f"<h2>{escape(title)}</h2>\n" if title else "")
            + "\n".join(blocks)
            + "</section>"
            for n, (title, blocks) in enumerate(self._sections, 1)
        )
        subtitle = f'<p class="subtitle">{_inline(self.subtitle)}</p>' if self.subtitle else ""
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{escape(self.title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
            f"<header><h1>{escape(self.title)}</h1>{subtitle}</header>\n"
            f'<nav aria-label="Contents"><ol>{contents}</ol></nav>\n<main>\n{parts}\n</main>\n</body>\n</html>\n'
        )

    def _add(self, block: str) -> None:
        if not self._sections:
            self.section("")
        self._sections[-1][1].append(block)

    def _add_image(self, media: str, data: bytes, width: int, height: int, caption: str, alt: str) -> None:
        source = f"data:{media};base64,{base64.b64encode(data).decode()}"
        kind = "chart" if media == "image/svg+xml" else "picture"
        self._add(
            f'<figure class="{kind}"><img src="{source}" width="{width}" height="{height}" alt="{escape(alt)}">'
            f"<figcaption>{_inline(caption)}</figcaption></figure>"
        )


def _inline(text: str) -> str:
    pieces = re.split(r"`([^`]+)`", escape(text))
    for index, piece in enumerate(pieces):
        if index % 2:
            pieces[index] = f"<code>{piece}</code>"
        else:
            pieces[index] = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", piece)
    return "".join(pieces)


def _blocks(text: str) -> str:
    blocks = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines and all(line.startswith("- ") for line in lines):
            blocks.append("<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>")
        else:
            blocks.append(f"<p>{_inline(' '.join(lines))}</p>")
    return "\n".join(blocks)


def _shown(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return "–"
    if isinstance(cell, float):
        return f"{cell:.3f}".rstrip("0").rstrip(".")
    return str(cell)


def _looks_numeric(cell: Cell) -> bool:
    return not isinstance(cell, str) or re.match(r"^([+\-−]?\d|–$)", cell) is not None
