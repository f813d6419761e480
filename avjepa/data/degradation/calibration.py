"""Sensors whose poses are not those that the vehicle believes."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from avjepa.data.channels import SensorChannels
from avjepa.data.degradation.base import ChangedMoment, random_of
from avjepa.data.files.point_fields import RADAR_FIELDS
from avjepa.data.moment import Moment, SweepStack
from avjepa.ranges import require_number

_VELOCITY = [RADAR_FIELDS.index(name) for name in ("vx_comp", "vy_comp")]


@dataclass(frozen=True)
class Miscalibrated(ChangedMoment):
    """Every sensor is turned and shifted, each in a random direction that stays the same at all moments.

    A camera is turned about itself, LiDAR and radar about the vehicle's origin.

    Args:
        degrees: of the rotation.
        metres: of the shift.
    """

    degrees: float = 1.0
    metres: float = 0.1

    def __post_init__(self) -> None:
        require_number("Miscalibrated.degrees", self.degrees, at_least=0, at_most=180)
        require_number("Miscalibrated.metres", self.metres, at_least=0, at_most=100)

    def changed(self, moment: Moment, channels: SensorChannels, seed: int) -> Moment:
        """See ``ChangedMoment.changed``."""
        cameras = {
            transform: images
            and replace(
                images,
                bev_from_camera=images.bev_from_camera
                @ torch.stack([self._displacement(channel, seed) for channel in images.channels]),
            )
            for transform, images in moment.cameras.items()
        }
        lidar = None if moment.lidar is None else self._moved(moment.lidar, seed, ())
        radar = {keep: self._moved(stack, seed, _VELOCITY) for keep, stack in moment.radar.items()}
        return replace(moment, cameras=cameras, lidar=lidar, radar=radar)

    def _displacement(self, channel: str, seed: int) -> Float[Tensor, "4 4"]:
        random = random_of(seed, channel)
        axis, direction = (vector / np.linalg.norm(vector) for vector in random.standard_normal((2, 3)))
        displacement = np.eye(4)
        displacement[:3, :3] = Rotation.from_rotvec(axis * np.radians(self.degrees)).as_matrix()
        displacement[:3, 3] = direction * self.metres
        return torch.from_numpy(displacement).float()

    def _moved(self, stack: SweepStack, seed: int, velocity: list[int] | tuple[()]) -> SweepStack:
        points = stack.points.clone()
        for (channel, _), rows in stack.rows.items():
            displacement = self._displacement(channel, seed)
            own = points[rows]
            own[:, :3] = own[:, :3] @ displacement[:3, :3].T + displacement[:3, 3]
            if velocity:
                own[:, velocity] = own[:, velocity] @ displacement[:2, :2].T
        return SweepStack(points, stack.rows)
