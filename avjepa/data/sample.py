"""What one moment of driving looks like in memory, before and after batching. Shapes are part of the types.

Frames. A moment's *level frame* has the origin and the heading of the ego pose at its reference time and its z axis up
in the world (x forward, y left, ground near z = 0): the vehicle's pitch and roll, some degrees when it brakes or stands
in a bend, are left out. Annotated boxes are upright in the world, so in this frame, and in no frame that pitches with
the vehicle, a box of nine numbers holds just the points that it holds in the world. The *BEV frame* of a sample is the
level frame after the augmentation that ``bev_from_level`` tells of. Points, boxes, velocities and camera poses are
brought into it from each sensor's own pose at its own time, pitch and roll included.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from torch import Tensor

from avjepa.data.labels import BoxQueries, Labels
from avjepa.geometry.grid import BEVGrid

SENSORS = ("camera", "lidar", "radar")
"""The kinds of sensors that a batch may hold."""
_FIELD_OF = {"camera": "cameras", "lidar": "lidar", "radar": "radar"}


@dataclass(frozen=True)
class CameraImages:
    """The images of one moment."""

    images: UInt8[Tensor, "camera 3 height width"]
    """RGB."""
    intrinsics: Float[Tensor, "camera 3 3"]
    """Pixels of *these* images (after resizing and cropping) from the camera frame (x right, y down, z forward)."""
    bev_from_camera: Float[Tensor, "camera 4 4"]
    """Pose of each camera at its own exposure time in the BEV frame of the sample, augmentation included."""
    channels: tuple[str, ...]
    rig: tuple[str, ...]
    """All cameras of the vehicle, in the order of a batch's cameras; some may have no image here."""


@dataclass(frozen=True)
class Sample:
    """What the sensors gave at one moment. A missing sensor is ``None``; a sensor that saw nothing has no rows."""

    token: str
    """Keyframe: the nuScenes sample token. Between keyframes: the sample_data token of the reference sweep."""
    scene: str
    timestamp: int
    """Microseconds, of the reference sweep."""
    seed: int
    """Random number of this draw: the next epoch draws the sample with another one, a resumed run with the same."""
    global_from_level: Float64[Tensor, "4 4"]
    """Pose of the level frame in the world: see above."""
    bev_from_level: Float[Tensor, "4 4"]
    """Identity without augmentation; otherwise the flip, rotation and scale that were applied."""
    lidar: Float[Tensor, "point 6"] | None = None
    """Columns: ``data.files.point_fields.LIDAR_FIELDS``."""
    radar: Float[Tensor, "radar_return 16"] | None = None
    """Columns: ``data.files.point_fields.RADAR_FIELDS``."""
    cameras: CameraImages | None = None
    labels: Labels | None = None
    """``None`` where labels were not asked for; zero boxes where there are none."""
    queries: BoxQueries | None = None
    """Boxes that a head is asked about; ``None`` where none asks."""
    drivable: Mapping[BEVGrid, UInt8[Tensor, "y x"]] = field(default_factory=dict)
    """On each grid that was asked for: 1 for cells of the BEV frame whose centre can be driven on, 0 for others, and
    ``data.map_mask.UNKNOWN``."""


def _mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple):
        return tuple(_mapped(item, function) for item in value)
    if isinstance(value, dict):
        return {key: _mapped(item, function) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return replace(value, **{f.name: _mapped(getattr(value, f.name), function) for f in fields(value)})
    return value


Movable = TypeVar("Movable", bound="_Movable")  # beartype cannot resolve typing.Self on a decorated method


class _Movable:
    """Gives a dataclass of tensors the methods that Lightning and ``DataLoader`` look for."""

    def mapped(self: Movable, function: Callable[[Tensor], Tensor]) -> Movable:
        """A copy with ``function`` applied to every tensor."""
        result: Movable = _mapped(self, function)
        return result

    def to(self: Movable, device: torch.device | str, non_blocking: bool = False) -> Movable:
        """A copy whose tensors live on ``device``."""
        return self.mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self: Movable) -> Movable:
        """A copy in page-locked memory, from which copies to the GPU need not wait."""
        return self.mapped(lambda tensor: tensor.pin_memory())


@dataclass(frozen=True)
class Points(_Movable):
    """The points of a batch in one tensor."""

    features: Float[Tensor, "point field"]
    """Columns: ``LIDAR_FIELDS`` or ``RADAR_FIELDS``; the first three are x, y, z in the BEV frame."""
    batch_index: Int64[Tensor, "point"]
    """Which sample of the batch a point belongs to; ascending."""
    present: Bool[Tensor, "batch"]
    """Whether the sample had the sensor at all."""

    @property
    def batch_size(self) -> int:
        """Number of samples, those without points included."""
        return self.present.shape[0]

    @property
    def xyz(self) -> Float[Tensor, "point 3"]:
        """Positions in the BEV frame (m)."""
        return self.features[:, :3]

    def selected(self, keep: Bool[Tensor, "point"]) -> "Points":
        """The points for which ``keep`` is true; a GPU is not waited for if ``keep`` lies in the CPU's memory."""
        return self.at(keep.nonzero()[:, 0].to(self.features.device, non_blocking=True))

    def at(self, rows: Int64[Tensor, "kept"]) -> "Points":
        """The points of these rows."""
        return Points(self.features[rows], self.batch_index[rows], self.present)


@dataclass(frozen=True)
class Cameras(_Movable):
    """The images of a batch; a missing image is zero and not ``present``."""

    images: UInt8[Tensor, "batch camera 3 height width"]
    intrinsics: Float[Tensor, "batch camera 3 3"]
    bev_from_camera: Float[Tensor, "batch camera 4 4"]
    present: Bool[Tensor, "batch camera"]


@dataclass(frozen=True)
class Batch(_Movable):
    """Samples stacked for a network. A sensor is ``None`` when no sample of the batch has it."""

    tokens: tuple[str, ...]
    scenes: tuple[str, ...]
    seeds: Int64[Tensor, "batch"]
    """``Sample.seed``: masks and input drop-out are drawn from it, per sample, so that they do not depend on how
    samples are spread over processes, nor on whether the run was interrupted."""
    global_from_level: Float64[Tensor, "batch 4 4"]
    """Pose of each sample's level frame."""
    bev_from_level: Float[Tensor, "batch 4 4"]
    lidar: Points | None = None
    radar: Points | None = None
    cameras: Cameras | None = None
    labels: tuple[Labels, ...] | None = None
    queries: tuple[BoxQueries, ...] | None = None
    drivable: Mapping[BEVGrid, UInt8[Tensor, "batch y x"]] = field(default_factory=dict)
    """As in ``Sample``: the grids that every sample has."""

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """A copy whose sensor data live on ``device``. Seeds, labels and queries, which the CPU reads, stay there."""
        sensed = replace(self, labels=None, queries=None)
        moved: Batch = sensed.mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))
        return replace(moved, seeds=self.seeds, labels=self.labels, queries=self.queries)

    @property
    def sensors(self) -> list[str]:
        """Those of which some sample has data."""
        return [name for name in SENSORS if getattr(self, _FIELD_OF[name]) is not None]

    def present(self, sensor: str) -> Bool[Tensor, "batch"]:
        """Which samples have data of a sensor: ``lidar``, ``camera``, ``radar``."""
        data = getattr(self, _FIELD_OF[sensor])
        if data is None:
            return torch.zeros(len(self), dtype=torch.bool, device=self.bev_from_level.device)
        present: Tensor = data.present
        return present.any(1) if sensor == "camera" else present

    def of_sensors(self, sensors: Collection[str]) -> "Batch":
        """The batch as if there were no other sensors than these."""
        return self._with({name: None for name in SENSORS if name not in sensors})

    def keeping(self, sensor: str, kept: Bool[Tensor, "batch"]) -> "Batch":
        """The batch as if the samples for which ``kept`` is false lacked a sensor."""
        data = getattr(self, _FIELD_OF[sensor])
        if data is None:
            return self
        here = kept.to(data.present.device, non_blocking=True)
        if sensor == "camera":
            return self._with({sensor: replace(data, present=data.present & here[:, None])})
        return self._with({sensor: replace(data.selected(here[data.batch_index]), present=data.present & here)})

    def _with(self, data: Mapping[str, Points | Cameras | None]) -> "Batch":
        changes: dict[str, Any] = {_FIELD_OF[name]: value for name, value in data.items()}
        return replace(self, **changes)

    def has_data(self) -> list[bool]:
        """Of every sample: whether any sensor gave data."""
        return torch.stack([self.present(name) for name in SENSORS]).any(0).tolist()


_SHARED = ("bev_from_level", "cameras")  # what two views may have as one object


@dataclass(frozen=True)
class PretrainBatch(_Movable):
    """Two views of the same moments. Neither carries labels.

    ``context`` holds what the sensors of that moment gave; ``target`` may know more (sweeps before and after, ego
    motion compensated) or be augmented differently (see ``bev_from_level`` of both). By default they are one object;
    where only their images or their frames are equal, ``cameras`` or ``bev_from_level`` is one object.
    """

    context: Batch
    target: Batch

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "PretrainBatch":
        """As for a batch; what both views have as one object stays one object."""
        return self._moved(lambda batch: batch.mapped(function))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "PretrainBatch":
        """As for a batch; what both views have as one object stays one object."""
        return self._moved(lambda batch: batch.to(device, non_blocking))

    def _moved(self, move: Callable[[Batch], Batch]) -> "PretrainBatch":
        context = move(self.context)
        if self.target is self.context:
            return PretrainBatch(context, context)
        shared = [name for name in _SHARED if getattr(self.target, name) is getattr(self.context, name)]
        target = move(replace(self.target, cameras=None) if "cameras" in shared else self.target)
        return PretrainBatch(context, replace(target, **{name: getattr(context, name) for name in shared}))

    def __len__(self) -> int:
        return len(self.context)
