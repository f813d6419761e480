"""What is annotated in some scenes of the tables, as scoring asks for it."""

import numpy as np
from jaxtyping import Float64, Int64

from avjepa.data.arrays import Array
from avjepa.data.nuscenes.annotations import AnnotationIndex
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.protocol import AnnotatedKeyframes


def annotated_keyframes(index: DatasetIndex, annotations: AnnotationIndex, scenes: list[str]) -> AnnotatedKeyframes:
    """Gather the annotations of some scenes; attributes are unknown where their table is not there."""
    samples = index.samples(scenes)
    position = np.full(len(index.sample_timestamp), -1, np.int64)
    position[samples] = np.arange(len(samples))
    keyframe = position[annotations.sample]
    rows = np.flatnonzero(keyframe >= 0)
    return AnnotatedKeyframes(
        tokens=tuple(index.sample_token(int(row)) for row in samples),
        time=index.sample_timestamp[samples].astype(np.int64),
        scene=index.sample_scene[samples].astype(np.int64),
        scenes=tuple(index.scene_names),
        vehicle=_vehicle_positions(index, samples),
        keyframe=keyframe[rows],
        boxes=annotations.boxes[rows],
        class_index=annotations.class_index[rows].astype(np.int64),
        category=annotations.category[rows].astype(np.int64),
        categories=annotations.categories,
        attribute=annotations.attribute[rows].astype(np.int64),
        attributes=annotations.attributes if (index.folder / "attribute.json").is_file() else None,
        lidar_points=annotations.lidar_points[rows].astype(np.int64),
        radar_points=annotations.radar_points[rows].astype(np.int64),
        visibility=annotations.visibility[rows].astype(np.int64),
        track=annotations.instance[rows].astype(np.int64),
    )


def _vehicle_positions(index: DatasetIndex, samples: Int64[Array, "sample"]) -> Float64[Array, "sample 2"]:
    """Where the vehicle is at each keyframe: by its reference record, else by the scene's record nearest in time."""
    record = np.full(len(index.sample_timestamp), -1, np.int64)
    moments = index.moment_record[index.moments(keyframes_only=True)]
    record[index.record_sample[moments]] = moments
    for sample in samples[record[samples] < 0]:
        own = np.flatnonzero(index.sample_scene[index.record_sample] == index.sample_scene[sample])
        if len(own):
            away = np.abs(index.record_timestamp[own] - index.sample_timestamp[sample])
            record[sample] = own[away.argmin()]
    known = record[samples] >= 0
    position = np.full((len(samples), 2), np.nan)
    position[known] = index.global_from_ego(record[samples][known])[:, :2, 3].numpy()
    return position
