"""What a segmentation should answer for given labels and maps."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from avjepa.data.labels import Labels
from avjepa.data.map_mask import UNKNOWN
from avjepa.geometry.footprints import covered_cells
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.segmentation.classes import SegmentedClasses


@dataclass(frozen=True)
class SegmentationTargets:
    """Of some samples; classes in the order of ``SegmentedClasses.names``."""

    present: Bool[Tensor, "batch class y x"]
    """Whether a cell is of a class."""
    known: Bool[Tensor, "batch class y x"]
    """Whether anybody can tell; other cells are neither taught nor scored."""


def segmentation_targets(
    classes: SegmentedClasses,
    taxonomy_classes: tuple[str, ...],
    grid: BEVGrid,
    labels: tuple[Labels, ...],
    drivable: UInt8[Tensor, "batch y x"] | None,
    device: torch.device,
) -> SegmentationTargets:
    """Map cells as the mask has them, footprints of boxes where a cell's centre lies in one.

    Args:
        classes: what is segmented.
        taxonomy_classes: what ``Labels.class_index`` counts.
        grid: of the maps.
        labels: per sample, on the CPU.
        drivable: ``Batch.drivable`` of the grid; ``None`` for none, then nothing is known of it.
        device: where the targets are wanted.
    """
    items, (rows, columns) = len(labels), grid.shape
    present, known = [], []
    if classes.drivable_area:
        if drivable is None:
            drivable = torch.full((items, rows, columns), UNKNOWN, dtype=torch.uint8, device=device)
        present.append(drivable == 1)
        known.append(drivable != UNKNOWN)
    boxes = torch.cat([one.boxes for one in labels]).float()
    class_index = torch.cat([one.class_index for one in labels])
    visibility = torch.cat([one.visibility for one in labels])
    item = torch.repeat_interleave(torch.arange(items), torch.tensor([len(one) for one in labels]))
    seen = (visibility == 0) | (visibility >= classes.minimum_visibility)
    for members in classes.indices(taxonomy_classes).values():
        mine = torch.isin(class_index, torch.tensor(members, dtype=torch.int64))
        visible, hidden = (
            covered_cells(boxes[chosen], item[chosen], items, grid).to(device, non_blocking=True)
            for chosen in (mine & seen, mine & ~seen)
        )
        present.append(visible)
        known.append(visible | ~hidden)
    return SegmentationTargets(torch.stack(present, dim=1), torch.stack(known, dim=1))
