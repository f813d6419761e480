"""A small convolutional head that says which classes the cells of a BEV map are of."""

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avjepa.data.sample import Batch
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError
from avjepa.geometry.grid import BEVGrid
from avjepa.heads.base import Head, HeadOptions
from avjepa.heads.segmentation.classes import SegmentedClasses
from avjepa.heads.segmentation.loss import segmentation_loss
from avjepa.heads.segmentation.prediction import Segmentation, in_level_frame
from avjepa.heads.segmentation.targets import segmentation_targets
from avjepa.ranges import require_number


@dataclass(frozen=True)
class SegmentationOptions(HeadOptions):
    """Options of a ``SegmentationHead``.

    Args:
        classes: what is told apart.
        upsample: refines the map by this factor, by interpolation, before the last convolutions.
        channels: hidden width.
        positive_weight: of cells that are of a class, see ``segmentation_loss``.
        focal_gamma: of the focal loss; 0 for plain cross-entropy.
    """

    classes: SegmentedClasses = field(default_factory=SegmentedClasses)
    upsample: int = 1
    channels: int = 64
    positive_weight: float = 2.13
    focal_gamma: float = 0.0

    def __post_init__(self) -> None:
        require_number("SegmentationOptions.upsample", self.upsample, at_least=1, at_most=16)
        require_number("SegmentationOptions.channels", self.channels, at_least=1)
        require_number("SegmentationOptions.positive_weight", self.positive_weight, above=0)
        require_number("SegmentationOptions.focal_gamma", self.focal_gamma, at_least=0)

    def build(self, channels: int, grid: BEVGrid, taxonomy: Taxonomy) -> "SegmentationHead":
        """See ``HeadOptions.build``."""
        return SegmentationHead(channels, grid, taxonomy.classes, self)


class SegmentationHead(Head[Segmentation]):
    """Segmentation of a BEV map; every class has a channel of its own and leaves the others alone.

    Args:
        in_channels: channels of the BEV map it is given.
        grid: the grid of that map.
        taxonomy_classes: what ``Labels.class_index`` counts.
        options: everything else.
    """

    def __init__(
        self, in_channels: int, grid: BEVGrid, taxonomy_classes: tuple[str, ...], options: SegmentationOptions
    ) -> None:
        super().__init__()
        options.classes.indices(taxonomy_classes)  # an unknown one is an error now, not in training
        self.in_channels, self.input_grid, self.options = in_channels, grid, options
        self.grid, self.taxonomy_classes = grid.refined(options.upsample), taxonomy_classes
        self.needs_boxes = bool(options.classes.objects)
        self.map_grid = self.grid if options.classes.drivable_area else None
        self.before = _convolution(in_channels, options.channels)
        self.after = _convolution(options.channels, options.channels)
        self.logits = nn.Conv2d(options.channels, len(options.classes.names), 1)

    def forward(self, bev: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch class y2 x2"]:
        """Logits of all classes, on ``self.grid``."""
        if tuple(bev.shape[1:]) != (self.in_channels, *self.input_grid.shape):
            raise UserError(
                f"SegmentationHead: got a map of (channel, y, x) = {tuple(bev.shape[1:])}, was made for "
                f"{(self.in_channels, *self.input_grid.shape)}; build the head for the map of the neck"
            )
        features = self.before(bev)
        if self.options.upsample > 1:
            features = F.interpolate(features, self.grid.shape, mode="bilinear", align_corners=False)
        logits: Tensor = self.logits(self.after(features))
        return logits

    def loss(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """A term for every class, see ``segmentation_loss``."""
        if batch.labels is None:
            raise UserError("SegmentationHead: the batch has no labels; use a data set with annotations")
        drivable = None if self.map_grid is None else batch.drivable.get(self.map_grid)
        if self.map_grid is not None and drivable is None:
            raise UserError("SegmentationHead: the batch has no map of the head's grid; add its map_grid to the data's")
        classes = self.options.classes
        targets = segmentation_targets(classes, self.taxonomy_classes, self.grid, batch.labels, drivable, bev.device)
        options = self.options
        terms = segmentation_loss(
            self(bev), targets.present, targets.known, options.positive_weight, options.focal_gamma
        )
        return dict(zip(classes.names, terms, strict=True))

    @torch.no_grad()
    def predict(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> tuple[Segmentation, ...]:
        """Maps of every sample, augmentation undone."""
        maps = in_level_frame(self(bev).float().sigmoid(), self.grid, batch.bev_from_level)
        return tuple(Segmentation(self.options.classes.names, self.grid, probability) for probability in maps)

    def deployed(self, bev: Float[Tensor, "1 channel y x"]) -> dict[str, Tensor]:
        """See ``Head.deployed``: ``probability`` (class, y, x) in the BEV frame."""
        return {"probability": self(bev)[0].float().sigmoid()}

    def deployment_facts(self) -> dict[str, Any]:
        """See ``Head.deployment_facts``."""
        return {"classes": list(self.options.classes.names), "grid": asdict(self.grid)}


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
