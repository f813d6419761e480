"""The objects of a data set's scenes, as detections of its keyframes."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float64

from avjepa.data.arrays import Array
from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sensor_inputs import LidarSweeps, OnBadFile, SensorInputs, stop_at_bad_file
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.transforms import inverse
from avjepa.heads.detection.detections import Detections
from avjepa.pseudo_objects.classes import class_indices
from avjepa.pseudo_objects.scene import Objects, Sweep, objects_of_scene

_MARGIN = 3.0  # m: an object that ends within the range has its other end beyond
_OWN = ((-1.5, 4.5), 1.5)  # m: along and across the vehicle, around its reference point: points on itself


def found_in_scene(
    source: DrivingDataset, scene: str, on_bad_file: OnBadFile = stop_at_bad_file
) -> Iterator[tuple[int, Detections]]:
    """Every keyframe of a scene with a LiDAR sweep by its number, and the objects in its level frame, best first.

    No label is looked at. A keyframe without a sweep is left out: nobody knows what there is.

    Args:
        source: the data set.
        scene: the name of the scene.
        on_bad_file: called with every file that cannot be read.

    Raises:
        UserError: the taxonomy has no class of a usual size.
        BadFileError: if ``on_bad_file`` raises it.
    """
    indices = class_indices(source.taxonomy)
    moments = source.moments([scene])
    moments = moments[source.recorded("lidar")[moments]]
    keyframes = set(source.moments([scene], keyframes_only=True).tolist())
    if not len(moments):
        return
    first = source.global_from_level(int(moments[0])).numpy()[:3, 3]
    began = source.time_of(int(moments[0]))
    reach = max(source.taxonomy.ranges[source.taxonomy.classes[index]] for index in indices.values()) + _MARGIN
    sweeps, seen = [], []
    for moment in moments.tolist():
        (sample,) = load_samples(source, moment, (SensorInputs(LidarSweeps()),), on_bad_file=on_bad_file)
        level = np.zeros((0, 3)) if sample.lidar is None else sample.lidar[:, :3].double().numpy()
        pose = sample.global_from_level.numpy()
        points = level[_of_surroundings(level, reach)] @ pose[:3, :3].T + (pose[:3, 3] - first)
        heading = float(np.arctan2(pose[1, 0], pose[0, 0]))
        time = (sample.timestamp - began) * 1e-6
        is_keyframe = moment in keyframes and sample.lidar is not None
        sweeps.append(Sweep(time, points, pose[:2, 3] - first[:2], heading, is_keyframe))
        if is_keyframe:
            seen.append(moment)
    for moment, objects in zip(seen, objects_of_scene(sweeps, list(indices)), strict=True):
        yield moment, _detections(source, moment, objects, first)


def _of_surroundings(points: Float64[Array, "point 3"], reach: float) -> Bool[Array, "point"]:
    (behind, ahead), beside = _OWN
    own = (points[:, 0] > behind) & (points[:, 0] < ahead) & (np.abs(points[:, 1]) < beside)
    return np.asarray(~own & (np.linalg.norm(points[:, :2], axis=1) < reach))


def _detections(source: DrivingDataset, moment: int, objects: Objects, origin: Float64[Array, "3"]) -> Detections:
    """Objects of one keyframe in its level frame, those beyond the range of their class left out."""
    indices, taxonomy = class_indices(source.taxonomy), source.taxonomy
    boxes = torch.from_numpy(objects.boxes.copy())
    boxes[:, :3] += torch.from_numpy(origin)
    boxes = transform_boxes(inverse(source.global_from_level(moment)), boxes)
    index = torch.tensor([indices[kind] for kind in objects.kinds], dtype=torch.int64)
    ranges = torch.tensor([taxonomy.ranges[name] for name in taxonomy.classes])
    kept = boxes[:, :2].norm(dim=1) <= ranges[index]
    return Detections(boxes[kept].float(), torch.from_numpy(objects.scores)[kept].float(), index[kept])
