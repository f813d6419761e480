"""The generative objective: reconstruct what is in the hidden cells."""

import torch

from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.reconstruction_target import ReconstructionTarget
from avjepa.pretrain.masking.generators import MaskGenerator
from avjepa.pretrain.objectives.cells import CellWeights, cell_loss, loss_cells
from avjepa.pretrain.objectives.objective import Embeddings, Objective, ObjectiveOutput
from avjepa.pretrain.objectives.predictor import Predictor, PredictorOptions
from avjepa.pretrain.objectives.views import require_equal_frames, target_is_read
from avjepa.ranges import require_number


class OccupancyReconstruction(Objective):
    """Hide cells, encode what is left, reconstruct the raw content of every cell (Occupancy-MAE, 2206.09900).

    Masks, input drop-out, decoder, cell weights and the privileged view are those of ``JEPA``.

    Args:
        encoder: the encoder to pre-train.
        masks: draws the hidden cells.
        reconstruction_target: what is reconstructed; what the encoder names as its sensor's content by default.
        predictor: size of the decoder.
        input_dropout: share of the context's visible raw input that is dropped too.
        weights: how much masked, visible, occupied and empty cells count.
        cells_per_kind: as of ``JEPA``.
    """

    def __init__(
        self,
        encoder: SensorEncoder,
        masks: MaskGenerator,
        reconstruction_target: ReconstructionTarget | None = None,
        predictor: PredictorOptions = PredictorOptions(),  # noqa: B008 (frozen)
        input_dropout: float = 0.4,
        weights: CellWeights = CellWeights(),  # noqa: B008 (frozen)
        cells_per_kind: int = 256,
    ) -> None:
        super().__init__()
        self.encoder, self.masks = encoder, masks
        self.reconstruction_target = (
            encoder.reconstruction_target() if reconstruction_target is None else reconstruction_target
        )
        self.decoder = Predictor(
            encoder.out_channels, self.reconstruction_target.channels, encoder.token_grid, predictor
        )
        require_number("OccupancyReconstruction.input_dropout", input_dropout, at_least=0, below=1)
        require_number("OccupancyReconstruction.cells_per_kind", cells_per_kind, at_least=1)
        self.input_dropout, self.weights, self.cells_per_kind = input_dropout, weights, cells_per_kind

    def forward(self, batch: PretrainBatch) -> ObjectiveOutput:
        """Loss of one batch.

        Raises:
            UserError: the views are augmented differently, or one of them lacks a sensor that is read of it.
        """
        require_equal_frames(batch, "OccupancyReconstruction")
        encoder, view = self.encoder, batch.context
        tokens = encoder.tokenise(view)
        sensor_xy = view.bev_from_level[:, :2, 3]
        drawn = self.masks.sample(tokens.observed, view.seeds, encoder.token_grid, sensor_xy)
        masked = tokens.realisable_mask(drawn)

        context = encoder.encode(self.masks.shown(tokens.without(self.input_dropout)), masked)
        with target_is_read():
            content = self.reconstruction_target.of(batch.target, encoder.token_grid)
        counts = self.weights.counts(tokens.observed, content.occupied)
        cells = loss_cells(masked, content.occupied, view.seeds, self.cells_per_kind, content.valid, counts)
        prediction = self.decoder(context, masked, sensor_xy, cells.at, self.masks.remembered(context))

        with torch.autocast(prediction.device.type, enabled=False):  # losses in fp32
            distance = self.reconstruction_target.distance(
                prediction.float(), content.values.flatten(0, 2)[cells.at], cells.occupied
            )
            terms = cell_loss(distance, cells, self.weights)
            loss = torch.stack(list(terms.values())).sum()

        terms = {name: term.detach() for name, term in terms.items()}
        return ObjectiveOutput(loss, terms, Embeddings(context.features.detach(), masked, tokens.observed))
