"""Image features where the LiDAR's points lie: a target that knows what things are, and a LiDAR how far they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from avjepa.data.files.point_fields import LIDAR_FIELDS
from avjepa.data.sample import Batch, Cameras
from avjepa.encoders.base import BEVMap, SensorEncoder, Tokens, per_sample
from avjepa.encoders.camera.geometry import NEAREST_DEPTH, image_from_bev
from avjepa.encoders.camera.image_backbone import ImageBackbone, ImageBackboneOptions
from avjepa.encoders.camera.lift import in_image
from avjepa.encoders.missing_sensor import MissingSensorError
from avjepa.encoders.point_tokens import PointTokens
from avjepa.errors import UserError
from avjepa.geometry.device import occurrences
from avjepa.geometry.grid import BEVGrid
from avjepa.ranges import require_number

_SAME_TIME = 1e-3
"""Seconds from the reference time up to which a point belongs to the sweep that the images were taken with."""
_STREAM = 0x7061696E74  # keeps these draws apart from others of the same seeds


@dataclass(frozen=True)
class PaintedTokens(PointTokens):
    """Points of the reference sweep, the cell and layer that each falls into, and the images."""

    fields = LIDAR_FIELDS
    place: Int64[Tensor, "point"]
    """Cell of every point."""
    layer: Int64[Tensor, "point"]
    """Layer of height of every point."""
    cameras: Cameras

    @property
    def cell(self) -> Int64[Tensor, "point"]:
        """See ``PointTokens.cell``."""
        return self.place

    def without(self, share: float | Sequence[float]) -> "PaintedTokens":
        """See ``Tokens.without``. Points are dropped one by one."""
        counts = occurrences(self.points.batch_index, self.points.batch_size).tolist()
        stays = [
            torch.rand(count, generator=torch.Generator().manual_seed((seed ^ _STREAM) % 2**63)) >= own
            for seed, count, own in zip(self.seeds.tolist(), counts, per_sample(share, len(counts)), strict=True)
        ]
        return replace(self, kept=self.kept & torch.cat(stays).to(self.kept.device, non_blocking=True))


class PaintedPoints(SensorEncoder):
    """Features of a frozen image network at the pixels that LiDAR points fall on, averaged by cell and layer of height.

    A target to predict (``FrozenTargetOptions``) for students of any sensor, as SLidR (2203.16258) distils an image
    network into one of LiDAR, here without superpixels and without contrast. It uses no driving label; the image
    network's weights may have used labels of images (ImageNet), or none (DINO). Only points of the reference sweep
    count, since the images show that moment; a point is read from every camera that it projects into, whatever stands
    before it.

    Features are brought to ``layer_channels`` by a fixed random projection, which keeps their distances nearly
    (Johnson and Lindenstrauss, 1984), as ``JEPA`` predicts every channel with the same weight.

    **Observed** are cells with a point that an image shows. Channels: the lowest layer first; zeros in layers without.

    Args:
        token_grid: that of the student.
        image: the network; ``frozen: true``, and its first output is what is read.
        layers: of height.
        z_min: lower end of the first layer, in metres above the ground.
        z_max: upper end of the last layer; points outside do not count.
        layer_channels: of each layer.
    """

    projection: Tensor

    def __init__(
        self,
        token_grid: BEVGrid,
        image: ImageBackboneOptions,
        layers: int = 2,
        z_min: float = -1.25,
        z_max: float = 3.75,
        layer_channels: int = 32,
    ) -> None:
        super().__init__()
        require_number("PaintedPoints.layers", layers, at_least=1)
        require_number("PaintedPoints.layer_channels", layer_channels, at_least=1)
        if z_max <= z_min:
            raise UserError(f"PaintedPoints: layers from {z_min} to {z_max} m; give z_min < z_max")
        if not image.frozen:
            raise UserError("PaintedPoints.image: a target that learns may collapse; set frozen: true")
        self.token_grid, self.out_channels, self.intermediate_channels = token_grid, layers * layer_channels, ()
        self.layers, self.z_min, self.z_max = layers, z_min, z_max
        self.image = ImageBackbone(image)
        generator = torch.Generator().manual_seed(_STREAM)
        projection = torch.randn(self.image.channels[0], layer_channels, generator=generator) / layer_channels**0.5
        self.register_buffer("projection", projection)

    def sensors_read(self) -> tuple[str, ...]:
        """See ``BEVBackbone.sensors_read``: points and images."""
        return ("lidar", "camera")

    def tokenise(self, batch: Batch) -> PaintedTokens:
        """See ``SensorEncoder.tokenise``."""
        if batch.lidar is None:
            raise MissingSensorError("PaintedPoints", "lidar", batch)
        if batch.cameras is None:
            raise MissingSensorError("PaintedPoints", "camera", batch)
        points, (rows, columns) = batch.lidar, self.token_grid.shape
        x, y, z = points.xyz.unbind(1)
        row, column, inside = self.token_grid.rows_and_columns(x, y)
        height = (z - self.z_min) / (self.z_max - self.z_min) * self.layers
        now = points.features[:, LIDAR_FIELDS.index("time_lag")].abs() < _SAME_TIME
        kept = inside & (height >= 0) & (height < self.layers) & now
        place = (points.batch_index * rows + row) * columns + column
        layer = height.clamp(0, self.layers - 1).nan_to_num().long()
        return PaintedTokens(points, batch.seeds, kept, self.token_grid, place, layer, batch.cameras)

    @torch.no_grad()
    def encode(self, tokens: Tokens, masked: Bool[Tensor, "batch y x"] | None = None) -> BEVMap:
        """See ``SensorEncoder.encode``. No gradient: nothing of it learns."""
        assert isinstance(tokens, PaintedTokens)
        point, image, pixel = self._seen(tokens, tokens.visible(masked))
        features = self.image(tokens.cameras.images.flatten(0, 1))[0].float()
        shape = features.shape[-2:]
        row, column = (
            ((coordinate - self.image.origins[0]) / self.image.strides[0]).round().long().clamp(0, limit - 1)
            for coordinate, limit in zip((pixel[:, 1], pixel[:, 0]), shape, strict=True)
        )
        with torch.autocast(features.device.type, enabled=False):
            table = features.permute(0, 2, 3, 1).flatten(0, 2) @ self.projection
        bins = tokens.observed.numel() * self.layers
        place = tokens.place[point] * self.layers + tokens.layer[point]
        values = table[(image * shape[0] + row) * shape[1] + column]
        total = table.new_zeros(bins, table.shape[1]).index_add_(0, place, values)
        number = occurrences(place, bins)
        means = (total / number.clamp(min=1)[:, None]).view(*tokens.observed.shape, self.out_channels)
        observed = (number.view(-1, self.layers) > 0).any(1).view(tokens.observed.shape)
        return BEVMap(means.permute(0, 3, 1, 2), observed)

    def _seen(
        self, tokens: PaintedTokens, visible: Int64[Tensor, "visible"]
    ) -> tuple[Int64[Tensor, "pair"], Int64[Tensor, "pair"], Float[Tensor, "pair 2"]]:
        """Pairs of a point and an image that shows it: number of the point, number of the image, (u, v) in pixels."""
        cameras, sample = tokens.cameras, tokens.points.batch_index[visible]
        projections = image_from_bev(cameras)
        xyz = tokens.points.xyz[visible].float()
        points, images, pixels = [], [], []
        for view in range(cameras.present.shape[1]):  # six times the memory of one view is not needed
            of_sample = projections[:, view][sample]
            u, v, depth = ((of_sample[:, :, :3] * xyz[:, None]).sum(2) + of_sample[:, :, 3]).unbind(1)
            ahead = depth >= NEAREST_DEPTH
            u, v = u / depth.clamp(min=NEAREST_DEPTH), v / depth.clamp(min=NEAREST_DEPTH)
            shown = (ahead & in_image(cameras, torch.full_like(sample, view), sample, u, v)).nonzero()[:, 0]
            points.append(visible[shown])
            images.append(sample[shown] * cameras.present.shape[1] + view)
            pixels.append(torch.stack((u, v), dim=1)[shown])
        return torch.cat(points), torch.cat(images), torch.cat(pixels)
