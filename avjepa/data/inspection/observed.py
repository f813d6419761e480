"""What clouds of some keyframes hold around the boxes, in the level frame: counted after our own transforms."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from avjepa.data.arrays import Array
from avjepa.data.inspection.labelled import spread
from avjepa.data.labels import Labels
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs, recorded_sensors
from avjepa.errors import BadFileError
from avjepa.geometry.boxes import indices_in_boxes, points_in_boxes

_NEAR = (3.0, 20.0)  # metres from the vehicle in which the ground is looked for
_SLAB = 0.2  # metres
_FEWEST = 5  # points that tell of an object's height
_CORE = 0.9  # of a footprint: points at its rim are of the ground
_HEIGHTS = np.arange(-10.0, 10.0 + _SLAB, _SLAB)


@dataclass(frozen=True)
class Cloud:
    """Of one keyframe."""

    heights: Int64[Array, "slab"]
    """Number of points by height, in slabs of 0.2 m from -10 m; what is beyond is in the first and the last."""
    ground: float
    """The height of the slab that holds most points near the vehicle (m); NaN where there is none."""
    lag: float
    """Largest age of a point of the reference sweeps (s): by how much several LiDARs differ."""


@dataclass(frozen=True)
class Observed:
    """Boxes of classes in keyframes that were looked at, and their clouds."""

    clouds: tuple[Cloud, ...]
    class_index: Int64[Array, "box"]
    stored: Int64[Array, "box"]
    """LiDAR points as the data set says; -1 where it does not."""
    inside: Int64[Array, "box"]
    """LiDAR points counted; -1 where there is no cloud."""
    height: Float64[Array, "box"]
    """Median height of the points above a footprint, seen from the box's centre, in heights of the box; NaN for few."""
    misplaced: Float64[Array, "box"]
    """Distance (m) between the box that is taught and the one that is scored; NaN where there is none."""
    radar_lags: tuple[float, ...]
    """Age of the oldest return of each keyframe's newest radar sweeps (s)."""
    unread: tuple[str, ...]
    """Keyframes of which a file could not be read."""

    def share_below(self, z: float) -> float:
        """Share of the points of all clouds below a height (m)."""
        return self._share(_HEIGHTS[1:] <= z + 1e-6)

    def share_above(self, z: float) -> float:
        """Share of the points of all clouds above a height (m)."""
        return self._share(_HEIGHTS[:-1] >= z - 1e-6)

    def ground(self) -> float:
        """Its height (m): the median of the keyframes; 0 where nobody saw it."""
        seen = [cloud.ground for cloud in self.clouds if np.isfinite(cloud.ground)]
        return float(np.median(seen)) if seen else 0.0

    def _share(self, slabs: Array) -> float:
        total = sum(cloud.heights for cloud in self.clouds)
        return float(np.sum(total * slabs) / max(np.sum(total), 1))


def observe(dataset: DrivingDataset, at_most: int, keyframe_done: Callable[[], object] = lambda: None) -> Observed:
    """Look into keyframes that are spread evenly over a data set.

    Args:
        dataset: which one.
        at_most: how many keyframes.
        keyframe_done: called after each.

    Raises:
        UserError: the annotations are missing or broken.
    """
    moments = dataset.moments(keyframes_only=True)
    moments = moments[spread(len(moments), at_most)]
    summary = dataset.boxes(moments)
    annotated = dataset.annotated_keyframes(sorted({dataset.scene_of(moment) for moment in moments.tolist()}))
    position = {token: place for place, token in enumerate(annotated.tokens)}
    there = recorded_sensors(dataset.channels, dataset.recorded_channels)
    inputs = SensorInputs(LidarSweeps(), RadarSweeps(1)).of(there)
    clouds, parts, radar_lags, unread = [], [], [], []
    for item, moment in enumerate(moments.tolist()):
        try:
            (sample,) = load_samples(dataset, moment, (inputs,))
            labels = dataset.labels(moment)
        except BadFileError as error:
            unread.append(f"{dataset.token_of(moment)}: {error}")
            keyframe_done()
            continue
        named = summary.number[summary.item == item]
        stored = np.full(len(labels), -1, np.int64)
        stored[named[named >= 0]] = summary.lidar_points[summary.item == item][named >= 0]
        inside, height = np.full(len(labels), -1, np.int64), np.full(len(labels), np.nan)
        if sample.lidar is not None and len(sample.lidar):
            clouds.append(_cloud(sample.lidar))
            inside, height = _in_boxes(sample.lidar[:, :3], labels.boxes)
        if sample.radar is not None and len(sample.radar):
            radar_lags.append(float(sample.radar[:, 3].abs().max()))
        rows = np.flatnonzero(annotated.keyframe == position.get(dataset.token_of(moment), -1))
        scored = dict(zip(annotated.track[rows].tolist(), annotated.boxes[rows, :3], strict=True))
        misplaced = _misplaced(labels, dataset.global_from_level(moment), scored)
        parts.append((labels.class_index.numpy(), stored, inside, height, misplaced))
        keyframe_done()
    nothing = np.zeros(0)
    whole, real = nothing.astype(np.int64), nothing
    empty = (whole, whole, whole, real, real)
    class_index, stored, inside, height, misplaced = (np.concatenate(own) for own in zip(empty, *parts, strict=True))
    return Observed(tuple(clouds), class_index, stored, inside, height, misplaced, tuple(radar_lags), tuple(unread))


def _cloud(points: Float[Tensor, "point 6"]) -> Cloud:
    xyz = points[:, :3].double().numpy()
    distance = np.hypot(xyz[:, 0], xyz[:, 1])
    near, edges = xyz[(distance > _NEAR[0]) & (distance < _NEAR[1]), 2], _HEIGHTS
    slabs = np.histogram(near, edges)[0]
    ground = float(edges[slabs.argmax()] + _SLAB / 2) if slabs.any() else np.nan
    heights = np.histogram(xyz[:, 2].clip(edges[0], edges[-1]), edges)[0]
    return Cloud(heights.astype(np.int64), ground, float(points[:, 4].abs().max()))


def _in_boxes(
    xyz: Float[Tensor, "point 3"], boxes: Float[Tensor, "box 9"]
) -> tuple[Int64[Array, "box"], Float64[Array, "box"]]:
    """Points in every box, and the median height of those over its footprint, up to a height above and below."""
    column = boxes.clone()
    column[:, 5] *= 2  # from one height below the centre to one above
    inside, height = np.zeros(len(boxes), np.int64), np.full(len(boxes), np.nan)
    for row, points in enumerate(indices_in_boxes(xyz, column)):
        box, own = boxes[row : row + 1], xyz[points]
        inside[row] = int(points_in_boxes(own, box).sum())
        core = torch.cat((box[:, :3], box[:, 3:5] * _CORE, 2 * box[:, 5:6], box[:, 6:]), dim=1)
        core_points = own[points_in_boxes(own, core)[0]]
        if len(core_points) >= _FEWEST and float(box[0, 5]) > 0:
            height[row] = float(((core_points[:, 2] - box[0, 2]) / box[0, 5]).median())
    return inside, height


def _misplaced(
    labels: Labels, global_from_level: Float64[Tensor, "4 4"], scored: dict[int, Array]
) -> Float64[Array, "box"]:
    centres = labels.boxes[:, :3].double() @ global_from_level[:3, :3].T + global_from_level[:3, 3]
    found = [scored.get(track, np.full(3, np.nan)) for track in labels.track_ids.tolist()]
    distance: Array = np.linalg.norm(centres.numpy() - np.array(found).reshape(-1, 3), axis=1)
    return distance
