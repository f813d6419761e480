"""Numbers of points in boxes that nobody counted before."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avjepa.data.labels import Labels
from avjepa.data.reading import MomentReader, load_samples
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.geometry.boxes import indices_in_boxes


def with_counted_points(labels: Labels, reader: MomentReader, moment: int, lidar: bool, radar: bool) -> Labels:
    """Labels whose unknown numbers of points (-1) are counted in the clouds of their moment.

    Args:
        labels: in the level frame.
        reader: of the clouds.
        moment: its number.
        lidar: whether to count the LiDAR's points.
        radar: whether to count the radars' points.

    Raises:
        BadFileError: a cloud cannot be read.
    """
    if not lidar and not radar:
        return labels
    inputs = SensorInputs(LidarSweeps() if lidar else None, RadarSweeps(1) if radar else None)
    (sample,) = load_samples(reader, moment, (inputs,))
    return replace(
        labels,
        lidar_points=_counted(labels.lidar_points, sample.lidar, labels.boxes),
        radar_points=_counted(labels.radar_points, sample.radar, labels.boxes),
    )


def _counted(
    points: Int64[Tensor, "box"], cloud: Float[Tensor, "point field"] | None, boxes: Float[Tensor, "box 9"]
) -> Int64[Tensor, "box"]:
    """Numbers of points, those that are not known (-1) counted in a cloud if there is one."""
    if cloud is None:
        return points
    inside = torch.tensor([len(rows) for rows in indices_in_boxes(cloud[:, :3], boxes)], dtype=torch.int64)
    return torch.where(points < 0, inside, points)
