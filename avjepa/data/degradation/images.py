"""Cameras that are dead, and images that are dark or blurred."""

from abc import abstractmethod
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

from avjepa.data.channels import SensorChannels
from avjepa.data.degradation.base import ChangedMoment, random_of
from avjepa.data.moment import Moment
from avjepa.data.sample import CameraImages
from avjepa.ranges import require_number


@dataclass(frozen=True)
class DeadCameras(ChangedMoment):
    """Some cameras give no images, the same ones at all moments.

    Args:
        cameras: how many, drawn at random; all of them where there are no more.
    """

    cameras: int = 1

    def __post_init__(self) -> None:
        require_number("DeadCameras.cameras", self.cameras, at_least=1)

    def changed(self, moment: Moment, channels: SensorChannels, seed: int) -> Moment:
        """See ``ChangedMoment.changed``."""
        dead = set(random_of(seed, "dead").permutation(list(channels.cameras))[: self.cameras].tolist())
        left = {transform: _without(images, dead) for transform, images in moment.cameras.items()}
        return replace(moment, cameras=left)


class _ChangedImages(ChangedMoment):
    def changed(self, moment: Moment, channels: SensorChannels, seed: int) -> Moment:
        """See ``ChangedMoment.changed``."""
        cameras = {
            transform: images and replace(images, images=self.of_images(images.images, random_of(seed, moment.token)))
            for transform, images in moment.cameras.items()
        }
        return replace(moment, cameras=cameras)

    @abstractmethod
    def of_images(
        self, images: UInt8[Tensor, "camera 3 height width"], random: np.random.Generator
    ) -> UInt8[Tensor, "camera 3 height width"]:
        """The changed images."""


@dataclass(frozen=True)
class NightImages(_ChangedImages):
    """Images of which little light is left, with the noise of a sensor at its limit.

    Args:
        light: share of the linear light that is left.
        noise: standard deviation of the noise, of 255.
    """

    light: float = 0.05
    noise: float = 6.0

    def __post_init__(self) -> None:
        require_number("NightImages.light", self.light, above=0, at_most=1)
        require_number("NightImages.noise", self.noise, at_least=0, at_most=255)

    def of_images(
        self, images: UInt8[Tensor, "camera 3 height width"], random: np.random.Generator
    ) -> UInt8[Tensor, "camera 3 height width"]:
        """Linear light is the 2.2th power of what an image holds."""
        noise = torch.from_numpy(random.standard_normal(images.shape, dtype=np.float32))
        dark: Tensor = images * self.light ** (1 / 2.2) + self.noise * noise
        return dark.clamp(0, 255).round().to(torch.uint8)


@dataclass(frozen=True)
class BlurredImages(_ChangedImages):
    """Images out of focus.

    Args:
        share: standard deviation of the blur as a share of the images' width; .0025 are 4 of 1600 pixels.
    """

    share: float = 0.005

    def __post_init__(self) -> None:
        require_number("BlurredImages.share", self.share, above=0, at_most=0.1)

    def of_images(
        self, images: UInt8[Tensor, "camera 3 height width"], random: np.random.Generator
    ) -> UInt8[Tensor, "camera 3 height width"]:
        """Convolved with a Gaussian; pixels beyond the edge are those at it."""
        deviation = self.share * images.shape[-1]
        reach = max(1, round(3 * deviation))
        weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation) ** 2)
        weights = (weights / weights.sum())[None, None]
        flat = images.float().flatten(0, 1)[:, None]
        flat = functional.conv2d(functional.pad(flat, (reach, reach, 0, 0), mode="replicate"), weights[:, :, None])
        flat = functional.conv2d(functional.pad(flat, (0, 0, reach, reach), mode="replicate"), weights[..., None])
        blurred: Tensor = flat.view(images.shape).clamp(0, 255).round().to(torch.uint8)
        return blurred


def _without(images: CameraImages | None, dead: set[str]) -> CameraImages | None:
    if images is None:
        return None
    left = [place for place, channel in enumerate(images.channels) if channel not in dead]
    if not left:
        return None
    return replace(
        images,
        images=images.images[left],
        intrinsics=images.intrinsics[left],
        bev_from_camera=images.bev_from_camera[left],
        channels=tuple(images.channels[place] for place in left),
    )
