"""Poses as 4×4 arrays, named ``dst_from_src``.

In numpy: a sample needs a dozen operations on a handful of poses, and each of torch's takes several times as long.
"""

import numpy as np
from jaxtyping import Float64

from avjepa.data.arrays import Array


def _rotation_terms() -> Float64[Array, "16 9"]:
    """Coefficients of the products w·w, w·x, ... of a unit quaternion in its rotation matrix minus the identity."""
    w, x, y, z = range(4)
    rows = [
        [((y, y), -2), ((z, z), -2)], [((x, y), 2), ((w, z), -2)], [((x, z), 2), ((w, y), 2)],
        [((x, y), 2), ((w, z), 2)], [((x, x), -2), ((z, z), -2)], [((y, z), 2), ((w, x), -2)],
        [((x, z), 2), ((w, y), -2)], [((y, z), 2), ((w, x), 2)], [((x, x), -2), ((y, y), -2)],
    ]  # fmt: skip
    terms = np.zeros((4, 4, 9))
    for place, row in enumerate(rows):
        for factors, coefficient in row:
            terms[(*factors, place)] = coefficient
    return terms.reshape(16, 9)


_TERMS = _rotation_terms()


def pose_matrices(poses: Float64[Array, "pose 7"]) -> Float64[Array, "pose 4 4"]:
    """``dst_from_src`` of poses given as nuScenes gives them: quaternion (w, x, y, z) of any length, translation."""
    quaternions = poses[:, :4] / np.sqrt(np.square(poses[:, :4]).sum(1, keepdims=True))
    products = quaternions[:, :, None] * quaternions[:, None]
    matrices = np.zeros((len(poses), 4, 4))
    matrices[:, :3, :3] = (products.reshape(-1, 16) @ _TERMS).reshape(-1, 3, 3)
    matrices[:, :3, 3] = poses[:, 4:]
    matrices += np.eye(4)
    return matrices


def level_of(dst_from_src: Float64[Array, "4 4"]) -> Float64[Array, "4 4"]:
    """The pose with the same origin and heading but without pitch and roll: upright in ``dst`` (whose z axis is up)."""
    yaw = np.arctan2(dst_from_src[1, 0], dst_from_src[0, 0])
    level = np.eye(4)
    level[0, 0] = level[1, 1] = np.cos(yaw)
    level[1, 0] = np.sin(yaw)
    level[0, 1] = -level[1, 0]
    level[:3, 3] = dst_from_src[:3, 3]
    return level


def inverse_pose(dst_from_src: Float64[Array, "4 4"]) -> Float64[Array, "4 4"]:
    """``src_from_dst`` of a rotation and a translation."""
    inverse = np.eye(4)
    inverse[:3, :3] = dst_from_src[:3, :3].T
    inverse[:3, 3] = -(inverse[:3, :3] @ dst_from_src[:3, 3])
    return inverse
