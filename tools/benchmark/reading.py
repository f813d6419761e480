"""Time reading beside the devkit's readers and a whole decoding by Pillow; one thread, files in the page cache.

    python tools/benchmark/reading.py                          a synthetic recording of nuScenes' sizes, made in 10 s
    python tools/benchmark/reading.py --data DIR --version V   another one; its second keyframe is read

What is read is equal: the clouds to 2e-4 m, the images to a mean difference of one grey value in 255.
"""

import argparse
import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comparison import Comparison, add_options, in_turn, report
from nuscenes import NuScenes
from nuscenes.utils.data_classes import LidarPointCloud, RadarPointCloud
from PIL import Image

from avjepa.data.files.images import ImageTransform
from avjepa.data.files.pointfiles import read_lidar, read_radar
from avjepa.data.files.regular import Memory
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.moment_files import TIME_TOLERANCE, MomentFiles
from avjepa.data.reading import load_samples
from avjepa.data.sensor_inputs import LidarSweeps, SensorInputs
from avjepa.synth.dataset.generate import VERSION, synthesise

SWEEPS = 10


def sweeps_row(index: DatasetIndex, moment: int, rounds: int) -> Comparison:
    """Ten sweeps of a keyframe, merged."""
    with contextlib.redirect_stdout(io.StringIO()):
        devkit = NuScenes(index.version, str(index.dataroot), verbose=False)
    sample = devkit.get("sample", index.moment_token(moment))
    files, inputs = MomentFiles(index), (SensorInputs(LidarSweeps(SWEEPS)),)

    def theirs() -> Any:
        return LidarPointCloud.from_file_multisweep(devkit, sample, "LIDAR_TOP", "LIDAR_TOP", SWEEPS, 1.0)

    cloud, (read,) = theirs()[0], load_samples(files, moment, inputs)
    assert read.lidar is not None and len(read.lidar) == cloud.points.shape[1]
    work = f"ten LiDAR sweeps of a keyframe ({len(read.lidar):,} points) in the BEV frame; devkit from_file_multisweep"
    return in_turn(work, lambda: load_samples(files, moment, inputs), theirs, rounds)


def file_rows(index: DatasetIndex, rounds: int) -> list[Comparison]:
    """One file of each kind of point cloud, twenty in turn."""
    RadarPointCloud.disable_filters()  # the devkit reads every return, as we do
    memory = Memory()
    rows = []
    for name, channels, ours, theirs in (
        ("LiDAR", index.sensors.lidar, lambda path: read_lidar(path, memory), LidarPointCloud.from_file),
        ("radar", index.sensors.radars, read_radar, RadarPointCloud.from_file),
    ):
        paths = [str(index.file(record)) for channel in channels for record in index.records(channel, 0)][:20]
        rows.append(
            in_turn(
                f"one {name} file ({len(ours(paths[0])):,} points); devkit from_file",
                lambda paths=paths, read=ours: each(read, paths),
                lambda paths=paths, read=theirs: each(read, paths),
                rounds,
                calls=len(paths),
            )
        )
    return rows


def each(read: Callable[[str], Any], paths: list[str]) -> None:
    """Read some files and drop what they hold."""
    for path in paths:
        read(path)


def camera_row(index: DatasetIndex, moment: int, size: tuple[int, int], rounds: int) -> Comparison:
    """The six images of a keyframe at a size of a training."""
    found = [index.at_moment(moment, channel, TIME_TOLERANCE) for channel in index.sensors.cameras]
    files = [(index.file(record), tuple(index.record_size[record].tolist())) for record in found if record is not None]
    transform = ImageTransform(*size)

    def ours() -> Any:
        return [transform.read(path, full)[0].numpy() for path, full in files]

    def theirs() -> Any:
        return [decoded_whole(path, full, size) for path, full in files]

    difference = np.abs(np.stack(ours()).astype(np.int64) - np.stack(theirs()))
    height, width = files[0][1]
    work = f"{len(files)} cameras, {width}×{height} JPEG to {size[1]}×{size[0]}; PIL decode and resize"
    print(f"{work}: pixels differ by {difference.mean():.2f} in the mean and {difference.max()} at most, of 255")
    return in_turn(work, ours, theirs, rounds)


def decoded_whole(path: Path, full: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """What ``ImageTransform`` does, from an image that is decoded at its whole size."""
    scale = max(size[0] / full[0], size[1] / full[1])
    wide, high = max(round(full[1] * scale), size[1]), max(round(full[0] * scale), size[0])
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB").resize((wide, high), Image.Resampling.BILINEAR))
    left = (wide - size[1]) // 2
    return np.ascontiguousarray(pixels[high - size[0] :, left : left + size[1]].transpose(2, 0, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None, help="a dataset in nuScenes format")
    parser.add_argument("--version", default=VERSION, help="name of its folder of tables")
    add_options(parser, rounds=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = options.data
        if data is None:
            data = Path(folder)
            synthesise(data, 1, keyframes=2, image_width=1600, sweep_rate=20, val_fraction=0, workers=1)
        index = DatasetIndex.open(data, options.version)
        moment = int(index.moments(keyframes_only=True)[1])
        rows = [sweeps_row(index, moment, options.rounds), *file_rows(index, options.rounds)]
        rows += [camera_row(index, moment, size, options.rounds) for size in ((256, 704), (128, 224))]
    report(rows, options.csv)


if __name__ == "__main__":
    main()
