"""Detected boxes in the place of annotated ones, for a head that is asked about boxes."""

from pathlib import Path

import numpy as np
import torch

from avjepa.data.labels import BoxQueries
from avjepa.data.protocol import DrivingDataset
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.transforms import inverse


class DetectedBoxes:
    """The boxes of a result file of the detection task as queries; none at a keyframe that it does not list.

    Args:
        path: the file.
        source: the data set that it is of.

    Raises:
        UserError: as for ``read_result_file``.
    """

    def __init__(self, path: Path, source: DrivingDataset) -> None:
        file = read_result_file(path, source.taxonomy)
        table = file.boxes
        rows = np.concatenate(
            (
                table.translation,
                table.size[:, [1, 0, 2]],  # length, width, height
                table.yaw[:, None],
                table.velocity,
            ),
            axis=1,
        )
        order = np.argsort(table.sample, kind="stable")
        ends = np.cumsum(np.bincount(table.sample, minlength=len(file.sample_tokens)))
        self._source = source
        self._boxes = torch.from_numpy(rows[order].astype(np.float64))
        self._class_index = torch.from_numpy(table.class_index[order].astype(np.int64))
        self._scores = torch.from_numpy(table.score[order].astype(np.float32))
        self._rows = {
            token: slice(int(end - count), int(end))
            for token, end, count in zip(file.sample_tokens, ends, np.diff(ends, prepend=0), strict=True)
        }

    def lists(self, token: str) -> bool:
        """Whether the file says of a keyframe which boxes there are, be it none."""
        return token in self._rows

    def __call__(self, moment: int) -> BoxQueries:
        """See ``BoxQueriesOf``."""
        rows = self._rows.get(self._source.token_of(moment), slice(0, 0))
        level_from_global = inverse(self._source.global_from_level(moment))
        boxes = transform_boxes(level_from_global, self._boxes[rows]).float()
        return BoxQueries(boxes, self._class_index[rows], self._scores[rows], (None,) * len(boxes))
