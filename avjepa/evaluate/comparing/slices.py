"""Parts of the annotated boxes that are scored by themselves.

A detection that found a box of a part is a true positive there; one that found a box of another part counts neither for
nor against. A detection that found nothing counts against the part in which it lies itself, where a detection has the
property at all: its distance, size, speed and scene (as COCO does with areas). How visible an object is and how many
points it has is known of annotated boxes alone: a detection that found nothing counts against every part (as KITTI and
Waymo do with levels of difficulty), so that precision is lower there than among all boxes.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.protocol import AnnotatedKeyframes
from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.detection.box_table import BoxTable
from avjepa.evaluate.detection.ground_truth import GroundTruth

_DISTANCES = (20.0, 30.0, 40.0)
"""Metres from the ego vehicle."""
_POINTS = (5.0, 20.0, 100.0)
"""LiDAR and radar points together."""
_SPEEDS = (0.5, 5.0)
"""Metres a second; slower than the first is parked."""
_SIZES = (3.0, 8.0)
"""Longer side on the ground (m). Of a class amid whose boxes an edge lies, false positives change the part with every
bias of the sizes that are guessed; few classes have boxes about these."""
_VISIBILITIES = ("0-40 %", "40-60 %", "60-80 %", "80-100 %")
"""Levels 1 to 4 of nuScenes: how much of an object the cameras see."""
_DARK = ("night", "dusk")
"""Words of a scene's description."""


@dataclass(frozen=True)
class Slicing:
    """Parts by one property.

    Attributes:
        group: of the parts.
        names: of the parts, in order.
        of_truth: the part of each annotated box, -1 where nobody knows.
        of_predictions: the part in which a prediction lies; ``None`` where predictions do not have the property.
    """

    group: str
    names: tuple[str, ...]
    of_truth: Int64[Array, "box"]
    of_predictions: Callable[[BoxTable], Int64[Array, "prediction"]] | None


def slicings(
    annotated: AnnotatedKeyframes, truth: GroundTruth, taxonomy: Taxonomy, descriptions: Mapping[str, str]
) -> list[Slicing]:
    """All that the annotations tell of.

    Args:
        annotated: the keyframes.
        truth: of the same keyframes.
        taxonomy: their classes.
        descriptions: of scenes, by name.
    """
    result = [
        _by_value("distance", _DISTANCES, " m", lambda boxes: _distance(truth, boxes), truth),
        _by_value("size", _SIZES, " m", lambda boxes: boxes.size[:, :2].max(axis=1), truth),
        _by_value("speed", _SPEEDS, " m/s", lambda boxes: _speed(taxonomy, boxes), truth),
    ]
    visibility = annotated.visibility[truth.rows]
    if (visibility > 0).any():
        result.append(Slicing("visibility", _VISIBILITIES, visibility - 1, None))
    lidar, radar = annotated.lidar_points[truth.rows], annotated.radar_points[truth.rows]
    points = np.where((lidar < 0) & (radar < 0), np.nan, np.maximum(lidar, 0) + np.maximum(radar, 0.0))
    if not np.isnan(points).all():
        result.append(Slicing("points", _names(_POINTS, ""), _part(points, _POINTS), None))
    dark = np.array([any(word in descriptions.get(name, "").lower() for word in _DARK) for name in annotated.scenes])
    of_sample = dark[annotated.scene].astype(np.int64)
    if 0 < of_sample.sum() < len(of_sample):
        names = ("day", "night or dusk")
        result.append(Slicing("light", names, of_sample[truth.boxes.sample], lambda boxes: of_sample[boxes.sample]))
    return result


def _by_value(
    group: str,
    edges: Sequence[float],
    unit: str,
    value: Callable[[BoxTable], Float64[Array, "box"]],
    truth: GroundTruth,
) -> Slicing:
    return Slicing(
        group, _names(edges, unit), _part(value(truth.boxes), edges), lambda boxes: _part(value(boxes), edges)
    )


def _names(edges: Sequence[float], unit: str) -> tuple[str, ...]:
    inner = (f"{low:g}-{high:g}{unit}" for low, high in itertools.pairwise(edges))
    return (f"<{edges[0]:g}{unit}", *inner, f">={edges[-1]:g}{unit}")


def _part(values: Float64[Array, "box"], edges: Sequence[float]) -> Int64[Array, "box"]:
    """The part by value, an edge belonging to the higher part; -1 for NaN."""
    return np.where(np.isnan(values), -1, np.searchsorted(np.array(edges, float), values, side="right"))


def _distance(truth: GroundTruth, boxes: BoxTable) -> Float64[Array, "box"]:
    x, y = (boxes.translation[:, :2] - truth.region.vehicle[boxes.sample]).T
    result: Array = np.sqrt(x**2 + y**2)
    return result


def _speed(taxonomy: Taxonomy, boxes: BoxTable) -> Float64[Array, "box"]:
    """NaN also for classes of things that stand."""
    stands = np.array([name in taxonomy.without_velocity for name in taxonomy.classes])
    speed = np.sqrt((boxes.velocity**2).sum(axis=1))
    return np.where(stands[boxes.class_index], np.nan, speed)
