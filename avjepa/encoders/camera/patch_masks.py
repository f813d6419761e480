"""Which cells a camera rig can lose: a pixel sees many cells, so hiding cells means hiding patches, and the reverse."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from avjepa.encoders.camera.geometry import PatchViews
from avjepa.ranges import require_number, require_range

_STREAM = 0x7061746368  # keeps these random numbers apart from others drawn from the same seed


@dataclass(frozen=True)
class MaskCells:
    """Cells are wished hidden; a patch is hidden when enough of the cells that it sees are among them.

    A patch sees all cells along its rays, hundreds at the horizon. Hiding it when any of them is to be hidden would
    blank every image, when all of them are, none.

    Args:
        share: of the cells that a patch sees, how many must be wished hidden for it to be masked.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        require_number("hiding.share", self.share, above=0, at_most=1)

    def patches(
        self, views: PatchViews, wanted: Bool[Tensor, "batch y x"], seeds: Int64[Tensor, "batch"]
    ) -> Bool[Tensor, "batch camera row column"]:
        """The patches to hide."""
        wished = views.cells_per_patch(wanted)
        return (wished > 0) & (wished >= self.share * views.cells_per_patch(torch.ones_like(wanted)))


@dataclass(frozen=True)
class MaskPatches:
    """Blocks of patches are hidden in every image (I-JEPA, 2301.08243), whatever cells were wished masked.

    The hidden cells follow: those that lost their view.

    Args:
        blocks: number of blocks per image; they may overlap.
        scale: smallest and largest share of the image that a block covers.
        aspect: smallest and largest ratio of a block's height to its width.
    """

    blocks: int = 4
    scale: tuple[float, float] = (0.15, 0.2)
    aspect: tuple[float, float] = (0.75, 1.5)

    def __post_init__(self) -> None:
        require_number("hiding.blocks", self.blocks, at_least=1)
        require_range("hiding.scale", self.scale, above=0)
        require_number("hiding.scale", self.scale[1], below=1)
        require_range("hiding.aspect", self.aspect, above=0)

    def patches(
        self, views: PatchViews, wanted: Bool[Tensor, "batch y x"], seeds: Int64[Tensor, "batch"]
    ) -> Bool[Tensor, "batch camera row column"]:
        """The patches to hide, a function of each sample's seed."""
        rows, columns = views.patch_shape
        row, column = torch.arange(rows)[:, None], torch.arange(columns)
        drawn = []
        for seed in seeds.tolist():
            generator = seeded(seed, _STREAM)
            draw = torch.rand(views.seen.shape[1], self.blocks, 4, 1, 1, generator=generator)
            area = rows * columns * (self.scale[0] + (self.scale[1] - self.scale[0]) * draw[:, :, 0])
            aspect = self.aspect[0] * (self.aspect[1] / self.aspect[0]) ** draw[:, :, 1]
            height = (area * aspect).sqrt().round().clamp(1, rows)
            width = (area / aspect).sqrt().round().clamp(1, columns)
            top = ((rows - height + 1) * draw[:, :, 2]).floor()
            left = ((columns - width + 1) * draw[:, :, 3]).floor()
            block = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
            drawn.append(block.any(1))
        return torch.stack(drawn).to(wanted.device, non_blocking=True)


def seeded(seed: int, stream: int) -> torch.Generator:
    """A generator of its own for a sample and a purpose, on the CPU: the same numbers on every device."""
    return torch.Generator().manual_seed((seed ^ stream) % 2**63)
