"""What every image network has in common: maps at several strides, and patches that can be hidden at its stem."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Of RGB in [0, 1]: what most image networks were trained with."""


class Trunk(nn.Module, ABC):
    """The parts of an image network up to the last wanted stage, with a token for what is hidden at the stem.

    Attributes:
        channels: of each map.
        strides: pixels per cell of each map.
        stem_stride: pixels per cell of the stem's output.
        mean: of red, green and blue in [0, 1], subtracted before the stem.
        deviation: by which they are divided.
        token: takes the place of what is hidden; ``None`` in a network that is frozen, where it could not be trained.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    stem_stride: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    deviation: tuple[float, float, float] = IMAGENET_DEVIATION
    token: nn.Parameter | None

    def add_token(self, channels: int) -> None:
        """Give the network its token, of as many channels as what it replaces."""
        self.token = nn.Parameter(torch.zeros(channels))
        nn.init.trunc_normal_(self.token, std=0.02)

    def freeze(self) -> None:
        """Nothing learns any more. The token goes: hidden pixels keep their mean colour, hidden ViT tokens are zero."""
        self.token = None
        self.requires_grad_(False)
        self.eval()

    def with_token(self, values: Tensor, masked: Tensor | None, shape: tuple[int, ...]) -> Tensor:
        """``values`` with the token, viewed in ``shape``, where ``masked``."""
        if self.token is None:
            return values
        token = self.token.view(shape).to(values.dtype)
        if masked is None:
            # the token takes part all the same: distributed training wants a gradient for every parameter
            return values + 0 * token
        return torch.where(masked, token, values)

    def origin_of(self, stride: int) -> float:
        """Image coordinate of the centre of the first cell of a map."""
        return stride / 2

    @abstractmethod
    def forward(self, pixels: Tensor, masked: Bool[Tensor, "image row column"] | None) -> tuple[Tensor, ...]:
        """Maps of normalised pixels; ``masked`` at the stem's stride."""
