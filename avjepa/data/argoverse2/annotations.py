"""The boxes of a log."""

import logging
from pathlib import Path

import numpy as np

from avjepa.data.argoverse2.feather import read_table
from avjepa.data.argoverse2.log import QUATERNION, TRANSLATION, EgoPoses, poses_of, timestamp_of
from avjepa.data.poses import pose_matrices
from avjepa.data.recorded.boxes import SceneBoxes
from avjepa.data.recorded.records import SceneRecords
from avjepa.errors import UserError, counted

ANNOTATIONS = "annotations.feather"
SIZE = ("length_m", "width_m", "height_m")
_LARGEST_SIDE = 100.0


def read_annotations(folder: Path, records: SceneRecords) -> SceneBoxes | None:
    """The boxes of a log; ``None`` for one that is not annotated, as those of the test split.

    Boxes are annotated at every sweep, in the ego frame of its time.

    Args:
        folder: of the log.
        records: what was recorded in it.

    Raises:
        UserError: the table cannot be read, or a box is none.
    """
    path = folder / ANNOTATIONS
    if not path.exists():
        return None
    numbers = dict.fromkeys((*SIZE, *QUATERNION, *TRANSLATION), float)
    whole = {"timestamp_ns": int, "num_interior_pts": int}
    table = read_table(path, {"track_uuid": str, "category": str, **whole, **numbers})
    size = np.stack([table[name] for name in SIZE], axis=1)
    if ((size <= 0) | (size > _LARGEST_SIDE)).any():
        row = int(np.flatnonzero(((size <= 0) | (size > _LARGEST_SIDE)).any(1))[0])
        raise UserError(
            f"{path}: row {row} is no box: its sides have to be positive and at most {_LARGEST_SIDE:g} m; restore the "
            "file"
        )
    sweeps = np.array([timestamp_of(token) for token in records.tokens], np.int64)
    time = table["timestamp_ns"]
    moment = np.minimum(np.searchsorted(sweeps, time), len(sweeps) - 1)
    there = sweeps[moment] == time
    if not there.all():
        logging.getLogger("avjepa").warning(
            f"{path}: {counted(int((~there).sum()), 'box')} annotated at times of which there is no sweep, left out"
        )
    city_from_box = EgoPoses(folder).at(time, "box") @ pose_matrices(poses_of(table, path))
    return SceneBoxes.of(
        moment=moment[there],
        time=records.time,
        global_from_box=city_from_box[there],
        size=size[there],
        categories=table["category"][there],
        tracks=table["track_uuid"][there],
        lidar_points=np.maximum(table["num_interior_pts"][there], -1),
        radar_points=np.zeros(int(there.sum()), np.int64),
    )
