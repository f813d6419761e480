"""An online tracker: which of the objects that were seen before is each detected box, or is it a new one?

A box belongs to an object if it is likelier there than a new object is. Likely is what the motion expects (a Kalman
filter) and, if embeddings are used, what looks alike: the log-likelihoods of both are added. Boxes and objects are
brought together so that the sum is highest (the Hungarian method), at each keyframe for the objects that were seen at
the last one first, and for those that were lost after that.
"""

import math
from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy.optimize import linear_sum_assignment

from avjepa.data.arrays import Array
from avjepa.evaluate.motion import MotionModel, States, measured_velocity
from avjepa.ranges import require_number

_LARGEST = 1e4
_REMEMBERED = 20
"""Looks of an object, 10 s of keyframes."""


@dataclass(frozen=True)
class TrackerOptions:
    """What the tracker takes for granted.

    Attributes:
        motion: of the objects.
        velocity_sigma: standard deviation of detected velocities (m/s, each axis).
        gate: standard deviations from where an object is expected, beyond which no box is taken for it.
        life: seconds without a box after which an object is given up, with embeddings and without.
        new_density: new objects in a square metre of what a keyframe shows, to which the likelihood of an old one is
            compared.
        lowest_score: of boxes that are looked at.
        birth_score: of boxes that a new object may begin with.
    """

    motion: MotionModel = field(default_factory=lambda: MotionModel(0.3, 3.0, 10.0))
    velocity_sigma: float = 1.0
    gate: float = 4.0
    life: float = 10.0
    new_density: float = 0.001
    lowest_score: float = 0.1
    birth_score: float = 0.2

    def __post_init__(self) -> None:
        for name in ("position_sigma", "speed_sigma", "memory"):
            require_number(f"motion.{name}", getattr(self.motion, name), above=0, at_most=_LARGEST)
        for name in ("velocity_sigma", "gate", "life", "new_density"):
            require_number(name, getattr(self, name), above=0, at_most=_LARGEST)
        require_number("lowest_score", self.lowest_score, at_least=0, at_most=1)
        require_number("birth_score", self.birth_score, at_least=self.lowest_score, at_most=1)


@dataclass(frozen=True)
class Moment:
    """The boxes of one class at one keyframe, those that are looked at."""

    time: float
    """Of the keyframe (s)."""
    previous: float
    """Of the keyframe before it (s); ``-inf`` at the first one of a scene."""
    boxes: Float64[Array, "box 9"]
    """``geometry.boxes.BOX_FIELDS``; NaN for a velocity that is not known."""
    scores: Float64[Array, "box"]
    looks: Float32[Array, "box dimension"]
    """Unit vectors; of no dimension to go by motion alone."""
    unlike: float
    """Logarithm of the likelihood, by looks, that one object is another one; 0 by motion alone."""


@dataclass(frozen=True)
class Objects:
    """What is known of the objects of one class."""

    number: Int64[Array, "object"]
    states: States
    seen: Float64[Array, "object"]
    """When it was for the last time (s)."""
    looks: Float32[Array, "object memory dimension"]
    """Of its latest boxes, each in the place of the oldest; NaN for those that are yet to come."""
    score: Float64[Array, "object"]
    """Sum over all boxes of an object."""
    boxes: Int64[Array, "object"]
    """How many these are."""

    def selected(self, keep: Bool[Array, "object"]) -> "Objects":
        """Those that are marked."""
        return Objects(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})

    def joined(self, others: "Objects") -> "Objects":
        """These, then others."""
        pairs = {field.name: (getattr(self, field.name), getattr(others, field.name)) for field in fields(self)}
        return Objects(**{name: np.concatenate(pair) for name, pair in pairs.items()})


class Tracker:
    """Follows the objects of one class through one scene.

    Args:
        options: see there.
        temperature: divides the cosine of two embeddings, which then is a log-likelihood.
        first: number of the first object; the others are counted from it.
    """

    def __init__(self, options: TrackerOptions, temperature: float, first: int = 0) -> None:
        self.options, self.temperature, self.following = options, temperature, first
        self._objects: Objects | None = None

    def step(self, moment: Moment) -> tuple[Int64[Array, "box"], Float64[Array, "box"], Float64[Array, "box 2"]]:
        """The object of each box, -1 for a box of none; the mean score of its boxes so far, and its velocity (m/s)."""
        options, count = self.options, len(moment.boxes)
        row = np.full(count, -1)
        if self._objects is None:
            known = self._born(moment, np.zeros(0, np.int64))
        else:
            known = self._objects.selected(moment.time - self._objects.seen <= options.life)
        expected = options.motion.predicted(known.states, moment.time - known.seen)
        gain = self._gain(known, expected, moment)
        lately = known.seen >= moment.previous
        for phase in (lately, ~lately):
            objects, boxes = np.flatnonzero(phase), np.flatnonzero(row < 0)
            part = gain[np.ix_(objects, boxes)]
            chosen_object, chosen_box = linear_sum_assignment(np.maximum(part, 0), maximize=True)
            good = part[chosen_object, chosen_box] > 0
            row[boxes[chosen_box[good]]] = objects[chosen_object[good]]
        found = np.flatnonzero(row >= 0)
        sighted = options.motion.sighted(expected[row[found]], moment.boxes[found, :2])
        known.states[row[found]] = measured_velocity(sighted, moment.boxes[found, 7:9], options.velocity_sigma)
        born = np.flatnonzero((row < 0) & (moment.scores >= options.birth_score))
        row[born] = len(known.number) + np.arange(len(born))
        known = known.joined(self._born(moment, born))
        taken = np.flatnonzero(row >= 0)
        own = row[taken]
        known.seen[own] = moment.time
        known.looks[own, known.boxes[own] % _REMEMBERED] = moment.looks[taken]
        known.score[own] += moment.scores[taken]
        known.boxes[own] += 1
        self._objects = known
        number, score, velocity = np.full(count, -1), np.zeros(count), np.zeros((count, 2))
        number[taken] = known.number[own]
        score[taken] = known.score[own] / known.boxes[own]
        velocity[taken] = known.states[own, 2:4]
        return number, score, velocity

    def _born(self, moment: Moment, rows: Int64[Array, "new"]) -> Objects:
        """New objects at some boxes, which are yet to be counted."""
        number = self.following + np.arange(len(rows))
        self.following += len(rows)
        begun = self.options.motion.begun(moment.boxes[rows, :2])
        return Objects(
            number=number,
            states=measured_velocity(begun, moment.boxes[rows, 7:9], self.options.velocity_sigma),
            seen=np.full(len(rows), moment.time),
            looks=np.full((len(rows), _REMEMBERED, moment.looks.shape[1]), np.nan, np.float32),
            score=np.zeros(len(rows)),
            boxes=np.zeros(len(rows), np.int64),
        )

    def _gain(self, known: Objects, expected: States, moment: Moment) -> Float64[Array, "object box"]:
        """How much likelier (logarithm) a box is an object than a new one; ``-inf`` beyond the gate."""
        spread = self.options.motion.spread(expected)[:, None]
        miss = ((moment.boxes[None, :, :2] - expected[:, None, :2]) ** 2).sum(2)
        by_motion = -miss / (2 * spread) - np.log(2 * math.pi * spread) - math.log(self.options.new_density)
        alike = np.fmax.reduce(known.looks @ moment.looks.T, axis=1)  # the most alike of what is remembered
        by_looks = alike / self.temperature - moment.unlike
        return np.where(miss > self.options.gate**2 * spread, -np.inf, by_motion + by_looks)
