"""Figures and pictures as the bytes that a page embeds."""

import io
import re

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from avjepa.report.style import CANVAS, INK, RULE

_WIDEST = 1700  # pixels; wider than any column of a page on a high-density screen
_JPEG_QUALITY = 86

_DARK_INK = "#e4e8ee"
_DARK_RULE = "#39434f"


def png_of(figure: Figure, dots_per_inch: float = 125.0) -> bytes:
    """A figure of the world on its dark canvas as PNG."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"savefig.facecolor": CANVAS}):
        figure.savefig(buffer, format="png", dpi=dots_per_inch)
    return buffer.getvalue()


def chart_png_of(chart: Figure, dots_per_inch: float = 110.0) -> bytes:
    """A chart, whose ink is dark, on white as PNG: for pages that show no SVG."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"savefig.facecolor": "white"}):
        chart.savefig(buffer, format="png", dpi=dots_per_inch)
    return buffer.getvalue()


def svg_of(chart: Figure) -> bytes:
    """A chart as SVG whose ink follows the reader's light or dark setting; equal charts give equal bytes."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "avjepa"}):
        chart.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text[text.index("<svg") :]
    text = text.replace(INK, "var(--ink)").replace(RULE, "var(--rule)")
    style = (
        f"<style>:root{{--ink:{INK};--rule:{RULE}}}"
        f"@media(prefers-color-scheme:dark){{:root{{--ink:{_DARK_INK};--rule:{_DARK_RULE}}}}}</style>"
    )
    end_of_tag = text.index(">") + 1
    return (text[:end_of_tag] + style + text[end_of_tag:]).encode()


def smallest_encoding(picture: bytes) -> tuple[str, bytes, int, int]:
    """A picture as JPEG or optimised PNG, whichever is smaller: media type, bytes, width and height in pixels.

    Pictures too wide for a page are scaled down; transparency becomes the dark canvas.
    """
    image = Image.open(io.BytesIO(picture))
    if image.mode in ("RGBA", "LA", "P"):
        rgba = image.convert("RGBA")
        image = Image.new("RGB", image.size, CANVAS)
        image.paste(rgba, mask=rgba.getchannel("A"))
    image = image.convert("RGB")
    if image.width > _WIDEST:
        image = image.resize((_WIDEST, round(image.height * _WIDEST / image.width)), Image.Resampling.LANCZOS)
    encodings = []
    for media, options in (
        ("image/jpeg", {"quality": _JPEG_QUALITY, "subsampling": 0}),
        ("image/png", {"optimize": True}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, format=media.removeprefix("image/"), **options)
        encodings.append((media, buffer.getvalue()))
    media, smallest = min(encodings, key=lambda encoding: len(encoding[1]))
    return media, smallest, image.width, image.height
