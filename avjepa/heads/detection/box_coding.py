"""Boxes as the regression values of a grid cell, and back."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avjepa.geometry.grid import BEVGrid

BOX_CODE = {"offset": 2, "height": 1, "size": 3, "rotation": 2, "velocity": 2}
"""Regression fields of a cell, in this order, and their channels: offset of the box centre from the cell centre
(x, y; in cells), z of the box centre (m), logarithms of length, width and height (m), sine and cosine of the yaw,
velocity (m/s)."""

BOX_CODE_CHANNELS = sum(BOX_CODE.values())


def encode_boxes(
    boxes: Float[Tensor, "box 9"], row_column: Int64[Tensor, "box 2"], grid: BEVGrid
) -> Float[Tensor, "box 10"]:
    """Regression values of boxes as seen from the given cells. Velocity stays NaN where it is unknown."""
    centre = grid.centres(boxes.device).to(boxes.dtype)[row_column[:, 0], row_column[:, 1]]
    yaw = boxes[:, 6:7]
    return torch.cat(
        ((boxes[:, :2] - centre) / grid.cell, boxes[:, 2:3], boxes[:, 3:6].log(), yaw.sin(), yaw.cos(), boxes[:, 7:9]),
        dim=-1,
    )


def decode_boxes(
    code: Float[Tensor, "box 10"], row_column: Int64[Tensor, "box 2"], grid: BEVGrid
) -> Float[Tensor, "box 9"]:
    """Boxes of regression values; sizes are held between 5 cm and 55 m, finite also for an untrained network."""
    centre = grid.centres(code.device).to(code.dtype)[row_column[:, 0], row_column[:, 1]]
    yaw = torch.atan2(code[:, 6:7], code[:, 7:8])
    size = code[:, 3:6].clamp(-3.0, 4.0).exp()
    return torch.cat((centre + code[:, :2] * grid.cell, code[:, 2:3], size, yaw, code[:, 8:10]), dim=-1)
