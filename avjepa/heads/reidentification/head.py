"""A small network that gives every box an embedding by which the same object is found again at another time."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avjepa.data.sample import Batch
from avjepa.data.taxonomy import Taxonomy
from avjepa.errors import UserError
from avjepa.geometry.boxes import transform_boxes
from avjepa.geometry.grid import BEVGrid
from avjepa.geometry.transforms import inverse
from avjepa.heads.base import Head, HeadOptions
from avjepa.heads.reidentification.crops import box_crops
from avjepa.heads.reidentification.embeddings import ObjectEmbeddings
from avjepa.heads.reidentification.loss import association_loss, hard_pairs
from avjepa.heads.reidentification.taught_objects import comparable_keyframes, jittered, objects_of, taught
from avjepa.ranges import require_number


@dataclass(frozen=True)
class ReidentificationOptions(HeadOptions):
    """Options of a ``ReidentificationHead``.

    Args:
        dimension: of an embedding.
        points: of a crop along each side.
        margin: metres of the map around a box that a crop shows.
        channels: of a crop, after the first layer.
        hidden: width before the embedding.
        temperature: by which a cosine is divided, in the loss and where it stands beside other evidence.
        geometry: also read the size of the box and the height of its centre. An annotated size is often the same
            number in all keyframes of an object, which no detector's is.
        motion: also read the velocity of the box, in its own frame. That of an annotated box may come from later
            keyframes.
        minimum_points: what is taught: boxes with at least so many LiDAR and radar points.
        jitter: standard deviation of what boxes are moved by in training, as a share of their size; the same number is
            that of their turn (rad). What a detector's boxes are off by.
        hard_weight: how often another object counts that is near and has about as many points.
        hard_distance: what is near (m).
    """

    dimension: int = 64
    points: int = 5
    margin: float = 1.0
    channels: int = 32
    hidden: int = 128
    temperature: float = 0.1
    geometry: bool = False
    motion: bool = False
    minimum_points: int = 5
    jitter: float = 0.05
    hard_weight: float = 2.0
    hard_distance: float = 20.0

    def __post_init__(self) -> None:
        for name in ("dimension", "points", "channels", "hidden", "minimum_points"):
            require_number(f"ReidentificationOptions.{name}", getattr(self, name), at_least=1)
        for name in ("margin", "jitter", "hard_distance"):
            require_number(f"ReidentificationOptions.{name}", getattr(self, name), at_least=0)
        require_number("ReidentificationOptions.hard_weight", self.hard_weight, above=0)
        require_number("ReidentificationOptions.temperature", self.temperature, at_least=0.01, at_most=10)

    def build(self, channels: int, grid: BEVGrid, taxonomy: Taxonomy) -> "ReidentificationHead":
        """See ``HeadOptions.build``."""
        return ReidentificationHead(channels, grid, self)


class ReidentificationHead(Head[ObjectEmbeddings]):
    """Reads a piece of the BEV map under each box, turned with it, and makes an embedding of length 1.

    Taught by clips (``data.clips``): see ``association_loss``.

    Args:
        in_channels: channels of the BEV map it is given.
        grid: the grid of that map.
        options: everything else.
    """

    needs_clips = True
    needs_queries = True

    def __init__(self, in_channels: int, grid: BEVGrid, options: ReidentificationOptions) -> None:
        super().__init__()
        self.in_channels, self.grid, self.options = in_channels, grid, options
        self.reduce = nn.Conv2d(in_channels, options.channels, 1)
        width = options.channels * options.points**2
        self.norm = nn.LayerNorm(width)
        further = _GEOMETRY * options.geometry + _MOTION * options.motion
        self.embed = nn.Sequential(
            nn.Linear(width + further, options.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(options.hidden, options.dimension),
        )
        self.new = nn.Parameter(torch.tensor(0.5 / options.temperature))

    def forward(
        self, bev: Float[Tensor, "batch channel y x"], boxes: tuple[Float[Tensor, "_ 9"], ...]
    ) -> Float[Tensor, "box dimension"]:
        """Embeddings of all samples' boxes (in their BEV frames, on the CPU), one sample after the other."""
        if tuple(bev.shape[1:]) != (self.in_channels, *self.grid.shape):
            raise UserError(
                f"ReidentificationHead: got a map of (channel, y, x) = {tuple(bev.shape[1:])}, was made for "
                f"{(self.in_channels, *self.grid.shape)}; build the head for the map of the neck"
            )
        crops = box_crops(self.reduce(bev), boxes, self.grid, self.options.points, self.options.margin)
        features = [self.norm(F.relu(crops).flatten(1))]
        if self.options.geometry or self.options.motion:
            every = torch.cat([one.float() for one in boxes]).to(bev.device, non_blocking=True)
            features += [_geometry(every)] if self.options.geometry else []
            features += [_motion(every)] if self.options.motion else []
        return F.normalize(self.embed(torch.cat(features, dim=1)).float(), dim=1)

    def loss(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """See ``association_loss``."""
        if batch.labels is None:
            raise UserError("ReidentificationHead: the batch has no labels; use a data set with annotations")
        labels = tuple(taught(one, self.options.minimum_points) for one in batch.labels)
        jitter = self.options.jitter if self.training else 0.0
        boxes = tuple(jittered(one.boxes, jitter, int(seed)) for one, seed in zip(labels, batch.seeds, strict=True))
        objects = objects_of(labels, batch)
        return association_loss(
            self(bev, boxes),
            objects,
            comparable_keyframes(batch).to(bev.device, non_blocking=True),
            self.options.temperature,
            self.new,
            hard_pairs(objects, self.options.hard_distance),
            self.options.hard_weight,
        )

    @torch.no_grad()
    def predict(self, bev: Float[Tensor, "batch channel y x"], batch: Batch) -> tuple[ObjectEmbeddings, ...]:
        """Embeddings of the boxes of ``batch.queries``."""
        if batch.queries is None:
            raise UserError("ReidentificationHead: the batch has no queries; the data's needs_queries makes them")
        found = self(bev, tuple(queries.boxes for queries in batch.queries)).cpu()
        level_from_bev = inverse(batch.bev_from_level.cpu())
        return tuple(
            ObjectEmbeddings(replace(queries, boxes=transform_boxes(back, queries.boxes)), embeddings)
            for queries, back, embeddings in zip(
                batch.queries, level_from_bev, found.split([len(queries) for queries in batch.queries]), strict=True
            )
        )


_GEOMETRY, _MOTION = 4, 3


def _geometry(boxes: Float[Tensor, "box 9"]) -> Float[Tensor, "box 4"]:
    """Logarithms of length, width and height; height of the centre (m)."""
    return torch.cat((boxes[:, 3:6].clamp(min=1e-3).log(), boxes[:, 2:3]), dim=1)


def _motion(boxes: Float[Tensor, "box 9"]) -> Float[Tensor, "box 3"]:
    """Velocity along and across the box, in units of 10 m/s, and whether it is known."""
    velocity = boxes[:, 7:9].nan_to_num(0.0) / 10.0
    cos, sin = boxes[:, 6].cos(), boxes[:, 6].sin()
    along, across = cos * velocity[:, 0] + sin * velocity[:, 1], cos * velocity[:, 1] - sin * velocity[:, 0]
    return torch.stack((along, across, boxes[:, 7].isfinite().to(boxes.dtype)), dim=1)
