"""Augmentation of a whole sample in the BEV frame: points, velocities, boxes and cameras move together."""

import zlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.sample import Sample
from avjepa.geometry.boxes import transform_boxes
from avjepa.ranges import require_number, require_range

RADAR_VELOCITY = slice(RADAR_FIELDS.index("vx_comp"), RADAR_FIELDS.index("vy_comp") + 1)
"""The columns of ``RADAR_FIELDS`` that turn with the frame, beside the position."""


@dataclass(frozen=True)
class BEVAugmentation:
    """A random similarity of the BEV frame: scale, then flip, then rotation about z, then translation.

    Args:
        rotation: largest angle to either side, radians.
        flip_x: whether half of the samples swap front and back (x becomes -x).
        flip_y: whether half of the samples swap left and right (y becomes -y).
        scale: lowest and highest factor.
        translation: standard deviation along each of x, y and z, metres.
        draws: a moment always gets one of so many draws of its own, so that results can be kept; ``null`` for no end.
    """

    rotation: float = 0.3925
    flip_x: bool = True
    flip_y: bool = True
    scale: tuple[float, float] = (0.95, 1.05)
    translation: float = 0.0
    draws: int | None = None

    def __post_init__(self) -> None:
        require_number("augmentation.rotation", self.rotation, at_least=0)
        require_number("augmentation.translation", self.translation, at_least=0)
        require_range("augmentation.scale", self.scale, above=0)
        if self.draws is not None:
            require_number("augmentation.draws", self.draws, at_least=1)

    def drawn(self, seed: int, stream: int = 0) -> Float[Tensor, "4 4"]:
        """``bev_from_level``, a function of the two numbers only."""
        random = np.random.default_rng((seed, stream, 0xA46))
        angle = random.uniform(-self.rotation, self.rotation)
        flips = random.random(2) < 0.5
        factor = random.uniform(*self.scale)
        shift = random.normal(0.0, self.translation, 3)
        sign_x, sign_y = -1.0 if flips[0] and self.flip_x else 1.0, -1.0 if flips[1] and self.flip_y else 1.0
        cos, sin = np.cos(angle), np.sin(angle)
        bev_from_level = torch.eye(4, dtype=torch.float64)
        bev_from_level[:3, :3] = factor * torch.tensor(
            [[cos * sign_x, -sin * sign_y, 0.0], [sin * sign_x, cos * sign_y, 0.0], [0.0, 0.0, 1.0]]
        )
        bev_from_level[:3, 3] = torch.from_numpy(shift)
        return bev_from_level.float()

    def applied(self, sample: Sample, stream: int = 0) -> Sample:
        """The sample in a BEV frame drawn from ``sample.seed``; another ``stream`` gives an independent draw."""
        if self.draws is not None:
            return moved(sample, self.draw_of(sample.token, sample.seed))
        return moved(sample, self.drawn(sample.seed, stream))

    def draw_of(self, token: str, number: int) -> Float[Tensor, "4 4"]:
        """``bev_from_level`` of one of the ``draws`` of the moment with this token."""
        assert self.draws is not None, "there is no end of draws"
        return self.drawn((zlib.crc32(token.encode()) << 16) + number % self.draws)


def moved(sample: Sample, new_from_old: Float[Tensor, "4 4"]) -> Sample:
    """The sample in another BEV frame: ``new_from_old`` is a similarity of the old one."""
    lidar, radar, cameras = sample.lidar, sample.radar, sample.cameras
    labels, queries = sample.labels, sample.queries
    if lidar is not None:
        lidar = _moved_points(lidar, new_from_old)
    if radar is not None:
        radar = _moved_points(radar, new_from_old, RADAR_VELOCITY)
    if cameras is not None:
        cameras = replace(cameras, bev_from_camera=new_from_old @ cameras.bev_from_camera)
    if labels is not None:
        labels = replace(labels, boxes=transform_boxes(new_from_old, labels.boxes))
    if queries is not None:
        queries = replace(queries, boxes=transform_boxes(new_from_old, queries.boxes))
    return replace(
        sample,
        bev_from_level=new_from_old @ sample.bev_from_level,
        lidar=lidar,
        radar=radar,
        cameras=cameras,
        labels=labels,
        queries=queries,
    )


def _moved_points(
    points: Float[Tensor, "point field"], new_from_old: Float[Tensor, "4 4"], velocity: slice | None = None
) -> Float[Tensor, "point field"]:
    """Positions (the first three columns) moved, velocities turned and scaled, everything else kept: one product."""
    columns = torch.eye(points.shape[1])
    columns[:3, :3] = new_from_old[:3, :3].T
    if velocity is not None:
        columns[velocity, velocity] = new_from_old[:2, :2].T
    offset = torch.zeros(points.shape[1])
    offset[:3] = new_from_old[:3, 3]
    return torch.addmm(offset, points, columns)
