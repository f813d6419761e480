"""Are the boxes where, how large, and turned as the tables' format says? Judged by how the objects move."""

import numpy as np
from jaxtyping import Bool, Float64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.inspection.report import Finding
from avjepa.data.nuscenes.inspection.sampling import share

_ENOUGH = 20  # boxes without which nothing is said
_MOVING = 2.0  # m/s: the direction of a slower object's velocity is mostly noise
_LONG = 3.0  # metres: people and cones have no length to speak of, vehicles have
_FASTEST = 60.0  # m/s
_FEW = 0.02  # share of boxes that may be odd
_NEAR = 300.0  # metres from the vehicle that a sensor may see
_ALONG = 0.9  # cosine between heading and motion; a quarter of a turn gives 0, headings at random 0.64
_X, _LENGTH, _WIDTH, _YAW, _VELOCITY = slice(0, 2), 3, 4, 6, slice(7, 9)


def box_findings(index: DatasetIndex, annotations: AnnotationIndex) -> list[Finding]:
    """Boxes that contradict the conventions of the table sample_annotation."""
    if not len(annotations):
        return []
    boxes = annotations.boxes
    moving = _speed(boxes) > _MOVING
    where = f"{index.version}/sample_annotation.json"
    checks = (_far_away(index, annotations), _too_fast(boxes), _size_order(boxes, moving), _heading(boxes, moving))
    return [Finding(where, problem) for problem in checks if problem]


def without_points(index: DatasetIndex, annotations: AnnotationIndex) -> list[Finding]:
    """A warning where no box holds a point: nothing would be taught and nothing scored."""
    points = annotations.lidar_points + annotations.radar_points
    if len(points) < _ENOUGH or (points != 0).any():
        return []
    problem = "num_lidar_pts and num_radar_pts are 0 in every box: no box would be taught or scored; count the points"
    return [Finding(f"{index.version}/sample_annotation.json", problem)]


def _speed(boxes: Float64[Array, "box 9"]) -> Float64[Array, "box"]:
    """m/s; 0 where unknown."""
    speed: Array = np.nan_to_num(np.linalg.norm(boxes[:, _VELOCITY], axis=1))
    return speed


def _far_away(index: DatasetIndex, annotations: AnnotationIndex) -> str:
    if not len(index.record_sample):
        return ""
    first = np.full(len(index.sample_timestamp), -1)
    first[index.record_sample[::-1]] = np.arange(len(index.record_sample))[::-1]
    counts = [len(annotations.of_sample(sample)) for sample in range(len(first))]
    sample = np.repeat(np.arange(len(first)), counts)
    known = first[sample] >= 0
    ego = index.global_from_ego(np.maximum(first, 0))[:, :2, 3].numpy()
    distance = np.linalg.norm(annotations.boxes[:, _X] - ego[sample], axis=1)[known]
    if len(distance) < _ENOUGH or np.median(distance) < _NEAR:
        return ""
    return (
        f"half of the boxes are {np.median(distance):.0f} m or more from the vehicle; translation and rotation must be "
        "in the global frame of ego_pose, not in that of the vehicle or a sensor"
    )


def _too_fast(boxes: Float64[Array, "box 9"]) -> str:
    known = np.isfinite(boxes[:, _VELOCITY]).all(axis=1)
    fast = _speed(boxes[known]) > _FASTEST
    if known.sum() < _ENOUGH or share(fast) < _FEW:
        return ""
    return (
        f"{share(fast):.0%} of the boxes move faster than {_FASTEST:.0f} m/s from keyframe to keyframe; check prev and "
        "next, the instance tokens and the unit of the timestamps"
    )


def _size_order(boxes: Float64[Array, "box 9"], moving: Bool[Array, "box"]) -> str:
    long = moving & (boxes[:, [_LENGTH, _WIDTH]].max(axis=1) > _LONG)
    wide = boxes[long, _LENGTH] < boxes[long, _WIDTH]
    if long.sum() < _ENOUGH or share(wide) < 0.5:
        return ""
    return (
        f"{share(wide):.0%} of the moving vehicles are wider than long; sizes must be stored as width, length, height "
        "(these seem to be length, width, height)"
    )


def _heading(boxes: Float64[Array, "box 9"], moving: Bool[Array, "box"]) -> str:
    chosen = boxes[moving & (boxes[:, [_LENGTH, _WIDTH]].max(axis=1) > _LONG)]
    if len(chosen) < _ENOUGH:
        return ""
    motion = np.arctan2(chosen[:, 8], chosen[:, 7])
    agreement = np.cos(chosen[:, _YAW] - motion)
    median = float(np.median(agreement))
    if median < -_ALONG:
        return "most moving vehicles drive backwards; the yaw of a box is the direction of its front"
    if np.median(np.abs(agreement)) > _ALONG:
        return ""
    if share(np.abs(np.cos(chosen[:, _YAW])) > 1 - 1e-9) > 0.9:
        return "all boxes look along x; the quaternions seem to be stored as x, y, z, w: store w first"
    degrees = np.degrees(np.arccos(np.median(np.abs(agreement))))
    return (
        f"moving vehicles head {degrees:.0f} degrees off their motion (median); rotations must be quaternions w, x, y, "
        "z of a turn counter-clockwise about z, from the x axis of the global frame to the front of the box"
    )
