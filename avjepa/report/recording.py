"""A scene as a recording that the Rerun viewer plays: what the sensors gave, boxes, and what a network made of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from matplotlib.colors import Normalize, to_rgb
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.sample import CameraImages, Sample
from avjepa.errors import UserError
from avjepa.files import replacing
from avjepa.geometry.grid import BEVGrid
from avjepa.report.bev import HEIGHT_COLOURS, HEIGHT_RANGE, RADAR_COLOUR, Detections
from avjepa.report.style import class_colours

if TYPE_CHECKING:
    import rerun

WORLD = "world"
"""The global frame, moved so that the first keyframe's level frame is near its origin: the viewer counts in float32."""
EGO = f"{WORLD}/ego"
"""The level frame, which moves through the world; everything that a sensor saw lies in it."""
_MASK_COLOUR = (238, 99, 57)
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class MapOfFrame:
    """What a network made of a keyframe, on its grid."""

    grid: BEVGrid
    colours: UInt8[Array, "y x 3"]
    """Of the cells' embeddings."""
    observed: Bool[Tensor, "y x"]
    """Cells about which a sensor said something; those alone are shown."""
    masked: Bool[Tensor, "y x"] | None
    """Cells that pre-training would hide; ``None`` where none are drawn."""


@dataclass(frozen=True)
class RecordedFrame:
    """One keyframe."""

    sample: Sample
    detections: Detections | None = None
    map: MapOfFrame | None = None


def write_recording(out: Path, frames: Iterable[RecordedFrame], classes: Sequence[str]) -> None:
    """Write the keyframes of a scene, in order of time, to the .rrd file ``out``; its timeline counts seconds.

    Raises:
        UserError: rerun-sdk is not installed.
    """
    rr = require_rerun()
    recording = None
    before: set[str] = set()
    origin, start = np.zeros(3), 0
    with replacing(out) as temporary:
        for frame in frames:
            if recording is None:
                origin, start = frame.sample.global_from_level[:3, 3].numpy(), frame.sample.timestamp
                recording = rr.RecordingStream("avjepa", recording_id=frame.sample.scene)
                recording.save(temporary, default_blueprint=_layout(frame.sample))
                recording.log(WORLD, rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
            recording.set_time("seconds", duration=(frame.sample.timestamp - start) * 1e-6)
            shown = list(_shown(rr, frame, origin, classes))
            for path, what in shown:
                recording.log(path, what)
            for path in before - {path for path, _ in shown}:
                recording.log(path, rr.Clear(recursive=False))  # the viewer would go on showing it
            before = {path for path, _ in shown}
        if recording is None:
            raise UserError("the scene has no keyframe to play; choose another one")
        recording.flush(blocking=True)
        recording.disconnect()


def require_rerun() -> Any:
    """The module ``rerun``.

    Raises:
        UserError: rerun-sdk is not installed.
    """
    try:
        import rerun
    except ImportError as error:
        raise UserError("--rerun: needs rerun-sdk; run pip install 'avjepa[rerun]'") from error
    return rerun


def _layout(sample: Sample) -> "rerun.blueprint.Blueprint":
    """The world on the left, the cameras on the right."""
    import rerun.blueprint as layout

    world = layout.Spatial3DView(origin=WORLD, name="world")
    if sample.cameras is None:
        return layout.Blueprint(world, collapse_panels=True)
    images = [layout.Spatial2DView(origin=f"{EGO}/{name}", name=name) for name in sample.cameras.channels]
    parts = layout.Horizontal(world, layout.Grid(*images), column_shares=[3, 2])
    return layout.Blueprint(parts, collapse_panels=True)


def _shown(
    rr: Any, frame: RecordedFrame, origin: Float64[Array, "3"], classes: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Paths and what is logged there."""
    sample, pose = frame.sample, frame.sample.global_from_level.numpy()
    yield EGO, rr.Transform3D(translation=pose[:3, 3] - origin, mat3x3=pose[:3, :3])
    if sample.lidar is not None:
        points = sample.lidar.numpy()
        colours = HEIGHT_COLOURS(Normalize(*HEIGHT_RANGE, clip=True)(points[:, 2]), bytes=True)
        yield f"{EGO}/lidar", rr.Points3D(points[:, :3], colors=colours, radii=0.04)
    if sample.radar is not None:
        points = sample.radar.numpy()
        velocity = points[:, [RADAR_FIELDS.index("vx_comp"), RADAR_FIELDS.index("vy_comp")]]
        vectors = np.concatenate((velocity, np.zeros((len(points), 1))), axis=1)
        colour = _bytes_of(RADAR_COLOUR)
        yield f"{EGO}/radar", rr.Arrows3D(origins=points[:, :3], vectors=vectors, colors=colour, radii=0.05)
    if sample.labels is not None:
        yield f"{EGO}/labels", _boxes(rr, sample.labels.boxes, sample.labels.class_index, classes)
    if frame.detections is not None:
        boxes, scores, class_index = frame.detections
        yield f"{EGO}/predictions", _boxes(rr, boxes, class_index, classes, scores.tolist())
    if sample.cameras is not None:
        for camera, name in enumerate(sample.cameras.channels):
            yield from _camera(rr, sample.cameras, camera, f"{EGO}/{name}")
    if frame.map is not None:
        yield from _map(rr, frame.map)


def _boxes(
    rr: Any,
    boxes: Float[Tensor, "box 9"],
    class_index: Int64[Tensor, "box"],
    classes: Sequence[str],
    scores: Sequence[float] | None = None,
) -> Any:
    """Labels are thin, predictions thick and with their score."""
    own = boxes.detach().double().numpy()
    half_turn = own[:, 6:7] / 2
    nothing = np.zeros_like(half_turn)
    colours = [_bytes_of(class_colours(classes)[index]) for index in class_index.tolist()]
    names = [classes[index] for index in class_index.tolist()]
    if scores is not None:
        names = [f"{name} {score:.2f}" for name, score in zip(names, scores, strict=True)]
    return rr.Boxes3D(
        centers=own[:, :3],
        half_sizes=own[:, 3:6] / 2,
        quaternions=np.concatenate((nothing, nothing, np.sin(half_turn), np.cos(half_turn)), axis=1),
        colors=colours,
        labels=names,
        show_labels=False,
        radii=0.03 if scores is None else 0.08,
    )


def _camera(rr: Any, cameras: CameraImages, camera: int, path: str) -> Iterator[tuple[str, Any]]:
    image = cameras.images[camera].permute(1, 2, 0).numpy()
    pose = cameras.bev_from_camera[camera].numpy()
    yield path, rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3])
    matrix = cameras.intrinsics[camera].numpy()
    resolution = [image.shape[1], image.shape[0]]
    yield path, rr.Pinhole(image_from_camera=matrix, resolution=resolution, image_plane_distance=1.5)
    yield path, rr.Image(image).compress(jpeg_quality=_JPEG_QUALITY)


def _map(rr: Any, shown: MapOfFrame) -> Iterator[tuple[str, Any]]:
    """A dot in every cell: of the embeddings just below the ground, of the mask just above."""
    centres = shown.grid.centres().numpy()
    radius = 0.45 * shown.grid.cell

    def dots(cells: Bool[Array, "y x"], height: float, colours: Any) -> Any:
        chosen = centres[cells]
        places = np.concatenate((chosen, np.full((len(chosen), 1), height)), axis=1)
        return rr.Points3D(places, colors=colours, radii=radius)

    observed = shown.observed.numpy()
    yield f"{EGO}/embeddings", dots(observed, -0.5, shown.colours[observed])
    if shown.masked is not None:
        yield f"{EGO}/mask", dots(shown.masked.numpy(), 0.5, _MASK_COLOUR)


def _bytes_of(colour: str) -> list[int]:
    return [round(255 * part) for part in to_rgb(colour)]
