"""What rays meet."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import FloatArray

NOTHING = -1


@dataclass(frozen=True)
class Surfaces:
    """What a face looks like and whose it is; a face index counts the unmoving faces first, then the moving ones."""

    colour: FloatArray
    """(3, face), linear albedo."""
    material: NDArray[np.uint8]
    """(face,)."""
    owner: NDArray[np.int32]
    """(face,), index of the actor, or ``NOTHING``."""


@dataclass(frozen=True)
class Hits:
    """Where rays end."""

    distance: FloatArray
    """(ray,), m; infinite where a ray meets nothing."""
    face: NDArray[np.int32]
    """(ray,), index into ``Surfaces``, or ``NOTHING``."""
    normal: FloatArray
    """(3, ray), unit length, towards either side of the face."""

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which rays meet something."""
        found: NDArray[np.bool_] = self.face >= 0
        return found


def dot(first: FloatArray, second: FloatArray) -> FloatArray:
    """Products (n,) of vectors (3, n), or of (3, n) and one vector (3,)."""
    product: FloatArray = first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
    return product
