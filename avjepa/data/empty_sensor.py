"""A batch that lacks a sensor, as one in which it gave nothing."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from avjepa.data.files.point_fields import LIDAR_FIELDS, RADAR_FIELDS
from avjepa.data.sample import Batch, Cameras, Points

_FIELDS = {"lidar": len(LIDAR_FIELDS), "radar": len(RADAR_FIELDS)}
_SIDE = 64  # pixels of an image that is not there


def with_empty_sensor(batch: Batch, sensor: str) -> Batch:
    """The batch, with data of a sensor that no sample has: no points, or images that are not present.

    Where several processes train, one that has no data of a sensor goes through its network all the same, because the
    others wait for it in what they exchange.
    """
    if sensor in batch.sensors:
        return batch
    size, device = len(batch), batch.bev_from_level.device
    nobody = torch.zeros(size, dtype=torch.bool, device=device)
    if sensor == "camera":
        return replace(
            batch,
            cameras=Cameras(
                images=torch.zeros(size, 1, 3, _SIDE, _SIDE, dtype=torch.uint8, device=device),
                intrinsics=torch.eye(3, device=device).repeat(size, 1, 1, 1),
                bev_from_camera=torch.eye(4, device=device).repeat(size, 1, 1, 1),
                present=nobody[:, None],
            ),
        )
    rows = torch.zeros(0, _FIELDS[sensor], device=device)
    none = torch.zeros(0, dtype=torch.int64, device=device)
    points = Points(rows, none, nobody)
    return replace(batch, lidar=points) if sensor == "lidar" else replace(batch, radar=points)


def with_one_of(batch: Batch, sensors: Sequence[str]) -> Batch:
    """The batch; where no sample has data of any of some sensors, as one in which the first of them gave nothing.

    Args:
        batch: of a data set that need not have every sensor at every keyframe.
        sensors: those that a network reads; none for one that does not say.
    """
    return batch if not sensors or set(sensors) & set(batch.sensors) else with_empty_sensor(batch, sensors[0])
