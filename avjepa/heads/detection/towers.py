"""The layers behind CenterPoint's heatmaps and boxes, of all class groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from avjepa.geometry.device import constant
from avjepa.heads.detection.box_coding import BOX_CODE

HEATMAP_BIAS = -2.19
"""Initial logit of the heatmaps: a prior of 0.1 (RetinaNet, Lin et al. 2017, section 4.1)."""

_REACH = 2
"""Cells around a box's cell that two 3×3 convolutions read."""


@dataclass(frozen=True)
class Places:
    """Cells of a batch's maps at which boxes are wanted."""

    sample: Int64[Tensor, "box"]
    row_column: Int64[Tensor, "box 2"]


class TowerMaps:
    """What the towers say of a batch: heatmaps everywhere, boxes where they are asked for.

    Args:
        towers: that read the map.
        features: the map, channels last in memory.
    """

    def __init__(self, towers: "Towers", features: Float[Tensor, "batch channel y x"]) -> None:
        self._towers, self._features = towers, features

    def heatmaps(self) -> list[Float[Tensor, "batch _ y x"]]:
        """Logits per group, one map per class, in float32."""
        heatmaps: list[Tensor] = self._towers.heatmap_tower(self._features)
        return heatmaps

    def codes(self, places: Sequence[Places], groups: Sequence[int]) -> list[Float[Tensor, "box 10"]]:
        """The box codes of some groups, each at its own cells, in float32."""
        _, _, rows, columns = self._features.shape
        sample = torch.cat([place.sample for place in places])[:, None, None]
        row_column = torch.cat([place.row_column for place in places])
        steps = constant(tuple(range(-_REACH, _REACH + 1)), torch.int64, sample.device)
        row, column = row_column[:, :1, None] + steps[:, None], row_column[:, 1:, None] + steps
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        cell = (sample * rows + row.clamp(0, rows - 1)) * columns + column.clamp(0, columns - 1)
        read = self._features.permute(0, 2, 3, 1).flatten(0, 2).index_select(0, cell.flatten())
        patches = read.view(*cell.shape, read.shape[1]) * inside[..., None].to(read.dtype)
        sizes = [len(place.sample) for place in places]
        parts = zip(groups, torch.split(patches, sizes), torch.split(inside, sizes), strict=True)
        return [self._towers.box_towers[group](patch, within) for group, patch, within in parts]


class Towers(nn.Module):
    """Heatmaps and box codes of all class groups.

    Two 3×3 convolutions lead to every field, as in CenterPoint. A heatmap is wanted everywhere. A box is wanted where
    there is an object or a peak, so its convolutions are taken at those cells alone; and they are normalised over the
    channels of a cell, where CenterPoint has batch norms over a map that is background nearly everywhere.

    Args:
        in_channels: channels of the map.
        channels: hidden channels of every field.
        classes: number of classes of every group.
    """

    def __init__(self, in_channels: int, channels: int, classes: Sequence[int]) -> None:
        super().__init__()
        self.heatmap_tower = HeatmapTower(in_channels, channels, classes)
        self.box_towers = nn.ModuleList(BoxTower(in_channels, channels) for _ in classes)

    def forward(self, features: Float[Tensor, "batch channel y x"]) -> TowerMaps:
        """What the groups say of a map."""
        return TowerMaps(self, features.contiguous(memory_format=torch.channels_last))


class HeatmapTower(nn.Module):
    """Heatmaps of all groups: one wide convolution of which every group reads its own slice.

    Args:
        in_channels: channels of the map.
        channels: hidden channels of every group.
        classes: number of classes of every group.
    """

    def __init__(self, in_channels: int, channels: int, classes: Sequence[int]) -> None:
        super().__init__()
        width = len(classes) * channels
        self.channels = channels
        self.hidden = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.weights = nn.ParameterList(torch.empty(number, channels, 3, 3) for number in classes)
        self.bias = nn.Parameter(torch.full((sum(classes),), HEATMAP_BIAS))
        for weight in self.weights:
            nn.init.kaiming_uniform_(weight, a=5**0.5)  # as nn.Conv2d

    def forward(self, features: Float[Tensor, "batch channel y x"]) -> list[Float[Tensor, "batch _ y x"]]:
        """Logits per group, one map per class, in float32."""
        # one convolution whose weights between different groups are 0: small ones, one a group, take longer
        weight = torch.cat([
            functional.pad(part, (0, 0, 0, 0, number * self.channels, (len(self.weights) - 1 - number) * self.channels))
            for number, part in enumerate(self.weights)
        ])  # fmt: skip
        logits = functional.conv2d(self.hidden(features), weight, self.bias, padding=1).float()
        return list(torch.split(logits, [len(part) for part in self.weights], dim=1))


class BoxTower(nn.Module):
    """Box code of one group, at single cells.

    Args:
        in_channels: channels of the map.
        channels: hidden channels of every field.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.hidden = nn.Conv2d(in_channels, len(BOX_CODE) * channels, 3)
        self.norm = nn.LayerNorm(len(BOX_CODE) * channels)
        self.fields = nn.ModuleDict({name: nn.Conv2d(channels, width, 3) for name, width in BOX_CODE.items()})

    def forward(
        self, patches: Float[Tensor, "box 5 5 channel"], inside: Bool[Tensor, "box 5 5"]
    ) -> Float[Tensor, "box 10"]:
        """The codes in the middle of patches of the map, in float32; what is not ``inside`` the map is 0."""
        hidden = functional.relu(self.norm(self.hidden(patches.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)))
        hidden = hidden * inside[:, 1:-1, 1:-1, None].to(hidden.dtype)
        slices = hidden.permute(0, 3, 1, 2).chunk(len(self.fields), dim=1)
        values = [field(part) for field, part in zip(self.fields.values(), slices, strict=True)]
        return torch.cat(values, dim=1)[:, :, 0, 0].float()
