"""CenterPoint: objects as peaks of class heatmaps, their boxes read off at the peak (Yin et al. 2021, section 4)."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from avjepa.data.sample import Batch
from avjepa.data.taxonomy import ClassGroup, Taxonomy
from avjepa.distributed import objects_per_process
from avjepa.errors import UserError
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.device import constant
from avjepa.geometry.grid import BEVGrid
from avjepa.geometry.transforms import inverse
from avjepa.heads.base import Head, HeadOptions
from avjepa.heads.detection.box_coding import BOX_CODE, decode_boxes
from avjepa.heads.detection.center_point_targets import CenterPointTargets, GroupTargets
from avjepa.heads.detection.detections import Detections
from avjepa.heads.detection.losses import gaussian_focal_loss
from avjepa.heads.detection.nms import circle_nms
from avjepa.heads.detection.towers import Places, TowerMaps, Towers


@dataclass(frozen=True)
class CenterPointOptions(HeadOptions):
    """Options of a ``CenterPointHead``.

    Args:
        upsample: refines the map by this factor with a transposed convolution before the towers, so that small objects
            get cells of their own.
        shared_channels: width of the convolution that all groups share.
        channels: hidden width of every output field.
        heatmap_overlap: IoU of the heatmap's Gaussians, see ``gaussian_radius``.
        minimum_radius: smallest radius of a Gaussian, in cells of the (upsampled) grid.
        minimum_points: boxes with fewer LiDAR and radar points together are not taught; the nuScenes evaluation drops
            boxes without points.
        box_weight: weight of the L1 terms against the heatmap's.
        velocity_weight: further weight of the velocity within the L1 terms.
        score_threshold: lowest confidence of a detection.
        candidates: highest peaks per group that enter non-maximum suppression.
        boxes_per_group: boxes per group that survive it.
        boxes_per_sample: boxes per sample in all; the nuScenes evaluation admits 500.
    """

    upsample: int = 1
    shared_channels: int = 64
    channels: int = 64
    heatmap_overlap: float = 0.1
    minimum_radius: int = 2
    minimum_points: int = 1
    box_weight: float = 0.25
    velocity_weight: float = 0.2
    score_threshold: float = 0.05
    candidates: int = 500
    boxes_per_group: int = 83
    boxes_per_sample: int = 500

    def build(self, channels: int, grid: BEVGrid, taxonomy: Taxonomy) -> "CenterPointHead":
        """See ``HeadOptions.build``."""
        return CenterPointHead(channels, grid, taxonomy.classes, taxonomy.groups, self)


class CenterPointHead(Head[Detections]):
    """Detection head on a BEV map.

    Args:
        in_channels: channels of the BEV map it is given.
        grid: the grid of that map.
        classes: all of them: what ``Labels.class_index`` counts.
        groups: those that share a tower; classes in no group are not detected.
        options: everything else.
    """

    def __init__(
        self,
        in_channels: int,
        grid: BEVGrid,
        classes: tuple[str, ...],
        groups: tuple[ClassGroup, ...],
        options: CenterPointOptions,
    ) -> None:
        super().__init__()
        self.in_channels, self.input_grid, self.options = in_channels, grid, options
        self.grid, self.classes, self.groups = grid.refined(options.upsample), classes, groups
        self.targets = CenterPointTargets(
            self.grid, classes, groups, options.heatmap_overlap, options.minimum_radius, options.minimum_points
        )

        upsample, shared_channels = options.upsample, options.shared_channels
        shared: list[nn.Module] = [nn.Conv2d(in_channels, shared_channels, 3, padding=1, bias=False)]
        shared += [nn.BatchNorm2d(shared_channels), nn.ReLU(inplace=True)]
        if upsample > 1:
            shared.append(nn.ConvTranspose2d(shared_channels, shared_channels, upsample, stride=upsample, bias=False))
            shared += [nn.BatchNorm2d(shared_channels), nn.ReLU(inplace=True)]
        self.shared = nn.Sequential(*shared)
        self.towers = Towers(shared_channels, options.channels, [len(group.classes) for group in groups])

    def forward(self, bev: Float[Tensor, "batch channel y x"]) -> TowerMaps:
        """Heatmaps and box codes of all groups, on ``self.grid``."""
        if tuple(bev.shape[1:]) != (self.in_channels, *self.input_grid.shape):
            raise UserError(
                f"CenterPointHead: got a map of (channel, y, x) = {tuple(bev.shape[1:])}, was made for "
                f"{(self.in_channels, *self.input_grid.shape)}; build the head for the map of the neck"
            )
        maps: TowerMaps = self.towers(self.shared(bev))
        return maps

    def loss(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Terms ``heatmap``, ``offset``, ``height``, ``size``, ``rotation``, ``velocity``, each summed over the groups.

        The focal loss of a group is divided by its number of peaks in the batch, an L1 term by its number of boxes
        (the velocity's: of known velocities); a group without any adds only its negatives. In training the numbers are
        those of all processes, and the mean over processes is the loss of their joint batch.
        """
        if batch.labels is None:
            raise UserError("CenterPointHead: the batch has no labels; use a data set with annotations")
        terms = {name: bev.new_zeros((), dtype=torch.float32) for name in ("heatmap", *BOX_CODE)}
        targets = [target.to(bev.device) for target in self.targets(batch.labels)]
        numbers = torch.stack([_numbers(target) for target in targets])
        # in evaluation processes may have different numbers of batches: each batch stands for itself
        numbers = objects_per_process(numbers) if self.training else numbers.clamp(min=1)
        maps = self(bev)
        codes = maps.codes([Places(target.sample, target.row_column) for target in targets], range(len(targets)))
        for heatmap, at_boxes, target, (peaks, *known_boxes) in zip(
            maps.heatmaps(), codes, targets, numbers, strict=True
        ):
            terms["heatmap"] = terms["heatmap"] + gaussian_focal_loss(heatmap, target.heatmap) / peaks
            known = target.code.isfinite()
            error = torch.where(known, at_boxes - target.code.nan_to_num(), 0.0).abs()
            per_channel = error.sum(0) / torch.stack(known_boxes)
            for name, part in zip(BOX_CODE, torch.split(per_channel, list(BOX_CODE.values())), strict=True):
                weight = self.options.box_weight * (self.options.velocity_weight if name == "velocity" else 1.0)
                terms[name] = terms[name] + weight * part.sum()
        return terms

    @torch.no_grad()
    def predict(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> tuple[Detections, ...]:
        """Detections of every sample, augmentation undone."""
        maps = self(bev)
        per_group = [self._decode(maps, number, heatmap) for number, heatmap in enumerate(maps.heatmaps())]
        result = []
        for index, bev_from_level in enumerate(batch.bev_from_level):
            boxes, scores, class_index = (
                torch.cat(parts) for parts in zip(*(g[index] for g in per_group), strict=True)
            )
            best = scores.argsort(descending=True, stable=True)[: self.options.boxes_per_sample]
            level = transform_boxes(inverse(bev_from_level.to(boxes)), boxes[best])
            result.append(Detections(level, scores[best], class_index[best]))
        return tuple(result)

    def deployed(self, bev: Float[Tensor, "1 channel y x"]) -> dict[str, Tensor]:
        """See ``Head.deployed``: the ``cells`` (row, column) of each group's best candidates, their ``scores`` and
        ``classes``, and the ``codes`` of their boxes (``BOX_CODE``), before the threshold and the suppression."""
        maps, found = self(bev), []
        for number, logits in enumerate(maps.heatmaps()):
            scores, row_column, names = self._candidates(number, logits)
            (code,) = maps.codes([Places(torch.zeros_like(names[0]), row_column[0])], [number])
            group = torch.full_like(names[0], number)
            found.append((row_column[0], code, scores[0], names[0], group))
        joined = (torch.cat(parts) for parts in zip(*found, strict=True))
        return dict(zip(("cells", "codes", "scores", "classes", "groups"), joined, strict=True))

    def deployment_facts(self) -> dict[str, Any]:
        """See ``Head.deployment_facts``."""
        return {
            "classes": list(self.classes),
            "score_threshold": self.options.score_threshold,
            "boxes_per_group": self.options.boxes_per_group,
            "boxes_per_sample": self.options.boxes_per_sample,
            "groups": [{"classes": list(group.classes), "nms_radius": group.nms_radius} for group in self.groups],
            "grid": asdict(self.grid),
            "code": dict(BOX_CODE),
        }

    def _candidates(
        self, number: int, logits: Float[Tensor, "batch class y x"]
    ) -> tuple[Float[Tensor, "batch k"], Int64[Tensor, "batch k 2"], Int64[Tensor, "batch k"]]:
        """Of one group's heatmaps: scores, best first, cells (row, column) and class index of its best peaks."""
        _, columns = self.grid.shape
        cells, group = logits.shape[2] * logits.shape[3], self.groups[number]
        most = min(self.options.candidates, logits.shape[1] * cells)
        scores, flat = logits.sigmoid().flatten(1).topk(most, dim=1)
        names = constant(tuple(self.classes.index(name) for name in group.classes), torch.int64, logits.device)
        return scores, torch.stack((flat % cells // columns, flat % columns), dim=-1), names[flat // cells]

    def _decode(
        self, maps: TowerMaps, number: int, logits: Float[Tensor, "batch class y x"]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of one group: (boxes in the BEV frame, scores, class index) per sample, after suppression."""
        group = self.groups[number]
        scores, places, names = self._candidates(number, logits)
        sample, rank = (scores >= self.options.score_threshold).nonzero().unbind(1)
        score, row_column, name = scores[sample, rank], places[sample, rank], names[sample, rank]
        (code,) = maps.codes([Places(sample, row_column)], [number])
        boxes = decode_boxes(code, row_column, self.grid)
        result = []
        for index in range(len(logits)):
            mine = sample == index
            kept = circle_nms(boxes[mine, :2], score[mine], group.nms_radius, self.options.boxes_per_group)
            result.append((boxes[mine][kept], score[mine][kept], name[mine][kept]))
        return result


def _numbers(target: GroupTargets) -> Float[Tensor, "11"]:
    """Peaks of a group in this process's batch, and its boxes whose code is known, channel by channel."""
    peaks = (target.heatmap == 1).sum()[None]
    return torch.cat((peaks, target.code.isfinite().sum(0))).float()
