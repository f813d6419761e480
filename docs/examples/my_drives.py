"""Writes a world of ``avjepa synth`` in the format that ``my_adapter.py`` reads: python my_drives.py WORLD OUT."""

import json
import sys
from pathlib import Path

import numpy as np

from avjepa.data.datasets import open_dataset
from avjepa.data.reading import load_samples
from avjepa.data.sensor_inputs import LidarSweeps, SensorInputs


def quaternion(yaw: float) -> list[float]:
    """w, x, y, z of a turn around the upright axis."""
    return [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))]


def main(world: Path, out: Path) -> None:
    """Every keyframe of every scene."""
    source = open_dataset(world, "v1.0-synth")
    for scene in source.scene_names:
        folder = out / scene
        folder.mkdir(parents=True, exist_ok=True)
        frames = []
        for moment in source.moments([scene], keyframes_only=True).tolist():
            (sample,) = load_samples(source, moment, (SensorInputs(lidar=LidarSweeps(1)),))
            np.savez(folder / f"{moment}.npz", points=sample.lidar[:, :4].numpy())
            pose, labels = sample.global_from_level.numpy(), source.labels(moment)
            boxes = [
                {
                    "kind": source.taxonomy.classes[kind], "object": str(track), "centre": box[:3],
                    "length_width_height": box[3:6], "yaw": box[6],
                }
                for box, kind, track in zip(
                    labels.boxes.tolist(), labels.class_index.tolist(), labels.track_ids.tolist(), strict=True
                )
            ]  # fmt: skip
            vehicle = [*quaternion(np.arctan2(pose[1, 0], pose[0, 0])), *pose[:3, 3].tolist()]
            frames.append(
                {"seconds": sample.timestamp / 1e6, "vehicle": vehicle, "points": f"{moment}.npz", "boxes": boxes}
            )
        (folder / "frames.json").write_text(json.dumps(frames))
    splits = {split: source.scenes_of(split) for split in ("train", "val")}
    (out / "drives.json").write_text(json.dumps(splits))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
