"""Who is on the street, where, and what they will do."""

from dataclasses import dataclass, field

from avjepa.synth.arrays import Array
from avjepa.synth.bodies.mesh import Mesh
from avjepa.synth.street.routes import LaneShift
from avjepa.synth.traffic.actors import Actor, Behaviour
from avjepa.synth.traffic.traffic import Driver
from avjepa.synth.traffic.walking import Walk

EGO_LENGTH, EGO_WIDTH = 4.08, 1.73
"""The nuScenes recording vehicle, a Renault Zoe (m)."""


@dataclass
class Placed:
    """Something that stands where it is for the whole scene."""

    actor: Actor
    xy: Array
    yaw: float


@dataclass
class Population:
    """Everyone who takes part, before the street is set in motion."""

    standing: list[Placed] = field(default_factory=list)
    walking: list[tuple[Actor, Walk]] = field(default_factory=list)
    driving: list[tuple[Actor | None, Driver]] = field(default_factory=list)
    """The first is the ego vehicle, which is nobody's label."""
    lane_shifts: dict[tuple[int, int, int], list[LaneShift]] = field(default_factory=dict)
    """Detours around lasting obstacles, by road, direction and lane."""

    def place(self, category: str, mesh: Mesh, behaviour: Behaviour, xy: Array, yaw: float) -> None:
        """Stand something somewhere for the whole scene."""
        self.standing.append(Placed(Actor(category, (mesh,), behaviour), xy, yaw))
