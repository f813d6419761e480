"""A training that would learn nothing is refused before it starts."""

import numpy as np
from jaxtyping import Int64

from avjepa.data.arrays import Array
from avjepa.data.protocol import BoxSummary, DrivingDataset
from avjepa.errors import BadFileError, UserError, counted

_NAMED = 5


def require_something_to_teach(source: DrivingDataset, moments: Int64[Array, "item"], boxes: BoxSummary) -> None:
    """Refuse keyframes none of whose boxes would be taught.

    Where the data set does not know its numbers of points, they are counted, keyframe by keyframe, until a box with a
    point is found.

    Args:
        source: the data set.
        moments: the keyframes.
        boxes: their boxes.

    Raises:
        UserError: says why there is nothing to teach.
    """
    if not len(boxes.item):
        there = len(source.boxes(source.moments(keyframes_only=True)).item)
        if not there:
            raise UserError(
                f"{source.name}: no keyframe has an annotated box, so there is nothing to fine-tune on; annotate boxes "
                "(sample_annotation), or use a data set that has them"
            )
        raise UserError(
            f"{source.name}: none of its {counted(there, 'annotated box')} is in the chosen scenes; choose others with "
            "data.train_split or data.scenes"
        )
    of_class = boxes.class_index >= 0
    if not of_class.any():
        raise UserError(
            f"{source.name}: no box of the chosen scenes is of a category that the taxonomy knows; there are "
            f"{_most_frequent(boxes)}; map them to classes in a file for data.taxonomy"
        )
    known = (boxes.lidar_points > 0) | (boxes.radar_points > 0)
    if (of_class & known).any():
        return
    to_count = np.unique(boxes.item[of_class & boxes.with_points()])
    if not any(_holds_points(source, int(moment)) for moment in moments[to_count]):
        raise UserError(
            f"{source.name}: no LiDAR or radar point lies in any box of the chosen scenes, so none would be taught; "
            "check the boxes' frame, their size and the sensors' poses (see avjepa inspect)"
        )


def _holds_points(source: DrivingDataset, moment: int) -> bool:
    try:
        return bool(source.labels(moment).with_points().any())
    except BadFileError:
        return False


def _most_frequent(boxes: BoxSummary) -> str:
    counts = np.bincount(boxes.category, minlength=len(boxes.categories))
    order = [int(row) for row in np.argsort(-counts, kind="stable") if counts[row]]
    named = ", ".join(f"{boxes.categories[row]} ({counts[row]})" for row in order[:_NAMED])
    return named + (f" and {len(order) - _NAMED} more" if len(order) > _NAMED else "")
