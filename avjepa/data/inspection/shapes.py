"""Do length, width, height and yaw of a box mean here what they mean in ``geometry.boxes``?"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from avjepa.data.arrays import Array
from avjepa.data.inspection.check import ENOUGH, Check, per_cent, share
from avjepa.data.inspection.labelled import LabelledBoxes

_MOVING = 2.0  # m/s: the direction of a slower object's motion is mostly noise
_LONG = 3.0  # metres: people and cones have no length to speak of, vehicles have
_ALONG, _ACROSS, _BACKWARDS = 25.0, 65.0, 155.0  # degrees between heading and motion
_ODD = 2.2  # times a typical size
_TYPICAL = {
    ("car", "regular_vehicle", "passenger_car"): (4.6, 1.95, 1.7),
    ("truck", "box_truck"): (7.0, 2.5, 2.9),
    ("bus",): (11.5, 2.9, 3.4),
    ("motorcycle",): (2.1, 0.8, 1.4),
    ("bicycle",): (1.7, 0.6, 1.3),
    ("pedestrian", "person"): (0.75, 0.7, 1.75),
}
"""Length, width, height (m) by names of the class."""
_UNITS = {100.0: "centimetres", 1000.0: "millimetres", 3.28: "feet", 0.5: "half sizes", 2.0: "doubled"}


def heading_check(boxes: LabelledBoxes) -> Check:
    """The angle between the yaw of moving vehicles and the motion of their tracks."""
    name = "yaw against motion"
    own = boxes.annotated.boxes
    with np.errstate(invalid="ignore"):
        moving = (np.hypot(*boxes.motion.T) > _MOVING) & (own[:, 3:5].max(axis=1, initial=0.0) > _LONG)
    chosen, motion = own[moving], boxes.motion[moving]
    if len(chosen) < ENOUGH:
        return Check(name, f"{len(chosen)} boxes of moving vehicles: too few to compare")
    turn = chosen[:, 6] - np.arctan2(motion[:, 1], motion[:, 0])
    degrees = np.degrees(np.abs(np.arctan2(np.sin(turn), np.cos(turn))))
    median, folded = float(np.median(degrees)), float(np.median(np.minimum(degrees, 180 - degrees)))
    wide = share(chosen[:, 3] < chosen[:, 4])
    measured = (
        f"{median:.0f}° between heading and motion of {len(chosen):,} boxes of moving vehicles (median); "
        f"{per_cent(wide)} of them are wider than long"
    )
    return Check(name, measured, tuple(_off(median, folded, wide)))


def _off(median: float, folded: float, wide: float) -> Sequence[str]:
    if folded > _ACROSS:
        if wide > 0.5:
            return ["length and width seem swapped, and yaw follows the width: swap the two, and turn yaw by 90°"]
        return [f"yaw seems to be a quarter of a turn off ({median:.0f}° from the motion): turn it by 90°"]
    if folded > _ALONG:
        return [
            f"headings do not follow the motion ({median:.0f}° off): yaw is in radians, counter-clockwise about z, "
            "from the x axis of the box's frame to its front; check unit, sign and frame"
        ]
    found = ["length and width seem swapped: store the side along the heading as length"] if wide > 0.5 else []
    if median > _BACKWARDS:
        found.append("vehicles seem to drive backwards: yaw points to the front of a box; turn it by 180°")
    return found


def size_check(boxes: LabelledBoxes, classes: Sequence[str]) -> Check:
    """Median sizes of the classes, against those that such things have."""
    sizes, class_index = boxes.annotated.boxes[:, 3:6], boxes.annotated.class_index
    rows, verdicts = [], []
    for index, name in enumerate(classes):
        own = sizes[class_index == index]
        if not len(own):
            continue
        median = np.median(own, axis=0)
        typical = next((size for names, size in _TYPICAL.items() if name.lower() in names), None)
        shown = "–" if typical is None else " × ".join(f"{side:g}" for side in typical)
        rows.append((name, len(own), " × ".join(f"{side:.2f}" for side in median), shown))
        if typical is not None and len(own) >= ENOUGH and (problem := _odd_size(name, median, np.array(typical))):
            verdicts.append(problem)
    if (wrong := share((sizes <= 0).any(axis=1))) > 0:
        verdicts.append(f"{per_cent(wrong)} of the boxes have a side of 0 or less: no point lies in them; mend them")
    columns = ("class", "boxes", "length × width × height (m), median", "typical")
    measured = f"median sizes of {len(rows)} classes" if rows else "no box has a class"
    return Check("sizes", measured, tuple(verdicts), columns, tuple(rows))


def _odd_size(name: str, size: Float64[Array, "3"], typical: Float64[Array, "3"]) -> str:
    """Length and width are compared as the longer and the shorter: of their order ``heading_check`` speaks."""
    ours, theirs = (np.array([*sorted(sides[:2])[::-1], sides[2]]) for sides in (size, typical))
    ratio = np.maximum(ours, 1e-9) / theirs
    if (ratio < _ODD).all() and (ratio > 1 / _ODD).all():
        return ""
    said = f"a {name} is {' × '.join(f'{side:.2f}' for side in size)} m (median)"
    if ratio.max() < 1.6 * ratio.min():
        factor = float(np.exp(np.log(ratio).mean()))
        unit = next((unit for times, unit in _UNITS.items() if 0.8 < factor / times < 1.25), "another unit")
        return f"{said}, {factor:.3g} times a usual one: sizes seem to be {unit}; store whole lengths in metres"
    return f"{said}: sizes are stored as length, width, height in metres; check their order"
