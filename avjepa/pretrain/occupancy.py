"""The generative objective: reconstruct what is in the hidden cells."""

import torch

from avjepa.data.sample import PretrainBatch
from avjepa.encoders.base import SensorEncoder
from avjepa.encoders.content import ReconstructionTarget
from avjepa.pretrain.cells import CellWeights, cell_loss
from avjepa.pretrain.masking import MaskGenerator
from avjepa.pretrain.objective import Embeddings, Objective, ObjectiveOutput
from avjepa.pretrain.predictor import Predictor, PredictorOptions
from avjepa.pretrain.views import require_equal_frames


class OccupancyReconstruction(Objective):
    """Hide cells, encode what is left, reconstruct the raw content of every cell (Occupancy-MAE, 2206.09900).

    Masks, input drop-out, decoder, cell weights and the privileged view are those of ``JEPA``.

    Args:
        encoder: the encoder to pre-train.
        masks: draws the hidden cells.
        content: what is reconstructed; what the encoder names as its sensor's content by default.
        predictor: size of the decoder.
        drop: share of the context's visible raw input that is dropped too.
        weights: how much hidden, visible, occupied and empty cells count.
    """

    def __init__(
        self,
        encoder: SensorEncoder,
        masks: MaskGenerator,
        content: ReconstructionTarget | None = None,
        predictor: PredictorOptions = PredictorOptions(),  # noqa: B008 (frozen)
        drop: float = 0.4,
        weights: CellWeights = CellWeights(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__()
        self.encoder, self.masks = encoder, masks
        self.content = encoder.content() if content is None else content
        self.decoder = Predictor(encoder.out_channels, self.content.channels, encoder.token_grid, predictor)
        self.drop, self.weights = drop, weights

    def forward(self, batch: PretrainBatch) -> ObjectiveOutput:
        """Loss of one batch.

        Raises:
            UserError: the views are augmented differently.
        """
        require_equal_frames(batch, "OccupancyReconstruction")
        encoder, view = self.encoder, batch.context
        seen = encoder.occupied(view)
        sensor_xy = view.bev_from_ego[:, :2, 3]
        hidden = encoder.maskable(view, self.masks.sample(seen, view.seeds, encoder.token_grid, sensor_xy))

        context = encoder(encoder.thinned(view, self.drop), hidden)
        prediction = self.decoder(context, hidden, sensor_xy)

        with torch.autocast(prediction.device.type, enabled=False):  # losses in fp32
            content = self.content.of(batch.target, encoder.token_grid)
            distance = self.content.distance(prediction.float(), content)
            terms = cell_loss(distance, hidden, content.occupied, self.weights, content.valid)
            loss = torch.stack(list(terms.values())).sum()

        terms = {name: term.detach() for name, term in terms.items()}
        return ObjectiveOutput(loss, terms, Embeddings(context.features.detach(), hidden, seen))
