"""``avjepa view``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avjepa.commands.parsing import run_function
from avjepa.errors import UserError, counted

if TYPE_CHECKING:
    pass


def view(
    data: Path,
    out: Path | None = None,
    version: str = "v1.0-trainval",
    channels: Path | None = None,
    taxonomy: str | None = None,
    split: str | None = None,
    scene: str | None = None,
    index: int = 0,
    token: str | None = None,
    predictions: Path | None = None,
    segmentation: Path | None = None,
    minimum_score: float = 0.2,
    lidar_sweeps: int = 1,
    gif: Path | None = None,
    rerun: Path | None = None,
    bundle: str | None = None,
    window: bool = False,
) -> None:
    """Draw a keyframe, or play its scene: points, boxes and predictions from above, and the cameras with boxes.

    Its title says which sensors were there, and which of them the predictions were made from.

    Without annotation tables it is drawn without boxes, and without the sensors that the dataset does not have.

    Args:
        data: the dataset's root folder.
        out: the picture (PNG); sample.png unless a scene is played.
        version: name of the folder of tables.
        channels: a YAML file that says which channels are lidar, cameras and radars; those of the dataset by default.
        taxonomy: the classes: a YAML file, or the name of one of the package; those of the dataset by default.
        split: count scenes and keyframes within this split; all by default.
        scene: count keyframes within this scene: its name, or its number from 0.
        index: number of the keyframe, if no token is given.
        token: the keyframe's sample token.
        predictions: a result file in the official format, to draw its detections too.
        segmentation: a segmentation.zip of avjepa evaluate, to draw its classes over the truth too.
        minimum_score: detections below it are not drawn, nor those beyond the 50 surest.
        lidar_sweeps: LiDAR sweeps to draw.
        gif: write all keyframes of the scene as an animation.
        rerun: write all keyframes of the scene as a recording (.rrd) for the Rerun viewer.
        bundle: also record the maps of this backbone (a folder, or zoo:NAME) as colours, and masks of pre-training.
        window: also open an open3d window with the point cloud and the boxes.
    """
    from avjepa.commands.drawn_keyframes import DrawnKeyframes
    from avjepa.commands.opening import opened
    from avjepa.commands.splits import scenes_of
    from avjepa.data.files.images import ImageTransform
    from avjepa.data.sensor_inputs import (
        LidarSweeps,
        RadarSweeps,
        SensorInputs,
        channels_of,
        recorded_sensors,
        require_recorded,
    )
    from avjepa.evaluate.detection.result_file import read_result_file
    from avjepa.evaluate.segmentation.class_maps import class_maps_of
    from avjepa.evaluate.segmentation.result_file import read_segmentations
    from avjepa.report.points_window import show_points
    from avjepa.report.sample_figure import draw_sample
    from avjepa.report.segmentation import ClassMap

    if bundle is not None and rerun is None:
        raise UserError(f"--bundle {bundle}: its maps are part of a recording; add --rerun OUT.rrd")
    if out is None and gif is None and rerun is None:
        out = Path("sample.png")
    for option, path, ending, what in (
        ("--out", out, ".png", "the picture is a PNG"),
        ("--gif", gif, ".gif", "the animation is a GIF"),
        ("--rerun", rerun, ".rrd", "the recording is one of Rerun"),
    ):
        if path is not None and path.suffix.lower() != ending:
            raise UserError(f"{option} {path}: {what}; give a name that ends in {ending}")
    dataset = opened(data, version, channels, taxonomy)
    classes = dataset.taxonomy
    scenes = scenes_of(dataset, split, "--split")
    if scene is not None:
        scenes = [_scene(scene, scenes, dataset.name)]
    keyframes = dataset.moments(scenes, keyframes_only=True).tolist()
    if token is not None:
        keyframes = [moment for moment in keyframes if dataset.token_of(moment) == token]
        if not keyframes:
            raise UserError(f"--token {token}: no keyframe of {dataset.name} has it")
        index = 0
    if not 0 <= index < len(keyframes):
        where = "the split" if scene is None else f"the scene {scenes[0]}"
        raise UserError(f"--index {index}: {where} has {counted(len(keyframes), 'keyframe')}, numbered from 0")
    moment = keyframes[index]
    sensors = SensorInputs(LidarSweeps(lidar_sweeps), RadarSweeps(), ImageTransform(450, 800))
    there = recorded_sensors(dataset.channels, dataset.recorded_channels)
    if not there:
        remedy = "pass it as --channels FILE.yaml"
        require_recorded(sensors.sensors(), dataset.channels, dataset.recorded_channels, dataset.name, remedy)
    file = None if predictions is None else read_result_file(predictions, classes)
    drawn = DrawnKeyframes(dataset, sensors, file, minimum_score)
    named = [name for name in sensors.sensors() if channels_of(name, dataset.channels)]
    if channels is None and (missing := [name for name in named if name not in there]):
        names = ", ".join(dataset.recorded_channels)
        print(f"drawn without {' and '.join(missing)}: their channels are not among {names}; see --channels")
    if out is not None or window:
        sample = drawn.sample(moment)
        detections, said = drawn.detections(sample)
        if said:
            print(said)
        note, class_maps = drawn.note, tuple[ClassMap, ...]()
        if segmentation is not None:
            maps_file = read_segmentations(segmentation)
            class_maps, lacking = class_maps_of(maps_file, dataset, moment)
            note += f"{', ' if note else ''}segmentation from {' + '.join(maps_file.sensors) or 'unknown sensors'}"
            for line in lacking:
                print(line)
        if out is not None:
            draw_sample(sample, out, detections, classes.classes, class_maps, note)
            print(out)
        if window:
            show_points(sample, classes.classes)
    if gif is not None or rerun is not None:
        from avjepa.commands.played_scene import play

        play(drawn, dataset.scene_of(moment), gif, rerun, bundle)


def _scene(named: str, scenes: Sequence[str], where: str) -> str:
    """A scene by its name, else by its number."""
    if named in scenes:
        return named
    if named.isdecimal() and int(named) < len(scenes):
        return scenes[int(named)]
    few = ", ".join(scenes[:3])
    raise UserError(f"--scene {named}: {where} has {counted(len(scenes), 'scene')}, numbered from 0, such as {few}")


def run(arguments: Sequence[str]) -> None:
    """Parse and run."""
    run_function("view", view, arguments)
