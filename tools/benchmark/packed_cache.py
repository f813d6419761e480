"""Time samples from a packed cache beside the same samples from the sensor files; one thread, all in the page cache.

    python tools/benchmark/packed_cache.py                           a synthetic recording of nuScenes' sizes
    python tools/benchmark/packed_cache.py --data DIR --version V    another one
    python tools/benchmark/packed_cache.py --training 40             and what a training of 40 steps waits for data

On a disk or a network file system that is slow to open files the cache gains more: a sample is one or two reads of it.
"""

import argparse
import csv
import statistics
import tempfile
from pathlib import Path

import torch
from comparison import add_options, in_turn, report
from timing import print_table

from avjepa import cli
from avjepa.data.datasets import open_dataset
from avjepa.data.files.images import ImageTransform
from avjepa.data.packed.packing import pack
from avjepa.data.packed.reader import PackedMoments
from avjepa.data.reading import MomentReader, load_samples
from avjepa.data.sensor_inputs import LidarSweeps, RadarSweeps, SensorInputs
from avjepa.synth.dataset.generate import VERSION, synthesise

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "pretrain" / "lidar_tiny.yaml"
WORK = {
    "pre-training on LiDAR: 1 sweep, and 2 before and 2 after for the target": (
        SensorInputs(LidarSweeps(1)),
        SensorInputs(LidarSweeps(1, 2, 2, 3)),
    ),
    "ten LiDAR sweeps": (SensorInputs(LidarSweeps(10)),),
    "six sweeps of five radars": (SensorInputs(radar=RadarSweeps(6)),),
    "six cameras at 224×128": (SensorInputs(camera=ImageTransform(128, 224)),),
    "six cameras at 704×256": (SensorInputs(camera=ImageTransform(256, 704)),),
}


def waits(data: Path, version: str, folder: Path, steps: int) -> list[tuple[str, float, float]]:
    """Of a training that loads in its own process, from the files and from a cache: samples a second, and the share of
    its time that it waits for data."""
    common = ["--config", str(CONFIG), "--data", str(data), "--version", version, "--data.split", "null"]
    run(["pack", *common, "--out", str(folder / "cache"), "--workers", "1"])
    rows = []
    for name, more in (("files", []), ("cache", ["--data.cache", str(folder / "cache")])):
        quick = ["--data.workers", "0", "--steps", str(steps)]
        run(["pretrain", *common, *quick, "--out", str(folder / name), *more])
        with (folder / name / "metrics.csv").open(newline="") as file:
            logged = [row for row in csv.DictReader(file) if row["samples_per_second"]][1:]
        keys = ("samples_per_second", "data_wait_share")
        rows.append((name, *(statistics.median(float(row[key]) for row in logged) for key in keys)))
    return rows


def run(arguments: list[str]) -> None:
    """A command that has to succeed."""
    if cli.main(arguments) != 0:
        raise SystemExit(f"avjepa {' '.join(arguments)} failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None, help="a dataset in nuScenes format")
    parser.add_argument("--version", default=VERSION, help="name of its folder of tables")
    parser.add_argument("--training", type=int, default=0, help="also train so many steps with and without the cache")
    add_options(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), options.data
        if data is None:
            data = folder / "data"
            synthesise(data, 1, keyframes=4, image_width=1600, sweep_rate=20, val_fraction=0, workers=1)
        source = open_dataset(data, options.version)
        moments = source.moments(keyframes_only=True)[1:9]
        rows, sizes = [], []
        for number, (work, inputs) in enumerate(WORK.items()):
            cache = folder / f"cache-{number}"
            pack(cache, source, inputs, moments, workers=1)
            packed = PackedMoments(cache, source, inputs)

            def read(reader: MomentReader, inputs: tuple[SensorInputs, ...] = inputs) -> None:
                for moment in moments.tolist():
                    load_samples(reader, moment, inputs)

            rows.append(
                in_turn(
                    f"a sample from a packed cache: {work}; the sensor files",
                    lambda read=read, packed=packed: read(packed),
                    lambda read=read: read(source),
                    options.rounds,
                    calls=len(moments),
                )
            )
            size = sum(path.stat().st_size for path in cache.iterdir()) / len(moments) / 2**20
            sizes.append((work, size, 1e3 / rows[-1].ours, 1e3 / rows[-1].peer))
        report(rows, options.csv)
        columns = ("work", "MiB a moment on disk", "samples a second", "from the files")
        print_table("What a cache takes and gives, one process", columns, sizes)
        if options.training:
            trained = waits(data, options.version, folder, options.training)
            columns = ("samples from", "samples a second", "share of waiting")
            print_table(f"{CONFIG.name}, {options.training} steps, loading in the training's process", columns, trained)


if __name__ == "__main__":
    main()
