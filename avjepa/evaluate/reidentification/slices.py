"""Parts of the queries that are scored by themselves."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from avjepa.data.arrays import Array
from avjepa.evaluate.reidentification.events import GAPS, Queries, gap_range

ALL = "all"
OVER_2S = ">2"
_POINTS = (5, 20, 100)
_DISTANCES = (20, 40)
_MOVING = 0.5
"""Speed (m/s) above which an object moves."""


@dataclass(frozen=True)
class Slice:
    """Some events, and the newborns that they are told from."""

    group: str
    """``all``, ``gap``, ``class``, ``points``, ``distance`` or ``motion``."""
    name: str
    events: Bool[Array, "query"]
    newborns: Bool[Array, "query"]


def slices(queries: Queries) -> Iterator[Slice]:
    """All queries; then those of each range of gaps, of each class, by LiDAR points and distance at the query, and by
    whether the object moves there.

    A newborn has no gap: events of every range of gaps are told from all newborns. Whether an object moves is said by
    its annotated velocity; where that is unknown, it is in neither part.
    """
    sightings, row, newborn = queries.sightings, queries.sighting, queries.is_newborn
    yield Slice(ALL, ALL, ~newborn, newborn)
    gap = gap_range(queries.gap)
    for number, name in enumerate(GAPS):
        yield Slice("gap", name, gap == number, newborn)
    yield Slice("gap", OVER_2S, (gap >= list(GAPS).index("2-5")) & ~newborn, newborn)
    parts: list[tuple[str, str, Array]] = [
        ("class", name, sightings.kind[row] == number) for number, name in enumerate(sightings.kinds)
    ]
    parts += _ranges("points", sightings.points[row].astype(float), _POINTS)
    parts += _ranges("distance", sightings.distance[row], _DISTANCES)
    speed = sightings.speed[row]
    parts += [("motion", "parked", speed <= _MOVING), ("motion", "moving", speed > _MOVING)]
    for group, name, part in parts:
        if (part & ~newborn).any():
            yield Slice(group, name, part & ~newborn, part & newborn)


def _ranges(
    group: str, values: Float64[Array, "query"], edges: tuple[int, ...]
) -> list[tuple[str, str, Bool[Array, "query"]]]:
    """Parts by value, an edge belonging to the higher part."""
    names = [f"<{edges[0]}", *(f"{low}-{high}" for low, high in itertools.pairwise(edges)), f">={edges[-1]}"]
    number = np.searchsorted(np.array(edges, float), values, side="right")
    return [(group, name, (number == place) & (values >= 0)) for place, name in enumerate(names)]
