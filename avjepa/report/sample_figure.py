"""One picture of one sample: what its cameras saw, and the scene from above."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from avjepa.data.sample import Sample
from avjepa.errors import counted
from avjepa.files import replacing
from avjepa.report.bev import (
    HEIGHT_COLOURS,
    HEIGHT_RANGE,
    Detections,
    draw_bev,
    legend_handles,
    square_extent,
)
from avjepa.report.cameras import draw_camera, mosaic
from avjepa.report.segmentation import ClassMap, class_map_handles, draw_class_map
from avjepa.report.style import CANVAS, CLASSES, picture

RESOLUTION = 125
"""Pixels per inch of saved pictures of scenes."""


_WIDTH = 13.0  # inches, as everything below
_GAP = 0.08
_TITLE = 0.4
_LEGEND = 0.62
_AXIS_LABELS = 0.6


@picture
def sample_figure(
    sample: Sample,
    detections: Detections | None = None,
    *,
    segmentation: Sequence[ClassMap] = (),
    reach: float = 52.0,
    classes: Sequence[str] = CLASSES,
    note: str = "",
) -> Figure:
    """The cameras above two views from above: out to ``reach`` metres, and the inner half of it.

    Below them, two in a row, the classes of a segmentation out to ``reach``. The title names the sample, the sensors
    that were there, and ends with ``note``.
    """
    camera_width = (_WIDTH - 4 * _GAP) / 3
    camera_height = 0.0
    rows: tuple[tuple[str, ...], ...] = ()
    if sample.cameras is not None:
        camera_height = camera_width * sample.cameras.images.shape[-2] / sample.cameras.images.shape[-1]
        rows = mosaic(sample.cameras.rig)
    bev_side = (_WIDTH - _GAP) / 2 - _AXIS_LABELS
    bev_top = _TITLE + len(rows) * (camera_height + _GAP) + _GAP
    maps_top, maps_row = bev_top + bev_side + _AXIS_LABELS, _TITLE + bev_side + _AXIS_LABELS
    height = maps_top + -(-len(segmentation) // 2) * maps_row + _LEGEND
    figure = Figure(figsize=(_WIDTH, height))

    def place(left: float, top: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / _WIDTH, 1 - (top + high) / height, wide / _WIDTH, high / height))

    if sample.cameras is not None:
        camera_of = {channel: camera for camera, channel in enumerate(sample.cameras.channels)}
        for row, channels in enumerate(rows):
            for column, channel in enumerate(channels):
                left = _GAP + column * (camera_width + _GAP)
                axes = place(left, _TITLE + row * (camera_height + _GAP), camera_width, camera_height)
                if channel in camera_of:
                    draw_camera(axes, sample.cameras, camera_of[channel], sample, detections, classes)
                else:
                    axes.set_axis_off()
                    axes.text(0.5, 0.5, f"{channel}: no image", ha="center", va="center", transform=axes.transAxes)

    for column, half_side in enumerate((reach, reach / 2)):
        left = _AXIS_LABELS + column * (bev_side + _AXIS_LABELS)
        draw_bev(place(left, bev_top, bev_side, bev_side), sample, square_extent(half_side), detections, classes)
    for number, shown in enumerate(segmentation):
        row, column = divmod(number, 2)
        left = _AXIS_LABELS + column * (bev_side + _AXIS_LABELS)
        top = maps_top + row * maps_row + _TITLE
        draw_class_map(place(left, top, bev_side, bev_side), shown, square_extent(reach))
    if sample.lidar is not None:
        scale = place(_AXIS_LABELS, height - 0.32, 1.9, 0.08)
        bar = figure.colorbar(
            ScalarMappable(Normalize(*HEIGHT_RANGE), HEIGHT_COLOURS), cax=scale, orientation="horizontal"
        )
        scale.set_title("height of points (m)", fontsize=7, fontweight="normal", pad=2, loc="center")
        scale.xaxis.set_ticks_position("top")
        scale.tick_params(labelsize=6.5, length=0, pad=1)
        scale.xaxis.set_ticks(range(int(HEIGHT_RANGE[0]), int(HEIGHT_RANGE[1]) + 1))
        bar.outline.set_visible(False)

    if segmentation:
        figure.legend(
            handles=class_map_handles(), loc="upper right", ncols=4, bbox_to_anchor=(1.0, 1 - maps_top / height)
        )
    handles = legend_handles(sample, detections, classes)
    if handles:
        lines = -(-len(handles) // 7)
        figure.legend(
            handles=handles, loc="lower center", ncols=-(-len(handles) // lines), borderaxespad=0.4,
            bbox_to_anchor=(0.5 + 1.3 / _WIDTH, 0.0),
        )  # fmt: skip
    facts = (sample.scene, f"{sample.timestamp / 1e6:.3f} s", sample.token, sensors_there(sample), note)
    figure.text(
        0.5, 1 - _TITLE / 2 / height, "  ·  ".join(fact for fact in facts if fact), fontsize=8.5,
        fontfamily="monospace", ha="center", va="center",
    )  # fmt: skip
    return figure


def sensors_there(sample: Sample) -> str:
    """The sensors that gave data, in words, and how many of the cameras."""
    cameras = sample.cameras
    images = "" if cameras is None else f"{len(cameras.channels)} of {counted(len(cameras.rig), 'camera')}"
    clouds = [name for name, cloud in (("LiDAR", sample.lidar), ("radar", sample.radar)) if cloud is not None]
    return ", ".join(name for name in (images, *clouds) if name) or "no sensor"


def draw_sample(
    sample: Sample,
    out: Path,
    detections: Detections | None = None,
    classes: Sequence[str] = CLASSES,
    segmentation: Sequence[ClassMap] = (),
    note: str = "",
) -> None:
    """Write the picture of a sample (``sample_figure``) to the PNG file ``out``."""
    figure = sample_figure(sample, detections, classes=classes, segmentation=segmentation, note=note)
    with replacing(out) as temporary, matplotlib.rc_context({"savefig.facecolor": CANVAS}):
        figure.savefig(temporary, format="png", dpi=RESOLUTION)
