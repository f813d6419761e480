"""The detections of one sample, read back from an official result file."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.data.taxonomy import Taxonomy
from avjepa.evaluate.detection.result_file import read_result_file
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.transforms import inverse
from avjepa.heads.detection.detections import Detections


def read_detections(path: Path, token: str, global_from_level: Float[Tensor, "4 4"], taxonomy: Taxonomy) -> Detections:
    """The detections of one sample from an official result file, in the sample's level frame, best first.

    Raises:
        UserError: the file is no result file (``read_result_file``), or does not list the sample.
    """
    found = read_result_file(path, taxonomy).of_sample(token)
    length_width_height = found.size[:, [1, 0, 2]]
    columns = (found.translation, length_width_height, found.yaw[:, None], found.velocity)
    boxes = torch.from_numpy(np.concatenate(columns, axis=1))
    return Detections(
        transform_boxes(inverse(global_from_level.double()), boxes).float(),
        torch.from_numpy(found.score).float(),
        torch.from_numpy(found.class_index),
    )
