"""Do the boxes hold the points of the objects that they are drawn around?"""

from collections.abc import Sequence

import numpy as np

from avjepa.data.inspection.check import ENOUGH, Check, per_cent, share
from avjepa.data.inspection.observed import Observed
from avjepa.errors import counted

_LEAST = 0.5  # share of the boxes that should hold a point and do
_HARDLY = 0.1  # share of all boxes
_OFF_CENTRE = 0.3  # heights of a box between its centre and the middle of its points
_MISPLACED = 0.5  # metres between what is taught and what is scored


def points_check(observed: Observed, classes: Sequence[str]) -> Check:
    """LiDAR points a box, by class, counted in the level frame beside those that the data set says."""
    name = "points in boxes"
    stored, inside = observed.stored, observed.inside
    read = inside >= 0
    unknown = share(stored < 0)
    verdicts = []
    if len(stored) >= ENOUGH and unknown > _LEAST:
        verdicts.append(
            f"the data set does not say how many points {per_cent(unknown)} of the boxes hold: they are counted "
            "whenever boxes are loaded, which opens clouds; write the numbers down once"
        )
    if not read.any():
        return Check(name, f"no LiDAR cloud of {counted(len(stored), 'box')} was read", tuple(verdicts))
    hit, expected = inside[read] > 0, stored[read] > 0
    said = "nothing" if (stored < 0).all() else per_cent(share(stored[stored >= 0] > 0))
    measured = (
        f"{per_cent(share(hit))} of {counted(int(read.sum()), 'box')} hold a LiDAR point, counted in the level frame; "
        f"the data set says {said}"
    )
    if expected.sum() >= ENOUGH and share(hit[expected]) < _LEAST:
        verdicts.append(
            f"of the boxes that the data set says hold points, {per_cent(share(hit[expected]))} do: boxes and clouds "
            "are in different frames or units; check poses, the mounting of the LiDAR, and what a box's centre is"
        )
    elif not expected.any() and len(hit) >= ENOUGH and share(hit) < _HARDLY:
        verdicts.append(
            f"{per_cent(share(hit))} of the boxes hold a LiDAR point: boxes and clouds are in different frames or "
            "units; check poses, the mounting of the LiDAR, and what a box's centre is"
        )
    elif (stored >= 0).sum() >= ENOUGH and not expected.any() and share(hit) > _LEAST:
        verdicts.append(
            f"the data set says that no box holds a point, and {per_cent(share(hit))} do: nothing would be taught; "
            "write the numbers, or -1 where they are unknown"
        )
    rows = []
    for index, title in enumerate(classes):
        own = read & (observed.class_index == index)
        if own.any():
            least, median, most = np.percentile(inside[own], (10, 50, 90))
            known = stored[own & (stored >= 0)]
            share_said = per_cent(share(known > 0)) if len(known) else "–"
            spread = f"{least:.0f} / {median:.0f} / {most:.0f}"
            rows.append((title, int(own.sum()), spread, per_cent(share(inside[own] > 0)), share_said))
    columns = ("class", "boxes", "points (10 / 50 / 90 % of boxes)", "with a point, counted", "as the data set says")
    return Check(name, measured, tuple(verdicts), columns, tuple(rows))


def centre_check(observed: Observed) -> Check:
    """Where the points of objects lie, seen from the centres of their boxes."""
    name = "centre of a box"
    height = observed.height[np.isfinite(observed.height)]
    if len(height) < ENOUGH:
        return Check(name, f"{len(height)} boxes with five points or more: too few to tell")
    median = float(np.median(height))
    measured = (
        f"the middle of an object's points lies {abs(median):.2f} box heights {'above' if median > 0 else 'below'} its "
        f"box's centre (median of {len(height):,} boxes); {per_cent(share(height > 0))} of the boxes have it above"
    )
    if abs(median) <= _OFF_CENTRE:
        return Check(name, measured)
    end, change = ("bottom, on the ground", "add half of") if median > 0 else ("top", "subtract half of")
    verdict = f"the z of boxes seems to be that of their {end}, not of their middle: {change} the height to it"
    return Check(name, measured, (verdict,))


def agreement_check(observed: Observed, strangers: Sequence[str]) -> Check:
    """Whether boxes are taught where they are scored, and keyframes have the same names for both."""
    name = "taught and scored boxes"
    if strangers:
        verdict = (
            f"{counted(len(strangers), 'keyframe')} ({strangers[0]} for one) are not among those that are scored: "
            "token_of and annotated_keyframes must give a keyframe the same name"
        )
        return Check(name, "keyframes have other names where they are scored", (verdict,))
    distance = observed.misplaced[np.isfinite(observed.misplaced)]
    if not len(distance):
        return Check(name, "no box is in both")
    measured = f"{np.median(distance):.2f} m between a taught box and the scored one of its track (median)"
    if (far := share(distance > _MISPLACED)) <= 0.05:
        return Check(name, measured)
    verdict = (
        f"{per_cent(far)} of the boxes are taught elsewhere than they are scored: labels are in the level frame, "
        "scored boxes in the global one, and global_from_level leads from one to the other"
    )
    return Check(name, measured, (verdict,))
