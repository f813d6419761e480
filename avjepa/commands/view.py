"""``avjepa view``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from avjepa.commands.parsing import run_function
from avjepa.errors import BadFileError, UserError, counted

MOST_DRAWN = 50
"""Predictions in a picture: more of them hide each other."""


def view(
    data: Path,
    out: Path = Path("sample.png"),
    version: str = "v1.0-trainval",
    channels: Path | None = None,
    taxonomy: str = "nuscenes",
    split: str | None = None,
    index: int = 0,
    token: str | None = None,
    predictions: Path | None = None,
    segmentation: Path | None = None,
    minimum_score: float = 0.2,
    lidar_sweeps: int = 1,
    window: bool = False,
) -> None:
    """Draw a keyframe: bird's-eye view with points, boxes and predictions, and the cameras with boxes.

    Its title says which sensors were there, and which of them the predictions were made from.

    Without annotation tables it is drawn without boxes, and without the sensors that the dataset does not have.

    Args:
        data: the dataset's root folder.
        out: the picture (PNG).
        version: name of the folder of tables.
        channels: a YAML file that says which channels are lidar, cameras and radars; those of nuScenes by default.
        taxonomy: the classes: nuscenes, or a YAML file of its form.
        split: count keyframes within this split; all by default.
        index: number of the keyframe, if no token is given.
        token: the keyframe's sample token.
        predictions: a result file in the official format, to draw its detections too.
        segmentation: a segmentation.zip of avjepa evaluate, to draw its classes over the truth too.
        minimum_score: detections below it are not drawn, nor those beyond the 50 surest.
        lidar_sweeps: LiDAR sweeps to draw.
        window: also open an open3d window with the point cloud and the boxes.
    """
    from avjepa.commands.splits import scenes_of
    from avjepa.data.channels import load_channels
    from avjepa.data.datasets import open_dataset
    from avjepa.data.files.images import ImageTransform
    from avjepa.data.reading import load_samples
    from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs, recorded_sensors, require_recorded
    from avjepa.data.taxonomy import load_taxonomy
    from avjepa.evaluate.detection.result_file import read_result_file
    from avjepa.evaluate.detection.sample_detections import detections_of
    from avjepa.evaluate.segmentation.class_maps import class_maps_of
    from avjepa.evaluate.segmentation.result_file import read_segmentations
    from avjepa.report.points_window import show_points
    from avjepa.report.sample_figure import draw_sample
    from avjepa.report.segmentation import ClassMap

    if out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: the picture is a PNG; give a name that ends in .png")
    dataset = open_dataset(data, version, load_channels(channels), load_taxonomy(taxonomy))
    classes = dataset.taxonomy
    keyframes = dataset.moments(scenes_of(dataset, split, "--split"), keyframes_only=True).tolist()
    if token is not None:
        keyframes = [moment for moment in keyframes if dataset.token_of(moment) == token]
        if not keyframes:
            raise UserError(f"--token {token}: no keyframe of {dataset.name} has it")
        index = 0
    if not 0 <= index < len(keyframes):
        raise UserError(f"--index {index}: the split has {counted(len(keyframes), 'keyframe')}, numbered from 0")
    moment = keyframes[index]
    sensors = SensorInputs(LidarSweeps(lidar_sweeps), RadarSweeps(), ImageTransform(450, 800))
    there = recorded_sensors(dataset.channels, dataset.recorded_channels)
    if not there:
        remedy = "pass it as --channels FILE.yaml"
        require_recorded(sensors.sensors(), dataset.channels, dataset.recorded_channels, dataset.name, remedy)
    (sample,) = load_samples(dataset, moment, (sensors,), on_bad_file=_name_the_keyframe)
    if dataset.has_labels():
        sample = replace(sample, labels=dataset.labels(moment))
    detections, note = None, ""
    if predictions is not None:
        file = read_result_file(predictions, classes)
        note = f"predictions from {' + '.join(file.sensors) or 'unknown sensors'}"
        found = detections_of(file, sample.token, sample.global_from_level)
        sure = found.scores >= minimum_score
        if not sure.any():
            best = f"the best has {float(found.scores.max()):.3f}" if len(found.scores) else "there is none"
            print(f"no prediction has a score of --minimum_score {minimum_score:g} or more: {best}")
        surest = (found.scores * sure).argsort(descending=True)[: min(int(sure.sum()), MOST_DRAWN)]
        if left_out := int(sure.sum()) - len(surest):
            print(f"the {MOST_DRAWN} surest predictions are drawn, {left_out} left out; --minimum_score draws fewer")
        detections = (found.boxes[surest], found.scores[surest], found.class_index[surest])
    class_maps: tuple[ClassMap, ...] = ()
    if segmentation is not None:
        maps_file = read_segmentations(segmentation)
        class_maps, lacking = class_maps_of(maps_file, dataset, moment)
        note += f"{', ' if note else ''}segmentation from {' + '.join(maps_file.sensors) or 'unknown sensors'}"
        for line in lacking:
            print(line)
    if channels is None and (missing := [name for name in sensors.sensors() if name not in there]):
        names = ", ".join(dataset.recorded_channels)
        print(f"drawn without {' and '.join(missing)}: nuScenes' channels are not among {names}; see --channels")
    draw_sample(sample, out, detections, classes.classes, class_maps, note)
    print(out)
    if window:
        show_points(sample, classes.classes)


def _name_the_keyframe(error: BadFileError, of_the_moment: bool) -> None:
    raise BadFileError(error.path, error.problem, "restore the file, or draw another keyframe (--index or --token)")


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("view", view, arguments)
