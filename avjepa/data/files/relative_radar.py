"""Radar returns whose velocities are relative to the sensor, as in MAN TruckScenes, in nuScenes' columns."""

from collections.abc import Callable, Collection
from typing import TypeAlias

import numpy as np
from jaxtyping import Float32, Float64

from avjepa.data.arrays import Array
from avjepa.data.files.radar_fields import RADAR_FILE_FIELDS

Motion: TypeAlias = Callable[[], Float64[Array, "3"]]
"""Gives the velocity of a sensor over ground, in its own frame (m/s)."""

_FIELDS = ("x", "y", "z", "vrel_x", "vrel_y", "vrel_z", "rcs")
_STATES = {"dyn_prop": 4, "ambig_state": 3, "is_quality_valid": 1}
"""Codes of nuScenes for what such a radar does not say: unknown, unambiguous, valid."""


def at_rest() -> Float64[Array, "3"]:
    """The motion of a sensor that stands."""
    return np.zeros(3)


def is_relative(names: Collection[str]) -> bool:
    """Whether a file with these fields stores relative velocities."""
    return all(name in names for name in _FIELDS)


def with_compensated_velocity(returns: Array, motion: Motion) -> Float32[Array, "point 18"]:
    """Columns ``RADAR_FILE_FIELDS`` of returns that have x, y, z, vrel_x, vrel_y, vrel_z and rcs.

    A radar measures along its ray alone, so what the sensor's own motion adds is taken back along the ray: a thing at
    rest has a compensated velocity of zero.
    """
    place, relative = (
        np.stack([returns[name].astype(np.float64) for name in names], axis=1)
        for names in (("x", "y", "z"), ("vrel_x", "vrel_y", "vrel_z"))
    )
    ray = place / np.maximum(np.linalg.norm(place, axis=1, keepdims=True), 1e-6)
    compensated = relative + ray * (ray @ motion())[:, None]
    columns = {
        "x": place[:, 0], "y": place[:, 1], "z": place[:, 2], "rcs": returns["rcs"], "vx": relative[:, 0],
        "vy": relative[:, 1], "vx_comp": compensated[:, 0], "vy_comp": compensated[:, 1],
    }  # fmt: skip
    points = np.zeros((len(returns), len(RADAR_FILE_FIELDS)), np.float32)
    for name, values in {**_STATES, **columns}.items():
        points[:, RADAR_FILE_FIELDS.index(name)] = values
    return points
