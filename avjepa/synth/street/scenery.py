"""Collects what stands beside the road, never moves and is never annotated, and where there is still room."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from avjepa.synth.arrays import Array, FloatArray
from avjepa.synth.bodies.mesh import Mesh
from avjepa.synth.street.ground import Ground


@dataclass(frozen=True)
class Facades:
    """Window patterns of the building blocks; block ``i`` owns the triangles 12 i to 12 i + 11 of the facade mesh."""

    centre: FloatArray
    """(block, 2)."""
    yaw: FloatArray
    base: FloatArray
    """Height of the ground floor, m."""
    storey: FloatArray
    """Height of a storey, m."""
    bay: FloatArray
    """Distance between windows, m."""
    glazing: FloatArray
    """(block, 2): share of a bay and of a storey that is window."""
    half: FloatArray
    """(block, 2): half extents along the block's x and y."""


@dataclass
class Plot:
    """Where something already stands: oriented rectangles."""

    rectangles: list[tuple[float, float, float, float, float]] = field(default_factory=list)

    def take(self, centre: Sequence[float] | Array, yaw: float, length: float, width: float) -> bool:
        """Claim a rectangle (m); false, and nothing claimed, when it overlaps an earlier one."""
        claimed = (float(centre[0]), float(centre[1]), yaw, length, width)
        if self.rectangles:
            others = np.array(self.rectangles)
            reach = np.hypot(others[:, 3], others[:, 4]) + math.hypot(length, width)
            close = np.hypot(others[:, 0] - claimed[0], others[:, 1] - claimed[1]) < reach / 2
            if any(_overlap(claimed, self.rectangles[index]) for index in np.flatnonzero(close)):
                return False
        self.rectangles.append(claimed)
        return True


def corners_of(rectangle: tuple[float, float, float, float, float]) -> Array:
    """Corners (4, 2) of a rectangle (x, y, yaw, length, width)."""
    x, y, yaw, length, width = rectangle
    local = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * (length / 2, width / 2)
    cos, sin = np.cos(yaw), np.sin(yaw)
    corners: Array = local @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    return corners


def _overlap(first: tuple[float, float, float, float, float], second: tuple[float, float, float, float, float]) -> bool:
    a, b = corners_of(first), corners_of(second)
    for yaw in (first[2], first[2] + np.pi / 2, second[2], second[2] + np.pi / 2):
        axis = np.array((np.cos(yaw), np.sin(yaw)))
        if (a @ axis).max() < (b @ axis).min() or (b @ axis).max() < (a @ axis).min():
            return False
    return True


@dataclass
class Scenery:
    """The collected parts, in the order of their triangles: facades first."""

    facade_meshes: list[Mesh] = field(default_factory=list)
    facade_rows: list[tuple[float, ...]] = field(default_factory=list)
    meshes: list[Mesh] = field(default_factory=list)
    plot: Plot = field(default_factory=Plot)
    yards: list[tuple[Array, float]] = field(default_factory=list)
    """Places (xy, yaw) beside the street where a car may be parked off the road."""
    benches: list[tuple[Array, float]] = field(default_factory=list)
    """Centres of seats and the direction in which one looks from them."""
    shelters: list[tuple[int, int, float]] = field(default_factory=list)
    """Bus stops: road index, side, position along the road."""

    def facades(self) -> Facades:
        """The window patterns as arrays."""
        rows = np.array(self.facade_rows, np.float32).reshape(-1, 10)
        return Facades(rows[:, 0:2], rows[:, 2], rows[:, 3], rows[:, 4], rows[:, 5], rows[:, 6:8], rows[:, 8:10])


def stand(scenery: Scenery, ground: Ground, mesh: Mesh, xy: Array, yaw: float) -> None:
    """Add a mesh that stands on what covers the ground at ``xy``."""
    scenery.meshes.append(mesh.moved((xy[0], xy[1], float(ground.standing_height(xy[None])[0]) - 0.02), yaw))
