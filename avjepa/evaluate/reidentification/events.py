"""Objects that were hidden and come back, and what each of them could be taken for."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.protocol import DrivingDataset
from avjepa.errors import UserError, counted
from avjepa.evaluate.pairs import expanded
from avjepa.evaluate.reidentification.sightings import Sightings

GAPS = {"0.5-1": 1.0, "1-2": 2.0, "2-5": 5.0, ">5": math.inf}
"""Ranges of gaps by name, with the longest gap of each (s): an edge belongs to the shorter gaps."""
_TOLERANCE = 0.25
"""Seconds by which a gap may miss an edge: half a keyframe's distance, which real recordings keep within 0.1 s."""


def gap_range(gap: Float64[Array, "query"]) -> Int64[Array, "query"]:
    """Number of each gap's range in ``GAPS``; that of NaN is the number of ranges."""
    edges = np.array(list(GAPS.values())) + _TOLERANCE
    return np.where(np.isnan(gap), len(GAPS), np.searchsorted(edges, gap, side="left"))


@dataclass(frozen=True)
class Queries:
    """Objects as they appear at a keyframe, each with its gallery: the objects of its kind that were seen before.

    A query is re-appearing or newborn. *Re-appearing* is an object at its first sighting after it was hidden at one
    keyframe or more: an event. *Newborn* is an object at its first sighting of all, later than the scene's first
    keyframe, if its gallery is not empty; it should be taken for none of it.

    The gallery holds every object of the same scene and kind with a sighting at an earlier keyframe, whether it is
    visible at the query's keyframe or not. What may be used of it is its last such sighting and those before.
    """

    sightings: Sightings
    sighting: Int64[Array, "query"]
    """The query's row of ``sightings``, ascending."""
    last: Int64[Array, "query"]
    """Row of the last sighting of the same object before the query; -1 for a newborn."""
    gap: Float64[Array, "query"]
    """Time since then (s); NaN for a newborn."""
    pair_query: Int64[Array, "pair"]
    """Index of the query that an entry of a gallery belongs to, ascending."""
    pair_sighting: Int64[Array, "pair"]
    """Row of the last sighting of the entry's object before the query."""

    def __len__(self) -> int:
        return len(self.sighting)

    @property
    def is_newborn(self) -> Bool[Array, "query"]:
        """Whether the right answer is "new"."""
        result: Array = self.last < 0
        return result

    @property
    def pair_is_same(self) -> Bool[Array, "pair"]:
        """Which entry is the query's own object."""
        result: Array = self.pair_sighting == self.last[self.pair_query]
        return result

    @property
    def gallery_size(self) -> Int64[Array, "query"]:
        """Number of objects in each gallery."""
        return np.bincount(self.pair_query, minlength=len(self)).astype(np.int64)

    def selected(self, keep: Bool[Array, "query"]) -> "Queries":
        """The queries for which ``keep`` is true, with their galleries."""
        pairs = keep[self.pair_query]
        number = np.cumsum(keep) - 1
        return Queries(
            self.sightings, self.sighting[keep], self.last[keep], self.gap[keep],
            number[self.pair_query[pairs]], self.pair_sighting[pairs],
        )  # fmt: skip

    @classmethod
    def of(cls, sightings: Sightings) -> "Queries":
        """All queries that there are."""
        earlier = sightings.has_earlier()
        row = np.flatnonzero(sightings.was_hidden | ~(earlier | sightings.opens_scene))
        last = np.where(earlier[row], row - 1, -1)
        gap = np.where(last < 0, np.nan, sightings.time[row] - sightings.time[last])

        # objects of one scene and kind follow each other, as the sightings of one object do
        begins = np.flatnonzero(~earlier)
        group = sightings.scene[begins] * len(sightings.kinds) + sightings.kind[begins]
        first = np.searchsorted(group, group[sightings.object[row]], side="left")
        behind = np.searchsorted(group, group[sightings.object[row]], side="right")
        query, other = expanded(first, behind - first)
        keyframes = len(sightings.tokens)
        place = sightings.object * keyframes + sightings.keyframe
        before = np.searchsorted(place, other * keyframes + sightings.keyframe[row[query]], side="left") - 1
        seen = before >= begins[other]
        query, before = query[seen], before[seen]
        usable = np.bincount(query, minlength=len(row)) > 0
        return cls(sightings, row, last, gap, query, before).selected(usable)


def mined(source: DrivingDataset, scenes: list[str], minimum_points: int) -> Queries:
    """The queries of some scenes of a data set, which has objects that are visible; opens no sensor file.

    Args:
        source: the data set.
        scenes: names of the scenes.
        minimum_points: LiDAR points that make an object visible.

    Raises:
        UserError: there are no annotations, or they tell of no object that is visible.
    """
    if not source.has_labels():
        raise UserError(f"{source.name}: has no annotations, which say what was hidden; choose an annotated dataset")
    sightings = Sightings.of(source.annotated_keyframes(scenes), source.taxonomy, minimum_points)
    if not len(sightings):
        points = counted(minimum_points, "LiDAR point")
        raise UserError(
            f"{source.name}: no annotated box of {counted(len(scenes), 'scene')} holds {points}; choose a smaller k, "
            "or a dataset whose tables count points"
        )
    return Queries.of(sightings)
