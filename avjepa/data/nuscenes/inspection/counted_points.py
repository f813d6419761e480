"""Do the boxes hold the LiDAR points that the table says? They do not where frames, poses or units are wrong."""

import numpy as np
import torch

from avjepa.data.files.pointfiles import read_lidar
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.inspection.report import Finding
from avjepa.data.nuscenes.inspection.sampling import spread
from avjepa.errors import BadFileError
from avjepa.geometry.boxes import indices_in_boxes
from avjepa.geometry.transforms import apply

_KEYFRAMES = 12
_ENOUGH = 100  # stored points without which nothing is said
_LEAST, _MOST = 0.5, 2.0  # counted points per stored point


def counted_points_findings(index: DatasetIndex, annotations: AnnotationIndex) -> list[Finding]:
    """Count LiDAR points in the boxes of some keyframes, in the global frame, and compare with num_lidar_pts."""
    moments = index.moments(keyframes_only=True)
    stored = counted = 0
    for moment in moments[spread(len(moments), _KEYFRAMES)].tolist():
        sample = int(index.record_sample[index.moment_record[moment]])
        rows = np.asarray(annotations.of_sample(sample), np.int64)
        rows = rows[annotations.lidar_points[rows] > 0]
        cloud = _cloud(index, moment)
        if not len(rows) or cloud is None:
            continue
        boxes = torch.from_numpy(annotations.boxes[rows])
        # about the vehicle: ``indices_in_boxes`` wants coordinates near zero
        origin = index.global_from_ego(index.moment_record[moment : moment + 1])[0, :3, 3]
        boxes[:, :3] -= origin
        stored += int(annotations.lidar_points[rows].sum())
        counted += sum(len(inside) for inside in indices_in_boxes(cloud - origin, boxes))
    if stored < _ENOUGH or _LEAST * stored <= counted <= _MOST * stored:
        return []
    problem = (
        f"boxes hold {counted} LiDAR points where num_lidar_pts says {stored} (some keyframes): poses, calibration, "
        "boxes or clouds are in another frame or unit than nuScenes'"
    )
    return [Finding(f"{index.version}/sample_annotation.json", problem)]


def _cloud(index: DatasetIndex, moment: int) -> torch.Tensor | None:
    """The points of all LiDARs of a keyframe in the global frame; ``None`` if one cannot be read."""
    clouds = []
    for channel in index.sensors.lidar:
        record = index.at_moment(moment, channel, 0.0)
        if record is None:
            return None
        try:
            points = torch.from_numpy(read_lidar(index.file(record))[:, :3].astype(np.float64))
        except BadFileError:
            return None
        at = np.array([record])
        clouds.append(apply(index.global_from_ego(at)[0] @ index.ego_from_sensor(at)[0], points))
    return torch.cat(clouds) if clouds else None
