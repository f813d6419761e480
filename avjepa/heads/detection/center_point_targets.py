"""What CenterPoint should answer for given labels."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avjepa.data.labels import Labels
from avjepa.data.taxonomy import ClassGroup
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.detection.box_coding import encode_boxes
from avjepa.heads.detection.gaussian import draw_gaussians, gaussian_radius


@dataclass(frozen=True)
class GroupTargets:
    """What the tower of one class group should answer. Two boxes may share a cell; both are kept."""

    heatmap: Float[Tensor, "batch class y x"]
    sample: Int64[Tensor, "box"]
    """Which sample of the batch a box belongs to."""
    row_column: Int64[Tensor, "box 2"]
    """The cell of the box centre."""
    code: Float[Tensor, "box 10"]
    """``box_coding.encode_boxes``; velocity NaN where unknown."""

    def to(self, device: torch.device) -> "GroupTargets":
        """A copy on the device, which is not waited for."""
        tensors = (self.heatmap, self.sample, self.row_column, self.code)
        return GroupTargets(*(tensor.to(device, non_blocking=True) for tensor in tensors))


@dataclass(frozen=True)
class CenterPointTargets:
    """Turns the labels of a batch into targets per class group.

    Args:
        grid: grid of the heatmaps; boxes whose centre lies outside are not taught.
        classes: all of them: what ``Labels.class_index`` counts.
        groups: those that share a tower.
        heatmap_overlap: IoU that fixes the radius of a Gaussian, see ``gaussian_radius``.
        minimum_radius: smallest radius, in cells.
        minimum_points: least number of LiDAR and radar points of a box that is taught.
    """

    grid: BEVGrid
    classes: tuple[str, ...]
    groups: tuple[ClassGroup, ...]
    heatmap_overlap: float
    minimum_radius: int
    minimum_points: int

    def __call__(self, labels: tuple[Labels, ...]) -> list[GroupTargets]:
        """Targets per group; works on the device of the labels."""
        boxes = torch.cat([one.boxes for one in labels]).float()
        class_index = torch.cat([one.class_index for one in labels])
        seen = torch.cat([one.with_points(self.minimum_points) for one in labels])
        counts = torch.tensor([len(one) for one in labels], device=boxes.device)
        sample = torch.repeat_interleave(torch.arange(len(labels), device=boxes.device), counts)
        row_column, inside = self.grid.cell_of(boxes[:, :2])
        taught = inside & seen

        rows, columns = self.grid.shape
        result = []
        for group in self.groups:
            classes = len(group.classes)
            of_class = torch.stack([class_index == self.classes.index(name) for name in group.classes])
            chosen = taught & of_class.any(0)
            mine, cell, within_group = boxes[chosen], row_column[chosen], of_class[:, chosen].int().argmax(0)
            radius = gaussian_radius(mine[:, 3] / self.grid.cell, mine[:, 4] / self.grid.cell, self.heatmap_overlap)
            heatmap = draw_gaussians(
                boxes.new_zeros(len(labels) * classes, rows, columns),
                sample[chosen] * classes + within_group,
                cell[:, 0],
                cell[:, 1],
                radius.long().clamp(min=self.minimum_radius),
            ).view(len(labels), classes, rows, columns)
            result.append(GroupTargets(heatmap, sample[chosen], cell, encode_boxes(mine, cell, self.grid)))
        return result
