"""What can be said of a backbone without labels, for comparison with what detectors make of it."""

import torch
from torch import Tensor

from avjepa.data.loading.batch_loader import BatchLoader
from avjepa.data.sample import Batch
from avjepa.encoders.base import SensorEncoder
from avjepa.pretrain.masking.generators import MultiBlock
from avjepa.pretrain.monitoring.diagnostics import FeatureQueue, cells_of
from avjepa.pretrain.monitoring.probe import OccupancyProbe

QUEUE, PER_BATCH = 4096, 512


@torch.no_grad()
def backbone_measures(encoder: SensorEncoder, batches: BatchLoader[Batch]) -> dict[str, float | None]:
    """RankMe of the features of occupied cells, and the score of a linear probe for what masks hide.

    The same samples and masks (blocks, half of the cells) for every backbone, however it was trained. Each batch is
    scored by the probe that has learnt the batches before it; the mean is over the second half of them.

    Args:
        encoder: in evaluation mode, on the device that it shall run on.
        batches: unaugmented samples that the encoder was not trained on.

    Returns:
        ``rank_centred`` and ``rank_uncentred`` (at most the number of channels), ``probe_precision`` and
        ``probe_chance`` (average precision of the probe and of guessing); ``None`` with too few cells to tell.
    """
    queue, probe, masks = FeatureQueue(QUEUE), OccupancyProbe(encoder.out_channels), MultiBlock()
    device = next(encoder.parameters()).device
    precisions, chances = [], []
    for batch in batches:
        batch = batch.to(device)
        tokens = encoder.tokenise(batch)
        occupied = tokens.observed
        drawn = masks.sample(occupied, batch.seeds, encoder.token_grid, batch.bev_from_level[:, :2, 3])
        masked = tokens.realisable_mask(drawn)
        features: Tensor = encoder.encode(tokens, masked).features.float()
        queue.push(cells_of(features, occupied & ~masked, PER_BATCH))
        answers = cells_of(occupied[:, None].float(), masked)[:, 0] > 0
        precisions.append(probe.learn(cells_of(features, masked), answers))
        chances.append(float(answers.float().mean()) if len(answers) else None)
    half = len(precisions) // 2
    return {
        "rank_centred": queue.rank(centred=True),
        "rank_uncentred": queue.rank(centred=False),
        "probe_precision": _mean(precisions[half:]),
        "probe_chance": _mean(chances[half:]),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
