"""A joint-embedding predictive architecture on bird's-eye-view maps, for any sensor."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.reconstruction_target import Content, ReconstructionTarget
from avjepa.pretrain.masking.generators import MaskGenerator
from avjepa.pretrain.objectives.cells import CellWeights, LossCells, cell_loss, drawn_cells, loss_cells, rows_at
from avjepa.pretrain.objectives.distance import Distance, cell_distance
from avjepa.pretrain.objectives.objective import Embeddings, Objective, ObjectiveOutput
from avjepa.pretrain.objectives.predictor import Predictor, PredictorOptions
from avjepa.pretrain.objectives.regularisers import Regulariser, RegulariserOptions
from avjepa.pretrain.objectives.targets import TargetFeatures, TargetOptions
from avjepa.pretrain.objectives.views import require_equal_frames, target_is_read
from avjepa.ranges import require_number


class JEPA(Objective):
    """Hide cells, encode what is left, predict the target's embeddings of the hidden cells (I-JEPA, 2301.08243).

    The target may have several depths: those of the target encoder and, with ``reconstruction_weight``, what comes
    before the first of them, the raw content of the target view, which the same predictor reconstructs. It is known
    from the first step on, when a moving average has learned nothing yet that were worth predicting.

    Args:
        encoder: the context encoder, which is what pre-training is for.
        masks: draws the hidden cells.
        target: who encodes the target view: a moving average, a frozen encoder, or the encoder itself.
        regularisers: penalties against collapse; none leaves it to the moving average.
        predictor: size of the predictor.
        input_dropout: share of the context's visible raw input that is dropped too.
        weights: how much masked, visible, occupied and empty cells count.
        reconstruction_weight: of reconstructing the raw content; 0 leaves it to the embeddings alone.
        reconstruction_target: what is reconstructed; what the encoder names as its sensor's content by default.
        distance: between prediction and target in a cell: 1 - cosine, or smooth L1 averaged over channels.
        intermediate_features: predict several depths of the target encoder and not its output alone.
        normalisation: of each target depth in each cell.
        standardise: bring the target's channels to unit variance by running statistics.
        cells_per_kind: cells per sample on which a loss is taken, at most, of each kind (masked or visible, occupied or
            empty).
        tokens_per_sample: cells per sample that the regularisers see, at most; SIGReg grows with their number.
    """

    def __init__(
        self,
        encoder: SensorEncoder,
        masks: MaskGenerator,
        target: TargetOptions,
        regularisers: tuple[RegulariserOptions, ...] | None = None,
        predictor: PredictorOptions = PredictorOptions(),  # noqa: B008 (frozen)
        input_dropout: float = 0.4,
        weights: CellWeights = CellWeights(),  # noqa: B008 (frozen)
        reconstruction_weight: float = 0.0,
        reconstruction_target: ReconstructionTarget | None = None,
        distance: Distance = "smooth_l1",
        intermediate_features: bool = True,
        normalisation: Literal["layer", "l2", "none"] = "layer",
        standardise: bool = True,
        cells_per_kind: int = 256,
        tokens_per_sample: int = 64,
    ) -> None:
        super().__init__()
        self.encoder, self.masks, self.target = encoder, masks, target.build(encoder)
        self.target_features = TargetFeatures(
            self.target.channels_of, intermediate_features, normalisation, standardise
        )
        embedding = self.target_features.channels
        self.predictor = Predictor(encoder.out_channels, embedding, encoder.token_grid, predictor)
        self.reconstruction_weight = reconstruction_weight
        if reconstruction_weight > 0:
            self.reconstruction_target = (
                encoder.reconstruction_target() if reconstruction_target is None else reconstruction_target
            )
            self.reconstruction_head = nn.Linear(predictor.width, self.reconstruction_target.channels)
        self.regularisers = nn.ModuleList(
            options.build(encoder.out_channels, embedding) for options in regularisers or ()
        )
        require_number("JEPA.input_dropout", input_dropout, at_least=0, below=1)
        require_number("JEPA.cells_per_kind", cells_per_kind, at_least=1)
        self.input_dropout, self.weights, self.distance = input_dropout, weights, distance
        self.cells_per_kind, self.tokens_per_sample = cells_per_kind, tokens_per_sample

    def forward(self, batch: PretrainBatch) -> ObjectiveOutput:
        """Loss of one batch.

        Raises:
            UserError: the views are augmented differently, or one of them lacks a sensor that is read of it.
        """
        require_equal_frames(batch, "JEPA")
        encoder, view = self.encoder, batch.context
        tokens = encoder.tokenise(view)
        sensor_xy = view.bev_from_level[:, :2, 3]
        drawn = self.masks.sample(tokens.observed, view.seeds, encoder.token_grid, sensor_xy)
        masked = tokens.realisable_mask(drawn)

        context = encoder.encode(self.masks.shown(tokens.without(self.input_dropout)), masked)
        with target_is_read():
            target = self.target(encoder, batch.target, tokens if tokens.are_of(batch.target) else None)
        counts = self.weights.counts(tokens.observed, target.observed)
        cells = loss_cells(masked, target.observed, view.seeds, self.cells_per_kind, counts=counts)
        content, content_cells, wanted_cells = None, cells, cells.at
        if self.reconstruction_weight > 0:
            with target_is_read():
                content = self.reconstruction_target.of(batch.target, encoder.token_grid)
            counts = self.weights.counts(tokens.observed, content.occupied)
            content_cells = loss_cells(masked, content.occupied, view.seeds, self.cells_per_kind, content.valid, counts)
            wanted_cells = torch.cat((cells.at, content_cells.at))

        refined = self.predictor.refine(context, masked, sensor_xy, self.masks.remembered(context))
        read = self.predictor.read(refined, wanted_cells)
        prediction = self.predictor.head(read[: len(cells.at)])

        with torch.autocast(prediction.device.type, enabled=False):  # differences of near-equal numbers need fp32
            predicted, wanted = prediction.float(), self.target_features(target, cells)
            distance = cell_distance(predicted, wanted, self.distance)
            terms = cell_loss(distance, cells, self.weights)
            if len(self.regularisers) > 0:
                measured = cells.masked & cells.occupied
                shown = drawn_cells(_map_of(cells.at[measured], masked), view.seeds, self.tokens_per_sample)
                visible = rows_at(context.features, drawn_cells(context.observed, view.seeds, self.tokens_per_sample))
                guessed = predicted[torch.searchsorted(cells.at, shown)]
                for regulariser in self.regularisers:
                    terms |= regulariser(visible.float(), guessed)
            if content is not None:
                terms |= self._reconstruction_terms(read[len(cells.at) :].float(), content, content_cells)
            loss = torch.stack(list(terms.values())).sum()

        terms = {name: term.detach() for name, term in terms.items()}
        embeddings = Embeddings(
            context.features.detach(), masked, tokens.observed, _map_of(cells.at, masked), predicted.detach(),
            wanted.detach(), self.distance,
        )  # fmt: skip
        return ObjectiveOutput(loss, terms, embeddings)

    def _reconstruction_terms(
        self, rows: Float[Tensor, "cell channel"], content: Content, cells: LossCells
    ) -> dict[str, Float[Tensor, ""]]:
        distance = self.reconstruction_target.distance(
            self.reconstruction_head(rows), content.values.flatten(0, 2)[cells.at], cells.occupied
        )
        terms = cell_loss(distance, cells, self.weights)
        return {f"reconstruction_{name}": self.reconstruction_weight * term for name, term in terms.items()}

    def after_step(self, step: int) -> None:
        """The target encoder follows; the regularisers take their next random directions."""
        self.target.after_step(self.encoder, step)
        for regulariser in self.regularisers:
            assert isinstance(regulariser, Regulariser)
            regulariser.after_step(step)


def _map_of(cells: Int64[Tensor, "cell"], like: Bool[Tensor, "batch y x"]) -> Bool[Tensor, "batch y x"]:
    return torch.zeros_like(like).flatten().index_fill_(0, cells, True).view_as(like)
