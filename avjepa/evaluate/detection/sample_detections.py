"""The detections of one sample, read back from an official result file."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.evaluate.detection.result_file import ResultFile
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.transforms import inverse
from avjepa.heads.detection.detections import Detections


def detections_of(file: ResultFile, token: str, global_from_level: Float[Tensor, "4 4"]) -> Detections:
    """The detections of one sample from an official result file, in the sample's level frame, best first.

    Raises:
        UserError: the file does not list the sample.
    """
    found = file.of_sample(token)
    length_width_height = found.size[:, [1, 0, 2]]
    columns = (found.translation, length_width_height, found.yaw[:, None], found.velocity)
    boxes = torch.from_numpy(np.concatenate(columns, axis=1))
    return Detections(
        transform_boxes(inverse(global_from_level.double()), boxes).float(),
        torch.from_numpy(found.score).float(),
        torch.from_numpy(found.class_index),
    )
