"""What the re-identification head learns from in a batch of clips."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avjepa.data.labels import Labels
from avjepa.data.sample import Batch
from avjepa.geometry.transforms import inverse
from avjepa.heads.reidentification.loss import ClipObjects

_JITTER = 0x1D  # random numbers apart from all others of a draw


def taught(labels: Labels, minimum_points: int) -> Labels:
    """Boxes with enough points; copies that were pasted in are on no track."""
    return labels.selected(labels.with_points(minimum_points) & (labels.track_ids >= 0))


def jittered(boxes: Float[Tensor, "box 9"], jitter: float, seed: int) -> Float[Tensor, "box 9"]:
    """Boxes moved, scaled and turned a little, as ``seed`` has it."""
    if jitter == 0.0 or not len(boxes):
        return boxes
    draws = np.random.default_rng((seed, _JITTER)).normal(0.0, jitter, (len(boxes), 7))
    noise = torch.from_numpy(draws).to(boxes.dtype)
    centre, size, yaw = boxes[:, :3] + noise[:, :3] * boxes[:, 3:6], boxes[:, 3:6] * noise[:, 3:6].exp(), boxes[:, 6:7]
    return torch.cat((centre, size, yaw + noise[:, 6:], boxes[:, 7:]), dim=1)


def objects_of(labels: tuple[Labels, ...], batch: Batch) -> ClipObjects:
    """The objects that some boxes, in the BEV frames of a batch, are of; on the device of the batch."""
    device = batch.bev_from_level.device
    counts = torch.tensor([len(one) for one in labels])
    on_cpu = (
        torch.repeat_interleave(torch.arange(len(labels)), counts),
        torch.cat([one.class_index for one in labels]),
        torch.cat([one.track_ids for one in labels]),
        torch.cat([one.lidar_points.clamp(min=0) + one.radar_points.clamp(min=0) for one in labels]),
        torch.cat([one.boxes[:, :3] for one in labels]),
    )
    sample, class_index, track_ids, points, centre = (each.to(device, non_blocking=True) for each in on_cpu)
    global_from_bev = batch.global_from_level @ inverse(batch.bev_from_level.double())
    # the world is thousands of metres wide, a clip is not: its first sample is near
    moved = (
        torch.einsum("oij,oj->oi", global_from_bev[sample, :2, :3], centre.double()) + global_from_bev[sample, :2, 3]
    )
    return ClipObjects(sample, class_index, track_ids, points, (moved - global_from_bev[:1, :2, 3]).float())


def comparable_keyframes(batch: Batch) -> Bool[Tensor, "sample sample"]:
    """Which samples are of one scene and of different moments."""
    scene, token = (np.unique(names, return_inverse=True)[1] for names in (batch.scenes, batch.tokens))
    comparable = (scene[:, None] == scene) & (token[:, None] != token)
    return torch.from_numpy(comparable)
