"""A sample in single pictures, each readable on a phone: from above, every camera, every class of a segmentation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Int64
from matplotlib.figure import Figure
from torch import Tensor

from avjepa.data.sample import Sample
from avjepa.report.bev import Detections, draw_bev, legend_handles, square_extent
from avjepa.report.cameras import draw_camera, mosaic, projected_edges
from avjepa.report.images import png_of
from avjepa.report.page import Picture, ReportPage
from avjepa.report.segmentation import ClassMap, class_map_handles, draw_class_map
from avjepa.report.style import CLASSES, picture

_SIDE = 6.4  # inches


@dataclass(frozen=True)
class SamplePictures:
    """Of one sample."""

    above: tuple[Picture, ...]
    """Square: the scene, then the classes of a segmentation over the truth."""
    cameras: tuple[Picture, ...]

    def add_to(self, page: ReportPage) -> None:
        """The cameras as they stand on the vehicle, three in a row on a wide screen; then what is seen from above."""
        if self.cameras:
            page.add_gallery(self.cameras)
        page.add_gallery(self.above, least=24.0)


def sample_pictures(
    sample: Sample,
    detections: Detections | None = None,
    *,
    segmentation: Sequence[ClassMap] = (),
    reach: float = 52.0,
    classes: Sequence[str] = CLASSES,
) -> SamplePictures:
    """The sample from above out to ``reach`` metres and in its cameras, with the labels and detections that there are.

    What can be seen in each is counted in its text for screen readers.
    """
    above = Picture(
        png_of(_above(sample, detections, reach, classes)),
        "from above; forward is up",
        f"{sample.scene} from above to {reach:g} m: {_said(sample, detections, None, classes)}",
    )
    maps = [Picture(png_of(_class_map(one, reach)), one.name.replace("_", " "), _told(one)) for one in segmentation]
    cameras = sample.cameras
    if cameras is None:
        return SamplePictures((above, *maps), ())
    shown = []
    for channel in (name for row in mosaic(cameras.rig) for name in row if name in cameras.channels):
        camera = cameras.channels.index(channel)
        said = _said(sample, detections, camera, classes)
        figure = _camera(sample, camera, detections, classes)
        shown.append(Picture(png_of(figure, 100.0), channel, f"image of {channel}: {said}"))
    return SamplePictures((above, *maps), tuple(shown))


@picture
def _above(sample: Sample, detections: Detections | None, reach: float, classes: Sequence[str]) -> Figure:
    figure = Figure(figsize=(_SIDE, _SIDE * 1.12), layout="constrained")
    draw_bev(figure.add_subplot(), sample, square_extent(reach), detections, classes)
    if handles := legend_handles(sample, detections, classes):
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


@picture
def _camera(sample: Sample, camera: int, detections: Detections | None, classes: Sequence[str]) -> Figure:
    assert sample.cameras is not None
    height, width = sample.cameras.images.shape[-2:]
    figure = Figure(figsize=(_SIDE, _SIDE * height / width))
    draw_camera(figure.add_axes((0, 0, 1, 1)), sample.cameras, camera, sample, detections, classes)
    return figure


@picture
def _class_map(shown: ClassMap, reach: float) -> Figure:
    figure = Figure(figsize=(_SIDE, _SIDE * 1.08), layout="constrained")
    draw_class_map(figure.add_subplot(), shown, square_extent(reach))
    figure.legend(handles=class_map_handles(), loc="outside lower center", ncols=4)
    return figure


def _told(shown: ClassMap) -> str:
    """Numbers of cells, in words."""
    predicted, present = shown.predicted & shown.known, shown.present & shown.known
    found, missed, made_up = (
        int(cells.sum()) for cells in (predicted & present, present & ~predicted, predicted & ~present)
    )
    return f"map of {shown.name.replace('_', ' ')}: {found} cells found, {missed} missed, {made_up} not there"


def _said(sample: Sample, detections: Detections | None, camera: int | None, classes: Sequence[str]) -> str:
    """What is drawn, in words: numbers of boxes by class, in a camera's image those that reach into it."""
    parts = []
    if sample.labels is not None:
        visible = _visible(sample, sample.labels.boxes, sample.labels.class_index, camera)
        parts.append(f"annotated are {_counted(visible, classes)}")
    if detections is not None:
        visible = _visible(sample, detections[0], detections[2], camera)
        parts.append(f"found are {_counted(visible, classes)}")
    return "; ".join(parts) or "no box"


def _visible(sample: Sample, boxes: Tensor, class_index: Int64[Tensor, "box"], camera: int | None) -> list[int]:
    if camera is None:
        return class_index.tolist()
    assert sample.cameras is not None
    height, width = sample.cameras.images.shape[-2:]
    pose, intrinsics = sample.cameras.bev_from_camera[camera], sample.cameras.intrinsics[camera]
    inside = sorted(set(projected_edges(boxes, pose, intrinsics, width, height).box.tolist()))
    return class_index.cpu()[inside].tolist()


def _counted(class_index: Sequence[int], classes: Sequence[str]) -> str:
    numbers = Counter(classes[index].replace("_", " ") for index in class_index)
    return ", ".join(f"{number} {name}" for name, number in numbers.most_common()) or "no box"
