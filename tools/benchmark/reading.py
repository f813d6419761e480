"""Time reading: files beside the devkit's own readers, sweeps, images, whole samples.

python tools/benchmark/reading.py --data DIR --version V
"""

import argparse
from pathlib import Path

import torch
from nuscenes.utils.data_classes import LidarPointCloud, RadarPointCloud
from timing import describe, measure, print_table

from avjepa.data.files.images import ImageTransform
from avjepa.data.files.pointfiles import read_lidar, read_radar
from avjepa.data.nuscenes.index import DatasetIndex
from avjepa.data.nuscenes.sample_loader import SampleLoader
from avjepa.data.nuscenes.schema import LIDAR_CHANNEL, RADAR_CHANNELS
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs

CPU = torch.device("cpu")


def files_of(index: DatasetIndex, channels: tuple[str, ...], most: int) -> list[Path]:
    """Files of some channels that exist, at most so many."""
    records = [record for channel in channels for scene in range(2) for record in index.records(channel, scene)]
    return [path for record in records if (path := index.file(record)).is_file()][:most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a dataset in nuScenes format")
    parser.add_argument("--version", default="v1.0-synth", help="name of its folder of tables")
    parser.add_argument("--repeats", type=int, default=10, help="timed rounds after two for warming up")
    options = parser.parse_args()
    torch.set_num_threads(1)
    index = DatasetIndex.open(options.data, options.version)

    RadarPointCloud.disable_filters()  # the devkit reads every return, as we do
    rows = []
    for name, channels, ours, devkit in (
        ("LiDAR", (LIDAR_CHANNEL,), read_lidar, LidarPointCloud.from_file),
        ("radar", RADAR_CHANNELS, read_radar, RadarPointCloud.from_file),
    ):
        files = files_of(index, channels, 20)
        if not files:
            continue

        def with_ours(files: list[Path] = files, read=ours) -> None:
            for path in files:
                read(path)

        def with_devkit(files: list[Path] = files, read=devkit) -> None:
            for path in files:
                read(str(path))

        mine = measure(with_ours, CPU, repeats=options.repeats).milliseconds / len(files)
        theirs = measure(with_devkit, CPU, repeats=options.repeats).milliseconds / len(files)
        rows.append((f"{name} file", len(files), mine, theirs, theirs / mine))
    print_table(
        f"Reading one file, median of {options.repeats} rounds: {describe(CPU)}",
        ("file", "files a round", "avjepa (ms)", "devkit (ms)", "ratio"), rows,
    )  # fmt: skip

    loader = SampleLoader(index)
    moments = [int(moment) for moment in index.moments(keyframes_only=True)[2:8]]
    views = {
        "LiDAR, 1 sweep": SensorInputs(LidarSweeps(1)),
        "LiDAR, 10 sweeps": SensorInputs(LidarSweeps(10)),
        "LiDAR, 1 sweep and 2 + 2 around it": SensorInputs(LidarSweeps(1, 2, 2, 3)),
        "five radars, 6 sweeps": SensorInputs(radar=RadarSweeps(6)),
        "six cameras, 128×224": SensorInputs(camera=ImageTransform(128, 224)),
        "six cameras, 256×704": SensorInputs(camera=ImageTransform(256, 704)),
    }
    rows = []
    for name, view in views.items():

        def load(view: SensorInputs = view) -> None:
            for moment in moments:
                loader.load(moment, view)

        milliseconds = measure(load, CPU, repeats=options.repeats).milliseconds / len(moments)
        rows.append((name, milliseconds, 1000 / milliseconds))
    print_table("Loading one sample into the BEV frame, one process", ("sample", "ms", "samples a second"), rows)


if __name__ == "__main__":
    main()
