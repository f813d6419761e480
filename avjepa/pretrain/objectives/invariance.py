"""The invariance objective: two augmented views of a moment, equal embeddings for equal places."""

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import SensorEncoder
from avjepa.errors import UserError
from avjepa.geometry.transforms import inverse
from avjepa.pretrain.masking.generators import MaskGenerator
from avjepa.pretrain.objectives.cells import drawn_cells, rows_at
from avjepa.pretrain.objectives.objective import Embeddings, Objective, ObjectiveOutput
from avjepa.pretrain.objectives.regularisers import covariance_term, variance_term
from avjepa.pretrain.objectives.views import aligned, target_is_read
from avjepa.pretrain.token_norms import TokenNorm
from avjepa.ranges import require_number

_OTHER_DRAW = 0x5DEECE66D  # so that the two views drop different parts of the input


class Invariance(Objective):
    """Encode two views with different BEV augmentation by one encoder, align the maps, compare occupied cells.

    VICReg (2105.04906) or InfoNCE with the other places of the same scene as negatives (PointContrast, 2007.10985).
    The views are ``batch.context`` and ``batch.target``; the data have to augment them differently.

    Args:
        encoder: the encoder to pre-train.
        masks: hides cells of the context view as a further augmentation; only visible cells are compared.
        comparison: the loss. VICReg's terms have the paper's weights 25, 25, 1, all divided by 25, and the
            variance is the mean of both views' as in the authors' code.
        input_dropout: share of the raw input that is dropped in each view.
        width: channels of the projector's hidden layer and output.
        temperature: of InfoNCE.
        tokens_per_sample: cells compared per sample, at most.
    """

    def __init__(
        self,
        encoder: SensorEncoder,
        masks: MaskGenerator | None = None,
        comparison: Literal["vicreg", "infonce"] = "vicreg",
        input_dropout: float = 0.4,
        width: int = 256,
        temperature: float = 0.1,
        tokens_per_sample: int = 256,
    ) -> None:
        super().__init__()
        self.encoder, self.masks, self.comparison = encoder, masks, comparison
        require_number("Invariance.input_dropout", input_dropout, at_least=0, below=1)
        self.input_dropout, self.temperature, self.tokens_per_sample = input_dropout, temperature, tokens_per_sample
        self.projector = nn.Sequential(
            nn.Linear(encoder.out_channels, width), TokenNorm(width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, batch: PretrainBatch) -> ObjectiveOutput:
        """Loss of one batch.

        Raises:
            UserError: the two views are the same, so there is nothing to be invariant to, or one of them lacks the
                encoder's sensor.
        """
        encoder, view, other = self.encoder, batch.context, batch.target
        if self.input_dropout == 0 and torch.equal(view.bev_from_level, other.bev_from_level):
            raise UserError(
                "Invariance: both views are the same; augment the target view differently or set input_dropout > 0"
            )
        tokens = encoder.tokenise(view)
        shown = tokens.without(self.input_dropout)
        if self.masks is None:
            masked = torch.zeros_like(tokens.observed)
        else:
            sensor_xy = view.bev_from_level[:, :2, 3]
            drawn = self.masks.sample(tokens.observed, view.seeds, encoder.token_grid, sensor_xy)
            masked, shown = tokens.realisable_mask(drawn), self.masks.shown(shown)
        other = replace(other, seeds=other.seeds ^ _OTHER_DRAW)

        first = encoder.encode(shown, masked)
        with target_is_read():
            other_tokens = encoder.tokenise(other)
        second = aligned(
            encoder.encode(other_tokens.without(self.input_dropout)),
            encoder.token_grid,
            other.bev_from_level @ inverse(view.bev_from_level),
        )

        with torch.autocast(masked.device.type, enabled=False):  # small variances need fp32
            cells = drawn_cells(first.observed & second.observed, view.seeds, self.tokens_per_sample)
            sample = cells // masked[0].numel()
            ours = self.projector(rows_at(first.features, cells).float())
            theirs = self.projector(rows_at(second.features, cells).float())
            if self.comparison == "vicreg":
                terms = {
                    "invariance": _mean_over_samples((ours - theirs).square().mean(1), sample, len(batch)),
                    "variance": (variance_term(ours) + variance_term(theirs)) / 2,
                    "covariance": (covariance_term(ours) + covariance_term(theirs)) / 25,
                }
            else:
                nce = (
                    info_nce(ours, theirs, sample, self.temperature) + info_nce(theirs, ours, sample, self.temperature)
                ) / 2
                terms = {"info_nce": _mean_over_samples(nce, sample, len(batch))}
            loss = torch.stack(list(terms.values())).sum()

        terms = {name: term.detach() for name, term in terms.items()}
        return ObjectiveOutput(loss, terms, Embeddings(first.features.detach(), masked, tokens.observed))


def info_nce(
    queries: Float[Tensor, "token channel"],
    keys: Float[Tensor, "token channel"],
    sample: Int64[Tensor, "token"],
    temperature: float,
) -> Float[Tensor, "token"]:
    """-log softmax of the cosine of every query with its own key among the keys of its sample."""
    cosine = nn.functional.normalize(queries, dim=1) @ nn.functional.normalize(keys, dim=1).T
    elsewhere = sample[:, None] != sample[None, :]
    logits = (cosine / temperature).masked_fill(elsewhere, float("-inf"))
    return torch.logsumexp(logits, dim=1) - logits.diagonal()


def _mean_over_samples(values: Float[Tensor, "token"], sample: Int64[Tensor, "token"], size: int) -> Float[Tensor, ""]:
    count = torch.bincount(sample, minlength=size).clamp(min=1)
    return (values.new_zeros(size).index_add(0, sample, values) / count).mean()
