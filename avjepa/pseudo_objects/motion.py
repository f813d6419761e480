"""What moves: clusters of what does not last at its place, linked from sweep to sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.optimize import linear_sum_assignment

from avjepa.data.arrays import Array

CELL = 0.4
"""Metres: side of the cells in which something lasts or does not."""
LASTING = 2.0
"""Seconds for which a cell is occupied by something that stands."""
SHARE = 0.6
"""Of a scene: enough where that is less than ``LASTING``."""
GAP = 0.6
"""Seconds for which something that stands may be out of sight."""
FASTEST = 20.0
"""m/s of an object that is seen for the first time; one that is followed may be faster."""
_ACCELERATION = 6.0  # m/s², and what is seen of an object changes
_SLACK = 0.5  # m by which the middle of what is seen jumps from sweep to sweep
_FORGET = 0.4  # share of a new velocity in that of a track


def lasting(
    xy: Float64[Array, "point 2"], sweep: Int64[Array, "point"], times: Float64[Array, "sweep"]
) -> Bool[Array, "point"]:
    """Which points lie where there is something for ``LASTING`` seconds at a stretch, with gaps of ``GAP``.

    What moves is nowhere for long, and walls, hedges and parked cars are; so this alone tells them apart before
    anything is clustered (the persistence of MODEST, You et al. 2022, within one drive).

    Args:
        xy: positions in a frame at rest (m).
        sweep: which sweep a point is of.
        times: of the sweeps (s), ascending.
    """
    if not len(xy):
        return np.zeros(0, bool)
    place = np.floor((xy - xy.min(axis=0)) / CELL).astype(np.int64)
    cell = place[:, 0] * (place[:, 1].max() + 1) + place[:, 1]
    visits, visit_of = np.unique(cell * len(times) + sweep, return_inverse=True)
    place_of, time = visits // len(times), times[visits % len(times)]
    begins = np.ones(len(visits), bool)
    begins[1:] = (np.diff(place_of) > 0) | (np.diff(time) > GAP)
    run = np.cumsum(begins) - 1
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(visits)) - 1
    enough = min(LASTING, SHARE * float(times[-1] - times[0]))
    return np.asarray((time[last] - time[first] >= enough)[run][visit_of.reshape(-1)])


@dataclass(frozen=True)
class Track:
    """One thing over time.

    Args:
        sweeps: in which it was seen, ascending.
        clusters: its cluster in each of them.
    """

    sweeps: tuple[int, ...]
    clusters: tuple[int, ...]


def linked(centres: Sequence[Float64[Array, "_ 2"]], times: Float64[Array, "sweep"]) -> list[Track]:
    """Clusters of consecutive sweeps that are nearest to where they were expected, each to one.

    Args:
        centres: of the clusters of every sweep, in a frame at rest (m).
        times: of the sweeps (s), ascending.
    """
    if len(times) < 2:
        return []
    memory = max(0.35, 1.5 * float(np.median(np.diff(times))))
    tracks: list[list[tuple[int, int]]] = []
    position, velocity, seen = np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0)
    active = np.zeros(0, np.int64)  # numbers of the tracks that may go on
    followed = np.zeros(0, bool)
    for sweep, (found, time) in enumerate(zip(centres, times.tolist(), strict=True)):
        alive = time - seen <= memory
        position, velocity, seen, active, followed = (
            values[alive] for values in (position, velocity, seen, active, followed)
        )
        elapsed = time - seen
        expected = position + velocity * elapsed[:, None]
        gate = _SLACK + elapsed * np.where(followed, _ACCELERATION, FASTEST)
        distance = np.linalg.norm(expected[:, None] - found[None], axis=2)
        cost = np.where(distance <= gate[:, None], distance, 1e3)
        rows, columns = linear_sum_assignment(cost)
        near = cost[rows, columns] < 1e3
        rows, columns = rows[near], columns[near]
        now = (found[columns] - position[rows]) / np.maximum(elapsed[rows, None], 1e-3)  # two sweeps of one time
        share = np.where(followed[rows], _FORGET, 1.0)[:, None]
        velocity[rows] = share * now + (1 - share) * velocity[rows]
        position[rows], seen[rows], followed[rows] = found[columns], time, True
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            tracks[active[row]].append((sweep, column))
        new = np.setdiff1d(np.arange(len(found)), columns)
        active = np.append(active, np.arange(len(tracks), len(tracks) + len(new)))
        tracks += [[(sweep, int(column))] for column in new]
        position, velocity = np.concatenate((position, found[new])), np.concatenate((velocity, np.zeros((len(new), 2))))
        seen, followed = np.append(seen, np.full(len(new), time)), np.append(followed, np.zeros(len(new), bool))
    return [Track(tuple(one for one, _ in track), tuple(two for _, two in track)) for track in tracks]


@dataclass(frozen=True)
class Path:
    """A straight motion that fits positions around a time.

    Args:
        position: at that time (m).
        velocity: m/s.
        residual: root mean square distance of the positions from it (m).
    """

    position: Float64[Array, "2"]
    velocity: Float64[Array, "2"]
    residual: float


def straight_path(times: Float64[Array, "seen"], positions: Float64[Array, "seen 2"], at: float) -> Path:
    """Least squares of a constant velocity.

    Args:
        times: at least two (s).
        positions: where something was then (m).
        at: the time of ``Path.position`` (s).
    """
    system = np.stack((np.ones(len(times)), times - at), axis=1)
    solution, *_ = np.linalg.lstsq(system, positions, rcond=None)
    off = positions - system @ solution
    return Path(solution[0], solution[1], float(np.sqrt((off**2).sum(axis=1).mean())))
