"""From what the keyframes measured to annotation rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avjepa.synth.arrays import Array
from avjepa.synth.dataset.tables import Row, linked, token
from avjepa.synth.dataset.truth import Boxes
from avjepa.synth.traffic.actors import Actor, attribute_of

_ALWAYS_LABELLED = 50.0
"""Within this distance an object that any keyframe has seen is labelled in every keyframe, m."""


@dataclass(frozen=True)
class KeyframeTruth:
    """What one keyframe measured, one entry per actor."""

    boxes: Boxes
    velocity: Array
    lidar_points: NDArray[np.int64]
    radar_points: NDArray[np.int64]
    visibility: NDArray[np.int64]
    distance: Array


def label_rows(
    scene_token: Callable[..., str], actors: tuple[Actor, ...], samples: list[Row], truths: list[KeyframeTruth]
) -> tuple[list[Row], list[Row]]:
    """Rows of ``instance`` and of ``sample_annotation``, chained within each instance.

    An object is labelled from the first keyframe in which any LiDAR or radar point fell into its box to the last one,
    and in every keyframe in which it is near, however hidden: the label, and its instance, live through an occlusion.

    Args:
        scene_token: turns parts into a token of this scene.
        actors: what can be labelled.
        samples: rows of the keyframes.
        truths: measurements, one per keyframe.
    """
    instances, annotations = [], []
    points = np.array([truth.lidar_points + truth.radar_points for truth in truths])
    near = np.array([truth.distance < _ALWAYS_LABELLED for truth in truths])
    for index, actor in enumerate(actors):
        seen = np.flatnonzero(points[:, index])
        if len(seen) == 0:
            continue
        frames = np.arange(len(samples))
        labelled = near[:, index] | ((frames >= seen[0]) & (frames <= seen[-1]))
        instance = scene_token("instance", index)
        rows = []
        for frame in np.flatnonzero(labelled):
            truth = truths[frame]
            attribute = attribute_of(actor, float(np.hypot(*truth.velocity[index])))
            yaw = truth.boxes.yaw[index]
            rows.append(
                {
                    "token": scene_token("annotation", index, frame),
                    "sample_token": samples[frame]["token"],
                    "instance_token": instance,
                    "visibility_token": str(truth.visibility[index]),
                    "attribute_tokens": [token("attribute", attribute)] if attribute else [],
                    "translation": truth.boxes.centre[index].tolist(),
                    "size": truth.boxes.size[index].tolist(),
                    "rotation": [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))],
                    "num_lidar_pts": int(truth.lidar_points[index]),
                    "num_radar_pts": int(truth.radar_points[index]),
                }
            )
        annotations += linked(rows)
        instances.append(
            {"token": instance, "category_token": token("category", actor.category), "nbr_annotations": len(rows),
             "first_annotation_token": rows[0]["token"], "last_annotation_token": rows[-1]["token"]}
        )  # fmt: skip
    return instances, annotations
