"""Pairs of sightings, of which is asked whether they are of one object."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avjepa.data.arrays import Array
from avjepa.evaluate.reidentification.events import Queries
from avjepa.evaluate.reidentification.sightings import Sightings

_MOST_PAIRS = 20_000


@dataclass(frozen=True)
class Pairs:
    """An earlier and a later sighting in each row; of the earlier one's object nothing later may be used."""

    sightings: Sightings
    earlier: Int64[Array, "pair"]
    """Rows of ``sightings``."""
    later: Int64[Array, "pair"]

    def __len__(self) -> int:
        return len(self.later)

    @classmethod
    def of_galleries(cls, queries: Queries) -> "Pairs":
        """Every entry of every gallery beside its query."""
        return cls(queries.sightings, queries.pair_sighting, queries.sighting[queries.pair_query])

    @property
    def are_same(self) -> Bool[Array, "pair"]:
        """Whether both are of one object."""
        result: Array = self.sightings.object[self.earlier] == self.sightings.object[self.later]
        return result

    @property
    def gap(self) -> Float64[Array, "pair"]:
        """Time between the two (s)."""
        result: Array = self.sightings.time[self.later] - self.sightings.time[self.earlier]
        return result

    def velocity(self) -> Float64[Array, "pair 2"]:
        """Of the earlier sighting's object (m/s), from that sighting and the one before; 0 where there is none before.

        It is not the annotated one: that is the difference between the keyframes before and *after*, so it knows
        where the object went.
        """
        sightings = self.sightings
        moved = np.diff(sightings.boxes[:, :2], axis=0, prepend=0)
        lasted = np.diff(sightings.time, prepend=0)
        velocity = np.zeros_like(moved)
        known = sightings.has_earlier()
        velocity[known] = moved[known] / lasted[known, None]
        return velocity[self.earlier]

    def miss(self) -> Float64[Array, "pair"]:
        """How far (m, on the ground) the later sighting is from where the earlier one's object would be by then, had it
        kept its velocity."""
        place = self.sightings.boxes[:, :2]
        expected = place[self.earlier] + self.velocity() * self.gap[:, None]
        return np.asarray(np.hypot(*(place[self.later] - expected).T))

    def size_ratio(self) -> Float64[Array, "pair 3"]:
        """Logarithms of how much longer, wider and higher the later box is than the earlier one."""
        size = np.log(self.sightings.boxes[:, 3:6])
        result: Array = size[self.later] - size[self.earlier]
        return result


def balanced_pairs(sightings: Sightings, seed: int) -> Pairs:
    """Pairs of one object and pairs of two, as many of each, for objects of a class.

    A later sighting stands beside one sighting before it of the same object, and beside one of another object of the
    same class and scene: the question of point-cloud-reid (Therien et al., WACV 2024), with negatives that are never
    the same object.

    Args:
        sightings: the objects.
        seed: of what is drawn.

    Returns:
        At most 20,000 pairs, those of one object first.
    """
    draw = np.random.default_rng(seed)
    later = np.flatnonzero(sightings.has_earlier() & (sightings.kind < sightings.classes))
    begins = np.flatnonzero(~sightings.has_earlier())
    group = sightings.scene[begins] * len(sightings.kinds) + sightings.kind[begins]
    own = sightings.object[later]
    first, behind = (np.searchsorted(group, group[own], side=side) for side in ("left", "right"))
    later, own, first, behind = (column[behind - first > 1] for column in (later, own, first, behind))
    other = first + draw.integers(0, behind - first - 1)
    other += other >= own
    # how many sightings of the other object lie before the later one
    place = sightings.object * len(sightings.tokens) + sightings.keyframe
    now = other * len(sightings.tokens) + sightings.keyframe[later]
    before = np.searchsorted(place, now, side="left") - begins[other]
    usable = np.flatnonzero(before > 0)
    if len(usable) > _MOST_PAIRS // 2:
        usable = np.sort(draw.choice(usable, _MOST_PAIRS // 2, replace=False))
    later, own, other, before = (column[usable] for column in (later, own, other, before))
    same = begins[own] + draw.integers(0, later - begins[own])
    different = begins[other] + draw.integers(0, before)
    return Pairs(sightings, np.concatenate((same, different)), np.concatenate((later, later)))
