"""What a box can be by its size: what everybody knows of road users, fitted on no label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from avjepa.data.arrays import Array
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Args:
        names: that classes of it have in taxonomies, in lower case; the first one that a taxonomy has is taken.
        length: shortest and longest of what may be seen of it (m).
        width: as ``length``; less is seen of a side that is turned away.
        height: of its highest point above the ground (m).
        size: usual length, width, height (m), which what is seen is completed to.
        speed: slowest and fastest (m/s).
        certainty: how often something of that size and speed is one: streets have more bollards than cones, and plants
            and boxes of any size, but nothing else that moves like a car.
        shows_a_side: whether of its long or its short side most has to be seen.
    """

    names: tuple[str, ...]
    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    size: tuple[float, float, float]
    speed: tuple[float, float]
    certainty: float
    shows_a_side: bool = False

    def fit(self, seen: Float64[Array, "3"], speed: float) -> float:
        """How well an object fits, from 0 (not at all) to 1 (it has the usual size, all of which is seen).

        Args:
            seen: length, width, height of what is seen (m).
            speed: m/s.
        """
        bounds = (self.length, self.width, self.height, self.speed)
        if any(not low <= value <= high for value, (low, high) in zip((*seen, speed), bounds, strict=True)):
            return 0.0
        if self.shows_a_side and seen[0] < 0.65 * self.size[0] and seen[1] < 0.7 * self.size[1]:
            return 0.0
        off = np.abs(np.log(np.maximum(seen, 0.3) / np.array(self.size)))
        return float(np.exp(-(0.3 * off[0] + 0.3 * off[1] + off[2])))


_STANDS = (0.0, 0.0)
_PERSON, _CYCLE, _MOTORCYCLE = (
    ("pedestrian", "person"),
    ("bicycle", "bicyclist", "cyclist", "motorcycle"),
    ("motorcycle", "motorcyclist", "cyclist"),
)
_CAR, _TRUCK, _BUS = (
    ("car", "regular_vehicle", "vehicle"),
    ("truck", "box_truck", "large_vehicle", "vehicle"),
    ("bus", "truck", "vehicle"),
)
_CAR_SIZE, _TRUCK_SIZE, _BUS_SIZE = (4.5, 1.9, 1.65), (7.0, 2.5, 3.0), (11.5, 2.8, 3.2)
_DRIVES = (0.1, 45.0)
KINDS = (
    Kind(_PERSON, (0.1, 1.2), (0.05, 1.0), (1.0, 2.1), (0.7, 0.7, 1.7), (0.1, 4.0), 1.0),
    Kind(_PERSON, (0.1, 1.2), (0.05, 1.0), (1.2, 2.1), (0.7, 0.7, 1.7), _STANDS, 0.6),
    Kind(_CYCLE, (1.2, 2.3), (0.1, 1.0), (1.2, 2.1), (1.8, 0.6, 1.7), (1.0, 12.0), 1.0),
    Kind(_CYCLE, (1.2, 2.1), (0.05, 0.8), (0.8, 1.25), (1.75, 0.6, 1.1), _STANDS, 0.4),
    Kind(_MOTORCYCLE, (1.5, 2.7), (0.4, 1.2), (1.2, 2.0), (2.1, 0.8, 1.6), (3.0, 45.0), 1.0),
    Kind(_MOTORCYCLE, (1.8, 2.5), (0.4, 1.0), (0.9, 1.5), (2.1, 0.8, 1.25), _STANDS, 0.4),
    Kind(_CAR, (0.2, 5.6), (0.3, 2.6), (1.0, 2.3), _CAR_SIZE, _DRIVES, 1.0, shows_a_side=True),
    Kind(_CAR, (0.2, 5.6), (0.3, 2.4), (1.1, 2.3), _CAR_SIZE, _STANDS, 0.8, shows_a_side=True),
    Kind(_TRUCK, (0.2, 11.0), (0.5, 3.1), (2.3, 4.2), _TRUCK_SIZE, _DRIVES, 1.0, shows_a_side=True),
    Kind(_TRUCK, (0.2, 11.0), (0.5, 3.1), (2.3, 4.2), _TRUCK_SIZE, _STANDS, 0.4, shows_a_side=True),
    Kind(_BUS, (7.5, 19.0), (0.5, 3.2), (2.7, 4.2), _BUS_SIZE, _DRIVES, 1.0, shows_a_side=True),
    Kind(_BUS, (7.5, 19.0), (0.5, 3.2), (2.7, 4.2), _BUS_SIZE, _STANDS, 0.4, shows_a_side=True),
    Kind(("traffic_cone", "construction_cone"), (0.1, 0.6), (0.1, 0.6), (0.35, 1.0), (0.4, 0.4, 0.8), _STANDS, 0.4),
    Kind(("barrier",), (1.0, 3.5), (0.1, 0.8), (0.6, 1.2), (2.2, 0.5, 1.0), _STANDS, 0.5),
)
"""Sizes of the usual models and of the standards for cones and barriers; what moves and what stands apart, as a cycle
is higher with a rider. Trailers and construction vehicles have no usual size."""


def class_indices(taxonomy: Taxonomy, kinds: Sequence[Kind] = KINDS) -> dict[Kind, int]:
    """Index of the class of every kind that a taxonomy has a class for.

    Raises:
        UserError: there is none.
    """
    known = {name.lower(): index for index, name in enumerate(taxonomy.classes)}
    found = {kind: next((known[name] for name in kind.names if name in known), None) for kind in kinds}
    named = {kind: index for kind, index in found.items() if index is not None}
    if not named:
        raise UserError(
            f"taxonomy: no class is of a usual size; there are {', '.join(taxonomy.classes)}, and without labels there "
            f"can be {', '.join(dict.fromkeys(kind.names[0] for kind in kinds))}; choose another with --taxonomy"
        )
    return named
