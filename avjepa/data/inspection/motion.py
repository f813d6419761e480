"""Are labelled velocities those of the objects, in the frame and the unit that training and scoring take them to be?"""

import numpy as np
from jaxtyping import Float64

from avjepa.data.arrays import Array
from avjepa.data.inspection.check import ENOUGH, Check, per_cent, share
from avjepa.data.inspection.labelled import LabelledBoxes

_MOVING = 2.0  # m/s
_FAR_OFF = 0.5  # of an object's speed by which half of the velocities may be wrong
_FASTEST = 60.0  # m/s
_FEW = 0.02  # share of boxes that may be odd


def velocity_check(boxes: LabelledBoxes) -> Check:
    """Labelled velocities beside the differences of positions of the same tracks."""
    name = "velocities against motion"
    annotated = boxes.annotated
    labelled, motion = annotated.boxes[:, 7:9], boxes.motion
    known = np.isfinite(labelled).all(axis=1)
    tracked = np.isfinite(motion).all(axis=1)
    verdicts = []
    if len(known) >= ENOUGH and (unknown := share(~known & tracked)) > 0.5:
        verdicts.append(
            f"the velocity of {per_cent(unknown)} of the boxes is unknown although their tracks move on: fill it in "
            "from the positions, or velocities are neither taught nor scored"
        )
    of_scene = np.bincount(annotated.scene, minlength=len(annotated.scenes))
    followed = of_scene[annotated.scene[annotated.keyframe]] > 1  # in scenes of one keyframe no object is seen again
    if followed.sum() >= ENOUGH and share(~tracked[followed]) > 0.8:
        verdicts.append(
            f"{per_cent(share(~tracked[followed]))} of the boxes have no other box of their track within 1.5 s: an "
            "object must keep its track identity from keyframe to keyframe"
        )
    with np.errstate(invalid="ignore"):
        speed = np.hypot(*motion.T)
        if tracked.any() and (fast := share(speed[tracked] > _FASTEST)) > _FEW:
            verdicts.append(
                f"{per_cent(fast)} of the tracks jump by more than {_FASTEST:.0f} m/s: track identities are mixed up, "
                "or times are in another unit than microseconds"
            )
        moving = known & (speed > _MOVING)
    if moving.sum() < ENOUGH:
        return Check(name, f"{int(moving.sum())} moving boxes with a velocity: too few to compare", tuple(verdicts))
    error = np.linalg.norm(labelled - motion, axis=1) / np.maximum(speed, _MOVING)
    median = float(np.median(error[moving]))
    ratio = np.median(np.linalg.norm(labelled[moving], axis=1) / speed[moving])
    measured = (
        f"labelled velocities of {int(moving.sum()):,} moving boxes differ by {per_cent(median)} of the speed from the "
        f"motion of their tracks (median); their speeds are {ratio:.2f} times those of the tracks"
    )
    if median > _FAR_OFF and not verdicts:
        verdicts.append(_reason(boxes, moving, float(ratio)))
    return Check(name, measured, tuple(verdicts))


def _reason(boxes: LabelledBoxes, moving: Array, ratio: float) -> str:
    """Which other convention would make the labels agree with the motion, if one of the usual ones does."""
    annotated, motion = boxes.annotated, boxes.motion
    labelled = annotated.boxes[:, 7:9]
    heading = boxes.vehicle_heading[annotated.keyframe]
    vehicle = _vehicle_motion(boxes)[annotated.keyframe]
    candidates = {
        "velocities seem to be in the frame of the vehicle: turn them into the frame of the boxes": _turned(
            labelled, heading
        ),
        "velocities seem to be in the frame of the box: turn them by its yaw": _turned(labelled, annotated.boxes[:, 6]),
        "velocities seem to be relative to the vehicle: add the vehicle's own": labelled + vehicle,
        "velocities seem to be relative to the vehicle and in its frame: turn them, and add the vehicle's own": _turned(
            labelled, heading
        )
        + vehicle,
        "velocities seem to point backwards: change their sign": -labelled,
        "velocities seem to have x and y swapped: swap them": labelled[:, ::-1],
        f"velocities seem to be in another unit ({ratio:.2f} times the speed of the tracks): store metres per second": (
            labelled / max(ratio, 1e-9)
        ),
    }
    speed = np.linalg.norm(motion, axis=1)
    for said, changed in candidates.items():
        with np.errstate(invalid="ignore"):
            error = (np.linalg.norm(changed - motion, axis=1) / np.maximum(speed, _MOVING))[moving]
        error = error[np.isfinite(error)]
        if len(error) >= ENOUGH / 2 and np.median(error) < _FAR_OFF / 2:
            return said
    return "labelled velocities are not those of the tracks: check their frame, unit and sign, and the track identities"


def _turned(velocity: Float64[Array, "box 2"], yaw: Float64[Array, "box"]) -> Float64[Array, "box 2"]:
    x, y = velocity.T
    turned: Array = np.stack((np.cos(yaw) * x - np.sin(yaw) * y, np.sin(yaw) * x + np.cos(yaw) * y), axis=1)
    return turned


def _vehicle_motion(boxes: LabelledBoxes) -> Float64[Array, "keyframe 2"]:
    """Of the vehicle itself, from keyframe to keyframe; NaN at the end of a scene."""
    annotated = boxes.annotated
    motion = np.full((len(annotated.tokens), 2), np.nan)
    if len(motion) > 1:
        seconds = np.diff(annotated.time) * 1e-6
        same = (np.diff(annotated.scene) == 0) & (seconds > 0)
        motion[:-1][same] = np.diff(annotated.vehicle, axis=0)[same] / seconds[same, None]
    return motion
