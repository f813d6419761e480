"""The camera matrix (intrinsics) of a pinhole camera."""

import torch
from jaxtyping import Float
from torch import Tensor


def is_camera_matrix(matrix: Float[Tensor, "3 3"]) -> bool:
    """Whether a matrix projects: finite, focal lengths above zero, last row (0, 0, 1)."""
    last_row = matrix.new_tensor((0.0, 0.0, 1.0))
    return bool(
        matrix.isfinite().all() and matrix[0, 0] > 0 and matrix[1, 1] > 0 and torch.allclose(matrix[2], last_row)
    )
