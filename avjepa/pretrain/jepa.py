"""A joint-embedding predictive architecture on bird's-eye-view maps, for any sensor."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import SensorEncoder
from avjepa.pretrain.cells import CellWeights, cell_loss, drawn_cells, per_sample_mean, tokens_at
from avjepa.pretrain.masking import MaskGenerator
from avjepa.pretrain.objective import Embeddings, Objective, ObjectiveOutput
from avjepa.pretrain.predictor import Predictor, PredictorOptions
from avjepa.pretrain.regularisers import Regulariser
from avjepa.pretrain.targets import TargetEncoder, TargetFeatures
from avjepa.pretrain.views import require_equal_frames


class JEPA(Objective):
    """Hide cells, encode what is left, predict the target's embeddings of the hidden cells (I-JEPA, 2301.08243).

    Args:
        encoder: the context encoder, which is what pre-training is for.
        masks: draws the hidden cells.
        target: who encodes the target view: a moving average, a frozen encoder, or the encoder itself.
        regularisers: penalties against collapse; none leaves it to the moving average.
        predictor: size of the predictor.
        drop: share of the context's visible raw input that is dropped too.
        weights: how much hidden, visible, occupied and empty cells count.
        distance: between prediction and target in a cell: 1 - cosine, or smooth L1 averaged over channels.
        levels: predict several depths of the target encoder and not its output alone.
        normalisation: of each target depth in each cell.
        standardise: bring the target's channels to unit variance by running statistics.
        tokens_per_sample: cells per sample that the regularisers see, at most; SIGReg grows with their number.
    """

    def __init__(
        self,
        encoder: SensorEncoder,
        masks: MaskGenerator,
        target: TargetEncoder,
        regularisers: list[Regulariser] | None = None,
        predictor: PredictorOptions = PredictorOptions(),  # noqa: B008 (frozen)
        drop: float = 0.4,
        weights: CellWeights = CellWeights(),  # noqa: B008 (frozen)
        distance: Literal["cosine", "smooth_l1"] = "smooth_l1",
        levels: bool = True,
        normalisation: Literal["layer", "l2", "none"] = "layer",
        standardise: bool = True,
        tokens_per_sample: int = 64,
    ) -> None:
        super().__init__()
        self.encoder, self.masks, self.target = encoder, masks, target
        self.target_features = TargetFeatures(target.prepare(encoder), levels, normalisation, standardise)
        embedding = self.target_features.channels
        self.predictor = Predictor(encoder.out_channels, embedding, encoder.token_grid, predictor)
        self.regularisers = nn.ModuleList(regularisers or [])
        for regulariser in regularisers or []:
            regulariser.prepare(encoder.out_channels, embedding)
        self.drop, self.weights, self.distance, self.tokens_per_sample = drop, weights, distance, tokens_per_sample

    def forward(self, batch: PretrainBatch) -> ObjectiveOutput:
        """Loss of one batch. The measure ``over_trivial`` is the loss on hidden occupied cells, divided by that of
        predicting the mean target everywhere: 1 means that nothing was learned.

        Raises:
            UserError: the views are augmented differently.
        """
        require_equal_frames(batch, "JEPA")
        encoder, view = self.encoder, batch.context
        seen = encoder.occupied(view)
        sensor_xy = view.bev_from_ego[:, :2, 3]
        hidden = encoder.maskable(view, self.masks.sample(seen, view.seeds, encoder.token_grid, sensor_xy))

        context = encoder(encoder.thinned(view, self.drop), hidden)
        target = self.target(encoder, batch.target)
        prediction = self.predictor(context, hidden, sensor_xy)

        with torch.autocast(prediction.device.type, enabled=False):  # differences of near-equal numbers need fp32
            wanted = self.target_features(target)
            predicted = prediction.float()
            distance = cell_distance(predicted, wanted, self.distance)
            terms = cell_loss(distance, hidden, target.occupied, self.weights)
            visible = tokens_at(context.features, drawn_cells(context.occupied, view.seeds, self.tokens_per_sample))
            guessed = tokens_at(predicted, drawn_cells(hidden & target.occupied, view.seeds, self.tokens_per_sample))
            for regulariser in self.regularisers:
                terms |= regulariser(visible, guessed)
            loss = torch.stack(list(terms.values())).sum()

            trivial = trivial_distance(wanted, hidden & target.occupied, self.distance)
            learned = per_sample_mean(distance, hidden & target.occupied).mean()

        terms = {name: term.detach() for name, term in terms.items()}
        terms["over_trivial"] = learned.detach() / trivial.clamp(min=1e-6)
        shown = Embeddings(context.features.detach(), hidden, seen, prediction.detach(), wanted.detach())
        return ObjectiveOutput(loss, terms, shown)

    def after_step(self, step: int) -> None:
        """The target encoder follows; the regularisers take their next random directions."""
        self.target.after_step(self.encoder, step)
        for regulariser in self.regularisers:
            assert isinstance(regulariser, Regulariser)
            regulariser.after_step(step)


def cell_distance(
    prediction: Float[Tensor, "batch embedding y x"],
    target: Float[Tensor, "batch embedding y x"],
    kind: Literal["cosine", "smooth_l1"],
) -> Float[Tensor, "batch y x"]:
    """1 - cosine of the angle, or the smooth L1 distance (beta 1) averaged over channels, of every cell."""
    prediction, target = prediction.permute(0, 2, 3, 1), target.permute(0, 2, 3, 1)  # as they lie in memory
    if kind == "cosine":
        unit, unit_target = (nn.functional.normalize(x, dim=-1, eps=1e-6) for x in (prediction, target))
        return 1 - (unit * unit_target).sum(-1)
    return nn.functional.smooth_l1_loss(prediction, target, reduction="none").mean(-1)


@torch.no_grad()
def trivial_distance(
    target: Float[Tensor, "batch embedding y x"], cells: Bool[Tensor, "batch y x"], kind: Literal["cosine", "smooth_l1"]
) -> Float[Tensor, ""]:
    """The loss, on these cells, of the best guess that looks at nothing: their mean target."""
    marked = cells[:, None]
    mean = (target * marked).sum((0, 2, 3), keepdim=True) / marked.sum().clamp(min=1)
    return per_sample_mean(cell_distance(mean.expand_as(target), target, kind), cells).mean()
