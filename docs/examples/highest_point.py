"""An objective that is no part of avjepa: how high does what is hidden in a cell reach?"""

import torch
from torch import nn

from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import SensorEncoder
from avjepa.errors import UserError
from avjepa.pretrain.masking.generators import MaskGenerator
from avjepa.pretrain.objectives.objective import Embeddings, Objective, ObjectiveOutput
from avjepa.pretrain.objectives.views import require_equal_frames


class HighestPoint(Objective):
    """Hide cells, and regress the height of the highest LiDAR point in those that are hidden.

    Args:
        encoder: what is pre-trained.
        masks: draws the hidden cells.
    """

    def __init__(self, encoder: SensorEncoder, masks: MaskGenerator) -> None:
        super().__init__()
        self.encoder, self.masks = encoder, masks
        width = encoder.out_channels
        self.decoder = nn.Sequential(nn.Conv2d(width, width, 5, padding=2), nn.GELU(), nn.Conv2d(width, 1, 1))

    def forward(self, batch: PretrainBatch) -> ObjectiveOutput:
        """Loss of one batch."""
        require_equal_frames(batch, "HighestPoint")
        view, grid, points = batch.context, self.encoder.token_grid, batch.target.lidar
        if points is None:
            raise UserError("HighestPoint: the target has no LiDAR; add lidar to data.target_sensors")
        tokens = self.encoder.tokenise(view)
        drawn = self.masks.sample(tokens.observed, view.seeds, grid, view.bev_from_level[:, :2, 3])
        masked = tokens.realisable_mask(drawn)  # what this sensor can really lose
        context = self.encoder.encode(tokens, masked)

        cell, inside = grid.cell_of(points.xyz[:, :2].contiguous())
        (rows, columns), heights = grid.shape, points.xyz[inside, 2].float()
        place = ((points.batch_index * rows + cell[:, 0]) * columns + cell[:, 1])[inside]
        highest = torch.full((masked.numel(),), -torch.inf, device=masked.device)
        highest = highest.scatter_reduce(0, place, heights, "amax").view_as(masked)

        asked = masked & highest.isfinite()
        predicted = self.decoder(context.features)[:, 0].float()
        distance = nn.functional.smooth_l1_loss(predicted, highest.nan_to_num(neginf=0.0), reduction="none")
        count = asked.flatten(1).sum(1).clamp(min=1)
        loss = ((distance * asked).flatten(1).sum(1) / count).mean()  # a mean over samples of means over their cells
        found = Embeddings(context.features.detach(), masked, tokens.observed)
        return ObjectiveOutput(loss, {"height": loss.detach()}, found)
