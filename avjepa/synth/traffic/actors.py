"""The things that nuScenes annotates, and how they move."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import Array
from avjepa.synth.bodies.mesh import Mesh

Behaviour = Literal["driven", "parked", "ridden", "unridden", "on_foot", "sitting", "placed"]
"""How an actor gets its attribute: a driven vehicle moves or stops, a parked one stays; a cycle has a rider or not;
a person walks, stands or sits; cones and barriers have none."""


@dataclass(frozen=True)
class Actor:
    """One annotated instance."""

    category: str
    """nuScenes category name."""
    poses: tuple[Mesh, ...]
    """One mesh, or the poses of a walking cycle with equal triangles."""
    behaviour: Behaviour

    @property
    def size(self) -> tuple[float, float, float]:
        """Width, length, height (m) of the box that holds every pose; the origin is the middle of its foot."""
        vertices = np.concatenate([pose.vertices for pose in self.poses])
        length, width = 2 * np.abs(vertices[:, :2]).max(0)
        return float(width), float(length), float(vertices[:, 2].max())


def attribute_of(actor: Actor, speed: float) -> str | None:
    """Name of the nuScenes attribute of an actor that moves at ``speed`` m/s."""
    names = {"parked": "vehicle.parked", "ridden": "cycle.with_rider", "unridden": "cycle.without_rider",
             "sitting": "pedestrian.sitting_lying_down"}  # fmt: skip
    if actor.behaviour == "driven":
        return "vehicle.moving" if speed > 0.3 else "vehicle.stopped"
    if actor.behaviour == "on_foot":
        return "pedestrian.moving" if speed > 0.2 else "pedestrian.standing"
    return names.get(actor.behaviour)


@dataclass(frozen=True)
class Pose:
    """Where the actors are at one time."""

    xyz: Array
    """(actor, 3): the point on which each stands."""
    yaw: Array
    """(actor,)."""
    velocity: Array
    """(actor, 2): global."""
    stage: NDArray[np.int64]
    """(actor,): progress through the walking cycle in whole poses, counted on without end."""


@dataclass(frozen=True)
class Motion:
    """Trajectories of the actors, sampled at equal steps from time 0."""

    step: float
    xyz: Array
    """(time, actor, 3)."""
    yaw: Array
    """(time, actor), continuous."""
    stage: Array
    """(time, actor): progress through the walking cycle, in poses."""

    def at(self, time: float) -> Pose:
        """Poses at a time in seconds since the scene began, interpolated linearly."""
        index = min(max(time / self.step, 0.0), len(self.xyz) - 1.001)
        low = int(index)
        share = index - low
        velocity = (self.xyz[low + 1, :, :2] - self.xyz[low, :, :2]) / self.step
        return Pose(
            (1 - share) * self.xyz[low] + share * self.xyz[low + 1],
            (1 - share) * self.yaw[low] + share * self.yaw[low + 1],
            velocity,
            ((1 - share) * self.stage[low] + share * self.stage[low + 1]).astype(np.int64),
        )
