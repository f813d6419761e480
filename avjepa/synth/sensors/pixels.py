"""What stands before the pixels of a camera, without a ray for each.

Rays go through every second pixel, the black squares of a chessboard. A pixel whose four neighbours show one triangle
shows it, too, and inverse depth changes evenly along a plane; any other pixel gets a ray of its own. Edges are exact;
only what fills a single pixel amid one triangle can escape.
"""

import numpy as np

from avjepa.synth.arrays import FloatArray
from avjepa.synth.sensors.casting import Moment
from avjepa.synth.sensors.hits import Hits


def standing_in_image(moment: Moment, origin: FloatArray, directions: FloatArray, forward: FloatArray) -> Hits:
    """First hits with what stands, along the rays of all pixels, row by row.

    Args:
        moment: the street.
        origin: (3,), of the camera.
        directions: (3, height * width), unit length, global frame.
        forward: (height, width), the part of each direction along the optical axis.
    """
    shape = forward.shape
    distance, face = np.ones(shape, np.float32), np.zeros(shape, np.int32)
    white, towards = np.ones(shape, bool), directions.reshape(3, *shape)
    for first in (0, 1):
        black = (slice(first, None, 2), slice(first, None, 2))
        depths, faces = moment.standing(origin, towards[:, *black].reshape(3, -1))
        white[black] = False
        distance[black], face[black] = depths.reshape(face[black].shape), faces.reshape(face[black].shape)
    left, right, above, below = face[1:-1, :-2], face[1:-1, 2:], face[:-2, 1:-1], face[2:, 1:-1]
    white[1:-1, 1:-1] &= (left != right) | (above != below) | (left != above)
    with np.errstate(divide="ignore"):
        inverse = 1 / (distance * forward)
        for row, column in ((1, 2), (2, 1)):
            cell = np.s_[row:-1:2, column:-1:2]
            before, after = np.s_[row:-1:2, column - 1 : -2 : 2], np.s_[row:-1:2, column + 1 :: 2]
            distance[cell] = 2 / ((inverse[before] + inverse[after]) * forward[cell])
            face[cell] = face[before]
    asked = np.flatnonzero(white)
    distance, face = distance.ravel(), face.ravel()
    distance[asked], face[asked] = moment.standing(origin, directions.take(asked, axis=1))
    return Hits(distance, face, moment.standing_normals.take(face, axis=1))
