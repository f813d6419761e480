"""Do boxes and points lie where the networks look and where classes are scored?"""

from dataclasses import dataclass

import numpy as np

from avjepa.data.inspection.check import ENOUGH, Check, per_cent, share
from avjepa.data.inspection.labelled import LabelledBoxes
from avjepa.data.inspection.observed import Observed
from avjepa.data.taxonomy import Taxonomy
from avjepa.geometry.grid import BEVGrid

_MOST = 0.5  # share of the boxes that may lie beyond the grid: far ones are annotated too
_UNSCORED = 0.8
_LOST = 0.2  # share of the points
_GROUND = 0.7  # metres by which the ground may be off


@dataclass(frozen=True)
class Reach:
    """What the networks of a configuration look at."""

    grid: BEVGrid
    z_range: tuple[float, float]
    """Heights (m) out of which points are left out."""


def range_check(boxes: LabelledBoxes, taxonomy: Taxonomy, reach: Reach) -> Check:
    """Boxes beyond the grid, which cannot be found, and beyond their class's range, which are not scored."""
    annotated, grid = boxes.annotated, reach.grid
    x, y = boxes.level.T
    known = np.isfinite(x) & (annotated.class_index >= 0)
    x, y, class_index = x[known], y[known], annotated.class_index[known]
    beyond = (x < grid.x_min) | (x >= grid.x_max) | (y < grid.y_min) | (y >= grid.y_max)
    distance = np.hypot(x, y)
    unscored = distance > np.array([taxonomy.ranges[name] for name in taxonomy.classes])[class_index]
    extent = f"x {grid.x_min:g} to {grid.x_max:g}, y {grid.y_min:g} to {grid.y_max:g} m"
    measured = (
        f"{per_cent(share(beyond))} of {len(x):,} boxes lie beyond the grid of the base configurations ({extent}), "
        f"{per_cent(share(unscored))} beyond the range within which their class is scored"
    )
    rows = []
    for index, name in enumerate(taxonomy.classes):
        own = class_index == index
        if own.any():
            far = f"{np.median(distance[own]):.0f} / {distance[own].max():.0f}"
            scored_to = f"{taxonomy.ranges[name]:g}"
            rows.append((name, far, per_cent(share(beyond[own])), scored_to, per_cent(share(unscored[own]))))
    verdicts = []
    if len(x) >= ENOUGH:
        if (median := float(np.median(distance))) > 4 * max(-grid.x_min, grid.x_max):
            verdicts.append(
                f"half of the boxes are {median:.0f} m or more from the vehicle: boxes and poses are in different "
                "frames or units; both must be in metres, in one frame"
            )
        elif share(beyond) > _MOST:
            verdicts.append(
                f"{per_cent(share(beyond))} of the boxes lie beyond the grid and can be neither taught nor found: "
                "enlarge token_grid of the encoder, or leave such boxes out of what is scored"
            )
        elif share(unscored) > _UNSCORED:
            verdicts.append(
                f"{per_cent(share(unscored))} of the boxes lie beyond the range of their class and are not scored: "
                "set 'ranges' in a file and pass it as --taxonomy"
            )
    columns = ("class", "distance (m), median / largest", "beyond the grid", "scored to (m)", "not scored")
    return Check("boxes against the grid", measured, tuple(verdicts), columns, tuple(rows))


def height_check(observed: Observed, reach: Reach) -> Check:
    """Points above or below all voxels, and the height of the ground."""
    name = "points against the height range"
    if not observed.clouds:
        return Check(name, "no LiDAR cloud was read")
    low, high = reach.z_range
    below, above, ground = observed.share_below(low), observed.share_above(high), observed.ground()
    measured = (
        f"{per_cent(below)} of the LiDAR points lie below {low:g} m and {per_cent(above)} above {high:g} m; the ground "
        f"is at {ground:.2f} m (median of {len(observed.clouds)} keyframes)"
    )
    if abs(ground) > _GROUND:
        verdict = (
            f"the ground seems to be at {ground:.2f} m where 0 is expected: heights must count from the ground; check "
            "the mounting of the LiDAR (ego from sensor) and that the vehicle's origin is on the ground"
        )
        return Check(name, measured, (verdict,))
    if below + above > _LOST:
        verdict = (
            f"{per_cent(below + above)} of the points lie outside of the heights {low:g} to {high:g} m and are left "
            "out: check unit and sign of z, or widen z_range of the encoder"
        )
        return Check(name, measured, (verdict,))
    return Check(name, measured)
