"""The two views of a moment: their BEV frames, and what the target lacks."""

import contextlib
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import BEVMap
from avjepa.encoders.missing_sensor import MissingSensorError
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid


def require_equal_frames(batch: PretrainBatch, objective: str) -> None:
    """Refuse views that are augmented differently, whose cells are not the same places.

    Raises:
        UserError: they are.
    """
    one, other = batch.context.bev_from_level, batch.target.bev_from_level
    if one is not other and not torch.equal(one, other):  # a comparison of numbers would wait for a GPU
        raise UserError(
            f"{objective}: context and target are augmented differently, so that their cells are other places; "
            "set data.independent_views to false"
        )


@contextlib.contextmanager
def target_is_read() -> Iterator[None]:
    """Within the block a sensor that is missing is missing in the target, which has an option of its own."""
    try:
        yield
    except MissingSensorError as error:
        raise error.of_target() from error


def aligned(map_: BEVMap, grid: BEVGrid, source_from_grid: Float[Tensor, "batch 4 4"]) -> BEVMap:
    """A map seen in another BEV frame: features interpolated, occupancy of the nearest cell, nothing outside.

    Args:
        map_: on ``grid``, in its own frame.
        grid: cells of both maps.
        source_from_grid: the map's frame from the frame that is wanted.
    """
    xy = grid.centres(map_.features.device)
    moved = torch.einsum("bij,yxj->byxi", source_from_grid[:, :2, :2], xy) + source_from_grid[:, None, None, :2, 3]
    features = nn.functional.grid_sample(map_.features.float(), grid.normalised(moved), align_corners=False)
    cell, inside = grid.cell_of(moved)
    sample = torch.arange(len(moved), device=moved.device)[:, None, None]
    occupied: Bool[Tensor, "batch y x"] = map_.observed[sample, cell[..., 0], cell[..., 1]] & inside
    return BEVMap(features, occupied)
