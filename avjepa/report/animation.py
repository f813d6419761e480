"""A scene as an animated picture."""

import io
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.colors import to_rgb
from PIL import Image

from avjepa.data.sample import Sample
from avjepa.errors import UserError
from avjepa.files import replacing
from avjepa.report.bev import Detections
from avjepa.report.images import png_of
from avjepa.report.sample_figure import sample_figure
from avjepa.report.style import class_colours

_RESOLUTION = 66.0  # pixels per inch: 858 pixels wide
_COLOURS = 200
"""Of the pictures; those of the classes come to them."""
_LAST = 500  # milliseconds for which the last keyframe stands


def write_animation(
    out: Path, frames: Iterable[tuple[Sample, Detections | None]], classes: Sequence[str], note: str = ""
) -> None:
    """Write the keyframes of a scene as the GIF ``out``: cameras and views from above, as fast as the scene was.

    Raises:
        UserError: there is no keyframe.
    """
    images, times = [], []
    palette: Image.Image | None = None
    for sample, detections in frames:
        figure = sample_figure(sample, detections, classes=classes, note=note)
        picture = Image.open(io.BytesIO(png_of(figure, _RESOLUTION))).convert("RGB")
        palette = palette or _palette(picture, classes)  # one for all, so that nothing flickers
        images.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
        times.append(sample.timestamp)
    if not images:
        raise UserError("the scene has no keyframe to draw; choose another one")
    if len({image.size for image in images}) > 1:  # a keyframe without cameras is lower
        height = max(image.height for image in images)
        images = [_padded(image, height) for image in images]
    durations = [max(20, round((later - one) / 1000)) for one, later in pairwise(times)] + [_LAST]
    with replacing(out) as temporary:
        images[0].save(
            temporary, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=False
        )


def _palette(picture: Image.Image, classes: Sequence[str]) -> Image.Image:
    """The colours of a picture, and those of the classes: lines of theirs are too thin to be given any otherwise."""
    own = (picture.quantize(_COLOURS).getpalette() or [])[: 3 * _COLOURS]
    lines = [round(255 * part) for colour in class_colours(classes)[: 256 - _COLOURS] for part in to_rgb(colour)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(own + lines)
    return palette


def _padded(image: Image.Image, height: int) -> Image.Image:
    whole = Image.new("P", (image.width, height))
    whole.putpalette(image.getpalette() or [])
    whole.paste(image, (0, height - image.height))
    return whole
