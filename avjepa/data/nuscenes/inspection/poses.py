"""Do vehicles and sensors stand upright, and do vehicles drive where they look, with the rotations as they are read?"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64
from scipy.spatial.transform import Rotation

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.inspection.report import Finding
from avjepa.data.nuscenes.inspection.sampling import share, spread

_POSES = 2000
_UPRIGHT = 0.94  # cosine of the tilt: 20 degrees are a steep road, and few sensors are mounted so
_FEW = 0.2  # share of poses that may be tilted
_UNIT = 0.01  # by how much the length of a quaternion may differ from 1
_MOVING = 2.0  # m/s
_ENOUGH = 10  # poses of a moving vehicle without which nothing is said of its heading
_ALONG = 0.9  # cosine between heading and motion


def pose_findings(index: DatasetIndex) -> list[Finding]:
    """Quaternions that are none, vehicles and sensors that stand upright only if w comes last, and vehicles that do not
    look where they drive."""
    chosen = spread(len(index.record_timestamp), _POSES)
    found = []
    lengths = np.linalg.norm(index.stored_rotations(chosen), axis=1)
    if share(np.abs(lengths - 1) > _UNIT) > _FEW:
        problem = (
            f"quaternions of length {np.median(lengths):.3g} (median), not 1: they may be no rotations; check them"
        )
        found.append(Finding(f"{index.version}/ego_pose.json", problem))
    rotations = index.global_from_ego(chosen)[:, :3, :3].numpy()
    if _stored_as_xyzw(rotations, column=2, sign=1.0):
        found.append(_finding(index, "ego_pose", "the vehicle lies on its side or roof"))
    else:
        found += _heading(index)
    if _stored_as_xyzw(_mountings(index, index.sensors.lidar), column=2, sign=1.0):
        found.append(_finding(index, "calibrated_sensor", "LiDARs lie on their side or stand on their head"))
    if _stored_as_xyzw(_mountings(index, index.sensors.cameras), column=1, sign=-1.0):
        found.append(_finding(index, "calibrated_sensor", "the cameras' y axis (down) does not point down"))
    return found


def _heading(index: DatasetIndex) -> list[Finding]:
    """A warning where the vehicle drives sideways or backwards most of the time."""
    agreement = []
    for scene in range(len(index.scene_names)):
        group = next((group for channel in index.channels if (group := index.records(channel, scene))), range(0))
        poses = index.global_from_ego(np.asarray(group, np.int64)).numpy()
        seconds = np.diff(index.record_timestamp[group.start : group.stop]) * 1e-6
        motion = np.diff(poses[:, :2, 3], axis=0)
        distance = np.linalg.norm(motion, axis=1)
        moving = distance > _MOVING * seconds
        ahead = (motion * poses[:-1, :2, 0]).sum(axis=1)
        agreement.append(ahead[moving] / distance[moving])
    cosines = np.concatenate([np.zeros(0), *agreement])
    if len(cosines) < _ENOUGH or np.median(cosines) > _ALONG:
        return []
    degrees = np.degrees(np.arccos(np.median(cosines)))
    problem = (
        f"the vehicle drives {degrees:.0f} degrees off its heading (median); rotations must be quaternions w, x, y, z "
        "that turn the frame of the vehicle (x forward, y left, z up) into the global frame"
    )
    return [Finding(f"{index.version}/ego_pose.json", problem)]


def _finding(index: DatasetIndex, table: str, problem: str) -> Finding:
    remedy = "the quaternions seem to be stored as x, y, z, w: store w first"
    return Finding(f"{index.version}/{table}.json", f"as the rotations are read (w, x, y, z), {problem}; {remedy}")


def _mountings(index: DatasetIndex, channels: Sequence[str]) -> Float64[Array, "channel 3 3"]:
    """How the sensor of every channel that recorded anything is turned on the vehicle, at its first record."""
    groups = [
        next((group for scene in range(len(index.scene_names)) if (group := index.records(channel, scene))), range(0))
        for channel in channels
    ]
    firsts = np.array([group[0] for group in groups if group], np.int64)
    rotations: Array = index.ego_from_sensor(firsts)[:, :3, :3].numpy()
    return rotations


def _stored_as_xyzw(rotations: Float64[Array, "pose 3 3"], column: int, sign: float) -> bool:
    """Whether an axis that points up (down for a negative sign) in most poses does so only in the other order."""
    if not len(rotations) or share(_stands(rotations, column, sign)) >= 1 - _FEW:
        return False
    w, x, y, z = Rotation.from_matrix(rotations).as_quat()[:, [3, 0, 1, 2]].T  # what was stored, in its order
    reordered = Rotation.from_quat(np.stack((w, x, y, z), axis=1)).as_matrix()  # scipy takes x, y, z, w
    return share(_stands(reordered, column, sign)) >= 1 - _FEW


def _stands(rotations: Float64[Array, "pose 3 3"], column: int, sign: float) -> Bool[Array, "pose"]:
    upright: Array = sign * rotations[:, 2, column] > _UPRIGHT
    return upright
