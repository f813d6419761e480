"""Why a score may be zero: every check of a data set's labels and points, through the protocol."""

from collections.abc import Callable

from avjepa.data.inspection.check import Check
from avjepa.data.inspection.classes import class_check
from avjepa.data.inspection.labelled import LabelledBoxes
from avjepa.data.inspection.motion import velocity_check
from avjepa.data.inspection.observed import observe
from avjepa.data.inspection.points import agreement_check, centre_check, points_check
from avjepa.data.inspection.ranges import Reach, height_check, range_check
from avjepa.data.inspection.shapes import heading_check, size_check
from avjepa.data.inspection.timing import timing_check
from avjepa.data.protocol import DrivingDataset

KEYFRAMES = 40
"""Keyframes whose clouds are opened."""


def inspect_labels(
    dataset: DrivingDataset,
    reach: Reach,
    *,
    keyframes: int = KEYFRAMES,
    keyframe_done: Callable[[], object] = lambda: None,
) -> tuple[Check, ...]:
    """What a data set means by its boxes, points and times, where it differs from what the package takes it to mean.

    Args:
        dataset: any.
        reach: what the networks look at.
        keyframes: of so many, spread evenly, the clouds are opened; 0 opens no sensor file.
        keyframe_done: called after each of them.

    Raises:
        UserError: the annotations cannot be read.
    """
    if not dataset.has_labels():
        return (Check("labels", "there are none"), timing_check(dataset, None))
    boxes = LabelledBoxes.of(dataset)
    classes = dataset.taxonomy.classes
    observed = observe(dataset, keyframes, keyframe_done) if keyframes else None
    looked_into = () if observed is None else (
        points_check(observed, classes), centre_check(observed), agreement_check(observed, boxes.strangers),
        height_check(observed, reach),
    )  # fmt: skip
    return (
        *looked_into[:3],
        heading_check(boxes),
        size_check(boxes, classes),
        velocity_check(boxes),
        class_check(boxes.annotated, dataset.taxonomy),
        range_check(boxes, dataset.taxonomy, reach),
        *looked_into[3:],
        timing_check(dataset, observed),
    )
