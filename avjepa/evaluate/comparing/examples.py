"""Pictures of keyframes that changed most from one release to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from avjepa.data.protocol import DrivingDataset
from avjepa.data.reading import load_samples
from avjepa.data.sample import Sample
from avjepa.data.sensor_inputs import LidarSweeps, SensorInputs, recorded_sensors
from avjepa.errors import BadFileError
from avjepa.evaluate.comparing.comparison import Comparison, DetectionDetails, Place
from avjepa.evaluate.comparing.pages import Example
from avjepa.evaluate.comparing.released import Released
from avjepa.evaluate.comparing.tables import points
from avjepa.evaluate.comparing.thresholds import Threshold
from avjepa.evaluate.detection.result_file import ResultFile
from avjepa.evaluate.detection.sample_detections import detections_of
from avjepa.progress import with_bar
from avjepa.report.bev import Detections
from avjepa.report.images import png_of
from avjepa.report.release_changes import ReleaseBoxes, two_releases_figure

_WORSE, _BETTER = 10, 3
_REACH = 52.0
_RESOLUTION = 90.0


def examples(source: DrivingDataset, split: str, comparison: Comparison) -> list[Example]:
    """The keyframes with the largest losses of the worst scenes, and those with the largest gains, by detection task.

    A LiDAR cloud is drawn where there is one that can be read.
    """
    moments = source.moments(source.scenes_of(split), keyframes_only=True)
    moment_of = {source.token_of(int(moment)): int(moment) for moment in moments}
    result = []
    for task, details in comparison.details.items():
        files = [one.results[task] for one in (comparison.old, comparison.new)]
        for kind, place in with_bar(_chosen(details), f"drawing keyframes, {task}"):
            if place.name not in moment_of:
                continue
            sample = _sample(source, moment_of[place.name])
            shown = [
                ReleaseBoxes(
                    f"{release.name}: mAP {points(score)}",
                    _detections(file, sample, comparison.new, release, thresholds),
                )
                for release, file, score, thresholds in zip(
                    (comparison.old, comparison.new), files, (place.old, place.new), details.thresholds, strict=True
                )
                if isinstance(file, ResultFile)
            ]
            figure = two_releases_figure(sample, shown, _REACH, source.taxonomy.classes, kind)
            caption = f"{kind}: {place.scene}, keyframe {place.name}: mAP {points(place.old)} → {points(place.new)}"
            result.append(Example(png_of(figure, _RESOLUTION), caption))
    return result


def _chosen(details: DetectionDetails) -> list[tuple[str, Place]]:
    """The worst keyframe of each of the worst scenes; then the best keyframes, one a scene."""
    worst: dict[str, Place] = {}
    best: dict[str, Place] = {}
    for place in details.keyframes:
        worst.setdefault(place.scene, place)
    for place in details.keyframes[::-1]:
        best.setdefault(place.scene, place)
    losing = [worst[scene.name] for scene in details.scenes[:_WORSE] if scene.change < 0]
    gaining = [place for place in list(best.values())[:_BETTER] if place.change > 0]
    return [*(("worse", place) for place in losing), *(("better", place) for place in gaining)]


def _sample(source: DrivingDataset, moment: int) -> Sample:
    """A keyframe with its labels, and its LiDAR cloud if it can be read."""
    has_lidar = "lidar" in recorded_sensors(source.channels, source.recorded_channels)
    inputs = SensorInputs(LidarSweeps(1) if has_lidar else None)
    (sample,) = load_samples(source, moment, (inputs,), on_bad_file=_draw_without)
    return replace(sample, labels=source.labels(moment))


def _draw_without(error: BadFileError, of_the_moment: bool) -> None:
    """A picture has boxes without points, too."""


def _detections(
    file: ResultFile, sample: Sample, new: Released, release: Released, thresholds: Mapping[str, Threshold]
) -> Detections:
    """What a release surely finds at a keyframe, with the numbers of the classes of the new release."""
    found = detections_of(file, sample.token, sample.global_from_level)
    names: Sequence[str] = [release.taxonomy.classes[index] for index in found.class_index.tolist()]
    scores = found.scores.tolist()
    rows = [
        row
        for row, name in enumerate(names)
        if name in thresholds and scores[row] >= thresholds[name].score and name in new.taxonomy.classes
    ]
    class_index = torch.tensor([new.taxonomy.classes.index(names[row]) for row in rows], dtype=torch.int64)
    return found.boxes[rows], found.scores[rows], class_index
