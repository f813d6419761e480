"""What keeps the embeddings from collapsing, by choice: SIGReg. VICReg's terms serve ``Invariance``."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from avjepa.distributed import global_count, moments, summed
from avjepa.pretrain.token_norms import TokenNorm

Tokens = Float[Tensor, "token channel"]


def variance_term(tokens: Tokens) -> Float[Tensor, ""]:
    """Mean over channels of max(0, 1 - √(var + 1e-4)), over the tokens of all processes (VICReg, 2105.04906, eq. 1)."""
    _, variance = moments(tokens)
    return torch.relu(1 - torch.sqrt(variance + 1e-4)).mean()


def covariance_term(tokens: Tokens) -> Float[Tensor, ""]:
    """Sum of the squared off-diagonal covariances (normalised by N - 1) divided by the channels (VICReg, eq. 3-4)."""
    count = global_count(tokens)
    mean, _ = moments(tokens)
    centred = tokens - mean
    covariance = summed(centred.T @ centred) / (count - 1).clamp(min=1)
    off_diagonal = covariance.square().sum() - covariance.diagonal().square().sum()
    return off_diagonal / tokens.shape[1]


def random_directions(count: int, channels: int, seed: int) -> Float[Tensor, "direction channel"]:
    """Unit vectors drawn on the CPU, so that every process and every device gets the same ones."""
    generator = torch.Generator().manual_seed(seed)
    return nn.functional.normalize(torch.randn(count, channels, generator=generator), dim=1)


def sigreg(tokens: Tokens, directions: Float[Tensor, "direction channel"]) -> Float[Tensor, ""]:
    """Epps-Pulley distance of the tokens' one-dimensional projections from a standard normal (LeJEPA, 2511.08544).

    The characteristic function of every projection is compared with exp(-t²/2) on 17 knots of [0, 3]; the trapezoid
    weights are doubled for the negative half axis. Grows with the number of tokens of all processes: about 1 for
    Gaussian tokens whatever their number, N times a constant for others.
    """
    count = global_count(tokens).clamp(min=1)
    knots = torch.linspace(0, 3, 17, device=tokens.device, dtype=tokens.dtype)
    step = 3 / 16
    weights = torch.full_like(knots, 2 * step)
    weights[0] = weights[-1] = step
    gaussian = torch.exp(-knots.square() / 2)
    angle = (tokens @ directions.to(tokens).T)[:, :, None] * knots
    cosine = summed(angle.cos().sum(0)) / count
    sine = summed(angle.sin().sum(0)) / count
    distance = (cosine - gaussian).square() + sine.square()
    return count * (distance @ (weights * gaussian)).mean()


class Regulariser(nn.Module, ABC):
    """A penalty on the embeddings of one batch, over all processes."""

    @abstractmethod
    def forward(
        self, context: Float[Tensor, "token channel"], prediction: Float[Tensor, "token_masked embedding"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Weighted terms by name.

        Args:
            context: the context encoder's embeddings of visible occupied cells.
            prediction: the predictor's embeddings of hidden occupied cells.
        """

    def after_step(self, step: int) -> None:
        """``Objective.after_step``."""


class RegulariserOptions(ABC):
    """Everything about a regulariser but the widths of what it sees. Constructor arguments are YAML keys."""

    @abstractmethod
    def build(self, context_channels: int, prediction_channels: int) -> Regulariser:
        """The penalty on embeddings of so many channels, context encoder's and predictor's."""


@dataclass(frozen=True)
class SIGRegOptions(RegulariserOptions):
    """Options of ``SIGReg``.

    Args:
        weight: λ, .02 to .05 in the paper. With a target that is the encoder itself it is all that prevents collapse.
        directions: random directions at each step, 256 to 1024 in the paper.
        width: channels of the projection.
    """

    weight: float = 0.05
    directions: int = 256
    width: int = 128

    def build(self, context_channels: int, prediction_channels: int) -> "SIGReg":
        """See ``RegulariserOptions.build``."""
        return SIGReg(context_channels, self)


class SIGReg(Regulariser):
    """SIGReg on projected context embeddings, along directions that change at every optimiser step.

    An encoder that ends in a normalisation cannot be Gaussian: a Linear and a batch normalisation stand in between.
    """

    step: Int64[Tensor, ""]

    def __init__(self, channels: int, options: SIGRegOptions) -> None:
        super().__init__()
        self.weight, self.directions, self.width = options.weight, options.directions, options.width
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.projector = nn.Sequential(nn.Linear(channels, options.width), TokenNorm(options.width))

    def forward(
        self, context: Float[Tensor, "token channel"], prediction: Float[Tensor, "token_masked embedding"]
    ) -> dict[str, Float[Tensor, ""]]:
        """The term ``sigreg``."""
        directions = random_directions(self.directions, self.width, seed=int(self.step))
        return {"sigreg": self.weight * sigreg(self.projector(context), directions)}

    def after_step(self, step: int) -> None:
        """New directions; the step is part of the state, so a resumed run draws those it would have drawn."""
        self.step.fill_(step)
