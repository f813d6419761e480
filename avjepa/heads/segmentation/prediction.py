"""What a segmentation says of one sample."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from avjepa.geometry.grid import BEVGrid

CERTAIN = 255
"""The value of probability 1."""


@dataclass(frozen=True)
class Segmentation:
    """Probabilities on a grid of the sample's level frame (the BEV frame with any augmentation undone)."""

    classes: tuple[str, ...]
    grid: BEVGrid
    probability: UInt8[Tensor, "class y x"]
    """In steps of 1/255; 0 for cells that the map did not reach."""


def in_level_frame(
    probability: Float[Tensor, "batch class y x"], grid: BEVGrid, bev_from_level: Float[Tensor, "batch 4 4"]
) -> UInt8[Tensor, "batch class y x"]:
    """Maps of augmented BEV frames as maps of the level frames: interpolated between cells, rounded to 1/255."""
    centres = grid.centres(probability.device)
    turn, shift = bev_from_level[:, :2, :2].float(), bev_from_level[:, :2, 3].float()
    xy = torch.einsum("bij,yxj->byxi", turn, centres) + shift[:, None, None]
    moved = F.grid_sample(probability.float(), grid.normalised(xy), align_corners=False)
    return (moved * CERTAIN).round().to(torch.uint8)
